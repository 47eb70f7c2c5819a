"""Prompts answered with one mask each: a box, a single click, several clicks, corrective clicks.

How often a prompt is decoded is the model's `geosam.segmenter.Clicks`; a plain SAM decodes it once.

- A **single click** says little. Where two alternatives are about as good, both are refined, and the predicted IoU of
  the refined masks decides, with how central the click lies: people click in the middle of what they mean
  (Papadopoulos et al. 2017, "Training object class detectors with click supervision").
- Several clicks are answered at once, or in turn: then each but the first is a corrective one
  (`geosam.masks.corrections`).
- What clicks ask for is **connected**: of a mask those components stay on which an inside point lies.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from scipy import ndimage

from geosam.arrays import Flags, MaskScores, Patch, PointLabels, Points
from geosam.embeddings import Embedding
from geosam.masks.corrections import Correction, is_wrong
from geosam.masks.low_res import bounds, cell_of, iou_between, keep_components, to_low_res
from geosam.masks.second_pass import expanded_box, expected_iou
from geosam.segmenter import Answers, PromptBatch, Segmenter


class BestMasks(NamedTuple):
    """One mask for each prompt.

    Attributes
    ----------
    masks
        As sharp as the model can make them.
    iou
        That they are predicted to have, in [0, 1].
    low_res
        Logits as the decoder drew them. These are the mask prompt of a next question, because a decoder learns on its
        own answers.
    """

    masks: list[Patch]
    iou: Float32[np.ndarray, "n"]
    low_res: Float32[np.ndarray, "n mh mw"]

    def of(self, rows: Int64[np.ndarray, "m"]) -> "BestMasks":
        """Those to some of the prompts."""
        return BestMasks([self.masks[row] for row in rows.tolist()], self.iou[rows], self.low_res[rows])

    def replaced(self, rows: Int64[np.ndarray, "m"], second: "BestMasks") -> "BestMasks":
        """Put second answers in the place of those of some rows; an empty one replaces nothing."""
        masks, iou, low_res = list(self.masks), self.iou.copy(), self.low_res.copy()
        for place, row in enumerate(rows.tolist()):
            if (second.masks[place].logits > 0).any():
                masks[row], iou[row], low_res[row] = second.masks[place], second.iou[place], second.low_res[place]
        return BestMasks(masks, iou, low_res)


def answer(
    embedding: Embedding, segmenter: Segmenter, prompts: PromptBatch, *, connected: bool, multimask: bool = True
) -> BestMasks:
    """Answer each prompt with the alternative of the best predicted IoU.

    Parameters
    ----------
    embedding, segmenter
        The window, and the model with its recipe.
    prompts
        In pixels of the window.
    connected
        Whether they ask for something connected, as clicks alone do; such masks may have a second pass.
    multimask
        Whether the prompts are ambiguous, as single clicks are.
    """
    return _answer(embedding, segmenter, prompts, None, connected=connected, multimask=multimask)


def answer_boxes(embedding: Embedding, segmenter: Segmenter, prompts: PromptBatch) -> BestMasks:
    """Answer many boxes in the smallest RoI crops that hold them, those of one crop together: quicker than `answer`.

    Parameters
    ----------
    embedding, segmenter
        The window, and the model with its recipe.
    prompts
        Boxes in pixels of the window.
    """
    found = best_of(segmenter.decode_rois(embedding.features, prompts, multimask=False, batched=True))
    return _finished(embedding, segmenter, prompts, *found, changes=[None] * len(prompts), connected=False)


def answer_in_turn(embedding: Embedding, segmenter: Segmenter, prompts: PromptBatch) -> BestMasks:
    """Answer the most central inside click of each prompt, then correct by each other that calls the answer wrong.

    So clicks that are given at once say as much as clicks that are given one after another; those that find nothing
    wrong change nothing.

    Parameters
    ----------
    embedding, segmenter
        The window, and the model with its recipe.
    prompts
        Clicks alone; each prompt has a point inside.
    """
    points, labels = _central_first(prompts.points, prompts.labels)
    found = answer(embedding, segmenter, PromptBatch(points[:, :1], labels[:, :1]), connected=True)
    for turn in range(1, points.shape[1]):
        clicks = zip(found.masks, points[:, turn], labels[:, turn].tolist(), strict=True)
        wrong = np.flatnonzero([is_wrong(mask, embedding.shape, point, label) for mask, point, label in clicks])
        if len(wrong):
            so_far = PromptBatch(points[wrong, : turn + 1], labels[wrong, : turn + 1])
            found = found.replaced(wrong, answer_correction(embedding, segmenter, found.of(wrong), so_far))
    return found


def answer_correction(embedding: Embedding, segmenter: Segmenter, before: BestMasks, prompts: PromptBatch) -> BestMasks:
    """Answer clicks of which the last one calls the answer before wrong.

    The answer before is the mask prompt; with `Clicks.reach` it stays as it was where the last click is far.

    Parameters
    ----------
    embedding, segmenter
        The window, and the model with its recipe.
    before
        Answers to the same clicks without the last.
    prompts
        All clicks; where the last label is -1 there is nothing to correct.
    """
    reach, changes = segmenter.recipe.clicks.reach, None
    if reach is not None:
        clicks = zip(before.masks, prompts.points[:, -1], prompts.labels[:, -1].tolist(), strict=True)
        changes = [
            Correction.at(mask, embedding.shape, point, reach) if label >= 0 else None for mask, point, label in clicks
        ]
    asked = prompts.with_masks(before.low_res)
    return _answer(embedding, segmenter, asked, changes, connected=True, multimask=False)


def are_ambiguous(iou: MaskScores, margin: float | int) -> Flags:
    """Tell which clicks have two alternatives about as good, by the IoUs predicted for them.

    Examples
    --------
    >>> are_ambiguous(np.array([[0.7, 0.2, 0.68], [0.7, 0.2, 0.6]], np.float32), 0.05).tolist()
    [True, False]
    """
    second, best = np.sort(iou, axis=1)[:, -2:].T
    return best - second < margin


def centrality(mask: Patch, shape: tuple[int, int], point: Float32[np.ndarray, "2"]) -> float:
    """Tell how central a point lies in a mask: 0 beside it, 1 where it is deepest.

    Examples
    --------
    >>> mask = Patch.of(np.where(np.abs(np.arange(9) - 4) < 4, 1, -1)[None].repeat(9, 0).astype(np.float32))
    >>> [centrality(mask, (9, 9), np.array([x + 0.5, 4.5], np.float32)) for x in (0, 2, 4)]
    [0.0, 0.5, 1.0]
    """
    inside = mask.logits > 0
    x0, y0, x1, y1 = bounds(inside)
    row, col = cell_of(point, shape, mask.shape)
    row, col = row - mask.corner[1] - y0, col - mask.corner[0] - x0
    if not (0 <= row < y1 - y0 and 0 <= col < x1 - x0):
        return 0.0
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(inside[y0:y1, x0:x1], 1)))
    return float(depth[row + 1, col + 1] / depth.max())


def _central_first(points: Points, labels: PointLabels) -> tuple[Points, PointLabels]:
    """Put the inside click that is most central before all others of its prompt, which keep their order."""
    inside = labels == 1
    centre = (points * inside[..., None]).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)[:, None]  # n 2
    away = np.where(inside, np.square(points - centre[:, None]).sum(axis=2), np.inf)
    order = np.tile(np.arange(labels.shape[1]), (len(labels), 1))
    np.put_along_axis(order, away.argmin(axis=1)[:, None], -1, axis=1)
    order = order.argsort(axis=1, kind="stable")
    return np.take_along_axis(points, order[..., None], axis=1), np.take_along_axis(labels, order, axis=1)


Changes = Sequence[Correction | None]
"""Where each mask may differ from the one before; None: everywhere."""


def _answer(
    embedding: Embedding,
    segmenter: Segmenter,
    prompts: PromptBatch,
    changes: Changes | None,
    *,
    connected: bool,
    multimask: bool,
) -> BestMasks:
    """Decode once, and where connected masks have a second pass, again by all prompts and their own boxes."""
    clicks, second_pass = segmenter.recipe.clicks, segmenter.recipe.second_pass
    changes = changes or [None] * len(prompts)
    if connected and multimask and clicks.ambiguity:
        first = _answer_single_clicks(embedding, segmenter, prompts)
    else:
        decode = segmenter.decode if prompts.boxes is not None else segmenter.decode_rois
        found = best_of(decode(embedding.features, prompts, multimask=multimask))
        first = _finished(embedding, segmenter, prompts, *found, changes=changes, connected=connected)
    if not (connected and second_pass.clicks):
        return first
    masks = [to_low_res(mask) for mask in first.masks]
    there = np.flatnonzero([mask.area for mask in masks])
    if not len(there):
        return first
    boxes = np.stack([expanded_box(masks[row], embedding.shape, second_pass.expand) for row in there])
    again, some = prompts[there].with_boxes(boxes), [changes[row] for row in there.tolist()]
    found = best_of(segmenter.decode_rois(embedding.features, again, multimask=False))
    second = _finished(embedding, segmenter, again, *found, changes=some, connected=True)
    agreed = [iou_between(masks[row], to_low_res(mask)) for row, mask in zip(there.tolist(), second.masks, strict=True)]
    expected = expected_iou(first.iou[there], second.iou, np.array(agreed, np.float32), second_pass.iou_weights)
    return first.replaced(there, second._replace(iou=expected))


def best_of(answers: Answers) -> tuple[Float32[np.ndarray, "n mh mw"], Float32[np.ndarray, "n"]]:
    """The alternative of the best predicted IoU of each prompt, and that IoU."""
    prompts, best = np.arange(len(answers.iou)), answers.iou.argmax(axis=1)
    return answers.logits[prompts, best], answers.iou[prompts, best]


def _answer_single_clicks(embedding: Embedding, segmenter: Segmenter, prompts: PromptBatch) -> BestMasks:
    """Answer single clicks, and refine two alternatives where it is in doubt which one is meant."""
    how = segmenter.recipe.clicks
    found, scores = segmenter.decode_rois(embedding.features, prompts)
    order = np.argsort(-scores, axis=1, kind="stable")
    doubtful = np.flatnonzero(are_ambiguous(scores, how.ambiguity))
    rows = np.concatenate([np.arange(len(scores)), doubtful])
    choices = np.concatenate([order[:, 0], order[doubtful, 1]])
    asked, iou, free = prompts[rows], scores[rows, choices], [None] * len(rows)
    seen = _finished(embedding, segmenter, asked, found[rows, choices], iou, changes=free, connected=True)
    places = zip(seen.masks, asked.points[:, 0], strict=True)
    central = np.array([centrality(mask, embedding.shape, place) for mask, place in places], np.float32)
    ranking = iou + how.refined_weight * seen.iou + how.central_weight * central
    others = np.arange(len(scores), len(rows))
    better = ranking[others] > ranking[doubtful]
    return seen.of(np.arange(len(scores))).replaced(doubtful[better], seen.of(others[better]))


def _finished(
    embedding: Embedding,
    segmenter: Segmenter,
    prompts: PromptBatch,
    logits: Float32[np.ndarray, "n mh mw"],
    iou: Float32[np.ndarray, "n"],
    *,
    changes: Changes,
    connected: bool,
) -> BestMasks:
    """Clean what was decoded, refine it where the recipe says so, and clean it again."""
    iou = iou.clip(0, 1)

    def cleaned(masks: Iterable[Patch]) -> list[Patch]:
        """Put back what may not change, and keep the components on which an inside point lies."""
        kept = [mask if change is None else change.keep(mask) for mask, change in zip(masks, changes, strict=True)]
        if not connected:
            return kept
        clicks = zip(kept, prompts.points, prompts.labels, strict=True)
        return [mask._replace(logits=keep_components(mask, embedding.shape, *clicked)) for mask, *clicked in clicks]

    masks = cleaned(Patch.of(each) for each in logits)
    if segmenter.recipe.refinement.enabled:
        logits = np.stack([mask.logits for mask in masks])
        masks, iou = segmenter.refine(embedding.features, prompts.with_masks(logits), iou, tight=not connected)
        if connected and prompts.boxes is not None:
            bias = np.float32(segmenter.recipe.second_pass.bias)
            masks = [mask._replace(logits=mask.logits + bias) for mask in masks]
        masks = cleaned(masks)
    return BestMasks(masks, iou, logits)
