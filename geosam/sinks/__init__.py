"""Write polygons, labels and pictures: whole or not at all.

=====================  ======================================================================================
file name              what is written
=====================  ======================================================================================
``.gpkg``              GeoPackage: one layer of multipolygons, spatial index, a style that QGIS opens it with
``.parquet``           GeoParquet 1.1 with a covering, zstd
``.fgb``               FlatGeobuf with its index
``.geojson``           GeoJSON as in RFC 7946: longitude and latitude, cut at the antimeridian
``.tif``, ``.tiff``    labels: int32 cloud-optimized GeoTIFF, overviews by mode (`LabelSink`)
``.tif``, ``.tiff``    classes: cloud-optimized GeoTIFF with colours and names (`write_classes`)
``.png``               a picture of the scene with its polygons (`picture`)
=====================  ======================================================================================

An output is written beside its place and moved there when it is complete: an error, Ctrl-C or ``kill -9`` leaves the
former file or none. An existing file is replaced whole; of a GeoPackage only the layer of the same name is, and all
else that it holds stays. An output is never a file that the run reads.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import geopandas as gpd
import pyogrio
from pyproj import CRS

from geosam.errors import SinkError
from geosam.paths import for_gdal
from geosam.sinks.categories import Category, categorized
from geosam.sinks.classes import write_classes
from geosam.sinks.geojson import read_foreign_member, write_geojson
from geosam.sinks.geopackage import check_layer, copy_others, layer_of
from geosam.sinks.inputs import input_files
from geosam.sinks.labels import EXTENSIONS as LABEL_FORMATS
from geosam.sinks.labels import LabelSink, read_tag
from geosam.sinks.ogr import read_layer_metadata, write_flatgeobuf, write_geopackage
from geosam.sinks.parquet import read_key, write_parquet
from geosam.sinks.picture import EXTENSIONS as PICTURE_FORMATS
from geosam.sinks.picture import picture
from geosam.sinks.places import check_path, check_together, is_pending
from geosam.sinks.staging import Outputs, Place, named_errors, placed
from geosam.sinks.table import Table, spool
from geosam.sinks.text import POINT_FORMATS, TABLE_FORMATS, write_points, write_text

__all__ = [
    "LABEL_FORMATS",
    "PICTURE_FORMATS",
    "POINT_FORMATS",
    "POLYGON_FORMATS",
    "TABLE_FORMATS",
    "Category",
    "LabelSink",
    "Outputs",
    "categorized",
    "check_together",
    "check_writable",
    "input_files",
    "is_pending",
    "layer_of",
    "picture",
    "read_layer",
    "read_metadata",
    "write",
    "write_classes",
    "write_points",
    "write_table",
    "write_text",
]

POLYGON_FORMATS = (".gpkg", ".parquet", ".fgb", ".geojson")
"""Extensions of polygon layers."""

_READERS = {
    ".gpkg": read_layer_metadata,
    ".fgb": read_layer_metadata,
    ".parquet": read_key,
    ".geojson": read_foreign_member,
    **dict.fromkeys(LABEL_FORMATS, read_tag),
}


def write(
    frames: gpd.GeoDataFrame | Iterable[gpd.GeoDataFrame],
    path: str | os.PathLike[str],
    *,
    layer: str | None = None,
    metadata: Mapping[str, object] | None = None,
    crs: object = None,
    style: bool | str = True,
    overwrite: bool = True,
    outputs: Outputs | None = None,
) -> Path:
    """Write polygons; the format follows from the extension of `path`.

    Parameters
    ----------
    frames
        One frame, or an iterable of frames of the same layer, of which only one is in memory at a time. A frame without
        rows gives a valid empty layer with its columns. All geometries become multipolygons.
    path
        Output file: ``.gpkg``, ``.parquet``, ``.fgb`` or ``.geojson``. An existing file is replaced whole; to a
        GeoPackage the layer is added, in place of one of the same name, and all else in it stays.
    layer
        Name of the layer in a GeoPackage or FlatGeobuf; the name of the file if not given.
    metadata
        What is worth knowing about the layer (parameters, model, version), anything that JSON holds; see
        `read_metadata`.
    crs
        CRS of the layer where the frames carry none, anything that pyproj understands.
    style
        Whether a GeoPackage gets the table `layer_styles`, with which QGIS opens the layer styled; a QML document, such
        as `categorized` writes, is the style itself.
    overwrite
        Whether an existing file, in a GeoPackage a layer of the same name, may be replaced.
    outputs
        Outputs that it is one of, and appears with.

    Returns
    -------
    Path
        The absolute path of the file.

    Raises
    ------
    SinkError
        If the format is not known, the file cannot be written, a geometry is no polygon, the layer has a name that
        GeoPackages keep for themselves, or GeoJSON is asked for without a CRS.

    Notes
    -----
    A column whose values are numbers in one row and text in another is written as text. An attribute named as a column
    that the formats keep for themselves (``fid``, ``geom``, ``geometry``, ``bbox``), or like another one but for its
    case, gets a number behind its name. Equal input gives equal bytes, where no other layer is kept.

    Examples
    --------
    >>> import tempfile, shapely
    >>> fields = gpd.GeoDataFrame({"object_id": [1]}, geometry=[shapely.box(0, 0, 10, 10)], crs="EPSG:32633")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write(fields, f"{folder}/fields.gpkg", metadata={"model": "nano"})
    ...     read_metadata(path)
    {'model': 'nano'}
    """
    target = check_writable(path, overwrite=overwrite, layer=layer)
    with placed(target, outputs, overwrite=overwrite) as place:
        known = CRS.from_user_input(crs) if crs is not None else None
        table = spool(frames, place.part.parent, output=target, crs=known)
        _write(table, place, layer, metadata, style=style, overwrite=overwrite)
    return target


def write_table(
    table: Table,
    path: str | os.PathLike[str],
    *,
    layer: str | None = None,
    metadata: Mapping[str, object] | None = None,
    style: bool | str = True,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Write polygons that can be read in batches, in memory that does not grow with their number.

    Parameters
    ----------
    table
        The polygons, such as those that lie in many GeoParquet files.
    path, layer, metadata, style, overwrite
        As for `write`.
    inputs
        Files that the polygons come from; the output may be none of them.

    Raises
    ------
    SinkError
        As for `write`.
    """
    target = check_writable(path, overwrite=overwrite, has_crs=table.crs is not None, layer=layer, inputs=inputs)
    with placed(target, None, overwrite=overwrite) as place:
        _write(table, place, layer, metadata, style=style, overwrite=overwrite)
    return target


