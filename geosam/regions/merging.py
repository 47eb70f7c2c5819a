"""The merge tree: neighbours become one region, the most alike and the smallest first.

Two neighbours differ by the mean boundary strength along their border and by the distance of their mean colours and
features; small regions are cheaper to merge, so that grain goes first and large even regions meet last. In each round
all pairs merge of which each is the other's best neighbour (reciprocal nearest neighbours, Bruynooghe 1978): what such
a pair becomes does not depend on what happens elsewhere, and a round is a few passes over arrays.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from geosam.regions.graph import (
    AREA,
    BALANCE,
    CHILD_HEIGHT,
    COLOUR,
    FEATURES,
    HEIGHT,
    LAST,
    SQUARES,
    WITHIN,
    RegionGraph,
    add_sums,
    sum_links,
)
from geosam.regions.nodes import parents, siblings


@dataclass(frozen=True)
class MergeOptions:
    """How neighbours are compared.

    Attributes
    ----------
    border
        Share of the boundary strength in the cost of merging; the rest is the distance of the means.
    colour
        Share of colour in that distance; the rest is the features'.
    small_px, power
        The cost is multiplied by ``min(1, area / small_px) ** power``, for the smaller of the two.
    """

    border: float | int = 0.6
    colour: float | int = 0.3
    small_px: float | int = 16000.0
    power: float | int = 0.3


@dataclass(frozen=True, eq=False)
class Merges:
    """What became of the regions of a graph.

    Attributes
    ----------
    children
        ``m 2``: node ``n + i`` is made of these two; nodes 0 … n - 1 are the graph's regions. Children come first.
    sums, past, outline
        ``n + m``, as of `RegionGraph`. The height of a node is at least those of its children.
    rest
        What cannot merge any more, as a graph whose region k is node ``roots[k]``.
    roots
        Nodes without a parent, in ascending order.
    rounds
        Node numbers at which the rounds begin, and the number of all nodes at the end: nodes of one round are made of
        those of earlier ones.
    """

    children: Int64[np.ndarray, "m 2"]
    sums: Float64[np.ndarray, "nm d"]
    past: Float64[np.ndarray, "nm 7"]
    outline: Float64[np.ndarray, "nm 2"]
    rest: RegionGraph
    roots: Int64[np.ndarray, "r"]
    rounds: tuple[int, ...]

    @property
    def leaves(self) -> int:
        """Number of the graph's regions."""
        return self.rounds[0]

    @property
    def height(self) -> Float64[np.ndarray, "nm"]:
        """The cost at which each node was made."""
        return self.past[:, HEIGHT]

    @property
    def parent(self) -> Int64[np.ndarray, "nm"]:
        """The node that each node became part of; -1 for a root."""
        return parents(self.children, self.leaves)

    @property
    def sibling(self) -> Int64[np.ndarray, "nm"]:
        """The node that each node was merged with; itself for a root."""
        return siblings(self.children, self.leaves)

    def accumulate(self, values: np.ndarray) -> np.ndarray:
        """Sums over the regions of each node, from values of the graph's regions (``n ...``)."""
        total = np.zeros((len(self.sums), *values.shape[1:]), values.dtype)
        total[: self.leaves] = values
        for first, last in pairwise(self.rounds):
            one, other = self.children[first - self.leaves : last - self.leaves].T
            total[first:last] = total[one] + total[other]
        return total


def merge(graph: RegionGraph, colour_scale: float, options: MergeOptions | None = None) -> Merges:
    """Merge until no two regions may.

    Parameters
    ----------
    graph
        The regions.
    colour_scale
        Grey levels that count as much as features of length 1: `Scale.colour`.
    options
        How neighbours are compared.
    """
    forest = _Forest(graph, colour_scale, options or MergeOptions())
    ends, borders = graph.ends, graph.borders
    costs = forest.costs(ends, borders)
    while len(chosen := _reciprocal(ends, costs, forest.frozen, forest.made)):
        became = forest.join(ends[chosen], borders[chosen], costs[chosen])
        moved = became[ends]
        touched = (moved[:, 0] != ends[:, 0]) | (moved[:, 1] != ends[:, 1])
        fresh, summed = sum_links(moved[touched], borders[touched])
        ends = np.concatenate([ends[~touched], fresh])
        borders = np.concatenate([borders[~touched], summed])
        costs = np.concatenate([costs[~touched], forest.costs(fresh, summed)])
    return forest.finish(ends, borders)


