"""A pair of dates that is looked at with a model: outlines on both dates, features, tables, the extent of an event."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geosam.change import extents
from geosam.change.ground import area_m2, ground_shares
from geosam.change.growing import grow
from geosam.change.measures import MEASURES, Measured, feature_measures, measure_objects, outline_measures
from geosam.change.objects import Objects, read_objects
from geosam.change.options import OUTLINES, SAMPLES, WORD, ExtentOptions
from geosam.change.outlines import Outlines
from geosam.change.pair import Pair
from geosam.change.radiometry import Radiometry
from geosam.change.result import change_frame, outline_frame
from geosam.change.status import Fates
from geosam.errors import PromptError
from geosam.pipeline.options import SegmentOptions
from geosam.pipeline.reading import read_words
from geosam.pipeline.request import to_network
from geosam.pipeline.sampled import Samples, sampled_extent
from geosam.prompts import Prompts
from geosam.recognition import Describer

FEATURES = tuple(name for name in MEASURES if name.startswith("feature_change"))

AGREED = 0.5
"""IoU from which the region tree and the model mean the same object."""


@dataclass(frozen=True)
class Event:
    """What is known of an event.

    Attributes
    ----------
    prompts
        On it, in pixels of the grid.
    less
        Polygons that its extent is less by, likewise.
    samples
        Of it and of other ground.
    """

    prompts: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    less: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    samples: Samples | None = None


class Look:
    """A pair that is looked at with a model: decoded outlines, features, tables.

    Attributes
    ----------
    pair, radiometry
        The dates, and what brings their colours together.
    model, store, progress
        As for `geosam.segment`.
    describer
        What the recognition network sees of both dates, each window once.
    """

    def __init__(
        self, pair: Pair, radiometry: Radiometry, describer: Describer, *, model: Any, store: Any, progress: Any
    ) -> None:
        self.pair, self.radiometry, self.describer, self.progress = pair, radiometry, describer, progress
        self.store = store
        self.model = to_network(model)

    @property
    def frame_polygon(self) -> Any:
        """The ground of the grid, in the CRS of before."""
        h, w = self.pair.shape
        return shapely.union_all(self.pair.before.to_world(shapely.box(0, 0, w, h)))

    def decoded(self, shapes_px: np.ndarray, *, after: bool, speed: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Outlines that prompts of the grid give on one date, in pixels of the grid, and their scores.

        They are asked from the top left on, so that those that are answered together do not depend on their order.
        """
        from geosam.pipeline import segment

        pair = self.pair
        outlines, scores = np.full(len(shapes_px), None, object), np.full(len(shapes_px), np.nan)
        outlines[:] = shapely.Polygon()
        asked = np.flatnonzero(~shapely.is_empty(shapes_px))
        if not len(asked):
            return outlines, scores
        asked = asked[np.lexsort(shapely.bounds(shapes_px[asked]).T)]
        world = pair.before.to_world(shapes_px[asked])
        frame = gpd.GeoDataFrame({"row": asked}, geometry=list(world), crs=pair.before.crs)
        if after:
            frame = frame.set_geometry(gpd.GeoSeries(list(pair.after_world(world)), crs=pair.before.crs))
        scene = pair.after if after else pair.before
        prompts = Prompts.from_features(frame, scene, id_column="row", label_column=None)
        found = segment(scene, prompts, model=self.model, store=self.store, progress=self.progress, speed=speed)
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

    def segments(self, *, after: bool, least: float) -> np.ndarray:
        """Segments of the region tree of one date that are objects with a chance of at least `least`, likewise."""
        shapes, chance = self._found(after=after, speed="fast")
        return shapes[chance >= least]

    def redrawn(self, shapes_px: np.ndarray) -> np.ndarray:
        """Objects after as the model outlines them in their boxes; as they are where it sees another object."""
        if not len(shapes_px):
            return shapes_px
        drawn, _ = self.decoded(shapely.box(*shapely.bounds(shapes_px).T), after=True, speed="fast")
        shared = shapely.area(shapely.intersection(shapes_px, drawn))
        alike = shared >= AGREED * shapely.area(shapely.union(shapes_px, drawn))
        return np.where(alike, drawn, shapes_px)

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
            seen = (self.decoded(shapes, after=after, speed="fast") for after in (False, True))
            outlines = Outlines(*chain.from_iterable(seen))
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
        PromptError, LandcoverError, OptionError
            If its prompts or samples cannot be read, or its word is not known.
        """
        if asked is None:
            return Event()
        if asked.word is not None:
            read_words(SegmentOptions(text=asked.word), has_prompts=False)
        by_samples = asked.method == SAMPLES
        prompts, less = (
            None if given is None else read_objects(given, self.pair)
            for given in (None if by_samples else asked.prompts, asked.before)
        )
        on_event(prompts)
        samples = Samples.read(asked, self.pair) if by_samples else None
        shapes, taken = (np.zeros(0, object) if each is None else each.shapes_px for each in (prompts, less))
        return Event(shapes, taken[~shapely.is_empty(taken)], samples)

    def extent(self, asked: ExtentOptions, event: Event) -> extents.Extent:
        """The extent of an event."""
        if asked.word is not None:
            after, sure = self.named(asked.word, after=True)
            less = np.concatenate([self.named(asked.word, after=False)[0], event.less])
            return extents.outline_extent(
                self.pair, after, less, event=asked.event, scores=sure, mmu_m2=asked.mmu_m2, method=WORD
            )
        if event.samples is not None:
            how = {"model": self.model, "store": self.store, "progress": self.progress}
            return sampled_extent(self.pair, event.samples, event.less, asked, **how)
        if asked.method != OUTLINES:
            return extents.index_extent(self.pair, asked.method, bands=asked.bands, mmu_m2=asked.mmu_m2)
        outlines, scores = self.decoded(event.prompts, after=True)
        there = ~shapely.is_empty(outlines)
        outlines, scores = shapely.make_valid(outlines[there]), scores[there]
        growing = shapely.get_dimensions(event.prompts[there]) == 0
        if asked.grow is not None:
            growing[:] = asked.grow
        found, sure = outlines[~growing], scores[~growing]
        if growing.any():
            size = self.pair.resolution_m if np.isfinite(self.pair.resolution_m) else 1.0
            least_px = max(1, round(asked.mmu_m2 / size**2))
            wide, chance = grow(self.pair, outlines[growing], self.radiometry, least_px=least_px)
            found, sure = np.concatenate([found, wide]), np.concatenate([sure, chance])
        how = {"event": asked.event, "scores": sure, "mmu_m2": asked.mmu_m2}
        return extents.outline_extent(self.pair, found, event.less, **how)


def on_event(prompts: Objects | None) -> None:
    """Refuse prompts of an extent of which some are marked as not on it.

    Raises
    ------
    PromptError
        If that is so.
    """
    if prompts is None or "label" not in prompts.attributes:
        return
    beside = sum(str(mark) in ("0", "0.0", "False") for mark in prompts.attributes["label"].tolist())
    if beside:
        raise PromptError(
            f"{beside} prompts of an extent with label 0",
            expected="prompts on the event alone",
            hint="samples of the event and of other ground: method='samples' (--extent samples)",
        )


def solid_shapes(objects: Objects) -> np.ndarray:
    """Shapes of objects that can be placed; empty for others."""
    placed = np.array([reason == "" for reason in objects.reasons], bool)
    shapes = objects.shapes_px.copy()
    shapes[~placed] = shapely.Polygon()
    return shapes
