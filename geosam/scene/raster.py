"""Rasters: the facts about one, and what a scene needs of it.

A `Raster` deals in *levels* (0 the native grid, then the overviews) and whole pixels of a level; scaling to the working
grid, stretching and filling are the scene's work.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from affine import Affine
from jaxtyping import Bool, Float32
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints

BandValues = Float32[np.ndarray, "b h w"]
"""Source values of some bands."""

BandValid = Bool[np.ndarray, "b h w"]
"""Which of them are data."""

Nodata = float | int | str | None
"""A user's word on no data: a value, `IGNORE_NODATA`, or None to believe the raster."""

IGNORE_NODATA = "none"


@dataclass(frozen=True)
class RasterInfo:
    """The facts about a raster that do not need its pixels.

    Attributes
    ----------
    source
        Path, URI or a word for an array.
    name
        Short name, for a column of the output.
    dtypes, colours, descriptions
        One per band: element type, colour interpretation ("red", "gray", "alpha", ...), free text.
    levels
        ``(h, w)`` of the native grid and of each overview.
    nodata
        The value that means no data (the user's, else the raster's own); None if there is none, or validity has
        another source.
    all_valid
        True if every pixel is data, so that no mask need be read.
    mapping, wkt
        Native pixel → world, and the CRS of that world (empty for none).
    fingerprint
        Identity of the content, 32 hex digits.
    """

    source: str
    name: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    descriptions: tuple[str, ...]
    levels: tuple[tuple[int, int], ...]
    nodata: float | None
    all_valid: bool
    mapping: Affine | ControlPoints
    wkt: str
    fingerprint: str

    def __post_init__(self) -> None:
        if not self.dtypes or min(self.shape) < 1:
            raise SceneError(f"{self.source} has {len(self.dtypes)} bands of {self.shape} pixels", expected="a raster")
        odd = [dtype for dtype in self.dtypes if np.dtype(dtype).kind not in "buif"]
        if odd:
            raise SceneError(
                f"{self.source} has pixels of type {odd[0]}",
                expected="integers or real numbers",
                hint="convert complex pixels to amplitude or decibels first",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """``(h, w)`` in native pixels."""
        return self.levels[0]

    def unsigned(self, band: int) -> bool:
        """True if a 1-based band holds unsigned integers."""
        return np.dtype(self.dtypes[band - 1]).kind in "bu"


@runtime_checkable
class Raster(Protocol):
    """What a scene reads from."""

    @property
    def info(self) -> RasterInfo:
        """The facts about it."""
        ...

    def read(self, bands: tuple[int, ...], window: Window, level: int) -> tuple[BandValues, BandValid]:
        """Values and validity of whole pixels of a level, in a window that lies inside it."""
        ...

    def thumbnail(self, bands: tuple[int, ...], side: int) -> tuple[BandValues, BandValid]:
        """The whole raster decimated (nearest pixel) to at most `side` pixels a side."""
        ...
