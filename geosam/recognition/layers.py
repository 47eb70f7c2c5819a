"""Polygons on a pixel grid: layers in which none overlap, so that one label raster holds each."""

import numpy as np
import shapely
from rasterio import Affine
from rasterio.features import rasterize
from rasterio.windows import Window

from geosam.arrays import Ids, Labels

SMALLEST_PX2 = 2.0
"""Polygons of a smaller area, which may hold no pixel's centre, are taken as the pixel that their middle lies in."""


def solid(geometries_px: np.ndarray) -> np.ndarray:
    """Polygons that each hold at least one pixel's centre; empty where there was nothing.

    Examples
    --------
    >>> solid(np.array([shapely.box(3.1, 4.2, 3.3, 4.4)]))[0].bounds
    (3.0, 4.0, 4.0, 5.0)
    """
    found = np.array(geometries_px, object)
    given = ~(shapely.is_missing(found) | shapely.is_empty(found))
    tiny = given & (shapely.area(found) < SMALLEST_PX2)
    inner = shapely.point_on_surface(found[tiny])
    x, y = np.floor(shapely.get_x(inner)), np.floor(shapely.get_y(inner))
    found[tiny] = shapely.box(x, y, x + 1, y + 1)
    found[~given] = shapely.Polygon()
    return found


def overlap_free(geometries_px: np.ndarray) -> Ids:
    """Give each polygon the first layer in which it overlaps no earlier one; those that only touch share a layer.

    Examples
    --------
    >>> overlap_free(shapely.box([0, 4, 3, 1], 0, [4, 8, 5, 2], 4)).tolist()
    [0, 0, 1, 1]
    """
    layer = np.zeros(len(geometries_px), np.int64)
    if shapely.coverage_is_valid(geometries_px):
        return layer
    tree = shapely.STRtree(geometries_px)
    pairs = np.concatenate([tree.query(geometries_px, predicate) for predicate in ("overlaps", "covers")], axis=1)
    pairs = np.unique(np.sort(pairs[:, pairs[0] != pairs[1]], axis=0), axis=1)
    earlier: dict[int, set[int]] = {}
    for first, second in pairs.T.tolist():  # by the first, and so each first has its layer before it is asked for
        earlier.setdefault(second, set()).add(first)
    for second in sorted(earlier):
        taken = {int(layer[first]) for first in earlier[second]}
        layer[second] = next(number for number in range(len(taken) + 1) if number not in taken)
    return layer


def burn(geometries_px: np.ndarray, window: Window) -> Labels:
    """Label the pixels of a window whose centres lie in each polygon, from 1 in their order; 0 elsewhere.

    Examples
    --------
    >>> burn(shapely.box([2, 4], 0, [4, 6], 2), Window(2, 0, 3, 2)).tolist()
    [[1, 1, 2], [1, 1, 2]]
    """
    shape = (int(window.height), int(window.width))
    drawn = [(each, number) for number, each in enumerate(geometries_px, start=1) if not each.is_empty]
    if not drawn:
        return np.zeros(shape, np.int32)
    place = Affine.translation(window.col_off, window.row_off)
    return rasterize(drawn, out_shape=shape, transform=place, dtype="int32")
