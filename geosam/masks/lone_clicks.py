"""A lone click, asked for where it stands and a few pixels beside.

A network that is small answers otherwise when a click moves by a little, and nobody clicks to the pixel. What it takes
the click for on the whole is the mean of such answers, as the mean over changed copies of a picture tells better what
is in it (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks").
"""

from collections.abc import Callable

import numpy as np

from geosam.arrays import Logits, MaskScores, PointLabels, Points

ASIDE = 6.0
"""Pixels by which a click is moved to each of four sides."""

PLACES = ASIDE * np.array([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)], np.float32)
"""Where it is asked, from where it stands."""

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
    >>> ask_around(ask, (32, 32), clicks, np.ones((2, 1), np.int64))[0].ravel().tolist()
    [5.0, 0.30000001192092896]
    """
    last = np.array(shape[::-1], np.float32)
    answers = [
        ask(points=(point + PLACES[:, None]).clip(0, last), labels=np.repeat(label[None], len(PLACES), 0))
        for point, label in zip(points, labels, strict=True)
    ]
    logits = np.stack([drawn.clip(-CLEAR, CLEAR).mean(axis=0) for drawn, _ in answers])  # n k mh mw
    return logits, np.stack([iou.mean(axis=0) for _, iou in answers])  # n k
