"""A cut of a scene's tree as a coverage: every valid pixel in exactly one segment.

The cut is handed down from the root through the tiles to the grains (`hand_down`). Segments smaller than the mapping
unit join the neighbour that they are most like (`absorb`), and what is left is numbered from the top of the scene.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from rasterio.windows import Window
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Labels
from geosam.regions.choice import Growth, choose_nodes, load_choice
from geosam.regions.cuts import follow
from geosam.regions.graph import AREA, add_up, sum_links
from geosam.regions.merging import MergeOptions, appearance
from geosam.regions.redrawing import load_drawn
from geosam.regions.scene_tree import Keep, TileGrid, load_labels, load_stage
from geosam.regions.segments import Extents, Segments
from geosam.regions.tiles import Spot

STRIP_PX = 1 << 22
"""Pixels of a strip of labels, unless a single row has more."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """Segments that partition the valid pixels of a scene.

    Attributes
    ----------
    grid
        The blocks of the scene.
    keep
        Where their grains are.
    number
        The segment, from 1, of each that `hand_down` had found.
    segments
        The segments, in order.
    drawn
        Whether the labels of blocks are kept as they were redrawn, not as grains and what these are part of.
    """

    grid: TileGrid
    keep: Keep
    number: Int32[np.ndarray, "m"]
    segments: Segments
    drawn: bool = False

    @property
    def stops(self) -> Int64[np.ndarray, "n"]:
        """The row below the last pixel of each segment."""
        return self.segments.extents.box[:, 3].astype(np.int64)

    def coarser(self, depth: int) -> tuple["Coverage", Int64[np.ndarray, "n"]]:
        """The coverage of a coarser cut, and which of its segments, from 1, each of these is part of; 0 is this one."""
        if depth == 0:
            return self, np.arange(1, len(self.segments) + 1)
        _, first, group = np.unique(self.segments.parents[depth - 1], return_index=True, return_inverse=True)
        above = self.segments.parents[depth:, first]
        chance = self.segments.parent_chance[depth - 1][self.segments.parents[depth - 1, first]]
        extents = self.segments.extents.merged(group, len(first))
        order = extents.from_top()
        kept = Segments(extents, chance, above, self.segments.parent_chance[depth:]).select(order)
        part_of = _ranks(order)[group] + 1
        number = part_of[self.number - 1].astype(np.int32)
        return Coverage(self.grid, self.keep, number, kept, self.drawn), part_of

    def strips(self) -> Iterator[tuple[int, np.ndarray]]:
        """``(row_off, labels)`` from top to bottom: the segment of every pixel, 0 where there is no data."""
        rows, cols = self.grid.shape(0)
        for row in range(rows):
            blocks = [self._block((row, col)) for col in range(cols)]
            top, height = self.grid.place((row, 0)).row, len(blocks[0][0])
            step = max(1, STRIP_PX // self.grid.plan.shape[1])
            for first in range(0, height, step):
                parts = [of[labels[first : first + step]] for labels, of in blocks]
                yield top + first, np.concatenate(parts, axis=1)

    def labels(self, window: Window) -> Labels:
        """The segment of every pixel of a window, 0 where there is no data; of any window of the scene."""
        top, left = round(window.row_off), round(window.col_off)
        bottom, right = top + round(window.height), left + round(window.width)
        found = np.zeros((bottom - top, right - left), np.int32)
        for spot in self.grid.blocks():
            place = self.grid.place(spot)
            y0, x0, y1, x1 = place.row, place.col, place.row + place.shape[0], place.col + place.shape[1]
            inner_y, inner_x = slice(max(top, y0), min(bottom, y1)), slice(max(left, x0), min(right, x1))
            if inner_y.start >= inner_y.stop or inner_x.start >= inner_x.stop:
                continue
            grains, of = self._block(spot)
            part = grains[inner_y.start - y0 : inner_y.stop - y0, inner_x.start - x0 : inner_x.stop - x0]
            found[inner_y.start - top : inner_y.stop - top, inner_x.start - left : inner_x.stop - left] = of[part]
        return found

    def block(self, spot: Spot) -> Labels:
        """The segment of every pixel of a block."""
        labels, of = self._block(spot)
        return of[labels]

    def _block(self, spot: Spot) -> tuple[np.ndarray, Int32[np.ndarray, "_"]]:
        """Labels of a block in small numbers, and the segment that each number from 0 stands for."""
        lookup = np.concatenate([np.zeros(1, np.int32), self.number])
        if self.drawn:
            drawn = load_drawn(self.keep, spot)
            return drawn.labels, lookup[drawn.numbers]
        return load_labels(self.keep, spot), lookup[np.concatenate([[-1], load_cut(self.keep, spot)]) + 1]


def cover(grid: TileGrid, keep: Keep, how: Growth, *, least_px: float | int = 0.0) -> Coverage:
    """Cut the tree of a scene.

    Parameters
    ----------
    grid, keep
        As `geosam.regions.scene_tree.grow_scene` was given.
    how
        Scale, scores and levels.
    least_px
        Segments of fewer pixels join a neighbour, if they have one.
    """
    choose_nodes(grid, keep, how)
    found = hand_down(grid, keep, levels=len(how.levels), least_px=least_px)
    group, segments = absorb(found, least_px, how.colour)
    order = segments.extents.from_top()
    return Coverage(grid, keep, (_ranks(order)[group] + 1).astype(np.int32), segments.select(order))


def _ranks(order: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """The place of each in an order."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found on the way down: the segments, and the links of those that are small.

    Sums of segments stay where they are kept, in entries that begin with the segments `starts`.
    """

    segments: Segments
    ends: Int64[np.ndarray, "e 2"]
    borders: Float64[np.ndarray, "e 2"]
    keep: Keep
    starts: tuple[int, ...]

    def sums(self, rows: Int64[np.ndarray, "r"]) -> Float64[np.ndarray, "r d"]:
        """Sums of some segments, in ascending order, as of `geosam.regions.graph.RegionGraph`."""
        parts = np.split(rows, np.searchsorted(rows, self.starts[1:]))
        found = [load_sums(self.keep, first)[part - first] for first, part in zip(self.starts, parts, strict=True)]
        return np.concatenate(found)


class _Way:
    """The way down: segments of all levels as they are met, and links of the small ones."""

    def __init__(self, keep: Keep, levels: int, least_px: float | int) -> None:
        self.keep, self.levels, self.least_px = keep, levels, least_px
        self.counts = [0] * levels
        self.starts: list[int] = []
        self.extents: list[Extents] = []
        self.parents: list[np.ndarray] = []
        self.chances: list[list[np.ndarray]] = [[] for _ in range(levels)]
        self.small = np.zeros(0, bool)
        self.ends: list[np.ndarray] = []
        self.borders: list[np.ndarray] = []

    def descend(self, grid: TileGrid, level: int, spot: Spot, given: Int64[np.ndarray, "l r"]) -> None:
        """Hand segments down from a tile's roots; -1 where these are cut."""
        stage, joins = load_stage(self.keep, level, spot)
        choice = load_choice(self.keep, level, spot)
        whole = np.full((self.levels, len(stage.sums)), -1)
        whole[:, stage.roots] = given
        for depth in reversed(range(self.levels)):  # the coarsest first: its segments hold those of the finer ones
            start = self.counts[depth]
            nodes = follow(stage.children, stage.rounds, choice.take[depth], whole[depth], first_id=start)
            self._add(stage.sums, choice.chance, depth, nodes, whole)
        self._link(whole[0], stage.ends, stage.borders)
        if level == 0:
            self.keep.put(cut_name(spot), {"segment": whole[0, : stage.leaves].astype(np.int32)})
        for member, regions in joins.region_of.items():
            self.descend(grid, level - 1, member, whole[:, regions])

    def begin(self, grid: TileGrid) -> None:
        """Begin with the roots of the whole."""
        stage, _ = load_stage(self.keep, grid.top, (0, 0))
        choice = load_choice(self.keep, grid.top, (0, 0))
        given = np.full((self.levels, len(stage.roots)), -1)
        for depth in reversed(range(self.levels)):
            rows = np.flatnonzero(choice.take[depth, stage.roots])
            given[depth, rows] = np.arange(len(rows))
            whole = np.full((self.levels, len(stage.sums)), -1)
            whole[:, stage.roots] = given
            self._add(stage.sums, choice.chance, depth, stage.roots[rows], whole)
        self.descend(grid, grid.top, (0, 0), given)

    def finish(self) -> _Found:
        """All that was found."""
        chance = [np.concatenate([np.zeros(0, np.float32), *parts]) for parts in self.chances]
        parents = np.concatenate(self.parents, axis=1)
        segments = Segments(Extents.joined(self.extents), chance[0], parents, tuple(chance[1:]))
        ends = np.concatenate([np.zeros((0, 2), np.int64), *self.ends])
        borders = np.concatenate([np.zeros((0, 2)), *self.borders])
        return _Found(segments, *sum_links(ends, borders), self.keep, tuple(self.starts))

    def _add(self, sums: np.ndarray, chance: np.ndarray, depth: int, nodes: np.ndarray, whole: np.ndarray) -> None:
        first = self.counts[depth]
        self.counts[depth] += len(nodes)
        self.chances[depth].append(chance[nodes])
        if depth == 0:
            extents = Extents.of(sums[nodes])
            self.extents.append(extents)
            self.parents.append(whole[1:, nodes].astype(np.int32))
            self.small = np.concatenate([self.small, extents.area < self.least_px])
            if len(nodes):
                self.starts.append(first)
                self.keep.put(sums_name(first), {"sums": sums[nodes]}, packed=False)

    def _link(self, segment: np.ndarray, ends: np.ndarray, borders: np.ndarray) -> None:
        between = segment[ends]
        known = (between >= 0).all(1) & (between[:, 0] != between[:, 1])
        known[known] = self.small[between[known]].any(1)
        self.ends.append(between[known])
        self.borders.append(borders[known])


