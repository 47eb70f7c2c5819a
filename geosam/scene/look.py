"""What a decimated look at a scene's pixels finds amiss: collars that nothing marks as no data, bytes that look black.

Mosaics and rotated images are often filled with one value, white or black, and saved without saying so; the fill is
then taken for ground, and becomes an object. It is noticed and said, with the option that masks it, but not masked: it
may be snow.
"""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from geosam.errors import SceneReadError
from geosam.scene.raster import BandValid, BandValues, Raster, RasterInfo
from geosam.scene.stretch import Stretch

SIDE = 512
"""Side of the decimated look in pixels."""

LEAST_SHARE = 0.02
"""Share of a scene that a collar covers at least."""

LEAST_BORDER = 0.05
"""Share of the scene's border that is of one value, where a collar is looked for."""

CHEAP_PX = 2**25
"""Pixels of a raster without overviews that is looked at decoded as a whole."""


FEW_VALUES = 32
"""Scenes of no more different values show classes or labels, whose areas may touch the border."""

MOST_COLLARS = 2

DARK = 1 / 16
"""Share of the range of bytes below which what is seen of them as they are looks black."""


def look_notes(raster: Raster, bands: tuple[int, ...], stretch: Stretch) -> tuple[str, ...]:
    """What is to be said of the pixels; nothing of palettes, whose values are classes, or where a look is not cheap."""
    if raster.info.palette or not is_cheap(raster.info):
        return ()
    try:
        values, valid = raster.thumbnail(bands, SIDE)
    except SceneReadError:  # a damaged part: the run says so where it comes to it
        return ()
    dark = _dark_note(float(values.max(where=valid, initial=0)), stretch)
    if len(np.unique(values[0][valid[0]])) <= FEW_VALUES:
        return dark
    collars = sorted(find_collars(values, valid), key=lambda found: -found[1])
    return (*dark, *(_collar_note(value, share) for value, share in collars[:MOST_COLLARS]))


def is_cheap(info: RasterInfo) -> bool:
    """Whether a decimated look at a raster takes little: it has overviews, or is small."""
    return len(info.levels) > 1 or info.shape[0] * info.shape[1] <= CHEAP_PX


def find_collars(values: BandValues, valid: BandValid) -> list[tuple[float, float]]:
    """Values that fill an area along the border in all bands alike, and the shares of the scene that they fill.

    Examples
    --------
    >>> values = np.random.default_rng(0).uniform(1, 254, (3, 50, 50)).astype(np.float32)
    >>> values[:, :, :20] = 255
    >>> find_collars(values, np.ones(values.shape, bool))
    [(255.0, 0.4)]
    """
    known = valid.all(axis=0)
    grey = (values == values[:1]).all(axis=0) & known
    found = []
    for value in _of_border(values[0], grey):
        alike = grey & (values[0] == value)
        share = float(_joined_to_border(alike).mean())
        if LEAST_SHARE <= share < 1 and not (alike == known).all():  # a scene of one value has no collar
            found.append((value, round(share, 4)))
    return found


def _dark_note(highest: float, stretch: Stretch) -> tuple[str, ...]:
    """A word on bytes of which only the lowest are used, as of masks and of counts."""
    if stretch.method != "identity" or not 0 < highest < DARK * 255:
        return ()
    return (f'its bytes reach only {highest:g} of 255, and look black: stretch="minmax" (--stretch minmax) helps',)


def _collar_note(value: float, share: float) -> str:
    return (
        f"{share:.0%} of it, along its border, has the value {value:g} in all bands and is taken for ground: "
        f"if it is no data, say so with nodata={value:g} (--nodata {value:g})"
    )


def _of_border(band: np.ndarray, grey: Bool[np.ndarray, "h w"]) -> list[float]:
    """Values that many pixels of the border have in all bands."""
    edge = np.zeros_like(grey)
    edge[[0, -1]], edge[:, [0, -1]] = True, True
    values, counts = np.unique(band[edge & grey], return_counts=True)
    return values[counts >= LEAST_BORDER * edge.sum()].tolist()


def _joined_to_border(alike: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts that touch the border."""
    labels = np.zeros(alike.shape, np.int32)
    ndimage.label(alike, output=labels)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, edge[edge > 0])
