"""Prompted mode: one polygon for each point group, box, polygon or mask that was given.

Each window is encoded once for all prompts that are put to it at a time. An object larger than a window is found on a
coarser view of the scene: a box or a polygon goes straight to the finest view whose window shows it whole; clicks,
whose object's size nobody knows beforehand, start on the finest view and move up for as long as their mask runs into an
inner edge of its window.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from affine import Affine
from geopandas import GeoDataFrame
from rasterio.features import rasterize
from shapely import MultiPolygon, STRtree, box, transform

from geosam.instances.assemble import strip_rows
from geosam.masks import MaskSet, segment_prompts
from geosam.pipeline.everything import Strips
from geosam.pipeline.run import Run
from geosam.polygons import frame, mask_polygons, outline
from geosam.prompts import Prompt, Prompts, WindowPrompts, assign
from geosam.scene import Scene
from geosam.windows import PlannedWindow, WindowPlan

CUT_PX = 8
"""A mask that meets an inner edge of its window along more pixels than this is taken to go on beyond it."""


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
    levels = pyramid(run)
    found: dict[int, Found] = {}
    pending = list(prompts)
    for first in range(len(levels)):
        seen = list(segment_from(run, levels, pending, first=first))
        better = {one.prompt.row: one for one in seen if not one.polygon_px.is_empty}
        found = {one.prompt.row: one for one in seen} | found | better  # nothing on a coarser view takes nothing away
        pending = [one.prompt for one in seen if one.goes_on]
        if not pending:
            break
    objects = to_frame(run, prompts, [found[row] for row in sorted(found)])
    deque(tap(paint(objects, run.scene)), maxlen=0)
    yield objects


def pyramid(run: Run) -> list[Level]:
    """The scene at full, half, quarter … resolution, down to where a single window shows all of it."""
    levels = [Level(0, run.scene, run.plan())]
    while len(levels[-1].plan) > 1:
        number = len(levels)
        scene = run.scene.coarsened(2**number)
        levels.append(Level(number, scene, run.plan(scene)))
    return levels


def segment_from(run: Run, levels: list[Level], prompts: list[Prompt], *, first: int) -> Iterator[Found]:
    """What is found for each prompt in the window that shows it best, on level `first` or above."""
    places = assign(prompts, [level.plan for level in levels], first=first)
    run.report.windows += len(places)
    for (number, index), group in run.progress.track(places.items(), "segment prompts", total=len(places)):
        level, by_row = levels[number], {prompt.row: prompt for prompt in group}
        masks = segment_place(run, level, level.plan[index], group, first=first)
        higher = number + 1 < len(levels)
        polygons = to_scene(mask_polygons(masks, tolerance_px=run.tolerance_px / 2**number), level, run.scene)
        for position, row in enumerate(masks.prompt_ids.tolist()):
            yield Found(
                by_row[row],
                polygons[position],
                float(masks.predicted_iou[position]),
                float(masks.stability[position]),
                bool(masks.touches_nodata[position]),
                higher and by_row[row].kind == "points" and is_cut(masks, position, level.plan.shape),
            )


def segment_place(run: Run, level: Level, planned: PlannedWindow, prompts: list[Prompt], *, first: int) -> MaskSet:
    """The masks of the prompts that fall into one window, from the journal if an earlier run got so far."""
    scale = 0.5**level.number
    logits_shape = run.network.logits_shape((planned.window.height, planned.window.width))

    def segment() -> dict[str, np.ndarray]:
        chip = level.scene.read(planned.window)
        embedding = run.embed(level.scene, chip)
        refine = run.request.options.refine
        groups = WindowPrompts.for_window(prompts, planned.window, logits_shape=logits_shape, scale=scale)
        found = (segment_prompts(embedding, run.network, group, chip.valid, refine=refine) for group in groups)
        return MaskSet.concatenate(found).to_arrays()

    name = f"prompts-{first}-{level.number}-{planned.index:06d}-{prompts[0].row:08d}-{len(prompts)}"
    return MaskSet.from_arrays(run.once(name, segment))


def is_cut(masks: MaskSet, position: int, shape: tuple[int, int]) -> bool:
    """Whether a mask meets an edge of its window beyond which a grid of `shape` pixels goes on."""
    mask, (x0, y0, x1, y1) = masks.crops[position], masks.boxes[position].tolist()
    window, (h, w) = masks.window, shape
    inner = (
        (x0 == 0 and window.col_off > 0, mask[:, :1]),
        (y0 == 0 and window.row_off > 0, mask[:1]),
        (x1 == window.width and window.col_off + window.width < w, mask[:, -1:]),
        (y1 == window.height and window.row_off + window.height < h, mask[-1:]),
    )
    return sum(int(np.count_nonzero(edge)) for met, edge in inner if met) > CUT_PX


def to_scene(polygons_px: np.ndarray, level: Level, scene: Scene) -> np.ndarray:
    """Polygons of a coarser level in the scene's own pixels."""
    if level.number == 0:
        return polygons_px
    to_base = ~scene.frame.native @ level.scene.frame.native
    (a, b, c), (d, e, f) = to_base[:3], to_base[3:6]
    return transform(polygons_px, lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f]))


def to_frame(run: Run, prompts: Prompts, found: list[Found]) -> GeoDataFrame:
    """One row for each prompt that gave a polygon; the others go to the report."""
    run.report.skipped += [(one.prompt.id, "no object found") for one in found if one.polygon_px.is_empty]
    there = [one for one in found if not one.polygon_px.is_empty]
    polygons = np.array([one.polygon_px for one in there], object)
    return frame(
        outline(polygons, run.request.options.style),
        run.scene,
        object_ids=np.arange(1, len(there) + 1),
        predicted_iou=np.array([one.predicted_iou for one in there], np.float32),
        stability=np.array([one.stability for one in there], np.float32),
        touches_nodata=np.array([one.touches_nodata for one in there], bool),
        model=run.network.name,
        prompt_ids=[one.prompt.id for one in there],
        attributes=prompts.attributes_frame().loc[[one.prompt.row for one in there]],
    )


def paint(objects: GeoDataFrame, scene: Scene) -> Strips:
    """The polygons as strips of labels; where they overlap the better score is on top."""
    order = objects.sort_values(["score", "object_id"], ascending=[True, False])
    shapes, ids = scene.to_px(order.geometry), order["object_id"].to_numpy(np.int32)
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
