"""Which nodes of the tree become segments: the cut that promises most, found by dynamic programming.

A cut takes one node on every way from a leaf to the root, so that each pixel lies in exactly one segment. Worth of a
cut is the sum of its nodes' worths less a price for each segment: the expected number of objects found. A node is
taken whole where that is worth at least as much as the best cut of its two parts.

Prices give levels: where the price is higher segments are unions of those of a lower one (scale-sets, Guigues et al.
2006), for what a node gains over its parts only grows with the price.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

NEVER = -1e6
"""Worth of a node that must not be taken if it can be avoided; what remains of it when summed is exact."""


@dataclass(frozen=True)
class CutOptions:
    """How nodes are valued; tuned on windows of `train` that the scores were not learned from.

    Attributes
    ----------
    sure
        Least chance to be an object for which a node is worth anything.
    better
        Weight of the chance to agree at an IoU of 0.75 beside that at 0.5.
    height
        Ground that is no sure object is cut where merging it would cost more than this.
    price
        Of each segment, in objects.
    """

    sure: float | int = 0.1
    better: float | int = 0.5
    height: float | int = 0.2
    price: float | int = 0.03

    def worth(
        self, chances: Float32[np.ndarray, "n 2"], height: Float64[np.ndarray, "n"], made: Bool[np.ndarray, "n"]
    ) -> Float64[np.ndarray, "n"]:
        """What each node is worth as a segment; `made` tells nodes from leaves, which always may be taken."""
        chance = chances[:, 0].astype(np.float64)
        sure = chance >= self.sure
        value = np.where(sure, chance + self.better * chances[:, 1], 0.0)
        return np.where(made & ~sure & (height > self.height), NEVER, value) - self.price


DETAILS = {
    "coarse": tuple(CutOptions(price=price) for price in (0.2, 0.6, 1.8)),
    "normal": tuple(CutOptions(price=price) for price in (0.03, 0.2, 0.6)),
    "fine": tuple(CutOptions(height=0.1, price=price) for price in (0.03, 0.2, 0.6)),
}
"""By name, the cut that is the map, and two coarser ones, whose segments are unions of those of the finer."""


@runtime_checkable
class Trees(Protocol):
    """Trees that are cut, as `geosam.regions.merging.Merges` has them."""

    @property
    def children(self) -> Int64[np.ndarray, "m 2"]: ...  # noqa: D102 - as there
    @property
    def rounds(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def roots(self) -> Int64[np.ndarray, "r"]: ...  # noqa: D102


def best_cut(
    trees: Trees, worth: Float64[np.ndarray, "n"], split: Float64[np.ndarray, "l"]
) -> tuple[Bool[np.ndarray, "n"], Float64[np.ndarray, "r"]]:
    """Which nodes to take whole, if what they are part of is not.

    Parameters
    ----------
    trees
        The trees.
    worth
        Of each node.
    split
        For each of the graph's regions, the worth of the best cut of what it was made of; ``-inf`` for what cannot be
        cut.

    Returns
    -------
    The flags, and for each root the worth of the best cut of its parts.
    """
    n = trees.rounds[0]
    apart = np.concatenate([split, np.zeros(len(worth) - n)])
    best = worth.copy()
    best[:n] = np.maximum(worth[:n], split)
    for first, last in pairwise(trees.rounds):
        one, other = trees.children[first - n : last - n].T
        apart[first:last] = best[one] + best[other]
        best[first:last] = np.maximum(worth[first:last], apart[first:last])
    return worth >= apart, apart[trees.roots]


def follow(
    children: Int64[np.ndarray, "m 2"],
    rounds: tuple[int, ...],
    take: Bool[np.ndarray, "n"],
    segment: Int64[np.ndarray, "n"],
    first_id: int,
) -> Int64[np.ndarray, "k"]:
    """Hand the cut down from the roots to the leaves.

    Parameters
    ----------
    children, rounds
        As of `Merges`.
    take
        Which nodes are taken whole, if what they are part of is not.
    segment
        The segment of each node: given for the roots (-1 where these are cut), else -1; filled here.
    first_id
        The first number for new segments.

    Returns
    -------
    The nodes that became the segments ``first_id``, ``first_id + 1`` …
    """
    n, taken, count = rounds[0], [], 0
    for first, last in reversed(list(pairwise(rounds))):
        nodes = np.arange(first, last)
        below = children[first - n : last - n]
        inside = segment[nodes] >= 0
        segment[below[inside].ravel()] = np.repeat(segment[nodes[inside]], 2)
        free = below[~inside].ravel()
        free = free[take[free]]
        segment[free] = np.arange(first_id + count, first_id + count + len(free))
        taken.append(free)
        count += len(free)
    return np.concatenate([np.zeros(0, np.int64), *taken])
