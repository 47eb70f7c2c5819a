"""Spectral indices that tell events, their published thresholds, and one found on the scene."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from geosam.errors import OptionError

BURN_CLASSES = {
    "high regrowth": (-np.inf, -0.25),
    "low regrowth": (-0.25, -0.1),
    "unburned": (-0.1, 0.1),
    "low severity": (0.1, 0.27),
    "moderate-low severity": (0.27, 0.44),
    "moderate-high severity": (0.44, 0.66),
    "high severity": (0.66, np.inf),
}
"""dNBR of each class, from and below: Key & Benson 2006 (FIREMON), as UN-SPIDER uses them."""

BURNED = ("low severity", "moderate-low severity", "moderate-high severity", "high severity")


@dataclass(frozen=True)
class Index:
    """A spectral index, and the event that it tells.

    Attributes
    ----------
    name
        Its name.
    event
        flood, burn or landslide.
    first, second
        Bands by colour: the index is (first - second) / (first + second).
    """

    name: str
    event: str
    first: str
    second: str


INDICES = {
    each.name: each
    for each in (
        Index("ndwi", "flood", "green", "nir"),
        Index("mndwi", "flood", "green", "swir"),
        Index("dnbr", "burn", "nir", "swir"),
        Index("dndvi", "landslide", "nir", "red"),
    )
}
"""NDWI (McFeeters 1996), MNDWI (Xu 2006), dNBR (Key & Benson 2006), difference of NDVI."""

METHODS = (*INDICES, "sar")
"""What an extent can be found by; ``sar`` takes one band of backscatter in decibels."""


def check_bands(method: str, bands: Mapping[str, int]) -> None:
    """Refuse an index whose bands are not told; backscatter needs none.

    Raises
    ------
    OptionError
        Which band is missing.
    """
    index = INDICES.get(method)
    missing = [name for name in (index.first, index.second) if name not in bands] if index else []
    if index and missing:
        raise OptionError(
            f"{method} without a band {missing[0]}",
            expected=f"scenes whose bands {index.first} and {index.second} are told",
            hint=f'open them with bands="..." and say bands={{"{index.first}": 0, "{index.second}": 1}} for instance '
            f"(command line: --bands, and --extent-bands {index.first},{index.second},…)",
        )


def normalized_difference(first: np.ndarray, second: np.ndarray) -> Float64[np.ndarray, "h w"]:
    """(first - second) / (first + second); NaN where both are 0.

    Examples
    --------
    >>> normalized_difference(np.array([[3.0]]), np.array([[1.0]])).tolist()
    [[0.5]]
    """
    total = first.astype(np.float64) + second
    return np.divide(first.astype(np.float64) - second, total, out=np.full(total.shape, np.nan), where=total != 0)


def otsu(counts: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """Threshold that parts a histogram best, and how well: share of the variance between the parts, in [0, 1].

    Examples
    --------
    >>> counts, edges = np.histogram([0.1] * 50 + [0.9] * 50, bins=100, range=(0, 1))
    >>> threshold, parted = otsu(counts, edges)
    >>> 0.1 < threshold < 0.9, parted > 0.99
    (True, True)
    """
    middle = (edges[:-1] + edges[1:]) / 2
    weight = counts.astype(np.float64)
    total = weight.sum()
    if total == 0:
        return float("nan"), 0.0
    below, moment = np.cumsum(weight), np.cumsum(weight * middle)
    mean = moment[-1] / total
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean * below - moment) ** 2 / (below * (total - below))
    between = np.nan_to_num(between[:-1])
    variance = float((weight * (middle - mean) ** 2).sum() / total)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    threshold = float(edges[1:-1][best].mean())  # the middle of a gap
    return threshold, float(between.max() / variance) if variance > 0 else 0.0
