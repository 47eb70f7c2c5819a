"""The parts of a run as one table: read in batches, in one CRS, with the columns that fit them all."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyarrow import dataset
from pyproj import CRS
from pyproj.exceptions import ProjError

from geosam.errors import CatalogError
from geosam.polygons.measure import EDGE_M
from geosam.scene.reproject import projection, transform
from geosam.sinks.columns import common_type
from geosam.sinks.table import GEOMETRY, as_multipolygons, fit, rebatch

EARTH_M_PER_DEGREE = 111_195.0
_BATCH_ROWS = 8192
_AHEAD = 4
"""Batches of a part, and parts, that are read ahead."""

Edits = Mapping[int, Mapping[str, Any] | None]
"""What becomes of rows of a part: other values for some columns, or None for a row that is left out."""


@dataclass(frozen=True)
class Part:
    """A GeoParquet file with the polygons of a scene.

    Attributes
    ----------
    path
        The file.
    crs
        Of its polygons, None if they have none.
    columns
        Name and type of its attributes; text without any value counts as of type null, which is how a
        column of nothing but missing values is written.
    rows
        How many polygons it holds.
    bounds
        Of all polygons; None if there is none.
    """

    path: Path
    crs: CRS | None
    columns: Mapping[str, pa.DataType]
    rows: int
    bounds: tuple[float, float, float, float] | None

    @classmethod
    def open(cls, path: Path) -> "Part":
        """Look a part up.

        Raises
        ------
        CatalogError
            If it cannot be read.
        """
        try:
            with pq.ParquetFile(path) as file:
                schema, facts = file.schema_arrow, file.metadata
                geo = json.loads((schema.metadata or {})[b"geo"])["columns"][GEOMETRY]
                empty = {each.name for each in schema if each.type == pa.string() and _is_null(facts, each.name)}
            crs = _crs(json.dumps(geo["crs"])) if geo.get("crs") else None
        except (OSError, pa.ArrowException, LookupError, TypeError, ValueError, ProjError) as error:
            hint = "delete it and run the catalog again"
            raise CatalogError(f"{path} cannot be read ({error})", expected="a part of a run", hint=hint) from error
        columns = {
            each.name: pa.null() if each.name in empty else each.type
            for each in schema
            if each.name not in (GEOMETRY, "bbox")
        }
        return cls(path, crs, columns, facts.num_rows, tuple(geo["bbox"]) if "bbox" in geo else None)

    @property
    def schema(self) -> pa.Schema:
        """Its attributes as the file has them, and the geometry as WKB."""
        columns = [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in self.columns.items()]
        return pa.schema([*columns, (GEOMETRY, pa.binary())])


def read(parts: Iterable[Part]) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """The rows of parts in their order, while Arrow reads ahead on threads of its own.

    Yields
    ------
    tuple
        Position of the part, number of the batch's first row in it, and the batch: attributes, and geometry as WKB.
    """
    for schema, group in groupby(enumerate(parts), key=lambda numbered: numbered[1].schema):
        positions = {str(part.path): position for position, part in group}
        files = dataset.dataset(list(positions), schema=schema, format="parquet")
        scanner = files.scanner(batch_size=_BATCH_ROWS, batch_readahead=_AHEAD, fragment_readahead=_AHEAD)
        before, first = "", 0
        for found in scanner.scan_batches():
            first = first if found.fragment.path == before else 0
            before = found.fragment.path
            yield positions[before], first, found.record_batch
            first += found.record_batch.num_rows


@lru_cache(maxsize=64)
def _crs(projjson: str) -> CRS:
    """The CRS of a part; most parts of a run have the same, and PROJ takes 20 ms for each."""
    return CRS.from_json(projjson)


def _is_null(facts: Any, name: str) -> bool:
    """Whether the statistics of a column say that it holds no value."""
    at = [facts.schema.column(index).path for index in range(facts.num_columns)]
    if name not in at:
        return False
    found = [facts.row_group(group).column(at.index(name)).statistics for group in range(facts.num_row_groups)]
    return all(one is not None and one.null_count == one.num_values + one.null_count for one in found)


@dataclass(frozen=True)
class Parts:
    """Many parts as one table, a `geosam.sinks.table.Table`.

    Attributes
    ----------
    parts
        In the order of their rows.
    crs
        To which all polygons are brought; None where the parts have none.
    edits
        For some parts, by position, what becomes of some of their rows.
    """

    parts: tuple[Part, ...]
    crs: CRS | None
    edits: Mapping[int, Edits] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table, the geometry last."""
        columns: dict[str, pa.DataType] = {}
        for part in self.parts:
            for name, kind in part.columns.items():
                columns[name] = common_type(columns.get(name, pa.null()), kind)
        typed = [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in columns.items()]
        return pa.schema([*(pa.field(name, kind) for name, kind in typed), pa.field(GEOMETRY, pa.binary())])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Bounds of all polygons; they are read for it, once, where their CRS changes."""
        return self._bounds

    @cached_property
    def _bounds(self) -> tuple[float, float, float, float]:
        known = [part.bounds for part in self.parts if part.bounds]
        if any(part.crs != self.crs for part in self.parts) or self.edits:
            geometries = (batch.column(GEOMETRY).to_numpy(zero_copy_only=False) for batch in self._fitting())
            known = [shapely.total_bounds(shapely.from_wkb(wkb)) for wkb in geometries if len(wkb)]
        box = np.array(known or [[np.nan] * 4])
        x0, y0, x1, y1 = *box[:, :2].min(axis=0).tolist(), *box[:, 2:].max(axis=0).tolist()
        return x0, y0, x1, y1

    @property
    def complete(self) -> bool:
        """Every row of a part has a geometry."""
        return True

    @property
    def left_out(self) -> int:
        """How many polygons the edits leave out, since they went into others."""
        return sum(change is None for edits in self.edits.values() for change in edits.values())

    @property
    def rows(self) -> int:
        """How many polygons there are."""
        return sum(part.rows for part in self.parts) - self.left_out

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in their order."""
        return rebatch(self._fitting())

    def _fitting(self) -> Iterator[pa.RecordBatch]:
        schema = self.schema
        for position, first, batch in read(self.parts):
            moved = _moved(batch, self.parts[position].crs, self.crs)
            edits = {row - first: change for row, change in self.edits.get(position, {}).items()}
            yield fit(_edited(moved, edits), schema)


