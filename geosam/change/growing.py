"""An extent that grows from outlines: ground that looks like what a few clicks pointed at.

A flood or a burn is larger than what a segmenter answers to a click, and of one look. What lies inside the decoded
outlines is learned from, against the ground outside them; then every pixel that has changed is told. Ground outside
that looks the same is taken out of the counter-examples and the look is learned anew: nobody said that it is none.
"""

from collections.abc import Callable

import numpy as np
import shapely
from jaxtyping import Float32, Float64
from rasterio.features import sieve
from rasterio.windows import Window
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import expit

from geosam.change.pair import Pair, burnt, tiles
from geosam.change.radiometry import Radiometry
from geosam.change.unseen import mask_to_polygons
from geosam.scene.grid import clip, window_at

TILE = 1024
SIGMA_PX = 2.0
"""Of the local means that a pixel is told by: finer detail is noise of the picture, coarser blurs the shore."""

MARGIN_PX = 16
"""Pixels read around a tile, more than filters reach, so that tiles leave no trace."""

SAMPLE_PX = 20_000
"""Pixels of each kind that are learned from, at most."""

INSET_PX = 2
"""Pixels along an outline that are not learned from: neither side of it is pure there."""

RIDGE = 1.0
"""Penalty on the weights of standardised features."""

ROUNDS = 3
"""How often the look is learned."""

SURE = 0.75
"""Mean probability from which ground that touches no outline belongs to the extent."""

SAME = 0.03
"""Difference of local colours, in units of the full range, below which ground looks as it did: 8 of 255, about what
is left of unchanged ground once colours are matched."""

FEATURES = 7

Model = Callable[[np.ndarray], np.ndarray]
"""Features (n, f) → probability of each pixel."""


def look_of(
    pair: Pair, window: Window, radiometry: Radiometry
) -> tuple[Float32[np.ndarray, "f h w"], np.ndarray, np.ndarray]:
    """What pixels after are told by (local colours, shares of bands, contrast), which are seen, which have changed."""
    x, y = round(window.col_off), round(window.row_off)
    h, w = round(window.height), round(window.width)
    around = window_at(x - MARGIN_PX, y - MARGIN_PX, w + 2 * MARGIN_PX, h + 2 * MARGIN_PX)
    wide = clip(around, pair.shape) or window
    both = pair.read(wide)
    bands = both.after.astype(np.float32)
    local = np.stack([ndimage.gaussian_filter(band, SIGMA_PX) for band in bands])
    grey = bands.mean(axis=0)
    spread = ndimage.gaussian_filter(grey * grey, SIGMA_PX) - ndimage.gaussian_filter(grey, SIGMA_PX) ** 2
    share = local / (local.sum(axis=0) + 1)
    values = np.concatenate([local / 255, share, np.sqrt(np.maximum(spread, 0))[None] / 64])
    top, left = y - round(wide.row_off), x - round(wide.col_off)
    part = (slice(top, top + h), slice(left, left + w))
    apart = both.before.astype(np.float32) - radiometry.apply(both.after)
    apart = np.linalg.norm([ndimage.gaussian_filter(band, SIGMA_PX) for band in apart], axis=0) / 255
    changed = apart >= SAME
    return values[:, *part], both.seen[part], changed[part]


