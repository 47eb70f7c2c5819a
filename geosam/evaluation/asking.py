"""The model asked for every object of a window: with a box, with clicks where it was wrong, and with nothing at all."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from geopandas import GeoDataFrame
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from geosam.embeddings import Embedding
from geosam.evaluation.crops import Crop, around, iou
from geosam.evaluation.ground import WindowScore, score_window
from geosam.evaluation.looks import Look, Target
from geosam.evaluation.truth import deepest_point
from geosam.masks.clicks import BestMasks, answer, answer_correction
from geosam.pipeline import segment
from geosam.prompts import Prompt, Prompts
from geosam.segmenter import PromptBatch, Segmenter

BATCH = 32
"""Objects asked for at a time; bounds memory and changes nothing else."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A mask, and the IoU that the model predicts for it, in [0, 1]."""

    mask: Crop
    predicted: float


@dataclass(frozen=True, eq=False)
class Clicked:
    """The clicks given so far for some objects, and what they led to.

    Attributes
    ----------
    prompts
        These clicks.
    found
        What was answered to all of these clicks together.
    answers
        The same in pixels.
    """

    prompts: PromptBatch
    found: BestMasks
    answers: list[Answer]


def ask_boxes(embedding: Embedding, segmenter: Segmenter, targets: Sequence[Target]) -> list[Answer]:
    """Answer each object's box in one view; `segment_boxes` answers as a user gets it answered."""
    answers: list[Answer] = []
    for few in batches(targets):
        boxes = np.stack([each.box for each in few])
        found = answer(embedding, segmenter, PromptBatch.of_boxes(boxes), connected=False, multimask=False)
        answers += _in_pixels(found, embedding)
    return answers


def segment_boxes(look: Look, network: Any) -> list[Answer]:
    """Answer each object's box as a user gets it answered: by `geosam.segment`."""
    prompts = Prompts(tuple(Prompt(row, row, box_px=each.box.astype(float)) for row, each in enumerate(look.targets)))
    found = segment(look.alone(), prompts, model=network)
    answers = [Answer(Crop.of_box(np.zeros(4, np.float32)), 0.0) for _ in look.targets]
    for row, mask, score in zip(found.prompt_id, _masks(look, found), found.predicted_iou, strict=True):
        answers[row] = Answer(_drawn(mask), float(score))
    return answers


def ask_clicks(
    embedding: Embedding, segmenter: Segmenter, targets: Sequence[Target], rounds: int = 3
) -> list[list[Answer]]:
    """Answer one click on each object, then further ones where the answer before was wrong.

    The first click is at the object's deepest point and gets the best of the alternatives by predicted IoU. Each
    further one is at the deepest point of the largest region that was wrong, and corrects the answer before it
    (`geosam.masks.corrections`), as clicks that a user gives together do.

    Returns
    -------
    For each round the answers, in the objects' order.
    """
    found: list[list[Answer]] = [[] for _ in range(rounds)]
    for few in batches(targets):
        asked = first_click(embedding, segmenter, few)
        found[0] += asked.answers
        for turn in range(1, rounds):
            asked = next_click(embedding, segmenter, few, asked)
            found[turn] += asked.answers
    return found


def first_click(embedding: Embedding, segmenter: Segmenter, targets: Sequence[Target]) -> Clicked:
    """Click each object at its deepest point."""
    prompts = PromptBatch.of_clicks(np.stack([each.point for each in targets]))
    found = answer(embedding, segmenter, prompts, connected=True)
    return Clicked(prompts, found, _in_pixels(found, embedding))


def next_click(embedding: Embedding, segmenter: Segmenter, targets: Sequence[Target], asked: Clicked) -> Clicked:
    """Click each object where its answer is wrong."""
    corrections = [correct(answer.mask, each.truth) for answer, each in zip(asked.answers, targets, strict=True)]
    points = np.array([(x, y) for x, y, _ in corrections], np.float32)[:, None]
    labels = np.array([[label] for *_, label in corrections], np.int64)
    before = asked.prompts
    prompts = PromptBatch(np.concatenate([before.points, points], 1), np.concatenate([before.labels, labels], 1))
    found = answer_correction(embedding, segmenter, asked.found, prompts)
    return Clicked(prompts, found, _in_pixels(found, embedding))


