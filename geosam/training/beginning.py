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


def weights_in(path: Path) -> Mapping[str, Tensor]:
    """Parameters in a weights file; of a checkpoint their average, and those of the head of dense losses.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        states = torch.load(path, map_location="cpu", weights_only=True)["states"]
        return {**states["average"], **states["head"]}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{str(path)!r}: {error}", expected="weights or a checkpoint") from error
    except Exception as error:  # a damaged file raises almost anything
        raise WeightsError(
            f"checkpoint {str(path)!r}: {error}", expected="a whole checkpoint", hint="remove it"
        ) from error


@torch.no_grad()
def take_over(weights: Mapping[str, Tensor], *networks: nn.Module) -> list[str]:
    """Copy parameters of the same name and shape; give the names of the networks' others."""
    left = []
    for name, parameter in (each for network in networks for each in network.named_parameters()):
        given = weights.get(name)
        if given is not None and given.shape == parameter.shape:
            parameter.copy_(given)
        else:
            left.append(name)
    return left
