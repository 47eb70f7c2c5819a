"""Segment Anything put together: `Sam` computes with tensors, `build` makes it of a `SamSpec`.

After Kirillov et al. 2023, "Segment Anything" (https://arxiv.org/abs/2304.02643).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from geosam.sam.blocks import FeatureMaps
from geosam.sam.image_encoder import VitEncoder
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.prompt_encoder import PromptEncoder
from geosam.sam.spec import STRIDE, SamSpec

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of red, green and blue over ImageNet, on the scale 0 to 255."""


def build(spec: SamSpec) -> "Sam":
    """Make the network of a published spec, with random weights."""
    encoder = VitEncoder(out=spec.width, side=spec.side, **spec.encoder_sizes)
    return Sam(encoder, PromptEncoder(spec.width), MaskDecoder(spec.width, **spec.decoder_sizes), spec)


class Sam(nn.Module):
    """The network: images to features once, features and prompts to masks as often as wanted.

    Attributes
    ----------
    position_side
        Pixels that the positional encoding takes as its unit; 0 for the input's own side.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    position_side: int = 0

    def __init__(
        self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, spec: SamSpec
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.spec = spec
        # on the CPU even where the parameters are laid out without storage, because no file fills these
        self.register_buffer("pixel_mean", torch.tensor(MEAN, device="cpu"), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(DEVIATION, device="cpu"), persistent=False)

    def normalise(self, pixels: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
        """Bring pixels of 0 to 255 to the scale that the encoder was trained on (ImageNet's mean and deviation)."""
        return (pixels - self.pixel_mean[:, None, None]) / self.pixel_std[:, None, None]  # b 3 h w

    def encode_images(self, images: Float[Tensor, "b 3 h w"]) -> FeatureMaps:
        """Embed normalised images whose sides are whole multiples of the stride."""
        return self.image_encoder(images)

    def decode(
        self,
        features: FeatureMaps,
        *,
        points: Float[Tensor, "n p 2"],
        labels: Int[Tensor, "n p"],
        boxes: Float[Tensor, "n 4"] | None = None,
        masks: Float[Tensor, "n mh mw"] | None = None,
        multimask: bool | None = True,
    ) -> tuple[Float[Tensor, "n k mh mw"], Float[Tensor, "n k"]]:
        """Answer ``n`` prompts, equally many on each of the images, in the images' order.

        Parameters
        ----------
        features
            Of ``b`` images; ``n`` is a multiple of ``b``.
        points, labels, boxes, masks
            As `PromptEncoder` takes them: pixels of the padded input; logits at a quarter of its sampling.
        multimask
            True for the three alternatives that answer an ambiguous prompt, False for the one that answers a clear
            prompt, None for all four, that one first.

        Returns
        -------
        logits, iou
            Mask logits at a quarter of the input's sampling, and the predicted IoU of each, not clipped.
        """
        gh, gw = features.coarse.shape[-2:]
        side = self.position_side or STRIDE * max(gh, gw)
        sparse, present, dense = self.prompt_encoder(points, labels, side=side, boxes=boxes, masks=masks)
        drawn, hints = self.draw(features, points, labels, boxes)  # n c gh gw, n l 4gh 4gw
        dense = dense if drawn is None else dense + drawn  # n c gh gw
        positions = self.prompt_encoder.pe_layer.grid(gh, gw, cells=side / STRIDE)  # c gh gw
        kept = (
            features.coarse.dtype
        )  # the maps stay as precise as the features, no more: half the traffic at half precision
        logits, iou = self.mask_decoder(
            features.coarse,
            positions.to(kept),
            sparse,
            present=present,
            dense=dense.to(kept),
            fine=features.fine,
            hints=hints,
        )  # n 4 4gh 4gw, n 4
        chosen = {True: slice(1, None), False: slice(0, 1), None: slice(None)}[multimask]
        return logits[:, chosen], iou[:, chosen]  # n k 4gh 4gw, n k

    def draw(
        self, features: FeatureMaps, points: Tensor, labels: Tensor, boxes: Tensor | None
    ) -> tuple[Float[Tensor, "n c gh gw"] | None, Float[Tensor, "n l mh mw"] | None]:
        """Maps of each prompt that join the image embedding, and such that join the upscaling; SAM has none."""
        return None, None
