"""A label raster as runs of equal labels: a few per cent of its dense size, and as quick to count."""

from dataclasses import dataclass

import numpy as np

from geosam.arrays import Labels


@dataclass(frozen=True)
class Runs:
    """Runs of equal labels, row after row; one may go on from a row's end into the next.

    Attributes
    ----------
    width
        Pixels in a row.
    begins
        Where each run begins, counted through all rows.
    ends
        Where it ends, exclusive.
    values
        Its label.

    Examples
    --------
    >>> runs = Runs.encode(np.array([[0, 7, 7], [7, 0, 0]], np.int32))
    >>> runs.begins.tolist(), runs.values.tolist(), runs.decode(1, 2, np.arange(8)).tolist()
    ([0, 1, 4], [0, 7, 0], [[7, 0, 0]])
    """

    width: int
    begins: np.ndarray
    ends: np.ndarray
    values: np.ndarray

    @classmethod
    def encode(cls, labels: Labels) -> "Runs":
        """The runs of a raster that is not empty."""
        flat = labels.ravel()
        bounds = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]]).astype(np.int32)
        return cls(labels.shape[1], bounds[:-1], bounds[1:], flat[bounds[:-1]])

    def decode(self, first: int, last: int, lookup: np.ndarray) -> np.ndarray:
        """Rows ``first … last``, each label replaced by what `lookup` holds for it."""
        low, high = first * self.width, last * self.width
        begin, end = np.searchsorted(self.ends, low, "right"), np.searchsorted(self.begins, high, "left")
        lengths = np.minimum(self.ends[begin:end], high) - np.maximum(self.begins[begin:end], low)
        return np.repeat(lookup[self.values[begin:end]], lengths).reshape(last - first, self.width)

    def areas(self, count: int) -> np.ndarray:
        """Pixels of each label 1 … `count`."""
        return np.bincount(self.values, self.ends - self.begins, count + 1)[1:].astype(np.int32)

    def first_and_last(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """First and last pixel of each label 1 … `count`, counted through all rows; 0 for a label without pixels."""
        first, last = np.zeros((2, count + 1), np.int64)
        first[self.values[::-1]] = self.begins[::-1]
        last[self.values] = self.ends - 1
        return first[1:], last[1:]
