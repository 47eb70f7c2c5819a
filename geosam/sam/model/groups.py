"""Prompts that have been put to a window or to a part of it, and the masks that are drawn of them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from geosam.arrays import Patch
from geosam.sam.model.canvas import OUTSIDE, SAMPLING, Canvas
from geosam.sam.model.network import STRIDE
from geosam.sam.prepared import Asked, PreparedDecoder, Question, View

PARTS = 16
"""Parts of a view that are kept while it is asked."""

FINE = STRIDE // SAMPLING
"""Cells of the mask logits to a side of one of the image embedding."""


Place = tuple[int, int, int, int]
"""Surroundings: a box of cells of the image embedding, ``x0 y0 x1 y1``."""


class Lot(NamedTuple):
    """Prompts that are put together: their places among all, and the surroundings that they share, None for all."""

    rows: Sequence[int]
    place: Place | None


class Group(NamedTuple):
    """Some prompts that have been put to a window.

    Attributes
    ----------
    rows
        Their places among all prompts.
    """

    rows: Sequence[int]
    canvas: Canvas
    decoder: PreparedDecoder
    view: View
    asked: Asked
    place: Place | None = None

    @property
    def iou(self) -> np.ndarray:
        """Predicted IoUs, ``n 1+k``, the one for clear prompts first."""
        return self.asked.iou.float().cpu().numpy()

    def draw(self, place: int, masks: slice | list[int]) -> np.ndarray:
        """Logits of some masks of one of the prompts, as they cover the window: ``k mh mw``."""
        logits = self.decoder.draw(self.view, self.asked, place, masks)  # k 4gh 4gw
        return self.canvas.crop(logits[None])[0].cpu().numpy()  # k mh mw

    def draw_and_tell(self, place: int, masks: list[int]) -> tuple[np.ndarray, Bool[np.ndarray, "k"]]:
        """Logits of some masks as they cover the window, ``k mh mw``, and which the edge of the surroundings cuts.

        Around the surroundings is nothing.
        """
        if self.place is None:
            return self.draw(place, masks), np.zeros(len(masks), bool)
        seen = self.decoder.draw(self.view, self.asked, place, masks)  # k 4h 4w
        return self._around(seen), self._cut(seen, self.place).cpu().numpy()

    def patches(self, wanted: Bool[np.ndarray, "n k"]) -> list[list[Patch | None]]:
        """Logits of the masks that are wanted of each prompt; None for those that the edge of the surroundings cuts."""
        masks = [np.flatnonzero(row).tolist() for row in wanted]
        if self.place is None:
            drawn = [self.draw(place, some) if some else () for place, some in enumerate(masks)]
            return [[Patch.of(each) for each in some] for some in drawn]
        places = [place for place, some in enumerate(masks) if some]
        found: list[list[Patch | None]] = [[] for _ in masks]
        if not places:
            return found
        seen = self.decoder.draw_several(self.view, self.asked, places)  # n 1+k 4h 4w
        cut = self._cut(seen, self.place).tolist()
        for place, drawn, gone in zip(places, seen, cut, strict=True):
            found[place] = [None if gone[each] else self._patch(drawn[each], self.place) for each in masks[place]]
        return found

    def _patch(self, seen: Tensor, place: Place) -> Patch:
        """What was drawn in the surroundings, as far as the window goes."""
        mh, mw = self.canvas.logits
        if self.canvas.extent != (mh, mw):
            return Patch.of(self._around(seen[None])[0])
        x, y = place[0] * FINE, place[1] * FINE
        return Patch(seen[: mh - y, : mw - x].cpu().numpy(), (x, y), (mh, mw))

    def _around(self, seen: Tensor) -> np.ndarray:
        """Masks ``k 4h 4w`` of the surroundings as they cover the window, ``k mh mw``."""
        (gh, gw), (x0, y0, x1, y1) = self.canvas.grid, cast(Place, self.place)
        logits = seen.new_full((len(seen), gh * FINE, gw * FINE), OUTSIDE)
        logits[:, y0 * FINE : y1 * FINE, x0 * FINE : x1 * FINE] = seen
        return self.canvas.crop(logits[None])[0].cpu().numpy()

    def _cut(self, seen: Tensor, place: Place) -> Tensor:
        """Which of the masks ``*k 4h 4w`` reach an edge of the surroundings beyond which the window goes on."""
        (gh, gw), (x0, y0, x1, y1) = self.canvas.grid, place
        inner = ((x0, seen[..., 0]), (y0, seen[..., 0, :]), (gw - x1, seen[..., -1]), (gh - y1, seen[..., -1, :]))
        cut = seen.new_zeros(seen.shape[:-2], dtype=torch.bool)
        for beyond, edge in inner:
            cut |= (edge > 0).any(-1) & bool(beyond)
        return cut


class Parts:
    """Parts of one view, each around some prompts; the latest few are kept, for prompts mostly come side by side.

    Parameters
    ----------
    view
        The whole.
    """

    def __init__(self, view: View) -> None:
        self.whole = view
        self.view = lru_cache(PARTS)(view.part)

    def lots(self, question: Question, sides: np.ndarray, decoder: PreparedDecoder, *, together: bool) -> list[Lot]:
        """Sort prompts by the surroundings of ``sides`` pixels in which each is answered; 0 is the window.

        ``together`` puts many of those that share small surroundings at once; their answers agree up to rounding.
        """
        shared: dict[Place | None, list[int]] = {}
        for row, side in enumerate(sides.tolist()):
            marks = question.points[row][question.labels[row] >= 0]  # p 2
            if question.boxes is not None:
                marks = torch.cat([marks, question.boxes[row].reshape(2, 2)])  # p+2 2
            shared.setdefault(self.around(marks, side // STRIDE), []).append(row)
        lots = []
        for place, rows in shared.items():
            cells = None
            if place is not None and together:
                cells = (place[2] - place[0]) * (place[3] - place[1])
            lots += [Lot(some, place) for some in decoder.groups(rows, cells=cells)]
        return lots

    def around(self, points: Tensor, side: int) -> Place | None:
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
