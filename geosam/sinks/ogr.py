"""Polygons → GeoPackage and FlatGeobuf, through GDAL, with one build of the spatial index."""

import errno
import json
import logging
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pyarrow as pa
import pyogrio

from geosam.gdal import gdal_options
from geosam.sinks.columns import to_json
from geosam.sinks.interrupts import held
from geosam.sinks.style import add_style
from geosam.sinks.table import GEOMETRY, Table

_log = logging.getLogger(__name__)

STAMP = "1970-01-01T00:00:00.000Z"
"""Date of change inside the file: always the same, so that equal layers are equal bytes."""

_OPTIONS = {
    "GPKG": {"SPATIAL_INDEX": "YES", "GEOMETRY_NAME": "geom", "FID": "fid"},
    "FlatGeobuf": {"SPATIAL_INDEX": "YES"},
}

_INCOMPLETE_FILE = OSError(errno.EIO, "not all was written")

_INCOMPLETE = {"GPKG": {}, "FlatGeobuf": {"SPATIAL_INDEX": "NO"}}
"""What changes if a row has no geometry, which the index of a FlatGeobuf does not allow."""


def write_geopackage(
    table: Table, path: Path, metadata: Mapping[str, object], *, layer: str, style: bool | str
) -> None:
    """Write polygons as a layer of a GeoPackage, with a spatial index and a default style.

    Parameters
    ----------
    table
        The polygons.
    path
        File to write; in one that is there, a layer of that name is replaced and all others stay.
    metadata
        Lies as JSON under the key ``geosam`` of the layer's metadata.
    layer
        Name of the layer.
    style
        Whether to add the table `layer_styles`, with which QGIS opens the layer styled; a QML document is that style.
    """
    with fixed_date():
        rows = _write(table, path, metadata, layer=layer, driver="GPKG")
    _check_whole(path, layer, rows, bool(metadata))
    if style:
        add_style(path, layer, stamp=STAMP, document=style if isinstance(style, str) else None)


def write_flatgeobuf(table: Table, path: Path, metadata: Mapping[str, object], *, layer: str) -> None:
    """Write polygons as FlatGeobuf with its index; parameters as in `write_geopackage`."""
    rows = _write(table, path, metadata, layer=layer, driver="FlatGeobuf")
    if pyogrio.read_info(path, force_feature_count=True)["features"] != rows:
        raise _INCOMPLETE_FILE


def read_layer_metadata(path: str, layer: str | None = None) -> dict[str, object]:
    """Read the metadata of a layer of this module; of the first that has some, if none is named."""
    for name in [layer] if layer is not None else pyogrio.list_layers(path)[:, 0]:
        found = pyogrio.read_info(path, layer=name)["layer_metadata"] or {}
        if "geosam" in found:
            return json.loads(found["geosam"])
    return {}


def _check_whole(path: Path, layer: str, rows: int, has_metadata: bool) -> None:
    """Whether all is there that GDAL writes when it closes the file, which fails without a word on a full disk."""
    asked = {
        "SELECT 1 FROM gpkg_ogr_contents WHERE table_name = ? AND feature_count = ?": (layer, rows),
        "SELECT 1 FROM gpkg_extensions WHERE table_name = ? AND extension_name = 'gpkg_rtree_index'": (layer,),
    }
    if has_metadata:
        asked["SELECT 1 FROM gpkg_metadata_reference WHERE table_name = ?"] = (layer,)
    with closing(sqlite3.connect(path)) as package:
        if not all(package.execute(query, names).fetchone() for query, names in asked.items()):
            raise _INCOMPLETE_FILE


def _write(table: Table, path: Path, metadata: Mapping[str, object], *, layer: str, driver: str) -> int:
    """Write the polygons; how many there were."""
    schema = pa.schema([field.with_type(_in_ogr(field.type)) for field in table.schema])
    with held() as signals, warnings.catch_warnings():
        batches = _Batches(_cast(table.batches(), schema), signals)
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        try:
            pyogrio.write_arrow(
                reader,
                path,
                layer=layer,
                driver=driver,
                geometry_name=GEOMETRY,
                geometry_type="MultiPolygon",
                crs=table.crs.to_wkt() if table.crs is not None else None,
                layer_metadata={"geosam": to_json(metadata)} if metadata else None,
                layer_options=_OPTIONS[driver] | ({} if table.complete else _INCOMPLETE[driver]),
            )
        except Exception as error:
            raise batches.raised or error from None
    return batches.rows


class _Batches(Iterator[pa.RecordBatch]):
    """Batches on their way through Arrow and GDAL, which turn what is raised meanwhile into errors of their own.

    Attributes
    ----------
    rows
        How many were handed over.
    raised
        What a batch raised.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], signals: list[int]) -> None:
        self._batches, self._signals = batches, signals
        self.rows = 0
        self.raised: Exception | None = None

    def __next__(self) -> pa.RecordBatch:
        try:
            if self._signals:
                raise InterruptedError
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.raised = error
            raise
        self.rows += batch.num_rows
        return batch


def _cast(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches in the types that GDAL takes; what is lost of times is said, once."""
    said = False
    for batch in batches:
        try:
            yield batch.cast(schema)
        except pa.ArrowInvalid:
            if not said:
                _log.warning("times are written to the millisecond; GeoParquet keeps more")
            said = True
            yield batch.cast(schema, safe=False)


def _in_ogr(kind: pa.DataType) -> pa.DataType:
    """The type in which GDAL takes a column: times to the millisecond, and in UTC, since it shifts those of zones."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("ms", "UTC" if kind.tz else None)
    return kind


def fixed_date() -> AbstractContextManager[None]:
    """Let GDAL date its changes with the same date in every run."""
    return gdal_options({"OGR_CURRENT_DATE": STAMP})
