"""Prompted mode: exactly one mask for every prompt."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from geosam.arrays import Patch, PointLabels, Points, Valid
from geosam.embeddings import Embedding
from geosam.masks.candidates import Candidate, finish
from geosam.masks.decoder import MaskDecoder, NearDecoder, sharpens
from geosam.masks.grown import grown_box
from geosam.masks.islands import keep_islands
from geosam.masks.mask_set import MaskSet
from geosam.masks.sketch import Grid, sketch, stability
from geosam.prompts import WindowPrompts

STABILITY_OFFSET = 1.0
"""Logits by which the threshold moves to either side when stability is measured."""


def segment_prompts(
    embedding: Embedding, decoder: MaskDecoder, prompts: WindowPrompts, valid: Valid, *, refine: int = 0
) -> MaskSet:
    """Answer every prompt with one mask.

    A lone click is ambiguous: of the decoder's alternatives the one with the best predicted IoU is taken. Any other
    prompt gets the decoder's single answer. What clicks alone ask for is connected: of a mask's islands those stay on
    which an inside point stands (`geosam.masks.islands`).

    Parameters
    ----------
    embedding
        The window, encoded.
    decoder
        The network that answers.
    prompts
        Prompts in pixels of the same window.
    valid
        True where the window has data; masks are cut to it.
    refine
        How often to ask again with the answer as a mask prompt.

    Returns
    -------
    One mask for each prompt, in their order and with their rows as `prompt_ids`; empty where nothing was found.
    """
    lone = _lone_clicks(prompts)
    found: list[Candidate | None] = [None] * len(prompts.rows)
    for multimask in (True, False):
        which = np.flatnonzero(lone == multimask)
        if len(which):
            answers = _answer(embedding, decoder, prompts, which, multimask=multimask, refine=refine)
            for position, answer in zip(which.tolist(), answers, strict=True):
                found[position] = answer
    return finish([one for one in found if one is not None], embedding, valid)


def _lone_clicks(prompts: WindowPrompts) -> np.ndarray:
    """Which prompts are a single inside point and nothing else."""
    if prompts.boxes is not None or prompts.mask_logits is not None:
        return np.zeros(len(prompts.rows), bool)
    return ((prompts.labels >= 0).sum(axis=1) == 1) & (prompts.labels == 1).any(axis=1)


def _answer(
    embedding: Embedding,
    decoder: MaskDecoder,
    prompts: WindowPrompts,
    which: np.ndarray,
    *,
    multimask: bool,
    refine: int,
) -> list[Candidate]:
    """Decode some of the prompts, ask again as often as wanted, and sketch the best answers."""
    asked = {"points": prompts.points[which], "labels": prompts.labels[which]}
    if prompts.boxes is not None:
        asked["boxes"] = prompts.boxes[which]
    masks = {} if prompts.mask_logits is None else {"mask_logits": prompts.mask_logits[which]}
    connected = not masks and prompts.boxes is None
    best = answer(embedding, decoder, **asked, **masks, multimask=multimask, connected=connected)
    for _ in range(refine):
        best = answer(embedding, decoder, **asked, mask_logits=best.drawn, multimask=False, connected=connected)
    return [
        Candidate(sketch(mask), float(score), stability(mask.logits, STABILITY_OFFSET), int(row))
        for mask, score, row in zip(best.masks, best.iou, prompts.rows[which], strict=True)
    ]


class Answers(NamedTuple):
    """What prompts are answered with, one mask for each.

    Attributes
    ----------
    masks
        As sharp as the decoder can make them.
    iou
        That they are predicted to have, in [0, 1].
    drawn
        Logits as the decoder drew them; these are what a next question takes as its mask prompt, because a network
        learns on its own answers.
    """

    masks: list[Patch]
    iou: Float32[np.ndarray, "n"]
    drawn: Float32[np.ndarray, "n mh mw"]

    def replaced(self, rows: Int64[np.ndarray, "m"], second: "Answers") -> "Answers":
        """Put second answers in the place of those of some rows; an empty one replaces nothing."""
        masks, iou, drawn = list(self.masks), self.iou.copy(), self.drawn.copy()
        for place, row in enumerate(rows.tolist()):
            if (second.masks[place].logits > 0).any():
                masks[row], iou[row], drawn[row] = second.masks[place], second.iou[place], second.drawn[place]
        return Answers(masks, iou, drawn)


def answer(
    embedding: Embedding,
    decoder: MaskDecoder,
    *,
    points: Points,
    labels: PointLabels,
    connected: bool,
    **asked: Any,
) -> Answers:
    """Answer each prompt with the alternative of the best predicted IoU, made sharper if the decoder knows how to.

    A `NearDecoder` answers clicks in their surroundings. A connected mask that was made sharper is asked for once more
    with all its prompts and its own box, a little larger (`geosam.masks.grown`).

    Parameters
    ----------
    embedding, decoder
        The window, and who answers.
    points, labels, asked
        As `MaskDecoder.decode` takes them.
    connected
        Whether clicks ask for something connected: islands without an inside point are sunk.
    """
    asked = {"points": points, "labels": labels, **asked}
    first = _answer_once(embedding, decoder, asked, connected=connected, near="boxes" not in asked)
    if not (connected and sharpens(decoder)):
        return first
    masks = [sketch(mask) for mask in first.masks]
    there = np.flatnonzero([mask.area for mask in masks])
    if not len(there):
        return first
    again = {name: each[there] for name, each in asked.items() if name != "multimask"}
    again |= {"boxes": np.stack([grown_box(masks[row], embedding.shape) for row in there]), "multimask": False}
    return first.replaced(there, _answer_once(embedding, decoder, again, connected=True, near=True))


def _answer_once(
    embedding: Embedding, decoder: MaskDecoder, asked: dict[str, Any], *, connected: bool, near: bool
) -> Answers:
    """Answer as `answer` does at first; ``near`` tells whether in the surroundings, where the decoder knows how to."""
    decode = decoder.decode_near if near and isinstance(decoder, NearDecoder) else decoder.decode
    found, scores = decode(embedding.arrays, embedding.shape, **asked)
    prompts, best = np.arange(len(scores)), scores.argmax(axis=1)
    drawn, iou = found[prompts, best], np.clip(scores[prompts, best], 0, 1)

    def island(mask: Grid | Patch, row: int) -> Grid:
        """Sink islands without an inside point."""
        return keep_islands(mask, embedding.shape, asked["points"][row], asked["labels"][row])

    if connected:
        for row, mask in enumerate(drawn):
            drawn[row] = island(mask, row)
    masks = [Patch.of(each) for each in drawn]
    if sharpens(decoder):
        given = {"points": asked["points"], "labels": asked["labels"], "boxes": asked.get("boxes")}
        once = connected  # a box that was only inferred does not bound the object
        masks, iou = decoder.sharpen(embedding.arrays, embedding.shape, drawn, iou, **given, once=once)
        if connected:
            masks = [mask._replace(logits=island(mask, row)) for row, mask in enumerate(masks)]
    return Answers(masks, iou, drawn)
