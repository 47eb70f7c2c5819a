"""Scaling pixels to the working grid: area averages towards coarser grids, linear interpolation towards finer ones.

Weights depend on the position of a pixel in the scene alone and not on the window it is read through, so that windows
agree where they overlap. Pixels without data have no weight.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import csr_array

from geosam.scene.raster import BandValid, BandValues

SNAP = 1e-6


@dataclass(frozen=True)
class Axis:
    """Working pixels ``[start, stop)`` along one axis, as weighted sums of source pixels.

    Attributes
    ----------
    start, stop
        Working pixels.
    step
        Source pixels per working pixel.
    size
        Source pixels in all.
    origin
        Source coordinate of the edge of working pixel 0.

    Examples
    --------
    >>> axis = Axis(0, 2, step=1.5, size=3)
    >>> axis.first, axis.last, axis.weights.toarray().astype(float).round(2).tolist()
    (0, 3, [[0.67, 0.33, 0.0], [0.0, 0.33, 0.67]])
    """

    start: int
    stop: int
    step: float
    size: int
    origin: float = 0.0

    @property
    def plain(self) -> bool:
        """True if a working pixel is a source pixel."""
        return self.step == 1 and self.origin == int(self.origin)

    @cached_property
    def _edges(self) -> np.ndarray:
        """Source coordinates of the edges of the working pixels; whole numbers where they are meant to be."""
        edges = self.origin + np.arange(self.start, self.stop + 1) * self.step
        whole = np.rint(edges)
        return np.clip(np.where(np.abs(edges - whole) < SNAP, whole, edges), 0, self.size)

    @cached_property
    def _span(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last (exclusive) source pixel of each working pixel."""
        low, high = self._edges[:-1], self._edges[1:]
        if self.step < 1:
            centre = (low + high) / 2 - 0.5
            first = np.clip(np.floor(centre), 0, self.size - 1)
            return first.astype(int), np.minimum(first + 2, self.size).astype(int)
        return np.floor(low).astype(int), np.minimum(np.maximum(np.ceil(high), low + 1), self.size).astype(int)

    @property
    def first(self) -> int:
        """First source pixel needed."""
        return int(self._span[0].min())

    @property
    def last(self) -> int:
        """Last source pixel needed, exclusive."""
        return int(self._span[1].max())

    @cached_property
    def weights(self) -> csr_array:
        """One row per working pixel, one column per source pixel from `first` to `last`; rows sum to 1."""
        low, high = self._edges[:-1, None], self._edges[1:, None]
        first, last = (side[:, None] for side in self._span)
        column = first + np.arange(int((last - first).max()))
        if self.step < 1:
            weight = 1 - np.abs(np.clip((low + high) / 2 - 0.5, 0, self.size - 1) - column)
        else:
            weight = np.minimum(high, column + 1) - np.maximum(low, column)
        weight = np.where(column < last, np.maximum(weight, 0), 0)
        weight /= weight.sum(axis=1, keepdims=True)
        row = np.broadcast_to(np.arange(len(first))[:, None], column.shape)
        used = weight > 0
        shape = (len(first), self.last - self.first)
        return csr_array((weight[used], (row[used], column[used] - self.first)), shape=shape)


def resample(
    values: BandValues, valid: BandValid, rows: Axis, cols: Axis
) -> tuple[Float[np.ndarray, "b rows cols"], Bool[np.ndarray, "b rows cols"]]:
    """Weighted means of the pixels with data; a working pixel is data if at least half of it is."""
    if rows.plain and cols.plain:
        return values, valid
    size = (len(values), rows.stop - rows.start, cols.stop - cols.start)
    if valid.all():
        return _weigh(values, rows, cols).reshape(size), np.ones(size, bool)
    share = _weigh(valid.astype(values.dtype), rows, cols).reshape(size)
    total = _weigh(np.where(valid, values, 0), rows, cols).reshape(size)
    return total / np.maximum(share, values.dtype.type(SNAP)), share >= 0.5 - SNAP


def _weigh(bands: BandValues, rows: Axis, cols: Axis) -> np.ndarray:
    across, down = (axis.weights.astype(bands.dtype) for axis in (cols, rows))
    return np.stack([(across @ (down @ band).T).T for band in bands])
