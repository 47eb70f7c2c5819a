"""Geometries from one plane to another: straight lines stay true, and what cannot be mapped becomes empty.

A straight line in one CRS is a curve in another, so geometries get extra vertices before they are transformed: as
many as keep them within a tolerance of the true curve, measured in pixels of the scene. (Measured: a lon/lat box of
1° moved by its corners alone misses by 12 px of 10 m.)
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry import GeometryCollection
from shapely.geometry.base import BaseGeometry

from geosam.errors import OptionError

Mapping = Callable[[np.ndarray], np.ndarray]
"""``(n, 2)`` coordinates to ``(n, 2)`` coordinates; NaN or infinite where there is no image."""

ROUNDS = 3
MOST_VERTICES = 20_000
QUARTERS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])[:, None, None]
MERCATOR = "Popular Visualisation Pseudo Mercator"
MERCATOR_PERIOD_M = 2 * 20037508.342789244
NO_LENGTHS = frozenset(("", "unknown", "unity", "degree", "radian", "grad", "gon", "second", "minute", "pixel"))
"""Units of axes that no metres are known of."""


def as_shapes(geometries: Any) -> np.ndarray:
    """One flat object array of 2D shapely geometries; None becomes an empty collection.

    Accepts one geometry, any sequence of them, a GeoSeries or a GeoDataFrame.

    Examples
    --------
    >>> as_shapes([shapely.Point(1, 2, 3), None]).tolist()
    [<POINT (1 2)>, <GEOMETRYCOLLECTION EMPTY>]
    """
    if isinstance(geometries, BaseGeometry):
        geometries = [geometries]
    geometries = getattr(geometries, "geometry", geometries)
    shapes = shapely.force_2d(np.atleast_1d(np.array(geometries, dtype=object)))
    shapes[shapely.is_missing(shapes)] = GeometryCollection()
    return shapes


LIKELY = 20
"""Confidence, of 100, from which on PROJ's guess of a code counts: names differ, numbers do not."""


def parse_crs(crs: Any) -> CRS:
    """A `pyproj.CRS` from anything that names one.

    Raises
    ------
    OptionError
        If it names none.
    """
    try:
        return CRS.from_user_input(crs.to_wkt() if hasattr(crs, "to_wkt") else crs)
    except CRSError:
        raise OptionError(f"crs={crs!r}", expected="a CRS such as 'EPSG:4326'") from None


@lru_cache(maxsize=256)
def projection(source_wkt: str, target_wkt: str) -> Mapping:
    """The mapping between two CRSs, x first in both; the identity where they differ in axis order at most.

    Raises
    ------
    OptionError
        If there is none: one of them is local, or of heights alone, or of another planet.
    """
    source, target = CRS.from_wkt(source_wkt), CRS.from_wkt(target_wkt)
    if source.equals(target, ignore_axis_order=True) or _same_plane(source, target):
        return lambda xy: xy
    try:
        transformer = Transformer.from_crs(source, target, always_xy=True) if _flat(source) and _flat(target) else None
    except ProjError:
        transformer = None
    if transformer is None:
        raise OptionError(
            f"coordinates in {source.name} where {target.name} is wanted",
            expected="coordinates in the scene's own CRS",
            hint="nobody knows how one of the two lies in the other",
        )
    return lambda xy: np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=1)


@lru_cache(maxsize=256)
def lies_on_earth(wkt: str) -> bool:
    """Whether longitude and latitude of coordinates in a CRS are known; not so in local ones, or of other planets.

    Examples
    --------
    >>> lies_on_earth(CRS(32633).to_wkt()), lies_on_earth('ENGCRS["site",EDATUM["site"],CS[Cartesian,2],' +
    ...     'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]')
    (True, False)
    """
    crs = CRS.from_wkt(wkt)
    try:
        return _flat(crs) and bool(Transformer.from_crs(crs, CRS(4326), always_xy=True))
    except ProjError:
        return False


def metres_per_unit(crs: CRS) -> float:
    """Length of a unit of a CRS of a plane; NaN where it is an angle or not known.

    Examples
    --------
    >>> metres_per_unit(CRS(32633)), round(metres_per_unit(CRS(2263)), 4), metres_per_unit(CRS(4326))
    (1.0, 0.3048, nan)
    """
    axis = crs.axis_info[0] if crs.axis_info else None
    if axis is None or crs.is_geographic or axis.unit_name.lower() in NO_LENGTHS:
        return float("nan")
    return float(axis.unit_conversion_factor) or float("nan")


def _flat(crs: CRS) -> bool:
    """Whether two coordinates are a place: not where there are only heights, nor where the third is missing."""
    return not crs.is_geocentric and (not crs.is_vertical or crs.is_geographic or crs.is_projected)


def same_place(one: CRS, other: CRS) -> bool:
    """Whether coordinates mean the same place in two CRSs, however these were written down.

    Examples
    --------
    >>> same_place(CRS(32633), CRS("+proj=utm +zone=33 +datum=WGS84")), same_place(CRS(32633), CRS(32634))
    (True, False)
    """
    if one.equals(other, ignore_axis_order=True) or _same_plane(one, other):
        return True
    codes = [crs.to_epsg(min_confidence=LIKELY) for crs in (one, other)]
    return codes[0] is not None and codes[0] == codes[1]


