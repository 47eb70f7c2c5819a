"""Everything as a coverage: the region tree of the scene, cut into segments that share the ground among them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame

from geosam.execute import run_in_order
from geosam.pipeline.looks import Look, Looks
from geosam.pipeline.redraw import redraw
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.polygons import frame, outline, polygonize
from geosam.regions import (
    DETAILS,
    Block,
    Coverage,
    Growth,
    Scale,
    Spot,
    Tile,
    TileGrid,
    cover,
    empty_block,
    grow_kept,
    grow_scene,
    load_head,
    make_block,
    measure_scale,
)
from geosam.regions.scene_tree import kept
from geosam.sam.prepared.memory import give_back, growth
from geosam.windows import WindowPlan

Strips = Iterator[tuple[int, np.ndarray]]

OVERLAP = 64
"""Pixels that neighbouring windows share: half of them lie around each block, which is what fine features see."""

LOOKS = 9
"""Windows, spread over the scene, on which its scale is measured."""

LEAST_PX = 48
"""Mapping unit where none is asked for, in pixels."""

ABREAST = 1
"""Trees of blocks that grow while the network looks at the next window."""


def find_regions(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons of all segments, in batches, each as soon as its last row of pixels is known.

    With a hierarchy there are three (`geosam.regions.DETAILS`), the coarsest first: each is a coverage of its own.

    Parameters
    ----------
    run
        The scene, the network and the options.
    tap
        Sees the strips of labels on their way to the polygons.
    """
    coverage = cover_scene(run)
    depths = range(len(coverage.segments.parents), -1, -1)
    first_id = 0
    for level, depth in enumerate(depths):
        layer, _ = coverage.coarser(depth)
        rows = Rows(run, layer, first_id, nested_in(coverage, depth, first_id) if len(depths) > 1 else None, level)
        yield from layer_frames(rows, tap)
        first_id += len(layer.segments)


@dataclass(frozen=True, eq=False)
class Rows:
    """Segments of one level as rows of the table.

    Attributes
    ----------
    run, coverage
        The run, and the segments.
    first_id
        The number before the first segment's.
    parents
        For each segment the one of the level above, 0 for none; None if there is one level.
    level
        0 for the coarsest.
    """

    run: Run
    coverage: Coverage
    first_id: int
    parents: np.ndarray | None
    level: int


def nested_in(coverage: Coverage, depth: int, first_id: int) -> np.ndarray:
    """For each segment of a level the number of the one of the level above that it is part of; 0 at the top."""
    layer, part_of = coverage.coarser(depth)
    if depth == len(coverage.segments.parents):
        return np.zeros(len(layer.segments), np.int64)
    above, part_of_above = coverage.coarser(depth + 1)
    parents = np.zeros(len(layer.segments), np.int64)
    parents[part_of - 1] = part_of_above + first_id - len(above.segments)
    return parents


def layer_frames(rows: Rows, tap: Callable[[Strips], Strips]) -> Iterator[GeoDataFrame]:
    """The polygons of a level."""
    run, coverage = rows.run, rows.coverage
    exact = {"stops": coverage.stops, "tolerance_px": run.tolerance_px, "coverage": True}
    for ids, geometries_px in polygonize(tap(coverage.strips()), **exact):
        shown = within_limits(run, coverage, ids)
        drawn = outline(geometries_px[shown], run.request.options.style)
        yield region_frame(rows, ids[shown], drawn)
    yield region_frame(rows, np.zeros(0, np.int64), np.zeros(0, object))


def cover_scene(run: Run) -> Coverage:
    """Grow the tree of the scene, or what is missing of it, and cut it."""
    options = run.request.options
    grid = tree_grid(run.request)
    full = {spot for spot in grid.blocks() if run.scene.has_data(grid.planned(spot).window)}
    run.report.windows += grid.plan.count
    run.report.empty += grid.plan.count - len(full)
    looks = Looks(run, grid, full)
    scale = scene_scale(run, looks)
    levels = DETAILS[options.detail or "normal"][: None if options.hierarchy else 1]
    how = Growth(scale.colour, load_head(), levels)
    grow_scene(grid, grow_blocks(run, looks, scale), scale.colour, run.journal)
    give_back()
    least_px = max(options.min_area / run.request.m2_per_px, LEAST_PX) if options.coverage else LEAST_PX
    coverage = cover(grid, run.journal, how, least_px=least_px)
    give_back()
    return redraw(run, coverage, least_px) if options.speed == "best" else coverage


