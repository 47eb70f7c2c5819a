"""Where outputs lie: whether a file may become one, before any work is done, and what lies at its place.

An output is never a file that the run reads, whatever it is called: by a link, by another case of its name, as a
source of a VRT. A link is followed: what it names is written, and the link stays.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from geosam.errors import OptionError, SinkError
from geosam.locks import LockedFolder
from geosam.paths import beside
from geosam.sinks.commit import home_of

SIDECARS = ("-wal", "-shm", "-journal", ".aux.xml", ".ovr", ".msk")
"""Files that belong to an output of that name; beside a new file they would lie, a SQLite log would even damage it."""


@dataclass(frozen=True)
class Stamp:
    """What lies at a place: another one if the file was replaced or written to in the meantime."""

    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        """The stamp of a file; None if there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


def check_path(
    path: str | os.PathLike[str],
    extensions: tuple[str, ...],
    *,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Check, before any work is done, that `path` can become an output with one of `extensions`.

    Parameters
    ----------
    path
        The output, a local path; upper and lower case extensions are the same.
    extensions
        Allowed extensions, such as ``(".tif", ".tiff")``.
    overwrite
        Whether an existing file may be replaced.
    inputs
        Files that are read; those that are no local files are passed over.

    Returns
    -------
    Path
        The absolute path; a link is not followed yet.

    Raises
    ------
    SinkError
        If the extension is not known, the folder is absent or cannot be written, the file is one of the inputs, or it
        exists and must not be replaced.

    Examples
    --------
    >>> check_path("fields.shp", (".gpkg", ".fgb"))
    Traceback (most recent call last):
    geosam.errors.SinkError: fields.shp: expected a file name that ends in .gpkg or .fgb
    """
    target = Path(path).absolute()
    if "://" in str(path) or "\0" in str(path) or target.suffix.lower() not in extensions:
        raise SinkError(f"{path}", expected=f"a file name that ends in {_either(extensions)}")
    real = followed(target)
    _check_kind(path, real)
    check_inputs(path, inputs)
    if real.exists() and not overwrite and not is_pending(path):
        raise exists(path)
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise SinkError(f"{path}: the folder {real.parent} cannot be written", hint="choose another folder")
    if real.exists() and not os.access(real, os.W_OK):
        raise SinkError(f"{path} is write-protected", hint="choose another name, or make it writable")
    return target


def check_inputs(path: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Check that an output, and what is removed with it, is none of the files that are read.

    Raises
    ------
    SinkError
        If it is, by whatever name.
    """
    read = {identity for one in inputs if (identity := _identity(local(one)))}
    if not read:
        return
    for suffix in ("", *SIDECARS):
        if _identity(f"{followed(Path(path))}{suffix}") in read:
            raise SinkError(
                f"{path} is read by this run"
                if not suffix
                else f"{path}{suffix}, which goes with {path}, is read here",
                expected="an output that is none of its inputs",
                hint="choose another name",
            )


def check_together(paths: Iterable[Path]) -> None:
    """Check that outputs of one run are different files.

    Raises
    ------
    OptionError
        If two are one, also by a link.
    """
    seen: list[tuple[Path, tuple[int, int] | None]] = []
    for path in paths:
        real = followed(path)
        identity = _identity(real)
        if any(real == other or (identity is not None and identity == same) for other, same in seen):
            raise OptionError(f"two outputs of one name, {path}", expected="a different file for each output")
        seen.append((real, identity))


def exists(path: str | os.PathLike[str]) -> SinkError:
    """The error for an output that is there and must not be replaced.

    If the run that wrote it was killed after the last move, its empty folder still lies there; it is removed.
    """
    folder = beside(followed(Path(path)), "geosam")
    if folder.is_dir() and home_of(folder) is None:
        with suppress(OSError, SinkError):  # somebody works there, or nothing can be removed
            LockedFolder(folder, str(path)).remove()
    return SinkError(f"{path} exists", hint="choose another name or allow it to be overwritten (--overwrite)")


def is_pending(path: str | os.PathLike[str]) -> bool:
    """Whether a killed run had an output complete, so that whoever opens it next finishes that first."""
    return home_of(beside(followed(Path(path)), "geosam")) is not None


def followed(path: Path) -> Path:
    """The file that a path stands for, links followed; it need not be there."""
    return Path(os.path.realpath(path))


def local(source: str | os.PathLike[str]) -> str:
    """The local path of an input, of a ``file:`` address as well."""
    text = os.fspath(source)
    return url2pathname(urlsplit(text).path) if text.lower().startswith("file://") else text


def _check_kind(path: str | os.PathLike[str], real: Path) -> None:
    """Whether what lies there, if anything, is a file in a folder."""
    try:
        kind = real.stat().st_mode
    except OSError as error:
        if os.path.islink(real):
            raise SinkError(f"{path} is a link that leads nowhere ({error.strerror})", hint="remove it") from None
        kind = stat.S_IFREG
    if stat.S_ISDIR(kind):
        raise SinkError(f"{path} is a folder", expected="a file name", hint="give the name of a file in it")
    if not stat.S_ISREG(kind):
        raise SinkError(f"{path} is a pipe, a socket or a device", expected="a regular file")
    if not real.parent.is_dir():
        raise SinkError(f"{path}: there is no folder {real.parent}", hint="make the folder first")
    longest = os.pathconf(real.parent, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    if len(os.fsencode(real.name)) > longest:
        raise SinkError(f"{path}: the name is too long", expected=f"at most {longest} bytes")


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _either(extensions: tuple[str, ...]) -> str:
    *first, last = extensions
    return f"{', '.join(first)} or {last}" if first else last
