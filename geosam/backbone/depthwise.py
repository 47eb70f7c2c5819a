"""A depthwise convolution that can be learned through on a processor.

PyTorch's own gradient of one takes seconds for a batch. That of the input is a depthwise convolution itself, of the
gradient spread out by the stride, with the kernel turned; that of the kernel is a product and a sum for each of its
places. Both are here written so.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Depthwise(torch.autograd.Function):
    """``x``, *b c h w*, with a kernel, *c 1 k k*, at a stride and without padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        """See `depthwise`."""
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return functional.conv2d(x, weight, bias, stride, 0, 1, len(weight))  # b c oh ow

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the input, the kernel and the bias, as far as they are wanted."""
        x, weight = ctx.saved_tensors
        (wanted_x, wanted_weight, wanted_bias, _), (gradient,) = ctx.needs_input_grad, gradients
        gradient = gradient.contiguous(memory_format=torch.channels_last)  # b c oh ow
        of_x = _of_input(gradient, weight, x.shape, ctx.stride) if wanted_x else None
        of_weight = _of_kernel(gradient, x, weight, ctx.stride) if wanted_weight else None
        return of_x, of_weight, gradient.sum((0, 2, 3)) if wanted_bias else None, None


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """Convolve each channel of ``x``, *b c h w*, with its own kernel, *c 1 k k*; nothing is added around.

    Examples
    --------
    >>> x, weight = torch.rand(2, 3, 9, 9, requires_grad=True), torch.rand(3, 1, 5, 5)
    >>> quick = torch.autograd.grad(depthwise(x, weight, torch.zeros(3), 2).square().sum(), x)[0]
    >>> plain = torch.autograd.grad(functional.conv2d(x, weight, None, 2, 0, 1, 3).square().sum(), x)[0]
    >>> bool(torch.allclose(quick, plain, atol=1e-4))
    True
    """
    return Depthwise.apply(x, weight.to(x.dtype), bias.to(x.dtype), stride)  # pyright: ignore[reportReturnType]


def _of_input(gradient: Tensor, weight: Tensor, shape: torch.Size, stride: int) -> Tensor:
    b, c, oh, ow = gradient.shape
    reach = weight.shape[-1] - 1
    spread = gradient
    if stride > 1:
        spread = gradient.new_zeros((b, c, (oh - 1) * stride + 1, (ow - 1) * stride + 1))
        spread = spread.contiguous(memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = gradient
    found = functional.conv2d(spread, weight.flip(-2, -1), None, 1, reach, 1, c)  # b c h w, or a little less
    return functional.pad(found, (0, shape[3] - found.shape[3], 0, shape[2] - found.shape[2]))


def _of_kernel(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    oh, ow = gradient.shape[-2:]
    found = torch.empty_like(weight)  # c 1 k k
    for row in range(weight.shape[-2]):
        for column in range(weight.shape[-1]):
            seen = x[:, :, row : row + (oh - 1) * stride + 1 : stride, column : column + (ow - 1) * stride + 1 : stride]
            found[:, 0, row, column] = (gradient * seen).sum((0, 2, 3))
    return found
