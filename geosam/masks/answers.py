"""Prompts answered with one mask each, and corrected by further clicks."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from geosam.arrays import Logits, MaskScores, Patch, PointLabels, Points
from geosam.embeddings import Embedding
from geosam.masks.corrections import Correction, is_wrong
from geosam.masks.decoder import MaskDecoder, NearDecoder, SharpeningDecoder, sharpens
from geosam.masks.grown import LIKELIER, grown_box
from geosam.masks.islands import keep_islands
from geosam.masks.lone_clicks import MIDDLE, SHARPER, ask_around, in_doubt, middle
from geosam.masks.second_answers import expected_iou
from geosam.masks.sketch import iou_between, sketch


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

    def of(self, rows: Int64[np.ndarray, "m"]) -> "Answers":
        """Those to some of the prompts."""
        return Answers([self.masks[row] for row in rows.tolist()], self.iou[rows], self.drawn[rows])

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

    A `NearDecoder` answers clicks in their surroundings. If masks are connected and made sharper, a lone click is asked
    for a few pixels beside as well (`geosam.masks.lone_clicks`), and each mask once more with all its prompts and its
    own box, a little larger (`geosam.masks.grown`).

    Parameters
    ----------
    embedding, decoder
        The window, and who answers.
    points, labels, asked
        As `MaskDecoder.decode` takes them.
    connected
        Whether clicks ask for something connected: islands without an inside point are sunk.
    """
    return _ask(embedding, decoder, {"points": points, "labels": labels, **asked}, connected=connected)


def answer_in_turn(embedding: Embedding, decoder: MaskDecoder, *, points: Points, labels: PointLabels) -> Answers:
    """Answer the most central inside click of each prompt, then correct by each other that calls the answer wrong.

    So clicks that are given at once say as much as clicks that are given one after another; those that find nothing
    wrong change nothing.

    Parameters
    ----------
    embedding, decoder
        The window, and who answers.
    points, labels
        As `MaskDecoder.decode` takes them; each prompt has a point inside.
    """
    points, labels = _central_first(points, labels)
    found = answer(embedding, decoder, points=points[:, :1], labels=labels[:, :1], connected=True)
    for turn in range(1, points.shape[1]):
        clicks = zip(found.masks, points[:, turn], labels[:, turn].tolist(), strict=True)
        wrong = np.flatnonzero([is_wrong(mask, embedding.shape, point, label) for mask, point, label in clicks])
        if len(wrong):
            so_far = {"points": points[wrong, : turn + 1], "labels": labels[wrong, : turn + 1]}
            found = found.replaced(wrong, answer_correction(embedding, decoder, found.of(wrong), **so_far))
    return found


def answer_correction(
    embedding: Embedding, decoder: MaskDecoder, before: Answers, *, points: Points, labels: PointLabels
) -> Answers:
    """Answer clicks of which the last one calls the answer before wrong.

    The answer before is the mask prompt; if the decoder makes masks sharper, it stays as it was where the last click
    is far (`geosam.masks.corrections`).

    Parameters
    ----------
    embedding, decoder
        The window, and who answers.
    before
        Answers to the same clicks without the last.
    points, labels
        All clicks, as `MaskDecoder.decode` takes them; where the last label is -1 there is nothing to correct.
    """
    asked = {"points": points, "labels": labels, "mask_logits": before.drawn, "multimask": False}
    clicks = zip(before.masks, points[:, -1], labels[:, -1].tolist(), strict=True)
    changes = [Correction.at(mask, embedding.shape, point) if label >= 0 else None for mask, point, label in clicks]
    return _ask(embedding, decoder, asked, changes if sharpens(decoder) else None, connected=True)


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
"""Where each answer may differ from the one before; None: everywhere."""


def _ask(
    embedding: Embedding,
    decoder: MaskDecoder,
    asked: dict[str, Any],
    changes: Changes | None = None,
    *,
    connected: bool,
) -> Answers:
    """Ask, and once more by boxes if the masks are connected and were made sharper."""
    changes = changes or [None] * len(asked["points"])
    if not (connected and sharpens(decoder)):
        return _ask_once(embedding, decoder, asked, changes, connected=connected, near="boxes" not in asked)
    if asked.get("multimask", True):
        first = _ask_lone(embedding, decoder, asked["points"], asked["labels"])
    else:
        first = _ask_once(embedding, decoder, asked, changes, connected=True, near=True)
    masks = [sketch(mask) for mask in first.masks]
    there = np.flatnonzero([mask.area for mask in masks])
    if not len(there):
        return first
    again = {name: each[there] for name, each in asked.items() if name != "multimask"}
    again |= {"boxes": np.stack([grown_box(masks[row], embedding.shape) for row in there]), "multimask": False}
    some = [changes[row] for row in there.tolist()]
    second = _ask_once(embedding, decoder, again, some, connected=True, near=True)
    agreed = [iou_between(masks[row], sketch(mask)) for row, mask in zip(there.tolist(), second.masks, strict=True)]
    expected = expected_iou(first.iou[there], second.iou, np.array(agreed, np.float32))
    return first.replaced(there, second._replace(iou=expected))


