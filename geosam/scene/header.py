"""What the header of an open dataset says: bands, levels, nodata, georeference, and the fingerprint of its content."""

import re
import warnings
from hashlib import blake2b
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

WHOLE_FILE_BYTES = 64 * 2**20
SAMPLES, SAMPLE_BYTES = 64, 64 * 2**10


def describe(path: str, dataset: DatasetReader, override: Nodata = None) -> RasterInfo:
    """The facts about an open dataset; `override` is the user's word on nodata.

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
        fingerprint=_fingerprint(path, dataset, override),
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


def _fingerprint(path: str, dataset: DatasetReader, override: Nodata) -> str:
    """Identity of the content of a raster and its side files.

    Local files count by their bytes (all of them up to 64 MB, beyond that size, time of change and 64 samples), not
    by where they lie; remote ones by address without its query (which may be a passing signature), size and tags.
    """
    digest = blake2b(digest_size=16)
    facts = (dataset.shape, dataset.dtypes, dataset.nodatavals, tuple(dataset.transform), repr(override))
    digest.update(repr(facts).encode())
    files = [Path(file) for file in dataset.files]
    if files and all(file.is_file() for file in files):
        for file in files:
            _digest_file(file, digest)
    else:
        tags = sorted(dataset.tags().items())
        digest.update(repr((path.split("?", maxsplit=1)[0], tags, dataset.block_shapes)).encode())
    return digest.hexdigest()


def _digest_file(file: Path, digest: blake2b) -> None:
    size = file.stat().st_size
    digest.update(str(size).encode())
    with file.open("rb") as stream:
        if size <= WHOLE_FILE_BYTES:
            while part := stream.read(2**20):
                digest.update(part)
            return
        digest.update(str(file.stat().st_mtime_ns).encode())
        for start in np.linspace(0, size - SAMPLE_BYTES, SAMPLES).astype(int).tolist():
            stream.seek(start)
            digest.update(stream.read(SAMPLE_BYTES))
