"""Small networks of every family with random weights: the library's own classes, nothing published."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from geosam.adapters import FAMILIES, Adapter

SIDE, PATCH = 128, 16
WIDTH = 32
STAGES = [16, 32, 64, 128]

DECODER = {"hidden_size": WIDTH, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 32}
PROMPTS = {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": PATCH}
PYRAMID = {"fpn_hidden_size": WIDTH, "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]]}

VIT = {
    "hidden_size": 48,
    "output_channels": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": PATCH,
    "window_size": 3,
    "global_attn_indexes": [1, 2],
    "num_pos_feats": WIDTH // 2,
    "mlp_dim": 64,
}
HIERA = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 16,
    "image_size": [SIDE, SIDE],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": STAGES,
    "num_attention_heads_per_stage": [1, 2, 4, 8],
    "window_size_per_stage": [8, 4, 4, 2],
    "global_attention_blocks": [3],
    "window_positional_embedding_background_size": [4, 4],
}
PLAIN = {
    "model_type": "sam3_vit_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 112,
    "patch_size": 14,
    "window_size": 4,
    "global_attn_indexes": [1],
    "pretrain_image_size": 56,
}

SETTINGS = {
    "SamModel": ("SamConfig", {"vision_config": VIT, "mask_decoder_config": DECODER}),
    "SamHQModel": ("SamHQConfig", {"vision_config": VIT, "mask_decoder_config": DECODER | {"vit_dim": 48}}),
    "Sam2Model": (
        "Sam2Config",
        {
            "vision_config": PYRAMID | {"backbone_config": HIERA, "backbone_channel_list": STAGES[::-1]},
            "mask_decoder_config": DECODER,
        },
    ),
    "EdgeTamModel": (
        "EdgeTamConfig",
        {
            "vision_config": PYRAMID | {"backbone_config": HIERA, "backbone_channel_list": STAGES[::-1]},
            "mask_decoder_config": DECODER,
        },
    ),
    "Sam3TrackerModel": (
        "Sam3TrackerConfig",
        {
            "vision_config": PYRAMID | {"model_type": "sam3_vision_model", "backbone_config": PLAIN},
            "mask_decoder_config": DECODER,
            "prompt_encoder_config": PROMPTS | {"image_size": 112, "patch_size": 14},
        },
    ),
}


class Pyramid(nn.Module):
    """Stands for a backbone of `timm`, which needs `torchvision`: maps at strides of 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(3, channels, 1) for channels in STAGES)

    def forward(self, pixels: torch.Tensor, **_: object) -> SimpleNamespace:
        maps = [stage(functional.avg_pool2d(pixels, 4 * 2**n)) for n, stage in enumerate(self.stages)]
        return SimpleNamespace(last_hidden_state=maps, hidden_states=None)


def randomised(model: nn.Module) -> nn.Module:
    """Give every parameter a size at which the output depends on it."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim < 2:
                value.copy_(0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
            elif "embed" in name or "token" in name:
                value.copy_(0.5 * noise)
            elif "output_hypernetworks" in name and "proj_out" in name:
                value.copy_(4 * noise / np.sqrt(np.prod(value.shape[1:])))  # logits as large as real ones
            else:
                value.copy_(0.7 * noise / np.sqrt(np.prod(value.shape[1:])))
    return model.eval()


@pytest.fixture(scope="session")
def library():
    return pytest.importorskip("transformers", reason="other families need geosam[transformers]")


@pytest.fixture(scope="session")
def make_model(library):
    """A network of the library's, by the name of its class."""

    def make(name: str) -> nn.Module:
        config, parts = SETTINGS[name]
        settings = getattr(library, config)(**{"prompt_encoder_config": PROMPTS} | parts)
        if name != "EdgeTamModel":
            return randomised(getattr(library, name)(settings))
        from transformers.models.edgetam import modeling_edgetam as module

        def part(config: object) -> nn.Module:
            return library.AutoModel.from_config(config) if hasattr(config, "backbone_config") else Pyramid()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "AutoModel", SimpleNamespace(from_config=part))
            return randomised(library.EdgeTamModel(settings))

    return make


@pytest.fixture(scope="session", params=FAMILIES, ids=lambda family: family.kinds[0])
def adapter(request, make_model) -> Adapter:
    """An adapter of each family, small and random."""
    family = request.param
    return family(make_model(family.library), name=family.kinds[0], key=f"{family.kinds[0]}-small")


@pytest.fixture(scope="session")
def folder(make_model, tmp_path_factory):
    """A folder as Hugging Face lays it out, of a small random SAM 2."""
    path = tmp_path_factory.mktemp("hub") / "small"
    make_model("Sam2Model").save_pretrained(path)
    return path
