"""The mask refiner: a small network that redraws a mask beside the picture, at twice its sampling.

A mask decoder draws at a quarter of the picture's sampling and from what it has learned; what it cannot know beforehand
is how this object's colours differ from those around it. So a mask is refined beside the picture: what
it becomes where it flows only between pixels that look alike (after Araslanov and Roth 2020, "Single-stage Semantic
Segmentation from Image Labels"), how much each colour belongs inside rather than around (as in Rother et al. 2004,
"GrabCut"), the prompt, and what the encoder has recognised there. A small U-shaped network (Ronneberger et al. 2015),
trained when the rest of the weights is fixed (`geosam.training.sharpening`), makes of these the refined mask; what IoU
to expect of it, `geosam.nano.iou_head` tells.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geosam.nano.box_prior import reach_sides
from geosam.nano.iou_head import IouHead
from geosam.sam.blocks import Conv3x3
from geosam.segmenter import Boxes

WIDTHS = (16, 32, 48, 64)
"""Channels at the sampling of the refined mask, at half, a quarter and an eighth of it."""

MULTIPLE = 8
"""Sides of its crops are whole multiples of this."""

REACH = (1, 2, 4)
"""Distances, in cells, of the neighbours to which a mask flows, eight each."""

ROUNDS, TOLERANCE = 5, 0.05
"""How often it flows, and the variance, as a share of the picture's own, within which colours are alike."""

BINS, EDGE = 8, 2.0
"""Intervals of each colour, and deviations from the mean that they span to either side."""

PARTS = 1 << 24
"""Whole numbers to 1 in which weights are added up where their order is not fixed; float32 has as many."""

CHANNELS = 12
"""Input maps of the network: see `MaskRefiner.evidence`."""

CONTEXT = 96
"""Channels in which it is weighed, at the coarsest sampling, what the encoder has recognised."""

Maps = Float[Tensor, "n h w"]
"""One map for each mask."""


