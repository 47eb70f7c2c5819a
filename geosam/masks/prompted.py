"""Prompted mode: exactly one mask for every prompt."""

import numpy as np

from geosam.arrays import Valid
from geosam.embeddings import Embedding
from geosam.masks.answers import answer, answer_in_turn
from geosam.masks.candidates import Candidate, finish
from geosam.masks.decoder import MaskDecoder, sharpens
from geosam.masks.mask_set import MaskSet
from geosam.masks.sketch import sketch, stability
from geosam.prompts import WindowPrompts

STABILITY_OFFSET = 1.0
"""Logits by which the threshold moves to either side when stability is measured."""


def segment_prompts(
    embedding: Embedding, decoder: MaskDecoder, prompts: WindowPrompts, valid: Valid, *, refine: int = 0
) -> MaskSet:
    """Answer every prompt with one mask.

    A lone click is ambiguous: of the decoder's alternatives the one with the best predicted IoU is taken. Any other
    prompt gets the decoder's single answer; but if the decoder makes masks sharper, the most central of several clicks
    inside is answered alone and the others correct the answer, as if they were given one after another. What clicks
    alone ask for is connected: of a mask's islands those stay on which an inside point stands
    (`geosam.masks.islands`).

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
    if connected and not multimask and sharpens(decoder):
        best = answer_in_turn(embedding, decoder, **asked)
    else:
        best = answer(embedding, decoder, **asked, **masks, multimask=multimask, connected=connected)
    for _ in range(refine):
        best = answer(embedding, decoder, **asked, mask_logits=best.drawn, multimask=False, connected=connected)
    return [
        Candidate(sketch(mask), float(score), stability(mask.logits, STABILITY_OFFSET), int(row))
        for mask, score, row in zip(best.masks, best.iou, prompts.rows[which], strict=True)
    ]
