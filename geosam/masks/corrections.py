"""What a corrective click leaves alone.

It tells as well that the mask is right elsewhere, or wrong by less: else the click would be there. How deep it lies in
what is wrong tells how wide that is. So an inside click only adds, an outside one only takes away, both near the
outline; all else stays. A model that decodes one click more is free to answer with something else altogether, and does:
a click beside the good outline of a lorry made of it the lorry and its neighbour. (That a good mask must not be lost,
Chen et al. 2022 say in "FocalClick" as well.)
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from geosam.arrays import Patch
from geosam.masks.low_res import bounds, cell_of

NOTHING = -8.0
"""Logit of a window beyond the patch of which its logits are known: surely not the object."""


class Correction(NamedTuple):
    """A mask as it was, and where a click lets it change.

    Attributes
    ----------
    before
        The mask's logits, which cover the window.
    free
        Where others may take their place.
    """

    before: Float32[np.ndarray, "h w"]
    free: Bool[np.ndarray, "h w"]

    @classmethod
    def at(
        cls, mask: Patch, shape: tuple[int, int], point: Float32[np.ndarray, "2"], reach: float | int
    ) -> "Correction":
        """Let a mask change that a click calls wrong.

        Parameters
        ----------
        mask
            The mask as it was.
        shape
            ``(h, w)`` of the window in pixels.
        point
            Where the click is, ``(x, y)`` in pixels of the window.
        reach
            How far from the outline the mask may change, as a multiple of the click's distance from it.

        Examples
        --------
        >>> mask = Patch.of(np.array([[1, 1, -1, -1, -1, -1, -1, -1]], np.float32))
        >>> Correction.at(mask, (4, 32), np.array([14.0, 2.0], np.float32), 2.0).free.tolist()
        [[False, False, True, True, True, False, False, False]]
        """
        before = _whole(mask)
        inside = before > 0
        row, col = cell_of(point, shape, mask.shape)
        wrong = inside == inside[row, col]  # what is as the click's own cell is, and may be wrong like it
        if wrong.all():
            return cls(before, wrong)
        rows, cols = np.nonzero(~wrong)
        far = reach * float(np.sqrt(((rows - row) ** 2 + (cols - col) ** 2).min()))
        free = np.zeros(before.shape, bool)
        x0, y0, x1, y1 = bounds(inside)
        margin = int(far) + 1
        around = slice(max(y0 - margin, 0), y1 + margin), slice(max(x0 - margin, 0), x1 + margin)
        here = wrong[around]
        free[around] = here & (np.asarray(ndimage.distance_transform_edt(here)) < far)
        return cls(before, free)

    def keep(self, seen: Patch) -> Patch:
        """Put back what may not change, at whatever sampling of the window."""
        logits = _whole(seen)
        places = zip(logits.shape, self.free.shape, strict=True)
        rows, cols = (((np.arange(cells) + 0.5) * (full / cells)).astype(np.int64) for cells, full in places)
        there = np.ix_(rows, cols)
        return Patch.of(np.where(self.free[there], logits, self.before[there]))


def _whole(mask: Patch) -> Float32[np.ndarray, "mh mw"]:
    """All logits of a window of which only a patch is known."""
    logits = np.full(mask.shape, NOTHING, np.float32)
    (x, y), (h, w) = mask.corner, mask.logits.shape
    logits[y : y + h, x : x + w] = mask.logits
    return logits


def is_wrong(mask: Patch, shape: tuple[int, int], point: Float32[np.ndarray, "2"], label: int) -> bool:
    """Tell whether a click calls a mask wrong: one inside, labelled 1, beside it, or one outside, labelled 0, on it.

    Examples
    --------
    >>> mask = Patch.of(np.array([[1, 1, -1, -1]], np.float32))
    >>> beside = np.array([14.0, 2.0], np.float32)
    >>> is_wrong(mask, (4, 16), beside, 1), is_wrong(mask, (4, 16), beside, 0), is_wrong(mask, (4, 16), beside, -1)
    (True, False, False)
    """
    row, col = cell_of(point, shape, mask.shape)
    (x, y), (h, w) = mask.corner, mask.logits.shape
    inside = y <= row < y + h and x <= col < x + w and bool(mask.logits[row - y, col - x] > 0)
    return label >= 0 and inside != bool(label)
