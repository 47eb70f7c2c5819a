"""Masks cut to their boxes, and how much two of them share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from geosam.arrays import Patch
from geosam.masks.low_res import bounds, render, to_low_res


@dataclass(frozen=True, eq=False)
class Crop:
    """A mask, cut to its box.

    Attributes
    ----------
    box
        Half-open ``xyxy`` in whole pixels of the window; empty masks may have any.
    mask
        The mask inside the box, ``h w``.

    Examples
    --------
    >>> left = Crop.of(np.array([[True, True, False]]))
    >>> right = Crop.of(np.array([[False, True, True]]))
    >>> left.area, iou(left, right)
    (2, 0.3333333333333333)
    """

    box: tuple[int, int, int, int]
    mask: Bool[np.ndarray, "_ _"]

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "h w"], left: int = 0, top: int = 0) -> "Crop":
        """Cut a mask whose first pixel lies at column ``left``, row ``top`` of the window."""
        x0, y0, x1, y1 = bounds(mask)
        return cls((left + x0, top + y0, left + x1, top + y1), mask[y0:y1, x0:x1])

    @classmethod
    def of_logits(cls, logits: Float32[np.ndarray, "mh mw"] | Patch, shape: tuple[int, int]) -> "Crop":
        """Cut the mask that logits mean in a window of ``shape`` pixels, as `geosam.masks` does."""
        return cls(*render(to_low_res(logits), shape))

    @classmethod
    def of_box(cls, box: Float32[np.ndarray, "4"]) -> "Crop":
        """Take a box itself for the mask, its sides at the nearest pixels."""
        x0, y0, x1, y1 = (int(side) for side in np.rint(box))
        return cls((x0, y0, max(x1, x0), max(y1, y0)), np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool))

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int(np.count_nonzero(self.mask))

    def filled(self) -> "Crop":
        """The smallest box around the mask, as a mask."""
        return Crop.of_box(np.array(Crop.of(self.mask, *self.box[:2]).box, np.float32))

    def on(self, box: tuple[int, int, int, int]) -> Bool[np.ndarray, "_ _"]:
        """The mask on another box: cut where it reaches out, False where it does not reach."""
        canvas = np.zeros((box[3] - box[1], box[2] - box[0]), bool)
        x0, y0, x1, y1 = common(self.box, box)
        if x1 > x0 and y1 > y0:
            inside = self.mask[y0 - self.box[1] : y1 - self.box[1], x0 - self.box[0] : x1 - self.box[0]]
            canvas[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]] = inside
        return canvas


def common(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Intersect two boxes; one side is not positive where they are apart."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def around(one: Crop, other: Crop, margin: int = 0) -> tuple[int, int, int, int]:
    """Find the box that holds two masks and a margin; an empty one does not count."""
    boxes = np.array([each.box for each in (one, other) if each.mask.size] or [(0, 0, 0, 0)])
    x0, y0, x1, y1 = (*boxes[:, :2].min(0), *boxes[:, 2:].max(0))
    return int(x0) - margin, int(y0) - margin, int(x1) + margin, int(y1) + margin


def iou(one: Crop, other: Crop) -> float:
    """Divide the pixels that two masks share by those of either; 0 if both are empty."""
    box = common(one.box, other.box)
    both = 0
    if box[2] > box[0] and box[3] > box[1]:
        both = int(np.count_nonzero(one.on(box) & other.on(box)))
    either = one.area + other.area - both
    return both / either if either else 0.0
