"""The image encoder of `nano2`: what ImageNet taught a small backbone, beside fine stages that learned from maps.

EfficientNet-Lite0 (`geosam.backbone`) recognises what things are, at strides 16 and 32, where an encoder that learned
from some hundred scenes alone is weak. It is poor where outlines are drawn, at strides 4 and 8: there a few plain 3 × 3
convolutions look for themselves, as those of `geosam.nano.encoder`, whose parts and names these are. A light pyramid
(Lin et al. 2017, "Feature Pyramid Networks") joins both.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.backbone import CHANNELS, Backbone, PreparedBackbone
from geosam.backbone.network import MEAN, SCALE
from geosam.errors import OptionError
from geosam.nano.encoder import MERGED, PixelNorm, build_stages, pixelwise
from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import network

FINE = 2
"""Strides at which it looks for itself: 4 and 8."""


class PretrainedEncoder(nn.Module):
    """An image to features at strides 16, 8 and 4, from a pretrained backbone and fine stages of its own.

    Parameters
    ----------
    out
        Channels of the coarse features.
    widths, depths
        Channels and blocks of the fine stages, at strides 4 and 8.
    fine_channels
        Channels of the fine features at strides 8 and 4.

    Raises
    ------
    OptionError
        If there are not two widths and two depths.

    Examples
    --------
    >>> encoder = PretrainedEncoder(16, widths=(8, 8), depths=(1, 1), fine_channels=(8, 4))
    >>> coarse, (eighth, quarter) = encoder(torch.zeros(1, 3, 64, 96))
    >>> tuple(coarse.shape), tuple(eighth.shape), tuple(quarter.shape)
    ((1, 16, 4, 6), (1, 8, 8, 12), (1, 4, 16, 24))
    """

    def __init__(
        self, out: int, *, widths: tuple[int, ...], depths: tuple[int, ...], fine_channels: tuple[int, ...]
    ) -> None:
        super().__init__()
        if len(widths) != FINE or len(depths) != FINE:
            raise OptionError(f"widths={widths}, depths={depths}", expected="two of each, for strides 4 and 8")
        self.backbone = Backbone()
        self.stem, self.downs, self.stages = build_stages(widths, depths)
        quarter, eighth, sixteenth, deepest = CHANNELS
        self.recognised = nn.ModuleList(
            nn.Conv2d(c, k, 1)
            for c, k in ((sixteenth, out), (deepest, out), (eighth, fine_channels[0]), (quarter, MERGED))
        )
        for each in self.recognised[FINE:]:  # beside fine stages that may have learned already
            nn.init.zeros_(each.get_parameter("weight"))
        self.smooth = nn.Sequential(nn.ReLU(), nn.Conv2d(out, out, 3, padding=1))
        self.eighth = nn.Conv2d(widths[1], fine_channels[0], 1)
        self.merges = nn.ModuleList(nn.Conv2d(c, MERGED, 1) for c in (out, fine_channels[0], widths[0]))
        self.quarter = nn.Conv2d(MERGED, fine_channels[1], 1)
        self.norm = PixelNorm(out)

    def forward(self, image: Tensor) -> FeatureMaps:
        """Encode ``image``, *b 3 h w*, as `Sam.normalise` gives it, sides of a multiple of 32."""
        return self.join(image, self.backbone.maps)

    def prepared(self, dtype: torch.dtype) -> Callable[[Tensor], FeatureMaps]:
        """The same function of one image, its backbone laid out for a processor."""
        maps = PreparedBackbone(self.backbone, dtype).maps
        return lambda image: self.join(image, maps)

    def join(self, image: Tensor, maps: Callable[[Tensor], tuple[Tensor, ...]]) -> FeatureMaps:
        """Encode with ``maps`` for the backbone's."""
        known = maps(on_its_scale(image))  # b c h/s w/s, at strides 4 to 32
        sixteenth, deepest, beside_eighth, beside_quarter = self.recognised
        quarter = self.stages[0](self.downs[0](functional.relu(self.stem(image), inplace=True)))  # b w0 h/4 w/4
        eighth = self.stages[1](self.downs[1](quarter))  # b w1 h/8 w/8
        merged = sixteenth(known[2]) + _twice(pixelwise(cast(nn.Conv2d, deepest), known[3]))  # b c h/16 w/16
        coarse = self.norm(merged + self.smooth(merged))  # b c h/16 w/16
        eighth = self.eighth(eighth) + beside_eighth(known[1])  # b c8 h/8 w/8
        deep, middle, own = self.merges
        finest = own(quarter) + beside_quarter(known[0]) + _twice(middle(eighth) + _twice(deep(coarse)))  # b m h/4 w/4
        return FeatureMaps(coarse, (eighth, self.quarter(functional.relu(finest, inplace=True))))


def on_its_scale(image: Tensor) -> Tensor:
    """Bring pixels from the scale of `Sam.normalise` to that of the backbone, ``b 3 h w``."""
    mean, deviation = (
        torch.tensor(each, device=image.device)[:, None, None] for each in (network.MEAN, network.DEVIATION)
    )
    return (image * deviation + (mean - MEAN)) / SCALE  # b 3 h w


def _twice(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2.0, mode="bilinear")
