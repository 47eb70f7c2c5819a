"""Rasters that say which object each pixel belongs to: by a number, or as masks whose connected pieces are objects."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Int32
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from geosam.errors import SceneReadError
from geosam.paths import for_gdal


def read_label_raster(path: Path, kind: str, shape: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
    """Read the objects of a picture, numbered from 1 without gaps, in their order; 0 where none is known.

    Parameters
    ----------
    path
        The raster. An alpha channel says nothing about objects; what it calls nodata, and what is no number, is none.
    kind
        ``ids`` for a number each, or ``mask`` for connected pieces of what is above half of the greatest value.
    shape
        ``(h, w)`` of the picture.

    Raises
    ------
    SceneReadError
        If it has another size, or its numbers lie in several bands that differ.
    """
    with warnings.catch_warnings(), for_gdal(path) as name:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(name) as file:
            colours = [band for band, what in enumerate(file.colorinterp, 1) if what != ColorInterp.alpha]
            values, nodata = file.read(colours or None), file.nodata
    if values.shape[1:] != shape:
        raise SceneReadError(f"labels of {values.shape[1:]} pixels", expected=f"{shape}, as the picture")
    values = np.where(np.isfinite(values) & (values != (np.nan if nodata is None else nodata)), values, 0)
    if kind == "mask":
        pieces = np.zeros(shape, np.int32)
        ndimage.label(values.max(0) > values.max() / 2, output=pieces)
        return pieces
    if (values != values[0]).any():
        raise SceneReadError(f"numbers in {len(values)} bands that differ", expected="one band with a number an object")
    there = np.maximum(values[0].astype(np.int64), 0)
    known, ids = np.unique(there, return_inverse=True)
    return (ids.reshape(shape) + (known[0] > 0)).astype(np.int32)
