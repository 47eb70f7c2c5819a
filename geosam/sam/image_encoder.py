"""The image encoder of the published checkpoints: a plain vision transformer with windowed attention.

After Li et al. 2022, "Exploring plain vision transformer backbones for object detection" (ViTDet), as used in Kirillov
et al. 2023, "Segment Anything". Parameter names follow the published checkpoints.

Axes in the shape comments: ``b`` images (or windows of them), ``h w`` rows and columns of patches, ``c`` channels,
``n`` patches ``h * w``, ``d`` channels of one head.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.blocks import FeatureMaps, FeedForward, LayerNorm2d

Patches = Float[Tensor, "b h w c"]
"""Patch tokens, channels last."""


class VitEncoder(nn.Module):
    """Patches of 16 pixels, ``depth`` transformer blocks, a neck of two convolutions.

    Parameters
    ----------
    width, depth, heads
        Of the transformer.
    global_blocks
        Indices of the blocks whose attention spans the whole image; the others see windows.
    side
        Side of the square input in pixels.
    window
        Side of an attention window in patches.
    out
        Channels of the embedding.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        global_blocks: tuple[int, ...],
        side: int = 1024,
        window: int = 14,
        out: int = 256,
    ) -> None:
        super().__init__()
        grid = side // 16
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, grid) if index in global_blocks else Block(width, heads, grid, window=window)
            for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(width, out, 1, bias=False),
            LayerNorm2d(out),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            LayerNorm2d(out),
        )

    def forward(self, images: Float[Tensor, "b 3 side side"]) -> FeatureMaps:
        """Embed normalised, padded images."""
        x = self.patch_embed(images) + self.pos_embed  # b h w c
        for block in self.blocks:
            x = block(x)  # b h w c
        return FeatureMaps(self.neck(x.permute(0, 3, 1, 2)))  # b out h w


class PatchEmbed(nn.Module):
    """Each patch of 16 by 16 pixels becomes a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 16, stride=16)

    def forward(self, images: Float[Tensor, "b 3 _ _"]) -> Patches:
        """Project the pixels of every patch."""
        return self.proj(images).permute(0, 2, 3, 1)  # b h w c


class Block(nn.Module):
    """Attention, then an MLP; within windows, or with ``window=0`` over the whole image."""

    def __init__(self, width: int, heads: int, grid: int, *, window: int = 0) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = PositionedAttention(width, heads, side=window or grid)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width, 4 * width, nn.GELU)

    def forward(self, x: Patches) -> Patches:
        """Transform the patches."""
        x = x + self._attend(self.norm1(x))  # b h w c
        return x + self.mlp(self.norm2(x))  # b h w c

    def _attend(self, x: Tensor) -> Tensor:
        if not self.window:
            return self.attn(x)  # b h w c
        windows = split_windows(x, self.window)  # b*windows window window c
        return join_windows(self.attn(windows), (x.shape[1], x.shape[2]))  # b h w c


class PositionedAttention(nn.Module):
    """Multi-head self-attention in which how far apart two patches lie, down and across, adds to their score.

    `rel_pos_h` and `rel_pos_w` hold a learned vector for each distance down and across. The score of a query ``q`` at
    row ``y`` and column ``x`` and a key ``k`` at row ``v`` and column ``u`` is::

        q·k / √d  +  q·rel_pos_h[y - v]  +  q·rel_pos_w[x - u]

    The second term depends on the key by its row only, so it is computed once per query and row, and appended to the
    query; the key has a one appended at its row and zeros elsewhere. Columns likewise. Plain attention over these
    longer vectors then gives exactly the sum above, without a table of all pairs.
    """

    def __init__(self, width: int, heads: int, *, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Patches) -> Patches:
        """Let every patch gather from all others."""
        _, h, w, _ = x.shape
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # b h w 3 heads d
        q, k, v = qkv.permute(3, 0, 4, 1, 2, 5)  # b heads h w d
        d = q.shape[-1]
        near_h = torch.einsum("bnhwd,hvd->bnhwv", q, _distances(self.rel_pos_h, h))  # b heads h w h
        near_w = torch.einsum("bnhwd,wvd->bnhwv", q, _distances(self.rel_pos_w, w))  # b heads h w w
        q = torch.cat([q * d**-0.5, near_h, near_w], -1).flatten(2, 3)  # b heads n d+h+w
        k = torch.cat([k, _place(h, w, like=k)], -1).flatten(2, 3)  # b heads n d+h+w
        v = functional.pad(v, (0, h + w)).flatten(2, 3)  # b heads n d+h+w, as wide as q for the fused kernels
        out = functional.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :d]  # b heads n d
        return self.proj(out.unflatten(2, (h, w)).permute(0, 2, 3, 1, 4).flatten(3))  # b h w c


def _distances(table: Tensor, size: int) -> Tensor:
    """Pick each pair's vector from the table: row ``y - v + size - 1`` for query ``y`` and key ``v``."""
    index = torch.arange(size, device=table.device)  # size
    return table[index[:, None] - index[None] + size - 1]  # size size d


def _place(h: int, w: int, *, like: Tensor) -> Tensor:
    """Mark each patch's row and column with a one."""
    rows = torch.eye(h, dtype=like.dtype, device=like.device)[:, None].expand(h, w, h)  # h w h
    cols = torch.eye(w, dtype=like.dtype, device=like.device)[None].expand(h, w, w)  # h w w
    return torch.cat([rows, cols], -1).expand(*like.shape[:2], -1, -1, -1)  # b heads h w h+w


def split_windows(x: Patches, window: int) -> Float[Tensor, "m window window c"]:
    """Cut the patches into windows, after padding below and right with zeros to a whole number of them."""
    h, w = x.shape[1:3]
    x = functional.pad(x, (0, 0, 0, -w % window, 0, -h % window))  # b hp wp c
    x = x.unflatten(2, (-1, window)).unflatten(1, (-1, window))  # b rows window cols window c
    return x.transpose(2, 3).flatten(0, 2)  # b*rows*cols window window c


def join_windows(windows: Float[Tensor, "m window window c"], size: tuple[int, int]) -> Patches:
    """Undo `split_windows` for patches of ``size`` ``(h, w)``."""
    h, w = size
    window = windows.shape[1]
    rows, cols = -(-h // window), -(-w // window)
    x = windows.unflatten(0, (-1, rows, cols)).transpose(2, 3)  # b rows window cols window c
    return x.flatten(3, 4).flatten(1, 2)[:, :h, :w]  # b h w c
