"""What a run begins with: a backbone that learned from ImageNet, and whatever fits of weights that are there."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from geosam.backbone import Backbone, read_backbone
from geosam.errors import WeightsError
from geosam.nano.network import NanoSam
from geosam.training.config import OptimiserOptions

FIXED_BLOCKS = 3
"""Blocks of the backbone, at strides 2 and 4, that stay as they were where its kernels do."""


def with_backbone(network: NanoSam, options: OptimiserOptions) -> None:
    """Load the backbone's published weights into a network that has one, and fix what is not to move."""
    for each in network.image_encoder.children():
        if isinstance(each, Backbone):
            each.load_state_dict(read_backbone().state_dict())
            if not options.backbone_kernels:
                fix_kernels(each)


def fix_kernels(backbone: Backbone) -> None:
    """Let the stem, the first blocks and all depthwise kernels stay: gradients there are slow, and gain little."""
    blocks = backbone.in_order()
    kernels: list[nn.Module] = [block.depthwise.conv for block in blocks]
    for each in (backbone.stem, *blocks[:FIXED_BLOCKS], *kernels):
        each.requires_grad_(requires_grad=False)


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read the parameters in a weights file.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"weights file {str(path)!r}: {error}", expected="a .safetensors to begin with") from error


@torch.no_grad()
def take_over(weights: Mapping[str, Tensor], network: nn.Module, prefix: str = "") -> list[str]:
    """Copy what has the same name, after a prefix, and shape; give the names of what else the network holds."""
    left = []
    for name, value in network.state_dict().items():
        given = weights.get(prefix + name)
        if given is not None and given.shape == value.shape:
            value.copy_(given)
        else:
            left.append(name)
    return left
