"""The backbone as it is run: batch norms folded, channels last, in the precision that this machine computes quickly.

Folding and layout follow PyTorch's own advice for inference on processors. Where PyTorch has oneDNN's fused operators
ReLU6 and residual sums are done while a convolution's result is still in the cache; they are private, so that they are
asked once whether they are there and right, and plain operators stand in where they are not.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from geosam.backbone.network import MEAN, SCALE, Backbone, Block, ConvNorm, last_blocks

LARGEST = 6.0
"""Where ReLU6 ends."""


STRIPS = ((0, 3), (3, 5))
"""Blocks, first and last plus one, that are run strip by strip: those at strides 2 to 4 and 4 to 8.

Their widened maps take up to 100 MB in one piece, for which fresh memory is asked of the system each time, by pages;
those of a strip stay in the cache.
"""

STRIP_ROWS = 16
"""Rows of a strip's output; the rows around it that are computed twice are a fifth of that."""


class Part(NamedTuple):
    """Some rows of a map: ``1 c rows w``, the first of them, and how many rows the whole map has."""

    x: Tensor
    first: int
    height: int

    def rows(self, first: int, stop: int) -> Tensor:
        """Some of the rows; where pixels lie side by side with their channels these are one piece of memory."""
        return self.x[:, :, first - self.first : stop - self.first]


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
        return self.maps((pixels.float() - MEAN) / SCALE)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The same maps of pixels ``1 3 h w`` that are on the network's own scale already."""
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)  # 1 3 h w
        maps: dict[int, Tensor] = {}
        for first, stop in STRIPS:
            run: list[_Runs] = [self.stem] if first == 0 else []
            x = maps[stop - 1] = in_strips(x, [*run, *self.blocks[first:stop]])  # 1 c h/s w/s
        for number, block in enumerate(self.blocks[STRIPS[-1][1] :], STRIPS[-1][1]):
            x = maps[number] = block(Part(x, 0, x.shape[2]), 0, -(-x.shape[2] // block.stride)).x  # 1 c h/s w/s
        return tuple(maps[number].float() for number in last_blocks())


@runtime_checkable
class _Runs(Protocol):
    """A layer or block that can run on some rows of a map."""

    stride: int

    def needed(self, first: int, stop: int) -> tuple[int, int]:
        """Rows of the input, perhaps beyond its ends, that some rows of the output depend on."""
        ...

    def __call__(self, part: Part, first: int, stop: int) -> Part:
        """Run on what is there of a map; give some rows of the output."""
        ...


def in_strips(x: Tensor, steps: Sequence[_Runs]) -> Tensor:
    """Run layers on a map strip by strip: the result is that of running them on the whole map."""
    heights = [x.shape[2]]
    for step in steps:
        heights.append(heights[-1] // step.stride)
    strips = []
    for top in range(0, heights[-1], STRIP_ROWS):
        wanted = [(top, min(top + STRIP_ROWS, heights[-1]))]
        for step, height in zip(reversed(steps), reversed(heights[:-1]), strict=True):
            first, stop = step.needed(*wanted[0])
            wanted.insert(0, (max(first, 0), min(stop, height)))
        part = Part(x, 0, heights[0])
        for step, rows in zip(steps, wanted[1:], strict=True):
            part = step(part, *rows)
        strips.append(part.x)
    return torch.cat(strips, 2)


class _PreparedBlock:
    """A `Block` of folded convolutions."""

    def __init__(self, block: Block, dtype: torch.dtype, phase: int) -> None:
        self.expand = None if block.expand is None else _Conv(block.expand, dtype, bend=True)
        self.depthwise = _Conv(block.depthwise, dtype, phase, bend=True)
        self.project = _Conv(block.project, dtype)
        self.is_residual, self.stride = block.is_residual, self.depthwise.stride

    def needed(self, first: int, stop: int) -> tuple[int, int]:
        """Rows of the input, perhaps beyond its ends, that some rows of the output depend on."""
        return self.depthwise.needed(first, stop)

    def __call__(self, part: Part, first: int, stop: int) -> Part:
        """Run on what is there of a map; give some rows of the output."""
        low, high = self.needed(first, stop)
        low, high = max(low, 0), min(high, part.height)
        wide = part if self.expand is None else self.expand(part, low, high)
        wide = self.depthwise(wide, first, stop)
        return self.project(wide, first, stop, part.rows(first, stop) if self.is_residual else None)


class _Conv:
    """A convolution with its batch norm folded into it, perhaps followed by ReLU6 or a sum."""

    def __init__(self, layer: ConvNorm, dtype: torch.dtype, phase: int = 0, *, bend: bool = False) -> None:
        weight, bias = (each.detach().float() for each in layer.folded(torch.float64))
        conv = layer.conv
        self.weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias, self.groups, self.bend = bias.to(dtype), conv.groups, bend
        self.stride, self.reach, self.phase = conv.stride[0], conv.kernel_size[0] // 2, phase
        self.fused = has_fused(dtype)

    def needed(self, first: int, stop: int) -> tuple[int, int]:
        """Rows of the input, perhaps beyond its ends, that some rows of the output depend on."""
        low, high = first * self.stride, (stop - 1) * self.stride + 1
        return low + self.phase - self.reach, high + self.phase + self.reach

    def __call__(self, part: Part, first: int, stop: int, added: Tensor | None = None) -> Part:
        """Run on what is there of a map; give some rows of the output."""
        low, high = self.needed(first, stop)
        above, below = max(-low, 0), max(high - part.height, 0)
        x, pad = part.rows(max(low, 0), min(high, part.height)), (self.reach, self.reach)
        if above != self.reach or below != self.reach or self.phase:  # not the whole map: rows are there, or added
            aside = (self.reach - 1, self.reach) if self.phase else (0, 0)
            if above or below or self.phase:
                x = functional.pad(x, (*aside, above, below)).contiguous(memory_format=torch.channels_last)
            pad = (0, 0 if self.phase else self.reach)
        return Part(self._convolved(x, pad, added), first, part.height // self.stride)

    def _convolved(self, x: Tensor, pad: tuple[int, int], added: Tensor | None) -> Tensor:
        if self.fused:
            how = (pad, self.stride, self.groups)
            return fused(x, self.weight, self.bias, how=how, bend=self.bend, added=added)
        x = functional.conv2d(x, self.weight, self.bias, self.stride, pad, 1, self.groups)
        if self.bend:
            functional.hardtanh_(x, 0.0, LARGEST)
        return x if added is None else x.add_(added)


def fused(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    how: tuple[tuple[int, int], int, int],
    bend: bool = False,
    added: Tensor | None = None,
) -> Tensor:
    """Convolve and bend, or convolve and add, in one operator; ``how`` is padding, stride and groups."""
    pad, stride, groups = how
    shape = (list(pad), [stride, stride], [1, 1], groups)
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
        bent = fused(x, weight, bias, how=((1, 1), 2, 8), bend=True)
        summed = fused(x, weight, bias, how=((1, 1), 1, 8), added=x)
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):  # another build, or another signature
        return False
    with torch.autocast("cpu", enabled=False):
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
