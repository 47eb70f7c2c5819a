"""The prompted part of a training step: first answers, corrected answers, and what each is worth."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Sam
from geosam.sam.prepared.transfer import send
from geosam.training.batches import Batch
from geosam.training.corrections import draw_corrections
from geosam.training.losses import answer_loss, choice_loss, mask_losses, reached_iou, weigh_pixels
from geosam.training.samples import BOX, CLICK, STRIDE


@dataclass(frozen=True)
class Truth:
    """A batch as tensors, its prompts in a row: ``n = b · k``, image by image."""

    images: Float[Tensor, "b 3 s s"]
    targets: Float[Tensor, "n q q"]
    weights: Float[Tensor, "n q q"]
    boxes: Float[Tensor, "n 4"]
    prompts: Float[Tensor, "n 4"]
    clicks: Float[Tensor, "n 2"]
    real_object: Bool[Tensor, "n"]
    edges: Float[Tensor, "b q q"]
    known: Bool[Tensor, "b"]
    kinds: Int[Tensor, "b"]

    @property
    def each(self) -> int:
        """Prompts on each image."""
        return len(self.targets) // len(self.images)


@dataclass(frozen=True)
class PromptTensors:
    """Prompts of one kind on the images of one kind, in tensors on the network's device.

    `geosam.segmenter.PromptBatch` holds prompts of one window in arrays, for models of any library. Here they are of
    several images at once, and the masks among them come from the network itself in each round.
    """

    features: FeatureMaps
    points: Float[Tensor, "n p 2"]
    labels: Int[Tensor, "n p"]
    boxes: Float[Tensor, "n 4"] | None
    rows: slice
    masks: Float[Tensor, "n q q"] | None = None


def batch_to_truth(batch: Batch, device: torch.device) -> Truth:
    """Bring a batch to a device."""

    def tensor(array: np.ndarray) -> Tensor:
        return send(torch.from_numpy(array), device)

    targets = tensor(batch.targets).flatten(0, 1).float() / 255
    boxes = tensor(batch.boxes).flatten(0, 1)
    return Truth(
        images=tensor(batch.pixels).float(),
        targets=targets,
        weights=weigh_pixels(boxes, targets.shape[-1], stride=STRIDE),
        boxes=boxes,
        prompts=tensor(batch.prompts).flatten(0, 1),
        clicks=tensor(batch.clicks).flatten(0, 1),
        real_object=tensor(batch.real_object).flatten(),
        edges=tensor(batch.edges).float() / 255,
        known=tensor(batch.edges_known),
        kinds=tensor(batch.kinds),
    )


def ask(features: FeatureMaps, truth: Truth) -> list[PromptTensors]:
    """Put the first prompts in two groups, without and with boxes; the images come sorted by kind."""
    bare = int((truth.kinds == CLICK).sum())
    groups = []
    for images in (slice(0, bare), slice(bare, len(truth.kinds))):
        if images.start == images.stop:
            continue
        rows = slice(images.start * truth.each, images.stop * truth.each)
        part = FeatureMaps(features.coarse[images], tuple(f[images] for f in features.fine))
        kinds = truth.kinds[images].repeat_interleave(truth.each)  # n
        labels = torch.where(kinds == BOX, -1, 1)[:, None]  # n 1
        boxes = truth.prompts[rows] if images.start else None
        if bare == 0:
            boxes = truth.prompts[rows]
        groups.append(PromptTensors(part, truth.clicks[rows][:, None], labels, boxes, rows))
    return groups


def answer(network: Sam, asked: PromptTensors) -> tuple[Tensor, Tensor]:
    """All four masks and their predicted IoUs, in float32."""
    logits, iou = network.decode(
        asked.features,
        points=asked.points,
        labels=asked.labels,
        boxes=asked.boxes,
        masks=asked.masks,
        multimask=None,
    )
    return logits.float(), iou.float()


def is_ambiguous(asked: PromptTensors) -> Bool[Tensor, "n"]:
    """Tell lone clicks, whose answer may be one of three."""
    lone = (asked.labels >= 0).sum(1) == 1
    return lone if asked.boxes is None else torch.zeros_like(lone)


def choose(logits: Tensor, iou: Tensor, ambiguous: Tensor) -> Float[Tensor, "n q q"]:
    """Choose the mask that a user would get: the alternative of the highest predicted IoU, or the first mask."""
    best = torch.where(ambiguous, 1 + iou[:, 1:].argmax(1), 0)
    return logits[torch.arange(len(logits)), best]


def show(
    logits: Tensor, iou: Tensor, ambiguous: Tensor, *, any_shown: float, generator: torch.Generator
) -> Float[Tensor, "n q q"]:
    """Choose the mask that is corrected: mostly what a user would get, for a share of lone clicks any alternative.

    The chosen alternative is seldom too large, so that without the others hardly a click would take ground away.
    """
    shown = choose(logits, iou, ambiguous)
    if any_shown == 0:
        return shown
    count = len(logits)
    other = 1 + torch.randint(3, (count,), generator=generator)
    drawn = ambiguous & (torch.rand(count, generator=generator) < any_shown).to(ambiguous.device)
    return torch.where(drawn[:, None, None], logits[torch.arange(count), other.to(logits.device)], shown)


def correct(asked: PromptTensors, shown: Tensor, targets: Tensor, generator: torch.Generator) -> PromptTensors:
    """Add a click where the shown masks are wrong, and the masks themselves as a prompt."""
    point, label = draw_corrections(shown.detach(), targets, generator, stride=STRIDE)
    return replace(
        asked,
        points=torch.cat([asked.points, point[:, None]], 1),
        labels=torch.cat([asked.labels, label[:, None]], 1),
        masks=shown.detach(),
    )


def judge(
    network: Sam,
    asked: PromptTensors,
    truth: Truth,
    *,
    rounds: int,
    late: bool,
    generator: torch.Generator,
    choice: float = 0.0,
    any_shown: float = 0.0,
    chosen: float = 0.0,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Answer, correct, answer again; give the sums of the mask and of the IoU losses, and each round's IoUs.

    ``choice`` weighs `choice_loss` beside the IoU's regression; ``any_shown`` is as `show` takes it; ``chosen`` as
    `answer_loss`.
    """
    targets, weights, real = (each[asked.rows] for each in (truth.targets, truth.weights, truth.real_object))
    mask_sum, iou_sum, reached = targets.new_zeros(()), targets.new_zeros(()), []
    for turn in range(rounds + 1):
        logits, predicted = answer(network, asked)
        ambiguous = is_ambiguous(asked)
        losses = mask_losses(logits, targets, weights, late=late)
        losses = answer_loss(losses, ambiguous, predicted=predicted, chosen=chosen)
        mask_sum = mask_sum + (losses * real).sum()
        iou = reached_iou(logits, targets) * real[:, None]
        iou_sum = iou_sum + (predicted - iou).square().mean(1).sum()
        if choice:
            iou_sum = iou_sum + choice * choice_loss(predicted, iou)[ambiguous & real].sum()
        shown = choose(logits, predicted, ambiguous)
        reached.append(reached_iou(shown[:, None].detach(), targets)[real, 0])
        if turn < rounds:
            shown = show(logits, predicted, ambiguous, any_shown=any_shown, generator=generator)
            asked = correct(asked, shown, targets, generator)
    return mask_sum, iou_sum, reached
