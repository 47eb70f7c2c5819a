"""How good a refined mask is: its predicted IoU with what was asked for.

A mask decoder predicts the IoU of what it drew itself. A refined mask
(`geosam.nano.refiner`) is another, and refining has shown more: how well its outline follows the picture, and what
lies inside, along and outside of it. From these its IoU is predicted anew, by which everything mode prefers one mask to
another (as Jiang et al. 2018, "Acquisition of Localization Confidence", do with boxes).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.blocks import Conv3x3

WIDTH = 64
"""Channels of its maps."""

MEASURES = 6
"""Numbers that are known of each mask beside the maps: see `IouHead.forward`."""

OFFSET = 1.0
"""Logits by which the threshold moves to either side when stability is measured."""


class IouHead(nn.Module):
    """Predict the IoU of refined masks.

    Parameters
    ----------
    seen, coarse
        Channels of the refiner's coarsest maps and of the encoder's coarsest features.

    Examples
    --------
    >>> head = IouHead(64, 128).eval()
    >>> before, after, asked = torch.randn(2, 16, 24), torch.randn(2, 16, 24), torch.zeros(2, 3)
    >>> tuple(head(torch.randn(2, 64, 2, 3), torch.randn(2, 128, 2, 3), before, after, asked).shape)
    (2,)
    """

    def __init__(self, seen: int, coarse: int) -> None:
        super().__init__()
        self.join = nn.Conv2d(seen + coarse + 3, WIDTH, 1)
        self.near = nn.Sequential(Conv3x3(WIDTH, WIDTH), nn.ReLU())
        self.far = nn.Sequential(Conv3x3(WIDTH, WIDTH), nn.ReLU())
        self.decide = nn.Sequential(_Rows(4 * WIDTH + MEASURES, WIDTH), nn.ReLU(), _Rows(WIDTH, 1))

    def forward(
        self,
        seen: Float[Tensor, "n c h8 w8"],
        coarse: Float[Tensor, "n d h8 w8"],
        before: Float[Tensor, "n h w"],
        after: Float[Tensor, "n h w"],
        asked: Float[Tensor, "n 3"],
    ) -> Float[Tensor, "n"]:
        """Predict the IoU of ``n`` masks, in [0, 1].

        Parameters
        ----------
        seen, coarse
            The refiner's coarsest maps, and the encoder's coarsest features at the same places.
        before, after
            Logits of the masks as they were given and as they were refined.
        asked
            The IoU that the decoder predicted, whether there is a box, and whether there is nothing but one click.
        """
        inside = after.sigmoid()  # n h w
        edge = 4 * inside * (1 - inside)  # n h w
        pooled = functional.avg_pool2d(torch.stack([inside, edge, before.sigmoid()], 1), 8)  # n 3 h8 w8
        maps = functional.relu(self.join(torch.cat([seen, coarse, pooled.to(seen)], 1)))  # n e h8 w8
        maps = maps + self.near(maps)  # n e h8 w8
        maps = (maps + self.far(maps)).float().flatten(2)  # n e m
        within, along, _ = pooled.flatten(2).unbind(1)  # n m, three times
        shares = torch.stack([within, along, (1 - within).relu(), torch.ones_like(within)], 2)  # n m 4
        shares = shares / (shares.sum(1, keepdim=True) + 1e-4)  # n m 4
        known = torch.cat([(maps @ shares).flatten(1), asked, self.measures(before, after)], 1)  # n 4e+6
        return self.decide(known)[:, 0].float().sigmoid()  # n

    @staticmethod
    def measures(before: Tensor, after: Tensor) -> Float[Tensor, "n 3"]:
        """Measure how stable each mask is, how much of it was there before, and its size, about 0 to 1 each."""
        area, least, most, was, both = (
            each.sum((1, 2), dtype=torch.float32)
            for each in (after > 0, after > OFFSET, after > -OFFSET, before > 0, (after > 0) & (before > 0))
        )
        agreed = both / (area + was - both).clamp(min=1)
        return torch.stack([least / most.clamp(min=1), agreed, area.clamp(min=1).log() / 10], 1)  # n 3


class _Rows(nn.Linear):
    """A linear layer that adds up each row by itself: to the last bit the same, however many rows there are."""

    def forward(self, input: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        return (input[:, None] * self.weight).sum(2) + self.bias  # n o