def hand_down(grid: TileGrid, keep: Keep, *, levels: int, least_px: float | int) -> _Found:
    """Hand the cut down to the grains, and keep for each block which segment each grain is part of."""
    way = _Way(keep, levels, least_px)
    way.begin(grid)
    return way.finish()


def absorb(found: _Found, least_px: float | int, colour: float | int) -> tuple[Int64[np.ndarray, "m"], Segments]:
    """Let small segments join the neighbour that they are most like, until none has a neighbour that it could join.

    Returns
    -------
    For each segment that was found, the one that it is part of now; and these.
    """
    linked = np.unique(found.ends)
    leader = np.arange(len(found.segments))  # the first segment of each group
    head = leader.copy()  # the segment that a group has its chance and its parents from
    if len(linked):
        ends = np.searchsorted(linked, found.ends)
        first, largest = _groups(found.sums(linked), ends, found.borders, least_px=least_px, colour=colour)
        leader[linked], head[linked] = linked[first], linked[largest]
    leaders, group = np.unique(leader, return_inverse=True)
    extents = found.segments.extents.merged(group, len(leaders))
    kept = replace(found.segments.select(head[leaders]), extents=extents)
    return group.astype(np.int64), kept


def _groups(
    sums: Float64[np.ndarray, "n d"],
    ends: Int64[np.ndarray, "e 2"],
    borders: Float64[np.ndarray, "e 2"],
    *,
    least_px: float | int,
    colour: float | int,
) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """For each segment the first one of the group that it joins, and the largest one."""
    group, head = np.arange(len(sums)), np.arange(len(sums))
    while True:
        small = sums[:, AREA] < least_px
        chosen = _most_alike(small, ends, borders, appearance(sums, colour, MergeOptions()))
        joining = np.flatnonzero(chosen >= 0)
        if not len(joining):
            break
        joins = sparse.coo_array((np.ones(len(joining), np.int8), (joining, chosen[joining])), shape=(len(sums),) * 2)
        count, became = connected_components(joins, directed=False)
        order = np.lexsort((np.arange(len(sums)), -sums[:, AREA], became))
        head = head[order[np.searchsorted(became[order], np.arange(count))]]
        sums = add_up(sums, became.astype(np.int64), count)
        group = became[group]
        ends, borders = sum_links(became[ends].astype(np.int64), borders)
    first = np.unique(group, return_index=True)[1]
    return first[group], head[group]


