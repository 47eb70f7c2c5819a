"""The decoder's transformer with folded attention: the same function as `geosam.sam.mask_decoder.TwoWayTransformer`.

The tokens of a group of prompts go through their layers together. Pixels are many, and on a processor go through theirs
prompt by prompt, and band by band where that is quicker (`exchange`), so that they stay in its cache.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.mask_decoder import TwoWayBlock, TwoWayTransformer
from geosam.sam.prepared.attention import PixelsToTokens, TokensToPixels
from geosam.sam.prepared.exchange import Exchange

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
        self.looks = [
            *(block.look for block in self.blocks),
            TokensToPixels(transformer.final_attn_token_to_image, dtype),
        ]
        self.norm = transformer.norm_final_attn

    def __call__(
        self, tokens: Tensor, pixels: list[Tensor], pe: Tensor, present: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Exchange between tokens ``n t c`` in float32 and pixels in `dtype`: part by part ``m N c``; ``pe 1 N c``."""
        if tokens.shape[1] > FOLDED_TOKENS:
            return self._unfolded(tokens, pixels, pe, present)
        given = tokens, present
        tokens = self.blocks[0].confer(tokens, given)  # n t c
        queries = self.looks[0].queries(tokens + given[0])  # n Ht c
        seen = self._first_look(queries, pixels, pe)  # n Ht c
        following = [*self.blocks[1:], None]
        for block, after, (look, look_again) in zip(self.blocks, following, pairwise(self.looks), strict=True):
            tokens = block.think(tokens, look.learn(seen))  # n t c
            shown = block.show.offer(tokens + given[0], tokens, present)
            tokens = tokens if after is None else after.confer(tokens, given)  # n t c
            queries = look_again.queries(tokens + given[0])  # n Ht c
            exchange = Exchange(block.show, block.norm4, look_again)
            some = parts(len(tokens), len(pixels))
            passed = [exchange(shown.part(p), queries[p], x, pe) for p, x in zip(some, pixels, strict=True)]
            pixels, seen = [x for x, _ in passed], torch.cat([each for _, each in passed])  # n N c, n Ht c
        return self.norm(tokens + self.looks[-1].learn(seen)), pixels

    def _first_look(self, queries: Tensor, pixels: list[Tensor], pe: Tensor) -> Tensor:
        shared = pixels[0] + pe  # m N c, of all prompts unless each has pixels of its own
        placed = (shared if x is pixels[0] else x + pe for x in pixels)
        each = zip(parts(len(queries), len(pixels)), placed, pixels, strict=True)
        return torch.cat([self.looks[0].gather(queries[part], at, x) for part, at, x in each])  # n Ht c

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

    def confer(self, tokens: Tensor, given: tuple[Tensor, Tensor | None]) -> Tensor:
        """Tokens look at each other, knowing how they were given and which are present."""
        prompts, present = given
        if self.first:
            return self.norm1(self.self_attn(tokens, tokens, tokens, present))  # n t c
        placed = tokens + prompts  # n t c
        return self.norm1(tokens + self.self_attn(placed, placed, tokens, present))  # n t c

    def think(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Tokens take in what they saw in the image."""
        tokens = self.norm2(tokens + seen)  # n t c
        return self.norm3(tokens + self.lin2(functional.relu(self.lin1(tokens))))  # n t c


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
