"""Geometries out of WKB and text, each by itself: what cannot be built is named, and the others are used."""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import shapely

_WKT = re.compile(
    r"\s*(?:SRID\s*=\s*(\d+)\s*;)?\s*((?:MULTI)?(?:POINT|LINESTRING|POLYGON)|GEOMETRYCOLLECTION|LINEARRING|CIRCULARSTRING"
    r"|COMPOUNDCURVE|CURVEPOLYGON|MULTICURVE|MULTISURFACE|TIN|TRIANGLE|POLYHEDRALSURFACE)\s*(?:Z|M|ZM)?\s*(?:\(|EMPTY\b)",
    re.IGNORECASE,
)
_HEX = re.compile(r"\s*(?:00[0-9A-F]{8}|01[0-9A-F]{8})(?:[0-9A-F]{2})+\s*", re.IGNORECASE)
_JSON = re.compile(r'\s*\{[^{]*"(?:type|coordinates|geometries)"')

_REFUSED = (shapely.errors.ShapelyError, ValueError, TypeError, NotImplementedError)
"""What shapely raises for what it cannot build."""

_SURFACES = {15: 6, 16: 6, 17: 3}
"""WKB types of a polyhedral surface, a TIN and a triangle, and of what has the same layout and every library knows."""


def geometries_from_wkb(wkb: Iterable[Any]) -> tuple[np.ndarray, dict[int, str]]:
    """Geometries out of WKB, and why some of them cannot be built.

    Rings that are not closed are closed. Surfaces made of patches, such as the walls and roofs of a building, become
    the area that they cover.

    Parameters
    ----------
    wkb
        n times WKB, or None.

    Returns
    -------
    An object array of n geometries or None, and the reason for each position that has WKB and no geometry.

    Examples
    --------
    >>> broken = shapely.to_wkb(shapely.box(0, 0, 1, 1))[:-7]
    >>> shapes, reasons = geometries_from_wkb([shapely.to_wkb(shapely.Point(1, 2)), broken, None])
    >>> shapes[0], list(reasons)
    (<POINT (1 2)>, [1])
    """
    given = [None if one is None else bytes(one) for one in wkb]
    patched = []
    for row, one in enumerate(given):
        if one is not None and _kind(one, 0)[0] in (*_SURFACES, 7) and (plain := _as_polygons(one)) != one:
            given[row] = plain
            patched.append(row)
    shapes = _built(given)
    for row in patched:
        shapes[row] = _covered(shapes[row])
    lost = [row for row, one in enumerate(given) if one is not None and shapes[row] is None]
    return shapes, {row: _why(shapely.from_wkb, given[row]) for row in lost}


def geometries_from_text(texts: Sequence[Any]) -> tuple[np.ndarray, dict[int, str], set[int]]:
    """Geometries out of WKT, EWKT, hexadecimal WKB or GeoJSON; why some cannot be built; and the SRIDs they state.

    Examples
    --------
    >>> shapes, reasons, srids = geometries_from_text(["SRID=4326;POINT (1 2)", None, "POINT (1"])
    >>> shapes[0], list(reasons), srids
    (<POINT (1 2)>, [2], {4326})
    """
    shapes, reasons, srids = np.full(len(texts), None, object), {}, set()
    for row, text in enumerate(texts):
        if text is None:
            continue
        try:
            shapes[row] = shape = _parsed(text, srids)
            if shape is not None and shapely.get_srid(shape):
                srids.add(int(shapely.get_srid(shape)))
        except (*_REFUSED, struct.error) as error:
            reasons[row] = _said(error)
    return shapes, reasons, srids


def is_geometry(value: Any) -> bool:
    """Whether a value of a table looks like a geometry: WKT, WKB or GeoJSON.

    Examples
    --------
    >>> is_geometry("POLYGON ((0 0, 1 0, 1 1, 0 0))"), is_geometry("Pointe-Noire"), is_geometry("0104")
    (True, False, False)
    """
    if isinstance(value, bytes):
        return len(value) > 8 and value[0] in (0, 1) and _kind(value, 0)[0] in range(1, 18)
    return (isinstance(value, str) and any(pattern.match(value) for pattern in (_WKT, _JSON))) or _is_hex(value)


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and bool(_HEX.fullmatch(value)) and is_geometry(bytes.fromhex(value.strip()))


