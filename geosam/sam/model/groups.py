"""Prompts that have been put to a window or to a part of it, and the masks that are drawn of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from geosam.arrays import Patch
from geosam.sam.model.canvas import OUTSIDE, SAMPLING, Canvas
from geosam.sam.prepared import Attended, PreparedDecoder, Question, View
from geosam.sam.prepared.transfer import fetch
from geosam.sam.spec import STRIDE

PARTS = 16
"""RoiViews of a view that are kept while it is asked."""

FINE = STRIDE // SAMPLING
"""Cells of the mask logits to a side of one of the image embedding."""


Roi = tuple[int, int, int, int]
"""A RoI crop: a box of cells of the image embedding, ``x0 y0 x1 y1``."""


class Batch(NamedTuple):
    """Prompts that are decoded together: their places among all, and their common RoI crop; None for the window."""

    rows: Sequence[int]
    place: Roi | None


@dataclass(frozen=True, eq=False)
class Group:
    """Some prompts that have been put to a window.

    Masks are drawn prompt by prompt on a processor, whose cache holds few; on a graphics card those of all prompts at
    once, so that the host waits for them once.

    Attributes
    ----------
    rows
        Their places among all prompts.
    place
        The RoI crop in which they were decoded; None for the whole window.
    """

    rows: Sequence[int]
    canvas: Canvas
    decoder: PreparedDecoder
    view: View
    asked: Attended
    place: Roi | None = None

    @cached_property
    def iou(self) -> np.ndarray:
        """Predicted IoUs, ``n 1+k``, the one for clear prompts first."""
        return fetch(self.asked.iou.float())[0]

    def draw_and_tell(self, place: int, masks: list[int]) -> tuple[np.ndarray, Bool[np.ndarray, "k"]]:
        """Logits of some masks of one of the prompts, ``k mh mw``, and which the edge of the crop cuts.

        They cover the window; around the crop is nothing.
        """
        if self._one_by_one:
            seen = self.decoder.draw(self.view, self.asked, place, masks)  # k 4h 4w
            logits, cut = fetch(self._cover(seen), self._cut(seen))
            return logits, cut
        logits, cut = self._drawn
        return logits[place, masks], cut[place, masks]

    def patches(self, wanted: Bool[np.ndarray, "n k"]) -> list[list[Patch | None]]:
        """Logits of the masks that are wanted of each prompt; None for those that the edge of the crop cuts."""
        masks = [np.flatnonzero(row).tolist() for row in wanted]
        if self.place is None and self._one_by_one:
            drawn = [self.draw_and_tell(row, some)[0] if some else () for row, some in enumerate(masks)]
            return [[Patch.of(each) for each in some] for some in drawn]
        some = np.flatnonzero(wanted.any(1))
        if not len(some):
            return [[] for _ in masks]
        seen = self.decoder.draw_several(self.view, self.asked, some.tolist())  # n 1+k 4h 4w
        rows, which = np.nonzero(wanted[some])  # m, m
        seen = seen[torch.from_numpy(rows), torch.from_numpy(which)]  # m 4h 4w
        covers = self.place is None or self.canvas.extent != self.canvas.logits
        logits, cut = fetch(self._cover(seen) if covers else seen, self._cut(seen))
        found: list[list[Patch | None]] = [[] for _ in masks]
        for row, each, gone in zip(some[rows].tolist(), logits, cut.tolist(), strict=True):
            found[row].append(None if gone else Patch.of(each) if covers else self._patch(each))
        return found

    @property
    def _one_by_one(self) -> bool:
        return self.decoder.device.type == "cpu"

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """All masks of all prompts as they cover the window, ``n 1+k mh mw``, and which of them are cut."""
        seen = self.decoder.draw_several(self.view, self.asked, range(len(self.rows)))  # n 1+k 4h 4w
        logits, cut = fetch(self._cover(seen.flatten(0, 1)), self._cut(seen))
        return logits.reshape(*cut.shape, *logits.shape[1:]), cut

    def _patch(self, seen: np.ndarray) -> Patch:
        """What was drawn in the crop, as far as the window goes."""
        (mh, mw), (x0, y0, *_) = self.canvas.logits, cast(Roi, self.place)
        x, y = x0 * FINE, y0 * FINE
        return Patch(seen[: mh - y, : mw - x], (x, y), (mh, mw))

    def _cover(self, seen: Tensor) -> Tensor:
        """Masks ``k 4h 4w`` as they cover the window, ``k mh mw``."""
        if self.place is not None:
            (gh, gw), (x0, y0, x1, y1) = self.canvas.grid, self.place
            around = seen.new_full((len(seen), gh * FINE, gw * FINE), OUTSIDE)
            around[:, y0 * FINE : y1 * FINE, x0 * FINE : x1 * FINE] = seen
            seen = around
        return self.canvas.crop(seen[None])[0]

    def _cut(self, seen: Tensor) -> Tensor:
        """Which of the masks ``*k 4h 4w`` reach an edge of the crop beyond which the window goes on."""
        cut = seen.new_zeros(seen.shape[:-2], dtype=torch.bool)
        if self.place is None:
            return cut
        (gh, gw), (x0, y0, x1, y1) = self.canvas.grid, self.place
        inner = ((x0, seen[..., 0]), (y0, seen[..., 0, :]), (gw - x1, seen[..., -1]), (gh - y1, seen[..., -1, :]))
        for beyond, edge in inner:
            if beyond:
                cut |= (edge > 0).any(-1)
        return cut


class RoiViews:
    """RoI crops of one view, each around some prompts; the latest few are kept, for prompts mostly come side by side.

    Parameters
    ----------
    view
        The whole.
    """

    def __init__(self, view: View) -> None:
        self.whole = view
        self.view = lru_cache(PARTS)(view.part)

    def batches(
        self, question: Question, sides: np.ndarray, decoder: PreparedDecoder, *, together: bool
    ) -> list[Batch]:
        """Batch prompts by the RoI crop of ``sides`` pixels in which each is decoded; 0 is the window.

        ``together`` decodes many of those that share a small crop at once; their answers agree up to rounding.
        """
        shared: dict[Roi | None, list[int]] = {}
        for row, side in enumerate(sides.tolist()):
            marks = question.points[row][question.labels[row] >= 0]  # p 2
            if question.boxes is not None:
                marks = torch.cat([marks, question.boxes[row].reshape(2, 2)])  # p+2 2
            shared.setdefault(self.around(marks, side // STRIDE), []).append(row)
        batches = []
        for place, rows in shared.items():
            cells = None
            if place is not None and together:
                cells = (place[2] - place[0]) * (place[3] - place[1])
            batches += [Batch(some, place) for some in decoder.groups(rows, cells=cells)]
        return batches

    def around(self, points: Tensor, side: int) -> Roi | None:
        """Box of ``side`` by ``side`` cells around points, ``p 2`` in pixels, of a few that neighbours share.

        None where it would be all of the view, or the points lie too far apart.
        """
        gh, gw = self.whole.grid
        if not side or not len(points) or (side >= gh and side >= gw):
            return None
        corner, step = [], max(1, side // 4)
        for places, count in zip((points / STRIDE).T.tolist(), (gw, gh), strict=True):
            if max(places) - min(places) > side - step:
                return None
            first = round(((max(places) + min(places)) / 2 - side / 2) / step) * step
            corner.append(min(max(first, 0), max(count - side, 0)))
        x, y = corner
        return x, y, min(x + side, gw), min(y + side, gh)
