"""RoI crops for the mask refiner: the part of a window around one mask, cut out, and put back."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32
from torch import Tensor
from torch.nn import functional

from geosam.arrays import Patch
from geosam.nano.refiner import MULTIPLE
from geosam.sam.model.canvas import Canvas

SAMPLING = 2
"""Input pixels to a side of one cell of the picture that is kept with an embedding, and of refined masks."""

CELLS = (48, 64, 96, 128, 192, 256, 384, 512)
"""Cells along a crop, if the window has as many. Few sizes: crops of one size are refined together, and for each
size a network's arithmetic has to be laid out anew."""

MOST_CELLS = 128
"""Crops with more cells are twice as coarse."""

Number = int | float

Kept = Float16[np.ndarray, "c gh gw"]
"""What is kept of a window: features, or the picture."""

Span = tuple[int, int]
"""First cell along an axis, in cells of the crop from the input's edge, and their number."""


@dataclass(frozen=True)
class RoiCrop:
    """A RoI crop around one mask.

    Attributes
    ----------
    canvas
        How the window lies on the network's input.
    cell
        Input pixels to a side of one cell.
    rows, cols
        Where it lies, in such cells.
    """

    canvas: Canvas
    cell: int
    rows: Span
    cols: Span

    @classmethod
    def of_mask(cls, logits: Float32[np.ndarray, "mh mw"], canvas: Canvas, margin: Number) -> "RoiCrop | None":
        """Lay a crop around a mask whose logits cover the window; None if it is empty."""
        inside = logits > 0
        rows, cols = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        if not len(rows):
            return None
        down, across = (side / cells for side, cells in zip(canvas.scaled, logits.shape, strict=True))
        box = (cols[0] * across, rows[0] * down, (cols[-1] + 1) * across, (rows[-1] + 1) * down)
        return cls.around(box, canvas, margin)

    @classmethod
    def around(cls, box: tuple[Number, Number, Number, Number], canvas: Canvas, margin: Number) -> "RoiCrop":
        """Lay a crop around a box ``xyxy``, in pixels of the network's input, as far as the window goes.

        ``margin`` is how far it reaches beyond it to every side, as a share of its longer side.

        Examples
        --------
        >>> crop = RoiCrop.around((100, 40, 180, 80), Canvas.of((128, 512), resamples=False, side=1024), 0.25)
        >>> crop.cell, crop.rows, crop.cols
        (2, (8, 48), (40, 64))
        """
        x0, y0, x1, y1 = box
        beyond = margin * max(x1 - x0, y1 - y0)
        longer = max(x1 - x0, y1 - y0) + 2 * beyond
        cell = SAMPLING if longer <= SAMPLING * MOST_CELLS else 2 * SAMPLING
        h, w = canvas.scaled
        spans = [_span(low - beyond, high + beyond, side, cell) for low, high, side in ((y0, y1, h), (x0, x1, w))]
        return cls(canvas, cell, spans[0], spans[1])

    def picture(self, kept: Kept) -> Float32[np.ndarray, "3 h w"]:
        """Cut the picture out; beyond an edge it is like the edge."""
        return self._cut(kept, self.cell // SAMPLING, 1)

    def fine(self, kept: Kept) -> Float32[np.ndarray, "e h2 w2"]:
        """Cut the encoder's features at stride 4 out, at half the sampling of the picture."""
        return self._cut(kept, self.cell // SAMPLING, 2)

    def coarse(self, kept: Kept) -> Float32[np.ndarray, "d h8 w8"]:
        """Cut the encoder's features at stride 16 out, at an eighth of the sampling of the picture."""
        return self._cut(kept, self.cell // SAMPLING, MULTIPLE)

    def _cut(self, maps: Kept, pool: int, coarser: int) -> Float32[np.ndarray, "c h w"]:
        """Crop feature maps of ``coarser`` times coarser cells, average-pooled by ``pool``."""
        rows, cols = (
            (first * pool // coarser, (first + count) * pool // coarser) for first, count in (self.rows, self.cols)
        )
        cut = maps[:, slice(*rows), slice(*cols)].astype(np.float32)  # c h w, or less
        down, across = rows[1] - rows[0] - cut.shape[1], cols[1] - cols[0] - cut.shape[2]
        if down or across:
            cut = np.pad(cut, ((0, 0), (0, down), (0, across)), mode="edge")  # c h w
        if pool == 1:
            return cut
        c, h, w = cut.shape
        return cut.reshape(c, h // pool, pool, w // pool, pool).mean((2, 4), dtype=np.float32)  # c h/pool w/pool

    def logits(self, seen: Float[Tensor, "mh mw"]) -> Float[Tensor, "h w"]:
        """Sample logits that cover the window."""
        matrices = [
            _taps(self._centres(span) * (cells / side), cells)
            for span, cells, side in zip((self.rows, self.cols), seen.shape, self.canvas.scaled, strict=True)
        ]  # h mh, w mw
        return matrices[0] @ seen @ matrices[1].T  # h w

    def place(self, points: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 2"]:
        """Bring points in input pixels to cells of the crop."""
        corner = torch.tensor([self.cols[0], self.rows[0]], device=points.device)  # 2
        return points / self.cell - corner  # *n 2

    def cuts(self, refined: Float[Tensor, "h w"], share: Number) -> bool:
        """Tell whether a mask goes on beyond the crop: it has more than a share of one of its sides.

        Examples
        --------
        >>> crop = RoiCrop.around((0, 40, 60, 80), Canvas.of((128, 512), resamples=False, side=1024), 0.25)
        >>> river = torch.ones(crop.rows[1], crop.cols[1])
        >>> crop.cuts(river, 1 / 6), crop.cuts(-river, 1 / 6)
        (True, False)
        """
        sides = zip((self.rows, self.cols), self.canvas.scaled, (refined, refined.T), strict=True)
        ends = [
            lines[line]
            for (first, count), side, lines in sides
            for line, goes_on in ((0, first > 0), (-1, (first + count) * self.cell < side))
            if goes_on
        ]
        return any(float((end > 0).float().mean()) > share for end in ends)

    def patch(self, refined: Float[Tensor, "h w"], most: Number) -> Patch:
        """Put logits of the crop back into the window, at `SAMPLING`.

        They are at most ``most`` at an edge beyond which the window goes on: no mask ends there.
        """
        shape = window_cells(self.canvas)
        matrices, corner = [], []
        for (first, count), cells, side in zip((self.rows, self.cols), shape, self.canvas.scaled, strict=True):
            step = side / cells  # input pixels to one cell of the window
            low = max(0, math.ceil(first * self.cell / step - 0.5))
            high = min(cells, math.ceil((first + count) * self.cell / step - 0.5))
            centres = (np.arange(low, high, dtype=np.float32) + 0.5) * step  # m
            matrices.append(_taps(centres / self.cell - first, count))
            corner.append(low)
        logits = matrices[0] @ refined @ matrices[1].T  # m k
        for lines, first, cells in zip((logits, logits.T), corner, shape, strict=True):
            for line, goes_on in ((0, first > 0), (-1, first + len(lines) < cells)):
                if goes_on:
                    lines[line].clamp_(max=most)
        return Patch(np.ascontiguousarray(logits.cpu().numpy()), (corner[1], corner[0]), shape)

    def _centres(self, span: Span) -> Float32[np.ndarray, "m"]:
        first, count = span
        return (np.arange(first, first + count, dtype=np.float32) + 0.5) * self.cell  # m


def window_cells(canvas: Canvas) -> tuple[int, int]:
    """``(h, w)`` of refined masks that cover the window; never finer than the window itself."""
    h, w = (min(-(-s // SAMPLING), full) for s, full in zip(canvas.scaled, canvas.shape, strict=True))
    return h, w


def keep_picture(shown: Float[Tensor, "3 sh sw"], canvas: Canvas) -> Float[Tensor, "3 gh gw"]:
    """Reduce the pixels of a window to what is kept of them, padded like the edge to the network's input."""
    (h, w), (ph, pw) = canvas.scaled, canvas.padded
    padded = functional.pad(shown[None], (0, pw - w, 0, ph - h), mode="replicate")  # 1 3 ph pw
    return functional.avg_pool2d(padded, SAMPLING)[0]  # 3 gh gw


def _span(low: Number, high: Number, side: int, cell: int) -> Span:
    """Cells that hold an interval as far as the side goes: the least number of `CELLS`, or all that there are.

    Examples
    --------
    >>> _span(90, 200, 1024, 2), _span(-20, 60, 1024, 2), _span(990, 1040, 1024, 2), _span(0, 99, 100, 2)
    ((40, 64), (0, 48), (464, 48), (0, 56))
    """
    step = cell * MULTIPLE  # where crops may begin and end
    low, high = max(low, 0.0), min(high, float(side))
    there = -(-side // step)
    for cells in CELLS:
        count = cells // MULTIPLE
        first = math.floor((low + high) / (2 * step) - (count - 1) / 2)  # so that the interval lies in the middle
        first = min(max(first, 0), there - count)
        if first >= 0 and first * step <= low and high <= (first + count) * step:
            return first * MULTIPLE, cells
    return 0, there * MULTIPLE


def _taps(places: Float32[np.ndarray, "m"], count: int) -> Float[Tensor, "m c"]:
    """Weights that interpolate linearly between the centres of ``count`` cells; beyond these as at the outermost."""
    at = (places - 0.5).clip(0, count - 1)  # m
    low = at.astype(int)  # m
    rows, share = np.arange(len(at)), at - low.astype(np.float32)  # m, m
    taps = np.zeros((len(at), count), np.float32)  # m c
    taps[rows, low] = 1 - share
    taps[rows, (low + 1).clip(max=count - 1)] += share
    return torch.from_numpy(taps)