def grow(
    pair: Pair, outlines_px: np.ndarray, radiometry: Radiometry, *, least_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ground that looks like the inside of some outlines.

    Parameters
    ----------
    pair
        The pair; its date after is looked at.
    outlines_px
        Polygons in pixels of the grid.
    radiometry
        What brings the colours after to those before: ground that looks as it did was not taken by the event.
    least_px
        Pixels of the smallest patch, and of the smallest hole.

    Returns
    -------
    Polygons in pixels of the grid that follow pixel sides, and how sure each is, in [0, 1]. The outlines themselves
    where they hold too little to learn from.
    """
    inside, outside = _samples(pair, outlines_px, radiometry)
    if min(len(inside), len(outside)) < 10 * FEATURES:
        return outlines_px, np.full(len(outlines_px), 0.5)
    model = _learned(inside, outside)
    sure = np.zeros(pair.shape, np.uint8)
    for window in tiles(pair.shape, TILE):
        values, seen, changed = look_of(pair, window, radiometry)
        told = model(values.reshape(len(values), -1).T.astype(np.float64)).reshape(seen.shape)
        y, x = round(window.row_off), round(window.col_off)
        sure[y : y + seen.shape[0], x : x + seen.shape[1]] = np.where(seen & changed, np.rint(100 * told), 0)
    mask = (sure > 50).astype(np.uint8)
    if least_px > 1:
        mask = sieve(mask, size=least_px)
    found = mask_to_polygons(mask, least_px=max(1, least_px))
    certain = np.array([_mean(sure, each) for each in found])
    tree = shapely.STRtree(outlines_px)
    touching = np.array([len(tree.query(each, predicate="intersects")) > 0 for each in found], bool)
    kept = touching | (certain >= SURE) if len(found) else touching
    return found[kept], certain[kept]


def _mean(sure: np.ndarray, polygon: shapely.Polygon) -> float:
    """Mean probability inside a polygon of pixels."""
    x0, y0, x1, y1 = (int(v) for v in polygon.bounds)
    size = (y1 - y0, x1 - x0)
    inside = burnt([polygon], (x0, y0), size)
    return float(sure[y0:y1, x0:x1][inside].mean()) / 100 if inside.any() else 0.5


def _samples(
    pair: Pair, outlines_px: np.ndarray, radiometry: Radiometry
) -> tuple[Float64[np.ndarray, "n f"], Float64[np.ndarray, "m f"]]:
    """Looks of pixels inside and outside the outlines, every k-th of them."""
    core = shapely.buffer(outlines_px, -INSET_PX)
    rim = shapely.union_all(shapely.buffer(outlines_px, INSET_PX))
    h, w = pair.shape
    area = float(shapely.area(core).sum())
    fine, coarse = _step(area), _step(h * w - area)
    inside, outside = [np.zeros((0, FEATURES))], [np.zeros((0, FEATURES))]
    for window in tiles(pair.shape, TILE):
        values, seen, changed = look_of(pair, window, radiometry)
        x, y = round(window.col_off), round(window.row_off)
        named = [each for each in core if not each.is_empty]
        within = burnt(named, (x, y), seen.shape) if named else np.zeros(seen.shape, bool)
        near = burnt([rim], (x, y), seen.shape) if not rim.is_empty else np.zeros(seen.shape, bool)
        for taken, step, kept in ((within, fine, inside), (~near, coarse, outside)):
            every = np.zeros(seen.shape, bool)
            every[-y % step :: step, -x % step :: step] = True
            used = taken & seen & every & (changed if kept is inside else True)
            kept.append(values[:, used].T.astype(np.float64))
    return np.concatenate(inside), np.concatenate(outside)


def _step(count: float) -> int:
    return max(1, int(np.ceil(np.sqrt(max(count, 1) / SAMPLE_PX))))


def _learned(inside: Float64[np.ndarray, "n f"], outside: Float64[np.ndarray, "m f"]) -> Model:
    """Logistic regression on the features and their products, both kinds counting the same, learned in rounds."""
    kept = outside
    model = _fitted(inside, kept)
    for _ in range(ROUNDS - 1):
        fewer = outside[model(outside) <= 0.5]
        if len(fewer) < len(outside) // 20:  # hardly any ground would be left to learn against
            break
        kept = fewer
        model = _fitted(inside, kept)
    return model


def _fitted(inside: np.ndarray, outside: np.ndarray) -> Model:
    x = np.concatenate([inside, outside])
    y = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    each = np.where(y > 0, 0.5 / len(inside), 0.5 / len(outside)) * 1000
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = _products((x - centre) / scale)

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        score = z @ found
        cost = float((each * (np.logaddexp(0, score) - y * score)).sum()) + RIDGE / 2 * float(found[1:] @ found[1:])
        slope = z.T @ (each * (expit(score) - y))
        slope[1:] += RIDGE * found[1:]
        return cost, slope

    best = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return lambda values: expit(_products((values - centre) / scale) @ best)


def _products(z: np.ndarray) -> np.ndarray:
    """One, the features, and all products of two, cut where they lie far out."""
    z = np.clip(z, -4, 4)
    first, second = np.triu_indices(z.shape[1])
    return np.concatenate([np.ones((len(z), 1)), z, z[:, first] * z[:, second]], axis=1)
