"""Frames → one Arrow table on disk, whose columns fit every frame.

Frames arrive one after another, and only the last one tells what a column holds: an id may be a number in the first
frame and a word in the tenth. So the frames are laid down as Arrow files in the staging folder while their columns are
compared, and read back, cast to the columns that fit them all. Memory stays that of one frame, and an error in the
frames is raised before any driver has been started.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from geosam.display import shown
from geosam.errors import SinkError
from geosam.sinks.columns import common_type, is_wide, series_to_array
from geosam.sinks.staging import named_errors

_log = logging.getLogger(__name__)

GEOMETRY = "geometry"
"""Name of the geometry column in the Arrow table; a driver may write it under another name."""

RESERVED = frozenset({"fid", "geom", "geometry", "bbox"})
"""Names that the formats keep for themselves, in any case; an attribute of that name gets a number behind it."""

_ROWS = 8192


@runtime_checkable
class Table(Protocol):
    """Polygons that can be read in batches, as often as a writer likes; `Spool` is one."""

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table, the geometry (WKB of multipolygons) last."""
        ...

    @property
    def crs(self) -> CRS | None:
        """CRS of the geometries, None if they have none."""
        ...

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(x_min, y_min, x_max, y_max)`` of all polygons in CRS units, NaN if there is none."""
        ...

    @property
    def complete(self) -> bool:
        """True if every row has a geometry."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in their order."""
        ...


