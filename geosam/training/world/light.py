"""Sun and air: cast shadows, haze, cloud."""

import numpy as np
from jaxtyping import Float32

from geosam.training.world.canvas import Canvas
from geosam.training.world.layout import Layout, Sun
from geosam.training.world.noise import fractal_noise

Field = Float32[np.ndarray, "h w"]


def _moved(values: Field, dx: int, dy: int) -> Field:
    """The field moved by whole pixels, with nothing (-1e3) moving in."""
    h, w = values.shape
    result = np.full_like(values, -1e3)
    if abs(dx) < w and abs(dy) < h:
        result[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = values[
            max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
        ]
    return result


def shadow_depth(height: Field, sun: Sun, resolution_m: float, lean: tuple[float, float] = (0.0, 0.0)) -> Field:
    """Metres by which the shadow of something else passes above each pixel, 0 in the sun.

    The highest ray over a pixel is the maximum of all heights towards the sun, each lowered by its distance times the
    tangent of the sun's elevation; doubling the reach at each step makes this a handful of passes. Where tall things
    lean in the picture, their shadow's way over the picture is the difference of both directions.

    Examples
    --------
    >>> height = np.zeros((1, 4), np.float32)
    >>> height[0, 0] = 2.0
    >>> shadow_depth(height, Sun(azimuth=-1.5707963267948966, elevation=0.7853981633974483), 1.0).round(3).tolist()
    [[0.0, 1.0, 0.0, 0.0]]
    """
    length = 1 / float(np.tan(sun.elevation))
    away_x = -float(np.sin(sun.azimuth)) * length - lean[0]
    away_y = float(np.cos(sun.azimuth)) * length - lean[1]
    length = max(float(np.hypot(away_x, away_y)), 0.05)
    away_x, away_y, drop = away_x / length, away_y / length, resolution_m / length
    reach = float(height.max()) / drop
    ray, k = height, 1
    while k <= max(reach, 1.0):
        ray = np.maximum(ray, _moved(ray, round(away_x * k), round(away_y * k)) - np.float32(k * drop))
        k *= 2
    depth = ray - height
    return np.where(depth > 1e-3, depth, np.float32(0.0))


def apply_hills(canvas: Canvas, layout: Layout) -> None:
    """Brighten slopes that face the sun and darken those that turn away from it."""
    if not layout.hills:
        return
    shape = canvas.height.shape
    terrain = fractal_noise(canvas.rng, shape, max(shape[0] / 2.5, 8.0), 5)
    slope_y, slope_x = np.gradient(terrain * np.float32(shape[0] / 10))
    towards = slope_x * np.float32(np.sin(layout.sun.azimuth)) - slope_y * np.float32(np.cos(layout.sun.azimuth))
    canvas.light *= np.clip(1 - np.float32(layout.hills) * towards, 0.3, 1.8)


def apply_shadows(light: Float32[np.ndarray, "4 h w"], height: Field, layout: Layout) -> None:
    """Darken what lies in shadow, which then gets only the bluish light of the sky."""
    resolution_m = layout.extent_m / height.shape[0]
    depth = shadow_depth(height, layout.sun, resolution_m, layout.lean)
    softness = 0.25 + 0.5 * resolution_m
    amount = np.clip(depth / np.float32(softness), 0.0, 1.0)
    sky = np.array([0.22, 0.27, 0.36, 0.15], np.float32)
    for band, share in enumerate(sky):
        light[band] *= 1 - amount * (1 - share)