def correct(answer: Crop, truth: Crop) -> tuple[float, float, int]:
    """Find the next click: the deepest point of the largest region that is wrong.

    Returns
    -------
    ``x, y`` in window pixels, and 1 where something is missing, 0 where there is too much; -1 if nothing is wrong.

    Examples
    --------
    >>> whole, half = np.ones((4, 8), bool), np.arange(8) < np.full((4, 1), 4)
    >>> correct(Crop.of(half), Crop.of(whole)), correct(Crop.of(whole), Crop.of(half))
    ((5.5, 1.5, 1), (5.5, 1.5, 0))
    """
    box = around(answer, truth)
    given, wanted = answer.on(box), truth.on(box)
    found: tuple[int, int, np.ndarray] = (0, -1, np.zeros((1, 1), bool))
    for label, wrong in ((1, wanted & ~given), (0, given & ~wanted)):
        pieces = np.zeros(wrong.shape, np.int32)
        ndimage.label(wrong, output=pieces)
        sizes = np.bincount(np.ravel(pieces))
        sizes[0] = 0
        if sizes.max() > found[0]:
            found = int(sizes.max()), label, pieces == sizes.argmax()
    if found[1] < 0:
        return 0.0, 0.0, -1
    x, y = deepest_point(found[2])
    return box[0] + x, box[1] + y, found[1]


def _in_pixels(found: BestMasks, embedding: Embedding) -> list[Answer]:
    """Bring answers of a window to its pixels."""
    masks = (Crop.of_logits(each, embedding.shape) for each in found.masks)
    return [Answer(mask, float(score)) for mask, score in zip(masks, found.iou, strict=True)]


def batches(targets: Sequence[Target]) -> Iterator[Sequence[Target]]:
    """Cut a window's objects into parts."""
    for start in range(0, len(targets), BATCH):
        yield targets[start : start + BATCH]


def find_everything(look: Look, network: Any, **options: Any) -> tuple[list[float], WindowScore]:
    """Segment everything in a window, as a user would.

    Returns
    -------
    The best IoU that each object gets, in order, and what the segments make of the window.
    """
    begin = time.process_time()
    table = segment(look.alone(), model=network, **options)
    seconds = time.process_time() - begin
    shapes = _masks(look, table)
    return _best(look, shapes), score_window(look, _labels(look, shapes), seconds)


def _labels(look: Look, shapes: np.ndarray) -> np.ndarray:
    """Polygons in the window's pixels as labels from 1; where they overlap, the last one's."""
    shape = (round(look.window.height), round(look.window.width))
    numbered = [(each, number) for number, each in enumerate(shapes, start=1) if not each.is_empty]
    return rasterize(numbered, out_shape=shape, dtype="int32") if numbered else np.zeros(shape, np.int32)


def _best(look: Look, shapes: np.ndarray) -> list[float]:
    """The best IoU of each object with any of some polygons."""
    boxes = shapely.bounds(shapes).reshape(-1, 4)
    reached = []
    for each in look.targets:
        x0, y0, x1, y1 = each.truth.box
        near = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
        masks = [_drawn(shape) for shape in shapes[near]]
        masks = masks if each.exact else [mask.filled() for mask in masks]
        reached.append(max((iou(mask, each.truth) for mask in masks), default=0.0))
    return reached


def _masks(look: Look, found: GeoDataFrame) -> np.ndarray:
    """Polygons in the window's pixels."""
    left, top = look.window.col_off, look.window.row_off
    return shapely.transform(look.scene.to_px(found.geometry), lambda xy: xy - (left, top))


def _drawn(shape: BaseGeometry) -> Crop:
    """Draw a polygon: the pixels whose centres lie in it."""
    x0, y0, x1, y1 = (int(v) for v in (*np.floor(shape.bounds[:2]), *np.ceil(shape.bounds[2:])))
    mask = np.zeros((max(y1 - y0, 1), max(x1 - x0, 1)), np.uint8)
    rasterize([shapely.transform(shape, lambda xy: xy - (x0, y0))], out=mask)
    return Crop((x0, y0, x0 + mask.shape[1], y0 + mask.shape[0]), mask.astype(bool))
