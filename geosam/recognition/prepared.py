"""The backbone as it is run: batch norms folded, channels last, in the precision that this machine computes quickly.

Folding and layout follow PyTorch's own advice for inference on processors. Where PyTorch has oneDNN's fused operators
ReLU6 and residual sums are done while a convolution's result is still in the cache; they are private, so that they are
asked once whether they are there and right, and plain operators stand in where they are not.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from geosam.recognition.backbone import MEAN, SCALE, Backbone, Block, ConvNorm, last_blocks

LARGEST = 6.0
"""Where ReLU6 ends."""


class PreparedBackbone:
    """A backbone laid out for inference on a processor; its functions are those of the module.

    Parameters
    ----------
    backbone
        With its weights loaded.
    dtype
        Precision of the arithmetic.

    Examples
    --------
    >>> backbone, pixels = Backbone().eval(), torch.full((1, 3, 64, 64), 90, dtype=torch.uint8)
    >>> maps = PreparedBackbone(backbone, torch.float32)(pixels)
    >>> all(torch.allclose(a, b, atol=1e-4) for a, b in zip(maps, backbone(pixels)))
    True
    """

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        self.dtype = dtype
        phases = iter(backbone.phases)
        self.stem = _Conv(backbone.stem, dtype, next(phases), bend=True)
        self.blocks = [
            _PreparedBlock(block, dtype, next(phases) if block.halves else 0) for block in backbone.in_order()
        ]

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Maps of 8-bit pixels, as those of `Backbone`, in float32."""
        x = ((pixels.float() - MEAN) / SCALE).to(self.dtype)  # b 3 h w
        x = self.stem(x.contiguous(memory_format=torch.channels_last))  # b 32 h/2 w/2
        maps, last = [], last_blocks()
        for number, block in enumerate(self.blocks):
            x = block(x)  # b c h/s w/s
            if number in last:
                maps.append(x.float())
        return tuple(maps)


class _PreparedBlock:
    """A `Block` of folded convolutions."""

    def __init__(self, block: Block, dtype: torch.dtype, phase: int) -> None:
        self.expand = None if block.expand is None else _Conv(block.expand, dtype, bend=True)
        self.depthwise = _Conv(block.depthwise, dtype, phase, bend=True)
        self.project = _Conv(block.project, dtype)
        self.is_residual = block.is_residual

    def __call__(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else self.expand(x)
        return self.project(self.depthwise(wide), x if self.is_residual else None)


class _Conv:
    """A convolution with its batch norm folded into it, perhaps followed by ReLU6 or a sum."""

    def __init__(self, layer: ConvNorm, dtype: torch.dtype, phase: int = 0, *, bend: bool = False) -> None:
        weight, bias = folded(layer)
        conv = layer.conv
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias, self.groups, self.bend = bias.to(dtype), conv.groups, bend
        self.stride, self.reach, self.phase = conv.stride[0], conv.kernel_size[0] // 2, phase
        self.fused = has_fused(dtype)

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        reach = self.reach
        if self.phase:  # zeros on one side more than on the other, which oneDNN's operators cannot do by themselves
            x = functional.pad(x, (reach - 1, reach) * 2).contiguous(memory_format=torch.channels_last)
            reach = 0
        if self.fused:
            return fused(x, self.weight, self.bias, how=(reach, self.stride, self.groups), bend=self.bend, added=added)
        x = functional.conv2d(x, self.weight, self.bias, self.stride, reach, 1, self.groups)
        if self.bend:
            functional.hardtanh_(x, 0.0, LARGEST)
        return x if added is None else x.add_(added)


def folded(layer: ConvNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does what a convolution and its batch norm do.

    Examples
    --------
    >>> layer = ConvNorm(2, 3).eval()
    >>> weight, bias = folded(layer)
    >>> x = torch.ones(1, 2, 4, 4)
    >>> bool(torch.allclose(functional.conv2d(x, weight, bias), layer(x)))
    True
    """
    norm = layer.norm
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a batch norm without running statistics cannot be folded")
    gain = norm.weight.detach().double() / (variance.double() + norm.eps).sqrt()  # channels
    weight = layer.conv.weight.detach().double() * gain[:, None, None, None]
    return weight.float(), (norm.bias.detach().double() - mean.double() * gain).float()


def fused(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    how: tuple[int, int, int],
    bend: bool = False,
    added: Tensor | None = None,
) -> Tensor:
    """Convolve and bend, or convolve and add, in one operator; ``how`` is padding, stride and groups."""
    pad, stride, groups = how
    shape = ([pad, pad], [stride, stride], [1, 1], groups)
    operators = torch.ops.mkldnn._convolution_pointwise
    if added is not None:
        return operators.binary(x, added, weight, bias, *shape, "add", 1.0, None, [], None)
    return operators(x, weight, bias, *shape, "hardtanh" if bend else "none", [0.0, LARGEST] if bend else [], "")


@cache
def has_fused(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has oneDNN's fused convolutions in a precision, and they are right."""
    x, weight = torch.linspace(-9, 9, 8 * 36).reshape(1, 8, 6, 6), torch.linspace(-1, 1, 8 * 9).reshape(8, 1, 3, 3)
    x, weight = (each.to(dtype).contiguous(memory_format=torch.channels_last) for each in (x, weight))
    bias = torch.ones(8, dtype=dtype)
    try:
        bent = fused(x, weight, bias, how=(1, 2, 8), bend=True)
        summed = fused(x, weight, bias, how=(1, 1, 8), added=x)
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):  # another build, or another signature
        return False
    plain = functional.conv2d(x.float(), weight.float(), bias.float(), padding=1, groups=8)
    close = 1e-5 if dtype == torch.float32 else 0.1
    wanted = (functional.relu6(plain[..., ::2, ::2]), plain + x.float())
    return all(
        torch.allclose(a.float(), b, atol=close, rtol=close) for a, b in zip((bent, summed), wanted, strict=True)
    )


def quick_dtype() -> torch.dtype:
    """Precision in which this processor is quickest at little loss: bfloat16 where it has instructions for it.

    Examples
    --------
    >>> quick_dtype() in (torch.bfloat16, torch.float32)
    True
    """
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return torch.bfloat16 if any(ask is not None and ask() for ask in asked) else torch.float32
