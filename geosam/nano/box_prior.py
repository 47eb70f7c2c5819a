"""What a box says beyond where to look: its object reaches all four of its sides.

A network that looks for an outline stops where the picture shows one: at a ridge, at a shadow, at a tree's crown above
the roof. A box that was drawn about the whole object tells that there is more, on the side that the mask does not reach
(the tightness of Lempitsky et al. 2009, "Image segmentation with a bounding box prior"). So a mask is made likelier
towards such a side, the more so the farther it stays away, a little everywhere, and less so beyond the sides. What it
stays away from the other sides as well only tells how loosely the box was drawn; that counts for no side, and against
that little.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from geosam.segmenter import Boxes


def reach_sides(logits: Float[Tensor, "n h w"], boxes: Float[Tensor, "n 4"], prior: Boxes) -> Float[Tensor, "n h w"]:
    """Make masks likelier towards those sides of their boxes that they do not reach.

    Parameters
    ----------
    logits
        Masks; positive inside.
    boxes
        What was asked, ``xyxy`` in cells of the masks. Where one is NaN, or without a mask in it, nothing changes.
        Sides beyond the edge count as reached.
    prior
        How strongly.

    Examples
    --------
    Here the mask stays away from the right side of the box:

    >>> logits = torch.tensor([[-6.0, 4, 4, 4, -1, -1, -1, -6]]).expand(1, 4, 8)
    >>> prior = Boxes(bias=0.5, loose=7.5, pull=20, outside=10)
    >>> reach_sides(logits, torch.tensor([[1.0, 0, 7, 4]]), prior)[0, 1].sign().tolist()
    [-1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0]
    """
    left, top, right, bottom = boxes.T[..., None]  # n 1, four times
    y, x = (torch.arange(side, device=logits.device) + 0.5 for side in logits.shape[1:])  # h, w
    across, down = (x - left) / (right - left), (y - top) / (bottom - top)  # n w, n h; in the box from 0 to 1
    depth = torch.maximum((2 * across - 1).abs()[:, None], (2 * down - 1).abs()[..., None])  # n h w; at the sides 1
    inside = (logits + prior.bias > 0) & (depth <= 1)  # n h w
    there = inside.flatten(1).any(1)[:, None, None]  # n 1 1
    cols, rows = _gaps(inside.any(1), across), _gaps(inside.any(2), down)  # n 2, n 2
    gaps = torch.cat([cols, rows], 1)  # n 4
    loose = gaps.sort(1).values[:, 1:2]  # n 1
    west, east, north, south = (gaps - loose).clamp(min=0).T[..., None]  # n 1, four times
    towards = (west * (1 - across) + east * across)[:, None] + (north * (1 - down) + south * down)[..., None]  # n h w
    pulled = prior.pull * towards * (1 - depth**4).clamp(min=0) - prior.outside * (depth - 1).clamp(0, 0.5)  # n h w
    return torch.where(there, logits + prior.bias - prior.loose * loose[..., None] + pulled, logits)  # n h w


def _gaps(hit: Bool[Tensor, "n k"], at: Float[Tensor, "n k"]) -> Float[Tensor, "n 2"]:
    """Measure how far a mask stays away from two opposite sides of its box, as shares of the box, 0 to 1/2.

    ``hit`` tells which rows or columns of cells the mask has; ``at`` where their centres lie, in the box from 0 to 1.
    """
    ends = torch.stack([_first(hit, at), _first(hit.flip(1), 1 - at.flip(1))], 1)  # n 2
    half = (at[:, 1:2] - at[:, :1]) / 2  # n 1
    beyond = torch.stack([at[:, 0] - half[:, 0] > 0, at[:, -1] + half[:, 0] < 1], 1)  # n 2
    return (ends - half).clamp(0, 0.5).masked_fill(beyond, 0)  # n 2


def _first(hit: Bool[Tensor, "n k"], at: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
    return at.gather(1, hit.to(torch.uint8).argmax(1, keepdim=True))[:, 0]  # n
