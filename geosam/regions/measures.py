"""What tells an object from other nodes of the tree: its outline, its contrast, its shape and its neighbourhood.

All measures come from sums that the tree keeps; no node is looked at pixel by pixel.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from geosam.regions.graph import (
    AREA,
    BALANCE,
    BOTTOM,
    CHILD_HEIGHT,
    COLOUR,
    EDGE,
    ENERGY,
    FEATURES,
    HEIGHT,
    INNER,
    LAST,
    LEFT,
    MOMENTS,
    RIGHT,
    RIM,
    SQUARES,
    TOP,
    WITHIN,
)
from geosam.regions.nodes import WIDE, Kindred

NAMES = (
    "log area", "aspect", "extent", "roughness", "rim", "outline", "inner seams", "height", "parent height",
    "share of parent height", "sibling size", "root", "sibling colour", "sibling features", "own colour spread",
    "own feature spread", "inner strength", "last seam", "child balance", "rectangle", "elongation",
    "height of grandparent",
    "size of parent", "size of grandparent", "colour beyond", "features beyond", "sibling height", "sibling seams",
    "brightness", "red", "green", "spread of red", "spread of green", "spread of blue", "outline over seams",
    "child height", "size of wide", "colour of wide", "features of wide", "sibling colour spread", "level",
)  # fmt: skip
"""The measures, in order."""

AT_ONCE = 1 << 12
"""Nodes that are measured at a time, which bounds memory."""


def measure_nodes(
    nodes: Kindred, colour_scale: float, rows: Int64[np.ndarray, "r"] | None = None
) -> Float32[np.ndarray, "r m"]:
    """Measures of nodes, by `NAMES`.

    Parameters
    ----------
    nodes
        The tree, or trees.
    colour_scale
        `Scale.colour`.
    rows
        Which nodes; all if not given.
    """
    rows = np.arange(len(nodes.sums)) if rows is None else rows
    kin = _Kin.of(nodes)
    measured = np.empty((len(rows), len(NAMES)), np.float32)
    for first in range(0, len(rows), AT_ONCE):
        measured[first : first + AT_ONCE] = _measure(nodes, kin, colour_scale, rows[first : first + AT_ONCE])
    return measured


@dataclass(frozen=True, eq=False)
class _Kin:
    """For each node its parent, -1 for a root; the node above, itself for a root; its surroundings; its sibling."""

    parent: Int64[np.ndarray, "n"]
    above: Int64[np.ndarray, "n"]
    wide: Int64[np.ndarray, "n"]
    sibling: Int64[np.ndarray, "n"]

    @classmethod
    def of(cls, nodes: Kindred) -> "_Kin":
        parent = nodes.parent
        above = np.where(parent < 0, np.arange(len(parent)), parent)
        return cls(parent, above, _wide(above, nodes.sums[:, AREA]), nodes.sibling)


def _measure(
    nodes: Kindred, kin: _Kin, colour_scale: float, rows: Int64[np.ndarray, "r"]
) -> Float32[np.ndarray, "r m"]:
    area, height = nodes.sums[:, AREA], nodes.past[:, HEIGHT]
    parent, above, wide, sibling = (each[rows] for each in (kin.parent, kin.above, kin.wide, kin.sibling))
    grand = kin.above[above]
    up = np.where(parent < 0, 1.0, height[above])
    far_up = np.where(kin.parent[above] < 0, 1.0, height[grand])
    sums, past, border = nodes.sums[rows], nodes.past[rows], nodes.outline[rows]
    own = _Appearance(sums, colour_scale)
    of_sibling = own.of(nodes.sums[sibling])
    beyond, far = own.of(nodes.sums[grand] - sums), own.of(nodes.sums[wide] - sums)
    size = area[rows]
    width, length = sums[:, RIGHT] + sums[:, LEFT], sums[:, BOTTOM] + sums[:, TOP]
    rim = sums[:, RIM] + sums[:, EDGE]
    perimeter = np.maximum(border[:, 0] + rim, 1)  # of a block of even ground all goes on beyond
    rectangle, elongation = _shape(sums)
    mean, spread = sums[:, COLOUR:SQUARES] / size[:, None] / 255, own.band_spread
    edge, seams = _mean_strength(border), _mean_strength(past[:, WITHIN:LAST])
    columns = [
        np.log2(size), np.abs(np.log(width / length)), size / (width * length), np.log(perimeter**2 / size),
        rim / perimeter, edge, seams, height[rows], up,
        height[rows] / (up + 0.02), np.log(area[sibling] / size), parent < 0, own.apart(of_sibling),
        own.away(of_sibling), own.colour_spread, own.feature_spread, sums[:, INNER] / size,
        _mean_strength(past[:, LAST:BALANCE]), past[:, BALANCE], rectangle, elongation, far_up,
        np.log(area[above] / size), np.log(area[grand] / size), own.apart(beyond), own.away(beyond), height[sibling],
        _mean_strength(nodes.past[sibling, WITHIN:LAST]), mean.mean(1), mean[:, 0] - mean[:, 1],
        mean[:, 1] - mean[:, 2], spread[:, 0], spread[:, 1], spread[:, 2], edge / (seams + 0.05),
        past[:, CHILD_HEIGHT], np.log(area[wide] / size), own.apart(far), own.away(far), of_sibling.colour_spread,
        np.log1p(past[:, WITHIN]),
    ]  # fmt: skip
    return np.stack(columns, 1).astype(np.float32)


def _mean_strength(borders: np.ndarray) -> np.ndarray:
    """Mean boundary strength along borders; 0 where there are none."""
    return borders[:, 1] / np.maximum(borders[:, 0], 1)


class _Appearance:
    """Mean colour and features of nodes, and how much these vary within."""

    def __init__(self, sums: np.ndarray, colour_scale: float) -> None:
        self.scale = colour_scale
        area = np.maximum(sums[:, AREA], 1)[:, None]
        self.empty = sums[:, AREA] < 1
        self.mean = (sums[:, COLOUR:SQUARES] / area / colour_scale).astype(np.float32)
        self.features = (sums[:, FEATURES:] / area).astype(np.float32)
        variance = sums[:, SQUARES:ENERGY] / area - np.square(sums[:, COLOUR:SQUARES] / area)
        self.band_spread = np.sqrt(variance.clip(0)) / colour_scale
        self.colour_spread = np.sqrt(variance.clip(0).mean(1)) / colour_scale
        energy = sums[:, ENERGY] / area[:, 0] - np.square(self.features.astype(np.float64)).sum(1)
        self.feature_spread = np.sqrt(energy.clip(0))

    def of(self, sums: np.ndarray) -> "_Appearance":
        return _Appearance(sums, self.scale)

    def apart(self, other: "_Appearance") -> np.ndarray:
        """Distance of colours."""
        away = self.mean - other.mean
        return np.where(other.empty, 0, np.sqrt(np.einsum("nk,nk->n", away, away)))

    def away(self, other: "_Appearance") -> np.ndarray:
        """Distance of features."""
        away = self.features - other.features
        return np.where(other.empty, 0, np.sqrt(np.einsum("nk,nk->n", away, away)))


def _wide(above: np.ndarray, area: np.ndarray) -> np.ndarray:
    """The first ancestor of at least `WIDE` times the area, or the last one."""
    wide = above.copy()
    todo = np.flatnonzero((area[wide] < WIDE * area) & (above[wide] != wide))
    while len(todo):
        wide[todo] = above[wide[todo]]
        todo = todo[(area[wide[todo]] < WIDE * area[todo]) & (above[wide[todo]] != wide[todo])]
    return wide


def _shape(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area against that of the rectangle with the same second moments, and the log of its sides' ratio."""
    area = sums[:, AREA]
    x, y, xx, yy, xy = (sums[:, MOMENTS : MOMENTS + 5] / area[:, None]).T
    xx, yy, xy = (xx - x * x).clip(1 / 12), (yy - y * y).clip(1 / 12), xy - x * y
    middle, half = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    large, small = middle + half, (middle - half).clip(1 / 12)
    return area / (12 * np.sqrt(large * small)), np.log(large / small) / 2
