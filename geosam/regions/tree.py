"""One step up the tree: the regions of a block, or of tiles put together, merged, measured, scored and cut."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from geosam.regions.block import Block, Edge
from geosam.regions.cuts import CutOptions, best_cut
from geosam.regions.graph import AREA, RegionGraph
from geosam.regions.measures import measure_nodes
from geosam.regions.merging import Merges, merge, node_sums
from geosam.regions.scoring import ScoreHead
from geosam.regions.tiles import Joined, Spot, Tile

GRAPH = ("sums", "past", "ends", "borders", "outline", "frozen")
"""Fields of a `RegionGraph`."""

EXACT = 1 << 24
"""Whole numbers up to this one are exact in single precision."""

LEAST_PX = 32
"""Nodes of fewer pixels are no objects: none so small were learned from."""


@dataclass(frozen=True)
class Growth:
    """How trees grow and are cut.

    Attributes
    ----------
    colour
        `Scale.colour` of the scene.
    head
        Scores nodes.
    levels
        The cuts, the finest first; the prices ascend.
    """

    colour: float
    head: ScoreHead
    levels: tuple[CutOptions, ...] = (CutOptions(),)


@dataclass(frozen=True, eq=False)
class Stage:
    """What is kept of the trees of a tile, to hand the cut down through them.

    Attributes
    ----------
    children, rounds, roots
        As of `Merges`.
    take
        ``levels nodes``: whether a node is taken whole if what it is part of is not.
    chance
        ``nodes``, to be an object.
    sums
        ``nodes d``, as of `RegionGraph`.
    ends, borders
        Links between the graph's regions before they merged: all of a block's, of a larger tile those over the edges
        between its parts.
    """

    children: Int64[np.ndarray, "m 2"]
    rounds: tuple[int, ...]
    roots: Int64[np.ndarray, "r"]
    take: Bool[np.ndarray, "l n"]
    chance: Float32[np.ndarray, "n"]
    sums: Float64[np.ndarray, "n d"]
    ends: Int64[np.ndarray, "e 2"]
    borders: Float64[np.ndarray, "e 2"]

    @property
    def _small(self) -> bool:
        """Whether single precision holds every area exactly."""
        return bool(self.sums[:, AREA].max(initial=0) < EXACT)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal, in small types; sums of nodes are made anew from those of the regions."""
        return {
            "children": self.children.astype(np.int32),
            "rounds": np.array(self.rounds, np.int32),
            "roots": self.roots.astype(np.int32),
            "take": self.take,
            "chance": self.chance,
            "sums": self.sums[: self.rounds[0]].astype(np.float32 if self._small else np.float64),
            "ends": self.ends.astype(np.int32),
            "borders": self.borders.astype(np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Stage":
        """The inverse of `to_arrays`."""
        whole = {name: arrays[name].astype(np.int64) for name in ("children", "roots", "ends")}
        rounds = tuple(arrays["rounds"].tolist())
        return cls(
            whole["children"],
            rounds,
            whole["roots"],
            arrays["take"],
            arrays["chance"],
            node_sums(arrays["sums"].astype(np.float64), whole["children"], rounds),
            whole["ends"],
            arrays["borders"].astype(np.float64),
        )


@dataclass(frozen=True, eq=False)
class Grown:
    """A tile after merging: what goes on to grow where it is put together with others.

    Attributes
    ----------
    tile
        Its roots.
    split
        ``levels roots``: the worth of the best cut of each root's parts.
    """

    tile: Tile
    split: Float64[np.ndarray, "l r"]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal."""
        graph = self.tile.graph
        rest = {f"rest_{name}": getattr(graph, name) for name in GRAPH}
        edges = {
            f"edge{number}_{name}": getattr(edge, name)
            for number, edge in enumerate(self.tile.edges)
            for name in ("region", "strength", "outlet")
        }
        return {**rest, **edges, "split": self.split}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Grown":
        """The inverse of `to_arrays`."""
        graph = RegionGraph(**{name: arrays[f"rest_{name}"] for name in GRAPH})
        one, two, three, four = (
            Edge(*(arrays[f"edge{number}_{name}"] for name in ("region", "strength", "outlet"))) for number in range(4)
        )
        return cls(Tile(graph, (one, two, three, four)), arrays["split"])


def grow(part: Block | Joined, split: Float64[np.ndarray, "l n"], how: Growth) -> tuple[Grown, Stage]:
    """Merge the regions of a tile as far as what is known allows, and choose among the nodes.

    Parameters
    ----------
    part
        A block, or tiles put together.
    split
        For each level and region the worth of the best cut of what it was made of, ``-inf`` if it is a grain.
    how
        Scale, scores and levels.

    Returns
    -------
    What goes on, and what is kept of its trees.
    """
    graph = part.graph
    links = (part.ends, part.borders) if isinstance(part, Joined) else (graph.ends, graph.borders)
    merges = merge(graph, how.colour)
    chances = node_chances(merges, how)
    made = np.arange(len(chances)) >= merges.leaves
    made[: merges.leaves] = np.isfinite(split[0])
    takes, splits = [], []
    for level, apart in zip(how.levels, split, strict=True):
        take, of_roots = best_cut(merges, level.worth(chances, merges.height, made), apart)
        takes.append(take)
        splits.append(of_roots)
    rank = np.full(len(merges.sums), -1)
    rank[merges.roots] = np.arange(len(merges.roots))
    one, two, three, four = (edge.moved(rank) for edge in part.edges)
    stage = Stage(
        merges.children,
        merges.rounds,
        merges.roots,
        np.stack(takes),
        chances[:, 0],
        merges.sums,
        links[0],
        links[1],
    )
    return Grown(Tile(merges.rest, (one, two, three, four)), np.stack(splits)), stage


def grow_block(block: Block, how: Growth) -> tuple[Grown, Stage]:
    """Merge the grains of a block."""
    return grow(block, np.full((len(how.levels), len(block.graph)), -np.inf), how)


def grow_joined(joined: Joined, below: Mapping[Spot, Grown], how: Growth) -> tuple[Grown, Stage]:
    """Go on merging where tiles were put together."""
    split = np.full((len(how.levels), len(joined.graph)), -np.inf)
    for spot, grown in below.items():
        split[:, joined.region_of[spot]] = grown.split
    split[:, ~joined.whole] = -np.inf
    return grow(joined, split, how)


def node_chances(merges: Merges, how: Growth) -> Float32[np.ndarray, "n 2"]:
    """Chances of all nodes; 0 for those too small to be objects."""
    chances = np.zeros((len(merges.sums), 2), np.float32)
    large = np.flatnonzero(merges.sums[:, AREA] >= LEAST_PX)
    chances[large] = how.head.score(measure_nodes(merges, how.colour, large))
    return chances