class MaskRefiner(nn.Module):
    """Refine masks, each beside the part of the picture in which it lies.

    Parameters
    ----------
    fine, coarse
        Channels of the encoder's finest and coarsest features.

    Examples
    --------
    >>> refiner = MaskRefiner(6, 9).eval()
    >>> picture, logits, iou = torch.rand(2, 3, 16, 24) * 255, torch.randn(2, 16, 24), torch.rand(2)
    >>> around = {"pixels": picture, "fine": torch.rand(2, 6, 8, 12), "coarse": torch.rand(2, 9, 2, 3)}
    >>> boxes = torch.tensor([[2.0, 3, 9, 12], [torch.nan] * 4])
    >>> clicks, labels = torch.rand(2, 1, 2) * 16, torch.tensor([[-1], [1]])
    >>> refined, iou = refiner(**around, logits=logits, iou=iou, boxes=boxes, points=clicks, labels=labels)
    >>> tuple(refined.shape), tuple(iou.shape)
    ((2, 16, 24), (2,))
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        full, half, quarter, eighth = WIDTHS
        self.look = _conv(CHANNELS, full)
        self.recall = nn.Conv2d(fine, full, 1)
        self.down_half = nn.Sequential(_conv(full, half), _conv(half, half))
        self.down_quarter = nn.Sequential(_conv(half, quarter), _conv(quarter, quarter))
        self.down_eighth = nn.Sequential(_conv(quarter, eighth), _conv(eighth, eighth))
        self.context = nn.Sequential(
            nn.Conv2d(eighth + coarse, CONTEXT, 1),
            nn.ReLU(),
            _conv(CONTEXT, CONTEXT),
            _conv(CONTEXT, CONTEXT, apart=2),
            Conv3x3(CONTEXT, eighth),
        )
        self.lift_eighth = nn.Conv2d(eighth, quarter, 1)
        self.up_quarter = _conv(2 * quarter, quarter)
        self.lift_quarter = nn.Conv2d(quarter, half, 1)
        self.up_half = _conv(2 * half, half)
        self.lift_half = nn.Conv2d(half, full, 1)
        self.up_fine = _conv(2 * full, full)
        self.out = Conv3x3(full, 1)
        self.gain = nn.Parameter(torch.ones(2))
        self.expect = IouHead(eighth, coarse)
        for last in (self.out, self.context[-1]):
            nn.init.zeros_(last.get_parameter("weight"))
            nn.init.zeros_(last.get_parameter("bias"))

    def forward(
        self,
        pixels: Float[Tensor, "n 3 h w"],
        fine: Float[Tensor, "n e h2 w2"],
        coarse: Float[Tensor, "n d h8 w8"],
        logits: Maps,
        iou: Float[Tensor, "n"],
        *,
        boxes: Float[Tensor, "n 4"],
        points: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
    ) -> tuple[Maps, Float[Tensor, "n"]]:
        """Refine ``n`` masks, and predict the IoU of each.

        Parameters
        ----------
        pixels
            Red, green and blue from 0 to 255 around each mask; sides are multiples of `MULTIPLE`.
        fine, coarse
            The encoder's finest and coarsest features there, at half and at an eighth of that sampling.
        logits, iou
            The masks at the sampling of the pixels, and the IoUs that the decoder predicts for them.
        boxes, points, labels
            What was asked, in cells of the same; boxes of NaN where there is none.
        """
        refined, deep = self.draw(pixels, fine, coarse, logits, boxes=boxes, points=points, labels=labels)
        return refined, self.assess(deep, coarse, logits, refined, iou, boxes=boxes, labels=labels)

    def draw(
        self,
        pixels: Tensor,
        fine: Tensor,
        coarse: Tensor,
        logits: Maps,
        *,
        boxes: Tensor,
        points: Tensor,
        labels: Tensor,
    ) -> tuple[Maps, Float[Tensor, "n c h8 w8"]]:
        """Give the refined masks and the coarsest maps that led to them; arguments as above."""
        with torch.no_grad():
            seen, flowed = self.evidence(pixels, logits, boxes, points, labels)  # n c h w, n h w
        seen = seen.contiguous(memory_format=torch.channels_last)  # n c h w
        full = self.look(seen)  # n 16 h w
        known = self.recall(fine.contiguous(memory_format=torch.channels_last))  # n 16 h/2 w/2
        half = self.down_half(functional.max_pool2d(full, 2) + known)  # n 32 h/2 w/2
        quarter = self.down_quarter(functional.max_pool2d(half, 2))  # n 48 h/4 w/4
        eighth = self.down_eighth(functional.max_pool2d(quarter, 2))  # n 64 h/8 w/8
        eighth = eighth + self.context(torch.cat([eighth, coarse.to(eighth)], 1))  # n 64 h/8 w/8
        quarter = self.up_quarter(torch.cat([quarter, _twice(self.lift_eighth(eighth))], 1))  # n 48 h/4 w/4
        half = self.up_half(torch.cat([half, _twice(self.lift_quarter(quarter))], 1))  # n 32 h/2 w/2
        full = self.up_fine(torch.cat([full, _twice(self.lift_half(half))], 1))  # n 16 h w
        change = self.out(full)[:, 0].float()  # n h w
        return self.gain[0] * logits.clamp(-6, 6) / 2 + self.gain[1] * 2 * flowed + change, eighth

    def assess(
        self, deep: Tensor, coarse: Tensor, logits: Maps, refined: Maps, iou: Tensor, *, boxes: Tensor, labels: Tensor
    ) -> Float[Tensor, "n"]:
        """Predict the IoU of masks from what `draw` gave; arguments as above."""
        boxed = ~boxes.isnan().any(1)  # n
        asked = torch.stack([iou, boxed.to(iou), is_lone(boxed, labels).to(iou)], 1)  # n 3
        return self.expect(deep.detach(), coarse, logits, refined.detach(), asked)

    def refine(
        self,
        pixels: Tensor,
        fine: Tensor,
        coarse: Tensor,
        logits: Maps,
        iou: Tensor,
        *,
        boxes: Tensor,
        points: Tensor,
        labels: Tensor,
        passes: int = 1,
        prior: Boxes | None = None,
    ) -> tuple[Maps, Float[Tensor, "n"]]:
        """Refine masks as users get them.

        Answers to boxes may have several ``passes``, each of what came of the one before, made soft: a box bounds its
        object, so that refining again only helps; with clicks alone, errors would grow as well. The object of a user's
        box reaches the box's sides: ``prior`` tells how strongly (`geosam.nano.box_prior`).
        """
        asked = {"boxes": boxes, "points": points, "labels": labels}
        boxed = ~boxes.isnan().any(1)  # n
        for _ in range(passes - 1):
            refined, _ = self.draw(pixels, fine, coarse, logits, **asked)  # n h w
            logits = torch.where(boxed[:, None, None], soften(refined), logits)  # n h w
        refined, deep = self.draw(pixels, fine, coarse, logits, **asked)  # n h w
        if prior is not None:
            refined = reach_sides(refined, boxes, prior)  # n h w
        return refined, self.assess(deep, coarse, logits, refined, iou, boxes=boxes, labels=labels)

    def evidence(
        self, pixels: Tensor, logits: Maps, boxes: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Float[Tensor, "n c h w"], Maps]:
        """Give what speaks for and against each cell, and the masks as they flow between cells that look alike."""
        colours = standardise(opponent(pixels))  # n 3 h w
        sure = torch.tanh(logits / 2)  # n h w
        flowed = flow(colours, sure)  # n h w
        typical = colour_odds(colours, torch.sigmoid(logits + 0.5))  # n h w
        maps = [(logits / 4).clamp(-3, 3), sure, flowed, (typical / 3).clamp(-2, 2)]
        maps += prompt_maps(boxes, points, labels, logits)
        return torch.cat([colours.clamp(-3, 3), torch.stack(maps, 1)], 1), flowed


def soften(refined: Maps) -> Maps:
    """Make refined masks like those of a decoder, at half the sampling, to refine them again."""
    return _twice(functional.avg_pool2d(2 * refined[:, None], 2))[:, 0]  # n h w


def is_lone(boxed: Bool[Tensor, "n"], labels: Int[Tensor, "n p"]) -> Bool[Tensor, "n"]:
    """Tell where nothing but one click was asked."""
    return ((labels >= 0).sum(1) == 1) & ~boxed


def _conv(channels: int, out: int, apart: int = 1) -> nn.Sequential:
    return nn.Sequential(Conv3x3(channels, out, apart), nn.ReLU())


def _twice(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def opponent(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Turn red, green and blue to brightness, red against blue, and green against both."""
    red, green, blue = pixels.unbind(1)  # n h w, three times
    return torch.stack([(red + green + blue) / 3, (red - blue) / 2, green / 2 - (red + blue) / 4], 1)  # n 3 h w


