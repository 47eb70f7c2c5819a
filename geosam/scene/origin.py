"""What the name of a raster asks for: the drivers that may open it, and the local files that it is made of.

GDAL decides by a file's content what it is, and some of its formats are no pixels but words of where to fetch them.
A file of a stranger that is called ``.tif`` may so reach the network, or write elsewhere. Here the name decides: such
formats are opened only where the extension or a prefix asks for them, and no local file reaches the network.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import rasterio

from geosam.errors import SceneError
from geosam.paths import check_regular, is_address, is_remote

ASKED_BY: dict[str, tuple[str, ...]] = {
    "VRT": (".vrt",),
    "MRF": (".mrf",),
    "WMS": (".wms",),
    "WMTS": (".wmts",),
    "WCS": (".wcs",),
    "GTI": (".gti", ".gti.gpkg", ".gti.fgb", ".gti.parquet"),
    "KMLSUPEROVERLAY": (".kml", ".kmz"),
    "MAP": (".map",),
    "ERS": (".ers",),
    "Rasterlite": (".sqlite", ".rasterlite"),
    "TileDB": (".tiledb", ".tdb"),
    **dict.fromkeys(("DAAS", "DERIVED", "EEDAI", "GDALG", "GeoRaster", "HTTP", "JPIPKAK", "MEM"), ()),
    **dict.fromkeys(("NGW", "OGCAPI", "PLMOSAIC", "PostGISRaster", "STACIT", "STACTA"), ()),
}
"""Drivers that reach the network, write, or open whatever a file refers to, and the extensions that ask for them."""

NETWORK = ("WMS", "WMTS", "WCS")
"""Those of them that an address that ends in ``.xml`` asks for too."""

MARKS = {
    b"<vrtdataset": "VRT",
    b"<mrf_meta": "MRF",
    b"<gdal_wms": "WMS",
    b"<tilemapservice": "WMS",
    b"<tilemap": "WMS",
    b"<wmt_ms_capabilities": "WMS",
    b"<wms_capabilities": "WMS",
    b"<gdal_wmts": "WMTS",
    b"<capabilities": "WMTS",
    b"<wcs_gdal": "WCS",
    b"<gdaltileindexdataset": "GTI",
    b"<kml": "KMLSUPEROVERLAY",
    b'"stac_version"': "STACIT",
    b'"gdal_streamed_alg"': "GDALG",
}
"""What such a file says of itself near its beginning."""

HEAD_BYTES = 4096
MOST_TEXT_BYTES = 1 << 28
MOST_FILES, MOST_DEEP = 200_000, 32
"""Files that a VRT may be made of, and VRTs one in another."""

TRUSTED = "vrt://"
"""Prefix that lets a local VRT refer to whatever it likes."""

_NO_LIMIT = re.compile(r"[A-Za-z][A-Za-z0-9_]+:(?!//)|vrt://|\s*<", re.IGNORECASE)
_REFUSED = re.compile(rf"(?:\s*<|(?:{'|'.join([*ASKED_BY, 'PG', 'OCI'])})\w*:)", re.IGNORECASE)
_PREFIXES = re.compile(
    r'(?:/vsi[a-z0-9_]+/(?:\d+_\d+,)?|(?:(?:file|zip|tar|gzip|vrt)\+?)+://|[A-Za-z]\w+:(?:(?:off|\d+):)*(?!//)|[{"])'
)
"""What may stand before the name of a local file."""

_SILENT = {"srs", "description", "mdi", "gcpprojection", "unittype", "category"}


@dataclass(frozen=True)
class Origin:
    """A raster's name, understood.

    Attributes
    ----------
    address
        What GDAL is given: absolute for a local file.
    drivers
        Those that may open it; None for any, where the name itself says which.
    is_open
        Whether it may reach the network.
    files
        Local files that it is surely made of: itself, and what a VRT refers to, through other VRTs too.
    """

    address: str
    drivers: tuple[str, ...] | None
    is_open: bool
    files: tuple[Path, ...]

    @classmethod
    def of(cls, source: str) -> "Origin":
        """Understand a name, before GDAL hears of it.

        Raises
        ------
        SceneError
            If there is no such file, it is no regular one, holds a format that its name does not ask for, a VRT that
            refers to what a local file may not reach, or is a VRT in an archive.

        Examples
        --------
        >>> found = Origin.of("https://host/a.tif?sig=5f")
        >>> found.is_open, "GTiff" in found.drivers, "WMS" in found.drivers
        (True, True, False)
        """
        if "\x00" in source or "/vsistdin" in source:
            raise SceneError(f"{source!r} as a scene", expected="the path or URI of a raster", hint="save it to a file")
        local_path = _as_local(source)
        if local_path is None and _NO_LIMIT.match(source):
            file = local_file(source)
            return cls(source, None, True, () if file is None else tuple(_made_of(file, trusted=True)))
        if local_path is None:
            drivers = _drivers(source)
            if "VRT" in drivers and not is_remote(source):
                raise SceneError(
                    f"{source} is a VRT in an archive, where what it refers to cannot be checked",
                    expected="a VRT in a folder",
                    hint="unpack the archive first",
                )
            return cls(source, drivers, is_remote(source), _only(local_file(source)))
        place = check_regular(local_path, SceneError, "the path or URI of a raster")
        try:
            str(place).encode()
        except UnicodeEncodeError:
            raise SceneError(
                f"{place} has a name that is not UTF-8", expected="one that is", hint="rename it"
            ) from None
        is_open = place.name.lower().endswith(tuple(end for driver in NETWORK for end in ASKED_BY[driver]))
        return cls(str(place), _drivers(place.name), is_open, tuple(_made_of(place)))


def local_file(name: str) -> Path | None:
    """The local file behind a name that GDAL knows a file by: the archive for what lies in it; None for remote ones.

    Examples
    --------
    >>> local_file("/vsizip//vsicurl/https://host/a.zip/a.tif") is None
    True
    >>> local_file(f"/vsizip/{{{__file__}}}/a.tif") == local_file(f'NETCDF:"{__file__}":a') == Path(__file__)
    True
    """
    text = name
    while prefix := _PREFIXES.match(text):  # one may follow another
        text = text[prefix.end() :]
    for end in (found.start() for found in re.finditer(r'[/\\!}":?]|$', text)):
        with suppress(OSError, ValueError):
            if end and (file := Path(text[:end])).is_file():
                return file.absolute()
    return None


def _only(file: Path | None) -> tuple[Path, ...]:
    return () if file is None else (check_regular(file, SceneError, "a raster"),)


def _as_local(source: str) -> str | None:
    """The path of a plain local file; None for addresses."""
    if source.lower().startswith("file://"):
        return unquote(source[7:]) if not Path(source[7:]).exists() else source[7:]
    return None if is_address(source) or source.lstrip().startswith("<") else source


def _drivers(name: str) -> tuple[str, ...]:
    """Drivers that may open a file or an address of this name."""
    base = re.split(r"[?#&]", unquote(name))
    endings = [part.lower() for part in base] if is_address(name) else [name.lower()]
    asked = {driver for driver, ends in ASKED_BY.items() for each in endings if each.endswith(ends or "\0")}
    if is_remote(name) and any(each.endswith(".xml") for each in endings):
        asked.update(NETWORK)
    return tuple(driver for driver in _known() if driver not in ASKED_BY or driver in asked)


@cache
def _known() -> tuple[str, ...]:
    with rasterio.Env() as environment:
        return tuple(environment.drivers())


def _made_of(place: Path, *, trusted: bool = False) -> Iterator[Path]:
    """A local file and, if it is a VRT, what it refers to, through other VRTs too, each once."""
    pending: list[tuple[Path, tuple[Path, ...]]] = [(place, ())]
    seen = {place}
    while pending:
        file, above = pending.pop()
        yield file
        kind = _kind(file)
        if (
            not trusted
            and kind
            and (not file.name.lower().endswith(ASKED_BY[kind] or "\0") or (above and kind not in ("VRT", "MRF")))
        ):
            raise _refused(place, file, kind)
        if not trusted and kind == "MRF" and b"<cachedsource" in _text(file).lower():
            raise _refused(place, file, "MRF that fetches and writes")
        for other in _references(file, place, trusted=trusted) if kind == "VRT" else ():
            if other in (file, *above) or len(above) > MOST_DEEP:
                raise _refused(place, file, "VRT that refers to itself" if other in (file, *above) else "VRT too deep")
            if other not in seen:
                seen.add(other)
                pending.append((other, (*above, file)))
        if len(seen) > MOST_FILES:
            raise SceneError(f"{place} is made of more than {MOST_FILES:,} files", expected="fewer")


def _kind(file: Path) -> str:
    """The driver of ASKED_BY whose format a file is in, as far as its beginning tells; else nothing."""
    check_regular(file, SceneError, "a raster")
    try:
        with file.open("rb") as stream:  # a folder raises
            head = stream.read(HEAD_BYTES).partition(b"\0")[0].lower()
    except OSError:
        return ""  # GDAL will say what is wrong
    return next((kind for mark, kind in MARKS.items() if mark in head), "")


def _text(file: Path) -> bytes:
    if file.stat().st_size > MOST_TEXT_BYTES:
        raise SceneError(f"{file} holds {file.stat().st_size:,} bytes of text", expected="a raster")
    return file.read_bytes()


def _references(vrt: Path, first: Path, *, trusted: bool) -> Iterator[Path]:
    """The files that a VRT refers to.

    Raises
    ------
    SceneError
        If it is no XML, or refers to what a local file may not reach.
    """
    try:
        root = ElementTree.fromstring(_text(vrt).partition(b"\0")[0].lstrip(b"\xef\xbb\xbf \t\r\n"))
    except (ElementTree.ParseError, ValueError) as error:
        line = getattr(error, "position", (1, 0))[0]
        raise SceneError(f"{vrt} is no VRT that can be read, at line {line}", expected="XML in UTF-8") from None
    raw = {child for band in root.iter() if _attribute(band, "subclass") == "VRTRawRasterBand" for child in band}
    for element in root.iter():
        tag, said = str(element.tag).lower(), (element.text or "").strip()
        if not said or tag in _SILENT:
            continue
        names_file = "filename" in tag or "dataset" in tag
        if not trusted and (is_remote(said) or "/vsistdin" in said or (names_file and _REFUSED.match(said))):
            raise _refused(first, vrt, f"reference to {said[:200]}")
        if not names_file:
            continue
        for file in _named(element, said, vrt):
            if not trusted and element in raw and not file.resolve().is_relative_to(vrt.resolve().parent):
                raise _refused(first, vrt, f"reference to the bytes of {file}, in another folder")
            yield file


def _attribute(element: ElementTree.Element, name: str) -> str:
    """An attribute, whatever its case, as GDAL reads it."""
    return next((value for key, value in element.attrib.items() if key.lower() == name), "")


def _named(element: ElementTree.Element, said: str, vrt: Path) -> Iterator[Path]:
    beside = _attribute(element, "relativetovrt") == "1"
    if is_address(said) or said.startswith("<"):
        file = local_file(said)
        yield from () if file is None else (file,)
        return
    file = (vrt.parent / said).absolute() if beside else Path(said).absolute()
    try:
        exists = file.exists()
    except (OSError, ValueError):  # no name of a file
        return
    if exists:
        yield from (file, *_beside(file))
    elif str(element.tag).lower().startswith("source"):  # GDAL might read zeros
        problem = f"{vrt} refers to {said[:200]}, which does not exist"
        raise SceneError(problem, expected="every file of a VRT", hint="build it anew")


def _beside(file: Path) -> Iterator[Path]:
    """Files beside a raster that say more of it."""
    end = file.suffix
    added = [Path(f"{file}{more}") for more in (".aux.xml", ".ovr", ".msk", f"{end[-1:]}w"[-1:])]
    world = [file.with_suffix(each) for each in (f"{end[:2]}{end[-1:]}w", ".wld", ".prj", ".hdr")] if end else []
    yield from (path for path in (*added, *world) if path.is_file())


def _refused(first: Path, file: Path, what: str) -> SceneError:
    endings = ASKED_BY.get(what, ())
    where = f"{first}" if first == file else f"{first} is made of {file}, which"
    if first == file and endings and not file.name.lower().endswith(endings):
        return SceneError(
            f"{where} holds no pixels but a {what} description",
            expected="a raster",
            hint=f"if you trust it, name it {endings[0]}",
        )
    return SceneError(
        f"{where} holds a {what}" + (" description" if what in ASKED_BY else ""),
        expected="files of pixels, without a network",
        hint=f"if you trust it, open it as {TRUSTED}{first}" if first.suffix.lower() == ".vrt" else "",
    )