def _parsed(text: str | bytes, srids: set[int]) -> Any:
    """One geometry of a table."""
    if isinstance(text, bytes) or _is_hex(text):
        shapes, reasons = geometries_from_wkb([text if isinstance(text, bytes) else bytes.fromhex(text.strip())])
        if reasons:
            raise ValueError(reasons[0])
        return shapes[0]
    found = _WKT.match(text)
    if found and found[1]:
        srids.add(int(found[1]))
        text = text[text.index(";") + 1 :]
    return shapely.from_wkt(text) if found else shapely.from_geojson(text)


def _built(given: list[bytes | None]) -> np.ndarray:
    """Geometries out of WKB all at once; each by itself where one is of a kind that shapely refuses (curves)."""
    try:
        return np.array(shapely.from_wkb(np.array(given, object), on_invalid="fix"), object)
    except NotImplementedError:
        return np.full(1, None, object) if len(given) == 1 else np.concatenate([_built([one]) for one in given])


def _why(read: Any, given: Any) -> str:
    """Why a geometry cannot be built, in the words of GEOS."""
    try:
        read(given)
    except _REFUSED as error:
        return _said(error)
    return "its geometry cannot be built"


def _said(error: Exception) -> str:
    reason = " ".join(str(error).split()).removeprefix("ParseException: ").removeprefix("IllegalArgumentException: ")
    return f"its geometry cannot be built ({reason[:120]})"


def _kind(wkb: bytes, at: int) -> tuple[int, int, str, bool]:
    """Type without its dimensions, numbers for each vertex, byte order, and whether an SRID follows."""
    if len(wkb) < at + 5:
        return 0, 2, "<", False
    order = "<" if wkb[at] == 1 else ">"
    (code,) = struct.unpack_from(f"{order}I", wkb, at + 1)
    plain = code & 0x1FFFFFFF
    dimensions = 2 + bool(code & 0x80000000) + bool(code & 0x40000000) + (0, 1, 1, 2)[plain // 1000 % 4]
    return plain % 1000, dimensions, order, bool(code & 0x20000000)


def _as_polygons(wkb: bytes) -> bytes:
    """WKB of a surface of patches as that of a multipolygon; broken WKB as it is."""
    changed = bytearray(wkb)
    try:
        for at, code, order in _headers(wkb):
            struct.pack_into(f"{order}I", changed, at + 1, code)
    except (struct.error, RecursionError):
        return wkb
    return bytes(changed)


def _headers(wkb: bytes) -> Iterator[tuple[int, int, str]]:
    """Where the types of surfaces and their patches stand, and what they become."""
    at, left = 0, 1
    while left > 0:
        kind, dimensions, order, has_srid = _kind(wkb, at)
        (code,) = struct.unpack_from(f"{order}I", wkb, at + 1)
        if kind in _SURFACES:
            yield at, code - kind + _SURFACES[kind], order
        at += 9 if has_srid else 5
        left -= 1
        if kind == 1:
            at += 8 * dimensions
            continue
        (count,) = struct.unpack_from(f"{order}I", wkb, at)
        at += 4
        if kind == 2:
            at += 8 * dimensions * count
        elif kind in (3, 17):
            for _ in range(count):  # rings
                (vertices,) = struct.unpack_from(f"{order}I", wkb, at)
                at += 4 + 8 * dimensions * vertices
        else:
            left += count


def _covered(surface: Any) -> Any:
    """The area that the patches of a surface cover, seen from above; walls, which cover none, are left out."""
    if surface is None:
        return None
    patches = shapely.make_valid(shapely.force_2d(shapely.get_parts(shapely.get_parts(surface))))
    return shapely.union_all(patches[shapely.area(patches) > 0])
