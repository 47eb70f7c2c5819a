"""Between the processor's memory and a graphics card's: few copies of many values, and as little waiting as can be.

What the processor hands over lies in memory that does not move (pinned), so that it goes on while the card fetches it;
what it takes back it waits for once. On a processor nothing is copied.
"""

import numpy as np
import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Bring a tensor of the processor's to a device, without waiting until it is there.

    Examples
    --------
    >>> here = torch.ones(3)
    >>> send(here, torch.device("cpu")) is here
    True
    """
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def fetch(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """Bring tensors of one device to the processor, all in one wait.

    Examples
    --------
    >>> ones, two = fetch(torch.ones(2), torch.tensor([2]))
    >>> ones.tolist(), two.tolist()
    ([1.0, 1.0], [2])
    """
    device = tensors[0].device
    if device.type != "cuda":
        return tuple(each.cpu().numpy() for each in tensors)
    here = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in tensors]
    for to, each in zip(here, tensors, strict=True):
        to.copy_(each, non_blocking=True)
    torch.cuda.current_stream(device).synchronize()
    return tuple(each.numpy() for each in here)
