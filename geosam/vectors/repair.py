"""Valid geometries out of drawn ones, in bounded time: outlines that cross themselves, or have a million vertices."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

MOST_VERTICES = 5_000
"""Vertices above which an outline is simplified to what can be seen."""

FEW_CROSSINGS = 200
"""Outlines that cross themselves less often are repaired by GEOS; what that takes grows with the square."""

MOST_CROSSINGS = 5_000
"""Outlines that cross themselves more often are a scribble and no outline."""

MOST_HANDLED = 10 * MOST_VERTICES
"""Vertices of which, beyond that, every second or third … is taken before anything else is asked."""

MANY_VERTICES = 2_000
"""Outlines of fewer vertices are never endless."""

MOST_PAIRS = 50_000_000
"""Pairs of edges whose boxes meet, above which GEOS would need many seconds to say whether an outline is valid."""

SCRIBBLE = "its outline crosses itself some {:,} times"
DENSE = "its outline has {:,} vertices, which lie too close to each other to be told apart"

SAMPLE, NEAR = 200, 500
"""Edges by which crossings are estimated, and those around each of them that are tried."""

_CHUNK = 1 << 14


def repaired(geometries: np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
    """Valid geometries, and why some cannot be made so.

    Where an outline crosses itself, what lies inside an odd number of times is inside (the even-odd rule).

    Parameters
    ----------
    geometries
        Object array of n plane geometries or None, with finite coordinates.

    Examples
    --------
    >>> bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    >>> shapes, reasons = repaired(np.array([bow_tie, None]))
    >>> shapes[0].is_valid, shapes[0].area, reasons
    (True, 2.0, {})
    """
    shapes, reasons = geometries.copy(), {}
    for row in np.flatnonzero(~shapely.is_missing(shapes) & ~shapely.is_valid(shapes)).tolist():
        count = crossings(shapes[row])
        if count > MOST_CROSSINGS:
            shapes[row], reasons[row] = None, SCRIBBLE.format(count)
        else:
            repair = shapely.make_valid if count <= FEW_CROSSINGS else _even_odd
            shapes[row] = repair(shapes[row])
    return shapes, reasons


def endless(geometries: np.ndarray) -> dict[int, str]:
    """Which outlines could not be worked with in a bounded time, and why; before anything else is asked of them.

    Parameters
    ----------
    geometries
        Object array of n plane geometries or None.

    Examples
    --------
    >>> scribble = shapely.Polygon(np.random.default_rng(0).random((3000, 2)))
    >>> list(endless(np.array([shapely.Point(0, 0).buffer(1, quad_segs=2000), scribble, None])))
    [1]
    """
    reasons = {}
    many = (shapely.get_num_coordinates(geometries) > MANY_VERTICES) & (shapely.get_dimensions(geometries) == 2)
    for row in np.flatnonzero(many).tolist():
        edges = _edges(geometries[row])
        if not np.isfinite(shapely.bounds(geometries[row])).all():
            continue
        near = [len(found) for _, found in _nearby(edges)]
        if np.mean(near) * len(edges) / 2 > MOST_PAIRS:
            reasons[row] = DENSE.format(shapely.get_num_coordinates(geometries[row]))
        elif not shapely.is_valid(geometries[row]) and (count := _crossings(edges)) > MOST_CROSSINGS:
            reasons[row] = SCRIBBLE.format(count)
    return reasons


def crossings(geometry: BaseGeometry) -> int:
    """About how often the edges of a geometry cross each other; exact for up to `SAMPLE` edges.

    Examples
    --------
    >>> crossings(shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]))
    1
    """
    return _crossings(_edges(geometry))


def _edges(geometry: BaseGeometry) -> np.ndarray:
    """The edges of polygons as lines; none of points and lines, which are valid as they are."""
    xy, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(geometry)), return_index=True)
    if len(xy) < 2:
        return np.empty(0, object)
    same = ring[1:] == ring[:-1]
    return np.asarray(shapely.linestrings(np.stack([xy[:-1][same], xy[1:][same]], axis=1)), object)


def _nearby(edges: np.ndarray) -> Iterator[tuple[BaseGeometry, np.ndarray]]:
    """Some of the edges, each with the rows of those whose boxes meet its own."""
    tree = shapely.STRtree(edges)
    for edge in edges[:: max(1, len(edges) // SAMPLE)]:
        yield edge, tree.query(edge)


def _crossings(edges: np.ndarray) -> int:
    if not len(edges):
        return 0
    found = []
    for edge, near in _nearby(edges):
        tried = near[:: max(1, len(near) // NEAR)]
        found.append(shapely.crosses(edge, edges[tried]).mean() * len(near))
    return round(np.sum(found) / len(found) * len(edges) / 2)


def thinned(geometries: np.ndarray, step: float) -> tuple[np.ndarray, dict[int, str]]:
    """Geometries of many vertices with no more of them than can be seen at steps of that length; others as they are.

    Returns
    -------
    The geometries, and why some are refused.

    Examples
    --------
    >>> disc = shapely.Point(0, 0).buffer(100, quad_segs=2000)
    >>> coarse, _ = thinned(np.array([disc]), 0.25)
    >>> len(coarse[0].exterior.coords) < 3000, bool(shapely.hausdorff_distance(coarse[0], disc) < 1)
    (True, True)
    """
    shapes, reasons = geometries.copy(), {}
    for row in np.flatnonzero(shapely.get_num_coordinates(shapes) > MOST_VERTICES).tolist():
        shape: BaseGeometry | None
        shape, tolerance = _every(_sparse(shapes[row], step)), step
        if (count := crossings(shape)) > MOST_CROSSINGS:
            shape, reasons[row] = None, SCRIBBLE.format(count)
        while shape and shapely.get_num_coordinates(shape) > MOST_VERTICES and tolerance < 2**16 * step:
            shape = shapely.simplify(_sparse(shape, tolerance), tolerance, preserve_topology=False)
            tolerance *= 2
        shapes[row] = shape
    return shapes, reasons


def _sparse(geometry: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Without vertices that lie near the one before, where no ring vanishes by that."""
    try:
        return shapely.remove_repeated_points(geometry, tolerance)
    except shapely.errors.GEOSException:
        return geometry


