"""Prompted mode: one polygon for each point group, box, polygon or mask that was given.

The scene is looked at from finer to coarser views, and each window is encoded once for all prompts that fall into it.
An object larger than a window is found on a coarser view: a box or a polygon waits for the finest view whose window
shows it whole. Clicks, whose object's size nobody knows beforehand, start on the scene's own pixels and move up for as
long as their mask runs into an inner edge of its window.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from affine import Affine
from geopandas import GeoDataFrame
from rasterio.features import rasterize
from shapely import MultiPolygon, STRtree, box, get_dimensions, get_parts, transform, union_all

from geosam.arrays import Valid
from geosam.embeddings import Embedding
from geosam.instances.assemble import strip_rows
from geosam.masks import MaskSet, segment_boxes, segment_prompts
from geosam.pipeline.everything import Strips
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.polygons import frame, mask_polygons, outline
from geosam.prompts import Prompt, Prompts, WindowPrompts, apart, assign
from geosam.scene import Scene
from geosam.windows import PlannedWindow, WindowPlan

ROWS = 1024
"""Objects in one table, so that what is made for the file does not grow with the number of prompts."""

CUT_PX = 8
"""A mask that meets inner edges of its window along more scene pixels than this is taken to go on beyond them."""


@dataclass(frozen=True)
class Level:
    """The scene at ``1 / 2**number`` of its resolution, and its windows."""

    number: int
    scene: Scene
    plan: WindowPlan


@dataclass(frozen=True)
class Found:
    """What was found for one prompt: its polygon in scene px, and whether it seems to go on beyond the window."""

    prompt: Prompt
    polygon_px: MultiPolygon
    predicted_iou: float
    stability: float
    touches_nodata: bool
    goes_on: bool


def find_prompted(run: Run, prompts: Prompts, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons of all prompts in their order; what gave none is in the report, with the reason.

    Parameters
    ----------
    run, prompts
        What is carried out.
    tap
        Is fed the strips of labels that the polygons make, the better score on top.
    """
    run.report.skipped += [(skipped.id, skipped.reason) for skipped in prompts.skipped]
    levels = pyramid(run.request)
    found: dict[int, Found] = {}
    pending, owners = apart(prompts)
    for level in levels:
        here, later = on_level(pending, levels, level)
        seen = list(segment_level(run, level, here, is_last=level is levels[-1]))
        for one in seen:
            if (
                one.prompt.row not in found or not one.polygon_px.is_empty
            ):  # nothing on a coarser view takes nothing away
                found[one.prompt.row] = one
        pending = [*later, *(one.prompt for one in seen if one.goes_on)]
        if not pending:
            break
    objects = Objects.of(run, whole(found, owners, prompts))
    if tap is not iter:  # nobody draws labels that nobody looks at
        deque(tap(objects.paint(run.scene)), maxlen=0)
    yield from objects.frames(run, prompts.attributes_frame())


def whole(found: dict[int, Found], owners: Mapping[int, int], prompts: Prompts) -> list[Found]:
    """What was found for each prompt, by row: what was found for its parts as one, with their mean scores by area."""
    parts: dict[int, list[Found]] = {}
    for row in sorted(found):
        parts.setdefault(owners.get(row, row), []).append(found.pop(row))
    by_row = {prompt.row: prompt for prompt in prompts}
    return [joined(by_row[row], parts[row]) for row in sorted(parts)]


def joined(prompt: Prompt, parts: list[Found]) -> Found:
    """What was found for the parts of one prompt."""
    if len(parts) == 1:
        return replace(parts[0], prompt=prompt)
    areas = np.array([part.polygon_px.area for part in parts]) + 1e-9
    shapes = get_parts(union_all([part.polygon_px for part in parts]))
    return Found(
        prompt,
        MultiPolygon(list(shapes[get_dimensions(shapes) == 2])),
        float(np.average([part.predicted_iou for part in parts], weights=areas)),
        float(np.average([part.stability for part in parts], weights=areas)),
        touches_nodata=any(part.touches_nodata for part in parts),
        goes_on=False,
    )


