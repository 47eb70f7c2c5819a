"""The encoder's finest features, and how they lie over a window."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Float32

from geosam.embeddings import Embedding
from geosam.segmenter import Segmenter

STRIDE = 4
"""Window pixels to a cell of the mask logits, by which `logits_shape` tells how a window lies on a network's input."""


@dataclass(frozen=True, eq=False)
class FineFeatures:
    """Features on a grid over a window.

    Attributes
    ----------
    values
        ``c gh gw``; the first cell lies at the window's first pixel.
    extent
        ``(h, w)`` of the window in cells; the grid may be larger by less than a cell.
    """

    values: Float16[np.ndarray, "c gh gw"]
    extent: tuple[float, float]

    @classmethod
    def of(cls, embedding: Embedding, network: Segmenter) -> "FineFeatures":
        """The finest features of an embedding, cut to the window.

        Parameters
        ----------
        embedding
            The window's.
        network
            Whose `logits_shape` and `side` say how a window lies on its input.
        """
        fine = max(embedding.features.maps, key=lambda array: array.shape[1] * array.shape[2])
        extent = _extent(fine.shape[1:], embedding.shape, network)
        h, w = (int(np.ceil(length)) for length in extent)
        return cls(fine[:, :h, :w], extent)

    def cells(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Row, and column, of the grid that each row, and column, of the window's pixels lies in."""
        rows, cols = (
            ((np.arange(n) + 0.5) * length / n).astype(np.int64) for n, length in zip(shape, self.extent, strict=True)
        )
        return rows, cols

    def starts(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """First row, and column, of the window's pixels in each row, and column, of the grid."""
        rows, cols = (
            np.ceil(np.arange(g) * n / length - 0.5).clip(0, n - 1).astype(np.int64)
            for g, n, length in zip(self.values.shape[1:], shape, self.extent, strict=True)
        )
        return rows, cols

    def middles(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Row, and column, of the window's pixels in the middle of each row, and column, of the grid."""
        rows, cols = (
            ((np.arange(g) + 0.5) * n / length).clip(0, n - 1).astype(np.int64)
            for g, n, length in zip(self.values.shape[1:], shape, self.extent, strict=True)
        )
        return rows, cols

    def enlarge(self, values: Float32[np.ndarray, "gh gw"], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
        """Bilinear interpolation of something on this grid at the window's pixels.

        Examples
        --------
        >>> fine = FineFeatures(np.zeros((1, 1, 2), np.float16), (1.0, 2.0))
        >>> fine.enlarge(np.array([[0, 8]], np.float32), (1, 4))[0].tolist()
        [0.0, 2.0, 6.0, 8.0]
        """
        for axis, size in enumerate(shape):
            at = (np.arange(size) + 0.5) * self.extent[axis] / size - 0.5
            at = np.clip(at, 0, values.shape[axis] - 1)
            low = at.astype(np.int64)
            high = np.minimum(low + 1, values.shape[axis] - 1)
            share = (at - low).astype(np.float32)
            share = share[:, None] if axis == 0 else share
            values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
        return values


def _extent(grid: tuple[int, ...], shape: tuple[int, int], network: Segmenter) -> tuple[float, float]:
    """``(h, w)`` of a window in cells of a grid that may reach beyond it, where the input was padded."""
    gh, gw = grid
    for stride in (1, 2, 4, 8, 16):  # not resampled: padded to a multiple of 32 pixels
        if all(-(-n // 32) * 32 == g * stride for n, g in zip(shape, grid, strict=True)):
            return shape[0] / stride, shape[1] / stride
    whole = network.side // STRIDE
    mh, mw = network.logits_shape(shape)
    if max(mh, mw) > whole or gh != gw:
        return float(gh), float(gw)
    scale = max(mh, mw)
    return gh * mh / scale, gw * mw / scale
