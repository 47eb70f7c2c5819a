"""A raster that rasterio opens: whole pixels of a file at one of its overview levels."""

import logging
import re
from dataclasses import dataclass, field, fields, replace
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from rasterio.enums import Interleaving
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geosam.display import shown
from geosam.errors import GeosamError, SceneReadError
from geosam.paths import is_address
from geosam.scene.dataset import (
    NO_OVERVIEWS,
    RAISED,
    cannot_open,
    cannot_read,
    closing_unless_failed,
    dataset_of_thread,
    environment,
    forget,
    open_level,
)
from geosam.scene.fingerprint import Stamp, files_of, fingerprint
from geosam.scene.header import describe
from geosam.scene.origin import Origin
from geosam.scene.raster import BandValid, BandValues, Nodata, RasterInfo
from geosam.scene.stored import read_stored

_log = logging.getLogger(__name__)

LARGE_BLOCK_BYTES = 512 << 20
"""A block of all bands beyond which GDAL's cache does not keep it, so that each window decodes it again."""


@dataclass(frozen=True)
class FileRaster:
    """A raster that rasterio opens: local, remote, virtual, with overviews, masks, alpha, a palette.

    Each thread opens its own dataset when it first reads (GDAL datasets must not be shared), so that a `FileRaster`
    pickles and may be read from many threads.

    Attributes
    ----------
    origin
        What GDAL is given to open; may hold what nobody is to see, such as a signature.
    info
        The facts about it.
    override
        The user's word on nodata.
    stamps
        The local files that it is made of, as they were when it was looked up.
    """

    origin: Origin = field(repr=False)
    info: RasterInfo
    override: Nodata = None
    stamps: tuple[Stamp, ...] = field(default=(), repr=False)

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
            If it cannot be opened, is not what its name asks for, or is no raster of numbers.
        """
        origin = Origin.of(path)
        try:
            with environment(origin), closing_unless_failed(open_level(origin, 0)) as dataset:
                files = files_of(dataset, origin.files)
                stamps = tuple(stamp for stamp in map(Stamp.of, files) if stamp is not None)
                info = replace(
                    describe(path, dataset, nodata),
                    source=shown(path),
                    name=_name(path),
                    fingerprint=fingerprint(path, dataset, nodata, origin.files),
                )
                _warn_of_blocks(info, dataset)
        except GeosamError:
            raise
        except RAISED as error:
            raise cannot_open(path, error) from None
        opened = cls(origin, info, nodata, stamps)
        opened._check_unchanged()
        return opened

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
            with environment(self.origin):
                dataset = self._dataset(0)
                shape, block, decoded = dataset.shape, dataset.block_shapes[0], bands
                if dataset.interleaving == Interleaving.pixel:
                    decoded = tuple(range(1, len(self.info.dtypes) + 1))
        except RAISED as error:
            raise cannot_open(self.info.source, error) from None
        h, w = (b * min(ceil((side - 1) / b) + 1, ceil(n / b)) for n, b in zip(shape, block, strict=True))
        return h * w * (1 + sum(np.dtype(self.info.dtypes[band - 1]).itemsize for band in decoded))

    def layout(self) -> dict[str, Any]:
        """How the file keeps its pixels, in plain values: driver, blocks, compression, scale and offset of bands."""
        with environment(self.origin):
            dataset = self._dataset(0)
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
            with environment(self.origin):
                dataset = self._dataset(level)
                size = (round(window.height), round(window.width)) if window else shape or dataset.shape
                values, valid = read_stored(dataset, self.info, bands, window=window, size=size, override=self.override)
        except RAISED as error:
            forget(self.origin)
            self._check_unchanged()  # which explains it better than what GDAL says of half a file
            where = f"window {_text(window)}" if window else "the whole raster, decimated"
            raise cannot_read(f"{self.info.source}: {where}, level {level}", error) from None
        self._check_unchanged()
        return values, _share(valid) if all(self.info.unsigned(band) for band in bands) else valid

    def _dataset(self, level: int) -> DatasetReader:
        return dataset_of_thread(self.origin, level, self.info.fingerprint)

    def _check_unchanged(self) -> None:
        """Refuse pixels that may be others than those that the fingerprint stands for.

        Raises
        ------
        SceneReadError
            If a file is not as it was when the raster was looked up.
        """
        changed = next((stamp.path for stamp in self.stamps if not stamp.holds()), None)
        if changed is not None:
            what = "" if shown(changed) == self.info.source else f" ({changed})"
            raise SceneReadError(
                f"{self.info.source} has changed since it was opened{what}",
                expected="a scene that stays as it is while it is read",
                hint="run it again once nobody writes to it; nothing of the changed pixels was kept",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _name(path: str) -> str:
    """Short name of a raster: that of the last file in its path or address, without what follows it."""
    inner = re.search(r"[?&]url=([^&]*)", path)
    address = unquote(inner[1]) if inner and path.startswith("/vsi") else path
    end = re.split(r"[?#]", address)[0] if is_address(path) else address
    return shown(Path(end).stem) or shown(path)


def _warn_of_blocks(info: RasterInfo, dataset: DatasetReader) -> None:
    """Say so before the work, if each window decodes most of a large raster."""
    (h, w), bands = dataset.block_shapes[0], dataset.dtypes
    decoded = h * w * sum(np.dtype(dtype).itemsize for dtype in bands)
    if decoded > LARGE_BLOCK_BYTES and (dataset.compression or dataset.driver != "GTiff"):
        _log.warning(
            "%s is kept in blocks of %d x %d px: %.1f GB are decoded for each window, which takes long; "
            "`gdal_translate -of COG` makes a raster that can be read in parts",
            *(info.source, w, h, decoded / 1e9),
        )


def _share(valid: BandValid) -> BandValid:
    """A pixel of unsigned integers is data if any band is: nodata in one alone is a dark or saturated pixel."""
    return np.broadcast_to(valid.any(axis=0), valid.shape)


def _text(window: Window) -> str:
    width, height = round(window.width), round(window.height)
    return f"{width} x {height} px at column {round(window.col_off)}, row {round(window.row_off)}"