def _ask_once(
    embedding: Embedding,
    decoder: MaskDecoder,
    asked: dict[str, Any],
    changes: Changes,
    *,
    connected: bool,
    near: bool,
) -> Answers:
    """Ask once; ``near`` tells whether in the surroundings, where the decoder knows how to."""
    found, scores = _ask_of(decoder, embedding, near=near)(**asked)
    prompts, best = np.arange(len(scores)), scores.argmax(axis=1)
    drawn, iou = found[prompts, best], scores[prompts, best]
    return _settle(embedding, decoder, asked, changes, drawn, iou, connected=connected)


def _ask_lone(embedding: Embedding, decoder: SharpeningDecoder, points: Points, labels: PointLabels) -> Answers:
    """Ask with lone clicks, and look at two alternatives where it is in doubt which one is meant."""
    ask = _ask_of(decoder, embedding, near=True, together=True)
    found, scores = ask_around(ask, embedding.shape, points, labels)
    order = np.argsort(-scores, axis=1, kind="stable")
    doubtful = np.flatnonzero(in_doubt(scores))
    rows = np.concatenate([np.arange(len(scores)), doubtful])
    choices = np.concatenate([order[:, 0], order[doubtful, 1]])
    asked = {"points": points[rows], "labels": labels[rows]}
    iou = scores[rows, choices]
    seen = _settle(embedding, decoder, asked, [None] * len(rows), found[rows, choices], iou, connected=True)
    places = zip(seen.masks, points[rows, 0], strict=True)
    middles = np.array([middle(mask, embedding.shape, place) for mask, place in places], np.float32)
    worth = iou + SHARPER * seen.iou + MIDDLE * middles
    others = np.arange(len(scores), len(rows))
    better = worth[others] > worth[doubtful]
    return seen.of(np.arange(len(scores))).replaced(doubtful[better], seen.of(others[better]))


def _ask_of(
    decoder: MaskDecoder, embedding: Embedding, *, near: bool, together: bool = False
) -> Callable[..., tuple[Logits, MaskScores]]:
    """How to ask about a window: in the surroundings of prompts, if wanted and the decoder knows how to."""
    if near and isinstance(decoder, NearDecoder):
        return partial(decoder.decode_near, embedding.arrays, embedding.shape, together=together)
    return partial(decoder.decode, embedding.arrays, embedding.shape)


def _settle(
    embedding: Embedding,
    decoder: MaskDecoder,
    asked: dict[str, Any],
    changes: Changes,
    drawn: Float32[np.ndarray, "n mh mw"],
    iou: Float32[np.ndarray, "n"],
    *,
    connected: bool,
) -> Answers:
    """Make answers of what was drawn: keep what may not change, sink islands without an inside point, sharpen."""
    iou = iou.clip(0, 1)

    def settled(masks: Iterable[Patch]) -> list[Patch]:
        """Keep what may not change, and sink islands without an inside point."""
        kept = [mask if change is None else change.keep(mask) for mask, change in zip(masks, changes, strict=True)]
        if not connected:
            return kept
        clicks = zip(kept, asked["points"], asked["labels"], strict=True)
        return [mask._replace(logits=keep_islands(mask, embedding.shape, *clicked)) for mask, *clicked in clicks]

    masks = settled(Patch.of(each) for each in drawn)
    if sharpens(decoder):
        drawn = np.stack([mask.logits for mask in masks])
        given = {"points": asked["points"], "labels": asked["labels"], "boxes": asked.get("boxes")}
        once = connected  # a box that was only inferred does not bound the object
        masks, iou = decoder.sharpen(embedding.arrays, embedding.shape, drawn, iou, **given, once=once)
        if connected and "boxes" in asked:
            masks = [mask._replace(logits=mask.logits + np.float32(LIKELIER)) for mask in masks]
        masks = settled(masks)
    return Answers(masks, iou, drawn)
