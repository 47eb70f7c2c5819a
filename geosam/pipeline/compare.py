"""Two dates of a place compared: `compare`, in straight lines.

Pair → shift and colours → objects, decoded on both dates with the same prompts → measures → status, grade, shares of
changed ground → new objects → extent of the event → summary.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.change import extents
from geosam.change.ground import area_m2, ground_shares
from geosam.change.growing import grow
from geosam.change.measures import MEASURES, Measured, feature_measures, measure_objects, outline_measures
from geosam.change.newcomers import LEAST_KNOWN, SURE, ground_beside, learn_likeness, plausible, spread
from geosam.change.objects import Objects, read_objects
from geosam.change.options import OUTLINES, WORD, CompareOptions, ExtentOptions, with_changes
from geosam.change.outlines import Outlines
from geosam.change.pair import Pair, open_pair
from geosam.change.radiometry import Radiometry, match
from geosam.change.registration import register
from geosam.change.result import Comparison, change_frame, outline_frame, sources
from geosam.change.status import MOST_UNSEEN, Fates, tell_fates
from geosam.change.summary import summarise, unit_shapes
from geosam.change.unseen import mask_pair, unseen_frame
from geosam.pipeline.options import SegmentOptions
from geosam.pipeline.reading import read_words
from geosam.pipeline.request import to_network
from geosam.pipeline.run import open_store
from geosam.prompts import Prompts, stacked
from geosam.recognition import Describer

log = logging.getLogger(__name__)

FEATURES = tuple(name for name in MEASURES if name.startswith("feature_change"))


def compare(
    before: Any,
    after: Any,
    prompts: Any = None,
    *,
    model: Any = "nano",
    options: CompareOptions | None = None,
    store: Any = None,
    progress: Any = None,
    **changes: Any,
) -> Comparison:
    """Compare two dates of a place: what became of each object, and how far an event reached.

    Parameters
    ----------
    before, after
        Scenes, or whatever `geosam.open_scene` opens; any CRSs, resolutions, extents and bit depths.
    prompts
        Known objects such as footprints: a vector file, a GeoDataFrame or geometries in any CRS. None: every object of
        the scene before.
    model
        As for `segment`.
    options
        See `geosam.change.CompareOptions`; each of its fields may also be given by its name, as in ``correct=False``.
    store
        Folder or `EmbeddingStore` in which embeddings and features are kept for later runs.
    progress
        Shows how far decoding is, such as a `geosam.execute.Bar`.

    Returns
    -------
    Comparison
        Its `change` has a row for each object, each id once; see `geosam.change.result.COLUMNS`.

    Raises
    ------
    SceneError, PromptError, ModelError, OptionError
        If the scenes, the objects, a model or an option cannot be used.
    """
    asked = with_changes(options or CompareOptions(), changes)
    grades, fates = asked.grade_model(), asked.fate_model()
    pair = open_pair(before, after, resolution_m=asked.resolution_m)
    registration = register(pair)
    if asked.correct and registration.found:
        pair = pair.shifted(registration.shift_px)
    pair = mask_pair(mask_pair(pair, asked.masks_before), asked.masks_after, after=True)
    radiometry = match(pair)
    look = Look(pair, radiometry, model=model, store=store, progress=progress)
    units = unit_shapes(asked.units, look.frame_polygon, pair.before.crs, asked.units_crs)
    event = look.read_event(asked.extent)
    objects = known_objects(prompts, look, asked)
    measured, outlines = look.measured(objects, decode=asked.decode)
    fate = tell_fates(measured, fates)
    if asked.find_new:
        objects, measured, outlines, fate = with_new(look, (objects, measured, outlines, fate))
    frames = look.frames(objects, measured, outlines, (fate, grades.probabilities(measured.values)))
    extent = look.extent(asked.extent, event) if asked.extent else None
    return Comparison(
        *frames,
        extent.frame if extent else None,
        unseen_frame(pair),
        sources(pair, asked),
        summarise(frames[0], extent.frame if extent else None, *units),
        pair,
        registration,
        radiometry,
        {
            "registration": registration.describe(),
            "corrected": bool(asked.correct and registration.found),
            "radiometry": {"gain": list(radiometry.gain), "offset": list(radiometry.offset)},
            "resolution_m": pair.resolution_m,
            "grades": dict(grades.origin),
            "fates": dict(fates.origin),
            "extent": dict(extent.facts) if extent else None,
        },
    )


@dataclass(frozen=True)
class Event:
    """What is known of an event: prompts on it, and polygons that its extent is less by, in pixels of the grid."""

    prompts: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    less: np.ndarray = field(default_factory=lambda: np.zeros(0, object))


class Look:
    """A pair that is looked at with a model: decoded outlines, features, tables."""

    def __init__(self, pair: Pair, radiometry: Radiometry, *, model: Any, store: Any, progress: Any) -> None:
        self.pair, self.radiometry, self.progress = pair, radiometry, progress
        self.store = open_store(store)
        self.model = to_network(model)
        self.describer = Describer(store=self.store)

    @property
    def frame_polygon(self) -> Any:
        """The ground of the grid, in the CRS of before."""
        h, w = self.pair.shape
        return shapely.union_all(self.pair.before.to_world(shapely.box(0, 0, w, h)))

    def decoded(self, shapes_px: np.ndarray, *, after: bool) -> tuple[np.ndarray, np.ndarray]:
        """Outlines that prompts of the grid give on one date, in pixels of the grid, and their scores."""
        from geosam.pipeline import segment

        pair = self.pair
        outlines, scores = np.full(len(shapes_px), None, object), np.full(len(shapes_px), np.nan)
        outlines[:] = shapely.Polygon()
        asked = np.flatnonzero(~shapely.is_empty(shapes_px))
        if not len(asked):
            return outlines, scores
        world = pair.before.to_world(shapes_px[asked])
        frame = gpd.GeoDataFrame({"row": asked}, geometry=list(world), crs=pair.before.crs)
        if after:
            frame = frame.set_geometry(gpd.GeoSeries(list(pair.after_world(world)), crs=pair.before.crs))
        scene = pair.after if after else pair.before
        prompts = Prompts.from_features(frame, scene, id_column="row", label_column=None)
        found = segment(scene, prompts, model=self.model, store=self.store, progress=self.progress)
        rows = found["prompt_id"].astype("int64").to_numpy()
        geometries = np.array(found.geometry.array, object)
        outlines[rows] = (
            pair.from_after_px(geometries, found.crs) if after else pair.before.to_px(geometries, found.crs)
        )
        scores[rows] = found["score"].to_numpy()
        return outlines, scores

    def everything(self, *, after: bool) -> np.ndarray:
        """Every object of one date, as polygons in pixels of the grid."""
        return self._found(after=after)[0]

    def named(self, word: str, *, after: bool) -> tuple[np.ndarray, np.ndarray]:
        """What a word names on one date, as polygons in pixels of the grid, and their scores."""
        return self._found(after=after, text=word)

    def _found(self, *, after: bool, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        from geosam.pipeline import segment

        pair, scene = self.pair, self.pair.after if after else self.pair.before
        found = segment(scene, model=self.model, store=self.store, progress=self.progress, **how)
        geometries = np.array(found.geometry.array, object)
        placed = pair.from_after_px(geometries, found.crs) if after else pair.before.to_px(geometries, found.crs)
        h, w = pair.shape
        inside = shapely.intersects(placed, shapely.box(0, 0, w, h))
        return placed[inside], found["score"].to_numpy()[inside]

    def measured(self, objects: Objects, *, decode: bool = True) -> tuple[Measured, Outlines]:
        """Measures of objects, and their outlines on both dates."""
        shapes = solid_shapes(objects)
        if decode:
            outlines = Outlines(*self.decoded(shapes, after=False), *self.decoded(shapes, after=True))
        else:
            outlines = Outlines.nothing(len(objects))
        areal = np.where(shapely.get_dimensions(shapes) == 2, shapes, outlines.before)
        measured = measure_objects(areal, self.pair, self.radiometry)
        deep = self.features(areal)
        _, apart, grown = outline_measures(outlines.before, outlines.after)
        columns = {"outline_change": apart, "area_change": grown, **dict(zip(FEATURES, deep.T, strict=True))}
        hidden = ~np.isfinite(measured.values[:, 0])
        columns = {name: np.where(hidden, np.nan, column) for name, column in columns.items()}
        return measured.with_columns(**columns), outlines

    def features(self, shapes_px: np.ndarray) -> np.ndarray:
        """Change of recognition features."""
        return feature_measures(shapes_px, self.pair, self.describer)

    def frames(
        self, objects: Objects, measured: Measured, outlines: Outlines, told: tuple[Fates, np.ndarray]
    ) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, gpd.GeoDataFrame]:
        """The tables of objects and of their outlines on both dates."""
        scene = self.pair.before
        world = tuple(scene.to_world(each) for each in (outlines.before, outlines.after))
        areas = tuple(area_m2(each, scene.crs) for each in world)
        shapes = solid_shapes(objects)
        areal = np.where(shapely.get_dimensions(shapes) == 2, shapes, outlines.before)
        change = change_frame(
            objects,
            self.pair,
            measured=measured,
            fates=told[0],
            grades=told[1],
            ground=ground_shares(areal, self.pair, self.radiometry),
            outlines=(world[0], world[1]),
            areas=(areas[0], areas[1]),
            iou=outline_measures(outlines.before, outlines.after)[0],
        )
        first, second = (
            outline_frame(objects, shown, scores, area, scene.crs)
            for shown, scores, area in zip(world, (outlines.scores, outlines.scores_after), areas, strict=True)
        )
        return change, first, second

    def read_event(self, asked: ExtentOptions | None) -> Event:
        """What is known of an event before any work is done.

        Raises
        ------
        PromptError, OptionError
            If its prompts cannot be read, or its word is not known.
        """
        if asked is None:
            return Event()
        if asked.word is not None:
            read_words(SegmentOptions(text=asked.word), has_prompts=False)
        prompts, less = (
            np.zeros(0, object) if source is None else read_objects(source, self.pair).shapes_px
            for source in (asked.prompts, asked.before)
        )
        return Event(prompts, less[~shapely.is_empty(less)])

    def extent(self, asked: ExtentOptions, event: Event) -> extents.Extent:
        """The extent of an event."""
        if asked.word is not None:
            after, sure = self.named(asked.word, after=True)
            less = np.concatenate([self.named(asked.word, after=False)[0], event.less])
            return extents.outline_extent(
                self.pair, after, less, event=asked.event, scores=sure, mmu_m2=asked.mmu_m2, method=WORD
            )
        if asked.method != OUTLINES:
            return extents.index_extent(self.pair, asked.method, bands=asked.bands, mmu_m2=asked.mmu_m2)
        outlines, scores = self.decoded(event.prompts, after=True)
        there = ~shapely.is_empty(outlines)
        found, sure = shapely.make_valid(outlines[there]), scores[there]
        if asked.grow and len(found):
            size = self.pair.resolution_m if np.isfinite(self.pair.resolution_m) else 1.0
            found, sure = grow(self.pair, found, self.radiometry, least_px=max(1, round(asked.mmu_m2 / size**2)))
        how = {"event": asked.event, "scores": sure, "mmu_m2": asked.mmu_m2}
        return extents.outline_extent(self.pair, found, event.less, **how)


def known_objects(prompts: Any, look: Look, asked: CompareOptions) -> Objects:
    """The known objects, or every object of the date before."""
    if prompts is not None:
        return read_objects(prompts, look.pair, layer=asked.layer, id_column=asked.id_column, crs=asked.prompts_crs)
    shapes = look.everything(after=False)
    ids = tuple(range(1, len(shapes) + 1))
    return Objects(ids, shapes, pd.DataFrame(index=range(len(ids))), ("",) * len(ids))


def solid_shapes(objects: Objects) -> np.ndarray:
    """Shapes of objects that can be placed; empty for others."""
    placed = np.array([reason == "" for reason in objects.reasons], bool)
    shapes = objects.shapes_px.copy()
    shapes[~placed] = shapely.Polygon()
    return shapes


Told = tuple[Objects, Measured, Outlines, Fates]


def with_new(look: Look, told: Told) -> Told:
    """The objects and those that stand only on the date after."""
    objects, _, outlines, _ = told
    known = solid_shapes(objects)
    areal = np.where(shapely.get_dimensions(known) == 2, known, outlines.before)
    usable = areal[~shapely.is_empty(areal)]
    if len(usable) < LEAST_KNOWN:
        log.warning("new objects are not looked for: %d known ones, %d are needed", len(usable), LEAST_KNOWN)
        return told
    candidates = look.everything(after=True)
    candidates = candidates[plausible(candidates, usable)]
    if not len(candidates):
        return told
    sample = usable[spread(len(usable))]
    beside = ground_beside(sample, look.pair.shape)
    if not len(beside):
        return told
    stack = np.concatenate([sample, beside, candidates])
    scene = look.pair.before
    then = look.describer.describe(gpd.GeoSeries(list(scene.to_world(stack)), crs=scene.crs), scene).values
    world = look.pair.after_world(scene.to_world(candidates))
    now = look.describer.describe(gpd.GeoSeries(list(world), crs=scene.crs), look.pair.after).values
    n, m = len(sample), len(sample) + len(beside)
    like = learn_likeness(then[:n], then[n:m])
    seen = measure_objects(candidates, look.pair, look.radiometry)
    chance = np.minimum(like.probability(now), 1 - like.probability(then[m:]))
    new = (chance >= SURE) & (seen.unseen <= MOST_UNSEEN)
    return joined_new(told, candidates[new], (seen, new, chance))


def joined_new(told: Told, shapes: np.ndarray, found: tuple[Measured, np.ndarray, np.ndarray]) -> Told:
    """The tables with new objects behind the known ones."""
    objects, measured, outlines, fates = told
    seen, new, chance = found
    count = len(shapes)
    table = stacked([objects.attributes, pd.DataFrame(index=range(count))])
    more = Objects(
        (*objects.ids, *[None] * count),
        np.concatenate([objects.shapes_px, shapes]),
        table,
        (*objects.reasons, *[""] * count),
    )
    values = np.concatenate([measured.values, seen.values[new]])
    return (
        more,
        Measured(values, np.concatenate([measured.unseen, seen.unseen[new]])),
        outlines.with_new(shapes),
        Fates(
            np.concatenate([fates.status, np.full(count, "new", object)]),
            np.concatenate([fates.score, chance[new].astype(np.float32)]),
            np.concatenate([fates.probabilities, np.full((count, 3), np.nan)]),
        ),
    )
