"""A block of a scene: its grains, the graph of them, and what its neighbours need to know of its edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from geosam.arrays import Labels
from geosam.regions.features import FineFeatures
from geosam.regions.gradients import Scale, picture_gradient, strength, visible
from geosam.regions.graph import FEATURES, PAST, RegionGraph, links, outlines, region_sums, sum_links
from geosam.regions.leaves import find_leaves, settle


@dataclass(frozen=True)
class Place:
    """Where a block lies.

    Attributes
    ----------
    row, col
        Its first pixel in the scene.
    top, left
        Its first pixel in the window that it was read with.
    shape
        ``(h, w)`` in pixels.
    ends
        Whether the scene ends at its top, left, bottom and right.
    """

    row: int
    col: int
    top: int
    left: int
    shape: tuple[int, int]
    ends: tuple[bool, bool, bool, bool]


@dataclass(frozen=True, eq=False)
class Edge:
    """One of the four edges of a block, pixel by pixel.

    Attributes
    ----------
    region
        The grain at each pixel of the edge; -1 for none.
    strength
        The boundary strength there, at most 1.
    outlet
        For each pixel, whether the basin of its grain goes on into the pixel beyond.
    """

    region: np.ndarray
    strength: np.ndarray
    outlet: Bool[np.ndarray, "n"]

    def moved(self, number: Int64[np.ndarray, "_"]) -> "Edge":
        """The same with other numbers for the regions."""
        named = np.append(number, -1)  # its last entry is that of none, -1
        return Edge(named[self.region], self.strength, self.outlet)

    @classmethod
    def joined(cls, parts: Sequence["Edge"]) -> "Edge":
        """Edges in a row as one."""
        columns = ([getattr(part, name) for part in parts] for name in ("region", "strength", "outlet"))
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, eq=False)
class Block:
    """The grains of a block.

    Attributes
    ----------
    labels
        ``h w``: 0 where there is no data, else 1 + the grain.
    graph
        The grains; frozen are those at edges beyond which the scene goes on.
    edges
        Top, left, bottom and right.
    """

    labels: Labels
    graph: RegionGraph
    edges: tuple[Edge, Edge, Edge, Edge]


def make_block(
    pixels: UInt8[np.ndarray, "3 h w"],
    valid: Bool[np.ndarray, "h w"],
    fine: FineFeatures,
    scale: Scale,
    place: Place | None = None,
) -> Block:
    """Cut a part of a window into grains.

    Parameters
    ----------
    pixels, valid
        The window.
    fine
        The encoder's finest features over the window.
    scale
        The scene's.
    place
        Which part; all of it, as a scene of its own, if not given.
    """
    h, w = valid.shape
    place = place or Place(0, 0, 0, 0, (h, w), (True, True, True, True))
    inner = slice(place.top, place.top + place.shape[0]), slice(place.left, place.left + place.shape[1])
    level, values, seen = window_strength(pixels, fine, scale)
    leaves = find_leaves(_with_one_around(level, place, 0.0), _with_one_around(valid, place, fill=False))
    level = np.ascontiguousarray(level[inner])
    ends, borders = links(leaves.labels, level)
    at_edge = _at_edges(leaves.labels, leaves.count, place.ends)
    area = np.bincount(leaves.labels.ravel(), minlength=leaves.count + 1)[1:]
    grain, count = settle(area, ends, borders, at_edge)
    labels = np.concatenate([[0], grain + 1]).astype(np.int32)[leaves.labels]
    ends, borders = sum_links(grain[ends], borders)
    rows, cols = fine.cells((h, w))
    sums = region_sums(
        labels,
        count,
        pixels=pixels[(slice(None), *inner)],
        strength=level,
        features=scale.project(values, seen),
        cells=(rows[inner[0]], cols[inner[1]]),
        origin=(place.row, place.col),
        ends=place.ends,
    )
    frozen = np.zeros(count, bool)
    frozen[grain[at_edge]] = True
    graph = RegionGraph(sums, np.zeros((count, PAST)), ends, borders, outlines(count, ends, borders), frozen)
    return Block(labels, graph, _edges(labels, level, leaves.outlets, place.ends))


def window_strength(
    pixels: UInt8[np.ndarray, "3 h w"], fine: FineFeatures, scale: Scale
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "c gh gw"], Float32[np.ndarray, "gh gw"]]:
    """Boundary strength all over a window, its features, and how far these have a say."""
    gradient, values = picture_gradient(pixels), fine.values.astype(np.float32)
    seen = visible(gradient, fine)
    return strength(gradient, values, fine, scale, seen), values, seen


def empty_block(place: Place, components: int) -> Block:
    """A block without any data."""
    h, w = place.shape
    none = np.zeros(0, np.int64)
    graph = RegionGraph(
        np.zeros((0, FEATURES + components)), np.zeros((0, PAST)), np.zeros((0, 2), np.int64), np.zeros((0, 2)),
        np.zeros((0, 2)), np.zeros(0, bool),
    )  # fmt: skip
    labels = np.zeros((h, w), np.int32)
    return Block(labels, graph, _edges(labels, np.zeros((h, w), np.float32), none, place.ends))


def _with_one_around(values: np.ndarray, place: Place, fill: float | bool) -> np.ndarray:
    """The block's part of a window with one pixel around it, filled where the window ends."""
    wide = np.pad(values, 1, constant_values=fill)
    return wide[place.top : place.top + place.shape[0] + 2, place.left : place.left + place.shape[1] + 2]


def _at_edges(labels: Labels, count: int, ends: tuple[bool, bool, bool, bool]) -> Bool[np.ndarray, "n"]:
    """Which leaves have a pixel on an edge beyond which the scene goes on."""
    found = np.zeros(count + 1, bool)
    for edge, ended in zip((labels[0], labels[:, 0], labels[-1], labels[:, -1]), ends, strict=True):
        if not ended:
            found[edge] = True
    return found[1:]


def _edges(
    labels: Labels, level: Float32[np.ndarray, "h w"], outlets: np.ndarray, ends: tuple[bool, bool, bool, bool]
) -> tuple[Edge, Edge, Edge, Edge]:
    """Top, left, bottom and right; `outlets` are the pixels beyond that basins go on into, with one pixel around."""
    h, w = labels.shape
    row, col = np.divmod(outlets, w + 2)
    beyond = (col[row == 0] - 1, row[col == 0] - 1, col[row == h + 1] - 1, row[col == w + 1] - 1)
    cuts = ((0, slice(None)), (slice(None), 0), (-1, slice(None)), (slice(None), -1))
    edges = []
    for cut, places, ended in zip(cuts, beyond, ends, strict=True):
        region = labels[cut].astype(np.int64) - 1
        outlet = np.zeros(len(region), bool)
        outlet[places] = True
        edges.append(Edge(np.full(len(region), -1) if ended else region, np.minimum(level[cut], 1), outlet))
    one, two, three, four = edges
    return one, two, three, four
