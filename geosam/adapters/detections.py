"""What all detectors by words share: boxes of a network's coordinates in a window, non-maximum suppression."""

import numpy as np
from jaxtyping import Bool, Float32
from torch import Tensor

from geosam.segmenter import Proposals, centred

Number = float | int

LEAST = 0.1
"""Score, one half being the threshold, below which proposals are left out: nobody lowers a threshold so far, and each
would be asked of a segmenter."""

LEAST_PX = 1.0
"""Least width and height of a box, in pixels of the window."""


def to_boxes(middles: Tensor, size: tuple[Number, Number], shape: tuple[int, int]) -> Float32[np.ndarray, "n 4"]:
    """Bring boxes ``x y w h`` of middles and sides, as shares of ``size`` ``(w, h)``, to ``xyxy`` within a window.

    Examples
    --------
    >>> import torch
    >>> to_boxes(torch.tensor([[0.5, 0.5, 0.5, 1.5]]), (100, 40), (40, 100)).tolist()
    [[25.0, 0.0, 75.0, 40.0]]
    """
    found = middles.double().cpu().numpy()  # n 4
    corners = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], axis=1)
    corners *= np.array([*size, *size])
    h, w = shape
    return corners.clip(0, np.array([w, h, w, h])).astype(np.float32)


def proposals(
    boxes: Float32[np.ndarray, "n 4"], scores: Float32[np.ndarray, "n"], threshold: Number, nms_iou: Number = 1.0
) -> Proposals:
    """Those boxes of a word that have pixels and a score, best first, none repeating a better one.

    Parameters
    ----------
    boxes
        In pixels of the window.
    scores
        As the family gives them.
    threshold
        The family's own.
    nms_iou
        IoU with a better box above which one is left out.
    """
    score = centred(scores.astype(np.float64), threshold)
    rows = np.flatnonzero((score >= LEAST) & (boxes[:, 2:] - boxes[:, :2] >= LEAST_PX).all(1))
    rows = rows[np.argsort(-score[rows], kind="stable")]
    rows = rows[unlike(boxes[rows], nms_iou)]
    return Proposals(boxes[rows], score[rows])


def by_word(
    boxes: Float32[np.ndarray, "n 4"], scores: Float32[np.ndarray, "n w"], threshold: Number, nms_iou: Number = 1.0
) -> list[Proposals]:
    """What `proposals` keeps of each word's boxes; a box belongs to the word of its best score.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 4, 4], [5, 5, 9, 9]], np.float32)
    >>> [each.boxes.tolist() for each in by_word(boxes, np.array([[0.4, 0.8], [0.9, 0.2]], np.float32), 0.5)]
    [[[5.0, 5.0, 9.0, 9.0]], [[0.0, 0.0, 4.0, 4.0]]]
    """
    best = scores.argmax(1)
    rows = [np.flatnonzero(best == word) for word in range(scores.shape[1])]
    return [proposals(boxes[of], scores[of, word], threshold, nms_iou) for word, of in enumerate(rows)]


def unlike(boxes: Float32[np.ndarray, "n 4"], iou: Number) -> Bool[np.ndarray, "n"]:
    """Non-maximum suppression: which boxes, given best first, share no more than an IoU with one that stays.

    Examples
    --------
    >>> unlike(np.array([[0, 0, 4, 4], [0, 0, 4, 3], [9, 0, 12, 3]], np.float32), 0.3).tolist()
    [True, False, True]
    """
    stays = np.ones(len(boxes), bool)
    sides = boxes[:, 2:] - boxes[:, :2]
    area = sides.prod(1)
    for here in range(len(boxes)):
        if stays[here]:
            later = boxes[here + 1 :]
            low, high = np.maximum(boxes[here, :2], later[:, :2]), np.minimum(boxes[here, 2:], later[:, 2:])
            shared = (high - low).clip(0).prod(1)
            stays[here + 1 :] &= shared <= iou * (area[here] + area[here + 1 :] - shared)
    return stays
