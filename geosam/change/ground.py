"""Shares of changed ground in and around each object: inside its footprint, and within 10 and 20 m of it."""

import numpy as np
import shapely
from jaxtyping import Float32
from scipy import ndimage

from geosam.arrays import Mask
from geosam.change.pair import Pair, burnt
from geosam.change.radiometry import Radiometry
from geosam.scene.grid import clip, window_at

RINGS_M = (0.0, 10.0, 20.0)
"""Distances in metres that Microsoft's building damage assessment made usual."""

COLOUR = 0.09
"""Difference of local mean colours, in units of the full range, from which ground counts as changed; 23 of 255 is more
than another sun makes of even ground."""

STRUCTURE = 0.15
"""SSIM below which it counts as changed as well, where there is structure at all."""

CONTRAST = 8.0
"""Local standard deviation, in 8-bit values, from which there is."""

SSIM_PX = 1.5
"""Of the Gaussian window of SSIM, as published (Wang et al. 2004)."""

SIGMA_PX = 2.0
"""Of the local means: a car that came or went is more than this, its shadow less."""


def changed_ground(first: Float32[np.ndarray, "3 h w"], second: Float32[np.ndarray, "3 h w"], seen: Mask) -> Mask:
    """Pixels whose ground has changed between two dates of matched colours, in 8-bit values."""
    apart = np.stack([ndimage.gaussian_filter(a - b, SIGMA_PX) for a, b in zip(first, second, strict=True)])
    colour = np.linalg.norm(apart, axis=0) / 255
    grey, later = first.mean(0), second.mean(0)
    rough = np.maximum(*(_deviation(each) for each in (grey, later))) >= CONTRAST
    return ((colour >= COLOUR) | ((ssim(grey, later) <= STRUCTURE) & rough)) & seen


def ssim(first: Float32[np.ndarray, "h w"], second: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Structural similarity of two pictures at each pixel, in [-1, 1].

    Examples
    --------
    >>> picture = np.arange(64, dtype=np.float32).reshape(8, 8)
    >>> bool((ssim(picture, picture) > 0.999).all())
    True
    """

    def blur(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, SSIM_PX, truncate=3.5)

    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    a, b = blur(first), blur(second)
    va, vb, ab = blur(first * first) - a * a, blur(second * second) - b * b, blur(first * second) - a * b
    return ((2 * a * b + c1) * (2 * ab + c2)) / ((a * a + b * b + c1) * (va + vb + c2))


def _deviation(grey: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    mean = ndimage.gaussian_filter(grey, SIGMA_PX)
    return np.sqrt(np.maximum(ndimage.gaussian_filter(grey * grey, SIGMA_PX) - mean * mean, 0))


def ground_shares(objects_px: np.ndarray, pair: Pair, radiometry: Radiometry) -> Float32[np.ndarray, "n 3"]:
    """Percent of the seen ground that has changed inside each object, within 10 m and within 20 m of it.

    Parameters
    ----------
    objects_px
        Polygons in pixels of the grid.
    pair, radiometry
        The pair, and what brings its colours together.

    Returns
    -------
    A row for each object, NaN where nothing is seen; 0 to 100. Without a CRS pixels count as metres.
    """
    size = pair.resolution_m if np.isfinite(pair.resolution_m) else 1.0
    found = np.full((len(objects_px), len(RINGS_M)), np.nan, np.float32)
    for row, shape in enumerate(objects_px):
        if shape is None or shape.is_empty:
            continue
        reach = RINGS_M[-1] / size + 3 * SIGMA_PX
        x0, y0, x1, y1 = (int(v) for v in np.floor(shape.buffer(reach).bounds))
        window = clip(window_at(x0, y0, x1 - x0 + 1, y1 - y0 + 1), pair.shape)
        if window is None:
            continue
        both = pair.read(window)
        changed = changed_ground(both.before.astype(np.float32), radiometry.apply(both.after), both.seen)
        corner = (int(window.col_off), int(window.row_off))
        for ring, metres in enumerate(RINGS_M):
            area = shape.buffer(metres / size) if metres else shape
            inside = burnt([area], corner, both.seen.shape) & both.seen
            if inside.any():
                found[row, ring] = 100 * changed[inside].mean()
    return found


def area_m2(geometries_world: np.ndarray, crs: object) -> np.ndarray:
    """Areas on the ellipsoid; NaN without a CRS, and of nothing."""
    from geosam.polygons.measure import measure

    found = np.full(len(geometries_world), np.nan)
    known = ~(shapely.is_missing(geometries_world) | shapely.is_empty(geometries_world))
    if known.any():
        found[known] = measure(geometries_world[known], crs)[0]  # pyright: ignore[reportArgumentType]  # a pyproj CRS
    return found
