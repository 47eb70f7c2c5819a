"""From open_clip's parameter names to the library's: the files of RemoteCLIP, GeoRSCLIP and others trained with it.

Names and sizes are facts of the published files (Ilharco et al. 2021, "OpenCLIP"); of one that does not give exactly
the parameters of the library's model nothing is loaded.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from geosam.adapters.renaming import renamed

CONFIGURATION = "open_clip_config.json"
"""Settings beside weights, as open_clip's folders on Hugging Face hold them."""

PARTS = ((r"^visual\.(?!proj$)", "vision_model."), (r"^(positional_|token_|transformer|ln_final)", r"text_model.\1"))

NAMES = (
    *PARTS,
    (r"\.transformer\.resblocks\b", ".encoder.layers"),
    (r"\.ln_(1|2)\b", r".layer_norm\1"),
    (r"\.attn\b", ".self_attn"),
    (r"\.mlp\.c_fc\b", ".mlp.fc1"),
    (r"\.mlp\.c_proj\b", ".mlp.fc2"),
    (r"^vision_model\.conv1\b", "vision_model.embeddings.patch_embedding"),
    (r"^vision_model\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^(vision|text)_model\.positional_embedding$", r"\1_model.embeddings.position_embedding.weight"),
    (r"^vision_model\.ln_pre\b", "vision_model.pre_layrnorm"),
    (r"^vision_model\.ln_post\b", "vision_model.post_layernorm"),
    (r"^text_model\.token_embedding\b", "text_model.embeddings.token_embedding"),
    (r"^text_model\.ln_final\b", "text_model.final_layer_norm"),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^text_projection$", "text_projection.weight"),
)
"""Patterns and what becomes of them, in order."""

HEAD, MOST_HEADS = 64, 16
"""Numbers of a head; and the most heads of an image tower: the heads of ViT-H and larger ones are wider instead."""

QUICK = ("RS5M_ViT-B", "RS5M_ViT-L")
"""How the names of files begin whose towers have OpenAI's activation, ``x sigmoid(1.702 x)``, as their authors go on
from its weights; all others have the plain one, with which their authors load them."""


def configuration(state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Read the sizes off the tensors' shapes; None for an image tower that is no vision transformer."""
    shape = {name: tuple(value.shape) for name, value in state.items()}
    if (
        "visual.conv1.weight" not in shape
        or "visual.positional_embedding" not in shape
        or "text_projection" not in shape
    ):
        return None
    width, _, patch, _ = shape["visual.conv1.weight"]
    cells = shape["visual.positional_embedding"][0] - 1
    tokens, text_width = shape["token_embedding.weight"]
    return {
        "projection_dim": shape["text_projection"][1],
        "vision_config": {
            "hidden_size": width,
            "intermediate_size": shape["visual.transformer.resblocks.0.mlp.c_fc.weight"][0],
            "num_hidden_layers": _depth(state, "visual.transformer"),
            "num_attention_heads": min(MOST_HEADS, max(1, width // HEAD)),
            "image_size": round(cells**0.5) * patch,
            "patch_size": patch,
        },
        "text_config": {
            "vocab_size": tokens,
            "hidden_size": text_width,
            "intermediate_size": shape["transformer.resblocks.0.mlp.c_fc.weight"][0],
            "num_hidden_layers": _depth(state, "transformer"),
            "num_attention_heads": max(1, text_width // HEAD),
            "max_position_embeddings": shape["positional_embedding"][0],
            "bos_token_id": tokens - 2,
            "eos_token_id": tokens - 1,
            "pad_token_id": tokens - 1,
        },
    }


def to_library(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename, take queries, keys and values apart, and turn projections, which open_clip multiplies from the right."""
    found: dict[str, Tensor] = {}
    for name, value in renamed({name: each for name, each in state.items() if name != "attn_mask"}, NAMES).items():
        if ".in_proj_" in name:
            kind = name.rsplit("_", 1)[1]
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[name.replace(f"in_proj_{kind}", f"{part}_proj.{kind}")] = third.contiguous()
        elif name in ("visual_projection.weight", "text_projection.weight"):
            found[name] = value.T.contiguous()
        else:
            found[name] = value
    return {name: value.float() for name, value in found.items()}


def uses_quick_gelu(path: Path) -> bool:
    """Whether the towers of a file have OpenAI's activation, as settings beside it say, or else its name.

    Examples
    --------
    >>> uses_quick_gelu(Path("RemoteCLIP-ViT-B-32.pt")), uses_quick_gelu(Path("RS5M_ViT-B-32.pt"))
    (False, True)
    """
    try:
        said = json.loads((path.parent / CONFIGURATION).read_text(encoding="utf-8"))["model_cfg"]
        return bool(said.get("quick_gelu", False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return path.name.startswith(QUICK)


def _depth(state: Mapping[str, Tensor], tower: str) -> int:
    """Number of a tower's blocks."""
    found = {each[1] for name in state if (each := re.match(rf"{re.escape(tower)}\.resblocks\.(\d+)\.", name))}
    return len(found)
