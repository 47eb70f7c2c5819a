"""Borders of a label raster as closed rings, exact on the pixel lattice, all at once in numpy.

Every labelled pixel has four sides, walked clockwise: top to the east, right to the south, bottom to the west, left to
the north. A side is part of a border where the pixel beyond has another label. Consecutive border sides of one label in
one line form a **run**; a run's end is the beginning of exactly one other run, so that the runs chain into rings.
Labels connect through sides, never through corners (4-connected); where a region touches itself at a corner, its rings
are parted there, so that the polygons are valid.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from geosam.arrays import Labels

RIGHT, TOP, BOTTOM, LEFT = range(4)


@dataclass(frozen=True)
class Rings:
    """Closed rings of lattice vertices, in scene px; outer rings clockwise on the screen, holes the other way round.

    Attributes
    ----------
    vertices
        ``v 2`` int32 ``(x, y)``, ring after ring, the first vertex of a ring not repeated at its end.
    pinned
        ``v`` whether a vertex must stay: three or more borders meet there, or the border crosses the strip's edge
        there.
    starts
        ``r + 1`` where each ring's vertices begin.
    shells
        ``r`` the outer ring that a ring belongs to; itself for an outer ring. Every outer ring is followed by its
        holes.
    labels
        ``r`` the label that a ring bounds.
    rows
        The strip's first row, and the row below its last.
    """

    vertices: np.ndarray
    pinned: np.ndarray
    starts: np.ndarray
    shells: np.ndarray
    labels: np.ndarray
    rows: tuple[int, int]

    def __len__(self) -> int:
        return len(self.labels)


def trace(
    labels: Labels,
    *,
    row_off: int = 0,
    above: np.ndarray | None = None,
    below: np.ndarray | None = None,
    nodes: bool = False,
) -> Rings:
    """Rings around the 4-connected regions of every positive label.

    Parameters
    ----------
    labels
        A strip of rows of the scene's label raster; at most 2**30 pixels.
    row_off
        The strip's first row in the scene.
    above, below
        The rows of labels next to the strip, None at the scene's edge. The strip's edge bounds every region; where
        borders of either side meet it, both strips get a vertex, so that their polygons fit vertex to vertex.
    nodes
        Put a vertex wherever three or more borders meet, also in the middle of a straight run, and pin the strip's four
        corners: what a coverage needs.

    Examples
    --------
    >>> rings = trace(np.array([[1, 1], [1, 0]], np.int32))
    >>> len(rings), rings.vertices.tolist()
    (1, [[1, 1], [1, 2], [0, 2], [0, 0], [2, 0], [2, 1]])
    """
    rows = row_off, row_off + len(labels)
    border = _Border.of(labels, above, below, nodes)
    runs = _Runs.along(border)
    if len(runs.following) == 0:
        return _no_rings(rows)
    following, ring = _part_at_corners(border, runs)
    leaders = _first_of_each(ring)
    order, starts = _walk(following, ring, leaders)
    x, y = runs.x[order], runs.y[order]
    shells = _find_shells(border, runs, ring, leaders, doubled_areas(x, y, starts) < 0)
    rings = np.lexsort((shells != np.arange(len(shells)), shells))
    place, starts = gather(starts, rings)
    position = np.empty_like(rings)
    position[rings] = np.arange(len(rings))
    x, y = x[place], y[place]
    return Rings(
        np.stack([x, y + row_off], axis=1).astype(np.int32),
        border.pins[y, x],
        starts,
        position[shells[rings]],
        labels.ravel()[runs.pixel[leaders[rings]]],
        rows,
    )


def doubled_areas(x: np.ndarray, y: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Twice the signed area of each ring, exact for whole coordinates; positive if clockwise on the screen."""
    after = np.arange(1, len(x) + 1)
    after[starts[1:] - 1] = starts[:-1]
    x, y = x.astype(np.int64), y.astype(np.int64)
    return np.add.reduceat(x * y[after] - x[after] * y, starts[:-1])


