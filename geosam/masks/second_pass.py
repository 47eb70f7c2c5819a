"""A second look at masks: refined before suppression, and decoded again from their own box.

- **Refined before suppression** (`refine_candidates`). Which of the masks on one spot is the object shows in the
  picture: a mask whose outline follows what is to be seen there is one, and once it is known where it ends, neighbours
  no longer seem to overlap.
- **Second pass** (`decode_again`; for clicks see `geosam.masks.clicks`). A click says little about the object on which
  it lies; the box of the mask that came of it says where to look and how far, so that the second mask has the better
  outline, as in a cascade of detectors (Cai and Vasconcelos 2018, "Cascade R-CNN"). Masks that came of points are too
  small more often than too large, so that the box is a little expanded.

Both are part of a model's recipe (`geosam.segmenter.Refinement`, `SecondPass`). That each mask of everything mode is
decoded and refined twice pays: docs/experiments.md, "Second pass in everything mode" and "Refining before suppression".
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int32

from geosam.arrays import Patch
from geosam.embeddings import Embedding
from geosam.masks.low_res import Grid, LowResMask, keep_components, stability, to_low_res
from geosam.masks.suppression import Candidate, cover, suppress, without_overlap
from geosam.segmenter import PromptBatch, Recipe, Refined, Segmenter, batches

INSIDE = np.ones(1, np.int64)
"""What the one point of a mask means."""


def expanded_box(mask: LowResMask, shape: tuple[int, int], expand: float | int) -> Float32[np.ndarray, "4"]:
    """Expand a mask's box, ``xyxy`` in pixels of a window of ``shape`` ``(h, w)``, as far as the window goes.

    ``expand`` is a share of the box's width to its left and right, of its height above and below.

    Examples
    --------
    >>> logits = np.full((8, 8), -2, np.float32)
    >>> logits[1:5, 2:8] = 2
    >>> expanded_box(to_low_res(logits), (800, 800), 0.08).tolist()
    [152.0, 68.0, 800.0, 532.0]
    """
    x0, y0, x1, y1 = mask.box
    (h, w), (mh, mw) = shape, mask.shape
    across, down = expand * (x1 - x0), expand * (y1 - y0)
    box = np.array([max(x0 - across, 0), max(y0 - down, 0), min(x1 + across, mw), min(y1 + down, mh)])
    return (box * ([w / mw, h / mh] * 2)).astype(np.float32)


def expected_iou(
    first: Float32[np.ndarray, "n"],
    second: Float32[np.ndarray, "n"],
    agreed: Float32[np.ndarray, "n"],
    weights: tuple[float | int, ...],
) -> Float32[np.ndarray, "n"]:
    """Give the IoU to expect of masks after a second pass, in [0, 1].

    A model is too sure of what it sees in a box that it has drawn itself. How much its two masks agree tells the rest:
    where the second is another object, one of them is wrong (as committees of networks tell by their disagreement what
    they do not know, Seung et al. 1992, "Query by committee").

    Parameters
    ----------
    first, second
        What is predicted for each of the two, in [0, 1].
    agreed
        The IoU between the two, in [0, 1].
    weights
        What these three count, and what is taken from the sum (`SecondPass.iou_weights`).

    Examples
    --------
    >>> once, twice = np.array([0.8, 0.8], np.float32), np.array([0.8, 0.8], np.float32)
    >>> expected_iou(once, twice, np.array([1, 0.5], np.float32), (0.55, 0.41, 0.42, 0.33)).round(2).tolist()
    [0.8600000143051147, 0.6499999761581421]
    """
    one, other, both, less = weights
    return (one * first + other * second + both * agreed - less).clip(0, 1).astype(np.float32)


def refine_candidates(
    candidates: Sequence[Candidate], embedding: Embedding, segmenter: Segmenter, recipe: Recipe
) -> list[Candidate]:
    """Refine masks, and say anew how good they are.

    Where masks are to be laid out without overlap, those that would hardly lie on open ground are not refined: about
    two thirds of them.

    Parameters
    ----------
    candidates
        Masks of the window, none empty.
    embedding, segmenter, recipe
        The window, the model, and how it refines.

    Returns
    -------
    Of those that were nearly alike the best, refined, with their own scores; without those that were left out, and
    those that vanish when they are refined.
    """
    how, overlap = recipe.refinement, recipe.suppression.overlap
    seen: list[Candidate] = []
    ahead = suppress(candidates, how.nms_iou)
    while ahead:
        laid = without_overlap(seen, overlap) if overlap < 1 else []
        ahead = [one for one, share in zip(ahead, _hidden(ahead, laid), strict=True) if share <= how.hidden]
        few, ahead = ahead[: how.batch], ahead[how.batch :]
        if few:
            seen += _refine(few, embedding, segmenter, recipe)
    return seen


def _hidden(candidates: Sequence[Candidate], laid: Sequence[Candidate]) -> list[float]:
    """Which share of each mask others cover that have the finer sampling."""
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


def _refine(few: Sequence[Candidate], embedding: Embedding, segmenter: Segmenter, recipe: Recipe) -> list[Candidate]:
    points = np.array([one.point for one in few], np.float32)
    before = np.array([one.predicted_iou for one in few], np.float32)
    logits = np.stack([_raised(one.mask, recipe.refinement.sure) for one in few])
    prompts = PromptBatch.of_clicks(points).with_masks(logits)
    weight, seen = recipe.quality.weight, []
    found = segmenter.refine(embedding.features, prompts, before)
    for one, patch, reached in zip(few, found.masks, found.iou.tolist(), strict=True):
        kept = _component(patch, one, embedding) if recipe.everything.connected else patch.logits
        mask = to_low_res(patch._replace(logits=kept))
        if mask.area:
            steady = stability(kept, recipe.everything.stability_offset)
            expected = None if one.expected_iou is None else weight * one.expected_iou + (1 - weight) * reached
            seen.append(replace(one, mask=mask, predicted_iou=reached, stability=steady, expected_iou=expected))
    return seen


def _component(seen: Grid | Patch, one: Candidate, embedding: Embedding) -> Grid:
    """Of a mask's logits the connected component on which its own point lies."""
    return keep_components(seen, embedding.shape, np.array([one.point], np.float32), INSIDE)


