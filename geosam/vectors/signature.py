"""What a file is by its first bytes, and whether that is what its name says.

GDAL opens a file by what it finds in it. So a text that is named ``roofs.gpkg`` may be a list of other places, on this
machine or behind a network, and they would be read. Here the name decides what is opened.
"""

import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

from geosam.vectors.purpose import Purpose

HEAD = 1 << 16
"""Bytes that are looked at."""

_TABLE_HEAD = 12
"""Bytes at the beginning of a dBASE table that say how many records it has, where they begin and how long they are."""

_ZIPPED, _JSON, _XML = (b"PK",), (b"{", b"[", b"\x1e"), (b"<",)

KINDS: dict[str, tuple[str, tuple[bytes, ...]]] = {
    **dict.fromkeys((".gpkg", ".sqlite"), ("a SQLite database", (b"SQLite format 3\0",))),
    ".fgb": ("a FlatGeobuf", (b"fgb",)),
    **dict.fromkeys((".shp", ".shx"), ("a shapefile", (b"\0\0\x27\x0a",))),
    **dict.fromkeys((".zip", ".kmz", ".shz", ".xlsx", ".ods"), ("a ZIP archive", _ZIPPED)),
    **dict.fromkeys((".parquet", ".geoparquet"), ("a Parquet file", (b"PAR1",))),
    **dict.fromkeys((".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson", ".jsonl", ".topojson"), ("JSON", _JSON)),
    **dict.fromkeys((".kml", ".gml", ".gpx", ".xml"), ("XML", _XML)),
}
"""By extension: what a file with it is, and how it may begin."""

_ROOTS = {".kml": b"<kml", ".gpx": b"<gpx", ".gml": b"gml", ".xml": b"gml"}
"""What the head of an XML file must hold."""

_ELSEWHERE = re.compile(
    rb"<OGR\w*DataSource|<OGR\w*Layer|<VRTDataset|<GDAL_|<WMS_|<WMT_|<WFS_|<wfs:WFS_|<MRF_META|gdal_streamed_alg"
    rb"|<csw:Capabilities|\"tile_matrix_set\"|\"stac_version\"\s*:[^}]*\"Catalog\"",
    re.IGNORECASE,
)
"""Marks of files that hold no features but say where some are."""


def check_signature(path: Path, purpose: Purpose) -> None:
    """Refuse a file that is not what its name says, or that leads elsewhere.

    Raises
    ------
    GeosamError
        Of the purpose's kind.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        if suffix != ".gdb" and not any(path.glob("*.shp")):
            raise purpose.unreadable(path, "it is a folder")
        tables = [file for file in path.iterdir() if file.suffix.lower() == ".dbf"]
    else:
        tables = [path.with_suffix(end) for end in (".dbf", ".DBF")] if suffix in (".shp", ".shx", ".dbf") else []
    try:
        for table in filter(Path.is_file, tables):
            with table.open("rb") as file:
                _check_table(file.read(_TABLE_HEAD), table.stat().st_size, table.name, purpose)
        if path.is_dir():
            return
        with path.open("rb") as file:
            check_head(file.read(HEAD), path.name, purpose)
        if suffix in (".zip", ".kmz", ".shz"):
            _check_members(path, purpose)
    except OSError as error:
        raise purpose.unreadable(path, str(error.strerror or error)) from None


def check_head(head: bytes, name: str, purpose: Purpose) -> None:
    """Refuse what begins with `head` and is called `name` if the two do not go together."""
    suffix = Path(name).suffix.lower()
    if not head:
        raise purpose.unreadable(name, "it is empty")
    if _ELSEWHERE.search(head):
        raise purpose.error(
            f"{name} says where features are, such as a VRT or a service, and holds none",
            expected=f"a file with {purpose.what}",
            hint="save them as a GeoPackage (ogr2ogr out.gpkg IN, or QGIS) and give that",
        )
    what, starts = KINDS.get(suffix, ("", ()))
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip() if starts in (_JSON, _XML) else head
    if starts and not (begin.startswith(starts) and _ROOTS.get(suffix, b"") in begin.lower()):
        raise purpose.unreadable(name, f"it is no {what.split(' ', 1)[-1]}, as {suffix} says")


def _check_table(head: bytes, size: int, name: str, purpose: Purpose) -> None:
    """Refuse a dBASE table that is cut off: GDAL crashes where it looks for the types of its numbers."""
    if len(head) < _TABLE_HEAD:
        raise purpose.unreadable(name, "it is cut off")
    records, begin, width = struct.unpack("<IHH", head[4:_TABLE_HEAD])
    if size < begin + records * width:
        raise purpose.unreadable(name, f"it is cut off after {size:,} of {begin + records * width:,} bytes")


def json_crs(path: Path, purpose: Purpose, *, needed: bool) -> tuple[bool, str | None]:
    """Whether a GeoJSON file says something of its CRS, and the name that it gives, if it is one.

    RFC 7946 has no such member, but older files do: ``null`` means that it is unknown. Without the member it is
    longitude and latitude.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if the CRS is named by a link, which would have to be fetched, or needed and not named.
    """
    found = _crs_member(path)
    if not isinstance(found, dict):
        return found is not False, None
    told, is_link = found.get("properties"), found.get("type") not in (None, "name")
    name = told.get("name") if isinstance(told, dict) else None
    if is_link or (needed and not isinstance(name, str)):
        raise purpose.error(
            f"{path.name} gives its CRS as {json.dumps(found)[:100]}",
            expected="a name, as in EPSG:32633",
            hint="take the member `crs` out of the file" + ("" if is_link else f", or say it yourself: {purpose.crs}"),
        )
    return True, name if isinstance(name, str) else None


def _crs_member(path: Path) -> Any:
    """The member `crs` before or after a file's features; False if there is none."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(0, path.stat().st_size - HEAD))
        tail = file.read()
    before, _, _ = head.partition(b'"features"')
    after = tail[tail.rfind(b"]") :] if b'"features"' in head else b""
    for part in (before, after):
        found = re.search(rb'"crs"\s*:\s*', part)
        if found:
            text = part[found.end() :].decode("utf-8", "replace")
            try:
                return json.JSONDecoder().raw_decode(text)[0]
            except ValueError:
                return {}
    return False


def _check_members(path: Path, purpose: Purpose) -> None:
    """Refuse an archive one of whose files is not what its name says."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.filename.lower().endswith(".dbf"):
                    with archive.open(member) as file:
                        name = f"{path.name}/{member.filename}"
                        _check_table(file.read(_TABLE_HEAD), member.file_size, name, purpose)
                if not member.is_dir() and Path(member.filename).suffix.lower() in (*KINDS, ".vrt"):
                    with archive.open(member) as file:
                        check_head(file.read(HEAD), f"{path.name}/{member.filename}", purpose)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # broken; with a password; unknown packing
        raise purpose.unreadable(path, str(error)) from None
