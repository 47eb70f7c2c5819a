"""What the header of an open dataset says: bands, levels, nodata, georeference."""

import re
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from geosam.errors import SceneError
from geosam.paths import is_remote
from geosam.scene.overviews import PLACES, trusted_levels
from geosam.scene.place import place_of
from geosam.scene.raster import IGNORE_NODATA, Nodata, RasterInfo, check_nodata, nodatas_of
from geosam.scene.stored import stored_bands

MOST_CHOICES = 6
"""Rasters inside a file that are named where one must be chosen."""


def describe(path: str, dataset: DatasetReader, override: Nodata = None) -> RasterInfo:
    """The facts about an open dataset but its fingerprint; `override` is the user's word on nodata.

    Raises
    ------
    SceneError
        If it holds several rasters, lies nowhere that can be, or is no raster of numbers.
    OptionError
        If the user's value for no data cannot occur in it.
    """
    check_single(path, dataset)
    stored, place = stored_bands(dataset), place_of(path, dataset)
    levels, distrusted = trusted_levels(dataset, places=1 if is_remote(path) else len(PLACES))
    notes = (*place.notes, *stored.notes)
    if distrusted:
        notes += (f"its {distrusted} overviews do not show what its pixels show, and are not used: build them anew",)
    real = any(np.dtype(dtype).kind == "f" for dtype in stored.dtypes)
    info = RasterInfo(
        source=path,
        name=Path(path.split("?", maxsplit=1)[0]).stem or path,
        dtypes=stored.dtypes,
        colours=stored.colours,
        descriptions=stored.descriptions,
        levels=levels,
        nodatas=stored.nodatas if override is None else nodatas_of(override, stored.dtypes),
        all_valid=not real and (override == IGNORE_NODATA or (override is None and not stored.masked)),
        mapping=place.mapping,
        wkt=place.wkt,
        fingerprint="",
        bits=stored.bits,
        sources=stored.sources,
        palette=stored.palette,
        inverted=stored.inverted,
        distrusted=distrusted,
        notes=notes,
    )
    check_nodata(override, info.dtypes)
    return info


def check_single(path: str, dataset: DatasetReader) -> None:
    """Refuse a file that holds several rasters (pages, variables, products): which one is meant must be said.

    Raises
    ------
    SceneError
        Naming what there is to choose from; coordinates of images, of one dimension, are no choice.
    """
    tags, count = dataset.tags(ns="SUBDATASETS"), len(dataset.subdatasets)
    if dataset.count and (count < 2 or path in dataset.subdatasets):
        return
    found = [(tags.get(f"SUBDATASET_{n}_NAME", ""), tags.get(f"SUBDATASET_{n}_DESC", "")) for n in range(1, count + 1)]
    images = [(name, said) for name, said in found if _is_image(name, said)]
    if dataset.count and len(images) < 2:
        return
    if not images:
        raise SceneError(
            f"{path} holds no image that GDAL reads",
            expected="a raster of at least one band",
            hint="what xarray reads may be given as a DataArray",
        )
    pages = all(name.startswith("GTIFF_DIR:") for name, _ in images)
    noun = ("page" if pages else "raster") + "s" * (len(images) > 1)
    choices = [f"{name} ({said})" if said else name for name, said in images[:MOST_CHOICES]]
    more = [f"… and {len(images) - MOST_CHOICES} more"] * (len(images) > MOST_CHOICES)
    raise SceneError(
        f"{path} holds {len(images)} {noun}", expected="one of them by its name", hint="; ".join(choices + more)
    )


def _is_image(name: str, said: str) -> bool:
    """Whether a raster inside a file has two dimensions that are more than one pixel wide; if need be, it is opened."""
    sizes = re.search(r"\[(\d+(?:x\d+)*)\]", said)
    if sizes:
        return sizes[1].count("x") > 0
    if re.search(r"\d+P x \d+L", said):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(name) as inner:
                return inner.count > 0 and min(inner.shape) > 1
    except (RasterioError, OSError):
        return False
