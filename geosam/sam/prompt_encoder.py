"""Prompts as tokens and maps: points and boxes become sparse tokens, masks become a dense map over the image.

After Kirillov et al. 2023, "Segment Anything", section 3 and appendix A. Parameter names follow the published
checkpoints.

Text is a third kind of sparse prompt: a text encoder would give further tokens of the same width, put behind the points
and boxes by the model, and nothing here would change.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from geosam.sam.blocks import FourierPositions, LayerNorm2d, Learned


class PromptTokens(NamedTuple):
    """What the mask decoder gets to know about ``n`` prompts.

    Attributes
    ----------
    sparse
        One token per point and box corner, ``n t c``.
    present
        False where a token only fills the row of a prompt that has fewer points, ``n t``.
    dense
        The mask prompts as features, ``n c gh gw``; or ``1 c 1 1`` where there is none.
    """

    sparse: Float[Tensor, "n t c"]
    present: Bool[Tensor, "n t"]
    dense: Float[Tensor, "m c gh gw"]


class PromptEncoder(nn.Module):
    """Embed points, boxes and masks.

    Parameters
    ----------
    width
        Channels of a token and of the image embedding.
    mask_channels
        Channels of the mask prompt's convolutions before the last.
    """

    def __init__(self, width: int = 256, *, mask_channels: int = 16) -> None:
        super().__init__()
        self.pe_layer = FourierPositions(width)
        self.point_embeddings = nn.ModuleList(Learned(1, width) for _ in range(4))
        self.not_a_point_embed = Learned(1, width)
        self.no_mask_embed = Learned(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, width, 1),
        )

    def forward(
        self,
        points: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
        *,
        side: int,
        boxes: Float[Tensor, "n 4"] | None = None,
        masks: Float[Tensor, "n mh mw"] | None = None,
    ) -> PromptTokens:
        """Embed ``n`` prompts, all with or all without a box, a mask, points.

        Parameters
        ----------
        points
            ``(x, y)`` in pixels of the padded input, (0, 0) being the corner of its first pixel. (The published code
            counts from the first pixel's centre and adds the half pixel here.)
        labels
            1 inside, 0 outside, -1 no point: fills up the row of a prompt with fewer points, and changes nothing.
        side
            The longest side of the padded input in pixels.
        boxes
            ``xyxy`` in the same pixels.
        masks
            Logits at a quarter of the padded input's sampling.
        """
        tokens, present = self._points(points, labels, side)  # n p c, n p
        if boxes is not None:
            marks = self._corners(boxes, side)  # n 2 c
        elif points.shape[1]:  # points without a box are closed by one token that is no point
            marks = self.not_a_point_embed.weight.expand(len(points), 1, -1)  # n 1 c
        else:
            marks = tokens  # n 0 c
        tokens = torch.cat([tokens, marks], 1)  # n t c
        present = torch.cat([present, present.new_ones(marks.shape[:2])], 1)  # n t
        return PromptTokens(tokens, present, self._dense(masks))

    def _points(self, points: Tensor, labels: Tensor, side: int) -> tuple[Tensor, Tensor]:
        kinds = torch.where((labels == 1)[..., None], self._kind(1), self._kind(0))  # n p c
        return self.pe_layer(points / side) + kinds, labels >= 0  # n p c, n p

    def _corners(self, boxes: Tensor, side: int) -> Tensor:
        kinds = torch.cat([self._kind(2), self._kind(3)])  # 2 c
        return self.pe_layer(boxes.unflatten(1, (2, 2)) / side) + kinds  # n 2 c

    def _kind(self, index: int) -> Tensor:
        """Outside, inside, first corner, second corner."""
        return self.point_embeddings[index].get_parameter("weight")  # 1 c

    def _dense(self, masks: Tensor | None) -> Tensor:
        if masks is None:
            return self.no_mask_embed.weight[..., None, None]  # 1 c 1 1
        return self.mask_downscaling(masks[:, None])  # n c gh gw
