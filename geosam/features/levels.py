"""Values in 256 levels between the least and the greatest that a look at the whole scene finds."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from geosam.scene import Scene
from geosam.scene.view import THUMBNAIL_PX

COUNT = 256


@dataclass(frozen=True)
class Levels:
    """Levels of one band, the same for the whole scene.

    Attributes
    ----------
    low
        Lower edge of the first level.
    step
        Width of a level.

    Examples
    --------
    >>> levels = Levels.of_range(0, 255, whole=True)
    >>> levels.values(levels.of(np.array([[0.0, 7.0, 300.0]]))).tolist()
    [[0.0, 7.0, 255.0]]
    """

    low: float
    step: float

    @classmethod
    def of_range(cls, low: float | int, high: float | int, *, whole: bool) -> "Levels":
        """Levels over a range; of whole numbers a level is one, where there are enough levels."""
        if whole and high - low < COUNT:
            return cls(float(low) - 0.5, 1.0)
        return cls(float(low), float(high - low) / COUNT or 1.0)

    def of(self, values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        """Level of each value; values beyond the range take the first or the last."""
        return np.clip((values - self.low) / self.step, 0, COUNT - 1).astype(np.uint8)

    def values(self, levels: np.ndarray) -> np.ndarray:
        """The value in the middle of each level."""
        return self.low + (levels + 0.5) * self.step


INDEX_LEVELS = Levels.of_range(-1, 1, whole=False)
"""Levels of every index."""


def band_levels(scene: Scene, bands: tuple[int, ...]) -> tuple[Levels, ...]:
    """Levels of some bands, from one decimated look at the whole raster: the same for all of its parts."""
    values, known = scene.raster.thumbnail(bands, THUMBNAIL_PX)
    found = []
    for number, band, ok in zip(bands, values, known, strict=True):
        data = band[ok & np.isfinite(band)]
        low, high = (float(data.min()), float(data.max())) if len(data) else (0.0, 1.0)
        whole = np.dtype(scene.raster.info.dtypes[number - 1]).kind in "bui"
        found.append(Levels.of_range(low, high, whole=whole))
    return tuple(found)
