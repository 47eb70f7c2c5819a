"""What is drawn of each prompt over the image, in nested order and no more of it than is not zero.

The same function as `geosam.nano.likeness.Likeness` and `geosam.nano.prompt_map.PromptMap`. Of the likeness' channels
only those are made that a prompt has anything to say in. The drawing of a lone click depends on nothing but how far
every cell is from it: clicks that lie alike within their cells, such as those of a grid, share one drawing, twice as
wide and high as the image, of which each takes its part.
"""

from functools import lru_cache
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from geosam.nano.likeness import SHARPNESS, STRIDE, box_cells
from geosam.nano.prompt_map import PromptMap
from geosam.sam.prepared.decoder import Question
from geosam.sam.prepared.nesting import nest, nested_index
from geosam.sam.prepared.upscaling import DEPTH, Hints, pick

PHASE = 8.0
"""Clicks share drawings if they lie at whole multiples of this many pixels."""

WIDE = int(16 // PHASE) ** 2
"""Shared drawings that are kept: as many as clicks on one image can have use for."""

CELL = 4**DEPTH
"""Pixels of the finest features in one cell of the image embedding."""

Kind = tuple[int, int]
"""A pair of channels, and the label of the clicks that it is about."""

INSIDE, OUTSIDE, BOX = 0, 1, 2
"""Pairs of channels: like inside clicks, like outside clicks; from BOX on, the box's inside and its surroundings."""


class Surroundings(NamedTuple):
    """The finest features of one image in nested order, ``e 16N``, and their squared lengths, ``16N``."""

    features: Tensor
    squares: Tensor
    grid: tuple[int, int]

    @classmethod
    def of(cls, finest: Tensor, grid: tuple[int, int]) -> "Surroundings":
        """Measure the finest features ``e 16N`` of an image, in nested order, once for all prompts."""
        features = finest.float()  # e 16N
        return cls(features, features.square().sum(0), grid)

    def part(self, place: tuple[int, int, int, int]) -> "Surroundings":
        """Those of a box of cells, ``x0 y0 x1 y1``."""
        x0, y0, x1, y1 = place
        cut = slice(y0, y1), slice(x0, x1)
        features = self.features.reshape(-1, *self.grid, CELL)[:, *cut].flatten(1)  # e 16n
        squares = self.squares.reshape(*self.grid, CELL)[cut].flatten()  # 16n
        return Surroundings(features, squares, (y1 - y0, x1 - x0))


def kinds(labels: Tensor) -> list[Kind]:
    """Tell which pairs of channels clicks have anything to say in.

    Examples
    --------
    >>> kinds(torch.tensor([[1, -1]])), kinds(torch.tensor([[1, 0]]))
    ([(0, 1)], [(0, 1), (1, 0)])
    """
    return [(pair, label) for pair, label in ((INSIDE, 1), (OUTSIDE, 0)) if bool((labels == label).any())]


def likeness(around: Surroundings, points: Tensor, labels: Tensor, boxes: Tensor | None, *, kinds: list[Kind]) -> Hints:
    """Tell how much every pixel looks like what ``n`` prompts mark, as `geosam.nano.likeness.Likeness` does."""
    found: list[Tensor] = []
    pairs: list[int] = []
    if kinds:
        squares = _distances(around, _anchors(around, points)).unflatten(0, labels.shape)  # n p 16N
        for pair, label in kinds:
            found.append(squares.masked_fill((labels != label)[..., None], float("inf")).amin(1))  # n 16N
            pairs.append(pair)
    if boxes is not None:
        gh, gw = around.grid
        inside, core, ring = box_cells(boxes / STRIDE, gh << DEPTH, gw << DEPTH)  # n q r, three times
        for pair, cells in ((BOX, core), (BOX + 1, ring & ~inside)):
            found.append(_distances(around, _prototypes(around, nest(cells, DEPTH).float())))  # n 16N
            pairs.append(pair)
    maps = [torch.exp(-sharpness * each) for each in found for sharpness in SHARPNESS]
    which = [pair * len(SHARPNESS) + level for pair in pairs for level in range(len(SHARPNESS))]
    return Hints(torch.stack(maps, 1), which) if maps else Hints(around.squares.new_zeros(len(labels), 0, 0), [])


def _anchors(around: Surroundings, points: Tensor) -> Tensor:
    gh, gw = around.grid
    col, row = (points / STRIDE).long().flatten(0, 1).unbind(-1)  # np, np
    row, col = row.clamp(0, (gh << DEPTH) - 1), col.clamp(0, (gw << DEPTH) - 1)
    return around.features[:, nested_index(row, col, gw, DEPTH)].T  # np e


def lone_places(points: Tensor, labels: Tensor, boxes: Tensor | None) -> list[tuple[float, float]] | None:
    """Places of prompts that are each a single inside click and nothing else; None if some are not.

    Examples
    --------
    >>> lone_places(torch.tensor([[[4.0, 8.0]]]), torch.tensor([[1]]), None)
    [(4.0, 8.0)]
    """
    if boxes is not None or labels.shape[1] != 1 or not bool((labels == 1).all()):
        return None
    return [(x, y) for x, y in points[:, 0].tolist()]


def _prototypes(around: Surroundings, weights: Tensor) -> Tensor:
    return weights @ around.features.T / weights.sum(1, keepdim=True).clamp(min=1)  # n e


def _distances(around: Surroundings, anchors: Tensor) -> Tensor:
    """Squared distance of every pixel to every anchor, ``k 16N``."""
    squares = torch.addmm(around.squares, anchors, around.features, alpha=-2)  # k 16N
    return squares.add_(anchors.square().sum(1, keepdim=True)).clamp_(min=0)  # k 16N


class PreparedDrawing:
    """Adds to the cells of an image what is drawn of a prompt.

    Parameters
    ----------
    prompt_map
        Draws where points and boxes lie.
    likeness_map
        Projects the maps of likeness, averaged over cells, to the cells' width.
    dtype
        Precision of the cells.
    """

    def __init__(self, prompt_map: PromptMap, likeness_map: nn.Conv2d, dtype: torch.dtype) -> None:
        self.prompt_map = prompt_map
        self.weight = likeness_map.weight[:, :, 0, 0].T.contiguous()  # l c
        self.bias = cast(Tensor, likeness_map.bias)
        self.dtype = dtype
        self.wide = lru_cache(WIDE)(self._wide)

    def _wide(self, grid: tuple[int, int], phase: tuple[float, float]) -> Tensor:
        """The drawing of a lone inside click that lies at `phase` in its cell, with all cells around: ``h w c``."""
        gh, gw = grid
        point = torch.tensor(phase) + torch.tensor([gw - 1.0, gh - 1.0]) * self.prompt_map.stride  # 2
        weight = self.weight
        labels = torch.ones(1, 1, dtype=torch.long, device=weight.device)
        drawn = self.prompt_map(point[None, None].to(weight.device), labels, grid=(2 * gh - 1, 2 * gw - 1))  # 1 c h w
        return drawn[0].permute(1, 2, 0).to(self.dtype).contiguous()  # h w c

    def _lone(self, x: float, y: float, grid: tuple[int, int]) -> Tensor | None:
        """The part of a shared drawing that a lone inside click takes, ``gh gw c``; None if it shares none."""
        gh, gw = grid
        if x % PHASE or y % PHASE or not (0 <= x < gw * 16 and 0 <= y < gh * 16):
            return None
        col, row = int(x // 16), int(y // 16)
        wide = self.wide(grid, (x % 16, y % 16))
        return wide[gh - 1 - row : 2 * gh - 1 - row, gw - 1 - col : 2 * gw - 1 - col]

    def look(self, finest: Tensor, grid: tuple[int, int]) -> Surroundings:
        """See `geosam.sam.prepared.decoder.Drawing`."""
        return Surroundings.of(finest, grid)

    def draw(
        self, cells: Tensor, around: Surroundings, question: Question, prompts: tuple[Tensor, Tensor, Tensor | None]
    ) -> tuple[Tensor, Hints]:
        """See `geosam.sam.prepared.decoder.Drawing`."""
        hints = likeness(around, *prompts, kinds=kinds(question.labels))
        lone = lone_places(question.points, question.labels, question.boxes)
        return self.add(cells, around, hints, prompts=prompts, lone=lone), hints  # n N c

    def add(
        self,
        cells: Tensor,
        around: Surroundings,
        hints: Hints,
        *,
        prompts: tuple[Tensor, Tensor, Tensor | None],
        lone: list[tuple[float, float]] | None,
    ) -> Tensor:
        """Draw ``n`` prompts, ``points, labels, boxes``, over cells ``m N c``: ``n N c``.

        ``lone`` are their `lone_places`.
        """
        points, labels, boxes = prompts
        drawn = self._shared(lone or [], around.grid)  # n gh gw c
        if drawn is None:
            drawn = self.prompt_map(points, labels, grid=around.grid, boxes=boxes).permute(0, 2, 3, 1).to(self.dtype)
        drawn = drawn.flatten(1, 2)  # n N c
        cells = cells + drawn  # n N c
        if not hints.which:
            return cells + self.bias.to(self.dtype)  # n N c
        near = hints.maps.unflatten(2, (-1, CELL)).mean(-1)  # n l N
        liked = pick(self.weight, hints.which).expand(len(near), -1, -1)  # n l c
        return torch.baddbmm(cells, near.mT.to(self.dtype), liked.to(self.dtype)).add_(self.bias)  # n N c

    def _shared(self, places: list[tuple[float, float]], grid: tuple[int, int]) -> Tensor | None:
        """The parts of shared drawings that lone inside clicks take, ``n gh gw c``; None if one of them shares none."""
        known = [each for x, y in places if (each := self._lone(x, y, grid)) is not None]
        if not known or len(known) < len(places):
            return None
        return known[0][None] if len(known) == 1 else torch.stack(known)  # n gh gw c
