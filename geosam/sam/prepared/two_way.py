"""The decoder's transformer with folded attention: the same function as `geosam.sam.mask_decoder.TwoWayTransformer`.

The tokens of a group of prompts go through their layers together. Pixels are many, and on a processor go through theirs
prompt by prompt, so that one prompt's pixels stay in its cache.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.mask_decoder import TwoWayBlock, TwoWayTransformer
from geosam.sam.prepared.attention import PixelsToTokens, TokensToPixels

FOLDED_TOKENS = 16
"""With more tokens than this, folding makes more columns than the projections have: the readable module is quicker."""


class PreparedTransformer:
    """The two-way transformer, its weights arranged once.

    Parameters
    ----------
    transformer
        The module to follow; it is kept for prompts with many tokens.
    dtype
        Precision of products with pixels.
    """

    def __init__(self, transformer: TwoWayTransformer, dtype: torch.dtype) -> None:
        self.readable = transformer
        self.dtype = dtype
        self.blocks = [PreparedBlock(cast(TwoWayBlock, layer), dtype) for layer in transformer.layers]
        self.hidden = len(self.blocks[0].lin1.bias)
        self.final = TokensToPixels(transformer.final_attn_token_to_image, dtype)
        self.norm = transformer.norm_final_attn

    def __call__(
        self, tokens: Tensor, pixels: list[Tensor], pe: Tensor, present: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Exchange between tokens ``n t c`` in float32 and pixels in `dtype`: part by part ``m N c``; ``pe 1 N c``."""
        if tokens.shape[1] > FOLDED_TOKENS:
            return self._unfolded(tokens, pixels, pe, present)
        prompts = tokens  # n t c
        for block in self.blocks:
            tokens, pixels = block(tokens, pixels, (prompts, pe, present))
        seen = look(self.final, tokens + prompts, place(pixels, pe), pixels)  # n t c
        return self.norm(tokens + seen), pixels

    def _unfolded(
        self, tokens: Tensor, pixels: list[Tensor], pe: Tensor, present: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        found = []
        with torch.autocast(tokens.device.type, self.dtype, enabled=self.dtype != torch.float32):
            for part, some in zip(pixels, parts(len(tokens), len(pixels)), strict=True):
                found.append(self.readable(tokens[some], part, pe, None if present is None else present[some]))
        tokens = torch.cat([each.float() for each, _ in found])  # n t c
        return tokens, [each.to(self.dtype) for _, each in found]


class PreparedBlock:
    """One exchange, as in `TwoWayBlock`."""

    def __init__(self, block: TwoWayBlock, dtype: torch.dtype) -> None:
        self.self_attn = block.self_attn
        self.look = TokensToPixels(block.cross_attn_token_to_image, dtype)
        self.show = PixelsToTokens(block.cross_attn_image_to_token, dtype)
        self.lin1, self.lin2 = Cast(block.mlp.lin1, dtype), Cast(block.mlp.lin2, dtype)
        self.norm1, self.norm2, self.norm3, self.norm4 = block.norm1, block.norm2, block.norm3, block.norm4
        self.first = block.first

    def __call__(
        self, tokens: Tensor, pixels: list[Tensor], given: tuple[Tensor, Tensor, Tensor | None]
    ) -> tuple[Tensor, list[Tensor]]:
        """Tokens look at each other, at the image, think; then the image looks at the tokens."""
        prompts, pe, present = given
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens, present)  # n t c
        else:
            placed = tokens + prompts  # n t c
            tokens = tokens + self.self_attn(placed, placed, tokens, present)  # n t c
        tokens = self.norm1(tokens)  # n t c
        placed_pixels = place(pixels, pe)
        tokens = self.norm2(tokens + look(self.look, tokens + prompts, placed_pixels, pixels))  # n t c
        tokens = self.norm3(tokens + self.lin2(functional.relu(self.lin1(tokens))))  # n t c
        shown = self.show.offer(tokens + prompts, tokens, present)
        some = parts(len(tokens), len(pixels))
        each = zip(some, placed_pixels, pixels, strict=True)
        return tokens, [self.norm4(self.show.spread(shown.part(part), at, x)) for part, at, x in each]


class Cast:
    """A linear layer that computes in another precision than its input's, which it gives back."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        self.weight, self.bias = linear.weight.to(dtype), linear.bias.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """Compute in the layer's precision."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


def parts(n: int, count: int) -> Iterator[slice]:
    """Cut ``n`` prompts into `count` parts of one size."""
    size = n // count
    return (slice(start, start + size) for start in range(0, n, size))


def place(pixels: list[Tensor], pe: Tensor) -> list[Tensor]:
    """Add to the pixels where they are; to pixels that all prompts share once."""
    shared = pixels[0] + pe  # m N c
    return [shared if each is pixels[0] else each + pe for each in pixels]


def look(attention: TokensToPixels, placed: Tensor, placed_pixels: list[Tensor], pixels: list[Tensor]) -> Tensor:
    """Let all tokens look at their prompt's pixels, part by part: ``n t c``."""
    queries = attention.queries(placed)  # n Ht c
    each = zip(parts(len(placed), len(pixels)), placed_pixels, pixels, strict=True)
    return attention.learn(torch.cat([attention.gather(queries[part], at, x) for part, at, x in each]))  # n t c