def _most_alike(
    small: Bool[np.ndarray, "n"], ends: Int64[np.ndarray, "e 2"], borders: Float64[np.ndarray, "e 2"], means: np.ndarray
) -> Int64[np.ndarray, "n"]:
    """For each small segment the neighbour that merging with costs least; -1 for none."""
    apart = np.sqrt(np.square(means[ends[:, 0]] - means[ends[:, 1]]).sum(1))
    share = MergeOptions().border
    cost = share * borders[:, 1] / borders[:, 0] + (1 - share) * apart
    chosen = np.full(len(small), -1)
    here, there = np.concatenate([ends, ends[:, ::-1]]).T
    cost = np.concatenate([cost, cost])
    asks = np.flatnonzero(small[here])
    order = asks[np.lexsort((there[asks], cost[asks], here[asks]))][::-1]  # the last to be written is the cheapest
    chosen[here[order]] = there[order]
    return chosen


def load_cut(keep: Keep, spot: Spot) -> np.ndarray:
    """The segment of each grain of a block."""
    arrays = keep.get(cut_name(spot))
    if arrays is None:
        raise ValueError(f"no {cut_name(spot)}")  # it was kept a moment ago
    return arrays["segment"]


def cut_name(spot: Spot) -> str:
    """The name under which the segments of a block's grains are kept."""
    return f"cut-{spot[0]:04d}-{spot[1]:04d}"


def load_sums(keep: Keep, first: int) -> np.ndarray:
    """Sums of segments that were found together, from the first one."""
    arrays = keep.get(sums_name(first))
    if arrays is None:
        raise ValueError(f"no {sums_name(first)}")  # it was kept a moment ago
    return arrays["sums"]


def sums_name(first: int) -> str:
    """The name under which sums of segments are kept that were found together."""
    return f"sums-{first:09d}"
