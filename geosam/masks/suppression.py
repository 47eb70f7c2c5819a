"""Which masks of a window stay: non-maximum suppression, layout without overlap, consensus of points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from geosam.arrays import Valid
from geosam.embeddings import Embedding
from geosam.masks.low_res import LowResMask, bounds, render, shared_area
from geosam.masks.mask_set import MaskSet


@dataclass(frozen=True)
class Candidate:
    """One answer to a prompt.

    Parameters
    ----------
    mask
        The mask at the decoder's sampling.
    predicted_iou, stability
        Scores in [0, 1].
    prompt_id
        The prompt it answers.
    choice
        Which of the decoder's alternatives it is.
    point
        ``(x, y)`` of the prompt in window pixels.
    consensus
        How far the other points on the mask agree with it, in [0, 1]; see `with_consensus`.
    in_roi
        Whether it was decoded in a RoI crop.
    expected_iou
        The IoU that the quality model expects of it; see `geosam.masks.quality`.
    """

    mask: LowResMask
    predicted_iou: float
    stability: float
    prompt_id: int
    choice: int = 0
    point: tuple[float, float] = (0.0, 0.0)
    consensus: float | None = None
    in_roi: bool = False
    expected_iou: float | None = None

    @property
    def ranking_score(self) -> float:
        """What it is ranked by: what the quality model expects, or the predicted IoU with consensus or stability."""
        if self.expected_iou is not None:
            return self.expected_iou
        return self.predicted_iou * (self.stability if self.consensus is None else math.sqrt(self.consensus))

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts the best first; among equals the prompt's number decides."""
        return -self.ranking_score, self.prompt_id, self.choice


def suppress(candidates: Sequence[Candidate], iou: float, kept: Sequence[Candidate] = ()) -> list[Candidate]:
    """Non-maximum suppression: go from best to worst and drop what repeats a mask kept before.

    Two masks are the same object if they share more than half of the smaller one, and either their boxes or their
    masks have an IoU above `iou`. So a frame and what it frames stay both, although their boxes are nearly one.

    Parameters
    ----------
    candidates
        Masks of one window that are not empty, in any order.
    iou
        Threshold in [0, 1].
    kept
        Masks that stay in any case and come first.

    Returns
    -------
    `kept`, then those candidates that stay, best first.
    """
    ranked = [*kept, *sorted(candidates, key=lambda one: one.rank)]
    boxes = np.array([one.mask.box for one in ranked], np.int64).reshape(-1, 4)
    areas = np.array([one.mask.area for one in ranked], np.int64)
    stays = np.ones(len(ranked), bool)
    for here in range(len(ranked)):
        if stays[here]:
            first = max(here + 1, len(kept))
            later = first + np.flatnonzero(stays[first:])
            for other in _like(here, later, boxes=boxes, areas=areas, iou=iou).tolist():
                stays[other] = not _repeats(ranked[here].mask, ranked[other].mask, iou)
    return [one for one, stay in zip(ranked, stays.tolist(), strict=True) if stay]


def _like(here: int, others: np.ndarray, *, boxes: np.ndarray, areas: np.ndarray, iou: float) -> np.ndarray:
    """Those others that could repeat one mask, judged by boxes and areas: masks share at most what their boxes do."""
    smaller, larger = np.minimum(areas[here], areas[others]), np.maximum(areas[here], areas[others])
    shared = np.minimum(_box_overlap(boxes[here], boxes[others]), smaller)
    alike = (shared > iou * larger) | (_box_iou(boxes[here], boxes[others]) > iou)
    return others[alike & (2 * shared > smaller)]


def _repeats(one: LowResMask, other: LowResMask, iou: float) -> bool:
    shared = shared_area(one, other)
    if 2 * shared <= min(one.area, other.area):
        return False
    alike = shared > iou * (one.area + other.area - shared)
    return alike or bool(_box_iou(np.array(one.box), np.array([other.box]))[0] > iou)


def _box_overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return _area(sides.clip(0))


def _box_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    both = _box_overlap(box, boxes)
    return both / (_area(box[2:] - box[:2]) + _area(boxes[:, 2:] - boxes[:, :2]) - both)


def _area(sides: np.ndarray) -> np.ndarray:
    return np.asarray(sides[..., 0] * sides[..., 1])


def without_overlap(candidates: Sequence[Candidate], overlap: float, kept: Sequence[Candidate] = ()) -> list[Candidate]:
    """Lay masks out without overlap: go from best to worst and drop what lies mostly on masks kept before.

    Parameters
    ----------
    candidates
        Masks of one window, in any order.
    overlap
        The greatest share of a mask that earlier ones may cover, in [0, 1].
    kept
        Masks that stay in any case and come first.

    Returns
    -------
    `kept`, then those candidates that stay, best first.
    """
    if not candidates:
        return list(kept)
    chosen, ground = list(kept), cover(kept, candidates[0].mask.shape)
    for one in sorted(candidates, key=lambda one: one.rank):
        (x0, y0, x1, y1), inside = one.mask.outer, one.mask.inside()
        taken = ground[y0:y1, x0:x1]
        if np.count_nonzero(taken & inside) <= overlap * one.mask.area:
            taken |= inside
            chosen.append(one)
    return chosen


