"""The bricks that the parts of Segment Anything share: norms, token attention, small MLPs, Fourier positions.

Axes in the shape comments: ``n`` prompts, ``t`` tokens, ``c`` channels (the width), ``h w`` rows and columns of a
feature map.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

Tokens = Float[Tensor, "n t c"]
"""A row of tokens for each prompt."""

FeatureMap = Float[Tensor, "n c h w"]
"""A map of features for each image or prompt."""


class FeatureMaps(NamedTuple):
    """What an image encoder gives for ``b`` images.

    Attributes
    ----------
    coarse
        The image embedding at stride 16, ``b c gh gw``.
    fine
        FeatureMaps at stride 8 and at stride 4 that sharpen the masks, ``b c8 2gh 2gw`` and ``b c4 4gh 4gw``;
        none from the published encoders.
    """

    coarse: Tensor
    fine: tuple[Tensor, ...] = ()


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of every pixel of a feature map (as in ConvNeXt)."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: FeatureMap) -> FeatureMap:
        """Give every pixel's channels mean 0 and variance 1, then scale and shift each channel."""
        unit = functional.layer_norm(
            x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps
        )  # n h w c
        return unit.permute(0, 3, 1, 2)  # n c h w


class Conv3x3(nn.Conv2d):
    """A 3 x 3 convolution that keeps a map's size, and rounds one picture as it rounds several.

    For a single small picture on a CPU PyTorch leaves oneDNN for arithmetic of its own, which rounds otherwise; here it
    stays with oneDNN, so that results are the same to the last bit whatever is computed beside.

    Examples
    --------
    >>> conv = Conv3x3(2, 4, apart=2)
    >>> tuple(conv(torch.rand(1, 2, 8, 12)).shape)
    (1, 4, 8, 12)
    """

    def __init__(self, channels: int, out: int, apart: int = 1) -> None:
        super().__init__(channels, out, 3, padding=apart, dilation=apart)
        self.apart = apart

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Convolve the maps of ``n`` pictures."""
        alone = len(input) == 1 and input.device.type == "cpu" and input.dtype == self.weight.dtype
        if not (alone and torch.backends.mkldnn.is_available()):
            return super().forward(input)
        last = input.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        several = torch.empty_like(input, memory_format=layout).stride()  # of one picture the first stride can be any
        given = input.contiguous(memory_format=layout).as_strided(input.shape, several)
        apart = (self.apart, self.apart)
        return torch.mkldnn_convolution(given, self.weight, self.bias, apart, (1, 1), apart, 1)


class Learned(nn.Module):
    """Learned vectors that stand for something, such as "here is a click".

    Normal random at first, and on the CPU even where a network is laid out without storage: PyTorch's normal random
    numbers without storage import its compiler, which takes two seconds.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, width, device="cpu"))  # count c


class FeedForward(nn.Module):
    """The two-layer MLP of a transformer block."""

    def __init__(self, width: int, hidden: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.act = activation()

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        """Widen, bend, narrow."""
        return self.lin2(self.act(self.lin1(x)))  # ... c


class Mlp(nn.Module):
    """A plain ReLU MLP of ``depth`` linear layers, the last one without activation."""

    def __init__(self, width: int, hidden: int, out: int, *, depth: int = 3) -> None:
        super().__init__()
        sizes = [width, *[hidden] * (depth - 1), out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n out"]:
        """Apply the layers."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))  # ... hidden
        return self.layers[-1](x)  # ... out


class Attention(nn.Module):
    """Multi-head attention between two rows of tokens; ``inner`` may be narrower than ``width``."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(
        self,
        q: Float[Tensor, "a q c"],
        k: Float[Tensor, "b k c"],
        v: Float[Tensor, "b k c"],
        present: Bool[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, "n q c"]:
        """Let every query gather the values whose keys it fits; keys that are not `present` are not seen.

        Queries, or keys and values, that are the same for all ``n`` may come once, and are then projected once.
        """
        n = len(q) if len(k) == 1 else len(k)
        q, k, v = (
            self._split(project(x)).expand(n, -1, -1, -1)
            for project, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )  # n heads t d
        seen = None if present is None else present[:, None, None]  # n 1 1 k
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)  # n heads q d
        return self.out_proj(out.transpose(1, 2).flatten(2))  # n q c

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # n heads t d


class FourierPositions(nn.Module):
    """Positions as sines and cosines of random projections (Tancik et al. 2020, "Fourier features").

    Coordinates are fractions of the input's longest side, so that one pixel means the same distance along both axes.
    """

    positional_encoding_gaussian_matrix: Tensor
    origin: Tensor
    """Where the input's corner lies; training moves it, so that no absolute position is learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width // 2, device="cpu"))
        self.register_buffer("origin", torch.zeros(2, device="cpu"), persistent=False)

    def forward(self, xy: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n c"]:
        """Encode coordinates in [0, 1]. A sum instead of a matrix product: autocast must not round coordinates."""
        matrix = self.positional_encoding_gaussian_matrix  # 2 c/2
        waves = ((2 * (xy + self.origin) - 1)[..., None] * matrix).sum(-2) * (2 * math.pi)  # ... c/2
        return torch.cat([waves.sin(), waves.cos()], -1)  # ... c

    def grid(self, h: int, w: int, *, cells: float = 0.0) -> Float[Tensor, "c h w"]:
        """Encode the centres of the cells of an ``h`` by ``w`` feature map, ``cells`` (by default the longer) to 1."""
        unit = cells or max(h, w)
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(h, device=device) + 0.5) / unit  # h
        x = (torch.arange(w, device=device) + 0.5) / unit  # w
        xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)  # h w 2
        return self(xy).permute(2, 0, 1)  # c h w
