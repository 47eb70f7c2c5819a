"""How kernels lie in memory, and how many a processor keeps at hand."""

import os
from typing import TypeVar

import torch
from torch import nn

SHAPES = 16384
"""Shapes for which oneDNN keeps the arithmetic that it has laid out: training shows it others in every step; with its
own 1,024 a batch of the sharpener took 1.6 instead of 1.2 s. It is read once, when a network is first used."""

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(SHAPES))

Network = TypeVar("Network", bound=nn.Module)


def lay_out(network: Network, layout: torch.memory_format) -> Network:
    """Lay a network's kernels out in memory; channels last is what convolutions on a processor want.

    Examples
    --------
    >>> lay_out(nn.Conv2d(8, 8, 3), torch.channels_last).weight.stride()
    (72, 1, 24, 8)
    """
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
