"""Which segments touch, and over how many pixel sides."""

import numpy as np
from scipy.sparse import csr_array

_SHIFT = 32


class Neighbours:
    """Borders between segments, counted as strips pass by."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._keys, self._counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._row: np.ndarray | None = None

    def add(self, labels: np.ndarray) -> None:
        """Add a strip: segment of each pixel plus 1, 0 for none."""
        tall = labels if self._row is None else np.concatenate([self._row, labels])
        pairs = [(labels[:, :-1], labels[:, 1:]), (tall[:-1], tall[1:])]
        fresh = [_keys(one, other) for one, other in pairs]
        keys, counts = np.unique(np.concatenate(fresh), return_counts=True)
        self._keys, place = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        self._counts = np.bincount(place, np.concatenate([self._counts, counts])).astype(np.int64)
        self._row = labels[-1:].copy()

    def matrix(self) -> csr_array:
        """Pixel sides that segments share, symmetric."""
        one, other = self._keys >> _SHIFT, self._keys & ((1 << _SHIFT) - 1)
        ends = np.concatenate([one, other]) - 1, np.concatenate([other, one]) - 1
        borders = csr_array((np.tile(self._counts, 2).astype(float), ends), shape=(self._n, self._n))
        borders.sort_indices()
        return borders


def _keys(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A number for each pair of pixels that lie in different segments."""
    apart = (one != other) & (one > 0) & (other > 0)
    low, high = np.minimum(one[apart], other[apart]), np.maximum(one[apart], other[apart])
    return low.astype(np.int64) << _SHIFT | high