def _same_plane(source: CRS, target: CRS) -> bool:
    """Whether two local CRSs are one, though formats wrote them down in different ways."""
    both = source.is_engineering and target.is_engineering and source.name == target.name
    units = [[axis.unit_conversion_factor for axis in crs.axis_info] for crs in (source, target)]
    return both and units[0] == units[1]


def period(crs: CRS | None) -> float:
    """Length of the equator in units of a CRS whose x repeats (longitude, web mercator); 0 for all others.

    Examples
    --------
    >>> period(CRS(4326)), period(CRS(32633))
    (360.0, 0.0)
    """
    if crs is None:
        return 0.0
    if crs.is_geographic:
        return round(2 * np.pi / crs.axis_info[0].unit_conversion_factor, 9)
    operation = crs.coordinate_operation
    return MERCATOR_PERIOD_M if operation is not None and operation.method_name == MERCATOR else 0.0


def transform(shapes: np.ndarray, mapping: Mapping) -> np.ndarray:
    """Map all coordinates of all shapes in one call; a shape with a coordinate without a finite image becomes empty."""
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    if not len(xy):
        return shapes.copy()
    return with_coordinates(shapes, mapping(xy), owner)


def with_coordinates(shapes: np.ndarray, xy: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The shapes at other coordinates; those with one that is not finite become empty."""
    lost = np.zeros(len(shapes), bool)
    lost[owner[~np.isfinite(xy).all(axis=1)]] = True
    moved = shapes.copy()
    moved[lost] = GeometryCollection()
    return shapely.set_coordinates(moved, xy[~lost[owner]])


def densify(shapes: np.ndarray, to_px: Mapping, tolerance_px: float) -> np.ndarray:
    """Add vertices until every edge, mapped by its vertices, lies within `tolerance_px` of its true image.

    The deviation of an edge is measured at its quarters; it shrinks with the square of the edge's length, which gives
    the number of pieces. Points, and edges that are straight enough, stay as they are.
    """
    for _ in range(ROUNDS):
        limit = _longest_edge(shapes, to_px, tolerance_px)
        bent = np.isfinite(limit)
        if not bent.any():
            break
        shapes = shapes.copy()
        shapes[bent] = shapely.segmentize(shapes[bent], limit[bent])
    return shapes


def _longest_edge(shapes: np.ndarray, to_px: Mapping, tolerance_px: float) -> np.ndarray:
    """For each shape the length that its edges may have; infinite where they are straight enough."""
    limit = np.full(len(shapes), np.inf)
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    edge = (owner[1:] == owner[:-1]) & (shapely.get_dimensions(shapes)[owner[1:]] > 0)
    start, end, owner = xy[:-1][edge], xy[1:][edge], owner[1:][edge]
    if not len(start):
        return limit
    images = to_px((start + QUARTERS * (end - start)).reshape(-1, 2)).reshape(5, -1, 2)
    with np.errstate(invalid="ignore"):
        chords = images[0] + QUARTERS * (images[4] - images[0])
        deviation = np.nan_to_num(np.linalg.norm(images - chords, axis=2), nan=0, posinf=0).max(axis=0)
    bent = deviation > tolerance_px
    pieces = np.ceil(np.sqrt(deviation[bent] / (tolerance_px / 2)))
    np.minimum.at(limit, owner[bent], np.linalg.norm(end - start, axis=1)[bent] / pieces)
    return np.maximum(limit, shapely.length(shapes) / MOST_VERTICES)


def unwrap(shapes: np.ndarray, centre_x: float, turn: float, *, torn: bool) -> np.ndarray:
    """Bring shapes of a periodic CRS to the turn of the globe that is nearest to `centre_x`.

    Each part of a multi-part shape moves by itself, and parts that then touch (a polygon split at the antimeridian)
    are joined. With `torn`, parts may have been cut open by the projection at the antimeridian; these are closed again.
    """
    xy = shapely.get_coordinates(shapes)
    if not len(xy):
        return shapes
    parts = shapely.get_parts(shapes)
    part = shapely.get_coordinates(parts, return_index=True)[1]
    bounds = shapely.bounds(parts)
    shift = turn * np.round((centre_x - (bounds[:, 0] + bounds[:, 2]) / 2) / turn)
    x = xy[:, 0] + shift[part]
    if torn:
        near = xy[:, 0] + turn * np.round((centre_x - xy[:, 0]) / turn)
        closed = (_extent(near, part, len(parts)) < turn / 2)[part]
        x = np.where(closed, near, x)
    moved = shapely.set_coordinates(shapes.copy(), np.c_[x, xy[:, 1]])
    return join_parts(moved)


def join_parts(shapes: np.ndarray) -> np.ndarray:
    """Make multipolygons valid whose parts touch along an edge."""
    multi = shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON
    broken = multi & ~shapely.is_valid(shapes)
    if broken.any():
        shapes = shapes.copy()
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    return shapes


def _extent(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Largest minus smallest value of each group."""
    high, low = np.full(groups, -np.inf), np.full(groups, np.inf)
    np.maximum.at(high, group, values)
    np.minimum.at(low, group, values)
    return high - low
