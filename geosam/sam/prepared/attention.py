"""Attention between few tokens and many pixels, with the pixels' projections folded into the tokens.

The score of a token and a pixel is ``q·k = q·(W x + b)``. Instead of projecting thousands of pixels ``x``, project the
few queries back: ``q·(W x) = (Wᵀq)·x``. What remains, ``q·b``, is the same for all pixels and cancels in the softmax.
Values likewise: ``Σ aᵢ (V xᵢ + c) = V (Σ aᵢ xᵢ) + c``, since weights sum to one. Seven tokens and eight heads make 56
columns where a projection has 128 or 256, and the result is the same up to rounding.

Tokens are few and stay float32; products with pixels have the pixels' precision. Pixels may come once for all prompts
(``m`` is 1). Axes: ``n`` prompts, ``t`` tokens, ``c`` channels, ``N`` pixels, ``H`` heads, ``d`` channels of one head.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from geosam.sam.blocks import Attention
from geosam.sam.prepared.memory import scratch

TokenRows = Float[Tensor, "n t c"]
Pixels = Float[Tensor, "m N c"]


class TokensToPixels:
    """Tokens look at the pixels: `queries`, then `gather` for some prompts at a time, then `learn`."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self.heads, self.dtype = attention.heads, dtype
        self.q, self.out = attention.q_proj, attention.out_proj
        self.k = _by_head(attention.k_proj.weight, self.heads, scale=True)  # H d c
        self.v = _by_head(attention.v_proj.weight, self.heads).mT  # H c d
        self.v_bias = _by_head(attention.v_proj.bias[:, None], self.heads).mT  # H 1 d

    def queries(self, placed: TokenRows) -> Float[Tensor, "n _ c"]:
        """What every token and head asks of a pixel, ``n Ht c``."""
        return (_split(self.q(placed), self.heads) @ self.k).flatten(1, 2).to(self.dtype)  # n Ht c

    def gather(self, queries: Tensor, placed_pixels: Pixels, pixels: Pixels) -> Float[Tensor, "n _ c"]:
        """The mean pixel that each query sees, ``n Ht c``."""
        weights = (queries @ _shared(placed_pixels).mT).softmax(-1)  # n Ht N
        return weights @ _shared(pixels)  # n Ht c

    def glimpse(self, queries: Tensor, placed_pixels: Pixels, pixels: Pixels) -> "Glimpse":
        """What each query sees in some of the pixels."""
        scores = queries @ _shared(placed_pixels).mT  # n Ht b
        most = scores.amax(-1, keepdim=True)  # n Ht 1
        weights = scores.sub_(most).exp_()  # n Ht b
        return Glimpse(most, weights.sum(-1, keepdim=True), weights @ _shared(pixels))

    def learn(self, seen: Tensor) -> TokenRows:
        """Turn what the queries saw into what the tokens learn."""
        values = seen.float().unflatten(1, (self.heads, -1)) @ self.v + self.v_bias  # n H t d
        return self.out(values.transpose(1, 2).flatten(2))  # n t c


class Glimpse(NamedTuple):
    """What queries see in some of the pixels, before others are known.

    Attributes
    ----------
    most
        The greatest score, ``n Ht 1``.
    weight
        The sum of ``exp(score - most)``, ``n Ht 1``.
    pixels
        The sum of the pixels with these weights, ``n Ht c``.
    """

    most: Tensor
    weight: Tensor
    pixels: Tensor


def merge(seen: list[Glimpse]) -> Float[Tensor, "n _ c"]:
    """The mean pixel that each query sees, from glimpses of all pixels."""
    most, weight, pixels = (torch.stack(each) for each in zip(*seen, strict=True))
    share = (most - most.amax(0)).exp()  # bands n Ht 1
    return (pixels * share).sum(0) / (weight * share).sum(0)  # n Ht c


class Shown(NamedTuple):
    """What tokens offer to pixels: keys ``n Ht c`` with their biases ``n Ht 1``, and values ``n Ht c``."""

    keys: Tensor
    biases: Tensor
    values: Tensor

    def part(self, some: slice) -> "Shown":
        """What some of the prompts offer."""
        return Shown(self.keys[some], self.biases[some], self.values[some])


class PixelsToTokens:
    """Pixels look at the tokens: `offer`, then `spread` for some prompts at a time."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self.heads, self.dtype = attention.heads, dtype
        self.k, self.v = attention.k_proj, attention.v_proj
        self.q = _by_head(attention.q_proj.weight, self.heads, scale=True)  # H d c
        self.q_bias = _by_head(attention.q_proj.bias[:, None], self.heads, scale=True)  # H d 1
        self.out = _by_head(attention.out_proj.weight.T, self.heads)  # H d c
        self.out_bias = attention.out_proj.bias / self.heads  # c, a share for each head's weights

    def offer(self, placed: TokenRows, tokens: TokenRows, present: Bool[Tensor, "n t"] | None = None) -> Shown:
        """Keys and values of the tokens that are present."""
        k = _split(self.k(placed), self.heads)  # n H t d
        biases = k @ self.q_bias  # n H t 1
        if present is not None:
            biases = biases.masked_fill(~present[:, None, :, None], float("-inf"))
        values = _split(self.v(tokens), self.heads) @ self.out + self.out_bias  # n H t c
        keys, biases, values = ((each.flatten(1, 2)).to(self.dtype) for each in (k @ self.q, biases, values))
        return Shown(keys, biases, values)

    def spread(self, shown: Shown, placed_pixels: Pixels, pixels: Pixels) -> Float[Tensor, "n N c"]:
        """Add to every pixel what it gathers from the tokens; the next call writes over it (`scratch`)."""
        n = len(shown.keys)
        scores = torch.baddbmm(shown.biases, shown.keys, placed_pixels.mT.expand(n, -1, -1))  # n Ht N
        weights = scores.unflatten(1, (self.heads, -1)).softmax(2).flatten(1, 2)  # n Ht N
        out = scratch("spread", pixels.expand(n, -1, -1))  # n N c
        return torch.baddbmm(pixels, weights.mT, shown.values, out=out)


def _by_head(weight: Tensor, heads: int, *, scale: bool = False) -> Tensor:
    """A projection's rows, head by head: ``H d c``; scaled as scores are if wanted."""
    weight = weight.unflatten(0, (heads, -1))  # H d c
    return (weight * weight.shape[1] ** -0.5 if scale else weight).contiguous()


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # n H t d


def _shared(pixels: Tensor) -> Tensor:
    """Pixels that are the same for all prompts as a matrix, so that one product serves all."""
    return pixels[0] if len(pixels) == 1 else pixels
