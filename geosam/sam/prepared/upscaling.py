"""The decoder's upscaling as matrix products over pixels in nested order.

The same function as `geosam.sam.mask_decoder.MaskDecoder` computes with transposed convolutions: both have stride 2
and kernels of 2, so every cell becomes a block of its own.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from geosam.sam.blocks import LayerNorm2d, Mlp
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.prepared.nesting import unnest
from geosam.sam.prepared.precision import Linear

DEPTH = 2
"""Times that a cell is cut into four."""


BAND_VALUES = 1 << 18
"""Values of the finest maps in one band; a band's tensors then fit a core's own cache."""

GPU_BAND_VALUES = 1 << 26
"""The same on a graphics card, where it only bounds the memory: 256 MB in float32."""


class Hints(NamedTuple):
    """Maps of likeness of some prompts, or of one.

    Attributes
    ----------
    maps
        Likeness in nested order, ``*n l 16N``.
    which
        The channels that these are; the others are zero.
    """

    maps: Tensor
    which: list[int]


class SharedMaps(NamedTuple):
    """What one image adds to the upscaling of all its prompts, biases included.

    Attributes
    ----------
    eighth
        Before the norm, ``N 4·c1`` or ``4·c1``.
    quarter
        Before the last activation, ``4N 4·c2`` or ``4·c2``.
    """

    eighth: Tensor
    quarter: Tensor

    def part(self, band: slice) -> "SharedMaps":
        """The rows that belong to some cells; a bias belongs to all."""
        return SharedMaps(*(_rows(each, band, depth) for depth, each in enumerate(self)))

    def repeated(self, times: int) -> "SharedMaps":
        """The same maps for several prompts, one after the other."""
        return SharedMaps(*(each if each.ndim == 1 else each.repeat(times, 1) for each in self))


class PreparedUpscaling:
    """From the pixels of the transformer to masks.

    Parameters
    ----------
    decoder
        The module to follow.
    dtype
        Precision of the products.
    """

    def __init__(self, decoder: MaskDecoder, dtype: torch.dtype) -> None:
        up1, norm, self.act1, up2, self.act2 = decoder.output_upscaling
        up1, up2 = cast(nn.ConvTranspose2d, up1), cast(nn.ConvTranspose2d, up2)
        self.dtype = dtype
        self.biases = [cast(Tensor, up.bias).repeat(4) for up in (up1, up2)]  # 4·c1, 4·c2
        values = BAND_VALUES if up2.weight.device.type == "cpu" else GPU_BAND_VALUES
        self.band = max(1, values // (up2.out_channels << 2 * DEPTH))
        self.norm = cast(LayerNorm2d, norm)
        projections = [cast(nn.Conv2d, each) for each in decoder.fine_projections]
        self.fine = [each.weight[:, :, 0, 0].T for each in projections]  # c8 c1, c4 c2
        for index, each in enumerate(projections):
            self.biases[index] = self.biases[index] + cast(Tensor, each.bias).repeat(4)
        self.hint_weight = None
        if decoder.hint_projection is not None:
            self.hint_weight = decoder.hint_projection.weight[:, :, 0, 0].T.to(dtype)  # l c2
            self.biases[1] = self.biases[1] + cast(Tensor, decoder.hint_projection.bias).repeat(4)  # 4·c2
        bent = not self.fine and self.hint_weight is None and isinstance(self.act2, nn.GELU)  # with the product
        self.first = Up(up1, self.biases[0], dtype)  # c to 4·c1
        self.second = Up(up2, self.biases[1], dtype, gelu=bent)  # c1 to 4·c2
        self.act2 = nn.Identity() if bent else self.act2
        heads = [cast(Mlp, head).layers for head in decoder.output_hypernetworks_mlps]
        self.heads = [_stack([cast(nn.Linear, layer) for layer in layers]) for layers in zip(*heads, strict=True)]

    def share(self, fine: tuple[Tensor, ...]) -> SharedMaps:
        """Project one image's finer features, in nested order ``c8 4N`` and ``c4 16N``, once for all prompts."""
        shared = [bias.to(self.dtype) for bias in self.biases]
        if fine:
            maps = [each.T @ weight for each, weight in zip(fine, self.fine, strict=True)]  # 4N c1, 16N c2
            shared = [(each.reshape(-1, len(b)) + b).to(self.dtype) for each, b in zip(maps, self.biases, strict=True)]
        return SharedMaps(*shared)  # N 4·c1, 4N 4·c2

    def masks(
        self, classifiers: Tensor, cells: Tensor, shared: SharedMaps, hints: Hints | None, *, grid: tuple[int, int]
    ) -> Tensor:
        """Draw masks of one prompt from its cells ``N c`` and their classifiers ``k c2``: ``k 4gh 4gw``, in float32.

        A few rows of cells at a time, so that what is made of them stays near the processor.
        """
        gh, gw = grid
        classifiers = classifiers.to(self.dtype)
        logits = cells.new_empty(len(classifiers), gh << DEPTH, gw << DEPTH, dtype=torch.float32)
        rows = max(1, self.band // gw)
        for top in range(0, gh, rows):
            here = min(rows, gh - top)
            band = slice(top * gw, (top + here) * gw)
            pixels = self._pixels(cells[band], shared.part(band), _band(hints, band))  # 16·band c2
            drawn = unnest((classifiers @ pixels.T).float(), (here, gw), DEPTH)  # k 4·here 4gw
            logits[:, top << DEPTH : (top + here) << DEPTH] = drawn
        return logits

    def several(
        self, classifiers: Tensor, cells: Tensor, shared: SharedMaps, hints: Hints | None, *, grid: tuple[int, int]
    ) -> Tensor:
        """Draw masks of prompts on a small image from cells ``n N c`` and classifiers ``n k c2``: ``n k 4gh 4gw``.

        A few prompts at a time go through each product.
        """
        n, size, _ = cells.shape
        some = min(n, max(1, self.band // size))
        repeated, classifiers = shared.repeated(some), classifiers.to(self.dtype)
        logits = cells.new_empty(n, classifiers.shape[1], size << 2 * DEPTH, dtype=torch.float32)  # n k 16N
        for start in range(0, n, some):
            part, few = slice(start, start + some), min(some, n - start)
            maps = None if hints is None else Hints(hints.maps[part].transpose(0, 1).flatten(1), hints.which)  # l n·16N
            pixels = self._pixels(cells[part].flatten(0, 1), repeated.part(slice(0, few * size)), maps)  # n·16N c2
            logits[part] = (classifiers[part] @ pixels.unflatten(0, (few, -1)).mT).float()  # n k 16N
        return unnest(logits, grid, DEPTH)

    def _pixels(self, cells: Tensor, shared: SharedMaps, hints: Hints | None) -> Tensor:
        width = self.norm.weight.shape
        eighth, quarter = shared
        x = self.first(cells, eighth).unflatten(1, (4, -1)).flatten(0, 1)  # 4n c1
        x = functional.layer_norm(x, width, self.norm.weight, self.norm.bias, self.norm.eps)  # 4n c1
        x = self.second(self.act1(x), quarter).unflatten(1, (4, -1)).flatten(0, 1)  # 16n c2
        if hints is not None and self.hint_weight is not None and hints.which:
            x.addmm_(hints.maps.T.to(self.dtype), pick(self.hint_weight, hints.which))  # 16n c2
        return self.act2(x)  # 16n c2

    def classifiers(self, tokens: Tensor) -> Tensor:
        """Turn mask tokens ``n k c`` into the weights that tell each mask's pixels, ``n k c2``."""
        x = tokens.transpose(0, 1)  # k n c
        for index, (weight, bias) in enumerate(self.heads):
            x = torch.baddbmm(bias, functional.relu(x) if index else x, weight)  # k n c
        return x.transpose(0, 1)  # n k c2


class Up:
    """A transposed convolution of kernel and stride 2 as one product; what an image shares is added.

    Parameters
    ----------
    up
        The layer to follow.
    bias
        What is added where an image shares nothing else, ``4·out``.
    dtype
        Precision of the product.
    gelu
        Whether a GELU follows: only where images share nothing.
    """

    def __init__(self, up: nn.ConvTranspose2d, bias: Tensor, dtype: torch.dtype, *, gelu: bool = False) -> None:
        self.weight = up.weight.detach().permute(0, 2, 3, 1).flatten(1).to(dtype).contiguous()  # c 4·out
        self.alone = Linear(self.weight.T.contiguous(), bias, dtype, gelu=gelu)

    def __call__(self, x: Tensor, shared: Tensor) -> Tensor:
        """Turn ``N c`` into ``N 4·out``, ``shared`` of the image included: ``N 4·out``, or ``4·out`` for its biases."""
        return self.alone(x) if shared.ndim == 1 else torch.addmm(shared, x, self.weight)


def pick(rows: Tensor, which: list[int]) -> Tensor:
    """Some rows, on whatever device: an index would have to be sent there first."""
    return torch.stack([rows[each] for each in which])


def _rows(maps: Tensor, band: slice, depth: int) -> Tensor:
    """The rows of a shared map that belong to some cells; a bias belongs to all."""
    return maps if maps.ndim == 1 else maps[band.start << 2 * depth : band.stop << 2 * depth]


def _band(hints: Hints | None, band: slice) -> Hints | None:
    """Maps of one prompt where some cells are."""
    return hints and Hints(hints.maps[:, band.start << 2 * DEPTH : band.stop << 2 * DEPTH], hints.which)


def _stack(layers: list[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Equal layers of several heads: ``k in out`` and ``k 1 out``."""
    return torch.stack([layer.weight.T for layer in layers]), torch.stack([layer.bias[None] for layer in layers])