def _write(
    table: Table,
    place: Place,
    layer: str | None,
    metadata: Mapping[str, object] | None,
    *,
    style: bool | str,
    overwrite: bool,
) -> None:
    """Write a table in the format of its file."""
    path, part, facts = place.path, place.part, dict(metadata or {})
    suffix = path.suffix.lower()
    with named_errors(path):
        if suffix == ".gpkg":
            check_layer(path, layer, overwrite=overwrite)  # the run may have taken long
            name, place.before = copy_others(path, part, layer_of(path, layer))
            write_geopackage(table, part, facts, layer=name, style=style)
        elif suffix == ".fgb":
            write_flatgeobuf(table, part, facts, layer=layer_of(path, layer))
        elif suffix == ".parquet":
            write_parquet(table, part, facts)
        else:
            write_geojson(table, part, facts)


def check_writable(
    path: str | os.PathLike[str],
    *,
    formats: tuple[str, ...] = POLYGON_FORMATS,
    overwrite: bool = True,
    has_crs: bool = True,
    layer: str | None = None,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Check that an output can be written, before the work that fills it.

    Parameters
    ----------
    path
        The output file.
    formats
        Allowed extensions: `POLYGON_FORMATS`, `LABEL_FORMATS` or `PICTURE_FORMATS`.
    overwrite
        Whether an existing file may be replaced.
    has_crs
        Whether the polygons will have a CRS, which GeoJSON needs.
    layer
        Name of the layer, the file's if not given. A GeoPackage may exist if it has no such layer.
    inputs
        Files that are read; the output may be none of them.

    Returns
    -------
    Path
        The absolute path.

    Raises
    ------
    SinkError
        If the extension is not known, the folder is absent or cannot be written, the file is an input, or exists and
        must not be replaced, the layer's name cannot be one, or GeoJSON is asked for without a CRS.

    Examples
    --------
    >>> check_writable("fields.shp")
    Traceback (most recent call last):
    geosam.errors.SinkError: fields.shp: expected a file name that ends in .gpkg, .parquet, .fgb or .geojson
    """
    package = Path(path).suffix.lower() == ".gpkg"
    target = check_path(path, formats, overwrite=overwrite or package, inputs=inputs)
    if package:
        check_layer(target, layer, overwrite=overwrite or is_pending(target))
    if target.suffix.lower() == ".geojson" and not has_crs:
        hint = "give the scene a CRS, or write .gpkg, .parquet or .fgb"
        raise SinkError(
            f"{path}: the scene has no CRS", expected="a CRS, since GeoJSON is longitude and latitude", hint=hint
        )
    return target


def read_metadata(path: str | os.PathLike[str], *, layer: str | None = None) -> dict[str, object]:
    """Read the metadata that `write` put into a polygon layer.

    Parameters
    ----------
    path
        A file of `write`.
    layer
        Of a GeoPackage; if not given, the first layer that `write` wrote.

    Returns
    -------
    dict
        The metadata, empty if there is none.

    Raises
    ------
    SinkError
        If the file is absent, of another format or damaged.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None or not source.is_file():
        raise SinkError(f"{path}", expected=f"an existing file that ends in {', '.join(POLYGON_FORMATS)}")
    with named_errors(source, verb="read"), for_gdal(source) as name:
        return read_layer_metadata(name, layer) if suffix == ".gpkg" else reader(name)


def read_layer(path: str | os.PathLike[str], layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a layer of polygons in a file of `write`; of a GeoPackage the one that is named, else the first."""
    suffix = Path(path).suffix.lower()
    with for_gdal(path) as name:
        if suffix == ".parquet":
            return gpd.read_parquet(name)
        if layer is None or suffix != ".gpkg":
            layer = next(found for found, kind in pyogrio.list_layers(name) if kind is not None)
        return gpd.read_file(name, layer=layer)
