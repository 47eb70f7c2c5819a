"""A lone click says little, so it is asked for a few pixels beside as well, and looked at twice when in doubt.

A network that is small answers otherwise when a click moves by a little, and nobody clicks to the pixel. What it takes
the click for on the whole is the mean of such answers, as the mean over changed copies of a picture tells better what
is in it (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks").

Where two alternatives are about as good, which of them is meant shows best when they are sharp: by the IoU that is
predicted then, and by where the click stands, for people click in the middle of what they mean (Papadopoulos et al.
2017, "Training object class detectors with click supervision").
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from geosam.arrays import Flags, Logits, MaskScores, Patch, PointLabels, Points
from geosam.masks.sketch import bounds, cell_of

PLACES = np.array([(0, 0), (4.25, 4.25), (-4.25, -4.25)], np.float32)
"""Where a click is asked, from where it stands: ``(x, y)`` in pixels, 6 px aside to both sides."""

DOUBT = 0.05
"""Difference of the best predicted IoUs of a click below which both alternatives are looked at."""

SHARPER, MIDDLE = 0.5, 0.3
"""What the IoU predicted for the sharper mask, and the click's standing in its middle, count beside that predicted."""

CLEAR = 8.0
"""Logits beyond count no more than this in a mean: they are sure."""


def ask_around(
    ask: Callable[..., tuple[Logits, MaskScores]], shape: tuple[int, int], points: Points, labels: PointLabels
) -> tuple[Logits, MaskScores]:
    """Give the mean of the answers to each click and to those a few pixels beside it.

    Each prompt is asked by itself, so that answers do not depend on what is asked beside.

    Parameters
    ----------
    ask
        Answers prompts with alternatives, given ``points`` and ``labels`` as `geosam.masks.MaskDecoder.decode` does.
    shape
        ``(h, w)`` of the window in pixels; no click is moved out of it.
    points, labels
        The clicks.

    Examples
    --------
    >>> def ask(points, labels):  # a mask of one logit: how far right the click is
    ...     return points[:, :1, :1, None] / 4, np.ones((len(points), 1), np.float32)
    >>> clicks = np.array([[[20.0, 8.0]], [[0.0, 8.0]]], np.float32)
    >>> ask_around(ask, (32, 32), clicks, np.ones((2, 1), np.int64))[0].ravel().astype(float).round(2).tolist()
    [5.0, 0.35]
    """
    last = np.array(shape[::-1], np.float32)
    answers = [
        ask(points=(point + PLACES[:, None]).clip(0, last), labels=np.repeat(label[None], len(PLACES), 0))
        for point, label in zip(points, labels, strict=True)
    ]
    logits = np.stack([drawn.clip(-CLEAR, CLEAR).mean(axis=0) for drawn, _ in answers])  # n k mh mw
    return logits, np.stack([iou.mean(axis=0) for _, iou in answers])  # n k


def in_doubt(iou: MaskScores) -> Flags:
    """Tell which clicks have two alternatives about as good, by the IoUs predicted for them.

    Examples
    --------
    >>> in_doubt(np.array([[0.7, 0.2, 0.68], [0.7, 0.2, 0.6]], np.float32)).tolist()
    [True, False]
    """
    second, best = np.sort(iou, axis=1)[:, -2:].T
    return best - second < DOUBT


def middle(mask: Patch, shape: tuple[int, int], point: Float32[np.ndarray, "2"]) -> float:
    """Tell how far in the middle of a mask a point stands: 0 beside it, 1 where it is deepest.

    Examples
    --------
    >>> mask = Patch.of(np.where(np.abs(np.arange(9) - 4) < 4, 1, -1)[None].repeat(9, 0).astype(np.float32))
    >>> [middle(mask, (9, 9), np.array([x + 0.5, 4.5], np.float32)) for x in (0, 2, 4)]
    [0.0, 0.5, 1.0]
    """
    inside = mask.logits > 0
    x0, y0, x1, y1 = bounds(inside)
    row, col = cell_of(point, shape, mask.shape)
    row, col = row - mask.corner[1] - y0, col - mask.corner[0] - x0
    if not (0 <= row < y1 - y0 and 0 <= col < x1 - x0):
        return 0.0
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(inside[y0:y1, x0:x1], 1)))
    return float(depth[row + 1, col + 1] / depth.max())
