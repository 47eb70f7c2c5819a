"""One step up the tree: the regions of a block, or of tiles put together, merged as far as what is known allows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from geosam.regions.block import Block, Edge
from geosam.regions.graph import AREA, RegionGraph
from geosam.regions.merging import merge, node_sums
from geosam.regions.nodes import Nodes, parents, siblings
from geosam.regions.tiles import Joined, Tile

GRAPH = ("sums", "past", "ends", "borders", "outline", "frozen")
"""Fields of a `RegionGraph`."""

EDGE = ("region", "strength", "outlet")
"""Fields of an `Edge`."""

EXACT = 1 << 24
"""Whole numbers up to this one are exact in single precision."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What is kept of the trees of a tile, to measure their nodes and to hand the cut down through them.

    Attributes
    ----------
    children, rounds, roots
        As of `geosam.regions.merging.Merges`.
    sums, past, outline
        Of all nodes, as of `RegionGraph`.
    ends, borders
        Links between the graph's regions before they merged: all of a block's, of a larger tile those over the edges
        between its parts.
    """

    children: Int64[np.ndarray, "m 2"]
    rounds: tuple[int, ...]
    roots: Int64[np.ndarray, "r"]
    sums: Float64[np.ndarray, "n d"]
    past: Float64[np.ndarray, "n 7"]
    outline: Float64[np.ndarray, "n 2"]
    ends: Int64[np.ndarray, "e 2"]
    borders: Float64[np.ndarray, "e 2"]

    @property
    def leaves(self) -> int:
        """Number of the graph's regions."""
        return self.rounds[0]

    @property
    def nodes(self) -> Nodes:
        """The nodes with their kin."""
        kin = parents(self.children, self.leaves), siblings(self.children, self.leaves)
        return Nodes(self.sums, self.past, self.outline, *kin)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal, in small types; sums of nodes are made anew from those of the regions."""
        small = bool(self.sums[:, AREA].max(initial=0) < EXACT)
        return {
            "children": self.children.astype(np.int32),
            "rounds": np.array(self.rounds, np.int32),
            "roots": self.roots.astype(np.int32),
            "sums": self.sums[: self.leaves].astype(np.float32 if small else np.float64),
            "past": self.past.astype(np.float32),
            "outline": self.outline.astype(np.float32),
            "ends": self.ends.astype(np.int32),
            "borders": self.borders.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Stage":
        """The inverse of `to_arrays`."""
        whole = {name: arrays[name].astype(np.int64) for name in ("children", "roots", "ends")}
        real = {name: arrays[name].astype(np.float64) for name in ("past", "outline", "borders")}
        rounds = tuple(arrays["rounds"].tolist())
        sums = node_sums(arrays["sums"].astype(np.float64), whole["children"], rounds)
        return cls(rounds=rounds, sums=sums, **whole, **real)


def grow(part: Block | Joined, colour: float) -> tuple[Tile, Stage]:
    """Merge the regions of a tile as far as what is known allows.

    Parameters
    ----------
    part
        A block, or tiles put together.
    colour
        `Scale.colour` of the scene.

    Returns
    -------
    What waits for the ground beyond, and what is kept of the trees.
    """
    graph = part.graph
    links = (part.ends, part.borders) if isinstance(part, Joined) else (graph.ends, graph.borders)
    merges = merge(graph, colour)
    rank = np.full(len(merges.sums), -1)
    rank[merges.roots] = np.arange(len(merges.roots))
    one, two, three, four = (edge.moved(rank) for edge in part.edges)
    kept = merges.children, merges.rounds, merges.roots, merges.sums, merges.past, merges.outline
    return Tile(merges.rest, (one, two, three, four)), Stage(*kept, *links)


def tile_to_arrays(tile: Tile) -> dict[str, np.ndarray]:
    """Plain arrays for a journal."""
    rest = {f"rest_{name}": getattr(tile.graph, name) for name in GRAPH}
    edges = {f"edge{number}_{name}": getattr(edge, name) for number, edge in enumerate(tile.edges) for name in EDGE}
    return {**rest, **edges}


def tile_from_arrays(arrays: Mapping[str, np.ndarray]) -> Tile:
    """The inverse of `tile_to_arrays`."""
    graph = RegionGraph(**{name: arrays[f"rest_{name}"] for name in GRAPH})
    one, two, three, four = (Edge(*(arrays[f"edge{number}_{name}"] for name in EDGE)) for number in range(4))
    return Tile(graph, (one, two, three, four))
