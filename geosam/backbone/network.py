"""EfficientNet-Lite0 as a feature pyramid, read from top to bottom.

A stem and sixteen inverted residual blocks (Sandler et al. 2018, "MobileNetV2"; Tan and Le 2019, "EfficientNet"; the
Lite variant of Google's TPU repository: no squeeze-and-excitation, ReLU6 for swish, stem and head not scaled). The
classifier is left out: what is wanted are the maps at strides 4, 8, 16 and 32, on which a classifier of one's own is
fitted. `geosam.backbone.prepared` runs the same functions arranged for a processor.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.backbone.depthwise import depthwise


class Row(NamedTuple):
    """One row of the architecture's table: blocks of one width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STEM = 32
"""Channels of the stem."""

ROWS = (
    Row(1, 3, 1, 1, 16),
    Row(2, 3, 2, 6, 24),
    Row(2, 5, 2, 6, 40),
    Row(3, 3, 2, 6, 80),
    Row(3, 5, 1, 6, 112),
    Row(4, 5, 2, 6, 192),
    Row(1, 3, 1, 6, 320),
)
"""The published table."""

STRIDES = (4, 8, 16, 32)
"""Pixels of the picture to a cell of each map."""

TAPPED = (1, 2, 4, 6)
"""Rows whose outputs are the maps: the last of each stride."""

CHANNELS = tuple(ROWS[row].channels for row in TAPPED)
"""Channels of each map: 24, 40, 112 and 320."""

EPSILON = 1e-3
"""Of the published batch norms."""

PUBLISHED = (1, 1, 1, 1, 1)
"""Phases of TensorFlow's ``SAME`` padding on even sizes: every halving begins on the odd pixel."""

CENTRED = (1, 0, 1, 0, 1)
"""Phases by which a cell's features lie within a sixth of a cell of the pixels that they describe.

A phase says which pixel of each pair a halving is centred on. All odd, as published, the features of a stride lie
half of it, less half a pixel, right of and below their cell's centre: 15.5 px at stride 32. Any phases are the same
network on a picture that is moved by some pixels (here ten), so that nothing it learned is changed.
"""

MEAN, SCALE = 127.0, 128.0
"""Pixels come in as ``(x - MEAN) / SCALE``."""


class FixedNorm(nn.Module):
    """A batch norm whose statistics stay as they were learned."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def gain(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """What it multiplies each channel by, and then adds."""
        gain = self.weight.to(dtype) / (self.running_var.to(dtype) + EPSILON).sqrt()  # channels
        return gain, self.bias.to(dtype) - self.running_mean.to(dtype) * gain


class ConvNorm(nn.Module):
    """A convolution without bias and its batch norm, computed as one convolution."""

    def __init__(self, given: int, channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(given, channels, kernel, stride, groups=groups, bias=False)
        self.norm = FixedNorm(channels)

    def forward(self, x: Tensor, phase: int = 0) -> Tensor:
        """Convolve with zeros around: ``b given h w`` to ``b channels h/stride w/stride``."""
        reach, stride = self.conv.kernel_size[0] // 2, self.conv.stride[0]
        x = functional.pad(x, (reach - phase, reach) * 2) if reach else x  # right, below: a pixel to spare at stride 2
        weight, bias = self.folded()
        if self.conv.groups > 1:
            return depthwise(x, weight, bias, stride)  # b channels h/stride w/stride
        return functional.conv2d(x, weight, bias, stride)  # b channels h/stride w/stride

    def folded(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the one convolution, computed in a precision."""
        gain, bias = self.norm.gain(dtype)
        return self.conv.weight.to(dtype) * gain[:, None, None, None], bias


class Block(nn.Module):
    """An inverted residual: widen, look around in each channel, narrow without a bend."""

    def __init__(self, given: int, row: Row, stride: int) -> None:
        super().__init__()
        wide = given * row.expand
        self.expand = ConvNorm(given, wide) if row.expand > 1 else None
        self.depthwise = ConvNorm(wide, wide, row.kernel, stride=stride, groups=wide)
        self.project = ConvNorm(wide, row.channels)
        self.halves, self.is_residual = stride == 2, stride == 1 and given == row.channels

    def forward(self, x: Tensor, phase: int = 0) -> Tensor:
        """``b given h w`` to ``b channels h/stride w/stride``."""
        wide = x if self.expand is None else functional.relu6(self.expand(x))  # b wide h w
        wide = functional.relu6(self.depthwise(wide, phase))  # b wide h/stride w/stride
        narrow = self.project(wide)  # b channels h/stride w/stride
        return x + narrow if self.is_residual else narrow


class Backbone(nn.Module):
    """The pyramid.

    Parameters
    ----------
    phases
        Of the five halvings, first to last: `CENTRED` or `PUBLISHED`.

    Examples
    --------
    >>> maps = Backbone().eval()(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
    >>> [tuple(each.shape) for each in maps]
    [(1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6), (1, 320, 2, 3)]
    """

    def __init__(self, phases: tuple[int, ...] = CENTRED) -> None:
        super().__init__()
        self.phases = phases
        self.stem = ConvNorm(3, STEM, 3, stride=2)
        blocks, given = [], STEM
        for row in ROWS:
            for number in range(row.repeats):
                blocks.append(Block(given, row, row.stride if number == 0 else 1))
                given = row.channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Maps of 8-bit pixels, ``b 3 h w`` with sides that 32 divides: ``b c h/s w/s`` at each of `STRIDES`."""
        return self.maps((pixels.float() - MEAN) / SCALE)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The same maps of pixels ``b 3 h w`` that are on the network's own scale already."""
        phases = iter(self.phases)
        x = functional.relu6(self.stem(x, next(phases)))  # b 32 h/2 w/2
        maps, last = [], last_blocks()
        for number, block in enumerate(self.in_order()):
            x = block(x, next(phases) if block.halves else 0)  # b c h/s w/s
            if number in last:
                maps.append(x)
        return tuple(maps)

    def in_order(self) -> list[Block]:
        """The blocks, first to last."""
        return [cast(Block, each) for each in self.blocks]


def last_blocks() -> tuple[int, ...]:
    """Numbers of the blocks whose outputs are the maps.

    Examples
    --------
    >>> last_blocks()
    (2, 4, 10, 15)
    """
    ends = [sum(row.repeats for row in ROWS[: number + 1]) - 1 for number in range(len(ROWS))]
    return tuple(ends[row] for row in TAPPED)
