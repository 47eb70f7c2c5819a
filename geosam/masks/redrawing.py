"""Masks that were found, asked for once more by their boxes.

A point says little about the object on which it stands; the box of the mask that came of it says where to look and how
far. So the second answer has the better outline, as a cascade of detectors has (Cai and Vasconcelos 2018, "Cascade
R-CNN").
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int32

from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate
from geosam.masks.decoder import MaskDecoder, outline_boxes
from geosam.masks.islands import keep_islands
from geosam.masks.sketch import Sketch, sketch, stability

SPILL = 0.1
"""Greatest share of a second answer that may lie on other masks; with more, the first one stays."""

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
        for one, answer, score in zip(few, logits, iou.tolist(), strict=True):
            point = np.array([one.point], np.float32)
            seen = keep_islands(answer, embedding.shape, point, INSIDE) if connected else answer
            mask = sketch(seen)
            fits = mask.area and mask.area - _free(mask, owner, len(drawn) + 1) <= SPILL * mask.area
            again = replace(one, mask=mask, predicted_iou=score, stability=stability(seen, stability_offset))
            drawn.append(again if fits else one)
    return drawn


def _owners(candidates: Sequence[Candidate]) -> Int32[np.ndarray, "mh mw"]:
    """Number, from 1, of the first mask at every logit; 0 where there is none."""
    owner = np.zeros(candidates[0].mask.shape, np.int32)
    for number, one in reversed(list(enumerate(candidates, start=1))):
        x0, y0, x1, y1 = one.mask.outer
        owner[y0:y1, x0:x1][one.mask.inside()] = number
    return owner


def _free(mask: Sketch, owner: Int32[np.ndarray, "mh mw"], number: int) -> int:
    """How much of a mask lies on open ground or on what is its own."""
    x0, y0, x1, y1 = mask.outer
    there = owner[y0:y1, x0:x1][mask.inside()]
    return int(np.count_nonzero((there == 0) | (there == number)))


def box_px(one: Candidate, shape: tuple[int, int]) -> Float32[np.ndarray, "4"]:
    """Find the box of a mask, ``xyxy`` in pixels of a window of ``shape`` ``(h, w)``."""
    mh, mw = one.mask.shape
    return np.array(one.mask.box, np.float32) * np.array([shape[1] / mw, shape[0] / mh] * 2, np.float32)
