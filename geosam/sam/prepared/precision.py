"""What this machine computes quickly, found out by asking it."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


def quick_dtype(device: torch.device) -> torch.dtype:
    """The precision in which a device is quickest at little loss: bfloat16 where it has instructions for it.

    Half precision (float16) is never quick on a processor, and overflows in large transformers.

    Examples
    --------
    >>> quick_dtype(torch.device("cpu")) in (torch.bfloat16, torch.float32)
    True
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # private questions of PyTorch: without them there is no answer, and float32 is right everywhere
        asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
        has = device.type == "cpu" and any(ask is not None and ask() for ask in asked)
    return torch.bfloat16 if has else torch.float32


class Linear:
    """A linear layer with its weights laid out once for the precision it computes in, perhaps followed by a GELU.

    Parameters
    ----------
    weight, bias
        Of the layer, ``out in`` and ``out``.
    dtype
        Precision of the arithmetic; inputs are brought to it, and outputs have it.
    gelu
        Whether a GELU follows.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype, *, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight.detach().to(dtype), bias.detach().to(dtype), gelu
        self.packed = weight.device.type == "cpu" and has_packed_linear(dtype)
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, PACKED_ROWS)

    @classmethod
    def of(cls, linear: nn.Linear, dtype: torch.dtype, *, gelu: bool = False) -> "Linear":
        """The layer of a module."""
        return cls(linear.weight, linear.bias, dtype, gelu=gelu)

    def __call__(self, x: Tensor) -> Tensor:
        """Project, and bend if wanted: ``... in`` to ``... out``."""
        x = x.to(self.bias.dtype)
        if self.packed:
            return packed(x, self.weight, self.bias, gelu=self.gelu)
        x = functional.linear(x, self.weight, self.bias)
        return functional.gelu(x) if self.gelu else x


PACKED_ROWS = 512
"""Rows for which packed weights are laid out; any number can be multiplied."""


def packed(x: Tensor, weight: Tensor, bias: Tensor, *, gelu: bool) -> Tensor:
    """Multiply by packed weights: a private operator of PyTorch's, see `has_packed_linear`."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none" if gelu else "")


@cache
def has_packed_linear(dtype: torch.dtype) -> bool:
    """Whether this PyTorch multiplies by packed weights of this precision, and rightly.

    In float32 that is about a quarter quicker than a plain product on processors with AVX-512, the same elsewhere.
    """
    x, weight, bias = (torch.linspace(-1, 1, n).to(dtype) for n in (64 * 32, 48 * 32, 48))
    x, weight = x.reshape(64, 32), weight.reshape(48, 32)
    try:
        found = packed(x, torch.ops.mkldnn._reorder_linear_weight(weight, len(x)), bias, gelu=True)
    except (RuntimeError, AttributeError, NotImplementedError):  # a build without the operator: plain products do
        return False
    wanted = functional.gelu(functional.linear(x.float(), weight.float(), bias.float()))
    close = 1e-5 if dtype == torch.float32 else 0.05
    return bool(torch.allclose(found.float(), wanted.float(), rtol=close, atol=close))
