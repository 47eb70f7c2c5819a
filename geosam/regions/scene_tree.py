"""The tree of a whole scene: blocks, and tiles of tiles, up to one root; memory does not grow with the scene."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from geosam.regions.block import Block, Place
from geosam.regions.tiles import Spot, Tile, join_tiles
from geosam.regions.tree import Stage, grow, tile_from_arrays, tile_to_arrays
from geosam.windows import PlannedWindow, WindowPlan

GROUP = 2
"""Tiles along a side that are put together at a time. The tree does not depend on it; more of them take more memory."""


@runtime_checkable
class Keep(Protocol):
    """Where arrays are kept by name, such as a `geosam.execute.Journal`."""

    def names(self) -> list[str]:
        """All names."""
        ...

    def put(self, name: str, arrays: dict[str, np.ndarray], *, packed: bool = True) -> None:
        """Keep arrays, packed or not."""
        ...

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Give them back; None if they are not there."""
        ...


@dataclass(frozen=True)
class TileGrid:
    """How the blocks of a scene are put together: level 0 are the blocks, each further one squares of `GROUP` tiles.

    Parameters
    ----------
    plan
        The windows; their cores are the blocks.

    Examples
    --------
    >>> grid = TileGrid(WindowPlan((6000, 2000), size=1024, overlap=64))
    >>> grid.shape(0), grid.shape(1), grid.top
    ((7, 3), (4, 2), 3)
    """

    plan: WindowPlan

    def shape(self, level: int) -> tuple[int, int]:
        """Rows and columns of tiles of a level."""
        rows, cols = self.plan.grid
        for _ in range(level):
            rows, cols = -(-rows // GROUP), -(-cols // GROUP)
        return rows, cols

    @property
    def top(self) -> int:
        """The level of one tile."""
        level = 0
        while self.shape(level) != (1, 1):
            level += 1
        return level

    def members(self, level: int, spot: Spot) -> list[Spot]:
        """The tiles of the level below that a tile is made of, row by row."""
        rows, cols = self.shape(level - 1)
        return [
            (row, col)
            for row in range(spot[0] * GROUP, min(rows, (spot[0] + 1) * GROUP))
            for col in range(spot[1] * GROUP, min(cols, (spot[1] + 1) * GROUP))
        ]

    def ends(self, level: int, spot: Spot) -> tuple[bool, bool, bool, bool]:
        """Whether the scene ends at the top, left, bottom and right of a tile."""
        rows, cols = self.shape(level)
        return spot[0] == 0, spot[1] == 0, spot[0] == rows - 1, spot[1] == cols - 1

    def blocks(self, level: int | None = None, spot: Spot = (0, 0)) -> Iterator[Spot]:
        """All blocks, tile by tile: the order in which they are put together."""
        level = self.top if level is None else level
        if level == 0:
            yield spot
        else:
            for member in self.members(level, spot):
                yield from self.blocks(level - 1, member)

    def planned(self, spot: Spot) -> PlannedWindow:
        """The window of a block."""
        return self.plan[spot[0] * self.plan.grid[1] + spot[1]]

    def place(self, spot: Spot) -> Place:
        """Where a block lies."""
        window, core = self.planned(spot).window, self.planned(spot).core
        row, col = round(core.row_off), round(core.col_off)
        top, left = row - round(window.row_off), col - round(window.col_off)
        return Place(row, col, top, left, (round(core.height), round(core.width)), self.ends(0, spot))


def grow_scene(grid: TileGrid, blocks: Iterator[tuple[Spot, Tile]], colour: float, keep: Keep) -> None:
    """Grow the tree of a scene, and keep its stages.

    Parameters
    ----------
    grid
        How the blocks lie.
    blocks
        Every block after merging, in the order of `TileGrid.blocks`; taken one by one.
    colour
        `Scale.colour` of the scene.
    keep
        Where the stages of larger tiles are kept.
    """

    def climb(level: int, spot: Spot) -> Tile:
        if level == 0:
            there, tile = next(blocks)
            if there != spot:
                raise ValueError(f"block {there} came where {spot} was next")  # a slip of the caller's, no input
            return tile
        joined = join_tiles(
            {member: climb(level - 1, member) for member in grid.members(level, spot)}, grid.ends(level, spot)
        )
        tile, stage = grow(joined, colour)
        parts = {f"region_of-{row}-{col}": regions for (row, col), regions in joined.region_of.items()}
        keep.put(stage_name(level, spot), {**stage.to_arrays(), **parts, "whole": joined.whole}, packed=False)
        return tile

    climb(grid.top, (0, 0))


def grow_kept(spot: Spot, make: Callable[[], Block], colour: float, keep: Keep) -> Tile:
    """Grow the trees of a block, or take what an earlier run has kept of them."""
    arrays = keep.get(stage_name(0, spot))
    if arrays is not None:
        return tile_from_arrays(arrays)
    block = make()
    tile, stage = grow(block, colour)
    keep.put(labels_name(spot), {"labels": block.labels.astype(np.min_scalar_type(len(block.graph)))})
    keep.put(stage_name(0, spot), {**stage.to_arrays(), **tile_to_arrays(tile)}, packed=False)
    return tile


def kept(grid: TileGrid, keep: Keep) -> set[Spot]:
    """The blocks whose trees an earlier run has kept."""
    names = set(keep.names())
    return {spot for spot in grid.blocks() if stage_name(0, spot) in names}


@dataclass(frozen=True, eq=False)
class Joins:
    """How the regions of a tile were put together from those of the tiles below; of a block nothing.

    Attributes
    ----------
    region_of
        For each tile below, the region that each of its own became.
    whole
        For each region, whether it was one region of one tile.
    """

    region_of: dict[Spot, np.ndarray]
    whole: np.ndarray


def load_stage(keep: Keep, level: int, spot: Spot) -> tuple[Stage, Joins]:
    """A stage of the tree, and how it was put together."""
    arrays = keep.get(stage_name(level, spot))
    if arrays is None:
        raise ValueError(f"no {stage_name(level, spot)}")  # it was kept a moment ago
    names = [name for name in arrays if name.startswith("region_of-")]
    spots = [(int(row), int(col)) for _, row, col in (name.split("-") for name in names)]
    stage = Stage.from_arrays(arrays)
    whole = arrays.get("whole", np.zeros(stage.leaves, bool))
    return stage, Joins({spot: arrays[name] for spot, name in zip(spots, names, strict=True)}, whole)


def load_labels(keep: Keep, spot: Spot) -> np.ndarray:
    """The grains of a block, from 1; 0 where there is no data; in the smallest type."""
    arrays = keep.get(labels_name(spot))
    if arrays is None:
        raise ValueError(f"no {labels_name(spot)}")  # it was kept a moment ago
    return arrays["labels"]


def labels_name(spot: Spot) -> str:
    """The name under which the grains of a block are kept."""
    return f"grains-{spot[0]:04d}-{spot[1]:04d}"


def stage_name(level: int, spot: Spot) -> str:
    """The name under which a tile's stage is kept."""
    return f"stage-{level}-{spot[0]:04d}-{spot[1]:04d}"