def _raised(mask: LowResMask, sure: float | int) -> Grid:
    """Logits of a mask as of an answer: what a low-res mask does not keep, its values off the outline, is sure."""
    logits = np.full(mask.shape, -sure, np.float32)
    x0, y0, x1, y1 = mask.outer
    logits[y0:y1, x0:x1] = (sure * mask.logits()).clip(-sure, sure)
    return logits


def decode_again(
    candidates: Sequence[Candidate], embedding: Embedding, segmenter: Segmenter, recipe: Recipe
) -> list[Candidate]:
    """Replace masks by what the model answers to their own box, a little expanded.

    One in whose box it sees nothing stays, and so does one whose second mask would spill onto the ground of others.

    Parameters
    ----------
    candidates
        Masks of the window, none empty.
    embedding, segmenter, recipe
        The window, the model, and how it is asked.

    Returns
    -------
    The masks in their order, those that are replaced with the scores of the second one.
    """
    found: list[Candidate] = []
    if not candidates:
        return found
    owner = _owners(candidates)
    for rows in batches(len(candidates), segmenter.capabilities.max_batch):
        few = candidates[rows]
        answers = _boxed(few, embedding, segmenter, recipe)
        for number, (one, seen, iou) in enumerate(
            zip(few, answers.masks, answers.iou.tolist(), strict=True), rows.start + 1
        ):
            mask, steady = to_low_res(seen), stability(seen.logits, recipe.everything.stability_offset)
            second = replace(one, mask=mask, predicted_iou=iou, stability=steady)
            found.append(second if _fits(mask, owner, number, recipe.second_pass.spill) else one)
    return found


def _boxed(few: Sequence[Candidate], embedding: Embedding, segmenter: Segmenter, recipe: Recipe) -> Refined:
    """What the model answers to the box of each mask, refined where the recipe says so."""
    boxes = np.stack([expanded_box(one.mask, embedding.shape, recipe.second_pass.expand) for one in few])
    prompts = PromptBatch.of_boxes(boxes)
    logits, scores = segmenter.decode_rois(embedding.features, prompts, multimask=False, batched=True)
    iou = np.clip(scores[:, 0], 0, 1)

    def cleaned(masks: Iterable[Grid | Patch]) -> list[Grid]:
        """Keep the components on which a mask's own point lies."""
        return [_component(seen, one, embedding) for one, seen in zip(few, masks, strict=True)]

    low_res = np.stack(cleaned(logits[:, 0])) if recipe.everything.connected else logits[:, 0]
    if not recipe.refinement.enabled:
        return Refined([Patch.of(each) for each in low_res], iou)
    found = segmenter.refine(embedding.features, prompts.with_masks(low_res), iou)
    if not recipe.everything.connected:
        return found
    kept = zip(found.masks, cleaned(found.masks), strict=True)
    return Refined([mask._replace(logits=seen) for mask, seen in kept], found.iou)


def _owners(candidates: Sequence[Candidate]) -> Int32[np.ndarray, "mh mw"]:
    """Number, from 1, of the first mask at every logit; 0 where there is none."""
    owner = np.zeros(candidates[0].mask.shape, np.int32)
    for number, one in reversed(list(enumerate(candidates, start=1))):
        x0, y0, x1, y1 = one.mask.outer
        owner[y0:y1, x0:x1][one.mask.inside()] = number
    return owner


def _fits(mask: LowResMask, owner: Int32[np.ndarray, "mh mw"], number: int, spill: float | int) -> bool:
    """Whether a second mask shows something, nearly all of it on open ground or on what is its own."""
    x0, y0, x1, y1 = mask.outer
    there = owner[y0:y1, x0:x1][mask.inside()]
    return mask.area > 0 and int(np.count_nonzero((there != 0) & (there != number))) <= spill * mask.area
