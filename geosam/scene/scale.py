"""The size of what is looked for, in words, as the size of a working pixel.

A network sees pixels, not metres: a car of ten pixels and a field of ten thousand are not found in one view. A scale
names the length on the ground of what is looked for; the working pixel is chosen so that such an object spans about
`OBJECT_PX` pixels, which is what windows, grid points and the built-in model are made for.
"""

from dataclasses import replace
from math import isfinite

from geosam.errors import OptionError
from geosam.scene.grid import all_of
from geosam.scene.view import Scene

SCALES = {"vehicles": 5.0, "buildings": 20.0, "fields": 200.0, "landscape": 2000.0}
"""Typical lengths in metres."""

OBJECT_PX = 48
"""Pixels that an object of the scale's length spans."""

FINEST = 0.5
"""Smallest working pixel, as a share of the scene's own: finer ones hold no more detail."""


def at_scale(scene: Scene, scale: str) -> Scene:
    """See a scene at the working pixel that suits objects of one scale.

    Parameters
    ----------
    scene
        A scene with a CRS, at any working pixel.
    scale
        A key of `SCALES`.

    Raises
    ------
    OptionError
        If the scale is not known, or the scene has no CRS and so no metres.

    Examples
    --------
    >>> import tempfile
    >>> from affine import Affine
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(f"{folder}/xy.tif", transform=Affine(0.5, 0, 5e5, 0, -0.5, 5e6)))
    >>> [round(at_scale(scene, name).resolution_m, 2) for name in SCALES]
    [0.25, 0.42, 4.2, 42.68]
    """
    if scale not in SCALES:
        raise OptionError(f"scale {scale!r}", expected=f"one of {', '.join(SCALES)}, or a resolution as in '0.5 m'")
    own = replace(scene, whole=scene.raster.info.shape, crop=all_of(scene.raster.info.shape)).resolution_m
    if not isfinite(own):
        hint = "give a resolution in pixels of the raster instead"
        raise OptionError(f"scale {scale!r} of {scene.name}", expected="a scene with a CRS in metres", hint=hint)
    return scene.at(max(SCALES[scale] / OBJECT_PX, FINEST * own), "m")
