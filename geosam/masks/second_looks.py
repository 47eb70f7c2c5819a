"""Masks that were found, looked at once more before any gives way to another.

Which of the masks on one spot is the object shows in the picture: a mask whose outline follows what is to be seen
there is one, and it is known by then where it ends, so that neighbours no longer seem to overlap. A decoder that can
make masks sharper and tells how good they then are (`geosam.masks.decoder.SharpeningDecoder`) is asked about each.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate, cover, disjoint, distinct
from geosam.masks.decoder import SharpeningDecoder
from geosam.masks.islands import keep_islands
from geosam.masks.sketch import Grid, Sketch, sketch, stability

TOGETHER = 64
"""Masks that are looked at before it is seen which ground is open still: those preferred first, by as many."""

HIDDEN = 0.5
"""Share of a mask that those looked at before may cover at first sight; with more, it is not looked at."""

ALIKE = 0.7
"""IoU above which two masks need not both be looked at: the one that is preferred stands for the other."""

JUDGED = 2 / 3
"""Weight of what the network's judge expects of a mask, where there is one, beside what the second look says."""

SURE = 4.0
"""Logit of what is surely inside; the negative outside."""

INSIDE = np.ones(1, np.int64)
"""What the one point of a mask means."""


def look_again(
    candidates: Sequence[Candidate],
    embedding: Embedding,
    decoder: SharpeningDecoder,
    *,
    connected: bool,
    stability_offset: int | float,
    overlap: int | float,
) -> list[Candidate]:
    """Make masks sharper, and say anew how good they are.

    Where masks are to be laid out without overlap, those that would hardly stand on open ground are spared the look:
    about two thirds of them.

    Parameters
    ----------
    candidates
        Masks of the window, none empty.
    embedding, decoder
        The window, and who looks.
    connected
        Whether islands on which a mask's own point does not stand are sunk.
    stability_offset
        Logits by which the threshold moves to either side when stability is measured.
    overlap
        Share of a mask that better ones may cover in the end, in [0, 1].

    Returns
    -------
    Of those that were nearly alike the best, as sharper masks with their own scores; without those that were spared,
    and those that vanish when they are looked at.
    """
    seen: list[Candidate] = []
    ahead = distinct(candidates, ALIKE)
    while ahead:
        laid = disjoint(seen, overlap) if overlap < 1 else []
        ahead = [one for one, share in zip(ahead, _hidden(ahead, laid), strict=True) if share <= HIDDEN]
        few, ahead = ahead[:TOGETHER], ahead[TOGETHER:]
        if few:
            seen += _look(few, embedding, decoder, connected=connected, stability_offset=stability_offset)
    return seen


def _hidden(candidates: Sequence[Candidate], laid: Sequence[Candidate]) -> list[float]:
    """Which share of each mask others cover that are finer drawn."""
    if not laid:
        return [0.0] * len(candidates)
    ground = cover(laid, laid[0].mask.shape)
    sides = zip(candidates[0].mask.shape, ground.shape, strict=True)
    rows, cols = ((2 * np.arange(cells) + 1) * finer // (2 * cells) for cells, finer in sides)
    there = ground[rows[:, None], cols]  # at the middles of the coarser logits
    shares = []
    for one in candidates:
        x0, y0, x1, y1 = one.mask.outer
        shares.append(np.count_nonzero(there[y0:y1, x0:x1] & one.mask.inside()) / one.mask.area)
    return shares


def _look(
    few: Sequence[Candidate],
    embedding: Embedding,
    decoder: SharpeningDecoder,
    *,
    connected: bool,
    stability_offset: int | float,
) -> list[Candidate]:
    points = np.array([one.point for one in few], np.float32)[:, None]
    before = np.array([one.predicted_iou for one in few], np.float32)
    asked = {"points": points, "labels": np.ones(points.shape[:2], np.int64)}
    logits = np.stack([_as_sure(one.mask) for one in few])
    masks, iou = decoder.sharpen(embedding.arrays, embedding.shape, logits, before, **asked)
    seen = []
    for one, patch, reached in zip(few, masks, iou.tolist(), strict=True):
        island = keep_islands(patch, embedding.shape, point_of(one), INSIDE) if connected else patch.logits
        mask = sketch(patch._replace(logits=island))
        if mask.area:
            steady = stability(island, stability_offset)
            worth = None if one.expected_iou is None else JUDGED * one.expected_iou + (1 - JUDGED) * reached
            seen.append(replace(one, mask=mask, predicted_iou=reached, stability=steady, expected_iou=worth))
    return seen


def point_of(one: Candidate) -> np.ndarray:
    """The point on which a mask was found, as an array of one."""
    return np.array([one.point], np.float32)


def _as_sure(mask: Sketch) -> Grid:
    """Logits of a mask as of an answer: what a sketch does not keep, its values away from the outline, is sure."""
    logits = np.full(mask.shape, -SURE, np.float32)
    x0, y0, x1, y1 = mask.outer
    logits[y0:y1, x0:x1] = (SURE * mask.logits()).clip(-SURE, SURE)
    return logits
