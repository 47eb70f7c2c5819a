"""SAM 2 and 2.1 on single images: a hierarchical encoder whose finer features help the decoder draw.

After Ravi et al. 2024, "SAM 2: Segment Anything in Images and Videos" (https://arxiv.org/abs/2408.00714). Its memory of
earlier frames is left out: a window stands alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from geosam.adapters.adapter import Adapter
from geosam.adapters.family import Published
from geosam.adapters.renaming import DECODER, HEADS, PROMPTS, renamed, shared_positions

_SOURCE = "Meta AI, SAM 2.1 (Ravi et al. 2024)"

_NAMES = (
    (r"^sam_prompt_encoder\b", "prompt_encoder"),
    (r"^sam_mask_decoder\b", "mask_decoder"),
    *PROMPTS,
    *DECODER,
    *HEADS,
    (r"^no_mem_embed\b", "no_memory_embedding"),
    (r"^image_encoder\.trunk\b", "vision_encoder.backbone"),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\b", r"vision_encoder.neck.convs.\1"),
    (r"\bpatch_embed\.proj\b", "patch_embed.projection"),
    (r"\bmlp\.layers\.0\b", "mlp.proj_in"),
    (r"\bmlp\.layers\.1\b", "mlp.proj_out"),
    (r"\bout_proj\b", "o_proj"),
    (r"\.norm(\d)\b", r".layer_norm\1"),
)

_PARTS = ("sam_prompt_encoder.", "sam_mask_decoder.", "image_encoder.", "no_mem_embed")
"""How the names begin of those parameters that a single image needs."""

_SIZES: dict[tuple[int, int], dict[str, Any]] = {
    (96, 12): {"heads": 1, "blocks": [1, 2, 7, 2], "across": [5, 7, 9]},
    (96, 16): {"heads": 1, "blocks": [1, 2, 11, 2], "across": [7, 10, 13]},
    (112, 24): {"heads": 2, "blocks": [2, 3, 16, 3], "across": [12, 16, 20], "background": [14, 14]},
    (144, 48): {"heads": 2, "blocks": [2, 6, 36, 4], "across": [23, 33, 43], "windows": [8, 4, 16, 8]},
}
"""Tiny, small, base plus and large, by the first stage's channels and the number of blocks."""


class Sam2Adapter(Adapter):
    """SAM 2 and 2.1 over `transformers.Sam2Model`; its embedding has three maps, each twice as fine as the last."""

    library = "Sam2Model"
    kinds = ("sam2", "sam2_video")
    squash = True
    published = (
        Published("sam2.1_tiny", "facebook/sam2.1-hiera-tiny", 31_440_721, "Apache-2.0", _SOURCE),
        Published("sam2.1_small", "facebook/sam2.1-hiera-small", 38_538_577, "Apache-2.0", _SOURCE),
        Published("sam2.1_base_plus", "facebook/sam2.1-hiera-base-plus", 73_328_401, "Apache-2.0", _SOURCE),
        Published("sam2.1_large", "facebook/sam2.1-hiera-large", 216_924_865, "Apache-2.0", _SOURCE),
    )
    original = "image_encoder.trunk.blocks."

    def embed(self, images: Tensor) -> Sequence[Tensor]:
        """The image embedding, then two finer maps."""
        return self.model.get_image_embeddings(images)[::-1]

    def unpack(self, features: Sequence[Tensor]) -> Mapping[str, Any]:
        """See `Adapter.unpack`."""
        return {"image_embeddings": list(features)[::-1]}

    @classmethod
    def convert(cls, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Bring ``sam2.1_hiera_*.pt`` and ``sam2_hiera_*.pt`` to the library's names."""
        width = state["image_encoder.trunk.patch_embed.proj.weight"].shape[0]
        depth = len({name.split(".")[3] for name in state if name.startswith(cls.original)})
        if (width, depth) not in _SIZES:
            return None
        named = renamed({name: value for name, value in state.items() if name.startswith(_PARTS)}, _NAMES)
        kinds = [named.pop(f"prompt_encoder.point_embed.{kind}.weight") for kind in range(4)]
        named["prompt_encoder.point_embed.weight"] = torch.cat(kinds)
        return _configuration(width, **_SIZES[width, depth]), shared_positions(named)


def _configuration(
    width: int,
    *,
    heads: int,
    blocks: list[int],
    across: list[int],
    background: Sequence[int] = (7, 7),
    windows: Sequence[int] = (8, 4, 14, 7),
) -> dict[str, Any]:
    """What differs between the sizes; ``across`` are the blocks with global attention."""
    widths = [width * 2**stage for stage in range(4)]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": width,
        "num_attention_heads": heads,
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [heads * 2**stage for stage in range(4)],
        "blocks_per_stage": blocks,
        "global_attention_blocks": across,
        "window_positional_embedding_background_size": list(background),
        "window_size_per_stage": list(windows),
    }
    return {"vision_config": {"backbone_config": backbone, "backbone_channel_list": widths[::-1]}}
