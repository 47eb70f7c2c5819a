"""Networks with weights that follow from a formula (``reference/README.md``), so that no checkpoint is needed."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from geosam.models import build, to_predictor
from geosam.nano.spec import NanoSpec
from geosam.sam.model import Predictor, Sam, SamSpec

REFERENCE = Path(__file__).parent / "reference"

WIDE = (
    "rel_pos",
    "pos_embed",
    "iou_token",
    "mask_tokens",
    "point_embeddings",
    "not_a_point_embed",
    "no_mask_embed",
    "gaussian_matrix",
)


def weight(name: str, shape: list[int]) -> torch.Tensor:
    x = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape).astype(np.float32)
    if name.endswith(".bias"):
        x = 0.02 * x
    elif any(part in name for part in WIDE):
        pass
    elif len(shape) == 1:
        x = 1 + 0.1 * x
    else:
        x = x / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(x.astype(np.float32))


@pytest.fixture(scope="session")
def layouts() -> dict:
    return json.loads((REFERENCE / "sam_parameters.json").read_text())


@pytest.fixture(scope="session")
def make_reference(layouts):
    def make(name: str) -> Sam:
        layout = layouts[name]
        sizes = {
            "width": layout["embed_dim"],
            "depth": layout["depth"],
            "heads": layout["heads"],
            "global_blocks": tuple(layout["global_attention"]),
        }
        with torch.device("meta"):
            sam = build(SamSpec(name, "vit", sizes, side=layout["image_size"]))
        state = {key: weight(key, shape) for key, shape in layout["parameters"].items()}
        sam.load_state_dict(state, strict=True, assign=True)
        return sam.eval().requires_grad_(requires_grad=False)

    return make


@pytest.fixture(scope="session")
def tiny(make_reference) -> Sam:
    """The published code's layout, small: a transformer that needs images of exactly 256 pixels."""
    return make_reference("tiny")


@pytest.fixture(scope="session")
def small() -> Sam:
    """The layout of the built-in model, small: convolutions that take any side; prompts are drawn as well."""
    sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    sam = build(
        NanoSpec(
            "small",
            "conv",
            sizes,
            side=128,
            width=32,
            decoder_sizes={"mlp": 32, "heads": 4, "iou_hidden": 16},
            drawn=True,
            position_side=512,
        )
    )
    state = {key: weight(key, list(value.shape)) for key, value in sam.state_dict().items()}
    sam.load_state_dict(state, strict=True)
    return sam.eval().requires_grad_(requires_grad=False)


@pytest.fixture(params=["tiny", "small"], scope="session")
def predictor(request) -> Predictor:
    return to_predictor(request.getfixturevalue(request.param), f"{request.param}-000000000000")
