"""The steps of fine-tuning: learn from tiles, look at those held out, keep the best weights, stop in time."""

import logging
import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rasterio.windows import Window
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from geosam.embeddings import Embedding
from geosam.evaluation.asking import ask_boxes, ask_clicks
from geosam.evaluation.crops import iou
from geosam.execute import Progress
from geosam.models import to_predictor
from geosam.nano.network import NanoSam
from geosam.nano.roi_crop import SAMPLING
from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Predictor, Sam
from geosam.training.answers import ask, batch_to_truth, judge
from geosam.training.calibration import gaps_of_each, move_ious
from geosam.training.checkpoints import Average
from geosam.training.finetuning.lessons import POSITIONS, Kept, crop, draw_lesson
from geosam.training.finetuning.tiles import Tile
from geosam.training.sharpening import judge_lesson, lesson_of

log = logging.getLogger(__name__)

Part = Literal["sharpener", "decoder", "all"]

RATES: dict[Part, float] = {"sharpener": 1e-3, "decoder": 3e-4, "all": 1e-4}
"""Learning rates."""

EVERY, PATIENCE = 25, 6
"""Steps between looks at what is held out, and looks without a gain after which training stops."""

BLENDS: dict[Part, float] = {"sharpener": 0.5, "decoder": 0.4, "all": 0.4}
"""Share of what was learned in the weights; the rest is the start (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models"). With all of it, a click on other scenes finds much worse what is rare on these."""

CROP, LEAST_IOU = 256, 0.2
"""Side, in pixels, of what a sharpener learns from at a time, and IoU below which a mask is nothing to sharpen."""

CHOSEN = 0.5
"""Share of the judgement on a lone click that goes to the mask that a user would get, not to the best of the three."""

LOOKED_AT = 80
"""Footprints that are asked for in a look, at most; all of them before and after."""

DECAY, WEIGHT_DECAY, CLIP, WARM_UP = 0.95, 0.01, 1.0, 10
"""Of the running average of the weights, of the weights themselves; greatest norm of the gradient; steps of ascent."""


@dataclass(frozen=True)
class Score:
    """Mean IoU on held-out footprints, from a box, from one click and from three."""

    box: float
    click: float
    clicks3: float

    @property
    def value(self) -> float:
        """What decides which weights are best."""
        return (self.box + self.click + self.clicks3) / 3


@dataclass
class Course:
    """Where a run of fine-tuning stands.

    Attributes
    ----------
    best, best_value, best_step
        The best weights so far, the held-out value that they reached, and when.
    history
        ``(step, value)`` of every look.
    """

    best: dict[str, Tensor]
    best_value: float
    best_step: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)

    @property
    def stale(self) -> bool:
        """Whether the last looks brought no gain."""
        return bool(self.history) and self.history[-1][0] - self.best_step >= EVERY * PATIENCE


