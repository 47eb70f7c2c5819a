"""How many decoded blocks GDAL keeps while a scene is read: those that windows share, whatever the scene's size."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import rasterio
from rasterio.env import getenv, hasenv

from geosam.scene.file import FileRaster
from geosam.scene.view import Scene

OPTION = "GDAL_CACHEMAX"

SPARE_BYTES = 64 << 20
"""What the cache holds beyond the blocks of one window: those of windows beside it, and of outputs."""

MOST_BYTES = 512 << 20
"""Most that the cache holds, though the blocks of one window be more: they are then decoded again for the next."""


@contextmanager
def bounded_cache(scene: Scene, side: int) -> Iterator[None]:
    """Bound GDAL's cache of decoded blocks while a scene is read window by window.

    Left alone, GDAL keeps whatever it decodes, up to 5 % of the machine's memory. But windows that are read in order
    profit only from the blocks that they share: a handful where the raster is tiled, a row of windows where its blocks
    are as wide as the raster. The limit holds for all threads of the process and afterwards is what it was. One that
    the user has set, in the environment or in a `rasterio.Env`, stays.

    Parameters
    ----------
    scene
        The scene that will be read.
    side
        Side of its windows in px.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(f"{folder}/xy.tif", (512, 512)))
    ...     with bounded_cache(scene, 256):
    ...         getenv()[OPTION] == SPARE_BYTES + 512 * 512 * 4
    True
    """
    if OPTION in os.environ or (hasenv() and OPTION in getenv()) or not isinstance(scene.raster, FileRaster):
        yield
        return
    blocks = scene.raster.block_bytes(scene.bands, side)
    with rasterio.Env(GDAL_CACHEMAX=min(SPARE_BYTES + blocks, MOST_BYTES)):
        yield
