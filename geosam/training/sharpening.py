"""The sharpener of masks, trained: the rest of the network is fixed and asks itself; its answers are the lessons.

The loss is what counts, the IoU with the truth as far as it is smooth (Rahman and Wang 2016, "Optimizing
Intersection-Over-Union in Deep Neural Networks"), and a little cross-entropy, by which it starts. The network has seen
these pictures before and errs less on them than elsewhere; so half of its answers are made less sure and spoilt by
smooth noise. In every other step the sharpener looks again at what it made itself. The IoU of what comes out is
regressed beside it, for each alternative of a lone click, of which the best should be predicted to be the best.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from geosam.nano.network import NanoSam
from geosam.nano.recipe import nano_recipe
from geosam.nano.refiner import MaskRefiner, soften
from geosam.nano.roi_crop import SAMPLING
from geosam.training.answers import PromptTensors, Truth, answer, ask, batch_to_truth, choose, correct, is_ambiguous
from geosam.training.batches import Batch, iterate
from geosam.training.beginning import take_over
from geosam.training.checkpoints import Average, Progress, load, save
from geosam.training.config import DataOptions, SharpenerOptions, TrainConfig
from geosam.training.layout import lay_out
from geosam.training.losses import choice_loss, reached_iou

log = logging.getLogger(__name__)

NAME = "sharpener.pt"
"""Checkpoint, in a run's folder."""

ENTROPY, MOST_ENTROPY = 0.3, 5.0
"""Weight of the cross-entropy beside one minus the IoU, and where it is cut off."""

IOU, CHOICE = 5.0, 0.1
"""Weights of the squared error of the predicted IoU, and of the choice among a click's alternatives."""

TURNS = (0, 0, 1, 2, 2)
"""Clicks after the first one; one of these for each batch."""

SPREAD, NOISE, PATCHES = 0.25, 1.5, (4, 17)
"""How much surer or less sure answers are made, by how many logits they are spoilt at most, and in how many patches."""

REPORT_STEPS, SAVE_MINUTES = 50, 4.0


class Lesson(NamedTuple):
    """Answers to sharpen, and what they should be, at the sampling of the sharper masks."""

    pixels: Float[Tensor, "n 3 h w"]
    fine: Float[Tensor, "n e h2 w2"]
    coarse: Float[Tensor, "n d h8 w8"]
    logits: Float[Tensor, "n h w"]
    iou: Float[Tensor, "n"]
    boxes: Float[Tensor, "n 4"]
    points: Float[Tensor, "n p 2"]
    labels: Int[Tensor, "n p"]
    targets: Float[Tensor, "n h w"]
    shown: Bool[Tensor, "n"]
    """Whether the mask itself is a lesson; else it is only there to be compared with, as an alternative of a click."""
    choice: Bool[Tensor, "n"]
    """Whether it is one of three alternatives, which follow each other."""

    def part(self, wanted: Tensor | slice) -> "Lesson":
        """Some of the answers."""
        return Lesson(*(each[wanted] for each in self))


