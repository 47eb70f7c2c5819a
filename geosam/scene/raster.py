"""Rasters: the facts about one, and what a scene needs of it.

A `Raster` deals in *levels* (0 the native grid, then the overviews) and whole pixels of a level; scaling to the working
grid, stretching and filling are the scene's work.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from affine import Affine
from jaxtyping import Bool, Float
from rasterio.windows import Window

from geosam.errors import OptionError, SceneError
from geosam.scene.control_points import ControlPoints

BandValues = Float[np.ndarray, "b h w"]
"""Source values of some bands: float32, or float64 where these could not be told apart (`RasterInfo.precision`)."""

BandValid = Bool[np.ndarray, "b h w"]
"""Which of them are data."""

Nodata = float | int | str | None
"""A user's word on no data: a value, `IGNORE_NODATA`, or None to believe the raster."""

IGNORE_NODATA = "none"

LONG = ("int32", "uint32", "int64", "uint64", "float64")
"""Types whose numbers float32 would round."""


def can_hold(dtype: str, value: float | int) -> bool:
    """Whether numbers of a type can be `value`, exactly for integers, after rounding for real numbers.

    Examples
    --------
    >>> can_hold("uint8", 255), can_hold("uint8", -9999), can_hold("uint8", 0.5), can_hold("uint8", float("nan"))
    (True, False, False, False)
    >>> can_hold("float32", 1e20), can_hold("float32", 1e300), can_hold("float32", float("nan"))
    (True, False, True)
    """
    kind = np.dtype(dtype).kind
    if kind not in "iub":
        with np.errstate(over="ignore"):
            return not np.isfinite(value) or bool(np.isfinite(np.dtype(dtype).type(value)))
    if not np.isfinite(value) or value != int(value):
        return False
    low, high = (0, 1) if kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= int(value) <= high


def nodatas_of(override: float | int | str, dtypes: tuple[str, ...]) -> tuple[float | int | None, ...]:
    """The user's value for no data for each band that can hold it; of `IGNORE_NODATA` none."""
    if isinstance(override, str):
        return (None,) * len(dtypes)
    return tuple(override if can_hold(dtype, override) else None for dtype in dtypes)


def check_nodata(value: Nodata, dtypes: tuple[str, ...]) -> None:
    """Find out whether a user's value for no data can occur in a raster.

    Raises
    ------
    OptionError
        If none of its types can hold it.
    """
    if value is None or isinstance(value, str) or any(can_hold(dtype, value) for dtype in dtypes):
        return
    raise OptionError(
        f"nodata={value} of a raster of {' and '.join(sorted(set(dtypes)))}",
        expected="a value that its pixels can have",
        hint='leave it out to believe the raster, or give "none" to take every pixel for data',
    )


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
        ``(h, w)`` of the native grid and of each overview that is used.
    nodatas
        One per band: the value that means no data (the user's, else the raster's own); None if there is none, or
        validity has another source.
    all_valid
        True if every pixel is data, so that no mask need be read.
    mapping, wkt
        Native pixel → world, and the CRS of that world (empty for none).
    fingerprint
        Identity of the content, 32 hex digits.
    bits
        One per band: how many bits of its integers are used, 0 for all.
    sources
        One per band: the band of the file that it is read from; empty if they are the same.
    palette
        True if the first three bands are the colours of a palette.
    inverted
        True if small numbers mean white (bands of alpha excepted).
    distrusted
        How many overviews are there but not used, since they do not show what the raster shows.
    notes
        What was assumed where the raster does not say enough, or contradicts itself; one sentence each.
    """

    source: str
    name: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    descriptions: tuple[str, ...]
    levels: tuple[tuple[int, int], ...]
    nodatas: tuple[float | int | None, ...]
    all_valid: bool
    mapping: Affine | ControlPoints
    wkt: str
    fingerprint: str
    bits: tuple[int, ...] = ()
    sources: tuple[int, ...] = ()
    palette: bool = False
    inverted: bool = False
    distrusted: int = 0
    notes: tuple[str, ...] = ()

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

    @property
    def nodata(self) -> float | None:
        """The first band's value for no data that there is; None if there is none."""
        return next((float(value) for value in self.nodatas if value is not None), None)

    def unsigned(self, band: int) -> bool:
        """True if a 1-based band holds unsigned integers."""
        return np.dtype(self.dtypes[band - 1]).kind in "bu"

    def precision(self, bands: tuple[int, ...]) -> type[np.floating]:
        """The real numbers that hold what some bands hold: float64 for long integers and float64, else float32."""
        return np.float64 if any(self.dtypes[band - 1] in LONG for band in bands) else np.float32

    def top(self, band: int) -> float | None:
        """Largest number that a 1-based band of unsigned integers may hold; None for other types."""
        if not self.unsigned(band) or self.dtypes[band - 1] == "bool":
            return None
        bits = self.bits[band - 1] if self.bits else 0
        return float(2**bits - 1 if bits else np.iinfo(self.dtypes[band - 1]).max)


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
