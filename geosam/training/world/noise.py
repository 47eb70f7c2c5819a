"""Random fields that textures and shapes are made of.

Noise is a sum of random grids enlarged with a cubic kernel, one octave finer each time (value noise, K. Perlin, 1985).
"""

import numpy as np
from jaxtyping import Float32
from PIL import Image

Field = Float32[np.ndarray, "h w"]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float) -> Field:
    """Smooth random field with values of about -1 to 1.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        Rows and columns.
    wavelength_px
        Distance between neighbouring bumps, in pixels.

    Examples
    --------
    >>> smooth_noise(np.random.default_rng(0), (4, 6), 2.0).shape
    (4, 6)
    """
    h, w = shape
    step = max(wavelength_px, 1.0)
    rows, columns = int(h / step) + 4, int(w / step) + 4
    grid = rng.uniform(-1.6, 1.6, (rows, columns)).astype(np.float32)
    left, top = rng.uniform(1.0, 2.0, 2)
    box = (left, top, min(left + w / step, columns), min(top + h / step, rows))
    return np.asarray(Image.fromarray(grid).resize((w, h), Image.Resampling.BICUBIC, box=box), dtype=np.float32)


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float, octaves: int = 4) -> Field:
    """Sum of smooth noises, each half as wide and 0.55 times as strong as the one before; standard deviation near 0.4.

    Examples
    --------
    >>> fractal_noise(np.random.default_rng(0), (8, 8), 8.0).dtype
    dtype('float32')
    """
    waves = [wavelength_px / 2**octave for octave in range(octaves) if wavelength_px / 2**octave >= 1.0]
    weights = [0.55**octave for octave in range(len(waves))]
    norm = np.float32(sum(weight**2 for weight in weights) ** 0.5 * 1.5 + 1e-6)
    total = np.zeros(shape, np.float32)
    h, w = shape
    small = (-(-h // 4), -(-w // 4))
    coarse = np.zeros(small, np.float32)
    for wavelength, weight in zip(waves, weights, strict=True):
        if wavelength >= 12.0:
            coarse += np.float32(weight) * smooth_noise(rng, small, wavelength / 4)
        else:
            total += np.float32(weight) * smooth_noise(rng, shape, wavelength)
    if waves and waves[0] >= 12.0:
        total += np.asarray(Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC))
    return total / norm


def crown_field(rng: np.random.Generator, shape: tuple[int, int], spacing_px: int) -> tuple[Field, np.ndarray]:
    """Closed canopy: height of the highest dome over each pixel (0 to 1) and the number of the dome.

    One dome stands in each cell of a square grid, moved at random; every pixel looks at the nine cells around its own
    (S. Worley, "A cellular texture basis function", 1996).

    Examples
    --------
    >>> height, crown = crown_field(np.random.default_rng(0), (16, 16), 4)
    >>> height.shape == crown.shape
    True
    """
    s = max(int(spacing_px), 2)
    rows, columns = -(-shape[0] // s), -(-shape[1] // s)
    padded = (rows + 2, columns + 2)
    y = rng.uniform(0.0, 1.0, padded).astype(np.float32)
    x = rng.uniform(0.0, 1.0, padded).astype(np.float32)
    radius = rng.uniform(0.55, 1.15, padded).astype(np.float32)
    top = rng.uniform(0.55, 1.0, padded).astype(np.float32)
    local = (np.arange(s, dtype=np.float32) + 0.5) / s
    best = np.zeros((rows, s, columns, s), np.float32)
    crown = np.zeros((rows, s, columns, s), np.int32)
    number = np.arange(padded[0] * padded[1], dtype=np.int32).reshape(padded)
    for dy in range(3):
        for dx in range(3):
            cells = (slice(dy, dy + rows), slice(dx, dx + columns))
            north = (local[None, :, None, None] - (y[cells][:, None, :, None] + (dy - 1))) ** 2
            east = (local[None, None, None, :] - (x[cells][:, None, :, None] + (dx - 1))) ** 2
            spread = 1.0 / radius[cells][:, None, :, None] ** 2
            height = top[cells][:, None, :, None] * (1.0 - (north + east) * spread)
            higher = height > best
            np.copyto(best, height, where=higher)
            np.copyto(crown, np.broadcast_to(number[cells][:, None, :, None], crown.shape), where=higher)
    full = (rows * s, columns * s)
    return best.reshape(full)[: shape[0], : shape[1]], crown.reshape(full)[: shape[0], : shape[1]]
