"""Shapes on their way to a front end and back: polygons in pixels of the scene, in one canonical form.

Coordinates are those of the scene's full-resolution grid, (0, 0) the corner of the top left pixel, y down. What a mask
gives lies on the pixel lattice, so that its coordinates are whole numbers and shapes that touch share them exactly.
"""

from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geosam.serve.requests import FAR_PX, MOST_VERTICES, Fields, ServeError


def canonical(shape: BaseGeometry) -> BaseGeometry:
    """The one form of a shape: a polygon if it has one part, else a multipolygon; rings begin where GEOS puts it.

    Examples
    --------
    >>> canonical(shapely.MultiPolygon([shapely.box(0, 0, 2, 1)])).wkt
    'POLYGON ((0 0, 0 1, 2 1, 2 0, 0 0))'
    """
    parts = areas(shape)
    found = parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))
    return shapely.normalize(found)


def areas(shape: BaseGeometry) -> np.ndarray:
    """The polygons of a geometry; bits of line and single points that set operations leave are no part of it."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return parts[(shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0)]


def united(shapes: list[BaseGeometry]) -> BaseGeometry:
    """Several shapes as one; what they share is theirs once."""
    return canonical(shapely.union_all(np.array(shapes, object)))


def multi(shape: BaseGeometry) -> BaseGeometry:
    """The shape as a multipolygon, as layers of files hold it."""
    return shapely.MultiPolygon([shape]) if isinstance(shape, shapely.Polygon) else shape


def to_json(shape: BaseGeometry) -> dict[str, Any]:
    """A shape as the protocol has it; whole coordinates are written as whole numbers.

    Examples
    --------
    >>> to_json(canonical(shapely.box(0, 0, 2.5, 1)))
    {'type': 'Polygon', 'coordinates': [[[0, 0], [0, 1], [2.5, 1], [2.5, 0], [0, 0]]]}
    """
    parts = [[_ring(ring) for ring in shapely.get_rings(part)] for part in shapely.get_parts(shape)]
    if shape.geom_type == "Polygon":
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def from_json(fields: Fields, name: str) -> BaseGeometry:
    """A shape that a front end sent.

    Raises
    ------
    ServeError
        If it is no polygon, has no area, or crosses itself.

    Examples
    --------
    >>> ring = [[0, 0], [4, 0], [0, 4], [4, 4], [0, 0]]
    >>> from_json(Fields({"verb": "reshape", "shape": {"type": "Polygon", "coordinates": [ring]}}), "shape")
    Traceback (most recent call last):
    geosam.serve.requests.ServeError: reshape with a shape that is not valid (Self-intersection): expected ...
    """
    value = fields.given.get(name)
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind not in ("Polygon", "MultiPolygon"):
        raise fields.wrong(name, 'a shape {"type": "Polygon" or "MultiPolygon", "coordinates": …}')
    given: Any = value.get("coordinates")
    listed: Any = [given] if kind == "Polygon" else given or []
    try:
        parts = [[np.array(ring, np.float64) for ring in part] for part in listed]
        count = sum(len(ring) for part in parts for ring in part)
        fine = all(_is_ring(ring) for part in parts for ring in part) and 0 < count <= MOST_VERTICES
    except (TypeError, ValueError):
        fine, parts = False, []
    if not fine:
        raise fields.wrong(name, f"rings of at least three and at most {MOST_VERTICES} places [x, y]")
    try:
        shape = shapely.MultiPolygon([(part[0], part[1:]) for part in parts])
    except (IndexError, ValueError, shapely.errors.ShapelyError):
        raise fields.wrong(name, "polygons of an outer ring and its holes") from None
    return checked(shape, f"{fields.verb} with a shape")


def checked(shape: BaseGeometry, what: str) -> BaseGeometry:
    """A shape in canonical form, if it can be an object.

    Raises
    ------
    ServeError
        If it crosses itself or has no area.
    """
    if not shapely.is_valid(shape):
        reason = str(shapely.is_valid_reason(shape)).split("[")[0]
        raise ServeError(f"{what} that is not valid ({reason})", expected="outlines that do not cross themselves")
    if not shape.area:
        raise ServeError(f"{what} without an area", expected="a polygon")
    return canonical(shape)


def vertices(shape: BaseGeometry) -> np.ndarray:
    """All vertices of a shape, ``(n, 2)``; the one that closes a ring is there twice."""
    return shapely.get_coordinates(shape)


def _ring(ring: BaseGeometry) -> list[list[float | int]]:
    xy = shapely.get_coordinates(ring)
    if (xy == np.rint(xy)).all():
        return xy.astype(np.int64).tolist()
    return [[int(value) if value == int(value) else value for value in row] for row in xy.tolist()]


def _is_ring(ring: np.ndarray) -> bool:
    return ring.ndim == 2 and ring.shape[1] == 2 and len(ring) >= 3 and bool((np.abs(ring) <= FAR_PX).all())
