"""What a sharpener of masks is shown while it learns: the same close-ups as when it is used."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from geosam.sam.mask_sharpener import MULTIPLE, MaskSharpener
from geosam.sam.model.canvas import OUTSIDE, Canvas
from geosam.sam.model.close_up import SAMPLING, CloseUp


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

    @property
    def clicks_px(self) -> tuple[Tensor, Tensor]:
        """Clicks in pixels, and what they mean."""
        return self.points * SAMPLING, self.labels

    def cut(self, closes: list[CloseUp]) -> "Lesson":
        """Cut each answer to its close-up; all of one size."""

        def cut(maps: Tensor, coarser: int = 1) -> Tensor:
            spans = [[_over(span, coarser) for span in (close.rows, close.cols)] for close in closes]
            return torch.stack([each[..., rows, cols] for each, (rows, cols) in zip(maps, spans, strict=True)])

        corners = self.points.new_tensor([(close.cols[0], close.rows[0]) for close in closes])  # n 2
        return self._replace(
            pixels=cut(self.pixels),
            fine=cut(self.fine, 2),
            coarse=cut(self.coarse, MULTIPLE),
            logits=cut(self.logits),
            boxes=self.boxes - corners.repeat(1, 2),
            points=self.points - corners[:, None],
            targets=cut(self.targets),
        )


def look(sharpener: MaskSharpener, given: Lesson, *, learns: bool) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n"]]:
    """Sharpen answers, each in its close-up, and tell the IoU to expect of them.

    Without ``learns`` masks have no gradients; expected IoUs have them wherever gradients are on.
    """
    h, w = given.logits.shape[1:]
    sharper, expected = [given.logits.new_zeros(0, h, w)], [given.iou.new_zeros(0)]
    order: list[int] = []
    for rows, closes in _alike(given.logits):
        few = given.part(torch.tensor(rows, device=given.logits.device)).cut(closes)
        asked = {"boxes": few.boxes, "labels": few.labels}
        with (
            torch.set_grad_enabled(learns and torch.is_grad_enabled()),
            torch.autocast(given.logits.device.type, torch.bfloat16),
        ):
            drawn, deep = sharpener.draw(few.pixels, few.fine, few.coarse, few.logits, points=few.points, **asked)
        expected.append(sharpener.assess(deep.float(), few.coarse, few.logits, drawn, few.iou, **asked))
        for mask, close in zip(drawn, closes, strict=True):
            (top, down), (left, across) = close.rows, close.cols
            sharper.append(functional.pad(mask, (left, w - left - across, top, h - top - down), value=OUTSIDE)[None])
        order += rows
    back = torch.tensor(order, dtype=torch.long, device=given.logits.device).argsort()
    return torch.cat(sharper)[back], torch.cat(expected)[back]


def _alike(logits: Float[Tensor, "n h w"]) -> list[tuple[list[int], list[CloseUp]]]:
    """Put answers whose close-ups have one size together; one that would be seen coarser is seen whole."""
    h, w = logits.shape[1:]
    canvas = Canvas.of((SAMPLING * h, SAMPLING * w), resamples=False, side=SAMPLING * max(h, w))
    whole = CloseUp(canvas, SAMPLING, (0, h), (0, w))
    alike: dict[tuple[int, int], tuple[list[int], list[CloseUp]]] = {}
    for row, each in enumerate(logits.detach().float().cpu().numpy()):
        close = CloseUp.of_mask(each, canvas) or whole
        close = close if close.cell == SAMPLING else whole
        rows, closes = alike.setdefault((close.rows[1], close.cols[1]), ([], []))
        rows.append(row)
        closes.append(close)
    return list(alike.values())


def _over(span: tuple[int, int], coarser: int) -> slice:
    first, count = span
    return slice(first // coarser, (first + count) // coarser)
