"""Masks that were found, asked for once more by their boxes.

The boxes are a little larger than the masks (`geosam.masks.grown`). The answer is looked at once where the network can
do so: as many objects are found as with a second look, in two thirds of the time (`docs/experiments.md`,
"Second pass in everything mode").
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int32

from geosam.arrays import Patch
from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate
from geosam.masks.decoder import MaskDecoder, outline_boxes, sharpens
from geosam.masks.grown import grown_box
from geosam.masks.islands import keep_islands
from geosam.masks.second_looks import INSIDE, point_of
from geosam.masks.sketch import Grid, Sketch, sketch, stability

BATCH = 64
"""Masks asked for at a time; bounds memory."""

SPILL = 0.1
"""Greatest share of a second answer that may lie on other masks; with more, the first one stays."""


def redraw(
    candidates: Sequence[Candidate],
    embedding: Embedding,
    decoder: MaskDecoder,
    *,
    connected: bool,
    stability_offset: int | float,
) -> list[Candidate]:
    """Replace masks by what the decoder outlines in their boxes.

    One in whose box it sees nothing stays, and so does one whose second answer would spill onto the ground of others.
    If the decoder can make masks sharper, these are sharp already (`geosam.masks.second_looks`), and answers become so.

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

    Returns
    -------
    The masks in their order, those that are replaced with the scores of the second answer.
    """
    drawn: list[Candidate] = []
    if not candidates:
        return drawn
    owner = _owners(candidates)
    for start in range(0, len(candidates), BATCH):
        few = candidates[start : start + BATCH]
        answers = _outlined(few, embedding, decoder, connected=connected)
        for number, (one, (seen, iou)) in enumerate(zip(few, answers, strict=True), start=start + 1):
            mask, steady = sketch(seen), stability(seen.logits, stability_offset)
            second = replace(one, mask=mask, predicted_iou=iou, stability=steady)
            drawn.append(second if _fits(mask, owner, number) else one)
    return drawn


def _outlined(
    few: Sequence[Candidate], embedding: Embedding, decoder: MaskDecoder, *, connected: bool
) -> list[tuple[Patch, float]]:
    """What the decoder sees in the box of each mask, as sharp as it can make it, and the IoU that it predicts."""
    boxes = np.stack([grown_box(one.mask, embedding.shape) for one in few])
    drawn, iou = outline_boxes(decoder, embedding.arrays, embedding.shape, boxes)

    def cleared(masks: Iterable[Grid | Patch]) -> list[Grid]:
        """Sink the islands on which a mask's own point does not stand."""
        return [
            keep_islands(seen, embedding.shape, point_of(one), INSIDE) for one, seen in zip(few, masks, strict=True)
        ]

    drawn = np.stack(cleared(drawn)) if connected else drawn
    masks = [Patch.of(each) for each in drawn]
    if sharpens(decoder):
        none = {"points": np.zeros((len(few), 0, 2), np.float32), "labels": np.zeros((len(few), 0), np.int64)}
        masks, iou = decoder.sharpen(embedding.arrays, embedding.shape, drawn, iou, **none, boxes=boxes, once=True)
        if connected:
            masks = [mask._replace(logits=seen) for mask, seen in zip(masks, cleared(masks), strict=True)]
    return list(zip(masks, iou.tolist(), strict=True))


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
