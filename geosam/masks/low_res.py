"""Low-res masks: at the decoder's sampling, packed into what decides their pixels, and their connected components.

A mask is the set of pixels whose bilinearly interpolated logit is positive. Where the four logits around a pixel
agree in sign, their values do not matter. So a `LowResMask` keeps one bit for each logit in the mask's box, and the
values only along the outline: some kilobytes instead of a quarter of a megabyte, and `render` still gives exactly the
mask that interpolating all logits gives.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage

from geosam.arrays import Patch

Grid = Float32[np.ndarray, "mh mw"]
"""Logits of one mask."""

DIAGONAL = np.ones((3, 3), bool)
"""Logits that touch at a corner belong to the same component: outlines at a quarter of the pixels are coarse."""


@dataclass(frozen=True, eq=False)
class LowResMask:
    """One mask at the decoder's sampling.

    Parameters
    ----------
    shape
        ``(mh, mw)`` of the logits of the whole window.
    box
        Half-open ``xyxy`` box of the positive logits, in logits.
    bits
        Which logits are positive, within the box and one logit around it; packed.
    rim
        Values of those logits, in reading order, whose sign differs from a neighbour's.
    area
        Number of positive logits.
    """

    shape: tuple[int, int]
    box: tuple[int, int, int, int]
    bits: np.ndarray
    rim: np.ndarray
    area: int

    @cached_property
    def outer(self) -> tuple[int, int, int, int]:
        """The box and one logit around it, as far as the window goes."""
        return _widen(self.box, self.shape)

    def inside(self) -> Bool[np.ndarray, "_ _"]:
        """Which logits of the outer box are positive."""
        x0, y0, x1, y1 = self.outer
        h, w = y1 - y0, x1 - x0
        return np.unpackbits(self.bits, count=h * w).reshape(h, w).view(bool)

    def logits(self) -> Float32[np.ndarray, "_ _"]:
        """Logits of the outer box: true ones along the outline, 1 and -1 elsewhere."""
        inside = self.inside()
        logits = np.where(inside, np.float32(1), np.float32(-1))
        logits[_outline(inside)] = self.rim
        return logits


def to_low_res(seen: Grid | Patch) -> LowResMask:
    """Pack the logits of a window into a mask; an empty mask has area 0 and a box of zeros.

    Parameters
    ----------
    seen
        All logits, or those of a patch.

    Examples
    --------
    >>> logits = np.full((4, 4), -2, np.float32)
    >>> logits[1, 2] = 3
    >>> mask = to_low_res(logits)
    >>> mask.box, mask.outer, mask.area
    ((2, 1, 3, 2), (1, 0, 4, 3), 1)
    """
    logits, (x, y), shape = seen if isinstance(seen, Patch) else Patch.of(seen)
    left, top, right, bottom = bounds(logits > 0)
    if not right:
        return LowResMask(shape, (0, 0, 0, 0), np.zeros(1, np.uint8), np.zeros(0, np.float32), 0)
    box = left + x, top + y, right + x, bottom + y
    x0, y0, x1, y1 = _widen(box, shape)
    here = logits[y0 - y : y1 - y, x0 - x : x1 - x]
    inside = here > 0
    return LowResMask(shape, box, np.packbits(inside), here[_outline(inside)], int(np.count_nonzero(inside)))


def stability(logits: Grid, offset: int | float) -> float:
    """IoU of the mask cut at ``+offset`` and the mask cut at ``-offset``, in [0, 1]; 0 if both are empty.

    A mask with a sharp outline hardly changes when its threshold does (Kirillov et al. 2023, appendix B).

    Examples
    --------
    >>> stability(np.array([[-2, -0.5, 0.5, 2]], np.float32), 1.0)
    0.3333333333333333
    """
    wide = int(np.count_nonzero(logits > -offset))
    return int(np.count_nonzero(logits > offset)) / wide if wide else 0.0


def shared_area(one: LowResMask, other: LowResMask) -> int:
    """Number of logits positive in both masks, which belong to the same window."""
    x0, y0 = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    x1, y1 = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    if x1 <= x0 or y1 <= y0:
        return 0
    return int(np.count_nonzero(_part(one, x0, y0, x1, y1) & _part(other, x0, y0, x1, y1)))


def iou_between(one: LowResMask, other: LowResMask) -> float:
    """IoU of two masks that belong to the same window, in [0, 1]; 0 if both are empty.

    Examples
    --------
    >>> one, other = (to_low_res(np.array([row], np.float32)) for row in ([1, 1, 1, -1], [-1, 1, 1, 1]))
    >>> iou_between(one, other)
    0.5
    """
    shared = shared_area(one, other)
    covered = one.area + other.area - shared
    return shared / covered if covered else 0.0


def _part(mask: LowResMask, *box: int) -> np.ndarray:
    x0, y0, x1, y1 = box
    left, top, *_ = mask.outer
    return mask.inside()[y0 - top : y1 - top, x0 - left : x1 - left]


def keep_components(
    seen: Grid | Patch,
    shape: tuple[int, int],
    points: Float32[np.ndarray, "p 2"],
    labels: Int64[np.ndarray, "p"],
) -> Float32[np.ndarray, "h w"]:
    """Keep the connected components of a mask on which an inside point lies.

    A small model that is asked with a click alone likes to answer with every roof of that colour; an object of a map is
    connected.

    Parameters
    ----------
    seen
        Logits of one mask that cover a window, at any sampling, or a patch of it.
    shape
        ``(h, w)`` of the window in pixels.
    points, labels
        Clicks in window pixels, ``(x, y)``; 1 inside, 0 outside, -1 padding. An inside point that lies on no component
        counts for the nearest one.

    Returns
    -------
    The logits; where a component goes, their sign is turned. All of them stay if there is no inside point.

    Examples
    --------
    >>> logits = np.array([[3, -1, 2, 2]], np.float32)
    >>> keep_components(logits, (4, 16), np.array([[9.0, 1.0]], np.float32), np.array([1])).tolist()
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
    stay[[_component(numbers, row, col) for row, col in cells.tolist()]] = True
    kept = logits.copy()
    kept[y0:y1, x0:x1][~stay[numbers] & (numbers > 0)] *= -1
    return kept


