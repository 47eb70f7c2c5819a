"""Polygons → GeoParquet 1.1 with a covering, so that readers fetch only the row groups of their area."""

import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from geosam.sinks.columns import to_json
from geosam.sinks.table import GEOMETRY, Table

_BOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])


def write_parquet(table: Table, path: Path, metadata: Mapping[str, object]) -> None:
    """Write polygons as GeoParquet: geometry as WKB, its box in the column ``bbox``.

    Parameters
    ----------
    table
        The polygons.
    path
        File to write.
    metadata
        Lies as JSON under the key ``geosam`` of the file's metadata.
    """
    keys = {"geo": json.dumps(_geo(table)), "geosam": to_json(metadata)}
    schema = table.schema.append(pa.field("bbox", _BOX)).with_metadata(keys)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in table.batches():
            boxes = shapely.bounds(shapely.from_wkb(batch.column(GEOMETRY).to_numpy(zero_copy_only=False)))
            writer.write_batch(batch.append_column("bbox", _boxes(boxes)).cast(schema))


def read_key(path: str) -> dict[str, object]:
    """Read the metadata of a file of `write_parquet`."""
    keys = pq.read_schema(path).metadata or {}
    return json.loads(keys.get(b"geosam", b"{}"))


def _geo(table: Table) -> dict[str, object]:
    """The ``geo`` metadata as in the GeoParquet 1.1 specification."""
    covering = {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}}
    column = {"encoding": "WKB", "geometry_types": ["MultiPolygon"], "covering": covering}
    column["crs"] = table.crs.to_json_dict() if table.crs is not None else None
    if not isnan(table.bounds[0]):
        column["bbox"] = list(table.bounds)
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def _boxes(bounds: np.ndarray) -> pa.Array:
    """Boxes as structs; that of an absent geometry is null."""
    fields = [pa.array(side, pa.float64(), from_pandas=True) for side in bounds.T]
    return pa.StructArray.from_arrays(fields, fields=list(_BOX), mask=pa.array(np.isnan(bounds[:, 0])))