@dataclass
class Course:
    """Everything that moves."""

    config: TrainConfig
    options: SharpenerOptions
    sharpener: MaskRefiner
    optimiser: torch.optim.AdamW
    average: Average
    progress: Progress

    @classmethod
    def begin(
        cls, network: NanoSam, config: TrainConfig, options: SharpenerOptions, before: Mapping[str, Tensor]
    ) -> "Course":
        """Start from the sharpener in the weights before the run, or from random weights that the seed decides."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            sharpener = MaskRefiner(network.spec.encoder_sizes["fine_channels"][-1], network.spec.width)
        take_over(before, sharpener, prefix="mask_sharpener.")
        lay_out(sharpener, torch.channels_last).to(network.pixel_mean.device)
        optimiser = torch.optim.AdamW(
            sharpener.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=options.weight_decay
        )
        return cls(config, options, sharpener, optimiser, Average(sharpener, options.ema), Progress())

    def save(self, path: Path) -> None:
        """Write its state."""
        save(path, parts=self._parts, progress=self.progress, digest=self.config.digest)

    def load(self, path: Path) -> None:
        """Go on from a state."""
        self.progress = load(path, parts=self._parts, digest=self.config.digest)

    @property
    def _parts(self) -> dict[str, object]:
        return {"sharpener": self.sharpener, "optimiser": self.optimiser, "average": self.average}


def with_sharpener(
    network: NanoSam,
    config: TrainConfig,
    options: SharpenerOptions,
    *,
    folder: Path,
    data: Path | None,
    workers: int,
    device: torch.device | None = None,
    before: Mapping[str, Tensor] | None = None,
) -> NanoSam:
    """Give a copy of a network that holds a sharpener of its masks.

    Parameters
    ----------
    network
        The network with its final weights.
    config
        Of the run, for what its pictures and prompts are like where ``options`` say nothing else.
    options
        The sharpener's own numbers.
    folder
        Where the state is kept; training goes on from one that is there.
    data
        Folder of real pictures, as `geosam.training.train` takes it.
    workers
        Processes that make batches.
    device
        Where it is trained; None for where the network is, to which it comes back.
    before
        Weights of the run before, whose sharpener it begins with if there is one.
    """
    home = network.pixel_mean.device
    network = deepcopy(network).to(device or home).eval().requires_grad_(requires_grad=False)
    course = Course.begin(network, config, options, before or {})
    if (folder / NAME).is_file():
        course.load(folder / NAME)
    learn(course, network, folder=folder, data=data, workers=workers)
    course.average.apply(course.sharpener)
    network.mask_sharpener = lay_out(course.sharpener, torch.contiguous_format).eval()
    network.mask_sharpener.requires_grad_(requires_grad=False)
    recipe = nano_recipe(refines=True, scores=network.spec.judged)
    network.spec = replace(network.spec, sharpened=True, recipe=recipe)
    return network.to(home)


def learn(course: Course, network: NanoSam, *, folder: Path, data: Path | None, workers: int) -> None:
    """Take the steps that are left, and save the state now and then and at the end."""
    options, progress = course.options, course.progress
    batches = iterate(
        data_of(course.config, options), data, first=progress.step, last=options.steps, workers=workers, cell=SAMPLING
    )
    clock = saved = time.monotonic()
    before = after = 0.0
    for batch in batches:
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + progress.step)
        reached = follow(course, network, batch, generator)
        before, after = before + reached[0] / REPORT_STEPS, after + reached[1] / REPORT_STEPS
        progress.step += 1
        if progress.step % REPORT_STEPS == 0:
            log.info("sharpener, step %d: IoU %.3f before, %.3f after", progress.step, before, after)
            progress.history.append({"step": progress.step, "before": before, "after": after})
            before = after = 0.0
        if time.monotonic() - saved > SAVE_MINUTES * 60:
            progress.minutes += (time.monotonic() - clock) / 60
            course.save(folder / NAME)
            clock = saved = time.monotonic()
    progress.minutes += (time.monotonic() - clock) / 60
    course.save(folder / NAME)


def follow(course: Course, network: NanoSam, batch: Batch, generator: torch.Generator) -> tuple[float, float]:
    """Learn from what a fixed network answers on a batch; give the mean IoU before and after."""
    return take_step(course, lesson_of(network, batch, generator, least_iou=course.options.least_iou), generator)


def lesson_of(network: NanoSam, batch: Batch, generator: torch.Generator, *, least_iou: float | int) -> Lesson:
    """Give what a fixed network answers on a batch; masks worse than ``least_iou`` are there to be compared with."""
    truth = batch_to_truth(batch, network.pixel_mean.device)
    lesson = Lesson(*(torch.cat(each) for each in zip(*lessons(network, truth, generator), strict=True)))
    useful = reached_iou(lesson.logits[:, None], lesson.targets)[:, 0] >= least_iou
    return lesson._replace(shown=lesson.shown & useful)


def data_of(config: TrainConfig, options: SharpenerOptions) -> TrainConfig:
    """Say what the sharpener's pictures and prompts are like."""
    own = {
        name: getattr(options, name)
        for name in ("batch", "prompts", "sides", "real", "kinds", "object_px", "minimum_px", "degraded", "parts")
    }
    data: DataOptions = replace(config.data, background=0.0, wider_after=0, **own)
    return replace(config, seed=options.seed, data=data)


