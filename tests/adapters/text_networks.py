"""Small networks of every family that reads words, random, in folders as Hugging Face lays them out."""

import importlib
import json
from pathlib import Path

import torch
from torch import nn

from geosam.adapters.vocabulary import packed_pairs

MERGES = [
    ("a", "t"),
    ("r", "o"),
    ("ro", "o"),
    ("roo", "f</w>"),
    ("c", "a"),
    ("ca", "r</w>"),
    ("p", "o"),
    ("o", "l</w>"),
]
PAIRS = packed_pairs(MERGES)

PIECES = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES += [f"[unused{n}]" for n in range(len(PIECES), 1012)]
PIECES += [".", *"abcdefghijklmnop", "?", *"qrstuvwxyz", *(f"##{each}" for each in "abcdefghijklmnopqrstuvwxyz")]
PIECES += ["car", "##pet", "roof", "pool", "solar", "panel"]
assert (PIECES[101], PIECES[1012], PIECES[1029]) == ("[CLS]", ".", "?")  # which GroundingDINO takes for granted

TEXT = {"vocab_size": len(PAIRS), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
TEXT |= {"num_attention_heads": 2, "eos_token_id": len(PAIRS) - 1, "bos_token_id": len(PAIRS) - 2}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}

BACKBONE = {"model_type": "swin", "image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
BACKBONE |= {"window_size": 4, "out_indices": [2, 3, 4]}
BERT = {"model_type": "bert", "vocab_size": len(PIECES), "hidden_size": 16, "num_hidden_layers": 1}
BERT |= {"num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 256}

PART = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
VIT = {"model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
VIT |= {"num_attention_heads": 4, "image_size": 112, "patch_size": 14, "window_size": 4, "global_attn_indexes": [1]}
VIT |= {"pretrain_image_size": 56}

SETTINGS = {
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {
            "projection_dim": 24,
            "text_config": TEXT | {"max_position_embeddings": 32},
            "vision_config": VISION | {"image_size": 64, "patch_size": 16},
        },
    ),
    "grounding-dino": (
        "GroundingDinoForObjectDetection",
        "GroundingDinoConfig",
        {
            "backbone_config": BACKBONE,
            "text_config": BERT,
            "d_model": 32,
            "num_queries": 20,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_text_len": 64,
        },
    ),
    "owlv2": (
        "Owlv2ForObjectDetection",
        "Owlv2Config",
        {
            "projection_dim": 32,
            "text_config": TEXT | {"max_position_embeddings": 24, "pad_token_id": 0},
            "vision_config": VISION | {"image_size": 96, "patch_size": 16},
        },
    ),
    "sam3": (
        "models.sam3.modeling_sam3.Sam3Model",
        "Sam3Config",
        {
            "vision_config": {
                "model_type": "sam3_vision_model",
                "backbone_config": VIT,
                "fpn_hidden_size": 32,
                "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            },
            "text_config": TEXT
            | {"model_type": "clip_text_model", "max_position_embeddings": 32, "projection_dim": 24},
            "geometry_encoder_config": PART,
            "detr_encoder_config": PART,
            "detr_decoder_config": PART | {"num_queries": 12},
            "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
        },
    ),
}
SETTINGS["mm-grounding-dino"] = (
    "MMGroundingDinoForObjectDetection",
    "MMGroundingDinoConfig",
    SETTINGS["grounding-dino"][2],
)


def write_pairs(folder: Path) -> None:
    """CLIP's vocabulary, with a few merges."""
    (folder / "vocab.json").write_text(json.dumps(PAIRS))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, MERGES)]) + "\n")


def write_vocabulary(kind: str, folder: Path) -> None:
    """What lies beside weights: a vocabulary, and how pictures are resampled."""
    if kind.endswith("grounding-dino"):
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
        size = {"size": {"shortest_edge": 96, "longest_edge": 160}}
        (folder / "preprocessor_config.json").write_text(json.dumps(size))
    else:
        write_pairs(folder)


def tame(model: nn.Module) -> nn.Module:
    """Boxes near the places that propose them, as trained networks draw them, and so large that some overlap."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "bbox_embed" in name and ".layers.2." in name:
                value.mul_(0.05)
            if name == "box_head.dense2.bias":
                value[2:] += 1
    return model


def model_of(kind: str) -> nn.Module:
    """A network of the library's with random weights."""
    import transformers

    name, settings, values = SETTINGS[kind]
    module, _, last = name.rpartition(".")
    found = importlib.import_module(f"transformers.{module}") if module else transformers
    return getattr(found, last)(getattr(transformers, settings)(**values))
