"""An area of interest: what a user may give for one, the crop that holds it, and the pixels whose centres lie in it."""

import logging
from os import PathLike, fspath
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Valid
from geosam.errors import SceneError
from geosam.scene.grid import all_of, window_at

log = logging.getLogger(__name__)

FUZZ_PX = 1e-6

NAMED = "the area of interest"


def load_area(geometry: Any, crs: Any = None) -> Any:
    """An area of interest as sound polygons: of what is given, or of what the vector file of that path holds.

    Parameters
    ----------
    geometry
        Polygons (shapely, GeoSeries, GeoDataFrame), or the path of a vector file, as ``read_vector`` takes it.
    crs
        What the coordinates are said to mean; None: what they say themselves.

    Returns
    -------
    A GeoSeries with their CRS, if they say one, else an object array.

    Raises
    ------
    SceneError
        If the file cannot be read, nothing in it is an area, an outline is beyond repair, or degrees are none.
    """
    from geosam.vectors import AREA, read_vector  # only those who name an area pay for it
    from geosam.vectors.repair import repaired

    given = read_vector(geometry, purpose=AREA, needs_crs=crs is None)
    named = f"the area of interest {fspath(geometry)}" if isinstance(geometry, str | PathLike) else NAMED
    shapes = shapely.force_2d(np.array(given.geometry.array, object))
    if not (~shapely.is_missing(shapes) & ~shapely.is_empty(shapes)).any():
        raise SceneError(f"{named} holds no feature", expected="at least one polygon")
    shapes = _surfaces(shapes, named)
    _check_degrees(shapes, given.crs if crs is None else None, named)
    sound, refused = repaired(shapes)
    if refused:
        raise SceneError(f"{named}: {next(iter(refused.values()))}", expected="an outline", hint="draw it anew")
    return sound if given.crs is None else type(given.geometry)(sound, crs=given.crs)


def _surfaces(shapes: np.ndarray, named: str) -> np.ndarray:
    """The polygons among geometries, and in collections of them.

    Raises
    ------
    SceneError
        If there are none, or one has coordinates that are no numbers.
    """
    parts = shapely.get_parts(shapes[~shapely.is_missing(shapes)])
    while (mixed := shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        parts = np.concatenate([parts[~mixed], shapely.get_parts(parts[mixed])])
    areas = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)]
    if not len(areas):
        kinds = sorted({part.geom_type.lower() + "s" for part in parts})
        raise SceneError(f"{named} holds {' and '.join(kinds)}, which cover no area", expected="at least one polygon")
    if not np.isfinite(shapely.get_coordinates(areas)).all():
        raise SceneError(f"{named} has coordinates that are not finite numbers", expected="polygons")
    if len(areas) < len(parts):
        log.warning("%s: %d of %d geometries are no polygons and left out", named, len(parts) - len(areas), len(parts))
    return areas


def _check_degrees(shapes: np.ndarray, crs: Any, named: str) -> None:
    """Refuse what should be in degrees and is not.

    Raises
    ------
    SceneError
        If its coordinates are no longitude and latitude.
    """
    x0, y0, x1, y1 = shapely.total_bounds(shapes)
    if crs is not None and crs.is_geographic and (max(-x0, x1) > 400 or max(-y0, y1) > 100):  # grads, and some slack
        raise SceneError(
            f"{named} ranges over x {x0:g} to {x1:g}, y {y0:g} to {y1:g}, which are no degrees",
            expected=f"longitude and latitude, since its CRS is {crs.name} (a GeoJSON's, if it does not say another)",
            hint='name the right CRS: aoi_crs="EPSG:..." (command line: --aoi-crs)',
        )


def crop_to(area: BaseGeometry | None, native: tuple[int, int], whole: tuple[int, int]) -> Window:
    """The whole pixels, of a grid of `whole` over a raster of `native` pixels, that hold an area in native pixels."""
    if area is None:
        return all_of(whole)
    scale = np.array([whole[1] / native[1], whole[0] / native[0]] * 2)
    x0, y0, x1, y1 = np.array(area.bounds) * scale
    left, top = (int(np.floor(low + FUZZ_PX)) for low in (x0, y0))
    right, bottom = (int(np.ceil(high - FUZZ_PX)) for high in (x1, y1))
    left, top = min(max(left, 0), whole[1] - 1), min(max(top, 0), whole[0] - 1)
    right, bottom = max(min(right, whole[1]), left + 1), max(min(bottom, whole[0]), top + 1)
    return window_at(left, top, right - left, bottom - top)


def inside(area: BaseGeometry, x: Float[np.ndarray, "w"], y: Float[np.ndarray, "h"]) -> Valid:
    """True where the centres of a grid, at ascending `x` and `y`, lie in an area.

    Row by row the even and the odd crossings of the border bound the inside. A centre on the border belongs to the
    area on its left or upper edge and not on the others, so that areas that share a border share no pixel.

    Examples
    --------
    >>> inside(shapely.box(0, 0, 2, 1), np.array([0.5, 1.5, 2.5]), np.array([0.5, 1.5])).tolist()
    [[True, True, False], [False, False, False]]
    """
    parts = shapely.get_parts(area)
    rings = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2])
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    edge = ring[1:] == ring[:-1]
    start, end = xy[:-1][edge], xy[1:][edge]
    first, last = (np.searchsorted(y, side(start[:, 1], end[:, 1])) for side in (np.minimum, np.maximum))
    crossed = np.repeat(np.arange(len(start)), last - first)
    row = np.arange(len(crossed)) + np.repeat(first - np.cumsum(last - first) + (last - first), last - first)
    (x0, y0), (x1, y1) = start[crossed].T, end[crossed].T
    col = np.searchsorted(x, x0 + (y[row] - y0) * (x1 - x0) / (y1 - y0))
    turns = np.zeros((len(y), len(x) + 1), np.int32)
    np.add.at(turns, (row, col), 1)
    return np.cumsum(turns[:, :-1], axis=1) % 2 == 1
