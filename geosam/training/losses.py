"""What is minimised: how far masks are from the truth, and predicted IoUs from the IoUs reached.

After Kirillov et al. 2023, "Segment Anything", appendix A: focal and dice loss (Lin et al. 2017; Milletari et al.
2016), the best of three masks for an ambiguous prompt, the IoU by regression. The first part of training takes cross-
entropy instead of the focal loss, which learns twice as fast from scratch. Pixels far from the object count less: most
of them are easy.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

FAR = 0.15
"""Weight of a pixel outside the object's surroundings."""

SURROUNDINGS = 0.5
"""Margin of the surroundings as a share of the object's box, to either side; at least 16 pixels."""

CHOICE_SPREAD = 0.1
"""Difference of IoU that makes one alternative e times as good a choice as another."""


def weigh_pixels(boxes: Float[Tensor, "n 4"], size: int, *, stride: int) -> Float[Tensor, "n m m"]:
    """Weigh the pixels of ``size`` × ``size`` targets: 1 around each object, little far from it, 1 on average."""
    extent = (boxes[:, 2:] - boxes[:, :2]) * SURROUNDINGS
    margin = extent.clamp(min=16.0)  # n 2
    low, high = (boxes[:, :2] - margin) / stride, (boxes[:, 2:] + margin) / stride  # n 2
    centre = torch.arange(size, device=boxes.device) + 0.5  # m
    inside = (centre > low[..., None]) & (centre < high[..., None])  # n 2 m
    near = inside[:, 1, :, None] & inside[:, 0, None, :]  # n m m
    weights = torch.where(near, 1.0, FAR)  # n m m
    return weights / weights.mean((1, 2), keepdim=True)


def cross_entropy(
    logits: Float[Tensor, "n k m m"], targets: Float[Tensor, "n m m"], weights: Float[Tensor, "n m m"]
) -> Float[Tensor, "n k"]:
    """Mean binary cross-entropy of each mask."""
    truth = targets[:, None].expand_as(logits)
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (losses * weights[:, None]).mean((2, 3))


def focal(
    logits: Float[Tensor, "n k m m"], targets: Float[Tensor, "n m m"], weights: Float[Tensor, "n m m"]
) -> Float[Tensor, "n k"]:
    """Mean focal loss of each mask, γ = 2, α = 0.25."""
    truth = targets[:, None].expand_as(logits)
    losses = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p = logits.sigmoid()
    missed = (p - truth).abs().square()
    alpha = 0.25 * truth + 0.75 * (1 - truth)
    return (alpha * missed * losses * weights[:, None]).mean((2, 3))


def dice(logits: Float[Tensor, "n k m m"], targets: Float[Tensor, "n m m"]) -> Float[Tensor, "n k"]:
    """Dice loss of each mask: 0 where it is the truth.

    >>> mask = torch.eye(8)[None]
    >>> float(dice(mask[None] * 200 - 100, mask)) < 0.01
    True
    """
    p = logits.sigmoid()
    truth = targets[:, None]
    shared = (p * truth).sum((2, 3))
    return 1 - (2 * shared + 1) / (p.sum((2, 3)) + truth.sum((2, 3)) + 1)


def mask_losses(
    logits: Float[Tensor, "n k m m"],
    targets: Float[Tensor, "n m m"],
    weights: Float[Tensor, "n m m"],
    *,
    late: bool = False,
) -> Float[Tensor, "n k"]:
    """Weigh and add the losses of each mask: 5 cross-entropy + 5 dice, or late in training 20 focal + 1 dice."""
    if late:
        return 20 * focal(logits, targets, weights) + dice(logits, targets)
    return 5 * cross_entropy(logits, targets, weights) + 5 * dice(logits, targets)


@torch.no_grad()
def reached_iou(logits: Float[Tensor, "n k m m"], targets: Float[Tensor, "n m m"]) -> Float[Tensor, "n k"]:
    """Measure the IoU of each mask with the truth, both cut in the middle."""
    mask, truth = logits > 0, (targets > 0.5)[:, None]
    union = (mask | truth).sum((2, 3))
    return (mask & truth).sum((2, 3)) / union.clamp(min=1)


def choice_loss(predicted: Float[Tensor, "n 4"], reached: Float[Tensor, "n 4"]) -> Float[Tensor, "n"]:
    """Ask that the best of the three alternatives be predicted to be the best (ListNet, Cao et al. 2007).

    >>> reached = torch.tensor([[0.0, 0.9, 0.2, 0.1]])
    >>> float(choice_loss(reached, reached)) < float(choice_loss(reached.flip(1), reached))
    True
    """
    wanted = (reached[:, 1:] / CHOICE_SPREAD).softmax(1)
    return -(wanted * (predicted[:, 1:] / CHOICE_SPREAD).log_softmax(1)).sum(1)


def answer_loss(
    losses: Float[Tensor, "n 4"], ambiguous: Bool[Tensor, "n"], *, predicted: Float[Tensor, "n 4"], chosen: float = 0.0
) -> Float[Tensor, "n"]:
    """Choose what an answer is judged by: the best of three alternatives after a lone click, else the first mask.

    A share ``chosen`` of the judgement on a lone click goes to the alternative of the highest predicted IoU, whichever
    is the best: it is the one that a user gets.

    >>> losses, ious = torch.tensor([[9.0, 1.0, 3.0, 7.0]]), torch.tensor([[0.0, 0.2, 0.8, 0.1]])
    >>> [float(answer_loss(losses, torch.tensor([True]), predicted=ious, chosen=share)) for share in (0.0, 0.5, 1.0)]
    [1.0, 2.0, 3.0]
    """
    best = losses[:, 1:].amin(1)
    if chosen:
        got = losses[:, 1:].gather(1, predicted[:, 1:].argmax(1, keepdim=True))[:, 0]
        best = torch.lerp(best, got, chosen)
    return torch.where(ambiguous, best, losses[:, 0])
