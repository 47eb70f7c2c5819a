"""Polygons from a label raster that passes by strip by strip, each object handed on as soon as it is complete."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import shapely
from jaxtyping import Int32

from geosam.arrays import Ids
from geosam.polygons.simplify import rings_to_polygons, simplify_rings
from geosam.polygons.trace import Rings, trace

Strip = tuple[int, Int32[np.ndarray, "_ w"]]
"""First row, and the object ids of some rows of a scene."""


def polygonize(
    strips: Iterable[Strip], *, stops: Ids | None = None, tolerance_px: float | int = 0, coverage: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Trace the objects of a label raster.

    The polygons follow the pixels' edges exactly and connect through sides, not corners; rasterized again they give the
    labels. They are the same, vertex for vertex, however the raster is cut into strips.

    Parameters
    ----------
    strips
        ``(row_off, labels)`` from top to bottom without gaps, as `geosam.instances.assemble` yields them.
    stops
        For object k at position k - 1 the row below its last pixel, as in `geosam.instances.InstanceSet`. With it an
        object is yielded after the strip that completes it; without it all objects are yielded at the end.
    tolerance_px
        The farthest that a border may move when shared borders are simplified, in pixels; 0 leaves them exact. Strips
        are simplified one by one, with the places where borders cross from one to the next held fast, so that memory
        stays bounded.
    coverage
        Whether every place where three or more borders meet becomes a vertex of all polygons around it, as what reads
        the polygons as a coverage expects (`shapely.coverage_is_valid`); simplified borders have these anyway.

    Yields
    ------
    ``(ids, geometries_px)``: object ids in ascending order, and their MultiPolygons in scene px.

    Examples
    --------
    >>> rows = np.array([[7, 7, 0], [0, 7, 7]], np.int32)
    >>> [(ids.tolist(), shapes[0].area) for ids, shapes in polygonize([(0, rows[:1]), (1, rows[1:])])]
    [([7], 4.0)]
    """
    held, meetings = _Pieces.none(), np.zeros((0, 2), np.int64)
    for number, (above, (row_off, labels), below) in enumerate(_with_neighbours(strips)):
        rings = trace(labels, row_off=row_off, above=above, below=below, nodes=coverage or tolerance_px > 0)
        held = held.join(_Pieces.of(simplify_rings(rings, tolerance_px), number))
        if coverage and above is not None:
            meetings = np.concatenate([meetings, _meetings(above, labels[0], row_off)])
        if below is None:
            done = np.ones(len(held.ids), bool)
        else:
            done = np.zeros(len(held.ids), bool) if stops is None else stops[held.ids - 1] <= row_off + len(labels)
        if done.any():
            yield _finish(held.select(done), exact=tolerance_px == 0, meetings=meetings if coverage else None)
        held = held.select(~done)


class _Pieces(NamedTuple):
    """Polygons of objects that may go on in the next strip."""

    ids: np.ndarray
    polygons: np.ndarray
    strip: np.ndarray  # number of the strip that the polygon lies in
    cut: np.ndarray  # whether it has vertices where the strip was cut

    @classmethod
    def none(cls) -> "_Pieces":
        return cls(np.zeros(0, np.int64), np.zeros(0, object), np.zeros(0, np.int64), np.zeros(0, bool))

    @classmethod
    def of(cls, rings: Rings, strip: int) -> "_Pieces":
        """The polygons of a strip's rings."""
        labels, polygons = rings_to_polygons(rings)
        outer = rings.shells == np.arange(len(rings))
        pins = np.bincount(np.repeat(rings.shells, np.diff(rings.starts))[rings.pinned], minlength=len(rings))
        return cls(labels.astype(np.int64), polygons, np.full(len(labels), strip), pins[outer] > 0)

    def join(self, *others: "_Pieces") -> "_Pieces":
        """These and the others."""
        return _Pieces(*(np.concatenate(columns) for columns in zip(self, *others, strict=True)))

    def select(self, index: np.ndarray) -> "_Pieces":
        """Some of them."""
        return _Pieces(*(column[index] for column in self))


