"""A raster that rasterio opens: whole pixels of a file at one of its overview levels."""

import os
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Interleaving
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geosam.errors import SceneError, SceneReadError
from geosam.scene.header import describe
from geosam.scene.raster import BandValid, BandValues, Nodata, RasterInfo
from geosam.scene.stored import read_stored

MOST_DATASETS = 4
NO_OVERVIEWS = -1
"""Level that is the native grid, decimated from its own pixels and not from overviews."""

REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "VSI_CACHE": "TRUE",
}


@dataclass(frozen=True)
class FileRaster:
    """A raster that rasterio opens: local, remote, virtual, with overviews, masks, alpha, a palette.

    Each thread opens its own dataset when it first reads (GDAL datasets must not be shared), so that a `FileRaster`
    pickles and may be read from many threads.
    """

    path: str
    info: RasterInfo
    override: Nodata = None

    @classmethod
    def open(cls, path: str, *, nodata: Nodata = None) -> "FileRaster":
        """Look a raster up.

        Parameters
        ----------
        path
            Anything that rasterio opens.
        nodata
            Value to be taken for no data, instead of the raster's own nodata, alpha and masks; "none" takes every
            pixel for data.

        Raises
        ------
        SceneError
            If it cannot be opened, or is no raster of numbers.
        """
        try:
            with _environment(path), _open(path, 0) as dataset:
                return cls(path, describe(path, dataset, nodata), nodata)
        except (RasterioError, OSError) as error:
            raise _cannot_open(path, error) from None

    def read(self, bands: tuple[int, ...], window: Window, level: int) -> tuple[BandValues, BandValid]:
        """See `Raster.read`; raises `SceneReadError` where the file is damaged."""
        return self._read(bands, level, window=window)

    def thumbnail(self, bands: tuple[int, ...], side: int) -> tuple[BandValues, BandValid]:
        """See `Raster.thumbnail`; served from overviews."""
        factor = max(1.0, max(self.info.shape) / side)
        h, w = (max(1, round(n / factor)) for n in self.info.shape)
        return self._read(bands, NO_OVERVIEWS if self.info.distrusted else 0, shape=(h, w))

    def block_bytes(self, bands: tuple[int, ...], side: int) -> int:
        """Most bytes that GDAL decodes for a window of `side` native pixels: whole blocks, and a mask.

        Of bands that lie interleaved, all are decoded to read any.
        """
        try:
            with _environment(self.path):
                dataset = _dataset(self.path, 0, self.info.fingerprint)
                shape, block, decoded = dataset.shape, dataset.block_shapes[0], bands
                if dataset.interleaving == Interleaving.pixel:
                    decoded = tuple(range(1, len(self.info.dtypes) + 1))
        except (RasterioError, OSError) as error:
            raise _cannot_open(self.path, error) from None
        h, w = (b * min(ceil((side - 1) / b) + 1, ceil(n / b)) for n, b in zip(shape, block, strict=True))
        return h * w * (1 + sum(np.dtype(self.info.dtypes[band - 1]).itemsize for band in decoded))

    def layout(self) -> dict[str, Any]:
        """How the file keeps its pixels, in plain values: driver, blocks, compression, scale and offset of bands."""
        with _environment(self.path):
            dataset = _dataset(self.path, 0, self.info.fingerprint)
            scaled = any(scale != 1 for scale in dataset.scales) or any(offset != 0 for offset in dataset.offsets)
            return {
                "driver": dataset.driver,
                "bands": dataset.count,
                "block": list(dataset.block_shapes[0][::-1]),
                "compression": dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION"),
                "interleaving": dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE"),
                "colour_space": dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE"),
                "scale_offset": list(zip(dataset.scales, dataset.offsets, strict=True)) if scaled else None,
            }

    def _read(
        self,
        bands: tuple[int, ...],
        level: int,
        *,
        window: Window | None = None,
        shape: tuple[int, int] | None = None,
    ) -> tuple[BandValues, BandValid]:
        try:
            with _environment(self.path):
                dataset = _dataset(self.path, level, self.info.fingerprint)
                size = (round(window.height), round(window.width)) if window else shape or dataset.shape
                values, valid = read_stored(dataset, self.info, bands, window=window, size=size, override=self.override)
        except (RasterioError, OSError) as error:
            where = f"window {_text(window)}" if window else "the whole raster, decimated"
            raise SceneReadError(
                f"{self.path}: {where}, level {level} cannot be read ({_reason(error)})",
                expected="an undamaged file",
                hint="check it with `gdalinfo -checksum`, or fetch it again",
            ) from None
        return values, _share(valid) if all(self.info.unsigned(band) for band in bands) else valid

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


_opened = threading.local()
_quiet = threading.Lock()


def _open(path: str, level: int) -> DatasetReader:
    """Open one level of a dataset; a raster without georeferencing is nothing to warn of here."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        if level:
            return rasterio.open(
                path, sharing=False, OVERVIEW_LEVEL="NONE" if level == NO_OVERVIEWS else str(level - 1)
            )
        return rasterio.open(path, sharing=False)


def _dataset(path: str, level: int, fingerprint: str) -> DatasetReader:
    """Dataset of the calling thread, opened at its first use; each thread keeps the few that it used last."""
    held: OrderedDict[tuple[int, str, int, str], DatasetReader] = _opened.__dict__.setdefault("held", OrderedDict())
    key = (os.getpid(), path, level, fingerprint)
    if key not in held:
        held[key] = _open(path, level)
        while len(held) > MOST_DATASETS:
            held.popitem(last=False)[1].close()
    held.move_to_end(key)
    return held[key]


def _environment(path: str) -> rasterio.Env:
    """GDAL's options for remote files; those that the user has set stay."""
    remote = "://" in path or any(f"/vsi{kind}" in path for kind in ("curl", "s3", "gs", "az", "adls", "oss", "swift"))
    options: dict[str, Any] = {name: value for name, value in REMOTE.items() if remote and name not in os.environ}
    return rasterio.Env(**options)


def _share(valid: BandValid) -> BandValid:
    """A pixel of unsigned integers is data if any band is: nodata in one alone is a dark or saturated pixel."""
    return np.broadcast_to(valid.any(axis=0), valid.shape)


def _cannot_open(path: str, error: Exception) -> SceneError:
    local = "://" not in path and not path.startswith("/vsi") and ":" not in path[2:]
    if local and not Path(path).exists():
        return SceneError(f"{path} does not exist", expected="the path or URI of a raster")
    return SceneError(f"{path} cannot be opened ({_reason(error)})", expected="a raster that GDAL reads")


def _reason(error: Exception) -> str:
    """What GDAL said, in one line: the cause that rasterio wraps, if there is one."""
    said = error.__cause__ or error
    return " ".join(str(said).split())[:200]


def _text(window: Window) -> str:
    width, height = round(window.width), round(window.height)
    return f"{width} x {height} px at column {round(window.col_off)}, row {round(window.row_off)}"
