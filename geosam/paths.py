"""Names of files and addresses: what they are, and how GDAL must hear them to take them for just that.

GDAL, rasterio and pyogrio read much into a name: ``!`` divides an archive from what lies in it, ``;`` and ``?`` begin
parameters, ``:`` follows a driver. A local file has a name and nothing else: `for_gdal` gives it in a form that none of
them can reinterpret.
"""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from geosam.errors import GeosamError

REMOTE = ("curl", "s3", "gs", "az", "adls", "oss", "swift", "webhdfs", "hdfs")
"""GDAL's file systems behind a network, as in ``/vsis3/``."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]+:(?!//)")
_READ_INTO = re.compile(r"[!;?#%\x00-\x1f\ud800-\udfff]")
_LONGEST = 200
"""Bytes of a file's name that may have more around it; names end at 255."""


def is_address(source: str | os.PathLike[str]) -> bool:
    """Whether a source is more than the name of a local file: a URI, a ``/vsi…`` path, a ``DRIVER:…`` connection.

    What exists under that very name is a local file.

    Examples
    --------
    >>> is_address("s3://bucket/a.tif"), is_address("/vsizip/a.zip/a.tif"), is_address("GTIFF_DIR:2:a.tif")
    (True, True, True)
    >>> is_address("a!b;c.tif"), is_address("C:/a.tif")
    (False, False)
    """
    text = os.fspath(source)
    if text.startswith("/vsi") or _SCHEME.match(text):
        return True
    return bool(_PREFIX.match(text)) and not _exists(text)


def is_remote(source: str | os.PathLike[str]) -> bool:
    """Whether a source lies behind a network, so that reading it needs one.

    Examples
    --------
    >>> is_remote("https://host/a.tif"), is_remote("/vsizip//vsicurl/https://host/a.zip"), is_remote("file:///a.tif")
    (True, True, False)
    """
    text = os.fspath(source)
    if any(f"/vsi{kind}" in text for kind in REMOTE):
        return True
    scheme = _SCHEME.match(text)
    return bool(scheme) and not re.fullmatch(r"(?:(?:file|zip|tar|gzip)\+?)+://", scheme[0].lower())


def check_regular(path: str | os.PathLike[str], error: type[GeosamError], expected: str) -> Path:
    """The absolute path of a local file or folder that exists and can be read to its end.

    Parameters
    ----------
    path
        A local path.
    error, expected
        What to raise, and what was expected, as in "a vector file".

    Raises
    ------
    GeosamError
        Of the kind of `error`, if there is nothing, or a pipe, socket or device, which might never end.
    """
    place = Path(path).absolute()
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        said = "does not exist" if isinstance(problem, FileNotFoundError) else f"cannot be opened ({reason})"
        raise error(f"{path} {said}", expected=expected) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise error(
            f"{path} is a pipe, a socket or a device", expected="a regular file", hint="save it to a file first"
        )
    return place


def beside(path: str | os.PathLike[str], kind: str) -> Path:
    """The hidden folder beside a file that holds what belongs to it for a while; one for each file and kind.

    A name that a file system might find too long with more around it is shortened by a hash.

    Examples
    --------
    >>> beside("/maps/a.gpkg", "journal").name, len(beside("/maps/" + 250 * "a", "journal").name)
    ('.a.gpkg.journal', 41)
    """
    place = Path(path).absolute()
    name = os.fsencode(place.name)
    short = place.name if len(name) <= _LONGEST else blake2b(name, digest_size=16).hexdigest()
    return place.with_name(f".{short}.{kind}")


@contextmanager
def for_gdal(path: str | os.PathLike[str]) -> Iterator[str]:
    """The name of a local file, or of one to be written, that GDAL and those who call it take for just that.

    Names without a sign that could be read into are given as they are, absolute. For others a link with a plain name
    is made in a temporary folder, beside links to what has the same stem (the parts of a shapefile), and taken away at
    the end; what is written to it is written to `path`.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a!b.txt").write_text("mine")
    ...     with for_gdal(Path(folder, "a!b.txt")) as name:
    ...         "!" in name, Path(name).read_text()
    (False, 'mine')
    """
    place = Path(path).absolute()
    if sys.platform == "win32" or not _READ_INTO.search(str(place)):
        yield str(place)
        return
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder:
        for beside in _same_stem(place):
            os.symlink(beside, Path(folder, "named" + beside.name[len(place.stem) :]))
        name = Path(folder, f"named{place.suffix}")
        if not os.path.lexists(name):
            os.symlink(place, name)
        yield str(name)


def _same_stem(place: Path) -> list[Path]:
    """The file and what lies beside it under the same name but for the extension."""
    try:
        return [other for other in place.parent.iterdir() if other.name.startswith(f"{place.stem}.")]
    except OSError:
        return []


def _exists(text: str) -> bool:
    try:
        return os.path.exists(text)
    except ValueError:  # a NUL in it
        return False
