"""Simpler borders: shared ones stay shared, and no border moves farther than the tolerance.

The rings of a strip are cut into **arcs** where three or more borders meet. An arc is simplified once (Douglas and
Peucker 1973, so that the tolerance is a distance) and used by the polygons on both of its sides: no gap and no overlap
can open between them. Arcs that would cross another, and rings that would lose their shape, are simplified again with
half the tolerance, then a quarter, and else kept as they are: an object never vanishes.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely

from geosam.errors import OptionError
from geosam.polygons.trace import Rings, doubled_areas, gather

LOST_AREA = 0.25
"""A ring whose area would change by more than this share keeps a finer border."""

_FINEST = 0.25
"""Below this share of the tolerance an arc is kept as it is."""


def simplify_rings(rings: Rings, tolerance_px: float | int) -> Rings:
    """Simplify the rings of a strip, traced with ``nodes=True``, as one coverage.

    Parameters
    ----------
    rings
        All rings of the strip.
    tolerance_px
        The farthest that a border may move, in pixels.

    Returns
    -------
    Rings
        The same rings with fewer vertices; pinned vertices stay.

    Raises
    ------
    OptionError
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> from geosam.polygons.trace import trace
    >>> stairs = np.tril(np.ones((9, 9), np.int32))
    >>> rings = trace(stairs, nodes=True)
    >>> len(rings.vertices), len(simplify_rings(rings, 1).vertices)
    (20, 5)
    """
    if not 0 <= tolerance_px < np.inf:
        raise OptionError(f"tolerance {tolerance_px}", expected="a distance in pixels of 0 or more")
    if len(rings) == 0 or tolerance_px == 0:
        return rings
    rings = _rotate_to_anchors(rings)
    arcs = _Arcs.of(rings)
    lines, kept = arcs.to_lines(), np.zeros(len(arcs.lines), bool)
    tolerance = np.full(arcs.count, float(tolerance_px))
    simple, changed, unchecked = rings, np.ones(arcs.count, bool), np.ones(arcs.count, bool)
    while changed.any():
        arcs.simplify(lines, np.flatnonzero(changed), tolerance, kept)
        simple = _select(rings, arcs.on_rings(kept))
        wrong = arcs.collapsed(kept, rings.rows) | arcs.of_rings(_misshapen(rings, simple))
        if not wrong.any():
            wrong = arcs.of_rings(_crossing(simple, arcs.to_rings(unchecked, len(rings))))
            unchecked = np.zeros(arcs.count, bool)
        changed = _to_refine(wrong, tolerance)
        tolerance[changed] /= 2
        tolerance[tolerance < _FINEST * tolerance_px] = 0
        unchecked = unchecked | changed
    return simple


def simplify_each(geometries: np.ndarray, tolerance: float | int) -> np.ndarray:
    """Simplify polygons one by one, such as masks that overlap; those that would lose their shape stay as they are.

    Examples
    --------
    >>> square = shapely.box(0, 0, 4, 4)
    >>> simplify_each(np.array([shapely.segmentize(square, 1)]), 0.5)[0].equals_exact(square, normalize=True)
    True
    """
    simple = shapely.simplify(geometries, tolerance, preserve_topology=True)
    before, after = shapely.area(geometries), shapely.area(simple)
    wrong = (np.abs(after - before) > LOST_AREA * before) | ~shapely.is_valid(simple)
    return np.where(wrong, geometries, simple)


def rings_to_polygons(rings: Rings) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and one polygon for each outer ring with its holes, in the rings' order."""
    count = len(rings.vertices)
    closed = np.insert(np.arange(count), rings.starts[1:], rings.starts[:-1])
    outer = np.flatnonzero(rings.shells == np.arange(len(rings)))
    offsets = rings.starts + np.arange(len(rings.starts)), np.append(outer, len(rings))
    vertices = rings.vertices[closed].astype(np.float64)
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, vertices, offsets)
    return rings.labels[outer], np.asarray(polygons, object)


