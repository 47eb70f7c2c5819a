"""Bringing the colours of the date after to those of the date before, by what has not changed.

A gain and an offset for each band. Most ground stays as it is; the pixels that fit a line worst are left out, round by
round, and the line is fitted anew, as by pseudo-invariant features (Schott et al. 1988).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from geosam.change.pair import Pair, tiles
from geosam.errors import OptionError

ROUNDS = 4
"""Fits, each without what fitted worst before."""

KEPT = 0.6
"""Share of the pixels that are taken for unchanged: more than changes in nearly every pair of scenes."""

SAMPLE_PX = 200_000
"""Pixels that are looked at, at most."""

GAINS = (0.5, 2.0)
"""Gains between which a match is believed; beyond, the pictures do not show the same."""

LEAST_PX = 64
"""Pixels from which on a match is fitted."""


@dataclass(frozen=True)
class Radiometry:
    """Gain and offset for each band that bring 8-bit values after to those before.

    Attributes
    ----------
    gain, offset
        One per band: ``before ≈ gain * after + offset``.
    residual
        One per band: root mean square of what is left in the pixels taken for unchanged, in 8-bit values.
    pixels
        How many were looked at.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    residual: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pixels: int = 0

    def __post_init__(self) -> None:
        if not np.isfinite([*self.gain, *self.offset]).all() or min(self.gain) <= 0:
            raise OptionError(f"gain={self.gain}, offset={self.offset}", expected="finite numbers, gains above 0")

    def apply(self, pixels: np.ndarray) -> Float32[np.ndarray, "3 h w"]:
        """Values after, as if photographed on the date before.

        Examples
        --------
        >>> Radiometry((2.0, 1.0, 1.0), (1.0, 0.0, 0.0)).apply(np.full((3, 1, 1), 10, np.uint8)).ravel().tolist()
        [21.0, 10.0, 10.0]
        """
        gain, offset = (np.asarray(each, np.float32)[:, None, None] for each in (self.gain, self.offset))
        return pixels.astype(np.float32) * gain + offset


def match(pair: Pair, *, tile: int = 1024) -> Radiometry:
    """Fit gains and offsets to a pair, on pixels spread evenly over it; the same ones for any tile."""
    before, after = _sample(pair, tile)
    if len(before) < LEAST_PX:
        return Radiometry(pixels=len(before))
    lines = [fit_line(after[:, band], before[:, band]) for band in range(3)]
    gain, offset, residual = (tuple(values) for values in zip(*lines, strict=True))
    return Radiometry(gain, offset, residual, len(before))  # pyright: ignore[reportArgumentType]  # three bands


def fit_line(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> tuple[float, float, float]:
    """Gain, offset and residual of the line (reduced major axis) through the pixels that fit it best.

    Examples
    --------
    >>> x = np.linspace(0, 200, 400)
    >>> y = 0.8 * x + 12
    >>> y[:100] = 255
    >>> [round(value, 2) for value in fit_line(x, y)]
    [0.8, 12.0, 0.0]
    """
    gain = _spread(y) / max(_spread(x), 1e-6)
    gain = float(np.clip(gain, *GAINS))
    offset = float(np.median(y) - gain * np.median(x))
    best = np.ones(len(x), bool)
    for _ in range(ROUNDS):
        left = np.abs(y - gain * x - offset)
        best = left <= np.quantile(left, KEPT)
        sx, sy = float(x[best].std()), float(y[best].std())
        gain = float(np.clip(sy / sx, *GAINS)) if sx > 1e-6 else 1.0
        offset = float(y[best].mean() - gain * x[best].mean())
    return gain, offset, float(np.sqrt(np.mean((y - gain * x - offset)[best] ** 2)))


def _spread(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _sample(pair: Pair, tile: int) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Values of both dates in every k-th row and column where both are seen."""
    h, w = pair.shape
    step = max(1, int(np.ceil(np.sqrt(h * w / SAMPLE_PX))))
    parts: list[tuple[np.ndarray, ...]] = [(np.zeros((0, 3)), np.zeros((0, 3)))]
    for window in tiles(pair.shape, tile):
        both = pair.read(window)
        rows = slice(-round(window.row_off) % step, None, step)
        cols = slice(-round(window.col_off) % step, None, step)
        seen = both.seen[rows, cols]
        parts.append(tuple(each[:, rows, cols][:, seen].T.astype(np.float64) for each in (both.before, both.after)))
    before, after = zip(*parts, strict=True)
    return np.concatenate(before), np.concatenate(after)
