"""Overviews that show what the raster shows, and those that do not.

An overview may be older than the pixels, of another raster, or empty. At a few places the pixels of each overview are
held against the native ones: how much of them is data, their mean, and their pattern. Whatever honest resampling was
used (nearest, average, cubic …) agrees in these within what chance allows.
"""

import math

import numpy as np
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geosam.scene.grid import window_at

PLACES = ((0.31, 0.37), (0.69, 0.43), (0.44, 0.71), (0.55, 0.55))
"""Where it is looked, as shares of width and height."""

LEAST_PX, MOST_PX = 256, 1024
"""Side of what is read at each, in native pixels."""

LARGEST_BLOCK = 2**24
"""Blocks of more pixels are not decoded for this."""

SHARE, MEAN, PATTERN = 0.34, 0.6, 0.4
"""How far the shares of data may be apart, the means (in standard deviations), and the least share of the expected
correlation."""


def trusted_levels(dataset: DatasetReader, *, places: int = len(PLACES)) -> tuple[tuple[tuple[int, int], ...], int]:
    """Shapes of the native grid and of the overviews that all bands share; none of these if one does not fit.

    Parameters
    ----------
    dataset
        A raster, open at its native grid.
    places
        At how many places the overviews are compared; remote files deserve fewer.

    Returns
    -------
    ``(h, w)`` of each level that is to be used, and how many overviews are not.
    """
    factors = {band: dataset.overviews(band) for band in dataset.indexes}
    count = min(len(found) for found in factors.values())
    h, w = dataset.shape
    levels = ((h, w), *((math.ceil(h / f), math.ceil(w / f)) for f in factors[1][:count]))
    if count == 0 or math.prod(dataset.block_shapes[0]) > LARGEST_BLOCK:
        return levels, 0
    kind = np.dtype(dataset.dtypes[0]).kind
    if kind == "c" or not all(_agree(dataset, place, levels[1:]) for place in PLACES[:places]):
        return levels[:1], count
    return levels, 0


def _agree(dataset: DatasetReader, place: tuple[float, float], levels: tuple[tuple[int, int], ...]) -> bool:
    """Whether all overviews show at one place what the native pixels show."""
    (h, w), coarsest = dataset.shape, levels[-1]
    side = min(max(LEAST_PX, 16 * round(h / coarsest[0])), MOST_PX)
    height, width = min(side, h), min(side, w)
    left, top = round(place[0] * (w - width)), round(place[1] * (h - height))
    window = window_at(left, top, width, height)
    try:
        native = _look(dataset, window, (height, width))
    except RasterioError:  # a damaged part: the run says so where it comes to it
        if dataset.driver == "VRT":  # after a failure, the next reading may give zeros
            raise
        return True
    kind = {"names": dataset.colorinterp[0].name == "palette", "whole": np.dtype(dataset.dtypes[0]).kind in "iu"}
    for level in levels:
        size = max(1, height * level[0] // h), max(1, width * level[1] // w)
        if min(size) >= 2 and not _alike(native, _look(dataset, window, size), **kind):
            return False
    return True


def _look(dataset: DatasetReader, window: Window, size: tuple[int, int]) -> np.ma.MaskedArray:
    """The first band in a window, decimated (from the overviews, if it is) to `size`."""
    values = dataset.read(1, window=window, out_shape=size).astype(np.float64)
    known = dataset.read_masks(1, window=window, out_shape=size) > 0
    return np.ma.masked_array(values, ~(known & np.isfinite(values)))


def _alike(native: np.ma.MaskedArray, coarse: np.ma.MaskedArray, *, names: bool, whole: bool) -> bool:
    """Whether a coarse picture is one of a fine one; with `names` the values have no means; `whole` are rounded."""
    fine, few = native.compressed(), coarse.compressed()
    if abs(len(fine) / native.size - len(few) / coarse.size) > SHARE:
        return False
    if len(few) < 4 or len(fine) < 4:
        return True
    spread = fine.std()
    if names:
        return bool(np.isin(few, fine).mean() > 1 / 2)
    rounding = max(2.0 * whole, 1e-3 * abs(fine.mean()))
    tolerance = MEAN * spread + 4 * spread / np.sqrt(len(few)) + rounding
    return bool(abs(fine.mean() - few.mean()) <= tolerance) and _same_pattern(native, coarse)


def _same_pattern(native: np.ma.MaskedArray, coarse: np.ma.MaskedArray) -> bool:
    """Whether means of the fine picture over the coarse pixels go with the coarse picture, as far as they can.

    Of noise, whose means are all alike, nothing is expected.
    """
    rows, cols = (np.arange(n) * m // n for n, m in zip(native.shape, coarse.shape, strict=True))
    cell = (rows[:, None] * coarse.shape[1] + cols).ravel()
    weight = (~np.ma.getmaskarray(native)).ravel().astype(float)
    count = np.bincount(cell, weight, coarse.size)
    means = np.bincount(cell, native.filled(0).ravel() * weight, coarse.size) / np.maximum(count, 1)
    both = (count > 0) & ~np.ma.getmaskarray(coarse).ravel()
    if both.sum() < 16:
        return True
    means, few, spread = means[both], coarse.filled(0).ravel()[both], native.compressed().std()
    if means.std() < 1e-9 * max(spread, 1e-30) or spread == 0:
        return True
    expected = means.std() / spread  # the correlation of single pixels with the means around them
    found = 0.0 if few.std() == 0 else float(np.corrcoef(means, few)[0, 1])
    return bool(expected < 0.5 or found >= PATTERN * expected - 2 / np.sqrt(len(few)))