@dataclass(frozen=True)
class _Arcs:
    """Arcs between pinned vertices, each once, and where they occur in the rings.

    Attributes
    ----------
    ring, shared, reverse
        For each occurrence: its ring, its arc, and whether the ring runs through the arc backwards.
    of_vertex, step
        For each vertex of the rings: the occurrence it begins or lies on, and its place in it.
    lines, starts
        The vertices of the arcs, both ends included, and where each arc's begin.
    """

    ring: np.ndarray
    shared: np.ndarray
    reverse: np.ndarray
    of_vertex: np.ndarray
    step: np.ndarray
    lines: np.ndarray
    starts: np.ndarray

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, rings: Rings) -> "_Arcs":
        """Arcs of rings that begin with a pinned vertex."""
        v = len(rings.vertices)
        begins = np.flatnonzero(rings.pinned)
        bounds = np.append(begins, v)
        of_vertex = np.repeat(np.arange(len(begins)), np.diff(bounds))
        ring = np.searchsorted(rings.starts, begins, "right") - 1
        onward = _onward(rings)
        ends = onward[bounds[1:] - 1]
        place = _place(rings.vertices)
        reverse = place[ends] < place[begins]
        departure = np.where(reverse, bounds[1:] - 1, onward[begins])
        origin = np.where(reverse, ends, begins)
        heading = np.sign(rings.vertices[departure] - rings.vertices[origin]) @ np.array([1, 2])
        _, first, shared = np.unique(place[origin] * 8 + heading + 2, return_index=True, return_inverse=True)
        inclusive, starts = _inclusive(bounds, ends, reverse, first)
        return cls(
            ring, shared, reverse, of_vertex, np.arange(v) - begins[of_vertex], rings.vertices[inclusive], starts
        )

    def to_lines(self) -> np.ndarray:
        """The arcs as LineStrings whose z is the place of the vertex."""
        arc = np.repeat(np.arange(self.count), np.diff(self.starts))
        points = np.column_stack([self.lines, np.arange(len(arc))]).astype(np.float64)
        return np.asarray(shapely.linestrings(points, indices=arc), object)

    def simplify(self, lines: np.ndarray, chosen: np.ndarray, tolerance: np.ndarray, kept: np.ndarray) -> None:
        """Mark in `kept` which vertices of the chosen arcs stay when each is simplified to its own tolerance."""
        simple = shapely.simplify(lines[chosen], tolerance[chosen], preserve_topology=False)
        kept[gather(self.starts, chosen)[0]] = False
        kept[shapely.get_coordinates(simple, include_z=True)[:, 2].astype(np.int64)] = True

    def of_rings(self, rings: np.ndarray) -> np.ndarray:
        """From flags of rings to flags of the arcs that they are made of."""
        flags = np.zeros(self.count, bool)
        flags[self.shared[rings[self.ring]]] = True
        return flags

    def to_rings(self, arcs: np.ndarray, count: int) -> np.ndarray:
        """From flags of arcs to flags of the rings that they are part of."""
        return np.bincount(self.ring[arcs[self.shared]], minlength=count) > 0

    def on_rings(self, kept: np.ndarray) -> np.ndarray:
        """From the vertices of the arcs to those of the rings."""
        shared, reverse = self.shared[self.of_vertex], self.reverse[self.of_vertex]
        return kept[np.where(reverse, self.starts[shared + 1] - 1 - self.step, self.starts[shared] + self.step)]

    def collapsed(self, kept: np.ndarray, rows: tuple[int, int]) -> np.ndarray:
        """Arcs that share a segment with another arc or with an edge of the strip: what lay between them is gone."""
        arc = np.repeat(np.arange(self.count), np.diff(self.starts))[kept]
        place = _place(self.lines[kept])
        within = arc[1:] == arc[:-1]
        ends = np.sort(np.column_stack([place[:-1], place[1:]])[within], axis=1)
        order = np.lexsort(ends.T)
        same = (ends[order][1:] == ends[order][:-1]).all(axis=1)
        owner = arc[:-1][within]
        wrong = np.zeros(self.count, bool)
        wrong[owner[order[np.concatenate([same, [False]]) | np.concatenate([[False], same])]]] = True
        y = self.lines[kept, 1]
        flat = ((y[:-1] == y[1:]) & np.isin(y[1:], rows))[within]
        wrong[owner[flat & (np.diff(self.starts)[owner] > 2)]] = True
        return wrong


