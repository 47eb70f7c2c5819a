"""How a window lies on a network's input: the two rules of the published image processors.

- *Pad*, of SAM and SAM-HQ (Kirillov et al. 2023, https://arxiv.org/abs/2304.02643): the longest side becomes the
  input's, the other keeps the aspect, zeros fill up right and below.
- *Squash*, of SAM 2 (Ravi et al. 2024, https://arxiv.org/abs/2408.00714), EdgeTAM and SAM 3: both sides become the
  input's, whatever the aspect was.

Both resample 8-bit pixels bilinearly, averaging where they shrink, and round to whole numbers before they normalise.
The first does so with Pillow, which also rounds between rows and columns; the second as `torchvision` does on floats.
The library's own processors for the second rule need `torchvision`, and this one does not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor
from torch.nn import functional

from geosam.arrays import Pixels
from geosam.errors import ModelError

OUTSIDE = -8.0
"""Mask logit around the window, where a mask prompt says nothing: surely not the object."""

HALF_PX = 0.5
"""The library counts from the first pixel's centre and adds this to every coordinate; here (0, 0) is its corner."""


@dataclass(frozen=True)
class Fit:
    """How a window lies on a network's square input.

    Parameters
    ----------
    shape
        ``(h, w)`` of the window in pixels.
    scaled
        ``(h, w)`` to which it is resampled; it lies in the input's top left corner.
    side
        Pixels to a side of the input.
    cells
        Cells to a side of the mask logits, which cover the input.
    squash
        Which of the two rules holds.

    Examples
    --------
    >>> Fit.of((300, 1000), side=1024, cells=256, squash=False)
    Fit(shape=(300, 1000), scaled=(307, 1024), side=1024, cells=256, squash=False)
    >>> Fit.of((300, 1000), side=1024, cells=256, squash=True).scale
    (1.024, 3.413...)
    """

    shape: tuple[int, int]
    scaled: tuple[int, int]
    side: int
    cells: int
    squash: bool

    @classmethod
    def of(cls, shape: tuple[int, int], *, side: int, cells: int, squash: bool) -> "Fit":
        """Fit a window of ``shape`` ``(h, w)`` to an input.

        Raises
        ------
        ModelError
            If the window has no pixels.
        """
        h, w = shape
        if min(h, w) < 1:
            raise ModelError(f"a window of {h} by {w} pixels", expected="at least one pixel")
        if squash:
            return cls((h, w), (side, side), side, cells, squash)
        scale = side / max(h, w)
        scaled = max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5))
        return cls((h, w), scaled, side, cells, squash)

    @property
    def scale(self) -> tuple[float, float]:
        """``(x, y)`` factors from window pixels to input pixels."""
        return self.scaled[1] / self.shape[1], self.scaled[0] / self.shape[0]

    @property
    def extent(self) -> tuple[float, float]:
        """``(h, w)`` of the window in cells of the mask logits."""
        return self.scaled[0] * self.cells / self.side, self.scaled[1] * self.cells / self.side

    @property
    def logits(self) -> tuple[int, int]:
        """``(mh, mw)`` of the mask logits that cover the window; never finer than the window itself."""
        mh, mw = (min(int(np.ceil(cells)), px) for cells, px in zip(self.extent, self.shape, strict=True))
        return mh, mw

    def resize(self, pixels: Pixels) -> Float[Tensor, "3 sh sw"]:
        """Resample a window's pixels; whole numbers from 0 to 255."""
        if self.scaled == self.shape:
            return torch.tensor(pixels, dtype=torch.float32)
        if not self.squash:
            return resized(pixels, self.scaled, Image.Resampling.BILINEAR)
        whole = torch.tensor(pixels, dtype=torch.float32)[None]  # 1 3 h w
        return functional.interpolate(whole, self.scaled, mode="bilinear", antialias=True)[0].round_()

    def pad(self, image: Float[Tensor, "3 sh sw"]) -> Float[Tensor, "3 side side"]:
        """Add zeros right and below."""
        return functional.pad(image, (0, self.side - self.scaled[1], 0, self.side - self.scaled[0]))

    def to_input(self, xy: Float32[np.ndarray, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Bring ``(x, y)`` in window pixels to input pixels as the library counts them."""
        return torch.tensor(xy, dtype=torch.float32) * torch.tensor(self.scale) - HALF_PX

    def crop(self, logits: Float[Tensor, "n k c c"]) -> Float[Tensor, "n k mh mw"]:
        """Take the window's part of the network's logits, resampled where its border cuts through a cell."""
        (eh, ew), (mh, mw) = self.extent, self.logits
        if (eh, ew) == (mh, mw):
            return logits[..., :mh, :mw]
        return _sample(logits, (mh, mw), (eh / (mh * self.cells), ew / (mw * self.cells)))

    def place(self, logits: Float[Tensor, "n mh mw"]) -> Float[Tensor, "n c c"]:
        """Bring logits that cover the window, at any sampling, to the network's; around the window is nothing."""
        (eh, ew), full = self.extent, self.cells
        h, w = min(full, int(np.ceil(eh))), min(full, int(np.ceil(ew)))
        if (eh, ew) != logits.shape[-2:]:
            logits = _sample(logits[None], (h, w), (1 / eh, 1 / ew))[0]  # n h w
        return functional.pad(logits, (0, full - w, 0, full - h), value=OUTSIDE)  # n c c


def resized(pixels: Pixels, shape: tuple[int, int], how: Image.Resampling) -> Float32[Tensor, "3 sh sw"]:
    """Resample pixels to ``shape`` ``(sh, sw)`` as Pillow does; whole numbers from 0 to 255."""
    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return torch.tensor(np.asarray(picture.resize((shape[1], shape[0]), how)), dtype=torch.float32).permute(2, 0, 1)


def normalise(
    image: Float[Tensor, "3 h w"], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Float[Tensor, "3 h w"]:
    """Bring pixels of 0 to 255 to the scale of the training; ``mean`` and ``deviation`` are of pixels of 0 to 1."""
    middle, spread = (torch.tensor(each, device=image.device)[:, None, None] for each in (mean, deviation))
    return (image / 255 - middle) / spread


def _sample(maps: Tensor, size: tuple[int, int], step: tuple[float, float]) -> Tensor:
    """Look up ``size`` rows and columns of cells, each ``step`` of the maps' extent wide, from the top left corner."""
    y, x = (2 * (torch.arange(n, device=maps.device) + 0.5) * d - 1 for n, d in zip(size, step, strict=True))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).to(maps.dtype)  # h w 2
    return functional.grid_sample(
        maps, places.expand(len(maps), -1, -1, -1), padding_mode="border", align_corners=False
    )  # n k h w
