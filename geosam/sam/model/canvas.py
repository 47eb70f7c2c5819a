"""How a window lies on the network's input: the one place that knows of resizing, padding and cropping."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from geosam.errors import ModelError
from geosam.sam.spec import STRIDE

SIDE_MULTIPLE = 32
"""Sides of an input that is not resampled are multiples of this many pixels."""

SAMPLING = 4
"""Input pixels to a side of one cell of the mask logits."""

OUTSIDE = -8.0
"""Mask logit of what lies around the window, where a mask prompt says nothing: surely not the object."""


@dataclass(frozen=True)
class Canvas:
    """How a window lies on the network's input: resized if it must be, then padded right and below.

    Parameters
    ----------
    shape
        ``(h, w)`` of the window in pixels.
    scaled
        ``(h, w)`` to which it is resized.
    padded
        ``(h, w)`` of the network's input.

    Examples
    --------
    >>> Canvas.of((700, 500), resamples=False, side=1024)
    Canvas(shape=(700, 500), scaled=(700, 500), padded=(704, 512))
    >>> Canvas.of((700, 500), resamples=True, side=1024)
    Canvas(shape=(700, 500), scaled=(1024, 731), padded=(1024, 1024))
    """

    shape: tuple[int, int]
    scaled: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, int], *, resamples: bool, side: int) -> "Canvas":
        """Fit a window to a network of this side; one that `resamples` needs exactly this side, others at most."""
        h, w = shape
        if min(h, w) < 1:
            raise ModelError(f"a window of {h} by {w} pixels", expected="at least one pixel")
        scale = side / max(h, w)
        if scale > 1 and not resamples:
            scale = 1.0
        scaled = max(1, round(h * scale)), max(1, round(w * scale))
        padded = (side, side) if resamples else (_ceil(scaled[0], SIDE_MULTIPLE), _ceil(scaled[1], SIDE_MULTIPLE))
        return cls((h, w), scaled, padded)

    @property
    def grid(self) -> tuple[int, int]:
        """``(h, w)`` of the image embedding."""
        return self.padded[0] // STRIDE, self.padded[1] // STRIDE

    @property
    def logits(self) -> tuple[int, int]:
        """``(h, w)`` of the mask logits that cover the window; never finer than the window itself."""
        h, w = (min(-(-s // SAMPLING), full) for s, full in zip(self.scaled, self.shape, strict=True))
        return h, w

    @property
    def extent(self) -> tuple[float, float]:
        """``(h, w)`` of the window in cells of the mask logits."""
        return self.scaled[0] / SAMPLING, self.scaled[1] / SAMPLING

    @property
    def scale(self) -> tuple[float, float]:
        """``(x, y)`` factors from window pixels to input pixels."""
        return self.scaled[1] / self.shape[1], self.scaled[0] / self.shape[0]

    def show(self, pixels: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 sh sw"]:
        """Resize a window's pixels, averaging where they shrink."""
        if self.scaled == self.shape:
            return pixels
        return functional.interpolate(pixels[None], self.scaled, mode="bilinear", antialias=True)[0]

    def pad(self, image: Float[Tensor, "3 sh sw"]) -> Float[Tensor, "3 ph pw"]:
        """Add zeros right and below."""
        return functional.pad(image, (0, self.padded[1] - self.scaled[1], 0, self.padded[0] - self.scaled[0]))

    def crop(self, logits: Float[Tensor, "n k ph pw"]) -> Float[Tensor, "n k mh mw"]:
        """Take the window's part of the network's logits, resampled if its border cuts through a cell."""
        if self.extent == self.logits:
            return logits[..., : self.logits[0], : self.logits[1]]
        (eh, ew), (mh, mw), (ph, pw) = self.extent, self.logits, logits.shape[-2:]
        return _sample(logits, self.logits, (eh / (mh * ph), ew / (mw * pw)))

    def place(self, logits: Float[Tensor, "n mh mw"]) -> Float[Tensor, "n ph pw"]:
        """Bring logits that cover the window, at any sampling, to the network's; around the window is nothing."""
        (eh, ew), (ph, pw) = self.extent, (self.padded[0] // SAMPLING, self.padded[1] // SAMPLING)
        h, w = min(ph, -(-self.scaled[0] // SAMPLING)), min(pw, -(-self.scaled[1] // SAMPLING))
        if (eh, ew) != logits.shape[-2:]:
            logits = _sample(logits[None], (h, w), (1 / eh, 1 / ew))[0]  # n h w
        return functional.pad(logits, (0, pw - w, 0, ph - h), value=OUTSIDE)  # n ph pw


def _ceil(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _sample(maps: Tensor, size: tuple[int, int], step: tuple[float, float]) -> Tensor:
    """Look up ``size`` rows and columns of cells, each ``step`` of the maps' extent wide, from the top left corner."""
    y, x = (2 * (torch.arange(n, device=maps.device) + 0.5) * d - 1 for n, d in zip(size, step, strict=True))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(maps.dtype)  # h w 2
    places = places.expand(len(maps), -1, -1, -1)  # n h w 2
    return functional.grid_sample(maps, places, padding_mode="border", align_corners=False)  # n k h w
