"""Sums over regions: what a window's maps, picture and labels add to each region, exactly.

A label raster becomes, for each stride, a sparse matrix: how many pixels of a region lie in a cell. Its product with a
map is the sum of the map over all regions at once. Uniform 4 × 4 cells are counted as such, pixels only where borders
run; coarser strides are merged from finer ones.

All terms are whole numbers or multiples of 1/256 (`geosam.recognition.maps.GRAIN`), so that sums in float64 are exact:
parts add up to the whole to the last bit, in any order, and the sums of a region's children are the region's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse

from geosam.arrays import Flags, Labels, Pixels
from geosam.backbone.network import CHANNELS, STRIDES
from geosam.errors import OptionError
from geosam.recognition import picture
from geosam.recognition.maps import FeatureMaps, grid

WIDTH = sum(CHANNELS) + len(picture.NAMES)
"""Columns of the sums of maps and picture."""

MOMENTS = ("x", "y", "x²", "y²", "xy", "border")
"""Columns of the sums of shape: of the doubled coordinates of pixel centres, and sides that end the region."""


@dataclass(frozen=True, eq=False)
class RegionSums:
    """Sums over each of *n* regions, of one window or of many.

    Parameters
    ----------
    area
        Pixels.
    values
        Sums of the maps' channels, stride by stride, and of `geosam.recognition.picture.NAMES`, each weighted by area.
    moments
        Sums of `MOMENTS`, from the scene's corner.

    Raises
    ------
    OptionError
        If the arrays are not of one length or have other columns.

    Examples
    --------
    >>> one = RegionSums.zeros(3)
    >>> (one + one).area.tolist(), len(one[1:])
    ([0, 0, 0], 2)
    """

    area: Int64[np.ndarray, "n"]
    values: Float64[np.ndarray, "n d"]
    moments: Int64[np.ndarray, "n m"]

    def __post_init__(self) -> None:
        n = len(self.area)
        if self.values.shape != (n, WIDTH) or self.moments.shape != (n, len(MOMENTS)):
            given = f"sums of {n} areas, {self.values.shape} values and {self.moments.shape} moments"
            raise OptionError(given, expected=f"n, n x {WIDTH} and n x {len(MOMENTS)}")

    @classmethod
    def zeros(cls, count: int) -> "RegionSums":
        """Nothing seen yet of any region."""
        return cls(np.zeros(count, np.int64), np.zeros((count, WIDTH)), np.zeros((count, len(MOMENTS)), np.int64))

    @classmethod
    def join(cls, several: list["RegionSums"]) -> "RegionSums":
        """Sums of other regions one after the other."""
        return cls(
            *(np.concatenate([getattr(each, name) for each in several]) for name in ("area", "values", "moments"))
        )

    def __len__(self) -> int:
        return len(self.area)

    def __add__(self, other: "RegionSums") -> "RegionSums":
        """Sums of the same regions over two disjoint sets of pixels."""
        if len(self) != len(other):
            raise OptionError(f"sums of {len(self)} and of {len(other)} regions", expected="the same regions")
        return RegionSums(self.area + other.area, self.values + other.values, self.moments + other.moments)

    def __getitem__(self, rows: slice | Int64[np.ndarray, "k"] | Flags) -> "RegionSums":
        """Some of the regions."""
        return RegionSums(self.area[rows], self.values[rows], self.moments[rows])

    def merged(self, groups: Int64[np.ndarray, "n"], count: int) -> "RegionSums":
        """Sums of unions: region *i* is a part of union ``groups[i]`` of `count`; −1 for none.

        The border is the sum of the parts' borders, which counts what lies between them; see `inner_border`.
        """
        kept = groups >= 0
        ones = np.ones(int(kept.sum()))
        union = sparse.csr_matrix((ones, (groups[kept], np.flatnonzero(kept))), (count, len(self)))
        whole = union.astype(np.int64)
        return RegionSums(whole @ self.area, union @ self.values, whole @ self.moments)


def pool(
    maps: FeatureMaps,
    pixels: Pixels,
    labels: Labels,
    *,
    count: int | None = None,
    core: tuple[slice, slice] | None = None,
    corner: tuple[int, int] = (0, 0),
) -> RegionSums:
    """Sum maps, colour, texture and shape over the regions of a window.

    Parameters
    ----------
    maps
        Of the window.
    pixels
        Of the window.
    labels
        Region of each pixel, 1 to n; 0 for none.
    count
        n; by default the largest label.
    core
        Rows and columns whose pixels are counted; by default all. The others only say where a region ends.
    corner
        ``(x, y)`` of the window's corner in the scene, in px; moments count from the scene's corner.

    Returns
    -------
    RegionSums
        Row *i* belongs to label *i + 1*.

    Raises
    ------
    OptionError
        If the arrays are not of one shape, or a label is negative or above `count`.
    """
    count = _checked(maps, pixels, labels, count)
    rows, cols = core or (slice(None), slice(None))
    counted = np.zeros_like(labels)
    counted[rows, cols] = labels[rows, cols]
    weights = cells(counted, count)
    parts = [
        weight @ array.reshape(len(array), -1).T.astype(np.float64)  # n c
        for weight, array in zip(weights, maps.arrays, strict=True)
    ]
    ids = counted.ravel()
    area = np.bincount(ids, minlength=count + 1)[1:]
    shown = [np.bincount(ids, layer.ravel(), count + 1)[1:] for layer in picture.layers(pixels)]
    values = np.concatenate([*parts, np.reshape(shown, (len(shown), count)).T], axis=1)  # n WIDTH
    return RegionSums(area.astype(np.int64), values, _moments(labels, counted, count, corner))


def _checked(maps: FeatureMaps, pixels: Pixels, labels: Labels, count: int | None) -> int:
    """Give the number of regions."""
    if labels.shape != maps.shape or pixels.shape[1:] != maps.shape:
        given = f"labels of {labels.shape} and pixels of {pixels.shape[1:]} for maps of {maps.shape} px"
        raise OptionError(given, expected="one shape, that of the window")
    if labels.dtype.kind not in "iu":
        raise OptionError(f"labels of {labels.dtype}", expected="whole numbers: 0 for none, 1 to n for regions")
    least, most = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    count = most if count is None else count
    if least < 0 or most > count:
        raise OptionError(f"labels from {least} to {most}", expected=f"0 for none, and regions from 1 to {count}")
    return count


def cells(labels: Labels, count: int) -> list[sparse.csr_matrix]:
    """Pixels of each region in each cell, ``n x cells``, at each of `STRIDES`.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[:, :5] = 1
    >>> [weight.toarray().tolist() for weight in cells(labels, 1)[:2]]
    [[[16.0, 4.0, 16.0, 4.0]], [[40.0]]]
    """
    region, y, x, pixels = _finest(labels)
    found = []
    for stride in STRIDES:
        if stride > STRIDES[0]:
            y, x = y >> 1, x >> 1
        gh, gw = grid(labels.shape, stride)
        where = sparse.coo_matrix((pixels, (region, y * gw + x)), (count, gh * gw)).tocsr()  # sums what meets
        found.append(where)
        if stride < STRIDES[-1]:
            entries = where.tocoo()
            region, pixels = entries.row, entries.data
            y, x = np.divmod(entries.col, gw)
    return found


def _finest(labels: Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Region, row, column and pixels of entries at the finest stride: whole cells where one region fills them."""
    stride = STRIDES[0]
    gh, gw = grid(labels.shape, stride)
    padded = np.pad(labels, ((0, gh * stride - labels.shape[0]), (0, gw * stride - labels.shape[1])))
    blocks = padded.reshape(gh, stride, gw, stride)
    uniform = (blocks == blocks[:, :1, :, :1]).all((1, 3))  # gh gw
    first = blocks[:, 0, :, 0]
    whole_y, whole_x = np.nonzero(uniform & (first > 0))
    mixed = np.repeat(np.repeat(~uniform, stride, 0), stride, 1)
    part_y, part_x = np.nonzero(mixed & (padded > 0))
    region = np.concatenate([first[whole_y, whole_x], padded[part_y, part_x]]) - 1
    y, x = np.concatenate([whole_y, part_y // stride]), np.concatenate([whole_x, part_x // stride])
    return region, y, x, np.repeat([float(stride * stride), 1.0], [len(whole_y), len(part_y)])


def _moments(labels: Labels, counted: Labels, count: int, corner: tuple[int, int]) -> Int64[np.ndarray, "n m"]:
    """Sums of doubled coordinates, their products, and sides at which a region ends."""
    y, x = np.nonzero(counted)
    ids = counted[y, x]
    across, down = (2 * x + 1).astype(np.float64), (2 * y + 1).astype(np.float64)

    def summed(values: np.ndarray) -> Int64[np.ndarray, "n"]:
        return np.bincount(ids, values, count + 1)[1:].astype(np.int64)  # exact: below 2^53 in one window

    area, sx, sy = np.bincount(ids, minlength=count + 1)[1:].astype(np.int64), summed(across), summed(down)
    xx, yy, xy = summed(across * across), summed(down * down), summed(across * down)
    left, top = 2 * corner[0], 2 * corner[1]  # moved to the scene's corner in whole numbers
    xx, yy = xx + 2 * left * sx + left * left * area, yy + 2 * top * sy + top * top * area
    xy = xy + left * sy + top * sx + left * top * area
    edged = np.pad(labels, 1, constant_values=-1)
    here = edged[1:-1, 1:-1]
    ends = sum((here != other) for other in (edged[:-2, 1:-1], edged[2:, 1:-1], edged[1:-1, :-2], edged[1:-1, 2:]))
    border = np.bincount(ids, np.asarray(ends)[y, x].astype(np.float64), count + 1)[1:].astype(np.int64)
    return np.stack([sx + left * area, sy + top * area, xx, yy, xy, border], axis=1)
