"""Polygons → GeoPackage and FlatGeobuf, through GDAL, with one build of the spatial index."""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyogrio

from geosam.sinks.style import add_style
from geosam.sinks.table import GEOMETRY, Table

_STAMP = "1970-01-01T00:00:00.000Z"
"""Date of change inside the file: always the same, so that equal layers are equal bytes."""

_OPTIONS = {
    "GPKG": {"SPATIAL_INDEX": "YES", "GEOMETRY_NAME": "geom", "FID": "fid"},
    "FlatGeobuf": {"SPATIAL_INDEX": "YES"},
}

_INCOMPLETE = {"GPKG": {}, "FlatGeobuf": {"SPATIAL_INDEX": "NO"}}
"""What changes if a row has no geometry, which the index of a FlatGeobuf does not allow."""


def write_geopackage(table: Table, path: Path, metadata: Mapping[str, object], *, layer: str, style: bool) -> None:
    """Write polygons as the only layer of a GeoPackage, with a spatial index and a default style.

    Parameters
    ----------
    table
        The polygons.
    path
        File to write.
    metadata
        Lies as JSON under the key ``geosam`` of the layer's metadata.
    layer
        Name of the layer.
    style
        Whether to add the table `layer_styles`, with which QGIS opens the layer styled.
    """
    with _fixed_date():
        _write(table, path, metadata, layer=layer, driver="GPKG")
    if style:
        add_style(path, layer, stamp=_STAMP)


def write_flatgeobuf(table: Table, path: Path, metadata: Mapping[str, object], *, layer: str) -> None:
    """Write polygons as FlatGeobuf with its index; parameters as in `write_geopackage`."""
    _write(table, path, metadata, layer=layer, driver="FlatGeobuf")


def read_layer_metadata(path: Path) -> dict[str, object]:
    """Read the metadata of a file of this module."""
    layer = pyogrio.list_layers(path)[0, 0]
    found = pyogrio.read_info(path, layer=layer)["layer_metadata"] or {}
    return json.loads(found.get("geosam", "{}"))


def _write(table: Table, path: Path, metadata: Mapping[str, object], *, layer: str, driver: str) -> None:
    reader = pa.RecordBatchReader.from_batches(table.schema, table.batches())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        pyogrio.write_arrow(
            reader,
            path,
            layer=layer,
            driver=driver,
            geometry_name=GEOMETRY,
            geometry_type="MultiPolygon",
            crs=table.crs.to_wkt() if table.crs is not None else None,
            layer_metadata={"geosam": json.dumps(metadata, ensure_ascii=False)} if metadata else None,
            layer_options=_OPTIONS[driver] | ({} if table.complete else _INCOMPLETE[driver]),
        )


@contextmanager
def _fixed_date() -> Iterator[None]:
    """Let GDAL date its changes with the same date in every run."""
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _STAMP})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
