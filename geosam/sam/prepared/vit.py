"""The vision transformer on a processor: the same function as `geosam.sam.image_encoder.VitEncoder`.

Everything but attention concerns each patch alone, so some rows of patches at a time go through all of it while they
are in a core's cache. Attention goes head by head, and of its scores, patches times patches, only a few rows exist at a
time: first the learned scores of distance, to which the products are added. Windows are padded after the projection,
where a patch of zeros is the projection's bias, and cropped before the next.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from geosam.sam.blocks import FeatureMaps
from geosam.sam.image_encoder import Block, VitEncoder, join_windows, split_windows
from geosam.sam.prepared.precision import Linear
from geosam.sam.prepared.workers import map_alone

PATCH = 16
"""Pixels to a side of a patch."""

ROWS = 512
"""Patches that go through a block's layers together."""

SCORES = 1 << 20
"""Attention scores that exist at a time, on each thread."""


class PreparedVit:
    """The encoder, its weights laid out once.

    Parameters
    ----------
    encoder
        The module to follow, on the CPU.
    dtype
        Precision of the products; sums of blocks and norms stay float32.
    """

    def __init__(self, encoder: VitEncoder, dtype: torch.dtype) -> None:
        self.dtype = dtype
        patches = encoder.patch_embed.proj
        self.embed = Linear(patches.weight.flatten(1), cast(Tensor, patches.bias), dtype)
        self.positions = encoder.pos_embed[0]  # h w c
        self.blocks = [PreparedBlock(cast(Block, block), dtype, self.positions.shape[0]) for block in encoder.blocks]
        self.neck = encoder.neck

    def __call__(self, images: Float[Tensor, "b 3 side side"]) -> FeatureMaps:
        """Embed normalised, padded images."""
        with torch.autocast("cpu", enabled=False):  # the precision of every step is said here; threads have no autocast
            return FeatureMaps(torch.cat([self._embed(image) for image in images]))  # b out h w

    def _embed(self, image: Tensor) -> Tensor:
        h, w, _ = self.positions.shape
        patches = image.reshape(3, h, PATCH, w, PATCH).permute(1, 3, 0, 2, 4).reshape(h * w, -1)  # n 3·16·16
        x = (self.embed(patches) + self.positions.flatten(0, 1)).float()  # n c
        for block in self.blocks:
            block(x, (h, w))
        x = x.reshape(1, h, w, -1).permute(0, 3, 1, 2)  # 1 c h w
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            return self.neck(x.to(self.dtype))  # 1 out h w


class PreparedBlock:
    """Attention, then an MLP, as in `geosam.sam.image_encoder.Block`."""

    def __init__(self, block: Block, dtype: torch.dtype, grid: int) -> None:
        attn, self.window = block.attn, block.window
        self.heads, self.dtype = attn.heads, dtype
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.qkv, self.proj = Linear.of(attn.qkv, dtype), Linear.of(attn.proj, dtype)
        self.lin1, self.lin2 = Linear.of(block.mlp.lin1, dtype, gelu=True), Linear.of(block.mlp.lin2, dtype)
        side = block.window or grid
        self.down, self.across = (_distances(table, side).to(dtype) for table in (attn.rel_pos_h, attn.rel_pos_w))

    def __call__(self, x: Float[Tensor, "n c"], size: tuple[int, int]) -> None:
        """Transform the patches in place."""
        pieces = x.split(ROWS)
        qkv = torch.cat(map_alone(lambda rows: self.qkv(self.norm1(rows)), pieces))  # n 3c
        seen = self._attend(qkv.unflatten(0, (1, *size))).flatten(0, 2)  # n c

        def rest(piece: tuple[Tensor, Tensor]) -> None:
            rows, gathered = piece
            rows += self.proj(gathered)
            rows += self.lin2(self.lin1(self.norm2(rows)))

        map_alone(rest, list(zip(pieces, seen.split(ROWS), strict=True)))

    def _attend(self, qkv: Float[Tensor, "1 h w _"]) -> Float[Tensor, "1 h w c"]:
        size = (qkv.shape[1], qkv.shape[2])
        if self.window:
            h, w = size
            empty = self.qkv.bias.expand(1, h + -h % self.window, w + -w % self.window, -1).clone()  # 1 hp wp 3c
            empty[:, :h, :w] = qkv
            qkv = split_windows(empty, self.window)  # m window window 3c
        heads = qkv.unflatten(-1, (3, self.heads, -1)).permute(3, 4, 0, 1, 2, 5)  # 3 heads m h w d
        out = torch.cat(map_alone(lambda head: self._head(*heads[:, head]), range(self.heads)), -1)  # m h w c
        return join_windows(out, size) if self.window else out

    def _head(
        self, q: Float[Tensor, "m h w d"], k: Float[Tensor, "m h w d"], v: Float[Tensor, "m h w d"]
    ) -> Float[Tensor, "m h w d"]:
        """Attention of one head, a few rows of queries at a time."""
        m, h, w, d = q.shape
        down = (q @ self.down.mT).flatten(1, 2)  # m hw h
        across = (q.transpose(1, 2) @ self.across.mT).transpose(1, 2).flatten(1, 2)  # m hw w
        q, k, v = (each.flatten(1, 2).contiguous() for each in (q * d**-0.5, k, v))  # m hw d
        out = torch.empty_like(v)  # m hw d
        rows = max(1, SCORES // (m * h * w))
        for start in range(0, h * w, rows):
            some = slice(start, start + rows)
            scores = (down[:, some, :, None] + across[:, some, None, :]).flatten(2)  # m r hw
            out[:, some] = scores.baddbmm_(q[:, some], k.mT).softmax(-1) @ v  # m r d
        return out.unflatten(1, (h, w))


def _distances(table: Float[Tensor, "_ d"], size: int) -> Float[Tensor, "size size d"]:
    """Pick each pair's vector from the table of distances, as the readable module does at each call."""
    index = torch.arange(size)  # size
    return table[index[:, None] - index[None] + size - 1]  # size size d
