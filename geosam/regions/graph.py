"""Regions and who their neighbours are: sums over pixels and over shared borders, which add up when regions merge."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from scipy import sparse

from geosam.arrays import Labels

AREA, RIM, LEFT, TOP, RIGHT, BOTTOM, EDGE = range(7)
"""First columns of `RegionGraph.sums`: pixels; sides that meet no data; the box, of which merging takes the largest of
``-x0, -y0, x1, y1``; and sides at the scene's edge."""

MOMENTS, INNER, COLOUR, SQUARES, ENERGY, FEATURES = 7, 12, 13, 16, 19, 20
"""Where further columns begin: sums of ``x, y, xx, yy, xy``; of the boundary strength; of the three bands; of their
squares; of the squared length of the features; and of the features."""


HEIGHT, WITHIN, LAST, BALANCE, CHILD_HEIGHT = 0, 1, 3, 5, 6
"""Columns of `RegionGraph.past`: the cost at which the region was made; the borders within it; the border between the
two regions that it was made of; the smaller one's share of its area; the greater of their heights."""

PAST = 7
"""Number of these columns; all are 0 for what was not made by merging."""


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions as the nodes of a graph, and their shared borders as its links.

    Attributes
    ----------
    sums
        ``n d``: sums over pixels; columns as above.
    past
        ``n 7``: how the region came to be; columns as above. A border is its length in sides of pixels, and the sum of
        the boundary strength along it.
    ends
        ``e 2``, the two regions of each link, the smaller number first, in ascending order.
    borders
        ``e 2``, what the two share.
    outline
        ``n 2``, what each shares with all others, also beyond what is looked at.
    frozen
        ``n``: regions that may go on beyond what is looked at; they do not merge.
    """

    sums: Float64[np.ndarray, "n d"]
    past: Float64[np.ndarray, "n 7"]
    ends: Int64[np.ndarray, "e 2"]
    borders: Float64[np.ndarray, "e 2"]
    outline: Float64[np.ndarray, "n 2"]
    frozen: Bool[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.sums)


def links(
    labels: Labels, strength: Float32[np.ndarray, "h w"]
) -> tuple[Int64[np.ndarray, "e 2"], Float64[np.ndarray, "e 2"]]:
    """Links between the labels 1, 2 … of a raster, as regions 0, 1 …; see `RegionGraph`."""
    one, other, along = [], [], []
    level = np.minimum(strength, 1)  # beyond the scene's strong borders stronger says nothing more
    for a, b, s, t in (
        (labels[:, :-1], labels[:, 1:], level[:, :-1], level[:, 1:]),
        (labels[:-1], labels[1:], level[:-1], level[1:]),
    ):
        meet = np.flatnonzero((a != b) & (a > 0) & (b > 0))
        one.append(a.ravel()[meet])
        other.append(b.ravel()[meet])
        along.append(np.maximum(s.ravel()[meet], t.ravel()[meet]))
    ends = np.stack([np.concatenate(one), np.concatenate(other)], 1).astype(np.int64) - 1
    along = np.concatenate(along)
    return sum_links(ends, np.stack([np.ones(len(along)), along.astype(np.float64)], 1))


def sum_links(
    ends: Int64[np.ndarray, "e 2"], borders: Float64[np.ndarray, "e 2"]
) -> tuple[Int64[np.ndarray, "f 2"], Float64[np.ndarray, "f 2"]]:
    """Borders between the same two regions summed; those within a region left out.

    Examples
    --------
    >>> ends, borders = sum_links(np.array([[0, 1], [1, 0], [0, 2], [1, 1]]), np.ones((4, 2)))
    >>> ends.tolist(), borders.tolist()
    ([[0, 1], [0, 2]], [[2.0, 2.0], [1.0, 1.0]])
    """
    one, other = ends.T
    apart = one != other
    low, high, borders = np.minimum(one, other)[apart], np.maximum(one, other)[apart], borders[apart]
    if not len(low):
        return np.zeros((0, 2), np.int64), borders
    key = low << 32 | high
    order = np.argsort(key)
    ordered = key[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    link = np.empty(len(key), np.int64)
    link[order] = np.cumsum(fresh) - 1
    first = ordered[fresh]
    summed = [np.bincount(link, part, len(first)) for part in borders.T]  # in the order given, however it was sorted
    return np.stack([first >> 32, first & 0xFFFFFFFF], 1), np.stack(summed, 1)


def outlines(
    count: int, ends: Int64[np.ndarray, "e 2"], borders: Float64[np.ndarray, "e 2"]
) -> Float64[np.ndarray, "n 2"]:
    """What each region shares with all others."""
    ends, borders = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([borders, borders])
    return np.stack([np.bincount(ends, part, count).astype(np.float64) for part in borders.T], 1)


def region_sums(
    labels: Labels,
    count: int,
    *,
    pixels: UInt8[np.ndarray, "3 h w"],
    strength: Float32[np.ndarray, "h w"],
    features: Float32[np.ndarray, "fh fw k"],
    cells: tuple[np.ndarray, np.ndarray],
    origin: tuple[int, int],
    ends: tuple[bool, bool, bool, bool] = (True, True, True, True),
) -> Float64[np.ndarray, "n d"]:
    """Sums of the labels 1 … `count` of a raster; see `RegionGraph`.

    Parameters
    ----------
    labels, count
        The regions.
    pixels, strength
        The picture, and its boundary strength.
    features
        Features on a coarser grid.
    cells
        Row, and column, of that grid that each row, and column, of pixels lies in.
    origin
        ``(row, col)`` of the raster's first pixel in the scene.
    ends
        Whether the scene ends at the raster's top, left, bottom and right.
    """
    flat = labels.ravel()

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(flat, values.ravel(), count + 1)[1:]

    area = np.bincount(flat, minlength=count + 1)[1:].astype(np.float64)
    boxes = _boxes(labels, count, origin)
    colour = [total(band) for band in pixels]
    squares = [total(np.square(band, dtype=np.uint16)) for band in pixels]
    moments = _moments(labels, area, boxes, origin)
    seen = _feature_sums(labels, count, features, cells)
    head = [
        area,
        _rim(labels, count),
        *boxes,
        _at_end(labels, count, ends),
        *moments,
        total(np.minimum(strength, 1)),
        *colour,
        *squares,
    ]
    return np.concatenate([np.stack(head, 1).astype(np.float64), seen], 1)


def _feature_sums(
    labels: Labels, count: int, features: Float32[np.ndarray, "fh fw k"], cells: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sums of the squared length of the features, and of the features."""
    flat, grid = labels.ravel(), features.shape[:2]
    cell = (cells[0][:, None] * grid[1] + cells[1]).ravel()
    inside = flat > 0
    if not inside.all():
        flat, cell = flat[inside], cell[inside]
    of_cell = sparse.coo_array((np.ones(len(flat), np.float32), (flat - 1, cell)), shape=(count, grid[0] * grid[1]))
    energy = np.square(features).sum(2, keepdims=True)
    return of_cell.tocsr() @ np.concatenate([energy, features], 2).reshape(grid[0] * grid[1], -1)


