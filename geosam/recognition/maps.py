"""What the backbone sees in a window: maps of features at strides 4 to 32."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16

from geosam.backbone.network import CHANNELS, STRIDES
from geosam.errors import ModelError

GRAIN = 256
"""Features are rounded to multiples of 1/256, far below what tells kinds apart, so that sums of them are exact.

Exact sums do not depend on the order in which windows come, nor on who adds them.
"""


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """Features of a window.

    Parameters
    ----------
    arrays
        One of each stride, finest first: ``c gh gw`` in float16, multiples of 1/256. Cell ``(row, col)`` at stride *s*
        is about the pixels from ``(s * row, s * col)``; cells at the right and lower edges may reach beyond the window.
    shape
        ``(h, w)`` of the window in pixels.
    key
        Identifies the weights and the precision they were computed in.

    Raises
    ------
    ModelError
        If the arrays are not those of such a window.
    """

    arrays: tuple[Float16[np.ndarray, "_ _ _"], ...]
    shape: tuple[int, int]
    key: str

    def __post_init__(self) -> None:
        given = [(array.shape, str(array.dtype)) for array in self.arrays]
        wanted = [((c, *grid(self.shape, s)), "float16") for c, s in zip(CHANNELS, STRIDES, strict=True)]
        if given != wanted:
            raise ModelError(f"maps of {given} for {self.shape} pixels", expected=f"{wanted}", hint="encode it again")

    def at(self, stride: int) -> Float16[np.ndarray, "c gh gw"]:
        """The map of one stride."""
        return self.arrays[STRIDES.index(stride)]


def grid(shape: tuple[int, int], stride: int) -> tuple[int, int]:
    """Rows and columns of cells that cover a window.

    Examples
    --------
    >>> grid((1024, 1001), 32)
    (32, 32)
    """
    return -(-shape[0] // stride), -(-shape[1] // stride)


def rounded(values: np.ndarray) -> Float16[np.ndarray, "..."]:
    """Bring features to half precision and to multiples of 1/`GRAIN`."""
    return (np.rint(values * np.float32(GRAIN)) / np.float32(GRAIN)).astype(np.float16)
