"""Which nodes of a scene's tree are taken: scored from the top down, weighed from the bottom up.

A node's chance depends on what lies above it, so that tiles are visited when the tree is whole. The way back up finds
the best cut of each tile by dynamic programming (`geosam.regions.cuts`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from geosam.regions.cuts import CutOptions, best_cut
from geosam.regions.graph import AREA
from geosam.regions.measures import measure_nodes
from geosam.regions.nodes import Nodes
from geosam.regions.scene_tree import Keep, TileGrid, load_stage
from geosam.regions.scoring import ScoreHead
from geosam.regions.tiles import Spot

LEAST_PX = 32
"""Nodes of fewer pixels are no objects: none so small were learned from."""


@dataclass(frozen=True)
class Growth:
    """How nodes are scored and trees are cut.

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
class Choice:
    """What was chosen among the nodes of a tile.

    Attributes
    ----------
    take
        ``levels nodes``: whether a node is taken whole if what it is part of is not.
    chance
        ``nodes``, to be an object.
    """

    take: Bool[np.ndarray, "l n"]
    chance: Float32[np.ndarray, "n"]


@dataclass(frozen=True, eq=False)
class _Roots:
    """Of each root of a tile: the worth of the best cut of its parts at each level, and its chances."""

    split: Float64[np.ndarray, "l r"]
    chances: Float32[np.ndarray, "r 2"]


def choose_nodes(grid: TileGrid, keep: Keep, how: Growth) -> None:
    """Score the nodes of a grown tree, and keep for each tile which are taken.

    Parameters
    ----------
    grid, keep
        As `geosam.regions.scene_tree.grow_scene` was given.
    how
        Scale, scores and levels.
    """

    def visit(level: int, spot: Spot, above: Nodes | None, at: Int64[np.ndarray, "r"]) -> _Roots:
        stage, joins = load_stage(keep, level, spot)
        nodes = stage.nodes if above is None else stage.nodes.under(above, stage.roots, at)
        n, leaves = len(stage.sums), stage.leaves
        chances = np.zeros((n, 2), np.float32)
        split = np.full((len(how.levels), leaves), -np.inf)
        for member, regions in joins.region_of.items():
            below = visit(level - 1, member, *nodes.around(regions))
            split[:, regions], chances[regions] = below.split, below.chances
        split[:, ~joins.whole] = -np.inf
        fresh = np.ones(n, bool)
        fresh[:leaves] = ~np.isfinite(split[0])
        rows = np.flatnonzero(fresh & (stage.sums[:, AREA] >= LEAST_PX))
        chances[rows] = how.head.score(measure_nodes(nodes, how.colour, rows))
        made = ~fresh | (np.arange(n) >= leaves)
        height = nodes.height[:n]
        cuts = [
            best_cut(stage, options.worth(chances, height, made), apart)
            for options, apart in zip(how.levels, split, strict=True)
        ]
        chosen = {"take": np.stack([take for take, _ in cuts]), "chance": chances[:, 0]}
        keep.put(choice_name(level, spot), chosen, packed=False)
        return _Roots(np.stack([apart for _, apart in cuts]), chances[stage.roots])

    visit(grid.top, (0, 0), None, np.zeros(0, np.int64))


def load_choice(keep: Keep, level: int, spot: Spot) -> Choice:
    """What was chosen among the nodes of a tile."""
    arrays = keep.get(choice_name(level, spot))
    if arrays is None:
        raise ValueError(f"no {choice_name(level, spot)}")  # it was kept a moment ago
    return Choice(arrays["take"], arrays["chance"])


def choice_name(level: int, spot: Spot) -> str:
    """The name under which it is kept what was chosen among the nodes of a tile."""
    return f"choice-{level}-{spot[0]:04d}-{spot[1]:04d}"
