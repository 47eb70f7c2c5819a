"""What is given to a network by users of Python: pixels and prompts, refused where they could mean something else."""

from typing import Any

import numpy as np

from geosam.errors import ModelError


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
        raise ModelError(f"pixels: {_told(pixels)}", expected=expected)


def check_prompts(points: Any, labels: Any, boxes: Any, masks: Any) -> None:
    """Refuse prompts that are not as many, or not of the axes, types and values that a decoder takes.

    Raises
    ------
    ModelError
        Which of them it is, and what was expected.

    Examples
    --------
    >>> clicks = np.zeros((2, 1, 2), np.float32)
    >>> check_prompts(clicks, np.ones((2, 1), np.int64), None, None)
    >>> check_prompts(clicks, np.full((2, 1), 7), None, None)
    Traceback (most recent call last):
    geosam.errors.ModelError: labels: int64 of shape (2, 1): expected whole numbers of shape (2, 1): 1 inside, ...
    """
    if not _is(points, (None, None, 2)):
        raise ModelError(f"points: {_told(points)}", expected="finite numbers of shape (n, p, 2), x and y in pixels")
    n, p = points.shape[:2]
    if not _is(labels, (n, p)) or labels.dtype.kind not in "iu" or not np.isin(labels, (-1, 0, 1)).all():
        expected = f"whole numbers of shape {(n, p)}: 1 inside, 0 outside, -1 for no point"
        raise ModelError(f"labels: {_told(labels)}", expected=expected)
    if boxes is not None and not _is(boxes, (n, 4)):
        raise ModelError(f"boxes: {_told(boxes)}", expected=f"finite numbers of shape {(n, 4)}, xyxy in pixels")
    if masks is not None and not (_is(masks, (n, None, None)) and (masks.size or not n)):
        raise ModelError(f"mask_logits: {_told(masks)}", expected=f"finite numbers of shape {(n, 'h', 'w')}")


def _is(array: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether it is an array of finite numbers of a shape; None stands for any length."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != len(shape):
        return False
    fits = all(wanted in (None, there) for wanted, there in zip(shape, array.shape, strict=True))
    return fits and bool(np.isfinite(array).all())


def _told(value: Any) -> str:
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