def learn(
    sam: Sam, tiles: Sequence[Tile], folder: Path, *, part: Part, steps: int, seed: int, progress: Progress
) -> Course:
    """Train a network on tiles and leave it with its best weights, its predicted IoUs right on average.

    What is looked at, and may be the best, is the running average, blended with the start.

    Parameters
    ----------
    sam
        The network; it is changed.
    tiles
        To learn from and held out.
    folder
        For the encoder's features, which are kept as long as only the decoder learns.
    part
        What learns: the sharpener of masks, all but the image encoder, or all.
    steps
        At most so many.
    seed
        Decides what is asked when.
    progress
        Shows how far it is.
    """
    frozen = Kept(to_predictor(deepcopy(sam), "start"), folder) if part != "all" else None
    learning = set_learning(sam, part)
    optimiser = torch.optim.AdamW(learning, lr=RATES[part], weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98))
    average, known = Average(sam, DECAY), [tile for tile in tiles if not tile.held_out]
    begun = weights_of(sam)
    course = Course(begun, look(sam, tiles, frozen, most=LOOKED_AT).value)
    rng = np.random.default_rng(seed)
    with progress.stage("finetune", steps, unit="steps") as stage:
        for step in range(1, steps + 1):
            for group in optimiser.param_groups:
                group["lr"] = RATES[part] * min(1.0, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
            if part == "sharpener":
                loss = sharpening_step(sam, known, rng, again=bool(step % 2))
            else:
                loss = step_loss(sam, known, frozen, rng)
            optimiser.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(learning, CLIP)
            if bool(norm.isfinite()):
                optimiser.step()
                average.update(sam, step)
            stage.advance()
            if step % EVERY == 0 or step == steps:
                averaged, value = look_with(sam, average, begun, tiles, frozen, share=BLENDS[part])
                remember(course, averaged, step, value)
                if course.stale:
                    break
    sam.load_state_dict(course.best)
    if course.best_step and part != "sharpener":  # which has learned what IoU to expect
        calibrate(sam, tiles, frozen)
    return course


def set_learning(sam: Sam, part: Part) -> list[Tensor]:
    """Tell the parameters that learn, and hold all others."""
    for name, parameter in sam.named_parameters():
        of_encoder, of_sharpener = (name.startswith(f"{each}.") for each in ("image_encoder", "mask_sharpener"))
        parameter.requires_grad_({"sharpener": of_sharpener, "decoder": not of_encoder, "all": True}[part])
    return [parameter for parameter in sam.parameters() if parameter.requires_grad]


def step_loss(sam: Sam, tiles: Sequence[Tile], frozen: Kept | None, rng: np.random.Generator) -> Tensor:
    """Ask for some footprints of a tile, correct once, and tell the loss; richer tiles are drawn more often."""
    weights = np.sqrt([len(tile.labels) for tile in tiles])
    number = int(rng.choice(len(tiles), p=weights / weights.sum()))
    position = int(rng.integers(POSITIONS))
    batch = draw_lesson(rng, tiles[number], position)
    truth = batch_to_truth(batch, sam.pixel_mean.device)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if sam.position_side:  # so that no place on the tile is learned by heart
        sam.prompt_encoder.pe_layer.origin.copy_(3 * torch.rand(2, generator=generator))
    with sdpa_kernel(SDPBackend.MATH):  # its backward is the quickest on a CPU
        features: FeatureMaps = (
            frozen.features(f"{tiles[number].name}-{position}", batch.pixels[0])
            if frozen is not None
            else sam.encode_images(sam.normalise(truth.images))
        )
        how = {"rounds": 1, "late": False, "generator": generator, "chosen": CHOSEN}
        judged = [judge(sam, each, truth, **how) for each in ask(features, truth)]
    if sam.position_side:
        sam.prompt_encoder.pe_layer.origin.zero_()
    return torch.stack([masks + ious for masks, ious, _ in judged]).sum() / (2 * len(truth.targets))


def sharpening_step(sam: Sam, tiles: Sequence[Tile], rng: np.random.Generator, *, again: bool) -> Tensor:
    """Ask the network itself for some footprints of a tile, have its answers sharpened, and tell the loss."""
    weights = np.sqrt([len(tile.labels) for tile in tiles])
    tile = crop(rng, tiles[int(rng.choice(len(tiles), p=weights / weights.sum()))], CROP)
    batch = draw_lesson(rng, tile, int(rng.integers(POSITIONS)), SAMPLING)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    assert isinstance(sam, NanoSam)  # `finetune` has seen to it
    sharpener = sam.mask_sharpener
    assert sharpener is not None  # likewise
    lesson = lesson_of(sam, batch, generator, least_iou=LEAST_IOU)
    return judge_lesson(sharpener, lesson, generator, again=again)[0]


def look_with(
    sam: Sam,
    average: Average,
    begun: dict[str, Tensor],
    tiles: Sequence[Tile],
    frozen: Kept | None,
    *,
    share: float | int,
) -> tuple[Sam, float]:
    """Give the network with its averaged weights, blended with the start, and what it reaches on some held out."""
    averaged = deepcopy(sam)
    average.apply(averaged)
    blend(averaged, begun, share)
    return averaged, look(averaged, tiles, frozen, most=LOOKED_AT).value


@torch.no_grad()
def blend(sam: Sam, begun: dict[str, Tensor], share: float) -> None:
    """Move all that learned towards where it began, until only a share of the way is left."""
    for name, parameter in sam.named_parameters():
        parameter.copy_(torch.lerp(begun[name], parameter, share))


def calibrate(sam: Sam, tiles: Sequence[Tile], frozen: Kept | None = None) -> None:
    """Bring the predicted IoUs in line with those reached, on average over the footprints of all tiles."""
    predictor = to_predictor(deepcopy(sam), "calibration")
    difference = np.concatenate(
        [gaps_of_each(_embedding(predictor, each, frozen), predictor, each.targets()) for each in tiles]
    )
    log.info("predicted IoUs moved by %s", difference.mean(0).round(3).tolist())
    move_ious(sam, difference.mean(0))


def remember(course: Course, averaged: Sam, step: int, value: float) -> None:
    """Note a look, and keep its weights if they are the best so far."""
    course.history.append((step, value))
    log.info("step %d: %.4f on what is held out", step, value)
    if value > course.best_value:
        course.best, course.best_value, course.best_step = weights_of(averaged), value, step


def weights_of(sam: Sam) -> dict[str, Tensor]:
    """Copy all weights."""
    return {name: value.detach().clone() for name, value in sam.state_dict().items()}


def look(sam: Sam, tiles: Sequence[Tile], frozen: Kept | None = None, *, most: int = 0) -> Score:
    """Score a network on the footprints that are held out; on at most so many, 0 for all."""
    predictor, kept = to_predictor(sam, "look"), [tile for tile in tiles if tile.held_out]
    stride = math.ceil(sum(len(tile.labels) for tile in kept) / most) if most else 1
    scores = [each for tile in kept for each in _reached(predictor, tile, frozen, stride)]
    box, click, clicks3 = np.mean(scores, axis=0).tolist()
    return Score(box, click, clicks3)


def _reached(predictor: Predictor, tile: Tile, frozen: Kept | None, stride: int) -> list[tuple[float, ...]]:
    """Reached IoU of the answers to a box, one click and three, for every so manyth footprint of a tile."""
    targets, embedding = tile.targets()[::stride], _embedding(predictor, tile, frozen)
    first, *_, last = ask_clicks(embedding, predictor, targets)
    chosen = (ask_boxes(embedding, predictor, targets), first, last)
    rows = [[iou(answer.mask, each.truth) for answer, each in zip(some, targets, strict=True)] for some in chosen]
    return list(zip(*rows, strict=True))


def _embedding(predictor: Predictor, tile: Tile, frozen: Kept | None) -> Embedding:
    features = frozen.encoded(f"{tile.name}-0", tile.pixels) if frozen else predictor.encode(tile.pixels)
    side = tile.ids.shape[0]
    return Embedding(features, Window(0, 0, side, side))  # pyright: ignore[reportCallIssue]  # attrs class without stubs
