"""Tables of scenes → catalog items: an index with a path in each row, or STAC items in a GeoParquet file."""

import json
import re
from collections.abc import Iterator, Mapping
from os import fspath
from pathlib import Path, PurePosixPath
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.catalog.items import Item, moment, safe_name
from geosam.catalog.selection import Selection
from geosam.catalog.stac import item_from_dict, resolve
from geosam.errors import CatalogError
from geosam.paths import is_address
from geosam.vectors import SCENES, read_vector, split_layer
from geosam.vectors.columns import unique_names

PATH_COLUMNS = ("path", "location", "href", "filename", "file")
"""Columns that may hold the path of a scene, the first that is there; ``location`` is what gdaltindex writes."""

NAME_COLUMNS = ("name", "id", "scene")
TIME_COLUMNS = ("datetime", "time", "date", "acquired")


def read_table(path: str | Path, selection: Selection) -> Iterator[Item]:
    """Items of a vector file: an index of rasters, or stac-geoparquet.

    Raises
    ------
    CatalogError
        If the file cannot be read or has no column with paths.
    """
    where = fspath(path)
    yield from items_from_table(read_vector(where, purpose=SCENES, plain=True), selection, base=split_layer(where)[0])


def items_from_table(table: pd.DataFrame, selection: Selection, *, base: str = "") -> Iterator[Item]:
    """Items of a table.

    Parameters
    ----------
    table
        A GeoDataFrame, whose geometries are the footprints in any CRS, or a table without geometries.
    selection
        Says which asset is the scene, where rows are STAC items.
    base
        Path of the table; relative paths count from its folder.

    Raises
    ------
    CatalogError
        If there is no column with paths.
    """
    footprints = _footprints(table)
    rows = table.drop(columns=[table.geometry.name]) if isinstance(table, gpd.GeoDataFrame) else table
    rows = rows.set_axis(unique_names(list(rows.columns)), axis=1)
    if "assets" in rows.columns:
        for record, footprint in zip(rows.to_dict("records"), footprints, strict=True):
            yield item_from_dict(_stac_item(record, footprint), selection, base=base)
        return
    column = next((name for name in PATH_COLUMNS if name in rows.columns), None)
    if column is None:
        given = ", ".join(map(str, rows.columns)) or "none"
        raise CatalogError(f"a table with the columns {given}", expected=f"one of {', '.join(PATH_COLUMNS)}")
    for number, (record, footprint) in enumerate(zip(rows.to_dict("records"), footprints, strict=True)):
        name, when = _first(record, NAME_COLUMNS), moment(_first(record, TIME_COLUMNS))
        path = _first(record, (column,))
        title = safe_name(str(name) if name is not None else f"row-{number}" if path is None else _stem(str(path)))
        properties = {str(key): value for key, value in record.items() if key != column and _there(value)}
        try:
            if path is None:
                table_name = Path(base).name or "the table"
                raise CatalogError(f"no {column} in row {number} of {table_name}", expected="that of a raster")
            paths = (resolve(str(path), base or "table"),)
        except CatalogError as error:
            yield Item(title, (), None, footprint, properties, error)
            continue
        yield Item(title, paths, (when, when) if when else None, footprint, properties)


def _stem(path: str) -> str:
    return PurePosixPath(re.split("[?#]", path)[0]).stem if is_address(path) else Path(path).stem


def _footprints(table: pd.DataFrame) -> list[Any]:
    """The rows' geometries as longitude and latitude, None where there is none."""
    if not isinstance(table, gpd.GeoDataFrame) or table.active_geometry_name is None:
        return [None] * len(table)
    geometries = table.geometry
    if geometries.crs is not None:
        geometries = geometries.to_crs(4326)
    shapes = np.array(geometries.array, object)
    x0, y0, x1, y1 = shapely.bounds(shapes).T
    known = (x0 >= -360) & (x1 <= 360) & (y0 >= -90) & (y1 <= 90)  # no degrees, or none at all: nobody knows its place
    return [shape if there else None for shape, there in zip(shapes, known.tolist(), strict=True)]


def _first(record: Mapping[Any, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if name in record and _there(record[name])), None)


def _there(value: Any) -> bool:
    return value is not None and not (np.ndim(value) == 0 and pd.isna(value))


def _stac_item(record: Mapping[Any, Any], footprint: Any) -> dict[str, Any]:
    """A row of stac-geoparquet, whose properties are columns of their own, as a STAC item."""
    whole = {"type", "stac_version", "stac_extensions", "id", "assets", "links", "bbox", "collection"}
    assets = record["assets"]
    properties = {str(key): value for key, value in record.items() if key not in whole and _there(value)}
    return {
        "id": str(record["id"]) if _there(record.get("id")) else None,
        "collection": record.get("collection") if _there(record.get("collection")) else None,
        "assets": _from_json(assets) if isinstance(assets, str) else _plain(assets),
        "geometry": footprint and shapely.geometry.mapping(footprint),
        "properties": _plain(properties),
    }


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the item says that these are no assets
        return text


def _plain(value: Any) -> Any:
    """Arrays, which a parquet file gives for lists, as lists."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value.tolist()] if isinstance(value, np.ndarray) else value
