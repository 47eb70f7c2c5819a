"""The files that a run reads, so that none of its outputs is one of them."""

import os
from collections.abc import Iterable
from typing import Any

from geosam.paths import is_address
from geosam.scene import Scene
from geosam.scene.array import ArrayRaster
from geosam.scene.file import FileRaster
from geosam.sinks.places import local
from geosam.vectors import split_layer


def scene_files(scene: Scene) -> list[str]:
    """The local files that GDAL reads for a scene: its raster, what lies beside it, the sources of a VRT.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = coordinate_scene(folder + "/xy.tif", (64, 64))
    ...     scene_files(open_scene(path)) == [str(path)]
    True
    """
    raster = scene.raster
    if isinstance(raster, FileRaster):
        return [stamp.path for stamp in raster.stamps]
    sources = [part.encoding.get("source") for part in raster.parts] if isinstance(raster, ArrayRaster) else []
    return [local(source) for source in sources if isinstance(source, str) and not is_address(source)]


def input_files(*sources: Any) -> list[str]:
    """The files that scenes and other sources stand for; what is no scene and no path stands for none.

    Parameters
    ----------
    sources
        Scenes, paths of vectors, rasters or weights, and lists of them; anything else is passed over.
    """
    found: list[str] = []
    for source in sources:
        if isinstance(source, Scene):
            found += [*scene_files(source), *source.area_files]
        elif isinstance(source, str | os.PathLike):
            found.append(local(split_layer(os.fspath(source))[0]))
        elif isinstance(source, list | tuple):
            found += input_files(*source)
        else:
            found += input_files(*_files_of(source))
    return found


def _files_of(source: Any) -> Iterable[Any]:
    """What an object says that it was read from."""
    files = getattr(source, "files", ())
    return tuple(files) if isinstance(files, tuple) else ()
