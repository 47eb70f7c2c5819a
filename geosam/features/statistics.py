"""Mean, standard deviation and quantiles of a band in every segment, as strips pass by."""

import numpy as np

from geosam.features.levels import COUNT, Levels

QUANTILES = (0.1, 0.5, 0.9)
"""Which quantiles: the middle, and the edges of what is usual; the outermost tenths are mixed pixels at borders."""


class Statistics:
    """Sums over segments of one band.

    Values are added in the order of the scene's pixels, one by one, so that the sums are the same to the last bit
    however the strips lie. Quantiles are counted in levels, for the segments that strips have touched and not passed.

    Attributes
    ----------
    count, total, squares
        Pixels of each segment; sums of their values' distances from the middle of the range, and of the squares.
    quantiles
        A column for each of `QUANTILES`; NaN for segments without pixels.
    """

    def __init__(self, levels: Levels, last_rows: np.ndarray) -> None:
        n = len(last_rows)
        self.levels, self._last_rows = levels, last_rows
        self._middle = levels.low + levels.step * COUNT / 2  # keeps squares small, and with them the rounding
        self.count, self.total, self.squares = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
        self.quantiles = np.full((n, len(QUANTILES)), np.nan)
        self._open, self._counts = np.zeros(0, np.int64), np.zeros((0, COUNT), np.int32)

    def add(self, rows: np.ndarray, values: np.ndarray, bottom: int) -> None:
        """Add pixels in the scene's order.

        Parameters
        ----------
        rows
            Segment of each pixel.
        values
            Its value, float64.
        bottom
            The row of the scene below the strip.
        """
        off = values - self._middle
        self.count += np.bincount(rows, minlength=len(self.count))
        np.add.at(self.total, rows, off)
        np.add.at(self.squares, rows, off * off)
        here, place = np.unique(rows, return_inverse=True)
        keys = place.astype(np.int64) * COUNT + self.levels.of(values[None])[0]
        counts = np.bincount(keys, minlength=len(here) * COUNT).astype(np.int32).reshape(-1, COUNT)
        both = np.union1d(here, self._open)
        joined = np.zeros((len(both), COUNT), np.int32)
        joined[np.searchsorted(both, self._open)] = self._counts
        joined[np.searchsorted(both, here)] += counts
        done = self._last_rows[both] <= bottom
        self.quantiles[both[done]] = self._quantiles(joined[done])
        self._open, self._counts = both[~done], joined[~done]

    def columns(self) -> np.ndarray:
        """``mean, std`` and the quantiles: a row for each segment, NaN for those without pixels."""
        self.quantiles[self._open] = self._quantiles(self._counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.count
            std = np.sqrt(np.maximum(self.squares / self.count - mean * mean, 0))
        return np.column_stack([mean + self._middle, std, self.quantiles])

    def _quantiles(self, counts: np.ndarray) -> np.ndarray:
        """For each row of counts the level below or in which a share of the pixels lies."""
        below = np.cumsum(counts, axis=1)
        wanted = [np.ceil(share * below[:, -1]).clip(1) for share in QUANTILES]
        return np.column_stack([self.levels.values((below < one[:, None]).sum(axis=1)) for one in wanted])
