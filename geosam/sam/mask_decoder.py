"""From an image embedding and prompt tokens to masks: a transformer that looks both ways, then dynamic classifiers.

After Kirillov et al. 2023, "Segment Anything", appendix A; the finer features that join the upscaling, for encoders
that have them, are those of SAM 2 (Ravi et al. 2024). Parameter names follow the published checkpoints.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from geosam.sam.blocks import Attention, FeedForward, LayerNorm2d, Learned, Mlp, Tokens

Fine = tuple[Float[Tensor, "b _ _ _"], ...]
"""Encoder features at stride 8 and 4, or none."""


class MaskDecoder(nn.Module):
    """Predict masks and how good they are.

    Parameters
    ----------
    width
        Channels of tokens and image embedding; the masks are drawn from ``width // 8`` channels.
    depth
        Two-way blocks.
    heads
        Attention heads.
    mlp
        Hidden width of the tokens' feed-forward layers.
    multimask
        Masks that answer an ambiguous prompt, beside the one that answers a clear one.
    iou_hidden
        Hidden width of the head that predicts each mask's IoU.
    fine_channels
        Channels of the encoder's features at stride 8 and 4 that sharpen the upscaling; ``()`` for none.
    hint_channels
        Channels of the maps of each prompt that join the last upscaling; 0 for none.
    activation
        Activation of the upscaling: ``"gelu"``, or ``"relu"``, whose derivative costs a small model a tenth less time.
    """

    def __init__(
        self,
        width: int = 256,
        *,
        depth: int = 2,
        heads: int = 8,
        mlp: int = 2048,
        multimask: int = 3,
        iou_hidden: int = 256,
        fine_channels: tuple[int, ...] = (),
        hint_channels: int = 0,
        activation: Literal["gelu", "relu"] = "gelu",
    ) -> None:
        super().__init__()
        masks = multimask + 1
        bend = {"gelu": nn.GELU, "relu": nn.ReLU}[activation]
        self.transformer = TwoWayTransformer(width, depth=depth, heads=heads, mlp=mlp)
        self.iou_token = Learned(1, width)
        self.mask_tokens = Learned(masks, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, stride=2),
            LayerNorm2d(width // 4),
            bend(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, stride=2),
            bend(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(width, width, width // 8) for _ in range(masks))
        self.iou_prediction_head = Mlp(width, iou_hidden, masks)
        widths = (width // 4, width // 8)
        self.hint_projection = nn.Conv2d(hint_channels, width // 8, 1) if hint_channels else None
        self.fine_projections = nn.ModuleList(
            nn.Conv2d(c, out, 1) for c, out in zip(fine_channels, widths, strict=bool(fine_channels))
        )

    def forward(
        self,
        image: Float[Tensor, "b c gh gw"],
        positions: Float[Tensor, "c gh gw"],
        sparse: Float[Tensor, "n t c"],
        *,
        dense: Float[Tensor, "m c _ _"],
        present: Bool[Tensor, "n t"] | None = None,
        fine: Fine = (),
        hints: Float[Tensor, "n _ mh mw"] | None = None,
    ) -> tuple[Float[Tensor, "n k mh mw"], Float[Tensor, "n k"]]:
        """Predict all masks of ``n`` prompts on ``b`` images: the one for clear prompts first, then the alternatives.

        The prompts come image by image, equally many on each. Give back logits at stride 4 and predicted IoUs.
        """
        b, c, gh, gw = image.shape
        n = len(sparse)
        outputs = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(n, -1, -1)  # n 1+k c
        tokens = torch.cat([outputs, sparse], 1)  # n 1+k+t c
        if present is not None:
            present = torch.cat([present.new_ones(n, outputs.shape[1]), present], 1)  # n 1+k+t
        image = image if b == 1 else image.repeat_interleave(n // b, 0)  # 1 or n c gh gw
        keys = image + dense  # 1 or n c gh gw: one for all prompts as long as it knows of none
        pe = positions.flatten(1).T[None]  # 1 gh*gw c
        tokens, keys = self.transformer(tokens, keys.flatten(2).transpose(1, 2), pe, present)  # n 1+k+t c, n gh*gw c
        pixels = self._upscale(keys.transpose(1, 2).reshape(n, c, gh, gw), fine, hints)  # n c/8 mh mw
        heads = enumerate(self.output_hypernetworks_mlps, start=1)
        classifiers = torch.stack([head(tokens[:, i]) for i, head in heads], 1)  # n k c/8
        logits = (classifiers @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])  # n k mh mw
        return logits, self.iou_prediction_head(tokens[:, 0])  # n k mh mw, n k

    def _upscale(self, x: Tensor, fine: Fine, hints: Tensor | None) -> Tensor:
        up1, norm, act1, up2, act2 = self.output_upscaling
        eighth, quarter = [project(f) for project, f in zip(self.fine_projections, fine, strict=True)] or (None, None)
        x = act1(norm(_add_per_image(up1(x), eighth)))  # n c/4 2gh 2gw
        x = _add_per_image(up2(x), quarter)  # n c/8 4gh 4gw
        return act2(x if self.hint_projection is None else x + self.hint_projection(hints))  # n c/8 4gh 4gw


def _add_per_image(x: Tensor, shared: Tensor | None) -> Tensor:
    """Add each image's map to the maps of all prompts on that image."""
    if shared is None:
        return x
    return (x.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)  # n c h w


class TwoWayTransformer(nn.Module):
    """Tokens and image pixels attend to each other, a few times."""

    def __init__(self, width: int, *, depth: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads=heads, mlp=mlp, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(width, heads, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tokens,
        pixels: Float[Tensor, "m hw c"],
        pe: Float[Tensor, "1 hw c"],
        present: Bool[Tensor, "n t"] | None = None,
    ) -> tuple[Tokens, Float[Tensor, "n hw c"]]:
        """Give back the tokens, which now know the image, and the pixels, which now know the prompt."""
        prompts = tokens  # n t c, added again before every attention: where and what each token is
        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, prompts, pe, present)  # n t c, n hw c
        seen = self.final_attn_token_to_image(tokens + prompts, pixels + pe, pixels)  # n t c
        return self.norm_final_attn(tokens + seen), pixels  # n t c, n hw c


class TwoWayBlock(nn.Module):
    """Tokens look at each other, at the image, think; then the image looks at the tokens."""

    def __init__(self, width: int, *, heads: int, mlp: int, first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, width)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, width // 2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = FeedForward(width, mlp, nn.ReLU)
        self.norm3 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, width // 2)
        self.norm4 = nn.LayerNorm(width)
        self.first = first

    def forward(
        self, tokens: Tensor, pixels: Tensor, prompts: Tensor, pe: Tensor, present: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """One exchange; the very first self-attention replaces the tokens, which are still the prompts themselves."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens, present)  # n t c
        else:
            placed = tokens + prompts  # n t c
            tokens = tokens + self.self_attn(placed, placed, tokens, present)  # n t c
        tokens = self.norm1(tokens)  # n t c
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompts, pixels + pe, pixels))  # n t c
        tokens = self.norm3(tokens + self.mlp(tokens))  # n t c
        shown = self.cross_attn_image_to_token(pixels + pe, tokens + prompts, tokens, present)  # n hw c
        return tokens, self.norm4(pixels + shown)  # n t c, n hw c