def scene_scale(run: Run, looks: Looks) -> Scale:
    """The scene's scale, measured once on windows spread over it."""
    spots = sorted(looks.full)
    if not spots:
        return Scale.of_nothing()
    chosen = [spots[k] for k in np.unique(np.linspace(0, len(spots) - 1, LOOKS).round().astype(int))]

    def make() -> dict[str, np.ndarray]:
        seen = list(looks.each(chosen))
        looks.held.update(zip(chosen, seen, strict=True))
        owned = [look.valid & looks.owned(spot) for spot, look in zip(chosen, seen, strict=True)]
        each = zip(seen, owned, strict=True)
        return measure_scale([(look.pixels, look.fine, valid) for look, valid in each]).to_arrays()

    return Scale.from_arrays(run.once("regions-scale", make))


def grow_blocks(run: Run, looks: Looks, scale: Scale) -> Iterator[tuple[Spot, Tile]]:
    """Every block after merging, in the order in which they are put together."""
    spots = list(looks.grid.blocks())
    done = kept(looks.grid, run.journal)
    run.report.resumed += len(done & looks.full)
    todo = [spot for spot in spots if spot in looks.full and spot not in done]
    fresh = looks.agreed(todo)
    items = ((spot, next(fresh) if spot in looks.full and spot not in done else None) for spot in spots)

    def grow(item: tuple[Spot, Look | None]) -> tuple[Spot, Tile]:
        spot, look = item
        place = looks.grid.place(spot)

        def make() -> Block:
            if look is None:
                return empty_block(place, scale.basis.shape[1])
            return make_block(look.pixels, look.valid, look.fine, scale, place)

        tile = grow_kept(spot, make, scale.colour, run.journal)
        growth.bound()
        return spot, tile

    grown = run_in_order(grow, items, threads=ABREAST, ahead=1)
    yield from run.progress.track(grown, "segment", total=len(spots))


def within_limits(run: Run, coverage: Coverage, ids: np.ndarray) -> np.ndarray:
    """Which segments are given: all of a coverage, else those whose area lies within the limits."""
    options = run.request.options
    if options.coverage:
        return np.ones(len(ids), bool)
    area = coverage.segments.extents.area[ids - 1] * run.request.m2_per_px
    return (area >= options.min_area) & (area <= options.max_area)


def region_frame(rows: Rows, ids: np.ndarray, geometries_px: np.ndarray) -> GeoDataFrame:
    """The documented table of segments; their chance to be an object is their predicted IoU."""
    segments = rows.coverage.segments
    extents = segments.extents.select(ids - 1)
    step = rows.coverage.grid.plan[0].core
    wide, tall = ((extents.box[:, 2:] - extents.box[:, :2]) / [step.width, step.height]).T
    table = frame(
        geometries_px,
        rows.run.scene,
        object_ids=ids + rows.first_id,
        predicted_iou=segments.chance[ids - 1],
        stability=np.ones(len(ids), np.float32),
        n_windows=(np.ceil(wide) * np.ceil(tall)).astype(np.int32),
        touches_nodata=extents.at_nodata,
        model=rows.run.network.name,
    )
    if rows.parents is not None:
        at = list(table.columns).index("geometry")
        parents = rows.parents[ids - 1]
        table.insert(at, "level", np.full(len(ids), rows.level, np.int32))
        table.insert(at + 1, "parent_id", pd.Series(pd.array(parents, dtype="Int64")).mask(parents == 0))
    return table


def tree_grid(request: Request) -> TileGrid:
    """The blocks of a scene."""
    side = request.network.side
    return TileGrid(WindowPlan(request.scene.shape, size=side, overlap=min(OVERLAP, side // 4)))