@dataclass(frozen=True)
class Spool:
    """Polygons laid down on disk as Arrow record batches.

    Attributes
    ----------
    files
        Arrow stream files, each with columns of its own; together they are the table.
    columns
        Name and Arrow type of every attribute, as fits all files.
    crs
        CRS of the geometries, None if they have none.
    bounds
        ``(x_min, y_min, x_max, y_max)`` of all polygons in CRS units, NaN if there is none.
    complete
        True if every row has a geometry.
    """

    files: tuple[Path, ...]
    columns: Mapping[str, pa.DataType]
    crs: CRS | None
    bounds: tuple[float, float, float, float]
    complete: bool

    @property
    def schema(self) -> pa.Schema:
        """Columns of the table, the geometry (WKB) last."""
        return pa.schema(
            [*(pa.field(name, kind) for name, kind in self.columns.items()), pa.field(GEOMETRY, pa.binary())]
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the polygons back in their order and the common columns, in batches that do not depend on the frames."""
        return rebatch(self._fitting())

    def _fitting(self) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    yield fit(batch, self.schema)


def rebatch(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches whose size does not depend on those that they come in."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= _ROWS:
            *whole, rest = pa.Table.from_batches(held).combine_chunks().to_batches(_ROWS)
            yield from whole
            held = [rest]
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches(_ROWS)


def spool(
    frames: gpd.GeoDataFrame | Iterable[gpd.GeoDataFrame], folder: Path, *, output: Path, crs: CRS | None = None
) -> Spool:
    """Lay frames of polygons down in `folder`, one after another.

    Parameters
    ----------
    frames
        One frame, or any number of frames of the same layer. Geometries are polygons or multipolygons.
    folder
        An existing folder for the Arrow files.
    output
        What they become, which errors name.
    crs
        CRS of the layer where the frames carry none.

    Raises
    ------
    SinkError
        If a geometry is not a polygon, or the frames disagree about their CRS.
    """
    with _Spooler(folder, crs, output) as spooler:
        for frame in [frames] if isinstance(frames, gpd.GeoDataFrame) else frames:
            with named_errors(output):
                spooler.add(frame)
    return spooler.spool()


class _Spooler:
    """Writes the Arrow files; a batch whose columns differ from those before it starts a new file."""

    def __init__(self, folder: Path, crs: CRS | None, output: Path) -> None:
        self._folder, self._crs, self._output = folder, crs, output
        self._files: list[Path] = []
        self._columns: dict[str, pa.DataType] = {}
        self._wide: set[str] = set()
        self._names: dict[tuple[object, int], str] = {}
        self._bounds = np.full(4, np.nan)
        self._complete = True
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> "_Spooler":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            with named_errors(self._output):
                self._writer.close()

    def add(self, frame: gpd.GeoDataFrame) -> None:
        self._crs = _agreed(self._crs, CRS(frame.crs) if frame.crs is not None else None)
        for start in range(0, max(len(frame), 1), _ROWS):
            self._write(self._to_batch(frame.iloc[start : start + _ROWS]))

    def spool(self) -> Spool:
        columns = {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in self._columns.items()}
        x_min, y_min, x_max, y_max = map(float, self._bounds)
        return Spool(tuple(self._files), columns, self._crs, (x_min, y_min, x_max, y_max), self._complete)

    def _to_batch(self, rows: gpd.GeoDataFrame) -> pa.RecordBatch:
        geometries = as_multipolygons(rows.geometry.to_numpy())
        self._complete &= not shapely.is_missing(geometries).any()
        box = shapely.total_bounds(geometries) if len(geometries) else self._bounds
        self._bounds = np.concatenate([np.fmin(self._bounds, box)[:2], np.fmax(self._bounds, box)[2:]])
        arrays, seen = {}, Counter()
        for place, label in enumerate(rows.columns):
            if label != rows.geometry.name:
                arrays[self._name(label, seen[label])] = series_to_array(rows.iloc[:, place])
            seen[label] += 1
        return pa.record_batch({**arrays, GEOMETRY: pa.array(shapely.to_wkb(geometries), pa.binary())})

    def _write(self, batch: pa.RecordBatch) -> None:
        for field in batch.schema:
            if field.name != GEOMETRY:
                self._widen(field, batch.column(field.name))
        if self._writer is None or batch.schema != self._schema:
            self.__exit__()
            self._files.append(self._folder / f"{len(self._files):06d}.arrow")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(str(self._files[-1]), batch.schema, options=options)
            self._schema = batch.schema
        self._writer.write_batch(batch)

    def _widen(self, field: pa.Field, values: pa.Array) -> None:
        """Let a column hold the values of one more batch; whole numbers that a real one would round become text."""
        kind = common_type(self._columns.get(field.name, pa.null()), field.type)
        if is_wide(values):
            self._wide.add(field.name)
        rounds = pa.types.is_floating(kind) and field.name in self._wide
        self._columns[field.name] = pa.string() if rounds else kind

    def _name(self, label: object, before: int) -> str:
        """Give an attribute a name that no format keeps for itself and no other attribute has, whatever the case.

        `before` tells how many columns of the same label come before it.
        """
        if (label, before) not in self._names:
            taken = RESERVED | {given.lower() for given in self._names.values()}
            plain = series_to_array(pd.Series([str(label)], dtype=object))[0].as_py()
            name = next(new for new in _candidates(plain) if new.lower() not in taken)
            self._names[label, before] = name
            if name != label:
                _log.warning("column %s is written as %s", shown(repr(label)), shown(repr(name)))
        return self._names[label, before]


def _candidates(name: str) -> Iterator[str]:
    yield name or "column"
    number = 0
    while True:
        number += 1
        yield f"{name}_{number}"


def as_multipolygons(geometries: np.ndarray) -> np.ndarray:
    """Make every geometry a two-dimensional multipolygon; an empty or absent one becomes None."""
    geometries = np.array(shapely.force_2d(geometries), dtype=object)
    geometries[shapely.is_empty(geometries)] = None
    kinds = shapely.get_type_id(geometries)
    strange = ~np.isin(kinds, (-1, 3, 6))
    if strange.any():
        raise SinkError(
            f"a geometry is a {geometries[strange][0].geom_type}", expected="polygons and multipolygons only"
        )
    alone = kinds == 3
    geometries[alone] = shapely.multipolygons(geometries[alone], indices=np.arange(alone.sum()))
    return geometries


def _agreed(layer: CRS | None, frame: CRS | None) -> CRS | None:
    if layer is not None and frame is not None and layer != frame:
        hint = "reproject the frame with frame.to_crs(...)"
        raise SinkError(
            f"a frame in {frame.name} for a layer in {layer.name}", expected="one CRS for a layer", hint=hint
        )
    return layer if layer is not None else frame


def fit(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Cast a batch to the columns of the whole table; a column that it has not is null."""
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            arrays.append(pc.cast(batch.column(field.name), field.type, safe=False))
    return pa.record_batch(arrays, schema=schema)