def standardise(colours: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Take each picture's mean away and divide by its deviation, or by little more where it hardly varies."""
    centred = colours - colours.mean((2, 3), keepdim=True)  # n 3 h w
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 4)  # n 3 h w


def flow(colours: Float[Tensor, "n 3 h w"], maps: Maps) -> Maps:
    """Average each cell with its neighbours, near and far, as far as their colours are alike; a few times.

    Examples
    --------
    >>> picture = torch.tensor([0.0, 0, 0, 9, 9, 9]).expand(1, 3, 4, 6)
    >>> mask = torch.tensor([1.0, 1, -1, 1, -1, -1]).expand(1, 4, 6)
    >>> flow(picture, mask)[0, 0].sign().tolist()
    [1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
    """
    margin = max(REACH)
    h, w = maps.shape[1:]
    rows, cols = slice(margin, margin + h), slice(margin, margin + w)
    padded = _like_edges(colours, margin)  # n 3 h+2m w+2m
    alike: dict[tuple[int, int], Tensor] = {}
    for y, x in [(y * reach, x * reach) for reach in REACH for y, x in ((0, 1), (1, -1), (1, 0), (1, 1))]:
        top, left, right = margin - y, margin - max(x, 0), margin + w + max(-x, 0)  # all cells that lead to one or back
        here, there = (padded[..., top + dy : margin + h + dy, left + dx : right + dx] for dy, dx in ((0, 0), (y, x)))
        weight = (there - here).square_().sum(1).mul_(-1 / (2 * TOLERANCE)).exp_().clamp_(min=1e-12)
        alike[y, x] = weight[:, y:, margin - left : margin - left + w].contiguous()  # n h w
        alike[-y, -x] = weight[:, :h, margin - left - x : margin - left - x + w].contiguous()  # n h w
    share = 1 / sum(alike.values())  # n h w
    for _ in range(ROUNDS):
        near = _like_edges(maps[:, None], margin)[:, 0]  # n h+2m w+2m
        total = torch.zeros_like(maps)  # n h w
        for (y, x), weight in alike.items():
            total.addcmul_(near[:, rows.start + y : rows.stop + y, cols.start + x : cols.stop + x], weight)  # n h w
        maps = total.mul_(share)  # n h w
    return maps


