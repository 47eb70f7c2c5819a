"""Masks that were found, asked for once more by their boxes.

A point says little about the object on which it stands; the box of the mask that came of it says where to look and how
far. So the second answer has the better outline, as a cascade of detectors has (Cai and Vasconcelos 2018, "Cascade
R-CNN").
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate
from geosam.masks.decoder import MaskDecoder, outline_boxes
from geosam.masks.islands import keep_islands
from geosam.masks.sketch import sketch, stability

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
    """Replace masks by what the decoder outlines in their boxes; one in whose box it sees nothing stays.

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
    The masks in their order, with the scores of the second answer.
    """
    drawn: list[Candidate] = []
    for start in range(0, len(candidates), batch):
        few = candidates[start : start + batch]
        boxes = np.stack([box_px(one, embedding.shape) for one in few])
        logits, iou = outline_boxes(decoder, embedding.arrays, embedding.shape, boxes)
        for one, answer, score in zip(few, logits, iou.tolist(), strict=True):
            point = np.array([one.point], np.float32)
            seen = keep_islands(answer, embedding.shape, point, INSIDE) if connected else answer
            mask = sketch(seen)
            again = replace(one, mask=mask, predicted_iou=score, stability=stability(seen, stability_offset))
            drawn.append(again if mask.area else one)
    return drawn


def box_px(one: Candidate, shape: tuple[int, int]) -> Float32[np.ndarray, "4"]:
    """Find the box of a mask, ``xyxy`` in pixels of a window of ``shape`` ``(h, w)``."""
    mh, mw = one.mask.shape
    return np.array(one.mask.box, np.float32) * np.array([shape[1] / mw, shape[0] / mh] * 2, np.float32)
