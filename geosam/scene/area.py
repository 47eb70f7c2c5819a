"""An area of interest: what a user may give for one, the crop that holds it, and the pixels whose centres lie in it."""

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

FUZZ_PX = 1e-6


def load_area(geometry: Any) -> Any:
    """An area of interest as geometries: itself, or what the vector file of that path holds.

    Raises
    ------
    SceneError
        If the file cannot be read or holds nothing.
    """
    if not isinstance(geometry, str | PathLike):
        return geometry
    import geopandas  # only those who name a file pay for it

    try:
        frame = geopandas.read_file(fspath(geometry), columns=[])
    except Exception as error:  # pyogrio raises several kinds, and not all of them derive from one root
        raise SceneError(
            f"the area of interest {fspath(geometry)} cannot be read ({' '.join(str(error).split())})",
            expected="a vector file, or a geometry",
        ) from None
    if frame.empty:
        raise SceneError(f"the area of interest {fspath(geometry)} holds no feature", expected="at least one polygon")
    return frame.geometry


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