def _component(numbers: np.ndarray, row: int, col: int) -> int:
    """The number of the component at a place, or of the nearest one; of equals the first in reading order."""
    h, w = numbers.shape
    if 0 <= row < h and 0 <= col < w and numbers[row, col]:
        return int(numbers[row, col])
    rows, cols = np.nonzero(numbers)
    nearest = np.argmin((rows - row) ** 2 + (cols - col) ** 2)
    return int(numbers[rows[nearest], cols[nearest]])


def render(mask: LowResMask, shape: tuple[int, int]) -> tuple[tuple[int, int, int, int], Bool[np.ndarray, "_ _"]]:
    """Bring a mask to full resolution, in its own neighbourhood only.

    Interpolation is bilinear between the centres of the logits, as torch's ``interpolate(align_corners=False)``.

    Parameters
    ----------
    mask
        The mask.
    shape
        ``(h, w)`` of the window in pixels.

    Returns
    -------
    box, crop
        Half-open ``xyxy`` box in pixels outside which the mask is empty, and the mask in it.

    Examples
    --------
    >>> box, crop = render(to_low_res(np.array([[1, -1]], np.float32)), (1, 4))
    >>> box, crop.tolist()
    ((0, 0, 3, 1), [[True, True, False]])
    """
    left, top, *_ = mask.outer
    logits = mask.logits()
    spans = (mask.box[1::2], mask.box[::2])
    rows, cols = (_Taps.between(shape[axis], mask.shape[axis], spans[axis]) for axis in (0, 1))
    logits = rows.mix(logits[rows.low - top], logits[rows.high - top], axis=0)
    logits = cols.mix(logits[:, cols.low - left], logits[:, cols.high - left], axis=1)
    return (cols.start, rows.start, cols.start + len(cols), rows.start + len(rows)), logits > 0


@dataclass(frozen=True, eq=False)
class _Taps:
    """Which two logits along an axis each pixel lies between, and how near it is to the second."""

    start: int
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray

    @classmethod
    def between(cls, pixels: int, logits: int, span: tuple[int, ...]) -> "_Taps":
        """For those of the axis' pixels that look at a logit in `span`."""
        low, high, share = _axis(pixels, logits)
        # both run upwards, so the pixels that look at the span lie side by side
        looking = slice(int(np.searchsorted(high, span[0])), int(np.searchsorted(low, span[1])))
        return cls(looking.start, low[looking], high[looking], share[looking])

    def __len__(self) -> int:
        return len(self.low)

    def mix(self, low: np.ndarray, high: np.ndarray, *, axis: int) -> np.ndarray:
        share = self.share[:, None] if axis == 0 else self.share
        return low * (1 - share) + high * share


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open ``xyxy`` bounds of a mask, zeros if it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return 0, 0, 0, 0
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    cols = np.flatnonzero(mask[y0:y1].any(axis=0))
    return int(cols[0]), y0, int(cols[-1]) + 1, y1


def cell_of(point: Float32[np.ndarray, "2"], shape: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """Row and column, among ``cells`` logits, of a point in pixels of a window."""
    places = zip(point[::-1].tolist(), shape, cells, strict=True)
    row, col = (min(max(int(at * count / px), 0), count - 1) for at, px, count in places)
    return row, col


def _widen(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return max(0, x0 - 1), max(0, y0 - 1), min(shape[1], x1 + 1), min(shape[0], y1 + 1)


def _outline(inside: np.ndarray) -> np.ndarray:
    """Logits that belong to a two by two block of mixed signs."""
    padded = _pad(inside)
    pairs_any, pairs_all = padded[1:] | padded[:-1], padded[1:] & padded[:-1]
    mixed = (pairs_any[:, 1:] | pairs_any[:, :-1]) & ~(pairs_all[:, 1:] & pairs_all[:, :-1])
    rows = mixed[1:] | mixed[:-1]
    return rows[:, 1:] | rows[:, :-1]


@lru_cache(maxsize=64)
def _axis(pixels: int, logits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of an axis the logits before and after its centre, and the share of the second."""
    places = np.maximum((np.arange(pixels) + 0.5) * (logits / pixels) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), logits - 1)
    return low, np.minimum(low + 1, logits - 1), (places - low).astype(np.float32)


def _pad(inside: np.ndarray) -> np.ndarray:
    """Repeat the border once around; ten times quicker than ``np.pad`` on arrays this small."""
    h, w = inside.shape
    padded = np.empty((h + 2, w + 2), bool)
    padded[1:-1, 1:-1] = inside
    padded[0, 1:-1], padded[-1, 1:-1] = inside[0], inside[-1]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    return padded
