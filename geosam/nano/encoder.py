"""The small image encoder of `nano`: plain 3 × 3 convolutions, quick to run and quick to learn on a CPU.

Why plain convolutions: measured on two cores in bfloat16, a dense 3 × 3 convolution runs forwards and backwards at
about 400 GFLOP/s, a depthwise 7 × 7 at about 20, so the mobile networks that are small on paper are slow to train here.
There are no learned positions, so any side works, and no batch statistics, so that a batch of one behaves like a batch
of many.

Each block is a pre-activation residual block (He et al. 2016, "Identity Mappings in Deep Residual Networks") with a
single layer normalisation over channels as in ConvNeXt (Liu et al. 2022). A light pyramid (Lin et al. 2017, "Feature
Pyramid Networks") brings the deepest stage back to stride 16; strides 8 and 4 leave as fine features for the mask
decoder.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.errors import OptionError
from geosam.sam.blocks import FeatureMaps

STRIDES = (4, 8, 16, 32)
"""Input pixels per output pixel, stage by stage."""

MERGED = 48
"""Channels in which all scales are merged before the finest features."""


class PixelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-5)

    def forward(self, image: Tensor) -> Tensor:
        """Normalise ``image``, *b c h w*."""
        return self.norm(image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """``x + scale · conv(relu(conv(norm(x))))``, the branch faint at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.widen = nn.Conv2d(channels, channels, 3, padding=1)
        self.merge = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.2))

    def forward(self, image: Tensor) -> Tensor:
        """Refine ``image``, *b c h w*, keeping its shape."""
        branch = functional.relu(self.widen(self.norm(image)), inplace=True)  # b c h w
        return image + self.scale.to(branch.dtype) * self.merge(branch)  # b c h w


def build_stages(widths: Sequence[int], depths: Sequence[int]) -> tuple[nn.Conv2d, nn.ModuleList, nn.ModuleList]:
    """A stem at stride 2; then for each stage a convolution that halves the sampling, and its blocks."""
    before = widths[0] // 2, *widths[:-1]
    stem = nn.Conv2d(3, before[0], 3, stride=2, padding=1)
    downs = (nn.Conv2d(given, width, 3, stride=2, padding=1) for given, width in zip(before, widths, strict=True))
    stages = (
        nn.Sequential(*(Block(width) for _ in range(depth)), PixelNorm(width))
        for width, depth in zip(widths, depths, strict=True)
    )
    return stem, nn.ModuleList(downs), nn.ModuleList(stages)


class ConvEncoder(nn.Module):
    """Convolutional encoder: an image to features at strides 16, 8 and 4.

    Parameters
    ----------
    out
        Channels of the coarse features.
    widths
        Channels at strides 4, 8, 16 and 32.
    depths
        Blocks at each of these strides.
    fine_channels
        Channels of the fine features at strides 8 and 4.

    Raises
    ------
    OptionError
        If there are not four widths and four depths.

    Examples
    --------
    >>> encoder = ConvEncoder(16, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), fine_channels=(8, 4))
    >>> coarse, (eighth, quarter) = encoder(torch.zeros(1, 3, 64, 96))
    >>> tuple(coarse.shape), tuple(eighth.shape), tuple(quarter.shape)
    ((1, 16, 4, 6), (1, 8, 8, 12), (1, 4, 16, 24))
    """

    def __init__(
        self,
        out: int,
        *,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        fine_channels: tuple[int, ...],
    ) -> None:
        super().__init__()
        if len(widths) != len(STRIDES) or len(depths) != len(STRIDES):
            raise OptionError(f"widths={widths}, depths={depths}", expected="four of each, for strides 4, 8, 16 and 32")
        self.stem, self.downs, self.stages = build_stages(widths, depths)
        self.lateral = nn.Conv2d(widths[2], out, 1)
        self.deep = nn.Conv2d(widths[3], out, 1)
        self.smooth = nn.Sequential(nn.ReLU(), nn.Conv2d(out, out, 3, padding=1))
        self.eighth = nn.Conv2d(widths[1], fine_channels[0], 1)
        self.merges = nn.ModuleList(nn.Conv2d(c, MERGED, 1) for c in (out, fine_channels[0], widths[0]))
        self.quarter = nn.Conv2d(MERGED, fine_channels[1], 1)
        self.norm = PixelNorm(out)

    def forward(self, image: Tensor) -> FeatureMaps:
        """Encode ``image``, *b 3 h w*, sides of a multiple of 32."""
        levels = []
        image = functional.relu(self.stem(image), inplace=True)  # b w0/2 h/2 w/2
        for down, stage in zip(self.downs, self.stages, strict=True):
            image = stage(down(image))  # b c h/s w/s
            levels.append(image)
        quarter, eighth, sixteenth, deepest = levels
        deep = functional.interpolate(pixelwise(self.deep, deepest), scale_factor=2.0, mode="bilinear")  # b c h/16 w/16
        merged = self.lateral(sixteenth) + deep  # b c h/16 w/16
        coarse = self.norm(merged + self.smooth(merged))  # b c h/16 w/16
        eighth = self.eighth(eighth)  # b c8 h/8 w/8
        return FeatureMaps(coarse, (eighth, self._finest(coarse, eighth, quarter)))

    def _finest(self, coarse: Tensor, eighth: Tensor, quarter: Tensor) -> Tensor:
        """What every pixel belongs to, told from all scales."""
        deepest, middle, own = self.merges
        merged = middle(eighth) + functional.interpolate(deepest(coarse), scale_factor=2.0, mode="bilinear")
        merged = own(quarter) + functional.interpolate(merged, scale_factor=2.0, mode="bilinear")  # b m h/4 w/4
        return self.quarter(functional.relu(merged, inplace=True))  # b c4 h/4 w/4


def pixelwise(conv: nn.Conv2d, image: Tensor) -> Tensor:
    """Compute a convolution of 1 × 1 as a product over pixels, ``b c h w`` to ``b k h w``.

    Of few pixels with many channels oneDNN sums parts of the channels on several threads: its convolution rounds
    otherwise on every number of them. A product does not.
    """
    return functional.linear(image.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0], conv.bias).permute(0, 3, 1, 2)
