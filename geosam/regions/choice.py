"""Which nodes of a scene's tree are taken: scored from the top down, weighed from the bottom up.

A node's chance depends on what lies above it, so that tiles are visited when the tree is whole. The way back up finds
the best cut of each tile by dynamic programming (`geosam.regions.cuts`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from geosam.regions.cuts import CutOptions, best_cut
from geosam.regions.graph import AREA
from geosam.regions.measures import measure_nodes
from geosam.regions.nodes import Nodes
from geosam.regions.scene_tree import Keep, TileGrid, load_stage
from geosam.regions.scoring import ScoreHead
from geosam.regions.tiles import Spot

LEAST_PX, MOST_PX = 32, 327_680
"""Nodes of fewer or more pixels are no objects: none so small, or so large, were learned from (four fifths of a window
of 640 px)."""


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


class _Trees(NamedTuple):
    """What the best cut of a tile's trees asks for."""

    children: Int64[np.ndarray, "m 2"]
    rounds: tuple[int, ...]
    roots: Int64[np.ndarray, "r"]


@dataclass(frozen=True, eq=False)
class _Scored:
    """A tile whose nodes are scored, as far as these are not those of the tiles below; so much of it is held.

    Attributes
    ----------
    trees, height, chances
        Of all nodes.
    whole
        Which leaves are regions of one tile below, whose chances that tile tells.
    below
        These tiles, the regions that their roots became, and the name under which is kept what lies around these.
    """

    trees: _Trees
    height: Float64[np.ndarray, "n"]
    chances: Float32[np.ndarray, "n 2"]
    whole: Bool[np.ndarray, "l"]
    below: list[tuple[Spot, np.ndarray, str]]

    @classmethod
    def of(cls, keep: Keep, level: int, spot: Spot, how: Growth, around: str | None) -> "_Scored":
        stage, joins = load_stage(keep, level, spot)
        nodes = stage.nodes if around is None else stage.nodes.under(*_load_around(keep, around, stage.roots))
        n = len(stage.sums)
        own = (stage.sums[:, AREA] >= LEAST_PX) & (stage.sums[:, AREA] <= MOST_PX)
        own[: stage.leaves] &= ~joins.whole
        rows = np.flatnonzero(own)
        chances = np.zeros((n, 2), np.float32)
        chances[rows] = how.head.score(measure_nodes(nodes, how.colour, rows))
        below = []
        for number, (member, regions) in enumerate(joins.region_of.items()):
            name = f"around-{level - 1}-{number}"  # once the next tile of this level is met, it is no longer needed
            near, at = nodes.around(regions)
            keep.put(name, {**near.to_arrays(), "at": at}, packed=False)
            below.append((member, regions, name))
        trees = _Trees(stage.children, stage.rounds, stage.roots)
        return cls(trees, nodes.height[:n].copy(), chances, joins.whole, below[::-1])


def choose_nodes(grid: TileGrid, keep: Keep, how: Growth) -> None:
    """Score the nodes of a grown tree, and keep for each tile which are taken.

    Parameters
    ----------
    grid, keep
        As `geosam.regions.scene_tree.grow_scene` was given.
    how
        Scale, scores and levels.
    """

    def visit(level: int, spot: Spot, around: str | None) -> _Roots:
        scored = _Scored.of(keep, level, spot, how, around)
        chances, split = scored.chances, np.full((len(how.levels), scored.trees.rounds[0]), -np.inf)
        while scored.below:
            member, regions, around = scored.below.pop()
            of_member = visit(level - 1, member, around)
            split[:, regions], chances[regions] = of_member.split, of_member.chances
        split[:, ~scored.whole] = -np.inf
        made = np.arange(len(chances)) >= split.shape[1]
        made[: split.shape[1]] = np.isfinite(split[0])
        cuts = [
            best_cut(scored.trees, options.worth(chances, scored.height, made), apart)
            for options, apart in zip(how.levels, split, strict=True)
        ]
        chosen = {"take": np.stack([take for take, _ in cuts]), "chance": chances[:, 0]}
        keep.put(choice_name(level, spot), chosen, packed=False)
        return _Roots(np.stack([apart for _, apart in cuts]), chances[scored.trees.roots])

    visit(grid.top, (0, 0), None)


def _load_around(keep: Keep, name: str, roots: np.ndarray) -> tuple[Nodes, np.ndarray, np.ndarray]:
    """What lies around the roots of a tile, as `Nodes.under` takes it."""
    arrays = keep.get(name)
    if arrays is None:
        raise ValueError(f"no {name}")  # it was kept a moment ago
    return Nodes.from_arrays(arrays), roots, arrays["at"]


def load_choice(keep: Keep, level: int, spot: Spot) -> Choice:
    """What was chosen among the nodes of a tile."""
    arrays = keep.get(choice_name(level, spot))
    if arrays is None:
        raise ValueError(f"no {choice_name(level, spot)}")  # it was kept a moment ago
    return Choice(arrays["take"], arrays["chance"])


def choice_name(level: int, spot: Spot) -> str:
    """The name under which it is kept what was chosen among the nodes of a tile."""
    return f"choice-{level}-{spot[0]:04d}-{spot[1]:04d}"
