"""Pixels look at the tokens, then the tokens at the pixels: in one go, a band of pixels at a time.

What the tokens ask next does not depend on the pixels, so every pixel can be asked as soon as it has changed, while it
is in a processor's cache. The softmax over all pixels is put together from what the bands found (Milakov and
Gimelshein 2018, "Online normalizer calculation for softmax", https://arxiv.org/abs/1805.02867).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from geosam.sam.prepared.attention import PixelsToTokens, Shown, TokensToPixels, merge
from geosam.sam.prepared.memory import scratch

BAND_VALUES = 1 << 17
"""Values of the pixels in one band in float32; products in bfloat16 are quicker over all pixels at once."""


class Exchange(NamedTuple):
    """One pass over the pixels.

    Attributes
    ----------
    show, norm
        How pixels look at the tokens, and the norm that follows.
    look
        How the tokens look at the pixels then.
    """

    show: PixelsToTokens
    norm: nn.LayerNorm
    look: TokensToPixels

    def __call__(self, shown: Shown, queries: Tensor, pixels: Tensor, pe: Tensor) -> tuple[Tensor, Tensor]:
        """Let pixels ``m N c`` of ``n`` prompts see what is shown: ``n N c``, and what queries ``n Ht c`` see then."""
        n, count, c = len(queries), *pixels.shape[1:]
        size = max(1, BAND_VALUES // c)
        if n > 1 or count <= size or pixels.dtype != torch.float32 or pixels.device.type != "cpu":
            changed = self._change(shown, pixels, pe)
            placed = torch.add(changed, pe, out=scratch("placed", changed))  # n N c
            return changed, self.look.gather(queries, placed, changed)
        changed, seen = torch.empty_like(pixels), []
        for start in range(0, count, size):
            band = slice(start, start + size)
            now = self._change(shown, pixels[:, band], pe[:, band])  # 1 b c
            changed[:, band] = now
            seen.append(self.look.glimpse(queries, now + pe[:, band], now))
        return changed, merge(seen)

    def _change(self, shown: Shown, pixels: Tensor, pe: Tensor) -> Tensor:
        placed = torch.add(pixels, pe, out=scratch("placed", pixels))  # m N c
        return self.norm(self.show.spread(shown, placed, pixels))  # n N c
