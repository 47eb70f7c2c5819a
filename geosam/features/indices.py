"""Indices: normalized differences of two bands, ``(a − b) / (a + b)``, in [−1, 1]."""

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Float

INDICES = {
    "ndvi": ("nir", "red"),
    "ndwi": ("green", "nir"),
    "ndbi": ("swir1", "nir"),
    "mndwi": ("green", "swir1"),
    "grvi": ("green", "red"),
    "bgri": ("blue", "green"),
}
"""Index → its two bands: vegetation (Rouse et al. 1974), open water (McFeeters 1996), built-up (Zha et al. 2003), water
beside buildings (Xu 2006), green against red (Tucker 1979) and blue against green, which RGB pictures have as well."""


def indices_of(roles: Collection[str]) -> tuple[str, ...]:
    """The indices that bands of these roles allow, in the order of `INDICES`.

    Examples
    --------
    >>> indices_of(["green", "red", "nir"])
    ('ndvi', 'ndwi', 'grvi')
    """
    return tuple(name for name, pair in INDICES.items() if set(pair) <= set(roles))


def index_values(name: str, bands: Mapping[str, Float[np.ndarray, "h w"]]) -> Float[np.ndarray, "h w"]:
    """An index of each pixel; 0 where both bands are 0."""
    one, other = (bands[role].astype(np.float64) for role in INDICES[name])
    total = np.abs(one) + np.abs(other)
    ratio = np.divide(one - other, total, out=np.zeros(one.shape), where=total > 0)
    return np.clip(ratio, -1, 1)
