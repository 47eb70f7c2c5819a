"""Prompted mode: exactly one mask for every prompt."""

import numpy as np

from geosam.arrays import Flags, Ids, Valid
from geosam.embeddings import Embedding
from geosam.masks.clicks import BestMasks, answer, answer_boxes, answer_in_turn
from geosam.masks.low_res import stability, to_low_res
from geosam.masks.mask_set import MaskSet
from geosam.masks.suppression import Candidate, to_mask_set
from geosam.prompts import WindowPrompts
from geosam.segmenter import PromptBatch, Segmenter


def segment_prompts(
    embedding: Embedding, segmenter: Segmenter, prompts: WindowPrompts, valid: Valid, *, refine: int = 0
) -> MaskSet:
    """Answer every prompt with one mask.

    A single click is ambiguous: of the alternatives the one with the best predicted IoU is taken. Any other prompt gets
    the decoder's single answer; with `geosam.segmenter.Clicks.in_turn` the most central of several clicks inside is
    answered alone and the others correct the answer, as if they were given one after another. What clicks alone ask for
    is connected: of a mask those components stay on which an inside point lies.

    Parameters
    ----------
    embedding
        The window, encoded.
    segmenter
        The model, with its recipe.
    prompts
        Prompts in pixels of the same window.
    valid
        True where the window has data; masks are cut to it.
    refine
        How often to decode again with the answer as a mask prompt.

    Returns
    -------
    One mask for each prompt, in their order and with their rows as `prompt_ids`; empty where nothing was found.
    """
    single = _single_clicks(prompts.batch)
    found: list[Candidate | None] = [None] * len(prompts)
    for multimask in (True, False):
        which = np.flatnonzero(single == multimask)
        if len(which):
            best = _answer(embedding, segmenter, prompts.batch[which], multimask=multimask, refine=refine)
            for position, one in zip(which.tolist(), _candidates(best, prompts.rows[which], segmenter), strict=True):
                found[position] = one
    return to_mask_set([one for one in found if one is not None], embedding, valid)


def segment_boxes(
    embedding: Embedding, segmenter: Segmenter, prompts: WindowPrompts, valid: Valid, *, refine: int = 0
) -> MaskSet:
    """Answer many boxes or polygons with one mask each, in a third of the time that `segment_prompts` takes.

    They are answered in RoI crops, so that a mask does not reach far beyond its box, and those of one crop together, so
    that what one gets may depend on the others in the last bits.

    Parameters
    ----------
    embedding, segmenter, prompts, valid, refine
        As for `segment_prompts`; the prompts are boxes, or polygons, which have boxes too.
    """
    best = answer_boxes(embedding, segmenter, prompts.batch)
    for _ in range(refine):
        best = answer_boxes(embedding, segmenter, prompts.batch.with_masks(best.low_res))
    return to_mask_set(_candidates(best, prompts.rows, segmenter), embedding, valid)


def _single_clicks(prompts: PromptBatch) -> Flags:
    """Which prompts are a single inside point and nothing else."""
    if not prompts.clicks_only:
        return np.zeros(len(prompts), bool)
    return ((prompts.labels >= 0).sum(axis=1) == 1) & (prompts.labels == 1).any(axis=1)


def _answer(
    embedding: Embedding, segmenter: Segmenter, prompts: PromptBatch, *, multimask: bool, refine: int
) -> BestMasks:
    """Answer prompts, and decode again with the answers as mask prompts as often as wanted."""
    connected = prompts.clicks_only
    if connected and not multimask and segmenter.recipe.clicks.in_turn:
        best = answer_in_turn(embedding, segmenter, prompts)
    else:
        best = answer(embedding, segmenter, prompts, connected=connected, multimask=multimask)
    for _ in range(refine):
        again = prompts.with_masks(best.low_res)
        best = answer(embedding, segmenter, again, connected=connected, multimask=False)
    return best


def _candidates(best: BestMasks, rows: Ids, segmenter: Segmenter) -> list[Candidate]:
    offset = segmenter.recipe.everything.stability_offset
    return [
        Candidate(to_low_res(mask), float(score), stability(mask.logits, offset), row)
        for mask, score, row in zip(best.masks, best.iou.tolist(), rows.tolist(), strict=True)
    ]