def _with_neighbours(
    strips: Iterable[Strip],
) -> Iterator[tuple[np.ndarray | None, Strip, np.ndarray | None]]:
    """Each strip with the row of labels above and below it."""
    above, current = None, None
    for following in chain(strips, [None]):
        if current is not None:
            yield above, current, None if following is None else following[1][0]
            above = current[1][-1].copy()
        current = following


def _meetings(above: np.ndarray, below: np.ndarray, row: int) -> np.ndarray:
    """Where three or more borders meet on the edge between two strips: ``(x, y)``, from a first one left of the scene.

    The first one, at ``x = -1``, marks the row as an edge between strips.
    """
    one, other = np.pad(above, 1), np.pad(below, 1)
    across = one != other
    borders = (one[1:] != one[:-1]).astype(int) + (other[1:] != other[:-1]) + across[1:] + across[:-1]
    x = np.concatenate([[-1], np.flatnonzero(borders >= 3)])
    return np.stack([x, np.full(len(x), row)], 1)


def _finish(pieces: _Pieces, *, exact: bool, meetings: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One MultiPolygon for each object, in canonical form; of a coverage the `meetings` on edges of strips stay."""
    pieces = pieces.select(np.lexsort((pieces.strip, pieces.ids)))
    begins = np.flatnonzero(np.diff(pieces.ids, prepend=pieces.ids[0] - 1))
    ends = np.append(begins[1:], len(pieces.ids))
    crossing = pieces.strip[ends - 1] > pieces.strip[begins]
    whole = pieces.select(~np.repeat(crossing, ends - begins))
    joined = [_dissolve(pieces.select(np.arange(begins[k], ends[k]))) for k in np.flatnonzero(crossing)]
    whole = _Pieces.join(whole, *joined)
    whole = whole.select(np.argsort(whole.ids, kind="stable"))
    if exact and whole.cut.any():
        whole.polygons[whole.cut] = _without_straight_vertices(whole.polygons[whole.cut], meetings)
    ids, owner = np.unique(whole.ids, return_inverse=True)
    return ids, np.asarray(shapely.normalize(shapely.multipolygons(whole.polygons, indices=owner)), object)


def _dissolve(pieces: _Pieces) -> _Pieces:
    """The pieces of one object, joined where strips were cut; their vertices fit there."""
    polygons = shapely.get_parts(shapely.coverage_union_all(pieces.polygons))
    each = np.ones(len(polygons), np.int64)
    return _Pieces(pieces.ids[0] * each, polygons, pieces.strip[0] * each, each > 0)


def _without_straight_vertices(polygons: np.ndarray, meetings: np.ndarray | None = None) -> np.ndarray:
    """The same polygons with a vertex only where the border turns; the lattice's coordinates make the test exact.

    Of a coverage only vertices on the edges of strips go, where fewer than three borders meet.
    """
    _, vertices, (starts, outer) = shapely.to_ragged_array(polygons)
    ring = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    open_vertices = np.delete(np.arange(len(vertices)), starts[1:] - 1)
    before, after = open_vertices - 1, open_vertices + 1
    before[starts[:-1] - np.arange(len(starts) - 1)] = starts[1:] - 2
    one, other = vertices[open_vertices] - vertices[before], vertices[after] - vertices[open_vertices]
    turns = one[:, 0] * other[:, 1] != one[:, 1] * other[:, 0]
    if meetings is not None:
        turns |= _stays(vertices[open_vertices], meetings)
    kept, counts = open_vertices[turns], np.bincount(ring[open_vertices[turns]], minlength=len(starts) - 1)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    closed = np.insert(kept, bounds[1:], kept[bounds[:-1]])
    offsets = bounds + np.arange(len(bounds)), outer
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, vertices[closed], offsets), object)


def _stays(vertices: np.ndarray, meetings: np.ndarray) -> np.ndarray:
    """Which vertices lie on no edge between strips, or where three or more borders meet there."""
    x, y = vertices.T.astype(np.int64)
    on_edge = np.isin(y, meetings[meetings[:, 0] < 0, 1])
    return ~on_edge | np.isin(y << 32 | x, meetings[:, 1] << 32 | meetings[:, 0].clip(0) | (meetings[:, 0] < 0) << 62)