def gather(starts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the members of the chosen groups, one group after the other, and where each then begins.

    Examples
    --------
    >>> place, starts = gather(np.array([0, 2, 5]), np.array([1, 0]))
    >>> place.tolist(), starts.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    counts = np.diff(starts)[chosen]
    begins = np.concatenate([[0], np.cumsum(counts)])
    return np.arange(begins[-1]) + np.repeat(starts[:-1][chosen] - begins[:-1], counts), begins


def _no_rings(rows: tuple[int, int]) -> Rings:
    none = np.zeros(0, np.int64)
    return Rings(
        np.zeros((0, 2), np.int32), none.astype(bool), np.zeros(1, np.int64), none, none.astype(np.int32), rows
    )


@dataclass(frozen=True)
class _Border:
    """Where labels change, and the lattice points where a run must not pass straight through."""

    labels: np.ndarray
    between_rows: np.ndarray  # h + 1, w
    between_cols: np.ndarray  # h, w + 1
    pins: np.ndarray  # h + 1, w + 1

    @classmethod
    def of(cls, labels: np.ndarray, above: np.ndarray | None, below: np.ndarray | None, nodes: bool) -> "_Border":
        h, w = labels.shape
        rows, cols = np.ones((h + 1, w), bool), np.ones((h, w + 1), bool)
        np.not_equal(labels[1:], labels[:-1], out=rows[1:-1])
        np.not_equal(labels[:, 1:], labels[:, :-1], out=cols[:, 1:-1])
        pins = np.zeros((h + 1, w + 1), bool)
        if nodes:
            pins[:] = _degree(rows, cols) > 2
            pins[:: max(h, 1), :: max(w, 1)] = True
        for edge, inside, beyond in ((0, 0, above), (h, h - 1, below)):
            if beyond is not None:
                pins[edge] = cols[inside] | np.concatenate([[True], beyond[1:] != beyond[:-1], [True]])
        return cls(labels, rows, cols, pins)


def _degree(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """How many borders meet at each lattice point."""
    degree = np.zeros((len(rows), cols.shape[1]), np.int8)
    degree[:, 1:] += rows
    degree[:, :-1] += rows
    degree[1:] += cols
    degree[:-1] += cols
    return degree


@dataclass(frozen=True)
class _Runs:
    """All runs, side after side: where each begins, on which pixel, and which run follows."""

    x: np.ndarray
    y: np.ndarray
    pixel: np.ndarray  # flat index of the pixel that the run begins on
    following: np.ndarray
    offsets: list[int]  # where the runs of each side begin

    @classmethod
    def along(cls, border: _Border) -> "_Runs":
        h, w = border.labels.shape
        begins, ends = zip(*(_begins_and_ends(border, side) for side in range(4)), strict=True)
        offsets = [0, *np.cumsum([len(pixels) for pixels in begins]).tolist()]
        pixel = np.concatenate(begins)
        row, col = np.divmod(pixel, w)
        side = np.repeat(np.arange(4), np.diff(offsets))
        runs = cls(col + _DX[side], row + _DY[side], pixel, np.empty(len(pixel), np.int32), offsets)
        turns = [_turn(border, side, end) for side, end in enumerate(ends)]
        goal, goal_pixel = (np.concatenate(part) for part in zip(*turns, strict=True))
        for side in range(4):
            there = np.flatnonzero(goal == side)
            runs.following[there] = runs.beginning(side, goal_pixel[there], h * w)
        return runs

    def beginning(self, side: int, pixels: np.ndarray, size: int) -> np.ndarray:
        """The runs of a side that begin on the given pixels."""
        first, last = self.offsets[side], self.offsets[side + 1]
        rank = np.empty(size, np.int32)
        rank[self.pixel[first:last]] = np.arange(first, last, dtype=np.int32)
        return rank[pixels]


_DX, _DY = (
    np.array([1, 0, 1, 0]),
    np.array([0, 0, 1, 1]),
)  # from a pixel's corner to where a side begins: right, top, bottom, left


def _begins_and_ends(border: _Border, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that the runs of a side begin and end on, run by run: along rows, or columns."""
    rows, cols, pins, inside = border.between_rows, border.between_cols, border.pins, border.labels > 0
    if side in (TOP, BOTTOM):
        on = inside & (rows[:-1] if side == TOP else rows[1:])
        breaks = cols[:, 1:-1] | (pins[:-1, 1:-1] if side == TOP else pins[1:, 1:-1])
        lines = [_flat(ends) for ends in _ends(on, breaks)]
    else:
        on = inside & (cols[:, 1:] if side == RIGHT else cols[:, :-1])
        breaks = rows[1:-1] | (pins[1:-1, 1:] if side == RIGHT else pins[1:-1, :-1])
        lines = [_by_column(_flat(ends.T), *on.shape) for ends in _ends(on.T, breaks.T)]
    return (lines[0], lines[1]) if side in (TOP, RIGHT) else (lines[1], lines[0])


def _ends(on: np.ndarray, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where stretches that are `on` begin and end along the last axis, cut also where `breaks` part two neighbours."""
    first, last = on.copy(order="K"), on.copy(order="K")
    first[:, 1:] &= breaks | ~on[:, :-1]
    last[:, :-1] &= breaks | ~on[:, 1:]
    return first, last


def _flat(flags: np.ndarray) -> np.ndarray:
    """Flat positions that are set, in half the memory of numpy's own."""
    return np.flatnonzero(flags).astype(np.int32)


def _by_column(pixels: np.ndarray, h: int, w: int) -> np.ndarray:
    """Flat pixel positions sorted column by column."""
    places = pixels % w * h + pixels // w
    places.sort()
    return places % h * w + places // h


def _turn(border: _Border, side: int, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Side and pixel of the runs that follow those of `side` ending on the pixels `end`.

    Where the pixel ahead has another label the border turns around its own pixel; where the pixel ahead has the label
    and a border on the same side it goes straight on; else it turns outwards, onto the pixel diagonally ahead.
    """
    w = border.labels.shape[1]
    row, col = np.divmod(end, w)
    rows, cols = border.between_rows.ravel(), border.between_cols.ravel()
    if side == TOP:
        around, outward, ahead, aside = RIGHT, LEFT, 1, -w
        blocked, bordered = cols[end + row + 1], rows[end + 1]
    elif side == RIGHT:
        around, outward, ahead, aside = BOTTOM, TOP, w, 1
        blocked, bordered = rows[end + w], np.take(cols, (row + 1) * (w + 1) + col + 1, mode="clip")
    elif side == BOTTOM:
        around, outward, ahead, aside = LEFT, RIGHT, -1, w
        blocked, bordered = cols[end + row], rows[end + w - 1]
    else:
        around, outward, ahead, aside = TOP, BOTTOM, -w, -1
        blocked, bordered = rows[end], np.take(cols, (row - 1) * (w + 1) + col, mode="clip")
    goal = np.where(blocked, around, np.where(bordered, side, outward)).astype(np.int8)
    return goal, end + np.where(blocked, 0, np.where(bordered, ahead, ahead + aside))


def _components(following: np.ndarray) -> np.ndarray:
    """The ring of each run; rings are numbered by their first run.

    Each run has one follower, so the rings are the cycles of a permutation: its strong components, which, other than
    the weak ones, are found without a transposed copy of the graph.
    """
    n = len(following)
    graph = csr_array((np.ones(n, np.int8), following, np.arange(n + 1, dtype=np.int32)), shape=(n, n))
    ring = connected_components(graph, connection="strong")[1]
    first = _first_of_each(ring)
    number = np.empty(len(first), np.int32)
    number[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return number[ring]


def _first_of_each(group: np.ndarray) -> np.ndarray:
    """Position of the first member of each group 0 … n - 1."""
    first = np.empty(int(group.max()) + 1, np.int64)
    first[group[::-1]] = np.arange(len(group))[::-1]
    return first


def _part_at_corners(border: _Border, runs: _Runs) -> tuple[np.ndarray, np.ndarray]:
    """The runs that follow, and the ring of each run, after rings that touch themselves at a corner are parted there.

    Around a corner where two diagonal pixels belong to one region, its ring passes twice. Exchanging the two ways out
    makes it two rings, each around one of the two sides of the background.
    """
    rows, cols, labels = border.between_rows, border.between_cols, border.labels.ravel()
    h, w = border.labels.shape
    ring = _components(runs.following)
    crossings = np.flatnonzero(rows[1:-1, :-1] & rows[1:-1, 1:] & cols[:-1, 1:-1] & cols[1:, 1:-1])
    nw = crossings // max(w - 1, 1) * w + crossings % max(w - 1, 1)
    ne, sw, se = nw + 1, nw + w, nw + w + 1
    falling, rising = (labels[nw] == labels[se]) & (labels[se] > 0), (labels[ne] == labels[sw]) & (labels[sw] > 0)
    one = [runs.beginning(TOP, se[falling], h * w), runs.beginning(LEFT, ne[rising], h * w)]
    other = [runs.beginning(BOTTOM, nw[falling], h * w), runs.beginning(RIGHT, sw[rising], h * w)]
    one, other = np.concatenate(one), np.concatenate(other)
    same = ring[one] == ring[other]
    one, other = one[same], other[same]
    if len(one) == 0:
        return runs.following, ring
    before = np.empty_like(runs.following)
    before[runs.following] = np.arange(len(before))
    following = runs.following.copy()
    following[before[one]], following[before[other]] = other, one
    return following, _components(following)


def _walk(following: np.ndarray, ring: np.ndarray, leaders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs in the order of their rings, and where each ring begins.

    The rings are cut before their leaders and tied into one long path, which a breadth-first search follows in compiled
    code.
    """
    n = len(following)
    before = np.empty_like(following)
    before[following] = np.arange(n)
    path = following.copy()
    path[before[leaders[:-1]]] = leaders[1:]
    last = before[leaders[-1]]
    there = np.arange(n + 1, dtype=np.int32)
    there[last + 1 :] -= 1
    graph = csr_array((np.ones(n - 1, np.int8), np.delete(path, last), there), shape=(n, n))
    order = breadth_first_order(graph, leaders[0], return_predecessors=False)
    return order, np.concatenate([[0], np.cumsum(np.bincount(ring))])


def _find_shells(border: _Border, runs: _Runs, ring: np.ndarray, leaders: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """The outer ring that each ring belongs to.

    A hole's leader is its leftmost right side, for right sides come first and column by column. From there the next
    left side to the west bounds the same region: it belongs to the outer ring, or to a hole further west.
    """
    shells = np.arange(len(leaders))
    if not holes.any():
        return shells
    h, w = border.labels.shape
    bounds = np.flatnonzero(border.between_cols[:, :-1] & (border.labels > 0))
    west = bounds[np.searchsorted(bounds, runs.pixel[leaders[holes]], "right") - 1]
    lefts = runs.pixel[runs.offsets[LEFT] :]
    run = np.searchsorted(lefts % w * h + lefts // w, west % w * h + west // w)
    shells[holes] = ring[runs.offsets[LEFT] + run]
    while holes[shells].any():
        shells = shells[shells]
    return shells