def _like_edges(maps: Float[Tensor, "n c h w"], margin: int) -> Float[Tensor, "n c ph pw"]:
    """Go on beyond the edges as at the edges."""
    return functional.pad(maps, (margin,) * 4, mode="replicate")


def colour_odds(colours: Float[Tensor, "n 3 h w"], inside: Maps) -> Maps:
    """Give the logarithm of how much oftener each cell's colour occurs inside than outside.

    ``inside`` is how probably each cell lies inside, 0 to 1.
    """
    place = ((colours.clamp(-EDGE, EDGE) + EDGE) * (BINS / (2 * EDGE))).long().clamp(0, BINS - 1)  # n 3 h w
    place = ((place[:, 0] * BINS + place[:, 1]) * BINS + place[:, 2]).flatten(1)  # n hw
    least = 0.02 / BINS**3
    odds = 0
    for sign, weight in ((1, inside), (-1, 1 - inside)):
        count = sum_by_bin(weight.flatten(1), place)  # n bins
        odds = odds + sign * torch.log(count / count.sum(1, keepdim=True).clamp(min=1) + least)  # n bins
    return torch.as_tensor(odds).gather(1, place).view_as(inside)  # n h w


def sum_by_bin(weights: Float[Tensor, "n k"], place: Int[Tensor, "n k"]) -> Float[Tensor, "n bins"]:
    """Add up weights of 0 to 1 by the bin that each falls into.

    A graphics card adds in any order, and sums of fractions would differ from run to run. There they are counted in
    whole numbers.

    Examples
    --------
    >>> sum_by_bin(torch.tensor([[0.5, 0.25, 1.0]]), torch.tensor([[2, 2, 0]]))[0, :4].tolist()
    [1.0, 0.0, 0.75, 0.0]
    """
    n = len(weights)
    if weights.device.type == "cpu":
        return weights.new_zeros(n, BINS**3).scatter_add_(1, place, weights)  # n bins
    parts = (weights * PARTS).round().long()  # n k
    return parts.new_zeros(n, BINS**3).scatter_add_(1, place, parts).to(weights.dtype) / PARTS  # n bins


def prompt_maps(
    boxes: Float[Tensor, "n 4"], points: Float[Tensor, "n p 2"], labels: Int[Tensor, "n p"], like: Maps
) -> list[Maps]:
    """Draw what was asked: the depth in the box, spots at clicks inside and outside, and which kind of prompt it is."""
    h, w = like.shape[1:]
    y, x = (torch.arange(n, device=like.device) + 0.5 for n in (h, w))  # h, w
    boxed = ~boxes.isnan().any(1)  # n
    left, top, right, bottom = torch.nan_to_num(boxes).T[..., None]  # n 1, four times
    across, down = torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y)  # n w, n h
    maps = [torch.tanh(torch.minimum(across[:, None], down[..., None]) / 6) * boxed[:, None, None]]  # n h w
    points, labels = functional.pad(points, (0, 0, 0, 1)), functional.pad(labels, (0, 1), value=-1)  # there may be none
    px, py = points.unbind(2)  # n p, n p
    near_x, near_y = ((-(at - p[..., None]).square() / 18).exp() for at, p in ((x, px), (y, py)))  # n p w, n p h
    for label in (1, 0):
        spots = near_y[..., None] * near_x[..., None, :] * (labels == label)[..., None, None]  # n p h w
        maps.append(spots.amax(1))
    kinds = boxed, is_lone(boxed, labels)  # n, n
    return maps + [each[:, None, None].expand_as(like).to(like) for each in kinds]