def _moments(labels: Labels, area: np.ndarray, boxes: list[np.ndarray], origin: tuple[int, int]) -> list[np.ndarray]:
    """Sums of ``x, y, xx, yy, xy`` in scene px; within each region those of its box stand for the second ones."""
    h, w = labels.shape
    flat = labels.ravel()
    left, top, right, bottom = boxes
    rows, cols = np.arange(h, dtype=np.float64) + (0.5 + origin[0]), np.arange(w, dtype=np.float64) + (0.5 + origin[1])
    y = np.bincount(flat, np.repeat(rows, w), len(area) + 1)[1:]
    x = np.bincount(flat, np.tile(cols, h), len(area) + 1)[1:]
    wide, tall = (right + left) ** 2 / 12.0, (bottom + top) ** 2 / 12.0
    return [x, y, x * x / area + area * wide, y * y / area + area * tall, x * y / area]


def add_sums(one: Float64[np.ndarray, "m d"], other: Float64[np.ndarray, "m d"]) -> Float64[np.ndarray, "m d"]:
    """Sums of regions merged two by two."""
    total = one + other
    total[:, LEFT : BOTTOM + 1] = np.maximum(one[:, LEFT : BOTTOM + 1], other[:, LEFT : BOTTOM + 1])
    return total


def add_up(sums: Float64[np.ndarray, "n d"], region: Int64[np.ndarray, "n"], count: int) -> Float64[np.ndarray, "m d"]:
    """Sums of `count` regions put together from parts; `region` says which each part belongs to."""
    order = np.argsort(region, kind="stable")
    starts = np.searchsorted(region[order], np.arange(count))
    if not count:
        return sums
    total = np.add.reduceat(sums[order], starts)
    box = slice(LEFT, BOTTOM + 1)
    total[:, box] = np.maximum.reduceat(sums[order, box], starts)
    return total


def _rim(labels: Labels, count: int) -> np.ndarray:
    """Sides of each label's pixels beyond which there is no data."""
    total = np.zeros(count + 1, np.int64)
    if (labels > 0).all():
        return total[1:]
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        for here, there in ((a, b), (b, a)):
            total += np.bincount(here[(here > 0) & (there == 0)], minlength=count + 1)
    return total[1:]


def _at_end(labels: Labels, count: int, ends: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """Sides of each label's pixels at the scene's edge."""
    total = np.zeros(count + 1, np.int64)
    for edge, ended in zip((labels[0], labels[:, 0], labels[-1], labels[:, -1]), ends, strict=True):
        if ended:
            total += np.bincount(edge, minlength=count + 1)
    return total[1:]


def _boxes(labels: Labels, count: int, origin: tuple[int, int]) -> list[np.ndarray]:
    """``-x0, -y0, x1, y1`` of each label, in scene px."""
    h, w = labels.shape
    flat = labels.ravel()
    first_row, last_row, first_col, last_col = (np.zeros(count + 1, np.int64) for _ in range(4))
    rows = np.repeat(np.arange(h), w)
    last_row[flat] = rows  # the last to be written stays
    first_row[flat[::-1]] = rows[::-1]
    turned = labels.T.ravel()
    cols = np.repeat(np.arange(w), h)
    last_col[turned] = cols
    first_col[turned[::-1]] = cols[::-1]
    top, left = origin
    return [-(first_col + left)[1:], -(first_row + top)[1:], (last_col + left + 1)[1:], (last_row + top + 1)[1:]]
