"""How far two dates lie beside each other: sub-pixel phase correlation over many windows, robustly joined.

Each window's spectra are multiplied and their lengths divided out, so that only the shift is left in the phases
(Kuglin & Hines 1975); the peak is found on a fine lattice by a matrix product (Guizar-Sicairos et al. 2008). Windows
whose peak is not clear, or that disagree with the rest, are told apart and not counted. The pair's shift is the peak of
the sum of all windows' correlation surfaces, near those that count: a mean of single peaks changes with whichever
windows happen to count.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64
from scipy import ndimage

from geosam.change.pair import Pair
from geosam.errors import OptionError
from geosam.scene.grid import window_at

SIDE = 256
"""Side of a window in px: large enough for a clear peak where much has changed."""

MOST = 8
"""Windows along each side of the scene at most."""

LEAST_SEEN = 0.6
"""Share of a window that both dates must show."""

FINE = 40
"""Steps per pixel of the last search."""

CLEAR = 7.0
"""Peak over the spread of the correlation surface from which a window counts. Windows of unrelated pictures stay below
6 of 65,536 places."""

CUTOFF = 0.2
"""Standard deviation, in cycles per pixel, of the low-pass weight: finer detail is noise, sampling and shadow."""

AGREED_PX = 4.0
"""Distance within which windows agree: relief and lean move places by so much against each other."""

BLUR_PX = 1.0
"""Standard deviation by which the sum of all surfaces is smoothed: relief and lean set peaks of windows apart."""

AGREED_SHARE = 0.25
"""Share of the clear windows that must agree for a shift to be believed."""


Phases = Complex128[np.ndarray, "h w"]
"""Spectrum of a correlation surface."""


LEAST_PX = 0.2
"""Shift from which one is taken out: less is not told from none, and taking it out blurs one of the dates."""


@dataclass(frozen=True)
class WindowShift:
    """What one window says: its middle and shift in px of the grid, how clear the peak is, and whether it counts."""

    x_px: float
    y_px: float
    dx_px: float
    dy_px: float
    clarity: float
    counts: bool


@dataclass(frozen=True)
class Registration:
    """How far the date after lies beside the date before.

    Attributes
    ----------
    shift_px
        ``(x, y)`` in pixels of the grid: what lies at p before lies at p + shift after. Zero where nothing was found.
    spread_px
        Scaled median deviation of the windows that count, larger axis; NaN if there are fewer than two.
    resolution_m
        Metres per pixel.
    windows
        All windows that were looked at.
    """

    shift_px: tuple[float, float]
    spread_px: float
    resolution_m: float
    windows: tuple[WindowShift, ...]

    def __post_init__(self) -> None:
        if not np.isfinite(self.shift_px).all():
            raise OptionError(f"shift_px={self.shift_px}", expected="two finite numbers")

    @property
    def found(self) -> bool:
        """Whether any window counts, so that the shift means something."""
        return any(each.counts for each in self.windows)

    @property
    def matters(self) -> bool:
        """Whether the shift is so large that the dates are the more alike without it."""
        return self.found and float(np.hypot(*self.shift_px)) >= LEAST_PX

    def describe(self) -> str:
        """One sentence for reports.

        Examples
        --------
        >>> Registration((0.0, 0.0), float("nan"), 0.5, ()).describe()
        'shift not known: no window of both dates resembles the other clearly'
        """
        if not self.found:
            return "shift not known: no window of both dates resembles the other clearly"
        used = sum(each.counts for each in self.windows)
        x, y = self.shift_px
        spread = f"spread {self.spread_px:.2f} px over " if np.isfinite(self.spread_px) else "by "
        return (
            f"after lies {x:+.2f}, {y:+.2f} px beside before ({np.hypot(x, y) * self.resolution_m:.2f} m), "
            f"{spread}{used} of {len(self.windows)} windows"
        )


def register(pair: Pair, *, side: int = SIDE) -> Registration:
    """Estimate the shift between the dates of a pair.

    Parameters
    ----------
    pair
        The pair; its own shift is what is looked around, and part of the answer.
    side
        Side of a window in px.

    Raises
    ------
    OptionError
        If the side is smaller than 32.
    """
    if side < 32:
        raise OptionError(f"side={side}", expected="at least 32 pixels")
    rough = _look(pair, side, np.asarray(pair.shift_px, np.float64))
    if not rough.found:
        return rough
    return _look(pair, side, np.rint(rough.shift_px))


def _look(pair: Pair, side: int, around: Float64[np.ndarray, "2"]) -> Registration:
    """Shifts of all windows, seen with the dates already moved by `around`."""
    moved = pair.shifted((float(around[0]), float(around[1])))
    rows, total = [], 0
    for corner in _corners(pair.shape, side):
        phases = _phases_in(moved, corner, side)
        if phases is not None:
            shift, clarity = _peak(phases)
            middle = (corner[0] + phases.shape[1] / 2, corner[1] + phases.shape[0] / 2)
            rows.append((*middle, *(shift + around), clarity))
            total = total + phases
    table = np.array(rows, np.float64).reshape(-1, 5)
    counts = _agreeing(table)
    good = table[counts, 2:4]
    centre = np.zeros(2)
    if len(good):
        crowd = np.average(good, axis=0, weights=table[counts, 4]) - around
        centre = around + _peak(_blurred(np.asarray(total)), crowd)[0]
    spread = (
        float((1.4826 * np.median(np.abs(good - np.median(good, axis=0)), axis=0)).max()) if len(good) > 1 else np.nan
    )
    windows = tuple(
        WindowShift(float(x), float(y), float(dx), float(dy), float(clear), bool(ok))
        for (x, y, dx, dy, clear), ok in zip(table, counts, strict=True)
    )
    return Registration((float(centre[0]), float(centre[1])), spread, pair.resolution_m, windows)


def _corners(shape: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """Top left corners of the windows, spread evenly over the grid."""
    lists = []
    for length in shape:
        count = max(1, min(MOST, round(length / side)))
        lists.append(np.linspace(0, max(0, length - side), count).astype(int).tolist())
    return [(left, top) for top in lists[0] for left in lists[1]]


def _phases_in(pair: Pair, corner: tuple[int, int], side: int) -> Phases | None:
    """Phases of one window; None if too little of it is seen."""
    h, w = (min(side, length) for length in pair.shape)
    both = pair.read(window_at(*corner, w, h))
    if both.seen.mean() < LEAST_SEEN or min(h, w) < 16:
        return None
    return _phases(*(_detail(pixels, both.seen) for pixels in (both.before, both.after)))


def _detail(pixels: np.ndarray, seen: np.ndarray) -> Float64[np.ndarray, "h w"]:
    """Luminance without its slow part, fading out to the borders; nothing where nothing is seen."""
    grey = pixels.mean(axis=0, dtype=np.float64)
    weight = ndimage.gaussian_filter(seen.astype(np.float64), 8) + 1e-6
    slow = ndimage.gaussian_filter(np.where(seen, grey, 0), 8) / weight
    taper = np.outer(*(np.hanning(length + 2)[1:-1] for length in grey.shape))
    return np.where(seen, grey - slow, 0) * taper


def phase_shift(
    first: Float64[np.ndarray, "h w"], second: Float64[np.ndarray, "h w"]
) -> tuple[tuple[float, float], float]:
    """Shift ``(x, y)`` of the second picture against the first in px, and how clear its peak is.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> picture = ndimage.gaussian_filter(rng.normal(size=(96, 96)), 1.5)
    >>> (x, y), clarity = phase_shift(picture, np.roll(picture, (2, -3), (0, 1)))
    >>> round(x, 1), round(y, 1), clarity > CLEAR
    (-3.0, 2.0, True)
    """
    shift, clarity = _peak(_phases(first, second))
    return (float(shift[0]), float(shift[1])), clarity


def _phases(first: Float64[np.ndarray, "h w"], second: Float64[np.ndarray, "h w"]) -> Phases:
    """Product of two pictures' spectra, its lengths divided out, fine detail weighted down."""
    cross = np.conj(np.fft.fft2(first)) * np.fft.fft2(second)
    length = np.abs(cross)
    phases = np.where(length > 0, cross / np.maximum(length, 1e-300), 0)
    return phases * np.exp(-_squared_frequencies(phases.shape) / (2 * CUTOFF**2))


