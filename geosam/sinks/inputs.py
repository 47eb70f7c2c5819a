"""The files that a run reads, so that none of its outputs is one of them."""

import os
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geosam.paths import for_gdal, is_address
from geosam.scene import Scene
from geosam.sinks.places import local
from geosam.vectors import split_layer

_MOST = 10_000
"""Files of a scene that are looked at: sources of a VRT of VRTs can be very many."""


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
    if (stamps := getattr(scene.raster, "stamps", None)) is not None:  # a file, which knows what it is made of
        return [stamp.path for stamp in stamps]
    array = getattr(scene.raster, "array", None)
    source = scene.source if array is None else getattr(array, "encoding", {}).get("source")
    found: dict[str, None] = {}
    todo = [source] if isinstance(source, str) else []
    while todo and len(found) < _MOST:
        name = todo.pop()
        if name in found:
            continue
        found[name] = None
        if name == source or name.lower().endswith(".vrt"):
            todo += _read_with(name)
    return [name for name in map(local, found) if not is_address(name)]


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


def _read_with(name: str) -> list[str]:
    """What GDAL reads for a raster, by its true names."""
    try:
        with nullcontext(name) if is_address(name) else for_gdal(name) as plain, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(plain, sharing=False) as dataset:
                return [one if is_address(one) else os.path.realpath(one) for one in dataset.files]
    except (RasterioError, OSError):
        return []