@torch.no_grad()
def lessons(network: NanoSam, truth: Truth, generator: torch.Generator) -> Iterator[Lesson]:
    """Ask a fixed network for the objects of a batch: with boxes, with a click, with clicks that correct it."""
    device = truth.images.device
    targets = functional.avg_pool2d(truth.targets[:, None], 2)[:, 0]  # n q q
    pixels = functional.avg_pool2d(truth.images, SAMPLING)  # b 3 h w
    with torch.autocast(device.type, torch.bfloat16):
        features = network.encode_images(network.normalise(truth.images))
    for asked in ask(features, truth):
        turns = 0 if asked.boxes is not None else TURNS[int(torch.randint(len(TURNS), (1,), generator=generator))]
        logits, iou = _answers(network, asked)
        for _ in range(turns):
            shown = choose(logits, iou, is_ambiguous(asked))
            asked = correct(asked, shown, targets[asked.rows], generator)  # noqa: PLW2901 - one click more
            logits, iou = _answers(network, asked)
        choices = slice(1, 4) if is_ambiguous(asked).any() else slice(0, 1)
        yield _lesson(asked, logits[:, choices], iou[:, choices], pixels, truth, generator)


def _answers(network: NanoSam, asked: PromptTensors) -> tuple[Tensor, Tensor]:
    with torch.autocast(network.pixel_mean.device.type, torch.bfloat16):
        return answer(network, asked)


def _lesson(
    asked: PromptTensors,
    logits: Float[Tensor, "n k q q"],
    iou: Float[Tensor, "n k"],
    pixels: Tensor,
    truth: Truth,
    generator: torch.Generator,
) -> Lesson:
    """Bring one kind of prompt to the sampling of sharper masks, with as many clicks as any kind has.

    Of the alternatives, the one that a user would get is a lesson, or any other just as often.
    """
    count, clicks = asked.labels.shape
    choices = iou.shape[1]
    boxes = logits.new_full((count, 4), torch.nan) if asked.boxes is None else asked.boxes / SAMPLING
    rows = torch.arange(asked.rows.start, asked.rows.stop, device=logits.device) // truth.each
    any_of, drawn = torch.randint(choices, (count,), generator=generator), torch.rand(count, generator=generator) < 0.5
    shown = torch.where(drawn.to(iou.device), any_of.to(iou.device), iou.argmax(1))  # n
    of_prompts = (
        pixels[rows],
        asked.features.fine[-1].float().repeat_interleave(truth.each, 0),
        asked.features.coarse.float().repeat_interleave(truth.each, 0),
        boxes,
        functional.pad(asked.points / SAMPLING, (0, 0, 0, 3 - clicks)),
        functional.pad(asked.labels, (0, 3 - clicks), value=-1),
        truth.targets[asked.rows],
    )
    around, fine, coarse, boxes, points, labels, targets = (
        each.repeat_interleave(choices, 0) if choices > 1 else each for each in of_prompts
    )
    return Lesson(
        pixels=around,
        fine=fine,
        coarse=coarse,
        logits=functional.interpolate(
            logits.flatten(0, 1)[:, None], scale_factor=2, mode="bilinear", align_corners=False
        )[:, 0],
        iou=iou.flatten(),
        boxes=boxes,
        points=points,
        labels=labels,
        targets=targets,
        shown=(torch.arange(choices, device=iou.device) == shown[:, None]).flatten(),
        choice=torch.full((count * choices,), choices > 1, device=iou.device),
    )


def take_step(course: Course, lesson: Lesson, generator: torch.Generator) -> tuple[float, float]:
    """Learn from some answers; give the mean IoU before and after they were sharpened."""
    for group in course.optimiser.param_groups:
        group["lr"] = rate_at(course.options, course.progress.step)
    loss, reached = judge_lesson(course.sharpener, lesson, generator, again=bool(course.progress.step % 2))
    course.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(course.sharpener.parameters(), 1.0)
    course.optimiser.step()
    course.average.update(course.sharpener, course.progress.step)
    return reached


