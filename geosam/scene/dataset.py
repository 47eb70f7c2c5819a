"""Datasets as GDAL opens them: by names that mean what they say, for one thread, with the options of their place."""

import os
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError  # pyright: ignore[reportMissingImports] - compiled; it has no public name
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from geosam.errors import SceneError, SceneReadError
from geosam.paths import is_remote
from geosam.scene.origin import Origin

MOST_DATASETS = 4
"""Datasets that a thread keeps open."""

NO_OVERVIEWS = -1
"""Level that is the native grid, decimated from its own pixels and not from overviews."""

REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "VSI_CACHE": "TRUE",
}
"""GDAL's options for remote files; those that the user has set stay."""

ASKED_AGAIN = "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/:/vsioss/:/vsiswift/:/vsiadls/"
"""GDAL remembers, as long as the process lives, that an address could not be opened; of these it does not."""

SHUT = {
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_HTTP_PROXY": "127.0.0.1:1",
    "GDAL_HTTPS_PROXY": "127.0.0.1:1",
    "GDAL_HTTP_MAX_RETRY": "0",
}
"""GDAL's options for local files: whatever they refer to, nothing is fetched."""

RAISED = (
    *(RasterioError, CPLE_BaseError, OSError, ValueError, LookupError),
    *(ArithmeticError, RuntimeError, SystemError, TypeError),
)
"""What rasterio raises for a damaged or hostile file, besides its own errors and GDAL's: of bytes that are no text, of
numbers that fit no type, of a CRS that nobody knows."""

_opened = threading.local()
_failed: deque[DatasetReader] = deque(maxlen=256)
_quiet = threading.Lock()


@contextmanager
def open_dataset(source: str | PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster with GDAL, for the time of a block.

    Parameters
    ----------
    source
        Path or URI; see `geosam.scene.origin`.

    Raises
    ------
    SceneError
        If it cannot be opened, or is not what its name asks for.
    SceneReadError
        If GDAL cannot read what is asked of it meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_dataset(coordinate_scene(f"{folder}/a!b.tif", (20, 30))) as dataset:
    ...         dataset.shape
    (20, 30)
    """
    source = fspath(source)
    origin = Origin.of(source)
    with environment(origin):
        try:
            dataset = open_level(origin, 0)
        except RAISED as error:
            raise cannot_open(source, error) from None
        try:
            with closing_unless_failed(dataset):
                yield dataset
        except (RasterioError, CPLE_BaseError) as error:
            raise cannot_read(source, error) from None


@contextmanager
def closing_unless_failed(dataset: DatasetReader) -> Iterator[DatasetReader]:
    """Close a dataset at the end, but for one that could not be read: see `forget`.

    Nor is a VRT closed, whose sources may have failed unseen while its masks were asked for.
    """
    try:
        yield dataset
    except RAISED:
        _keep_failed(dataset)
        raise
    if dataset.driver == "VRT":
        _keep_failed(dataset)
    else:
        dataset.close()


def open_level(origin: Origin, level: int) -> DatasetReader:
    """Open one level of a dataset; an address that fails is asked once more, whatever GDAL remembers of it."""
    try:
        return _open(origin, level)
    except RAISED:
        if not is_remote(origin.address):
            raise
    with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=ASKED_AGAIN):
        return _open(origin, level)


def _open(origin: Origin, level: int) -> DatasetReader:
    """Open a dataset; one without georeferencing is nothing to warn of here."""
    options = {"OVERVIEW_LEVEL": "NONE" if level == NO_OVERVIEWS else str(level - 1)} if level else {}
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return DatasetReader(origin.address, driver=origin.drivers, sharing=False, **options)


def dataset_of_thread(origin: Origin, level: int, fingerprint: str) -> DatasetReader:
    """Dataset of the calling thread, opened at its first use; each thread keeps the few that it used last."""
    held: OrderedDict[tuple[int, str, int, str], DatasetReader] = _opened.__dict__.setdefault("held", OrderedDict())
    key = (os.getpid(), origin.address, level, fingerprint)
    if key not in held:
        held[key] = open_level(origin, level)
        while len(held) > MOST_DATASETS:
            held.popitem(last=False)[1].close()
    held.move_to_end(key)
    return held[key]


def forget(origin: Origin) -> None:
    """Take a raster whose reading failed out of use in the calling thread, so that the next reading opens it anew.

    GDAL remembers by a dataset's place in memory that a source of a VRT could not be opened, and the next reading gives
    zeros without a word. So it is not closed either: nothing else may come to lie there.
    """
    held = _opened.__dict__.get("held", {})
    for key in [key for key in held if key[1] == origin.address]:
        _keep_failed(held.pop(key))


def _keep_failed(dataset: DatasetReader) -> None:
    _failed.append(dataset)


def environment(origin: Origin) -> rasterio.Env:
    """GDAL's options for a raster: what eases reading over a network, or what shuts it."""
    options: dict[str, Any] = {}
    if is_remote(origin.address):
        options = {name: value for name, value in REMOTE.items() if name not in os.environ}
    elif not origin.is_open:
        options = dict(SHUT)
    if "GDAL_VRT_ENABLE_PYTHON" not in os.environ:
        options["GDAL_VRT_ENABLE_PYTHON"] = "NO"
    return rasterio.Env(**options)


def cannot_open(source: str, error: BaseException) -> SceneError:
    """What is said of a raster that GDAL refuses."""
    return SceneError(f"{source} cannot be opened ({reason(error)})", expected="a raster that GDAL reads")


def cannot_read(what: str, error: BaseException) -> SceneReadError:
    """What is said of a raster, or of a part of it, that GDAL opened and cannot read."""
    return SceneReadError(
        f"{what} cannot be read ({reason(error)})",
        expected="an undamaged file",
        hint="check it with `gdalinfo -checksum`, or fetch it again",
    )


def reason(error: BaseException) -> str:
    """What GDAL said, in one line: the cause that rasterio wraps, if there is one."""
    said = error.__cause__ or error
    return " ".join(str(said).split())[:200] or type(said).__name__
