"""`PromptBatch` and `Answers`: n prompts in pixels of a window, and what they are answered with."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from geosam.arrays import Boxes, Logits, MaskScores, PointLabels, Points
from geosam.errors import ModelError

LowRes = Float32[np.ndarray, "n _ _"]
"""Mask logits that cover a window at any sampling, also another than the answer's."""

Rows = Any
"""What picks prompts: a slice, positions, or a flag for each."""


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """``n`` prompts in pixels of one window, all with or all without a box, a mask.

    Parameters
    ----------
    points
        ``(x, y)`` from the corner of the first pixel, ``n p 2``; ``p`` may be 0.
    labels
        1 inside, 0 outside, -1 where a prompt has fewer points, ``n p``.
    boxes
        ``xyxy``, ``n 4``; or None.
    mask_logits
        Low-res masks as prompts: logits that cover the window, at any sampling; or None.

    Raises
    ------
    ModelError
        Which of them is not as it must be, and what was expected.

    Examples
    --------
    >>> prompts = PromptBatch(np.zeros((2, 1, 2), np.float32), np.ones((2, 1), np.int64))
    >>> len(prompts), len(prompts[:1]), prompts.boxes
    (2, 1, None)
    >>> PromptBatch(prompts.points, np.full((2, 1), 7))
    Traceback (most recent call last):
    geosam.errors.ModelError: labels: int64 of shape (2, 1): expected whole numbers of shape (2, 1): 1 inside, ...
    """

    points: Points
    labels: PointLabels
    boxes: Boxes | None = None
    mask_logits: LowRes | None = None

    def __post_init__(self) -> None:
        check_prompts(self.points, self.labels, self.boxes, self.mask_logits)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Rows) -> "PromptBatch":
        """Some of the prompts."""
        boxes, masks = (None if each is None else each[rows] for each in (self.boxes, self.mask_logits))
        return PromptBatch(self.points[rows], self.labels[rows], boxes, masks)

    @classmethod
    def of_boxes(cls, boxes: Boxes) -> "PromptBatch":
        """Boxes ``xyxy`` without a click."""
        n = len(boxes)
        return cls(np.zeros((n, 0, 2), np.float32), np.zeros((n, 0), np.int64), boxes)

    @classmethod
    def of_clicks(cls, points: Float32[np.ndarray, "n 2"]) -> "PromptBatch":
        """One click inside for each prompt, ``(x, y)``."""
        return cls(points[:, None], np.ones((len(points), 1), np.int64))

    def with_boxes(self, boxes: Boxes) -> "PromptBatch":
        """The same prompts with boxes, in the place of such as they may have."""
        return replace(self, boxes=boxes)

    def with_masks(self, mask_logits: LowRes) -> "PromptBatch":
        """The same prompts with low-res masks, in the place of such as they may have."""
        return replace(self, mask_logits=mask_logits)

    @property
    def clicks_only(self) -> bool:
        """Whether there are neither boxes nor masks."""
        return self.boxes is None and self.mask_logits is None


class Answers(NamedTuple):
    """What ``n`` prompts are answered with, ``k`` alternatives for each.

    Attributes
    ----------
    logits
        Mask logits that cover exactly the window, at its own or a coarser sampling, ``n k mh mw``; above 0 inside.
    iou
        The IoU that each mask is predicted to have, ``n k``; it may leave [0, 1] a little.
    """

    logits: Logits
    iou: MaskScores


def check_prompts(points: Any, labels: Any, boxes: Any, masks: Any) -> None:
    """Refuse prompts that are not as many, or not of the axes, types and values that a model takes.

    Raises
    ------
    ModelError
        Which of them it is, and what was expected.
    """
    if not _is(points, (None, None, 2)):
        raise ModelError(
            f"points: {described(points)}", expected="finite numbers of shape (n, p, 2), x and y in pixels"
        )
    n, p = points.shape[:2]
    if (
        not _is(labels, (n, p))
        or labels.dtype.kind not in "iu"
        or not -1 <= labels.min(initial=0) <= labels.max(initial=0) <= 1
    ):
        expected = f"whole numbers of shape {(n, p)}: 1 inside, 0 outside, -1 for no point"
        raise ModelError(f"labels: {described(labels)}", expected=expected)
    if boxes is not None and not _is(boxes, (n, 4)):
        raise ModelError(f"boxes: {described(boxes)}", expected=f"finite numbers of shape {(n, 4)}, xyxy in pixels")
    if masks is not None and not (_is(masks, (n, None, None)) and (masks.size or not n)):
        raise ModelError(f"mask_logits: {described(masks)}", expected=f"finite numbers of shape {(n, 'h', 'w')}")


def check_pixels(pixels: Any) -> None:
    """Refuse what is no window of 8-bit red, green and blue.

    Raises
    ------
    ModelError
        If it has another type, other axes, or no pixel.

    Examples
    --------
    >>> check_pixels(np.zeros((3, 2, 2), np.uint8))
    >>> check_pixels(np.zeros((2, 2, 3), np.float32))
    Traceback (most recent call last):
    geosam.errors.ModelError: pixels: float32 of shape (2, 2, 3): expected uint8 of shape (3, h, w), ...
    """
    array = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3
    if not array or len(pixels) != 3 or not pixels.size:
        expected = "uint8 of shape (3, h, w), red, green and blue from 0 to 255, at least one pixel"
        raise ModelError(f"pixels: {described(pixels)}", expected=expected)


def _is(array: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether it is an array of finite numbers of a shape; None stands for any length."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != len(shape):
        return False
    fits = all(wanted in (None, there) for wanted, there in zip(shape, array.shape, strict=True))
    return fits and bool(np.isfinite(array).all())


def described(value: Any) -> str:
    """Type and shape of an array, the type alone of anything else."""
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
