"""Polygons from a label raster that passes by strip by strip, each object handed on as soon as it is complete."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import shapely

from geosam.arrays import Ids, Labels
from geosam.polygons.simplify import rings_to_polygons, simplify_rings
from geosam.polygons.trace import trace


def polygonize(
    strips: Iterable[tuple[int, Labels]], *, stops: Ids | None = None, tolerance_px: float = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Trace the objects of a label raster.

    The polygons follow the pixels' edges exactly and connect through sides, not corners; rasterized again they give the labels. They are
    the same, vertex for vertex, however the raster is cut into strips.

    Parameters
    ----------
    strips
        ``(row_off, labels)`` from top to bottom without gaps, as `geosam.instances.assemble` yields them.
    stops
        For object k at position k - 1 the row below its last pixel, as in `geosam.instances.InstanceSet`. With it an object is yielded
        after the strip that completes it; without it all objects are yielded at the end.
    tolerance_px
        The farthest that a border may move when shared borders are simplified, in pixels; 0 leaves them exact. Strips are simplified one
        by one, with the places where borders cross from one to the next held fast, so that memory stays bounded.

    Yields
    ------
    ``(ids, geometries_px)``: object ids in ascending order, and their MultiPolygons in scene px.

    Examples
    --------
    >>> rows = np.array([[7, 7, 0], [0, 7, 7]], np.int32)
    >>> [(ids.tolist(), shapes[0].area) for ids, shapes in polygonize([(0, rows[:1]), (1, rows[1:])])]
    [([7], 4.0)]
    """
    ids, pieces, strip = np.zeros(0, np.int64), np.zeros(0, object), np.zeros(0, np.int64)
    for number, (above, (row_off, labels), below) in enumerate(_with_neighbours(strips)):
        rings = trace(labels, row_off=row_off, above=above, below=below, nodes=tolerance_px > 0)
        new_ids, polygons = rings_to_polygons(simplify_rings(rings, tolerance_px))
        ids = np.concatenate([ids, new_ids.astype(np.int64)])
        pieces = np.concatenate([pieces, polygons])
        strip = np.concatenate([strip, np.full(len(polygons), number)])
        bottom = row_off + len(labels)
        if below is None:
            done = np.ones(len(ids), bool)
        else:
            done = np.zeros(len(ids), bool) if stops is None else stops[ids - 1] <= bottom
        if done.any():
            yield _finish(ids[done], pieces[done], strip[done], exact=tolerance_px == 0)
        ids, pieces, strip = ids[~done], pieces[~done], strip[~done]


def _with_neighbours(
    strips: Iterable[tuple[int, Labels]],
) -> Iterator[tuple[np.ndarray | None, tuple[int, Labels], np.ndarray | None]]:
    """Each strip with the row of labels above and below it."""
    above, current = None, None
    for following in chain(strips, [None]):
        if current is not None:
            yield above, current, None if following is None else following[1][0]
            above = current[1][-1].copy()
        current = following


def _finish(ids: np.ndarray, pieces: np.ndarray, strip: np.ndarray, *, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """One MultiPolygon for each object, in canonical form."""
    order = np.lexsort((strip, ids))
    ids, pieces, strip = ids[order], pieces[order], strip[order]
    begins = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1))
    ends = np.append(begins[1:], len(ids))
    crossing = strip[ends - 1] > strip[begins]
    whole = ~np.repeat(crossing, ends - begins)
    owner, parts = [np.repeat(np.arange(len(begins)), ends - begins)[whole]], [pieces[whole]]
    for position in np.flatnonzero(crossing):
        joined = shapely.get_parts(shapely.coverage_union_all(pieces[begins[position] : ends[position]]))
        owner.append(np.full(len(joined), position))
        parts.append(joined)
    owner, polygons = np.concatenate(owner), np.concatenate(parts)
    order = np.argsort(owner, kind="stable")
    owner, polygons = owner[order], polygons[order]
    shapes = shapely.multipolygons(_without_straight_vertices(polygons) if exact else polygons, indices=owner)
    return ids[begins], np.asarray(shapely.normalize(shapes), object)


def _without_straight_vertices(polygons: np.ndarray) -> np.ndarray:
    """The same polygons with a vertex only where the border turns; the lattice's coordinates make the test exact."""
    _, vertices, (starts, outer) = shapely.to_ragged_array(polygons)
    ring = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    open_vertices = np.delete(np.arange(len(vertices)), starts[1:] - 1)
    before, after = open_vertices - 1, open_vertices + 1
    before[starts[:-1] - np.arange(len(starts) - 1)] = starts[1:] - 2
    one, other = vertices[open_vertices] - vertices[before], vertices[after] - vertices[open_vertices]
    turns = one[:, 0] * other[:, 1] != one[:, 1] * other[:, 0]
    kept, counts = open_vertices[turns], np.bincount(ring[open_vertices[turns]], minlength=len(starts) - 1)
    bounds = np.concatenate([[0], np.cumsum(counts)])
    closed = np.insert(kept, bounds[1:], kept[bounds[:-1]])
    offsets = bounds + np.arange(len(bounds)), outer
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, vertices[closed], offsets), object)