def _blurred(phases: Phases) -> Phases:
    """Phases whose correlation surface is that of others, smoothed by `BLUR_PX`."""
    return phases * np.exp(-2 * (np.pi * BLUR_PX) ** 2 * _squared_frequencies(phases.shape))


def _squared_frequencies(shape: tuple[int, ...]) -> Float64[np.ndarray, "h w"]:
    fy, fx = (np.fft.fftfreq(length) for length in shape)
    return fy[:, None] ** 2 + fx**2


def _peak(phases: Phases, near: Float64[np.ndarray, "2"] | None = None) -> tuple[Float64[np.ndarray, "2"], float]:
    """Highest place ``(x, y)`` of the correlation surface, near another if given, and its height over the spread."""
    h, w = phases.shape
    surface = np.fft.ifft2(phases).real
    spread = float(surface.std())
    if spread == 0:
        return np.zeros(2), 0.0
    rows, cols = (np.fft.fftfreq(length, 1 / length) for length in (h, w))
    if near is not None:
        surface[np.hypot(rows[:, None] - near[1], cols - near[0]) > AGREED_PX] = -np.inf
    row, col = np.unravel_index(int(surface.argmax()), surface.shape)
    steps = np.arange(-FINE, FINE + 1) / FINE
    y, x = rows[row] + steps, cols[col] + steps
    down = np.exp(2j * np.pi * np.outer(y, np.fft.fftfreq(h)))
    across = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(w), x))
    fine = (down @ phases @ across).real
    i, j = np.unravel_index(int(fine.argmax()), fine.shape)
    return np.array([x[j], y[i]]), float(surface.max()) / spread


def _agreeing(table: Float64[np.ndarray, "n 5"]) -> np.ndarray:
    """Which windows are clear and lie in the closest crowd; none where too few agree.

    The crowd is found as the window that most others, by their clarity, lie near to: unlike a median it holds where
    most windows are wrong, each in its own way.
    """
    clear = table[:, 4] >= CLEAR
    if not clear.any():
        return clear
    shifts, weight = table[:, 2:4], np.where(clear, table[:, 4], 0.0)
    near = np.hypot(*(shifts[:, None] - shifts[None]).transpose(2, 0, 1)) <= AGREED_PX
    first = int((near @ weight * clear).argmax())
    centre = np.average(shifts, axis=0, weights=weight * near[first])
    found = clear & (np.hypot(*(shifts - centre).T) <= AGREED_PX)
    least = 1 if len(table) < 4 else max(2, AGREED_SHARE * clear.sum())
    return found if found.sum() >= least else np.zeros(len(table), bool)
