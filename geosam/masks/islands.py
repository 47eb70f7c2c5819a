"""One click, one connected object: what a mask has elsewhere only looks alike.

A small network that is asked with a click alone likes to answer with every roof of that colour. An object of a map
is connected, so of a mask's islands those stay on which an inside point stands.
"""

import numpy as np
from jaxtyping import Float32, Int64
from scipy import ndimage

from geosam.arrays import Patch
from geosam.masks.sketch import bounds

DIAGONAL = np.ones((3, 3), bool)
"""Logits that touch at a corner belong to the same island: outlines at a quarter of the pixels are coarse."""


def keep_islands(
    seen: Float32[np.ndarray, "mh mw"] | Patch,
    shape: tuple[int, int],
    points: Float32[np.ndarray, "p 2"],
    labels: Int64[np.ndarray, "p"],
) -> Float32[np.ndarray, "h w"]:
    """Sink the islands of a mask on which no inside point stands.

    Parameters
    ----------
    seen
        Logits of one mask that cover a window, at any sampling, or a patch of it.
    shape
        ``(h, w)`` of the window in pixels.
    points, labels
        Clicks in window pixels, ``(x, y)``; 1 inside, 0 outside, -1 padding. An inside point that stands on no island
        counts for the nearest one.

    Returns
    -------
    The logits; where an island sank, their sign is turned. All of them stay if there is no inside point.

    Examples
    --------
    >>> logits = np.array([[3, -1, 2, 2]], np.float32)
    >>> keep_islands(logits, (4, 16), np.array([[9.0, 1.0]], np.float32), np.array([1])).tolist()
    [[-3.0, -1.0, 2.0, 2.0]]
    """
    logits, (left, top), full = seen if isinstance(seen, Patch) else Patch.of(seen)
    inside = points[labels == 1]
    positive = logits > 0
    x0, y0, x1, y1 = bounds(positive)
    numbers = np.zeros((y1 - y0, x1 - x0), np.int32)
    ndimage.label(positive[y0:y1, x0:x1], DIAGONAL, output=numbers)
    count = int(numbers.max(initial=0))
    if count < 2 or not len(inside):
        return logits
    cells = np.floor(inside[:, ::-1] * (np.array(full) / shape)).astype(np.int64) - (y0 + top, x0 + left)
    stay = np.zeros(count + 1, bool)
    stay[[_island(numbers, row, col) for row, col in cells.tolist()]] = True
    kept = logits.copy()
    kept[y0:y1, x0:x1][~stay[numbers] & (numbers > 0)] *= -1
    return kept


def _island(numbers: np.ndarray, row: int, col: int) -> int:
    """The number of the island at a place, or of the one that comes nearest; of equals the first in reading order."""
    h, w = numbers.shape
    if 0 <= row < h and 0 <= col < w and numbers[row, col]:
        return int(numbers[row, col])
    rows, cols = np.nonzero(numbers)
    nearest = np.argmin((rows - row) ** 2 + (cols - col) ** 2)
    return int(numbers[rows[nearest], cols[nearest]])