class _Forest:
    """Trees that grow: arrays with room for every node that may come."""

    def __init__(self, graph: RegionGraph, colour_scale: float, options: MergeOptions) -> None:
        n = len(graph)
        most = max(2 * n - 1, n)
        self.scale, self.options, self.made = colour_scale, options, n
        self.sums, self.past, self.outline = (
            np.concatenate([each, np.zeros((most - n, each.shape[1]))])
            for each in (graph.sums, graph.past, graph.outline)
        )
        self.frozen = np.concatenate([graph.frozen, np.zeros(most - n, bool)])
        means = appearance(graph.sums, colour_scale, self.options)
        self.means = np.concatenate([means, np.zeros((most - n, means.shape[1]), np.float32)])
        self.children: list[np.ndarray] = []
        self.rounds = [n]

    def join(self, pairs: np.ndarray, borders: np.ndarray, costs: np.ndarray) -> Int64[np.ndarray, "nm"]:
        """Make a node of each pair; returns the node that each node is part of now."""
        one, other = pairs.T
        new = np.arange(self.made, self.made + len(pairs))
        self.sums[new] = add_sums(self.sums[one], self.sums[other])
        self.means[new] = appearance(self.sums[new], self.scale, self.options)
        self.outline[new] = self.outline[one] + self.outline[other] - 2 * borders
        past = self.past[new]
        child_height = np.maximum(self.past[one, HEIGHT], self.past[other, HEIGHT])
        past[:, HEIGHT], past[:, CHILD_HEIGHT] = np.maximum(costs, child_height), child_height
        past[:, WITHIN:LAST] = self.past[one, WITHIN:LAST] + self.past[other, WITHIN:LAST] + borders
        past[:, LAST:BALANCE] = borders
        past[:, BALANCE] = np.minimum(self.sums[one, AREA], self.sums[other, AREA]) / self.sums[new, AREA]
        self.past[new] = past
        self.children.append(pairs)
        became = np.arange(self.made + len(new))
        became[pairs.ravel()] = np.repeat(new, 2)
        self.made += len(new)
        self.rounds.append(self.made)
        return became

    def costs(self, ends: Int64[np.ndarray, "e 2"], borders: Float64[np.ndarray, "e 2"]) -> Float64[np.ndarray, "e"]:
        """What merging the two regions of each link would cost."""
        one, other = ends.T
        apart = self.means[one] - self.means[other]
        distance = np.sqrt(np.einsum("ek,ek->e", apart, apart)).astype(np.float64)
        smaller = np.minimum(self.sums[one, AREA], self.sums[other, AREA])
        share = self.options.border
        cost = share * borders[:, 1] / borders[:, 0] + (1 - share) * distance
        return cost * np.minimum(1, smaller / self.options.small_px) ** self.options.power

    def finish(self, ends: Int64[np.ndarray, "e 2"], borders: Float64[np.ndarray, "e 2"]) -> Merges:
        """The trees, and the graph of their roots."""
        children = np.concatenate([np.zeros((0, 2), np.int64), *self.children])
        alone = np.ones(self.made, bool)
        alone[children.ravel()] = False
        roots = np.flatnonzero(alone)
        rank = np.zeros(self.made, np.int64)
        rank[roots] = np.arange(len(roots))
        sums, past, outline = self.sums[: self.made], self.past[: self.made], self.outline[: self.made]
        rest = RegionGraph(sums[roots], past[roots], rank[ends], borders, outline[roots], self.frozen[roots])
        return Merges(children, sums, past, outline, rest, roots, tuple(self.rounds))


def node_sums(
    sums: Float64[np.ndarray, "n d"], children: Int64[np.ndarray, "m 2"], rounds: tuple[int, ...]
) -> Float64[np.ndarray, "nm d"]:
    """Sums of all nodes, from those of the graph's regions."""
    n = rounds[0]
    total = np.concatenate([sums, np.zeros((len(children), sums.shape[1]))])
    for first, last in pairwise(rounds):
        one, other = children[first - n : last - n].T
        total[first:last] = add_sums(total[one], total[other])
    return total


def appearance(
    sums: Float64[np.ndarray, "n d"], colour_scale: float, options: MergeOptions
) -> Float32[np.ndarray, "n k"]:
    """Mean colours and features of regions, weighted, in one vector: regions differ by its distance."""
    area, share = sums[:, AREA : AREA + 1], options.colour
    colour = np.sqrt(share / 3) / colour_scale * sums[:, COLOUR:SQUARES] / area
    return np.concatenate([colour, np.sqrt(1 - share) * sums[:, FEATURES:] / area], 1).astype(np.float32)


def _reciprocal(
    ends: Int64[np.ndarray, "e 2"], costs: Float64[np.ndarray, "e"], frozen: Bool[np.ndarray, "n"], count: int
) -> Int64[np.ndarray, "p"]:
    """Links whose two regions are each other's best neighbour, neither frozen; among equals the first link."""
    best = np.full(count, np.inf)
    one, other = ends.T
    np.minimum.at(best, one, costs)
    np.minimum.at(best, other, costs)
    near = np.flatnonzero((costs == best[one]) & (costs == best[other]))
    first = np.full(count, len(ends))
    equal_one, equal_other = np.flatnonzero(costs == best[one]), np.flatnonzero(costs == best[other])
    np.minimum.at(first, one[equal_one], equal_one)
    np.minimum.at(first, other[equal_other], equal_other)
    mutual = near[(first[one[near]] == near) & (first[other[near]] == near)]
    return mutual[~frozen[ends[mutual]].any(1)]
