"""Outputs appear whole or not at all.

Everything is written into a hidden folder beside the output, ``.NAME.geosam-HOST-PID-N``, and moved into place with one
`os.replace` when it is complete. The folder is removed however the writing ends; if the process was killed, the next
write to the same output recognises the folder by the process id in its name and removes it.
"""

import logging
import os
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from rasterio.errors import RasterioError

from geosam.errors import GeosamError, SinkError

_log = logging.getLogger(__name__)

_SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml", ".ovr", ".msk")
"""Files that belong to an output of that name; beside a new file they would lie, a SQLite log would even damage it."""


_DRIVER_ERRORS = (
    OSError,
    sqlite3.Error,
    pa.ArrowException,
    RasterioError,
    DataSourceError,
    DataLayerError,
    FeatureError,
    FieldError,
    GeometryError,
)


@contextmanager
def named_errors(path: Path, verb: str = "written") -> Iterator[None]:
    """Turn what a driver raises into a `SinkError` that names the file."""
    try:
        yield
    except GeosamError:
        raise
    except _DRIVER_ERRORS as error:
        raise SinkError(
            f"{path} cannot be {verb} ({error})", hint="see whether the disk is full or the file damaged"
        ) from error


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a path of the same name in a hidden folder; move that file to `path` if all went well; remove the folder.

    Parameters
    ----------
    path
        The output; an existing file is replaced whole, with its sidecar files.

    Raises
    ------
    SinkError
        If the folder cannot be made or the file cannot be moved into place.
    """
    _remove_stale(path)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_prefix(path)}{os.getpid()}-", dir=path.parent))
    except OSError as error:
        raise SinkError(f"{path.parent} cannot be written ({error.strerror})", hint="choose another folder") from error
    try:
        yield folder / path.name
        _move(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_path(path: str | os.PathLike[str], extensions: tuple[str, ...], *, overwrite: bool = True) -> Path:
    """Check, before any work is done, that `path` can become an output with one of `extensions`.

    Parameters
    ----------
    path
        The output, a local path; upper and lower case extensions are the same.
    extensions
        Allowed extensions, such as ``(".tif", ".tiff")``.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The absolute path.

    Raises
    ------
    SinkError
        If the extension is not known, the folder is absent or cannot be written, or the file exists and must not be
        replaced.

    Examples
    --------
    >>> check_path("fields.shp", (".gpkg", ".fgb"))
    Traceback (most recent call last):
    geosam.errors.SinkError: fields.shp: expected a file name that ends in .gpkg or .fgb
    """
    target = Path(path).absolute()
    if "://" in str(path) or target.suffix.lower() not in extensions:
        raise SinkError(f"{path}", expected=f"a file name that ends in {_either(extensions)}")
    if target.is_dir():
        raise SinkError(f"{path} is a folder", expected="a file name", hint="give the name of a file in it")
    if not target.parent.is_dir():
        raise SinkError(f"{path}: there is no folder {target.parent}", hint="make the folder first")
    if target.exists() and not overwrite:
        raise SinkError(f"{path} exists", hint="choose another name or allow it to be overwritten (--overwrite)")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise SinkError(f"{path}: the folder {target.parent} cannot be written", hint="choose another folder")
    return target


def _move(complete: Path, path: Path) -> None:
    try:
        for suffix in _SIDECARS:
            with suppress(FileNotFoundError):
                os.unlink(f"{path}{suffix}")
        os.replace(complete, path)
        for suffix in _SIDECARS:
            with suppress(FileNotFoundError):
                os.replace(f"{complete}{suffix}", f"{path}{suffix}")
    except OSError as error:
        hint = "close the programs that have it open and write again"
        raise SinkError(f"{path} cannot be replaced ({error.strerror})", hint=hint) from error


def _remove_stale(path: Path) -> None:
    """Remove what killed processes of this machine left of earlier writes to `path`."""
    pattern = re.compile(re.escape(_prefix(path)) + r"(\d+)-\w+")
    with suppress(OSError):
        for entry in path.parent.iterdir():
            left = pattern.fullmatch(entry.name)
            if left and not _runs(int(left[1])):
                shutil.rmtree(entry, ignore_errors=True)
                _log.info("removed %s, left by a killed process", entry)


def _prefix(path: Path) -> str:
    host = re.sub(r"\W+", "_", socket.gethostname())
    return f".{path.name}.geosam-{host}-"


def _runs(pid: int) -> bool:
    """Whether a process with this id exists on this machine; where that cannot be asked safely (Windows), yes."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _either(extensions: tuple[str, ...]) -> str:
    *first, last = extensions
    return f"{', '.join(first)} or {last}" if first else last