def _moved(batch: pa.RecordBatch, source: CRS | None, target: CRS | None) -> pa.RecordBatch:
    """The rows with their geometries in another CRS."""
    if source == target or source is None or target is None or not batch.num_rows:
        return batch
    shapes = move(shapely.from_wkb(batch.column(GEOMETRY).to_numpy(zero_copy_only=False)), source, target)
    return _with(batch, GEOMETRY, pa.array(shapely.to_wkb(as_multipolygons(shapes)), pa.binary()))


def move(shapes: np.ndarray, source: CRS | None, target: CRS | None) -> np.ndarray:
    """Polygons in another CRS, densified first: one length for all, so that borders that are shared stay shared.

    What exceeds the Earth lies nowhere there, whatever its edges.
    """
    if source == target or source is None or target is None:
        return shapes
    unit = source.axis_info[0].unit_conversion_factor if source.axis_info else 1.0
    per_unit = EARTH_M_PER_DEGREE if source.is_geographic else unit
    bounds = shapely.bounds(shapes)
    fits = (bounds[:, 2:] - bounds[:, :2]).max(axis=1) * per_unit <= 360 * EARTH_M_PER_DEGREE
    dense = shapes.copy()
    dense[fits] = shapely.segmentize(shapes[fits], EDGE_M / per_unit)
    return transform(dense, projection(source.to_wkt(), target.to_wkt()))


def _edited(batch: pa.RecordBatch, edits: Edits) -> pa.RecordBatch:
    """The rows with the changes that fall on them."""
    here = {row: change for row, change in edits.items() if 0 <= row < batch.num_rows}
    if not here:
        return batch
    changed = [(row, change) for row, change in here.items() if change is not None]
    for name in {name for _, change in changed for name in change}:
        values = batch.column(name).to_pylist()
        for row, change in changed:
            values[row] = change.get(name, values[row])
        batch = _with(batch, name, pa.array(values, batch.column(name).type))
    kept = np.ones(batch.num_rows, bool)
    kept[[row for row, change in here.items() if change is None]] = False
    return batch.filter(pa.array(kept))


def _with(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index(name), name, values)
