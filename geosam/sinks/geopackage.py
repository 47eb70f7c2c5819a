"""A GeoPackage that exists: its other layers, styles and tables stay, and only the named layer is replaced.

The file is copied by SQLite itself, so that what lies in its log comes along; the layer is written into the copy, which
then takes the file's place, if that is still the same.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from geosam.errors import SinkError
from geosam.sinks.places import Stamp, exists, followed

KEPT = ("layer_styles", "qgis_projects", "ogr_empty_table")
"""Tables that QGIS and GDAL keep in a GeoPackage."""

PREFIXES = ("gpkg_", "sqlite_", "rtree_")
"""What SQLite and the GeoPackage standard begin their own names with."""

_LONGEST = 255
_LEADING = re.compile(r"""[`~!@#$%^&*()+\-={}|\[\]\\:";'<>?,./]+""")
"""What GDAL takes for no beginning of a layer's name."""

_OTHERS = """
SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) NOT IN ('layer_styles', :layer)
    AND name NOT LIKE 'gpkg\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    AND lower(name) NOT LIKE 'rtree\\_' || :escaped || '\\_%' ESCAPE '\\'
UNION ALL SELECT 1 FROM gpkg_contents WHERE lower(table_name) NOT IN ('layer_styles', :layer)
"""


def layer_of(path: Path, layer: str | None) -> str:
    """The name of a layer: as asked for, else the file's, without the signs that no layer may begin with.

    Examples
    --------
    >>> layer_of(Path("maps/fields.gpkg"), None), layer_of(Path("[new] fields.gpkg"), None)
    ('fields', 'new] fields')
    """
    if layer is not None:
        return layer
    name = path.stem.encode(errors="backslashreplace").decode()
    leading = _LEADING.match(name)
    return name[leading.end() :] if leading else name


def check_layer(path: Path, layer: str | None, *, overwrite: bool) -> None:
    """Check, before any work is done, that a layer can be written into a GeoPackage that may exist.

    Parameters
    ----------
    path
        The GeoPackage.
    layer
        Name of the layer; None: the file's.
    overwrite
        Whether a layer of that name, or a file that is no GeoPackage, may be replaced. A layer of another name is added
        in any case.

    Raises
    ------
    SinkError
        If it cannot, or must not.
    """
    name = layer_of(path, layer)
    check_name(name, "--layer" if layer is not None else f"{path.name} as the layer's name")
    target = followed(path)
    if not target.exists():
        return
    with _opened(path, target) as package:
        if package is None:
            if not overwrite:
                raise SinkError(f"{path} exists and is no GeoPackage", hint="choose another name (or --overwrite)")
            return
        kind = _kind_of(package, name)
    if kind not in (None, "features"):
        hint = "choose another name for the layer (--layer, layer=)"
        raise SinkError(f"{path} has {name!r}, which is no layer of polygons ({kind})", hint=hint)
    if kind == "features" and not overwrite:
        error = exists(path)
        raise SinkError(
            f"{error.problem} and has a layer {name!r}",
            hint="choose another file or layer (--layer, layer=), or allow it to be overwritten (--overwrite)",
        )


def check_name(name: str, given: str = "layer") -> None:
    """Check that a table in a GeoPackage may have a name.

    Raises
    ------
    SinkError
        If SQLite, the GeoPackage standard, QGIS or GDAL keep it for themselves, or cannot hold it.

    Examples
    --------
    >>> check_name("gpkg_fields")
    Traceback (most recent call last):
    geosam.errors.SinkError: layer 'gpkg_fields': names that begin with gpkg_ are kept ...: name the layer otherwise ...
    """
    lower, why = name.lower(), ""
    begins = next((prefix for prefix in PREFIXES if lower.startswith(prefix)), "")
    if not name.strip():
        why = "a layer must have a name"
    elif begins:
        why = f"names that begin with {begins} are kept for the file's own tables"
    elif lower in KEPT:
        why = "QGIS or GDAL keep a table of that name"
    elif _LEADING.match(name):
        why = f"a name cannot begin with {name[0]}"
    elif len(name) > _LONGEST:
        why = f"it is longer than {_LONGEST} characters"
    elif re.search("[\0\ud800-\udfff]", name):
        why = "it holds what is no text"
    if why:
        shown = name if len(name) <= _LONGEST else f"{name[:20]}…"
        raise SinkError(f"{given} {shown!r}: {why}", hint="name the layer otherwise (--layer, layer=)")


def copy_others(path: Path, part: Path, layer: str) -> tuple[str, Stamp | None]:
    """Copy an existing GeoPackage to `part`, unless the layer to be written is all that it has.

    Parameters
    ----------
    path
        The GeoPackage; there may be none, or another file.
    part
        Where the copy goes.
    layer
        The layer that will be written into it.

    Returns
    -------
    str
        The layer's name, in the case that it has in the file.
    Stamp, or None
        What lay at the place when it was copied.

    Raises
    ------
    SinkError
        If another program has the file open and writes to it.
    """
    target = followed(path)
    before = Stamp.of(target)
    if before is None:
        return layer, None
    with _opened(path, target) as package:
        if package is None or _is_alone(package, layer):
            return layer, before
        with _named(path):
            if package.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                package.execute("PRAGMA journal_mode = DELETE")  # refused while another program has it open
            before = Stamp.of(target)
            with closing(sqlite3.connect(part)) as copy:
                package.backup(copy)
            row = package.execute("SELECT table_name FROM gpkg_contents WHERE lower(table_name) = lower(?)", (layer,))
            found = row.fetchone()
    return found[0] if found else layer, before


@contextmanager
def _opened(path: Path, target: Path) -> Iterator[sqlite3.Connection | None]:
    """The database of a GeoPackage; None if the file is none."""
    with _named(path), closing(sqlite3.connect(f"{target.as_uri()}?mode=rw", uri=True, timeout=2)) as package:
        try:
            tables = {name for (name,) in package.execute("SELECT lower(name) FROM sqlite_master")}
            sound = {"gpkg_contents", "gpkg_spatial_ref_sys"} <= tables
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            sound = False
        yield package if sound else None


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise SinkError(f"{path} is open in another program", hint="close it there and write again") from error
        raise SinkError(f"{path} cannot be read ({error})", hint="see whether it may be read and written") from error


def _kind_of(package: sqlite3.Connection, name: str) -> str | None:
    """What a name stands for in a GeoPackage: ``features``, another kind, or None for nothing."""
    row = package.execute("SELECT data_type FROM gpkg_contents WHERE lower(table_name) = lower(?)", (name,)).fetchone()
    if row is None:
        row = package.execute("SELECT type FROM sqlite_master WHERE lower(name) = lower(?)", (name,)).fetchone()
    return row[0] if row else None


def _is_alone(package: sqlite3.Connection, layer: str) -> bool:
    """Whether a GeoPackage holds nothing but one layer as geosam writes it."""
    lower = layer.lower()
    escaped = re.sub(r"([\\%_])", r"\\\1", lower)
    if package.execute(_OTHERS, {"layer": lower, "escaped": escaped}).fetchone():
        return False
    asked = {
        "layer_styles": "SELECT 1 FROM layer_styles WHERE lower(f_table_name) != ? OR styleName != 'geosam'",
        "gpkg_metadata_reference": "SELECT 1 FROM gpkg_metadata_reference WHERE ifnull(lower(table_name), '') != ?",
    }
    tables = {name for (name,) in package.execute("SELECT lower(name) FROM sqlite_master")}
    return not any(package.execute(query, (lower,)).fetchone() for name, query in asked.items() if name in tables)
