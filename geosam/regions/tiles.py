"""Blocks put together: regions at their edges become whole, and merging goes on.

A tile is a block, or tiles side by side in a square. Regions that reach a tile's edge wait (`RegionGraph.frozen`) until
the tiles beyond have been joined, so that a region's neighbours are always all known when it merges, and no tile's
edge leaves a trace. Tiles are small at every size: what is inside has merged into few regions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from geosam.regions.block import Edge
from geosam.regions.graph import RIM, RegionGraph, add_up, outlines, sum_links

TOP_EDGE, LEFT_EDGE, BOTTOM_EDGE, RIGHT_EDGE = range(4)

Spot = tuple[int, int]
"""Row and column of a tile among its like."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Regions that cannot merge further before what lies around them is known.

    Attributes
    ----------
    graph
        The regions.
    edges
        Top, left, bottom and right, by the numbers of the regions.
    """

    graph: RegionGraph
    edges: tuple[Edge, Edge, Edge, Edge]


@dataclass(frozen=True, eq=False)
class Joined:
    """Tiles side by side as one graph, before merging.

    Attributes
    ----------
    graph
        The regions; those that were cut by an edge between tiles are whole.
    edges
        The outer edges.
    ends, borders
        Links over the edges between the tiles alone.
    region_of
        For each tile, the region that each of its own became.
    whole
        For each region, whether it was one region of one tile.
    """

    graph: RegionGraph
    edges: tuple[Edge, Edge, Edge, Edge]
    ends: Int64[np.ndarray, "e 2"]
    borders: Float64[np.ndarray, "e 2"]
    region_of: Mapping[Spot, Int64[np.ndarray, "_"]]
    whole: Bool[np.ndarray, "n"]


def join_tiles(tiles: Mapping[Spot, Tile], ends: tuple[bool, bool, bool, bool]) -> Joined:
    """Put tiles together that fill a rectangle, row by row.

    Parameters
    ----------
    tiles
        By row and column.
    ends
        Whether the scene ends at the top, left, bottom and right of them all.
    """
    spots = sorted(tiles)
    counts = [len(tiles[spot].graph) for spot in spots]
    offset = dict(zip(spots, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
    one, other, along, flows = _across(tiles, offset)
    total = sum(counts)
    joins = sparse.coo_array((np.ones(flows.sum(), np.int8), (one[flows], other[flows])), shape=(total, total))
    count, region = connected_components(joins, directed=False)
    region = _by_first(region.astype(np.int64), count)
    members = np.bincount(region, minlength=count)
    parts = [tiles[spot].graph for spot in spots]
    over, widths = sum_links(region[np.stack([one, other], 1)], np.stack([np.ones(len(along)), along], 1))
    within = [region[part.ends + offset[spot]] for part, spot in zip(parts, spots, strict=True)]
    links, borders = sum_links(np.concatenate([*within, over]), np.concatenate([*(p.borders for p in parts), widths]))
    past = np.zeros((count, parts[0].past.shape[1]))
    past[region] = np.concatenate([part.past for part in parts])
    past[members > 1] = 0
    region_of = {spot: region[offset[spot] : offset[spot] + n] for spot, n in zip(spots, counts, strict=True)}
    edges = _outer_edges(tiles, region_of)
    frozen = np.zeros(count, bool)
    for edge, ended in zip(edges, ends, strict=True):
        if not ended:
            frozen[edge.region[edge.region >= 0]] = True
    sums = add_up(np.concatenate([part.sums for part in parts]), region, count)
    sums[:, RIM] += np.bincount(region, _bare(tiles, offset, total), count)
    graph = RegionGraph(sums, past, links, borders, outlines(count, links, borders), frozen)
    return Joined(graph, edges, over, widths, region_of, members == 1)


def _across(
    tiles: Mapping[Spot, Tile], offset: Mapping[Spot, int]
) -> tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "p"], np.ndarray, Bool[np.ndarray, "p"]]:
    """Pixels that face each other over edges between tiles: their regions, the strength, and whether one basin."""
    one, other, along, flows = [], [], [], []
    for first, second, here, there in _facing(tiles):
        both = (here.region >= 0) & (there.region >= 0)
        one.append(here.region[both] + offset[first])
        other.append(there.region[both] + offset[second])
        along.append(np.maximum(here.strength, there.strength)[both])
        flows.append((here.outlet | there.outlet)[both])
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool)
    found = (np.concatenate([empty, *part]) for empty, part in zip(none, (one, other, along, flows), strict=True))
    first, second, strengths, same = found
    return first, second, strengths, same


def _bare(tiles: Mapping[Spot, Tile], offset: Mapping[Spot, int], total: int) -> Int64[np.ndarray, "n"]:
    """How many pixels of each region face a pixel without data over an edge between tiles."""
    found = np.zeros(total, np.int64)
    for first, second, here, there in _facing(tiles):
        for spot, edge, beyond in ((first, here, there), (second, there, here)):
            regions = edge.region[(edge.region >= 0) & (beyond.region < 0)]
            found += np.bincount(regions + offset[spot], minlength=total)
    return found


def _facing(tiles: Mapping[Spot, Tile]) -> Iterator[tuple[Spot, Spot, Edge, Edge]]:
    """Tiles side by side, and their edges that face each other."""
    for (row, col), tile in sorted(tiles.items()):
        for spot, side, facing in (((row, col + 1), RIGHT_EDGE, LEFT_EDGE), ((row + 1, col), BOTTOM_EDGE, TOP_EDGE)):
            if spot in tiles:
                yield (row, col), spot, tile.edges[side], tiles[spot].edges[facing]


def _by_first(group: Int64[np.ndarray, "n"], count: int) -> Int64[np.ndarray, "n"]:
    """The same groups, numbered by their first members."""
    first = np.full(count, len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    number = np.empty(count, np.int64)
    number[np.argsort(first)] = np.arange(count)
    return number[group]


def _outer_edges(tiles: Mapping[Spot, Tile], region_of: Mapping[Spot, np.ndarray]) -> tuple[Edge, Edge, Edge, Edge]:
    rows, cols = sorted({row for row, _ in tiles}), sorted({col for _, col in tiles})
    sides = (
        [(rows[0], col) for col in cols],
        [(row, cols[0]) for row in rows],
        [(rows[-1], col) for col in cols],
        [(row, cols[-1]) for row in rows],
    )
    edges = []
    for side, spots in enumerate(sides):
        parts = [tiles[spot].edges[side].moved(region_of[spot]) for spot in spots]
        edges.append(Edge.joined(parts))
    one, two, three, four = edges
    return one, two, three, four
