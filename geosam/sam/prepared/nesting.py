"""Pixels in nested order: cell by cell of the coarse map, each cell's quarters in turn, and their quarters.

A transposed convolution of stride 2 turns every cell into four of its own, whatever its neighbours hold. In nested
order that is one matrix product whose output is already in order, and a mean over a cell is a mean over neighbours in
memory. Only what leaves, masks, is brought back to rows and columns.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

PAIRED = {torch.float32: torch.float64, torch.bfloat16: torch.float32, torch.float16: torch.float32}
"""A number as wide as two of another kind; only moved, never computed with."""


def nest(maps: Tensor, depth: int) -> Tensor:
    """Maps ``k h w`` to nested order, ``k N``; sides are multiples of ``2 ** depth``.

    Examples
    --------
    >>> import torch
    >>> nest(torch.arange(16).reshape(1, 4, 4), 1).tolist()
    [[0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]]
    """
    _, h, w = maps.shape
    return maps.flatten(1).index_select(1, _order(h, w, depth, maps.device))  # k N


@lru_cache(maxsize=16)
def _order(h: int, w: int, depth: int, device: torch.device) -> Int[Tensor, "N"]:
    """Where each pixel in nested order lies in reading order: looked up, pixels move ten times quicker than axes do."""
    split = torch.arange(h * w, device=device).reshape(h >> depth, *[2] * depth, w >> depth, *[2] * depth)
    rows = [1 + level for level in range(depth)]
    quarters = [axis for row in rows for axis in (row, row + depth + 1)]
    return split.permute(0, 1 + depth, *quarters).flatten()  # N


def unnest(nested: Float[Tensor, "*k N"], grid: tuple[int, int], depth: int) -> Float[Tensor, "*k h w"]:
    """Undo `nest`; ``grid`` is ``(gh, gw)`` of the coarse map.

    Examples
    --------
    >>> import torch
    >>> maps = torch.rand(3, 8, 16)
    >>> torch.equal(unnest(nest(maps, 2), (2, 4), 2), maps)
    True
    """
    gh, gw = grid
    lead, count = nested.shape[:-1], math.prod(nested.shape[:-1])
    # the innermost two lie side by side before and after: as one number of twice the width they move twice as quickly
    pairs = nested.contiguous().view(PAIRED[nested.dtype]).reshape(count, gh, gw, *[2] * (2 * depth - 1))
    rows, cols = range(3, 3 + 2 * depth, 2), range(4, 2 + 2 * depth, 2)
    moved = pairs.permute(0, 1, *rows, 2, *cols).contiguous().view(nested.dtype)  # k gh 2 2 gw 2 2
    return moved.reshape(*lead, gh << depth, gw << depth)  # k h w


def nested_index(row: Tensor, col: Tensor, columns: int, depth: int) -> Tensor:
    """Place in nested order of the pixel at a row and column; ``columns`` counts the cells of the coarse map's rows.

    Examples
    --------
    >>> import torch
    >>> int(nested_index(torch.tensor(1), torch.tensor(2), columns=2, depth=1))
    6
    """
    index = (row >> depth) * columns + (col >> depth)
    for level in reversed(range(depth)):
        index = index * 4 + (row >> level & 1) * 2 + (col >> level & 1)
    return index
