"""The session's GeoPackage as a database: made whole or not at all, and written row by row by SQLite itself.

Its layer `objects` is an ordinary layer with a spatial index, for QGIS and GDAL. Tables whose names begin with
``geosam_`` hold what a layer cannot: shapes in pixels, prompts, the history. They are in no list of layers.

A commit is on the disk before it returns (rollback journal, ``synchronous = EXTRA``), so that a process that is killed
loses what it had not committed, and the file is a whole one at any moment.
"""

import os
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from geosam import sinks
from geosam.errors import SinkError

LAYER = "objects"

_HEADER = struct.Struct("<2sBBi")
_ENVELOPE = struct.Struct("<4d")
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)

_LITTLE, _WITH_ENVELOPE = 1, 1 << 1

_TABLES = """
CREATE TABLE geosam_session (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
CREATE TABLE geosam_objects (
    fid INTEGER PRIMARY KEY NOT NULL, shape_px BLOB NOT NULL, geometry_hash TEXT NOT NULL,
    class_code INTEGER, prompts TEXT
);
CREATE TABLE geosam_history (step INTEGER PRIMARY KEY NOT NULL, undone INTEGER NOT NULL, content TEXT NOT NULL);
"""


def make_package(path: Path, crs: CRS | None) -> None:
    """Make an empty session at a path where nothing is; it appears whole.

    Parameters
    ----------
    path
        In a folder that can be written.
    crs
        Of the layer; None for none.
    """
    columns = {"class": "str", "class_code": "Int32", "score": "float64", "origin": "str", "area_m2": "float64"}
    empty = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})
    with tempfile.TemporaryDirectory(prefix=".geosam-", dir=path.parent) as folder:
        draft = Path(folder, "session.gpkg")
        sinks.write(gpd.GeoDataFrame(empty, geometry=gpd.GeoSeries([], crs=crs), crs=crs), draft, layer=LAYER)
        with closing(sqlite3.connect(draft)) as database:
            database.executescript(_TABLES)
        to_disk(draft)
        try:
            os.link(draft, path)  # refused where something has come meanwhile
        except FileExistsError:
            raise SinkError(f"{path} exists", hint="open it, or choose another session") from None
        except OSError:  # a file system without links
            os.replace(draft, path)
    to_disk(path.parent)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, for one thread at a time, with the functions that the spatial index calls.

    Raises
    ------
    SinkError
        If it is no session.
    """
    database = sqlite3.connect(path, timeout=5, check_same_thread=False, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous = EXTRA")
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        database.close()
        raise SinkError(f"{path} cannot be opened ({error})", hint="choose another file (--session)") from None
    if not {"gpkg_contents", LAYER, "geosam_session", "geosam_objects", "geosam_history"} <= tables:
        database.close()
        raise SinkError(f"{path} is no session of geosam", hint="choose another file (--session)")
    functions: dict[str, Callable[[bytes], Any]] = {
        "ST_IsEmpty": lambda blob: int(from_blob(blob).is_empty),
        "ST_MinX": lambda blob: from_blob(blob).bounds[0],
        "ST_MinY": lambda blob: from_blob(blob).bounds[1],
        "ST_MaxX": lambda blob: from_blob(blob).bounds[2],
        "ST_MaxY": lambda blob: from_blob(blob).bounds[3],
    }
    for name, function in functions.items():
        database.create_function(name, 1, function, deterministic=True)
    return database


def is_session(path: Path) -> bool:
    """Whether a file is a session; one that is absent or no database is none."""
    if not path.is_file() or path.suffix.lower() != ".gpkg":
        return False
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        try:
            query = "SELECT 1 FROM sqlite_master WHERE name = 'geosam_session'"
            return database.execute(query).fetchone() is not None
        except sqlite3.DatabaseError:
            return False


def srs_of(database: sqlite3.Connection) -> int:
    """Number of the layer's CRS in the file."""
    query = "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = ?"
    return int(database.execute(query, (LAYER,)).fetchone()[0])


def to_blob(shape: BaseGeometry, srs: int) -> bytes:
    """A geometry in the GeoPackage's binary form, with its bounds; polygons become multipolygons.

    Examples
    --------
    >>> from_blob(to_blob(shapely.box(0, 1, 2, 3), 4326)).bounds
    (0.0, 1.0, 2.0, 3.0)
    """
    multi = shapely.MultiPolygon([shape]) if isinstance(shape, shapely.Polygon) else shape
    x0, y0, x1, y1 = multi.bounds
    header = _HEADER.pack(b"GP", 0, _LITTLE | _WITH_ENVELOPE, srs) + _ENVELOPE.pack(x0, x1, y0, y1)
    return header + shapely.to_wkb(multi, byte_order=1)


def from_blob(blob: bytes) -> BaseGeometry:
    """The geometry of a GeoPackage's binary form.

    Raises
    ------
    SinkError
        If it is none.
    """
    envelope = (blob[3] >> 1 & 7) if len(blob) > 8 and blob[:2] == b"GP" else 5
    if envelope >= len(_ENVELOPE_BYTES):
        raise SinkError("a geometry that is none of a GeoPackage", hint="see whether the file is damaged")
    return shapely.from_wkb(blob[_HEADER.size + _ENVELOPE_BYTES[envelope] :])


def to_disk(path: Path) -> None:
    """See that a file, or the names in a folder, are on the disk."""
    if sys.platform == "win32" and path.is_dir():  # which sees to names itself
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:  # folders of some file systems cannot be
        if path.is_file():
            raise
    finally:
        os.close(number)
