"""Masks that were found, asked for once more by their boxes.

A point says little about the object on which it stands; the box of the mask that came of it says where to look and how
far. So the second answer has the better outline, as a cascade of detectors has (Cai and Vasconcelos 2018, "Cascade
R-CNN").
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from geosam.arrays import Boxes, Patch
from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate
from geosam.masks.decoder import MaskDecoder, SharpeningDecoder, outline_boxes, sharpens
from geosam.masks.islands import keep_islands
from geosam.masks.sketch import Grid, Sketch, sketch, stability

SPILL = 0.1
"""Greatest share of a second answer that may lie on other masks; with more, the first one stays."""

SURE = 4.0
"""Logit of what is surely inside; the negative outside."""

INSIDE = np.ones(1, np.int64)
"""What the one point of a mask means."""


def redraw(
    candidates: Sequence[Candidate],
    embedding: Embedding,
    decoder: MaskDecoder,
    *,
    connected: bool,
    stability_offset: int | float,
    batch: int,
) -> list[Candidate]:
    """Replace masks by what the decoder outlines in their boxes.

    One in whose box it sees nothing stays, and so does one whose second answer would spill onto the ground of others.
    If the decoder can, all of them are made sharper.

    Parameters
    ----------
    candidates
        Masks of the window, none empty.
    embedding, decoder
        The window, and who answers.
    connected
        Whether islands on which a mask's own point does not stand are sunk.
    stability_offset
        Logits by which the threshold moves to either side when stability is measured.
    batch
        Masks asked for at a time; bounds memory.

    Returns
    -------
    The masks in their order, those that are replaced with the scores of the second answer.
    """
    drawn: list[Candidate] = []
    if not candidates:
        return drawn
    owner = _owners(candidates)
    for start in range(0, len(candidates), batch):
        few = candidates[start : start + batch]
        boxes = np.stack([box_px(one, embedding.shape) for one in few])
        logits, iou = outline_boxes(decoder, embedding.arrays, embedding.shape, boxes)
        if connected:
            logits = np.stack([_island_of(one, seen, embedding.shape) for one, seen in zip(few, logits, strict=True)])
        masks = [sketch(seen) for seen in logits]
        fits = np.array([_fits(mask, owner, number) for number, mask in enumerate(masks, start=start + 1)])
        seconds = zip(few, masks, iou.tolist(), logits, fits.tolist(), strict=True)
        few = [
            replace(one, mask=mask, predicted_iou=score, stability=stability(seen, stability_offset)) if fit else one
            for one, mask, score, seen, fit in seconds
        ]
        if sharpens(decoder):
            logits = np.where(fits[:, None, None], logits, np.stack([_as_sure(one.mask) for one in few]))
            few = _sharper(few, embedding, decoder, logits=logits, boxes=boxes, boxed=fits, connected=connected)
        drawn += few
    return drawn


def _sharper(
    few: Sequence[Candidate],
    embedding: Embedding,
    decoder: SharpeningDecoder,
    *,
    logits: Float32[np.ndarray, "n mh mw"],
    boxes: Boxes,
    boxed: Bool[np.ndarray, "n"],
    connected: bool,
) -> list[Candidate]:
    """Make masks sharper: those that are ``boxed`` as answers to their boxes, the others as answers to their points."""
    found = list(few)
    for answers_box in (True, False):
        rows = np.flatnonzero(boxed == answers_box)
        points = np.array([few[row].point for row in rows.tolist()], np.float32).reshape(-1, 1, 2)
        points = points[:, : 0 if answers_box else 1]
        asked = {"points": points, "labels": np.ones(points.shape[:2], np.int64)}
        given = {**asked, "boxes": boxes[rows] if answers_box else None}
        before = np.array([few[row].predicted_iou for row in rows.tolist()], np.float32)
        sharper, _ = decoder.sharpen(embedding.arrays, embedding.shape, logits[rows], before, **given)
        for row, seen in zip(rows.tolist(), sharper, strict=True):
            mask = sketch(seen._replace(logits=_island_of(few[row], seen, embedding.shape)) if connected else seen)
            if mask.area:
                found[row] = replace(few[row], mask=mask)
    return found


def _as_sure(mask: Sketch) -> Grid:
    """Logits of a mask as of an answer: what a sketch does not keep, its values away from the outline, is sure."""
    logits = np.full(mask.shape, -SURE, np.float32)
    x0, y0, x1, y1 = mask.outer
    logits[y0:y1, x0:x1] = (SURE * mask.logits()).clip(-SURE, SURE)
    return logits


def _island_of(one: Candidate, seen: Grid | Patch, shape: tuple[int, int]) -> Grid:
    """Sink the islands on which a mask's own point does not stand."""
    return keep_islands(seen, shape, np.array([one.point], np.float32), INSIDE)


def _owners(candidates: Sequence[Candidate]) -> Int32[np.ndarray, "mh mw"]:
    """Number, from 1, of the first mask at every logit; 0 where there is none."""
    owner = np.zeros(candidates[0].mask.shape, np.int32)
    for number, one in reversed(list(enumerate(candidates, start=1))):
        x0, y0, x1, y1 = one.mask.outer
        owner[y0:y1, x0:x1][one.mask.inside()] = number
    return owner


def _fits(mask: Sketch, owner: Int32[np.ndarray, "mh mw"], number: int) -> bool:
    """Whether a second answer shows something, nearly all of it on open ground or on what is its own."""
    x0, y0, x1, y1 = mask.outer
    there = owner[y0:y1, x0:x1][mask.inside()]
    return mask.area > 0 and int(np.count_nonzero((there != 0) & (there != number))) <= SPILL * mask.area


def box_px(one: Candidate, shape: tuple[int, int]) -> Float32[np.ndarray, "4"]:
    """Find the box of a mask, ``xyxy`` in pixels of a window of ``shape`` ``(h, w)``."""
    mh, mw = one.mask.shape
    return np.array(one.mask.box, np.float32) * np.array([shape[1] / mw, shape[0] / mh] * 2, np.float32)
