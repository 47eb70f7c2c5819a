"""How well the segments of a window fit its ground: what they cover, what they mix, which borders they follow."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int32
from scipy import ndimage

from geosam.evaluation.looks import Look

NEAR_PX = 2
"""How far from a true border a segment's border may lie and still count as on it."""

MEGAPIXEL = 1 << 20
"""Pixels of a window of 1,024², which times are told for."""

Labels = Int32[np.ndarray, "h w"]


@dataclass(frozen=True)
class WindowScore:
    """What everything mode made of a window; NaN where only the boxes of objects are known.

    Attributes
    ----------
    name
        Of the window: its picture, and its corner in it.
    seconds
        Processor time per 1,024² pixels, with encoding.
    segments
        How many there are.
    covered
        Share of the valid ground that lies in a segment.
    accuracy
        Achievable segmentation accuracy: share of pixels whose segment lies mostly on the same object, or on ground
        that is no object (Liu et al. 2011).
    edges
        Boundary recall: share of the objects' border pixels within `NEAR_PX` of a segment's border.
    """

    name: str
    seconds: float
    segments: int
    covered: float
    accuracy: float
    edges: float


def score_window(look: Look, labels: Labels, seconds: float) -> WindowScore:
    """Score the segments of a window, as labels with 0 for none, that took so many seconds."""
    valid = look.chip().valid
    covered = float((labels[valid] > 0).mean()) if valid.any() else float("nan")
    known = bool(look.targets) and all(each.exact for each in look.targets)
    truth = truth_of(look)
    return WindowScore(
        f"{look.name} {look.window.col_off},{look.window.row_off}",
        seconds * MEGAPIXEL / labels.size,
        len(np.unique(labels[labels > 0])),
        covered,
        achievable_accuracy(labels, truth) if known else float("nan"),
        boundary_recall(labels, truth) if known else float("nan"),
    )


def truth_of(look: Look) -> Labels:
    """The objects of a window as labels, from 1."""
    truth = np.zeros((round(look.window.height), round(look.window.width)), np.int32)
    for number, target in enumerate(look.targets, start=1):
        x0, y0, x1, y1 = target.truth.box
        truth[y0:y1, x0:x1][target.truth.mask] = number
    return truth


def shared_px(truth: Labels, labels: Labels) -> Int[np.ndarray, "n m"]:
    """Pixels that each true object (rows, 0 for none) shares with each segment (columns, likewise)."""
    n, m = int(truth.max()) + 1, int(labels.max()) + 1
    return np.bincount(truth.ravel().astype(np.int64) * m + labels.ravel(), minlength=n * m).reshape(n, m)


def achievable_accuracy(labels: Labels, truth: Labels) -> float:
    """Share of pixels that are right if each segment is given to the object, or the rest, that it shares most with.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 0]], np.int32)
    >>> achievable_accuracy(np.array([[1, 1, 2, 2]], np.int32), truth)
    1.0
    >>> achievable_accuracy(np.array([[1, 2, 2, 2]], np.int32), truth)
    0.75
    """
    return float(shared_px(truth, labels).max(0).sum() / labels.size)


def boundary_recall(labels: Labels, truth: Labels, near_px: int = NEAR_PX) -> float:
    """Share of the pixels along true borders that have a segment's border nearby; NaN where there is no true border.

    Examples
    --------
    >>> truth = np.repeat(np.arange(2, dtype=np.int32), 8)[None].repeat(9, 0)
    >>> boundary_recall(np.roll(truth, 2, 1), truth), boundary_recall(np.zeros_like(truth), truth)
    (1.0, 0.0)
    """
    border = edges(truth)
    if not border.any():
        return float("nan")
    return float(ndimage.binary_dilation(edges(labels), iterations=near_px)[border].mean())


def edges(labels: Labels) -> Bool[np.ndarray, "h w"]:
    """Pixels whose left or upper neighbour has another label."""
    found = np.zeros(labels.shape, bool)
    found[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    found[1:] |= labels[1:] != labels[:-1]
    return found