def _every(geometry: BaseGeometry) -> BaseGeometry:
    """Every second or third … vertex of polygons that have far more than can be looked at."""
    step = -(-int(shapely.get_num_coordinates(geometry)) // MOST_HANDLED)
    if step < 2 or shapely.get_dimensions(geometry) != 2:
        return geometry
    rings, owner = shapely.get_rings(shapely.get_parts(shapely.get_parts(geometry)), return_index=True)
    kept = [
        shapely.linearrings(shapely.get_coordinates(ring)[:-1][::step]) if _long(ring, step) else None for ring in rings
    ]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    holes = [[hole for hole in kept[at + 1 : end] if hole] for at, end in pairwise([*first.tolist(), len(kept)])]
    return shapely.MultiPolygon(
        [shapely.Polygon(kept[at], inner) for at, inner in zip(first.tolist(), holes, strict=True) if kept[at]]
    )


def _long(ring: BaseGeometry, step: int) -> bool:
    return bool(shapely.get_num_coordinates(ring) > 4 * step)


def _even_odd(geometry: BaseGeometry) -> BaseGeometry:
    """Polygons that cross themselves many times, by the faces that their outlines make."""
    return shapely.union_all([_faces_inside(part) for part in shapely.get_parts(shapely.get_parts(geometry))])


def _faces_inside(polygon: BaseGeometry) -> BaseGeometry:
    if shapely.is_valid(polygon) or shapely.get_dimensions(polygon) < 2:
        return polygon
    edges = shapely.node(shapely.multilinestrings(shapely.get_rings(polygon)))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(edges)))
    shapely.prepare(polygon)  # whose answer counts crossings, so that it need not be valid
    centres = shapely.get_coordinates(shapely.point_on_surface(faces))
    odd = [shapely.contains_xy(polygon, *centres[at : at + _CHUNK].T) for at in range(0, len(centres), _CHUNK)]
    return shapely.coverage_union_all(faces[np.concatenate([*odd, np.empty(0, bool)])])