def with_consensus(candidates: Sequence[Candidate], shape: tuple[int, int]) -> list[Candidate]:
    """Measure of each mask how far the other points on it agree, answering for themselves.

    The consensus on a mask is the mean, over the grid points that lie on it, of the best IoU between its box and a box
    of their answers. Predicted IoUs of a small network say little; that an object is found from anywhere on it says
    much.

    Parameters
    ----------
    candidates
        All masks of one window, none empty.
    shape
        ``(h, w)`` of the window in pixels.
    """
    if not candidates:
        return []
    ids = np.array([one.prompt_id for one in candidates])
    by_prompt = np.argsort(ids, kind="stable")
    _, first, counts = np.unique(ids[by_prompt], return_index=True, return_counts=True)
    turns = np.minimum(np.arange(counts.max()), counts[:, None] - 1)  # points × answers; the last one fills up
    answers = by_prompt[first[:, None] + turns]  # points × answers
    points = np.array([candidates[position].point for position in answers[:, 0]])
    boxes = np.array([one.mask.box for one in candidates], np.float64)
    found = []
    for one, box in zip(candidates, boxes, strict=True):
        there = answers[_lying_on(points, one.mask, shape)]  # standing × answers
        alike = _box_iou(box, boxes[there.ravel()]).reshape(there.shape).max(1)  # standing
        found.append(replace(one, consensus=float(alike.mean()) if len(alike) else 0.0))
    return found


def _lying_on(points: np.ndarray, mask: LowResMask, shape: tuple[int, int]) -> Bool[np.ndarray, "n"]:
    """Which of the points ``n 2``, in window pixels, lie on one mask."""
    x0, y0, x1, y1 = mask.outer
    cols = (points[:, 0] * (mask.shape[1] / shape[1])).astype(np.int64) - x0
    rows = (points[:, 1] * (mask.shape[0] / shape[0])).astype(np.int64) - y0
    near = (cols >= 0) & (rows >= 0) & (cols < x1 - x0) & (rows < y1 - y0)
    near[near] = mask.inside()[rows[near], cols[near]]
    return near


def on_open_ground(found: Sequence[Candidate], kept: Sequence[Candidate], shape: tuple[int, int]) -> list[Candidate]:
    """Those candidates whose prompt lies on no kept mask; `shape` is the window's in pixels."""
    points = np.array([one.point for one in found], np.float64).reshape(-1, 2)
    return [one for one, under in zip(found, covered(points, kept, shape).tolist(), strict=True) if not under]


def covered(points: np.ndarray, masks: Sequence[Candidate], shape: tuple[int, int]) -> Bool[np.ndarray, "n"]:
    """Which of the points ``n 2``, in window pixels, lie on a mask; `shape` is the window's in pixels."""
    if not masks:
        return np.zeros(len(points), bool)
    ground = cover(masks, masks[0].mask.shape)
    scale_y, scale_x = ground.shape[0] / shape[0], ground.shape[1] / shape[1]
    return ground[(points[:, 1] * scale_y).astype(np.int64), (points[:, 0] * scale_x).astype(np.int64)]


def cover(masks: Sequence[Candidate], shape: tuple[int, int]) -> Bool[np.ndarray, "mh mw"]:
    """What some masks cover, at their sampling."""
    ground = np.zeros(shape, bool)
    for one in masks:
        x0, y0, x1, y1 = one.mask.outer
        ground[y0:y1, x0:x1] |= one.mask.inside()
    return ground


def to_mask_set(candidates: Sequence[Candidate], embedding: Embedding, valid: Valid) -> MaskSet:
    """Bring masks to full resolution, cut them to the pixels with data and to their boxes; order is kept.

    Parameters
    ----------
    candidates
        Masks of the window; empty ones stay, empty.
    embedding
        The window.
    valid
        True where it has data.
    """
    nodata = np.pad(~valid, 1)
    cuts = [_cut(one.mask, embedding.shape, nodata) for one in candidates]
    return MaskSet(
        embedding.window,
        embedding.shape,
        np.array([box for box, _, _ in cuts], np.int32).reshape(-1, 4),
        tuple(crop for _, crop, _ in cuts),
        np.array([one.predicted_iou for one in candidates], np.float32),
        np.array([one.stability for one in candidates], np.float32),
        np.array([one.prompt_id for one in candidates], np.int64),
        np.array([touches for _, _, touches in cuts], bool),
    )


def _cut(mask: LowResMask, shape: tuple[int, int], nodata: np.ndarray) -> tuple[tuple[int, ...], np.ndarray, bool]:
    """Tight box, crop, and whether the mask borders on nodata or reached into it; `nodata` has a rim of one pixel."""
    (x0, y0, x1, y1), crop = render(mask, shape)
    around = nodata[y0 : y1 + 2, x0 : x1 + 2]
    touches = bool(around.any() and (ndimage.binary_dilation(np.pad(crop, 1)) & around).any())
    if touches:
        crop = crop & ~around[1:-1, 1:-1]
    left, top, right, bottom = bounds(crop)
    box = (x0 + left, y0 + top, x0 + right, y0 + bottom) if right else (0, 0, 0, 0)
    return box, crop[top:bottom, left:right], touches
