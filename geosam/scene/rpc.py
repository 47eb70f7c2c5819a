"""RPCs: rational polynomials from world to pixel, as makers of satellite scenes deliver them."""

from typing import Any

import numpy as np
from pyproj import CRS
from rasterio.transform import RPCTransformer

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints

SIDE = 21
"""Points along each side of the grid that stands for the polynomials; more than `ControlPoints` needs for cubics."""

OPTIONS = {"RPC_PIXEL_ERROR_THRESHOLD": "0.001", "RPC_MAX_ITERATIONS": "50"}


def points_of_rpc(rpcs: Any, shape: tuple[int, int]) -> tuple[ControlPoints, float]:
    """Control points that place a raster as its RPCs do, at their mean height.

    GDAL inverts the polynomials at a grid of pixels; the smooth map through it goes both ways without a difference.

    Parameters
    ----------
    rpcs
        A `rasterio.rpc.RPC`.
    shape
        ``(h, w)`` of the raster.

    Returns
    -------
    The points in EPSG:4326, and how far the map through them is from the RPCs, in pixels at most.

    Raises
    ------
    SceneError
        If the polynomials have no inverse on the raster.

    Examples
    --------
    >>> from rasterio.rpc import RPC
    >>> one, x, y = [1.0] + [0.0] * 19, [0.0, 1.0] + [0.0] * 18, [0.0, 0.0, 1.0] + [0.0] * 17
    >>> rpcs = RPC(height_off=0, height_scale=500, lat_off=50, lat_scale=0.1, long_off=10, long_scale=0.1,
    ...            line_off=99.5, line_scale=100, samp_off=99.5, samp_scale=100, line_num_coeff=[-v for v in y],
    ...            line_den_coeff=one, samp_num_coeff=x, samp_den_coeff=one)
    >>> points, error_px = points_of_rpc(rpcs, (200, 200))
    >>> points.world_from_px(np.array([[100.0, 100.0], [0.0, 0.0]])).round(5) + 0
    array([[10. , 50. ],
           [ 9.9, 50.1]])
    """
    h, w = shape
    grid = np.stack(np.meshgrid(np.linspace(0, w, SIDE), np.linspace(0, h, SIDE)), axis=-1).reshape(-1, 2)
    try:
        with RPCTransformer(rpcs, RPC_HEIGHT=rpcs.height_off or 0, **OPTIONS) as transformer:
            world = np.column_stack(transformer.xy(grid[:, 1].tolist(), grid[:, 0].tolist(), offset="ul"))
            known = np.isfinite(world).all(axis=1)
            if known.sum() < len(grid) / 2:
                raise SceneError("RPCs that have no inverse on their raster", expected="those of this raster")
            if np.ptp(world[known, 0]) > 180:  # across the antimeridian
                world[:, 0] %= 360
            pixels, places = (tuple(map(tuple, of[known].tolist())) for of in (grid, world))
            points = ControlPoints(pixels, places, CRS(4326).to_wkt())
            between = grid[known] * (1 - 1 / SIDE)
            lon, lat = points.world_from_px(between).T
            there = transformer.rowcol(lon.tolist(), lat.tolist(), op=lambda value: value)
    except SceneError:
        raise
    except Exception as error:  # GDAL's own errors, which rasterio gives no public root
        raise SceneError(f"RPCs that cannot be used ({error})", expected="those of this raster") from None
    return points, float(np.abs(np.column_stack(there)[:, ::-1] - between).max())
