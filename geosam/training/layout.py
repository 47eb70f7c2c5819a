"""How kernels lie in memory."""

from typing import TypeVar

import torch
from torch import nn

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
