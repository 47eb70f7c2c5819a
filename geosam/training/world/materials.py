"""Colours of things seen from above, as reflectances in red, green, blue and near infrared.

Each material is a list of examples, written as the colour a screen would show (hexadecimal) and its near-infrared
reflectance; `pick` takes one and varies it, because no two roofs are quite alike.
"""

import numpy as np
from jaxtyping import Float32

Spectrum = Float32[np.ndarray, "4"]

PALETTES: dict[str, tuple[tuple[str, float], ...]] = {
    "grass": (
        ("5f7040", 0.36), ("6b7a46", 0.38), ("52663a", 0.4), ("7d8450", 0.33), ("8b8a5a", 0.3),
        ("647a3c", 0.42),
    ),
    "dry grass": (
        ("a09468", 0.3), ("8f8a68", 0.28), ("b0a27c", 0.32), ("97856a", 0.27), ("7e7a60", 0.25),
    ),
    "soil": (
        ("9c8468", 0.25), ("b59b7c", 0.3), ("7f6a55", 0.21), ("a5714e", 0.26), ("8a8072", 0.22),
        ("c4ae8e", 0.33),
    ),
    "sand": (
        ("d2c09a", 0.4), ("c8b592", 0.38), ("e0d3b4", 0.44),
    ),
    "concrete": (
        ("a9a69e", 0.3), ("b9b5ab", 0.32), ("96948e", 0.26), ("c6c2b8", 0.35),
    ),
    "asphalt": (
        ("6f7074", 0.13), ("5b5d62", 0.11), ("808083", 0.16), ("8d8b88", 0.18), ("4d4f54", 0.09),
    ),
    "gravel": (
        ("b3a68f", 0.28), ("a89f90", 0.27), ("c2b49a", 0.31), ("9c8c75", 0.26),
    ),
    "crop": (
        ("4c6b32", 0.48), ("5d7c3a", 0.52), ("3e5c30", 0.46), ("6f8a42", 0.5), ("829450", 0.44),
        ("335227", 0.5), ("8f9c52", 0.4), ("a3a05c", 0.36), ("5a6f44", 0.42),
    ),
    "ripe crop": (
        ("c3b078", 0.38), ("b79f63", 0.36), ("d0bf8b", 0.42), ("a89a6a", 0.33), ("c9b233", 0.46),
    ),
    "stubble": (
        ("b8a888", 0.34), ("c7b99a", 0.37), ("a99a7c", 0.31),
    ),
    "tree": (
        ("3c5230", 0.42), ("2f4527", 0.4), ("486038", 0.46), ("55683a", 0.44), ("3a4a2c", 0.36),
        ("5c6b3c", 0.43),
    ),
    "autumn tree": (
        ("7a6a36", 0.36), ("8b5a34", 0.33), ("6b5a3e", 0.27), ("9a8440", 0.37),
    ),
    "conifer": (
        ("2b3f2c", 0.32), ("33462f", 0.34), ("263a2a", 0.3),
    ),
    "water": (
        ("2f4048", 0.02), ("24343a", 0.02), ("3c5350", 0.03), ("4a5a4a", 0.04), ("345a68", 0.02),
        ("1e2c36", 0.015),
    ),
    "muddy water": (
        ("9a8566", 0.1), ("8a7a62", 0.09), ("a8957a", 0.12), ("7c705a", 0.07), ("6f6b58", 0.06),
    ),
    "pool": (
        ("4fb3c8", 0.05), ("6cc4d4", 0.06), ("3d9cc0", 0.05), ("82d2d8", 0.07),
    ),
    "scar": (
        ("b59a74", 0.3), ("a88460", 0.28), ("c4b08e", 0.34), ("94775a", 0.25), ("a8a090", 0.28),
    ),
    "tile roof": (
        ("b0603f", 0.32), ("a0553d", 0.3), ("c0714c", 0.35), ("8e5140", 0.27), ("b5795c", 0.33),
    ),
    "shingle roof": (
        ("6a6663", 0.17), ("57555a", 0.14), ("7d766d", 0.2), ("8a7c6c", 0.22), ("4b4a4e", 0.12),
        ("99938a", 0.24),
    ),
    "metal roof": (
        ("c9ccd0", 0.45), ("aeb4b8", 0.38), ("8d969c", 0.3), ("e2e3e4", 0.52), ("9aa39a", 0.31),
    ),
    "painted roof": (
        ("3f74b8", 0.3), ("2f5f9a", 0.27), ("4d86a8", 0.29), ("3f7a5c", 0.3), ("a8403c", 0.34),
        ("6c8f7c", 0.29),
    ),
    "rusty roof": (
        ("8f6a52", 0.26), ("7c5c4c", 0.23), ("a3836a", 0.29), ("9b8a7c", 0.29),
    ),
    "slab roof": (
        ("b4ada0", 0.32), ("a29a8e", 0.29), ("c8c3b8", 0.37), ("8f887e", 0.26), ("d9d6ce", 0.42),
    ),
    "membrane roof": (
        ("dcdcd8", 0.48), ("c2c2c0", 0.42), ("8e8e90", 0.28), ("77777a", 0.22), ("ecebe6", 0.52),
    ),
    "vehicle": (
        ("e8e8e8", 0.5), ("d8d9da", 0.45), ("a8abae", 0.35), ("3a3c40", 0.08), ("26282b", 0.06),
        ("6a6f76", 0.18), ("8f2f2c", 0.25), ("2f4a7c", 0.15), ("b8b2a4", 0.35),
    ),
    "truck": (
        ("ecece8", 0.5), ("d8d8d4", 0.45), ("3f6fa8", 0.3), ("c8b43a", 0.4), ("b0463a", 0.32), ("4f8050", 0.3),
    ),
    "panel": (
        ("2b3550", 0.07), ("232b40", 0.06), ("343a4c", 0.08), ("1f2430", 0.05),
    ),
    "rubble": (
        ("9a9288", 0.26), ("8c8074", 0.24), ("a89e92", 0.29), ("7c7268", 0.21),
    ),
    "snow": (
        ("f2f4f8", 0.75), ("e6ebf2", 0.68), ("dde4ee", 0.6), ("f8f8f8", 0.8),
    ),
    "ice": (
        ("b8d0dc", 0.3), ("9fbccb", 0.22), ("c8dae2", 0.4),
    ),
    "slick": (
        ("3a4044", 0.004), ("4b4a44", 0.005), ("2c3236", 0.003), ("545c60", 0.006),
    ),
    "sea": (
        ("2a4654", 0.05), ("22404c", 0.06), ("355862", 0.05), ("1e3440", 0.07),
    ),
    "rock": (
        ("a09a92", 0.27), ("8a847c", 0.24), ("b4aea4", 0.31),
    ),
}  # fmt: skip
"""Screen colour and near-infrared reflectance of examples of each material."""


def spectrum(colour: str, nir: float) -> Spectrum:
    """Reflectance of a screen colour, undoing the screen's gamma of 2.2.

    Examples
    --------
    >>> spectrum("ffffff", 0.5).tolist()
    [1.0, 1.0, 1.0, 0.5]
    """
    rgb = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (0, 2, 4)]
    return np.array([*rgb, nir], np.float32)


SPECTRA = {name: np.stack([spectrum(*row) for row in rows]) for name, rows in PALETTES.items()}


def pick(rng: np.random.Generator, material: str, spread: float = 0.12) -> Spectrum:
    """One spectrum of a material, varied in brightness and a little in hue.

    Examples
    --------
    >>> pick(np.random.default_rng(0), "grass").shape
    (4,)
    """
    rows = SPECTRA[material]
    base = rows[rng.integers(len(rows))]
    brightness = np.exp(rng.normal(0.0, spread))
    hue = np.exp(rng.normal(0.0, spread / 3, 4))
    return np.clip(base * brightness * hue, 0.003, 1.0).astype(np.float32)
