"""Clicks where an answer is wrong, as a person would place the next one."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


def draw_corrections(
    logits: Float[Tensor, "n m m"], targets: Float[Tensor, "n m m"], generator: torch.Generator, *, stride: int
) -> tuple[Float[Tensor, "n 2"], Int[Tensor, "n"]]:
    """Draw one click for each mask from where it is wrong, more likely deep inside a large error than on its rim.

    Where nothing is wrong the click falls on the object; it is labelled by the truth in any case.

    Returns
    -------
    points, labels
        ``(x, y)`` in pixels of the image, anywhere in the drawn cell of ``stride`` pixels; 1 on the object, 0 off it.
    """
    truth = targets > 0.5
    wrong = (logits > 0) != truth  # n m m
    chances = depth(wrong) + 1e-4 * depth(truth) + 1e-9  # n m m
    n, m, _ = chances.shape
    cell = torch.multinomial(chances.flatten(1), 1, generator=generator)[:, 0]  # n
    offset = torch.rand(n, 2, generator=generator)  # n 2
    points = (torch.stack([cell % m, cell // m], 1) + offset) * stride  # n 2
    return points, truth.flatten(1).gather(1, cell[:, None])[:, 0].long()


def depth(mask: Bool[Tensor, "n m m"]) -> Float[Tensor, "n m m"]:
    """Give pixels of a mask a weight that grows from its rim inwards, up to 27 times; 0 elsewhere."""
    inside = mask.float()[:, None]  # n 1 m m
    around = functional.avg_pool2d(inside, 5, stride=1, padding=2, count_include_pad=False)  # n 1 m m
    return (inside * (3 * around) ** 3)[:, 0]
