"""Where a raster lies: its transform, control points or RPCs, and its CRS; a CRS alone is not a place.

What a file says is used in this order: a transform, ground control points, RPCs (rational polynomial coefficients).
Of several the first counts, and the others are named in a note. A file that names a CRS and nothing of these lies
nowhere: its coordinates are pixels, without a CRS. GDAL does not tell an identity transform from none, and neither does
this; nor one that only turns y around, unless the CRS is local and may begin at 0, 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints
from geosam.scene.reproject import lies_on_earth
from geosam.scene.rpc import points_of_rpc

LEAST_APART = 2.0**-10
"""Part of a pixel that coordinates so far from the origin must be able to tell."""

SMALLEST_M = 1e-3
"""Side of a pixel in metres below which a transform in metres is likely one in degrees."""


TURNED = Affine(1, 0, 0, 0, -1, 0)
"""The identity with y upwards."""

MISFIT_PX = 2.0
"""How far a smooth map may pass by a ground control point without a word."""


@dataclass(frozen=True)
class Place:
    """Native pixel → world, the CRS of that world as WKT (empty for none), and what was assumed."""

    mapping: Affine | ControlPoints
    wkt: str = ""
    notes: tuple[str, ...] = ()


def place_of(path: str, dataset: DatasetReader) -> Place:
    """Where an open dataset lies.

    Raises
    ------
    SceneError
        If its transform or its CRS cannot be, or they contradict each other.
    """
    points, points_crs = dataset.gcps
    rpcs, fault = _rpcs(dataset)
    if not dataset.transform.is_identity:
        unused = [f"{len(points)} ground control points"] * bool(points) + ["RPCs"] * (rpcs is not None)
        notes = (f"its {' and '.join(unused)} are not used, since it has a transform",) if unused else ()
        return settle(path, dataset.transform, read_wkt(path, dataset.crs), dataset.shape, notes)
    if points:
        pixels = tuple((float(point.col), float(point.row)) for point in points)
        return from_points(path, pixels, [(point.x, point.y) for point in points], points_crs or dataset.crs)
    try:
        found = points_of_rpc(rpcs, dataset.shape) if rpcs is not None else None
    except SceneError as error:
        found, fault = None, str(error)
    if rpcs is not None and found is not None:
        mapping, error_px = found
        note = (
            f"placed by its RPCs at their mean height of {rpcs.height_off:g} m above the ellipsoid, to {error_px:.2g} "
            f"px: relief shifts what is shown; orthorectify it (`gdalwarp -rpc -to RPC_DEM=…`) for exact places"
        )
        return Place(mapping, mapping.crs, (note,))
    notes = (f"its RPCs cannot be used ({fault})",) if fault else ()
    if dataset.tags(ns="GEOLOCATION"):
        notes += ("its geolocation arrays are not used: warp it first (`gdalwarp -geoloc`) for places in the world",)
    return settle(path, dataset.transform, read_wkt(path, dataset.crs), dataset.shape, notes)


def from_points(path: str, pixels: tuple[tuple[float, float], ...], world: Any, crs: Any) -> Place:
    """The place that ground control points give; across the antimeridian they lie on one turn of the globe."""
    wkt, places = read_wkt(path, crs), np.array(world, dtype=float)
    if wkt and CRS.from_wkt(wkt).is_geographic and np.ptp(places[:, 0]) > 180:
        places[:, 0] %= 360
    if not np.isfinite(places).all() or not np.isfinite(pixels).all():
        raise SceneError(f"{path} has ground control points that are not finite", expected="numbers")
    try:
        found = ControlPoints(pixels, tuple(map(tuple, places.tolist())), wkt)
    except SceneError as error:
        raise SceneError(f"{path} has {error.problem}", expected=error.expected) from None
    far = found.misfit_px > MISFIT_PX
    note = f"its {len(pixels)} ground control points do not fit better than to {found.misfit_px:.2g} px"
    return Place(found, wkt, (note,) if far else ())


def settle(path: str, transform: Affine, wkt: str, shape: tuple[int, int], notes: tuple[str, ...] = ()) -> Place:
    """The place that a transform gives; none without one, whatever CRS is named.

    Raises
    ------
    SceneError
        If the transform cannot be inverted, or lies off the globe.
    """
    if not np.isfinite(tuple(transform)).all() or transform.is_degenerate:
        raise SceneError(f"{path} has the transform {tuple(transform)[:6]}", expected="one that can be inverted")
    if np.spacing(max(abs(transform.c), abs(transform.f))) > LEAST_APART * abs(transform.determinant) ** 0.5:
        raise SceneError(f"{path} has the transform {tuple(transform)[:6]}", expected="pixels that lie apart")
    if not wkt:
        return Place(transform, "", notes)
    crs = CRS.from_wkt(wkt)
    if transform.is_identity or (transform == TURNED and lies_on_earth(wkt)):
        lost = f"it names {crs.name} but not where it lies (no transform): coordinates are pixels, without a CRS"
        return Place(Affine.identity(), "", (*notes, lost))
    if crs.is_geographic:
        _check_globe(path, transform, crs, shape)
    elif crs.is_projected and abs(transform.determinant) ** 0.5 * crs.axis_info[0].unit_conversion_factor < SMALLEST_M:
        notes += (f"its pixels are {transform.a:g} units of {crs.name} wide: are its coordinates degrees?",)
    return Place(transform, wkt, notes)


def read_wkt(path: str, crs: Any) -> str:
    """WKT of a CRS that rasterio read, as PROJ writes it; empty for none."""
    if not crs:
        return ""
    try:
        return CRS.from_wkt(crs if isinstance(crs, str) else crs.to_wkt()).to_wkt()
    except (CRSError, RasterioError) as error:
        reason = " ".join(str(error).split())
        raise SceneError(
            f"{path} has a CRS that PROJ does not know ({reason})", hint="assign another with rio edit-info"
        ) from None


def _rpcs(dataset: DatasetReader) -> tuple[Any, str]:
    """The RPCs of a dataset, and why they cannot be used if so."""
    try:
        return dataset.rpcs, ""
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # numbers that are none, or too few of them
        return None, " ".join(str(error).split()) or type(error).__name__


def _check_globe(path: str, transform: Affine, crs: CRS, shape: tuple[int, int]) -> None:
    """Latitudes end at the poles (or within a pixel, where grids of pixel centres reach them), longitudes somewhere."""
    quarter = np.pi / 2 / crs.axis_info[0].unit_conversion_factor
    corners = np.array([transform @ (x, y) for x in (0, shape[1]) for y in (0, shape[0])])
    pixel = abs(transform.d) + abs(transform.e)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if high[1] > quarter + pixel or low[1] < -quarter - pixel or np.abs(corners[:, 0]).max() > 8 * quarter:
        raise SceneError(
            f"{path} lies at {low[0]:g} to {high[0]:g}, {low[1]:g} to {high[1]:g} in {crs.name}",
            expected="longitudes and latitudes",
            hint="its coordinates are of another CRS: assign that one (`rio edit-info --crs EPSG:… FILE`)",
        )
