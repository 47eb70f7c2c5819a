"""Masks that were found, looked at once more before any gives way to another.

Which of the masks on one spot is the object shows in the picture: a mask whose outline follows what is to be seen
there is one, and it is known by then where it ends, so that neighbours no longer seem to overlap. A decoder that can
make masks sharper and tells how good they then are (`geosam.masks.decoder.SharpeningDecoder`) is asked about each.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate, distinct
from geosam.masks.decoder import SharpeningDecoder
from geosam.masks.islands import keep_islands
from geosam.masks.sketch import Grid, Sketch, sketch, stability

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
    batch: int,
) -> list[Candidate]:
    """Make masks sharper, and say anew how good they are.

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
    batch
        Masks looked at at a time; bounds memory.

    Returns
    -------
    The best of those that were nearly alike, as sharper masks with their own scores, best first as it was before; what
    vanishes when it is looked at is left out.
    """
    found: list[Candidate] = []
    pool = distinct(candidates, ALIKE)
    for start in range(0, len(pool), batch):
        few = pool[start : start + batch]
        points = np.array([one.point for one in few], np.float32)[:, None]
        before = np.array([one.predicted_iou for one in few], np.float32)
        asked = {"points": points, "labels": np.ones(points.shape[:2], np.int64)}
        logits = np.stack([_as_sure(one.mask) for one in few])
        masks, iou = decoder.sharpen(embedding.arrays, embedding.shape, logits, before, **asked)
        for one, seen, reached in zip(few, masks, iou.tolist(), strict=True):
            island = keep_islands(seen, embedding.shape, point_of(one), INSIDE) if connected else seen.logits
            mask = sketch(seen._replace(logits=island))
            if mask.area:
                steady = stability(island, stability_offset)
                worth = None if one.expected_iou is None else JUDGED * one.expected_iou + (1 - JUDGED) * reached
                found.append(replace(one, mask=mask, predicted_iou=reached, stability=steady, expected_iou=worth))
    return found


def point_of(one: Candidate) -> np.ndarray:
    """The point on which a mask was found, as an array of one."""
    return np.array([one.point], np.float32)


def _as_sure(mask: Sketch) -> Grid:
    """Logits of a mask as of an answer: what a sketch does not keep, its values away from the outline, is sure."""
    logits = np.full(mask.shape, -SURE, np.float32)
    x0, y0, x1, y1 = mask.outer
    logits[y0:y1, x0:x1] = (SURE * mask.logits()).clip(-SURE, SURE)
    return logits
