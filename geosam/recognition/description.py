"""What each region looks like, as one row of numbers: `RegionFeatures`."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64, Int64

from geosam.arrays import Labels
from geosam.backbone.network import CHANNELS, STRIDES
from geosam.errors import OptionError
from geosam.recognition import picture
from geosam.recognition.loading import Encoder, load_backbone
from geosam.recognition.pooling import RegionSums, pool
from geosam.scene import Chip

COLOUR = ("red", "green", "blue", "red spread", "green spread", "blue spread", "redness", "greenness", "blueness")
"""Means and standard deviations of the bands in units of the full range, and each band's share of the three."""

TEXTURE = ("edge", "edge spread", *(f"rough{side}" for side in picture.SIDES))
"""Mean strength of local edges and its standard deviation, and how much pixels stand out of squares around them."""

SHAPE = ("log area", "elongation", "compactness", "fill")
"""Logarithm of the area in px; ratio of the axes of the ellipse of the same second moments, as a logarithm; 4 π area /
border², of a border that follows pixel sides; area over that ellipse's."""

BYTE = 255.0
"""Full range of a band."""


@cache
def names() -> tuple[str, ...]:
    """Names of the columns of `RegionFeatures.values`.

    Examples
    --------
    >>> len(names()), names()[0], names()[-1]
    (513, 's4_0', 'fill')
    """
    deep = tuple(f"s{stride}_{n}" for stride, c in zip(STRIDES, CHANNELS, strict=True) for n in range(c))
    return (*deep, *COLOUR, *TEXTURE, *SHAPE)


@dataclass(frozen=True, eq=False)
class RegionFeatures:
    """Features of *n* regions, from means over their pixels.

    Parameters
    ----------
    values
        A row for each region and a column for each of `names`; zeros for a region without pixels.
    area_px
        Pixels of each region.
    key
        Identifies the backbone; rows of different keys must not be compared.

    Raises
    ------
    OptionError
        If the arrays do not fit together.
    """

    values: Float32[np.ndarray, "n d"]
    area_px: Int64[np.ndarray, "n"]
    key: str

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.area_px), len(names())):
            given = f"features of shape {self.values.shape} for {len(self.area_px)} regions"
            raise OptionError(given, expected=f"a row for each region and {len(names())} columns")

    def __len__(self) -> int:
        return len(self.area_px)

    @classmethod
    def from_sums(cls, sums: RegionSums, key: str) -> "RegionFeatures":
        """Turn sums over pixels into features."""
        area = np.maximum(sums.area, 1)[:, None].astype(np.float64)  # n 1
        means = sums.values / area  # n WIDTH
        deep, shown = np.split(means, [sum(CHANNELS)], axis=1)
        values = np.concatenate([deep, _looks(shown), _shape(sums)], axis=1)
        values[sums.area == 0] = 0
        return cls(values.astype(np.float32), sums.area, key)


def describe(chip: Chip, labels: Labels, encoder: Encoder | None = None) -> RegionFeatures:
    """Describe the regions of a window.

    Parameters
    ----------
    chip
        The window's pixels.
    labels
        Region of each pixel, 1 to n; 0 for none. Pixels without data belong to none, whatever they say.
    encoder
        The backbone; by default the package's.

    Returns
    -------
    RegionFeatures
        Row *i* belongs to label *i + 1*.

    Raises
    ------
    OptionError
        If labels and chip differ in shape, or labels are negative.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (64, 64)))
    ...     chip = scene.read(scene.crop)
    >>> labels = np.ones((64, 64), np.int32)
    >>> labels[:, 32:] = 2
    >>> describe(chip, labels).area_px.tolist()
    [2048, 2048]
    """
    encoder = encoder or load_backbone()
    if labels.shape != chip.valid.shape:
        raise OptionError(f"labels of {labels.shape} for a chip of {chip.valid.shape}", expected="the same shape")
    seen = np.where(chip.valid, labels, 0).astype(np.int32)
    count = max(int(labels.max(initial=0)), 0)
    maps = encoder.encode(chip.pixels)
    return RegionFeatures.from_sums(pool(maps, chip.pixels, seen, count=count), encoder.key)


def _looks(shown: Float64[np.ndarray, "n p"]) -> Float64[np.ndarray, "n q"]:
    """Colour and texture from the means of `geosam.recognition.picture.NAMES`."""
    colour, squares, edges, rough = np.split(shown, [3, 6, 8], axis=1)
    edge, edge2 = edges.T
    spread = np.sqrt(np.maximum(squares - colour**2, 0))
    share = (colour + 1) / (colour.sum(1, keepdims=True) + 3)
    rim = np.stack([edge, np.sqrt(np.maximum(edge2 - edge**2, 0))], axis=1)
    return np.concatenate([colour / BYTE, spread / BYTE, share, rim / BYTE, rough / BYTE], axis=1)


def _shape(sums: RegionSums) -> Float64[np.ndarray, "n 4"]:
    """Size and form from the moments, which are of doubled coordinates."""
    area = np.maximum(sums.area, 1).astype(np.float64)
    x, y, xx, yy, xy, border = (sums.moments / area[:, None]).T
    own = 1 / 3  # a doubled pixel's own second moment
    a, b, c = xx - x * x + own, yy - y * y + own, xy - x * y
    mean, apart = (a + b) / 2, np.sqrt(np.maximum(((a - b) / 2) ** 2 + c**2, 0))
    longest, shortest = np.maximum(mean + apart, own), np.maximum(mean - apart, own)
    ellipse = np.pi * np.sqrt(longest * shortest)  # of axes 2 σ, in px: doubled coordinates halve twice
    sides = np.maximum(border * area, 1)
    return np.stack([np.log(area), np.log(longest / shortest) / 2, 4 * np.pi * area / sides**2, area / ellipse], axis=1)
