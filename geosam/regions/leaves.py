"""Leaves: the catchment basins of the boundary strength, a watershed without a flood.

Every pixel points to the lowest of its four neighbours and itself; whoever points to nobody else is a minimum, and its
basin are all pixels whose chain ends there (the toboggan of Fairfield 1990; catchment basins by steepest descent, Meyer
1994). Ground without any strength is one basin, whatever its outline. A chain is told by the pixels along it alone, so
that basins that reach over the borders of blocks are put together again exactly: no outline follows such a border.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from geosam.arrays import Labels

GRAIN_PX = 16
"""Leaves of fewer pixels join a neighbour before regions are compared: a car of 64 pixels keeps four grains."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """The basins of a block, and where they go on beyond it.

    Attributes
    ----------
    labels
        ``h w``: 0 where there is no data, else 1 … `count`.
    count
        Basins, and parts of basins whose minimum lies beyond the block.
    outlets
        The pixels beyond the block that basins go on into, as ``row * (w + 2) + col`` of the block with one pixel
        around it, in ascending order.
    """

    labels: Labels
    count: int
    outlets: Int64[np.ndarray, "_"]


def find_leaves(strength: Float32[np.ndarray, "hh ww"], valid: Bool[np.ndarray, "hh ww"]) -> Leaves:
    """Basins of a block.

    Parameters
    ----------
    strength
        Boundary strength of the block and one pixel around it, 0 or more.
    valid
        Where there is data, likewise; False beyond the scene.

    Examples
    --------
    >>> hills = np.pad(np.array([[1, 2, 5, 2, 0]], np.float32), 1)
    >>> find_leaves(hills, np.pad(np.ones((1, 5), bool), 1)).labels.tolist()
    [[1, 1, 1, 2, 2]]
    """
    hh, ww = strength.shape
    height = np.ascontiguousarray(strength).view(np.int32)  # floats of 0 and more are in order as whole numbers
    key = height.astype(np.int64) << 32 | np.arange(hh * ww).reshape(hh, ww)
    key[~valid] = np.iinfo(np.int64).max
    low = key[1:-1, 1:-1].copy()
    for part in (key[:-2, 1:-1], key[2:, 1:-1], key[1:-1, :-2], key[1:-1, 2:]):
        np.minimum(low, part, out=low)
    onward = np.arange(hh * ww, dtype=np.int32).reshape(hh, ww)
    inside = valid[1:-1, 1:-1]
    onward[1:-1, 1:-1][inside] = (low[inside] & 0xFFFFFFFF).astype(np.int32)
    even = valid & (strength <= 0)
    outlets = _fill(onward, even)
    onward = _ends(onward.ravel())
    ends = onward.reshape(hh, ww)[1:-1, 1:-1][inside]
    number = np.zeros(hh * ww, np.int32)
    number[ends] = 1
    roots = np.flatnonzero(number)
    number[roots] = np.arange(1, len(roots) + 1)
    labels = np.zeros(inside.shape, np.int32)
    labels[inside] = number[ends]
    row, col = np.divmod(roots, ww)
    beyond = (row == 0) | (row == hh - 1) | (col == 0) | (col == ww - 1)
    return Leaves(labels, len(roots), np.union1d(roots[beyond], outlets))


def _fill(onward: Int32[np.ndarray, "hh ww"], even: Bool[np.ndarray, "hh ww"]) -> Int64[np.ndarray, "_"]:
    """Let all pixels of even ground inside point to its first one; give the pixels beyond in which it goes on."""
    inside = even[1:-1, 1:-1]
    if not inside.any():
        return np.zeros(0, np.int64)
    ground = np.zeros(inside.shape, np.int32)
    ndimage.label(inside, output=ground)
    places = np.arange(even.size, dtype=np.int32).reshape(even.shape)
    first = np.zeros(ground.max() + 1, np.int32)
    first[ground.ravel()[::-1]] = places[1:-1, 1:-1].ravel()[::-1]  # the last to be written stays
    onward[1:-1, 1:-1][inside] = first[ground[inside]]
    beyond = np.zeros_like(even)
    beyond[0, 1:-1], beyond[-1, 1:-1], beyond[1:-1, 0], beyond[1:-1, -1] = (
        inside[0],
        inside[-1],
        inside[:, 0],
        inside[:, -1],
    )
    return np.flatnonzero(beyond & even)


def _ends(onward: Int32[np.ndarray, "n"]) -> Int32[np.ndarray, "n"]:
    """Where each chain ends, by doubling the steps."""
    while True:
        further = onward[onward]
        if np.array_equal(further, onward):
            return onward
        onward = further


def settle(
    area: np.ndarray,
    ends: Int64[np.ndarray, "e 2"],
    borders: Float64[np.ndarray, "e 2"],
    frozen: Bool[np.ndarray, "n"],
) -> tuple[Int64[np.ndarray, "n"], int]:
    """Let every leaf of less than `GRAIN_PX` pixels join the neighbour behind its weakest border.

    Parameters
    ----------
    area, frozen
        Pixels of each leaf; leaves that may go on beyond the block neither join nor are joined.
    ends, borders
        Neighbours, as of `geosam.regions.graph.RegionGraph`.

    Returns
    -------
    For each leaf the grain that it is part of, counted from 0; and the number of grains.
    """
    n = len(area)
    cost = borders[:, 1] / borders[:, 0]
    best = np.full(n, np.inf)
    chosen = np.full(n, -1)
    for here in (0, 1):
        np.minimum.at(best, ends[:, here], cost)
    for here in (1, 0):  # of equals the last to be written stays: the first link
        equal = np.flatnonzero(cost == best[ends[:, here]])[::-1]
        chosen[ends[equal, here]] = ends[equal, 1 - here]
    small = np.flatnonzero((area < GRAIN_PX) & ~frozen & (chosen >= 0))
    small = small[~frozen[chosen[small]]]
    joins = sparse.coo_array((np.ones(len(small), np.int8), (small, chosen[small])), shape=(n, n))
    count, grain = connected_components(joins, directed=False)
    return grain.astype(np.int64), count