def pyramid(request: Request) -> list[Level]:
    """The scene at full, half, quarter … resolution, down to where a single window shows all of it."""
    scene, side, options = request.scene, request.network.side, request.options
    levels = [Level(0, scene, options.plan(scene.shape, side=side))]
    while len(levels[-1].plan) > 1:
        view = scene.coarsened(2.0 ** len(levels))
        levels.append(Level(len(levels), view, options.plan(view.shape, side=side)))
    return levels


def on_level(prompts: list[Prompt], levels: list[Level], level: Level) -> tuple[dict[int, list[Prompt]], list[Prompt]]:
    """The prompts that a level's windows show best, by window, and those that wait for a coarser level."""
    plans = [each.plan for each in levels]
    places = assign(prompts, plans, first=level.number)
    here = {index: group for (number, index), group in places.items() if number == level.number}
    return here, [prompt for (number, _), group in places.items() if number > level.number for prompt in group]


def segment_level(run: Run, level: Level, places: dict[int, list[Prompt]], *, is_last: bool) -> Iterator[Found]:
    """What is found for each prompt in its window of one level."""
    run.report.windows += len(places)
    if not places:
        return  # and no empty bar is drawn
    for index, group in run.progress.track(places.items(), "segment prompts", total=len(places)):
        if not level.scene.has_data(level.plan[index].window):
            run.report.empty += 1
            yield from (Found(prompt, MultiPolygon(), 0.0, 0.0, touches_nodata=True, goes_on=False) for prompt in group)
            continue
        by_row = {prompt.row: prompt for prompt in group}
        masks = segment_place(run, level, level.plan[index], group)
        polygons = to_scene(mask_polygons(masks, tolerance_px=run.tolerance_px / 2.0**level.number), level, run.scene)
        for position, row in enumerate(masks.prompt_ids.tolist()):
            yield Found(
                by_row[row],
                polygons[position],
                float(masks.predicted_iou[position]),
                float(masks.stability[position]),
                bool(masks.touches_nodata[position]),
                not is_last and by_row[row].kind == "points" and is_cut(masks, position, level),
            )


def segment_place(run: Run, level: Level, planned: PlannedWindow, prompts: list[Prompt]) -> MaskSet:
    """The masks of the prompts that fall into one window, from the journal if an earlier run got so far."""
    name = f"prompts-{level.number}-{planned.index:06d}"  # a run comes to each window once
    kept = run.journal.get(name)
    if kept is not None:
        run.report.resumed += 1
        return MaskSet.from_arrays(kept)
    chip = level.scene.read(planned.window)
    embedding = run.embed(level.scene, chip)
    logits_shape = run.network.logits_shape(chip.valid.shape)
    groups = WindowPrompts.for_window(prompts, planned.window, logits_shape=logits_shape, scale=0.5**level.number)
    masks = MaskSet.concatenate(answer(run.request, embedding, group, chip.valid) for group in groups)
    run.journal.put(name, masks.to_arrays())
    return masks


def answer(request: Request, embedding: Embedding, group: WindowPrompts, valid: Valid) -> MaskSet:
    """The masks of alike prompts, in the way that the request asks for."""
    together = request.options.speed == "fast" and group.batch.boxes is not None
    ask = segment_boxes if together else segment_prompts
    return ask(embedding, request.network, group, valid, refine=request.options.refine)


