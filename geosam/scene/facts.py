"""What geosam understood of a scene, as plain values: the first thing to look at, and to send along with a question."""

from itertools import product
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS

from geosam.scene.control_points import ControlPoints
from geosam.scene.file import FileRaster
from geosam.scene.grid import window_at
from geosam.scene.look import is_cheap
from geosam.scene.raster import BandValid, BandValues, Raster
from geosam.scene.reproject import projection
from geosam.scene.view import Scene

SIDE = 512
"""Side of the decimated look at the pixels."""

PLACES, PLACE_PX = 6, 64
"""Where a decimated look is not cheap, so many windows a side are looked at instead, of that many pixels a side."""


def facts_of(scene: Scene) -> dict[str, Any]:
    """What was understood of a scene and what was assumed, in values that JSON holds.

    Parameters
    ----------
    scene
        A scene as it would be segmented.

    Returns
    -------
    dict
        ``scene``, ``name``, ``size`` (``[w, h]`` of the raster), ``grid`` (``[w, h]`` that is segmented), ``place``,
        ``bands`` (with their range and share of data, on a decimated look), ``stretch``, ``valid`` (share), ``levels``,
        ``file`` (driver, blocks, compression) and ``notes`` (what was assumed).

    Raises
    ------
    SceneReadError
        If its pixels cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     facts = facts_of(open_scene(coordinate_scene(f"{folder}/xy.tif", (40, 60))))
    >>> facts["size"], facts["place"]["crs"], facts["bands"][0]["range"], facts["valid"], facts["notes"]
    ([60, 40], 'EPSG:32631', [0.0, 59.0], 1.0, [])
    """
    info = scene.raster.info
    values, valid = _look(scene.raster, scene.bands)
    return {
        "scene": scene.source,
        "name": scene.name,
        "size": list(info.shape[::-1]),
        "grid": list(scene.shape[::-1]),
        "place": _place(scene),
        "bands": _bands(scene, values, valid),
        "stretch": scene.stretch.to_dict(),
        "valid": round(float(valid.any(axis=0).mean()), 4),
        "sampled": not is_cheap(info),
        "levels": [list(level[::-1]) for level in info.levels[1:]],
        "distrusted": info.distrusted,
        "file": scene.raster.layout() if isinstance(scene.raster, FileRaster) else {},
        "notes": list(scene.notes),
    }


def _look(raster: Raster, bands: tuple[int, ...]) -> tuple[BandValues, BandValid]:
    """A decimated look, or some windows where that is not cheap."""
    if is_cheap(raster.info):
        return raster.thumbnail(bands, SIDE)
    h, w = raster.info.shape
    side_x, side_y = min(PLACE_PX, w), min(PLACE_PX, h)
    places = product(np.linspace(0, h - side_y, PLACES).astype(int), np.linspace(0, w - side_x, PLACES).astype(int))
    found = [raster.read(bands, window_at(int(x), int(y), side_x, side_y), 0) for y, x in places]
    values, valid = zip(*found, strict=True)
    return np.concatenate(values, axis=1), np.concatenate(valid, axis=1)


def _place(scene: Scene) -> dict[str, Any]:
    info, native, crs = scene.raster.info, scene.raster.info.mapping, scene.crs
    h, w = scene.shape
    place: dict[str, Any] = {
        "by": _means(native),
        "crs": _crs_name(crs),
        "crs_name": _crs_title(crs),
        "transform": list(native)[:6] if isinstance(native, Affine) else None,
        "bounds": [round(float(value), 9) for value in scene.geobox.extent.boundingbox.bbox],
        "resolution": float(scene.frame.resolution),
        "resolution_m": _finite(scene.resolution_m),
        "centre_lonlat": None,
        **_pixel(scene.frame.mapping),
    }
    if isinstance(native, ControlPoints):
        place["points"], place["misfit_px"] = len(native.pixels), round(native.misfit_px, 3)
    if scene.frame.on_earth:
        centre = scene.frame.world_from_px(np.array([[w / 2, h / 2]]))
        lonlat = projection(info.wkt, CRS(4326).to_wkt())(centre)[0]
        place["centre_lonlat"] = [round(float(value), 7) for value in lonlat] if np.isfinite(lonlat).all() else None
    return place


def _pixel(mapping: Affine | ControlPoints) -> dict[str, Any]:
    """Sides of a pixel, along its row and its column, and the direction of the row, in degrees to the left."""
    if isinstance(mapping, ControlPoints):
        return {}
    a, b, _, d, e, *_ = mapping
    return {"pixel": [float(np.hypot(a, d)), float(np.hypot(b, e))], "turned": float(np.degrees(np.arctan2(d, a)))}


def _means(native: Affine | ControlPoints) -> str:
    if isinstance(native, ControlPoints):
        return "control points"
    return "nothing" if native.is_identity else "transform"


def _crs_name(crs: CRS | None) -> str | None:
    """Authority and code if there are any, else the name."""
    if crs is None:
        return None
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.name


def _crs_title(crs: CRS | None) -> str | None:
    """The name, or of what kind one without a name is."""
    if crs is None or crs.name.lower() not in ("unnamed", "unknown"):
        return crs.name if crs else None
    how = crs.coordinate_operation.method_name if crs.coordinate_operation else crs.type_name
    return f"a CRS without a name, {how}"


def _bands(scene: Scene, values: BandValues, valid: BandValid) -> list[dict[str, Any]]:
    info = scene.raster.info
    seen = dict(zip(scene.bands, ("red", "green", "blue") if len(scene.bands) == 3 else ("grey",), strict=True))
    bands: list[dict[str, Any]] = []
    for number, (dtype, colour, text) in enumerate(zip(info.dtypes, info.colours, info.descriptions, strict=True), 1):
        nodata = info.nodatas[number - 1]
        band = {
            "band": number,
            "type": dtype,
            "colour": colour,
            "description": text,
            "nodata": None if nodata is None else _finite(nodata) if np.isfinite(nodata) else str(nodata),
            "top": info.top(number),
            "min_is_white": info.inverted and colour != "alpha",
            "seen_as": seen.get(number),
        }
        if number in seen:
            at = scene.bands.index(number)
            data = values[at][valid[at]]
            band["range"] = [float(data.min()), float(data.max())] if len(data) else None
            band["valid"] = round(float(valid[at].mean()), 4)
        bands.append(band)
    return bands


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
