"""SAM-HQ: Segment Anything with a further token that draws on the image encoder's early features.

After Ke et al. 2023, "Segment Anything in High Quality" (https://arxiv.org/abs/2306.01567).
"""

import re
from collections.abc import Mapping, Sequence
from threading import local
from typing import Any

from torch import Tensor, nn

from geosam.adapters.adapter import Adapter
from geosam.adapters.family import Published
from geosam.adapters.renaming import DECODER, HEADS, PROMPTS, renamed, shared_positions

_SOURCE = "ETH Zürich and HKUST, SAM-HQ (Ke et al. 2023)"

_NAMES = (
    *PROMPTS,
    *DECODER,
    *HEADS,
    (r"\bhf_token\b", "hq_token"),
    (r"\bhf_mlp\.layers\.0\b", "hq_mask_mlp.proj_in"),
    (r"\bhf_mlp\.layers\.1\b", "hq_mask_mlp.layers.0"),
    (r"\bhf_mlp\.layers\.2\b", "hq_mask_mlp.proj_out"),
    (r"\bcompress_vit_feat\.0\b", "compress_vit_conv1"),
    (r"\bcompress_vit_feat\.1\b", "compress_vit_norm"),
    (r"\bcompress_vit_feat\.3\b", "compress_vit_conv2"),
    (r"\bembedding_encoder\.0\b", "encoder_conv1"),
    (r"\bembedding_encoder\.1\b", "encoder_norm"),
    (r"\bembedding_encoder\.3\b", "encoder_conv2"),
    (r"\bembedding_maskfeature\.0\b", "mask_conv1"),
    (r"\bembedding_maskfeature\.1\b", "mask_norm"),
    (r"\bembedding_maskfeature\.3\b", "mask_conv2"),
    (r"^image_encoder\.blocks\b", "vision_encoder.layers"),
    (r"^image_encoder\b", "vision_encoder"),
    (r"\bneck\.0\b", "neck.conv1"),
    (r"\bneck\.1\b", "neck.layer_norm1"),
    (r"\bneck\.2\b", "neck.conv2"),
    (r"\bneck\.3\b", "neck.layer_norm2"),
    (r"\bpatch_embed\.proj\b", "patch_embed.projection"),
    (r"\.norm(\d)\b", r".layer_norm\1"),
)


class SamHqAdapter(Adapter):
    """SAM-HQ over `transformers.SamHQModel`.

    Its embedding has two maps: the image embedding, and the features of the first block with global attention.
    """

    library = "SamHQModel"
    kinds = ("sam_hq",)
    squash = False
    published = (
        Published("sam_hq_vit_b", "syscv-community/sam-hq-vit-base", 94_806_832, "Apache-2.0", _SOURCE),
        Published("sam_hq_vit_l", "syscv-community/sam-hq-vit-large", 313_676_336, "Apache-2.0", _SOURCE),
        Published("sam_hq_vit_h", "syscv-community/sam-hq-vit-huge", 642_686_256, "Apache-2.0", _SOURCE),
    )
    original = "mask_decoder.hf_token."

    def __init__(self, model: Any, **how: Any) -> None:
        super().__init__(model, **how)
        _draw_after_attention(self.model.mask_decoder)

    def embed(self, images: Tensor) -> Sequence[Tensor]:
        """The image embedding, and early features."""
        embedding, early = self.model.get_image_embeddings(images)
        return embedding, early[0].permute(0, 3, 1, 2)

    def unpack(self, features: Sequence[Tensor]) -> Mapping[str, Any]:
        """See `Adapter.unpack`."""
        embedding, early = features
        return {"image_embeddings": embedding, "intermediate_embeddings": [early.permute(0, 2, 3, 1)]}

    @classmethod
    def convert(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Bring ``sam_hq_vit_b.pth``, ``…l.pth`` and ``…h.pth`` to the library's names; ViT-Tiny has no way."""
        if "image_encoder.patch_embed.proj.weight" not in state:
            return None
        kept = {name: value for name, value in state.items() if name not in ("pixel_mean", "pixel_std")}
        return _configuration(state), shared_positions(renamed(kept, _NAMES))


def _draw_after_attention(decoder: Any) -> None:
    """Let a mask decoder draw on the image embedding as its transformer leaves it, as the authors' code does.

    The library (5.24 at least) drops that result and draws on what went into the transformer, with rows and columns
    exchanged; predicted IoUs are right. Where it is right already, this puts the same tensor in the same place.
    """
    seen = local()  # threads share the model

    def keep(_module: nn.Module, _given: Any, found: Any) -> None:
        seen.image = found[1]  # n 1 (h w) c

    def put(_module: nn.Module, given: Any) -> Any:
        image = seen.__dict__.pop("image")
        return (image.transpose(-1, -2).reshape(given[0].shape),)  # n c h w

    decoder.transformer.register_forward_hook(keep)
    decoder.upscale_conv1.register_forward_pre_hook(put)


def _configuration(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the sizes off the tensors' shapes."""
    shape = {name: tuple(value.shape) for name, value in state.items()}
    width, _, patch, _ = shape["image_encoder.patch_embed.proj.weight"]
    grid = shape["image_encoder.pos_embed"][1]
    found = [re.match(r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_h", name) for name in shape]
    reaches = {int(each[1]): shape[each[0]][0] // 2 + 1 for each in found if each}
    head = shape["image_encoder.blocks.0.attn.rel_pos_h"][1]
    channels = shape["mask_decoder.iou_token.weight"][1]
    return {
        "vision_config": {
            "hidden_size": width,
            "output_channels": channels,
            "num_hidden_layers": len(reaches),
            "num_attention_heads": width // head,
            "image_size": grid * patch,
            "patch_size": patch,
            "window_size": min(reaches.values()),
            "global_attn_indexes": [block for block, reach in sorted(reaches.items()) if reach == grid],
            "num_pos_feats": shape["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"][1],
            "mlp_dim": shape["image_encoder.blocks.0.mlp.lin1.weight"][0],
        },
        "prompt_encoder_config": {"hidden_size": channels, "image_size": grid * patch, "patch_size": patch},
        "mask_decoder_config": {
            "hidden_size": channels,
            "mlp_dim": shape["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            "iou_head_hidden_dim": shape["mask_decoder.iou_prediction_head.layers.0.weight"][0],
            "vit_dim": width,
        },
    }
