"""One stretch for a whole scene: source values to the 8-bit pixels that networks see.

A stretch per tile would show the same ground differently in neighbouring tiles (by up to 55 of 255, measured); this
one is measured once per scene and band from a decimated, nodata-aware read, and recorded in the output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from geosam.errors import OptionError

PERCENTILES = (2.0, 98.0)

MIDDLE = 0.4
"""Where the median of a scene is brought to, from 0 to 1, if it lies below: about as bright as pictures are that people
look at and networks learn from. Measurements of light, radiance or reflectance, are darker."""

DISPLAY = 1 / 2.2
"""Least exponent by which a scene is made brighter; that of a display."""

StretchLike = str | tuple[Any, ...] | list[Any]


@dataclass(frozen=True)
class Stretch:
    """From ``[low, high]`` of each band to ``[0, 255]``, clipped; between them linear, or a power.

    Attributes
    ----------
    low, high
        One number per band, in source values.
    method
        How they were found: "identity", "percentile", "minmax" or "given".
    gamma
        Exponent between them, for all bands alike: 1 is linear, less makes what is dark brighter.

    Raises
    ------
    OptionError
        If a band's numbers are not finite, or not in order, or the exponent is not above 0.

    Examples
    --------
    >>> Stretch((0.0,), (1000.0,), "given").apply(np.float32([[[0, 500, 2000]]]))
    array([[[  0, 128, 255]]], dtype=uint8)
    >>> Stretch((0.0,), (1000.0,), "given", gamma=0.5).apply(np.float32([[[0, 250, 1000]]]))
    array([[[  0, 128, 255]]], dtype=uint8)
    """

    low: tuple[float | int, ...]
    high: tuple[float | int, ...]
    method: str = "given"
    gamma: float | int = 1.0

    def __post_init__(self) -> None:
        pairs = list(zip(self.low, self.high, strict=False))
        if len(self.low) != len(self.high) or not all(np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs):
            raise OptionError(
                f"a stretch from {self.low} to {self.high}",
                expected="one finite low below one finite high for each band",
            )
        if not 0 < self.gamma < np.inf:
            raise OptionError(f"a stretch with gamma={self.gamma}", expected="an exponent above 0")

    def apply(self, values: Float[np.ndarray, "b h w"]) -> UInt8[np.ndarray, "b h w"]:
        """Pixels of source values; what is not a number becomes 0."""
        if self.method == "identity":
            return values.astype(np.uint8)
        low, high = (np.array(side, np.float64)[:, None, None] for side in (self.low, self.high))
        scale, offset = (255 / (high - low)).astype(values.dtype), low.astype(values.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.clip((values - offset) * scale, 0, 255)
            if self.gamma != 1:
                scaled = 255 * (scaled * values.dtype.type(1 / 255)) ** values.dtype.type(self.gamma)
            scaled = np.rint(scaled)
        return np.nan_to_num(scaled, copy=False).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the record of an output."""
        record = {"method": self.method, "low": [float(v) for v in self.low], "high": [float(v) for v in self.high]}
        return record if self.gamma == 1 else record | {"gamma": float(self.gamma)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Stretch":
        """The stretch that `to_dict` recorded."""
        return cls(tuple(record["low"]), tuple(record["high"]), record["method"], record.get("gamma", 1.0))

    def brightened(self, values: Float[np.ndarray, "b h w"], valid: Bool[np.ndarray, "b h w"]) -> "Stretch":
        """The stretch that brings the median of a sample up to `MIDDLE`, if it lies below.

        One exponent serves all bands, so that what is grey stays grey.

        Examples
        --------
        >>> dark = np.linspace(0, 1, 101, dtype=np.float32)[None, None] ** 2
        >>> round(float(Stretch((0.0,), (1.0,)).brightened(dark, dark >= 0).gamma), 2)
        0.66
        """
        bands = zip(values, valid, self.low, self.high, strict=True)
        seen = [np.clip((band[ok].astype(np.float64) - low) / (high - low), 0, 1) for band, ok, low, high in bands]
        middle = float(np.median(np.concatenate(seen))) if any(map(len, seen)) else MIDDLE
        if middle >= MIDDLE:
            return self
        gamma = np.log(MIDDLE) / np.log(max(middle, 1e-9))
        return replace(self, gamma=float(max(gamma, DISPLAY)))


def identity(bands: int) -> Stretch:
    """The stretch that leaves 8-bit values as they are."""
    return Stretch((0.0,) * bands, (255.0,) * bands, "identity")


def given(bounds: Sequence[Any], bands: int) -> Stretch:
    """The stretch of explicit ``(low, high)``, each one number or one per band.

    Examples
    --------
    >>> given((0, [100, 200, 300]), 3).high
    (100.0, 200.0, 300.0)
    """
    try:
        low, high = (np.broadcast_to(np.asarray(side, float), bands).tolist() for side in bounds)
    except (TypeError, ValueError):
        raise OptionError(
            f"stretch={bounds!r}", expected=f'"auto", "percentile", "minmax" or (low, high) for {bands} bands'
        ) from None
    return Stretch(tuple(low), tuple(high), "given")


def measure(
    values: Float[np.ndarray, "b h w"], valid: Bool[np.ndarray, "b h w"], method: str = "percentile"
) -> Stretch:
    """The stretch of a sample of a scene: its 2nd and 98th percentiles, or its extremes.

    Bands that are constant, or have no data, get bounds that cannot divide by zero.
    """
    bounds = [_bounds(band[ok], method) for band, ok in zip(values, valid, strict=True)]
    return Stretch(tuple(low for low, _ in bounds), tuple(high for _, high in bounds), method)


def _bounds(sample: np.ndarray, method: str) -> tuple[float, float]:
    if not len(sample):
        return 0.0, 1.0
    sample = sample.astype(np.float64)
    low, high = np.percentile(sample, PERCENTILES) if method == "percentile" else (sample.min(), sample.max())
    if high <= low:
        low, high = sample.min(), sample.max()
    if high <= low:
        high = low + max(1.0, abs(low) * 1e-6)
    return float(low), float(high)