def _to_refine(wrong: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Arcs to try again with a finer tolerance: the wrong ones, or all others where those are exact already."""
    coarse = tolerance > 0
    if not wrong.any() or (wrong & coarse).any():
        return wrong & coarse
    return coarse


def _select(rings: Rings, keep: np.ndarray) -> Rings:
    """The rings with some of their vertices."""
    starts = np.concatenate([[0], np.cumsum(keep)])[rings.starts]
    return replace(rings, vertices=rings.vertices[keep], pinned=rings.pinned[keep], starts=starts)


def _misshapen(rings: Rings, simple: Rings) -> np.ndarray:
    """Which rings lost their area, or have too few vertices to hold one."""
    before, after = (doubled_areas(each.vertices[:, 0], each.vertices[:, 1], each.starts) for each in (rings, simple))
    return (np.diff(simple.starts) < 3) | (np.abs(after - before) > LOST_AREA * np.abs(before))


def _crossing(simple: Rings, unchecked: np.ndarray) -> np.ndarray:
    """Which rings belong to polygons that cross themselves or others; only those near `unchecked` rings can."""
    _, polygons = rings_to_polygons(simple)
    outer = np.flatnonzero(simple.shells == np.arange(len(simple)))
    suspects = polygons[np.isin(outer, simple.shells[unchecked])]
    near = np.unique(shapely.STRtree(polygons).query(suspects)[1])
    wrong = ~shapely.is_valid(polygons[near]) | ~shapely.is_empty(shapely.coverage_invalid_edges(polygons[near]))
    return np.isin(simple.shells, outer[near[wrong]])


def _rotate_to_anchors(rings: Rings) -> Rings:
    """Let every ring begin with a pinned vertex, and pin enough of them that every arc has two different ends."""
    place = _place(rings.vertices)
    pinned = rings.pinned.copy()
    ring = np.repeat(np.arange(len(rings)), np.diff(rings.starts))
    bare = np.bincount(ring[pinned], minlength=len(rings)) == 0
    order = np.lexsort((place, ~pinned, ring))[rings.starts[:-1]]
    pinned[order[bare]] = True
    begin, count = rings.starts[:-1][ring], np.diff(rings.starts)[ring]
    turned = begin + (np.arange(len(ring)) - 2 * begin + order[ring]) % count
    rings = replace(rings, vertices=rings.vertices[turned], pinned=pinned[turned])
    return _pin_farthest(rings)


def _pin_farthest(rings: Rings) -> Rings:
    """Pin the vertex farthest from its end in every arc that ends where it began."""
    begins = np.flatnonzero(rings.pinned)
    bounds = np.append(begins, len(rings.vertices))
    ends = _onward(rings)[bounds[1:] - 1]
    closed = np.flatnonzero((rings.vertices[ends] == rings.vertices[begins]).all(axis=1))
    members, starts = gather(bounds, closed)
    arc = np.repeat(np.arange(len(closed)), np.diff(starts))
    away = rings.vertices[members] - rings.vertices[begins[closed][arc]]
    order = np.lexsort((_place(rings.vertices)[members], -(away.astype(np.int64) ** 2).sum(axis=1), arc))
    pinned = rings.pinned.copy()
    pinned[members[order[starts[:-1]]]] = True
    return replace(rings, pinned=pinned)


def _onward(rings: Rings) -> np.ndarray:
    """Position of the vertex after each vertex, around its ring."""
    onward = np.arange(1, len(rings.vertices) + 1)
    onward[rings.starts[1:] - 1] = rings.starts[:-1]
    return onward


def _place(vertices: np.ndarray) -> np.ndarray:
    """One number for each lattice point, row by row."""
    return vertices[:, 1].astype(np.int64) << 31 | vertices[:, 0]


def _inclusive(
    bounds: np.ndarray, ends: np.ndarray, reverse: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertex positions of the chosen arcs with both ends, each in its own direction, and where each arc's begin."""
    members, starts = gather(bounds, chosen)
    members = np.insert(members, starts[1:], ends[chosen])
    starts = starts + np.arange(len(starts))
    arc = np.repeat(np.arange(len(chosen)), np.diff(starts))
    mirrored = starts[arc] + starts[arc + 1] - 1 - np.arange(len(arc))
    return members[np.where(reverse[chosen][arc], mirrored, np.arange(len(arc)))], starts
