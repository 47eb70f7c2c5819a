"""Segment Anything put together: `Sam` computes with tensors, `build` makes it of a `SamSpec`.

After Kirillov et al. 2023, "Segment Anything" (https://arxiv.org/abs/2304.02643).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.blocks import FeatureMaps
from geosam.sam.image_encoder.conv import ConvEncoder
from geosam.sam.image_encoder.vit import VitEncoder
from geosam.sam.likeness import CHANNELS as LIKENESS_CHANNELS
from geosam.sam.likeness import Likeness
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.mask_judge import MaskJudge
from geosam.sam.mask_sharpener import MaskSharpener
from geosam.sam.prompt_encoder import PromptEncoder
from geosam.sam.prompt_map import PromptMap
from geosam.sam.spec import STRIDE, SamSpec

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of red, green and blue over ImageNet, on the scale 0 to 255."""


def build(spec: SamSpec) -> "Sam":
    """Make the network of a spec, with random weights."""
    if spec.encoder == "vit":
        encoder = VitEncoder(out=spec.width, side=spec.side, **spec.encoder_sizes)
    else:
        encoder = ConvEncoder(out=spec.width, **spec.encoder_sizes)
    fine = encoder_fine(spec)
    hints = LIKENESS_CHANNELS if spec.drawn else 0
    decoder = MaskDecoder(spec.width, fine_channels=fine, hint_channels=hints, **spec.decoder_sizes)
    return Sam(encoder, PromptEncoder(spec.width), decoder, spec)


def encoder_fine(spec: SamSpec) -> tuple[int, ...]:
    """Channels of the encoder's finer features, the coarser first; none for a transformer."""
    return tuple(spec.encoder_sizes.get("fine_channels", ()))


class Sam(nn.Module):
    """The network: images to features once, features and prompts to masks as often as wanted."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, image_encoder: nn.Module, prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, spec: SamSpec
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.spec = spec
        self.prompt_map = PromptMap(spec.width, stride=STRIDE) if spec.drawn else None
        self.likeness = Likeness() if spec.drawn else None
        self.likeness_map = nn.Conv2d(LIKENESS_CHANNELS, spec.width, 1) if spec.drawn else None
        self.mask_judge = MaskJudge() if spec.judged else None
        self.mask_sharpener = MaskSharpener(encoder_fine(spec)[-1], spec.width) if spec.sharpened else None
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
        side = self.spec.position_side or STRIDE * max(gh, gw)
        sparse, present, dense = self.prompt_encoder(points, labels, side=side, boxes=boxes, masks=masks)
        hints = None
        if self.prompt_map is not None and self.likeness is not None and self.likeness_map is not None:
            hints = self.likeness(features.fine[-1], points, labels, boxes=boxes)  # n l 4gh 4gw
            drawn = self.prompt_map(points, labels, grid=(gh, gw), boxes=boxes)  # n c gh gw
            dense = dense + drawn + self.likeness_map(functional.avg_pool2d(hints, 4))  # n c gh gw
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