def is_cut(masks: MaskSet, position: int, level: Level) -> bool:
    """Whether a mask meets edges of its window beyond which the scene goes on, along as much ground on every level."""
    mask, (x0, y0, x1, y1) = masks.crops[position], masks.boxes[position].tolist()
    window, (h, w) = masks.window, level.plan.shape
    inner = (
        (x0 == 0 and window.col_off > 0, mask[:, :1]),
        (y0 == 0 and window.row_off > 0, mask[:1]),
        (x1 == window.width and window.col_off + window.width < w, mask[:, -1:]),
        (y1 == window.height and window.row_off + window.height < h, mask[-1:]),
    )
    return sum(int(np.count_nonzero(edge)) for met, edge in inner if met) > max(1, CUT_PX / 2.0**level.number)


def to_scene(polygons_px: np.ndarray, level: Level, scene: Scene) -> np.ndarray:
    """Polygons of a coarser level in the scene's own pixels."""
    if level.number == 0:
        return polygons_px
    to_base = ~scene.frame.native @ level.scene.frame.native
    (a, b, c), (d, e, f) = to_base[:3], to_base[3:6]
    return transform(polygons_px, lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f]))


@dataclass(frozen=True)
class Objects:
    """What was found, as columns: one polygon in scene px for each prompt that gave one, by row."""

    polygons_px: np.ndarray
    rows: np.ndarray
    prompt_ids: np.ndarray
    predicted_iou: np.ndarray
    stability: np.ndarray
    touches_nodata: np.ndarray

    @classmethod
    def of(cls, run: Run, found: list[Found]) -> "Objects":
        """Outline the polygons; prompts that gave none go to the report."""
        run.report.skipped += [(one.prompt.id, "no object found") for one in found if one.polygon_px.is_empty]
        there = [one for one in found if not one.polygon_px.is_empty]
        found.clear()
        return cls(
            outline(np.array([one.polygon_px for one in there], object), run.request.options.style),
            np.array([one.prompt.row for one in there], np.int64),
            of_one_type([one.prompt.id for one in there]),
            np.array([one.predicted_iou for one in there], np.float32),
            np.array([one.stability for one in there], np.float32),
            np.array([one.touches_nodata for one in there], bool),
        )

    def frames(self, run: Run, attributes: pd.DataFrame) -> Iterator[GeoDataFrame]:
        """One row for each object, in tables of `ROWS`; a table without rows if there is none."""
        for start in range(0, max(1, len(self.rows)), ROWS):
            part = slice(start, start + ROWS)
            yield frame(
                self.polygons_px[part],
                run.scene,
                object_ids=np.arange(len(self.rows))[part] + 1,
                predicted_iou=self.predicted_iou[part],
                stability=self.stability[part],
                touches_nodata=self.touches_nodata[part],
                model=run.network.name,
                prompt_ids=self.prompt_ids[part],
                attributes=attributes.loc[self.rows[part]],
            )

    def paint(self, scene: Scene) -> Strips:
        """The polygons as strips of labels; where they overlap the better score is on top."""
        score = self.predicted_iou.clip(0, 1) * self.stability
        order = np.lexsort((-np.arange(len(score)), score))
        shapes, ids = self.polygons_px[order], order + 1
        tree = STRtree(shapes)
        (height, width), rows = scene.shape, strip_rows(scene.shape[1])
        for top in range(0, height, rows):
            count = min(rows, height - top)
            labels = np.zeros((count, width), np.int32)
            here = np.sort(tree.query(box(0, top, width, top + count)))
            if len(here):
                drawn = zip(shapes[here], ids[here].tolist(), strict=True)
                rasterize(drawn, out=labels, transform=Affine.translation(0, top))
            yield top, labels


def of_one_type(ids: list[int | str]) -> np.ndarray:
    """Ids of all prompts in one type, so that the tables of one layer agree: text unless all are whole numbers.

    Examples
    --------
    >>> of_one_type([3, 4]).dtype.kind, of_one_type([3, "a"]).tolist()
    ('i', ['3', 'a'])
    """
    whole = all(isinstance(one, int | np.integer) and -(2**63) <= one < 2**63 for one in ids)
    return np.array(ids, np.int64) if whole else np.array([None if pd.isna(one) else str(one) for one in ids], object)
