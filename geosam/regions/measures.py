"""What tells an object from other nodes of the tree: its outline, its contrast, its shape and its neighbourhood.

All measures come from sums that the tree keeps; no node is looked at pixel by pixel.
"""

import numpy as np
from jaxtyping import Float32

from geosam.regions.graph import (
    AREA,
    BALANCE,
    BOTTOM,
    CHILD_HEIGHT,
    COLOUR,
    EDGE,
    ENERGY,
    FEATURES,
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
from geosam.regions.merging import Merges

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

WIDE = 8
"""A node's surroundings are the first ancestor of at least so many times its area."""


def measure_nodes(merges: Merges, colour_scale: float) -> Float32[np.ndarray, "nm m"]:
    """Measures of every node, by `NAMES`.

    Parameters
    ----------
    merges
        The tree.
    colour_scale
        `Scale.colour`.
    """
    sums, m = merges.sums, len(merges.sums)
    parent = merges.parent
    above = np.where(parent < 0, np.arange(m), parent)
    grand = above[above]
    wide = _wide(above, sums[:, AREA])
    sibling = _siblings(merges)
    past, border = merges.past, merges.outline
    seams, within = past[:, LAST:BALANCE], past[:, WITHIN:LAST]
    own = _Appearance(sums, colour_scale)
    of_sibling, beyond, far = own.of(sums[sibling]), own.of(sums[grand] - sums), own.of(sums[wide] - sums)
    area = sums[:, AREA]
    width, length = sums[:, RIGHT] + sums[:, LEFT], sums[:, BOTTOM] + sums[:, TOP]
    rim = sums[:, RIM] + sums[:, EDGE]
    perimeter = border[:, 0] + rim
    height = merges.height
    rectangle, elongation = _shape(sums)
    mean = sums[:, COLOUR:SQUARES] / area[:, None] / 255
    spread = own.band_spread
    up, seam_level = np.where(parent < 0, 1.0, height[above]), within[:, 1] / np.maximum(within[:, 0], 1)
    edge = border[:, 1] / np.maximum(border[:, 0], 1)
    columns = [
        np.log2(area), np.abs(np.log(width / length)), area / (width * length), np.log(perimeter**2 / area),
        rim / perimeter, edge, seam_level, height, up,
        height / (up + 0.02), np.log(area[sibling] / area), parent < 0, own.apart(of_sibling), own.away(of_sibling),
        own.colour_spread, own.feature_spread, sums[:, INNER] / area, seams[:, 1] / np.maximum(seams[:, 0], 1),
        past[:, BALANCE], rectangle, elongation, np.where(parent[above] < 0, 1.0, height[grand]),
        np.log(area[above] / area), np.log(area[grand] / area), own.apart(beyond), own.away(beyond), height[sibling],
        seam_level[sibling], mean.mean(1), mean[:, 0] - mean[:, 1], mean[:, 1] - mean[:, 2],
        spread[:, 0], spread[:, 1], spread[:, 2], edge / (seam_level + 0.05), past[:, CHILD_HEIGHT],
        np.log(area[wide] / area), own.apart(far), own.away(far), own.colour_spread[sibling], np.log1p(within[:, 0]),
    ]  # fmt: skip
    return np.stack(columns, 1).astype(np.float32)


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


def _siblings(merges: Merges) -> np.ndarray:
    """The node that each was merged with; itself for a root."""
    sibling = np.arange(len(merges.sums))
    sibling[merges.children[:, 0]] = merges.children[:, 1]
    sibling[merges.children[:, 1]] = merges.children[:, 0]
    return sibling


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