def judge_lesson(
    sharpener: MaskRefiner, lesson: Lesson, generator: torch.Generator, *, again: bool
) -> tuple[Tensor, tuple[float, float]]:
    """Sharpen some answers, ``again`` what was made of them, and give the loss, and the mean IoU before and after."""
    device = lesson.logits.device
    order = torch.cat([lesson.shown.nonzero(), (~lesson.shown).nonzero()])[:, 0]  # n
    lessons, rest = int(lesson.shown.sum()), lesson.part(order)
    logits = spoil(rest.logits.cpu(), generator).to(device)
    if again:
        logits = soften(_draw(sharpener, rest._replace(logits=logits), learns=False)[0])
    given = rest._replace(logits=logits)
    drawn = _draw(sharpener, given.part(slice(0, lessons)), learns=True)
    others = _draw(sharpener, given.part(slice(lessons, None)), learns=False)
    sharper, deep = (torch.cat(both) for both in zip(drawn, others, strict=True))
    expected = sharpener.assess(
        deep.float(), given.coarse, logits, sharper, given.iou, boxes=given.boxes, labels=given.labels
    )
    reached = reached_iou(sharper[:, None].detach(), given.targets)[:, 0]  # n
    loss = IOU * (expected - reached).square().mean()
    if lessons:
        loss = loss + sharpening_loss(sharper[:lessons], given.targets[:lessons]).mean()
    if lesson.choice.any():
        both = (each[order.argsort()][lesson.choice].unflatten(0, (-1, 3)) for each in (expected, reached))
        loss = loss + CHOICE * choice_loss(*(functional.pad(each, (1, 0)) for each in both)).mean()
    if not lessons:
        return loss, (0.0, 0.0)
    before = reached_iou(rest.logits[:lessons, None], rest.targets[:lessons]).mean()
    return loss, (float(before), float(reached[:lessons].mean()))


def _draw(sharpener: MaskRefiner, given: Lesson, *, learns: bool) -> tuple[Tensor, Tensor]:
    """Sharper masks of some answers, and the deep maps that go with them, with or without gradients."""
    device = given.logits.device.type
    with torch.set_grad_enabled(learns), torch.autocast(device, torch.bfloat16):
        return sharpener.draw(
            given.pixels,
            given.fine,
            given.coarse,
            given.logits,
            boxes=given.boxes,
            points=given.points,
            labels=given.labels,
        )


def sharpening_loss(logits: Float[Tensor, "n h w"], targets: Float[Tensor, "n h w"]) -> Float[Tensor, "n"]:
    """One minus the smooth IoU, and some cross-entropy as a share of the object's area.

    Examples
    --------
    >>> targets = torch.zeros(1, 8, 8)
    >>> targets[0, 2:6, 2:6] = 1
    >>> right, wrong = (float(sharpening_loss(sign * (20 * targets - 10), targets)) for sign in (1, -1))
    >>> right < 0.1 < 1 < wrong
    True
    """
    inside, area = logits.sigmoid(), targets.sum((1, 2))  # n h w, n
    both = (inside * targets).sum((1, 2))  # n
    iou = both / (inside.sum((1, 2)) + area - both + 1)  # n
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum((1, 2))  # n
    return 1 - iou + ENTROPY * (entropy / (2 * area.clamp(min=20))).clamp(max=MOST_ENTROPY)  # n


def spoil(logits: Float[Tensor, "n h w"], generator: torch.Generator) -> Float[Tensor, "n h w"]:
    """Make half of the answers surer or less sure, and add smooth noise to them."""
    count, side = logits.shape[:2]
    patches = int(torch.randint(*PATCHES, (1,), generator=generator))
    noise = torch.randn(count, 1, patches, patches, generator=generator)
    noise = functional.interpolate(noise, (side, logits.shape[2]), mode="bicubic", align_corners=False)[:, 0]  # n h w
    scale = (SPREAD * torch.randn(count, 1, 1, generator=generator)).exp()
    much = NOISE * torch.rand(count, 1, 1, generator=generator)
    chosen = torch.rand(count, 1, 1, generator=generator) < 0.5
    return torch.where(chosen, logits * scale + much * noise, logits)  # n h w


def rate_at(options: SharpenerOptions, step: int) -> float:
    """Give the learning rate of a step: a short ascent, a plateau, and in the second half half a cosine to nothing."""
    left = min(2 * (1 - step / options.steps), 1.0)
    return options.rate * min(1.0, (step + 1) / options.warm_up) * 0.5 * (1 - math.cos(math.pi * left))
