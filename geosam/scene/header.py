"""What the header of an open dataset says: bands, levels, nodata, georeference."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.io import DatasetReader

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints
from geosam.scene.raster import IGNORE_NODATA, Nodata, RasterInfo

PALETTE = ("red of the palette", "green of the palette", "blue of the palette")


def describe(path: str, dataset: DatasetReader, override: Nodata = None) -> RasterInfo:
    """The facts about an open dataset but its fingerprint; `override` is the user's word on nodata."""
    if dataset.count == 0 and dataset.subdatasets:
        raise SceneError(
            f"{path} holds {len(dataset.subdatasets)} rasters",
            expected="one",
            hint=f"name one of them, such as {dataset.subdatasets[0]}",
        )
    dtypes = tuple(str(dtype) for dtype in dataset.dtypes)
    colours = tuple(colour.name for colour in dataset.colorinterp)
    descriptions = tuple(text or "" for text in dataset.descriptions)
    masked = any("all_valid" not in [flag.name for flag in flags] for flags in dataset.mask_flag_enums)
    if colours == ("palette",):
        dtypes, colours, descriptions, masked = ("uint8",) * 3, ("red", "green", "blue"), PALETTE, True
    real = any(np.dtype(dtype).kind == "f" for dtype in dtypes if not dtype.startswith("complex"))
    mapping, wkt = _georeference(path, dataset)
    own = next((float(value) for value in dataset.nodatavals if value is not None), None)
    return RasterInfo(
        source=path,
        name=Path(path.split("?", maxsplit=1)[0]).stem or path,
        dtypes=tuple("complex64" if dtype.startswith("complex") else dtype for dtype in dtypes),
        colours=colours,
        descriptions=descriptions,
        levels=_levels(dataset),
        nodata=own if override is None else None if isinstance(override, str) else float(override),
        all_valid=not real and (override == IGNORE_NODATA or (override is None and not masked)),
        mapping=mapping,
        wkt=wkt,
        fingerprint="",
    )


def _levels(dataset: DatasetReader) -> tuple[tuple[int, int], ...]:
    """Shapes of the native grid and of the overviews that all bands share."""
    factors = {band: dataset.overviews(band) for band in dataset.indexes}
    count = min(len(found) for found in factors.values())
    h, w = dataset.shape
    return ((h, w), *((math.ceil(h / f), math.ceil(w / f)) for f in factors[1][:count]))


def _georeference(path: str, dataset: DatasetReader) -> tuple[Affine | ControlPoints, str]:
    """Native pixel → world, and the WKT of that world's CRS."""
    points, points_crs = dataset.gcps
    if points and dataset.transform.is_identity:
        crs = points_crs or dataset.crs
        world = np.array([(point.x, point.y) for point in points])
        if crs and crs.is_geographic and np.ptp(world[:, 0]) > 180:  # a scene on the antimeridian
            world[:, 0] %= 360
        pixels = tuple((float(point.col), float(point.row)) for point in points)
        return ControlPoints(pixels, tuple(map(tuple, world.tolist())), _wkt(path, crs)), _wkt(path, crs)
    if dataset.transform.is_degenerate:
        problem = f"{path} has the transform {tuple(dataset.transform)[:6]}"
        raise SceneError(problem, expected="one that can be inverted")
    return dataset.transform, _wkt(path, dataset.crs)


def _wkt(path: str, crs: Any) -> str:
    if not crs:
        return ""
    try:
        return CRS.from_wkt(crs.to_wkt()).to_wkt()
    except CRSError as error:
        raise SceneError(
            f"{path} has a CRS that PROJ does not know ({error})", hint="assign another with rio edit-info"
        ) from None
