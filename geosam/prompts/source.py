"""Rows of a source of prompts: geometries with their frame, ids, labels, groups and attributes."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from jaxtyping import Int64
from numpy import ndarray
from pyogrio.errors import DataLayerError, DataSourceError
from shapely.geometry.base import BaseGeometry

from geosam.errors import PromptError

LABEL_COLUMN = "label"
"""The column that tells inside from outside, if nothing else is said."""

INSIDE = {"1", "1.0", "true", "t", "yes", "pos", "positive", "foreground", "fg", "+", "inside"}
OUTSIDE = {"0", "0.0", "false", "f", "no", "neg", "negative", "background", "bg", "-", "outside", "-1", "-1.0"}

COORDINATE_COLUMNS = (("x", "y", None), ("lon", "lat", "EPSG:4326"), ("longitude", "latitude", "EPSG:4326"))
"""Columns of a table that hold coordinates, and their CRS (None: the scene's)."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A source of prompts, row by row.

    Attributes
    ----------
    geometries
        Object array of n shapely geometries or None, as given.
    crs
        What their coordinates mean, as given; None if the source does not say.
    ids
        The source feature's own id for each row.
    labels
        1 (inside the object) or 0 (outside) for each row.
    groups
        Rows with the same value are one object; None where a row stands for itself.
    attributes
        The other columns for each row.
    """

    geometries: ndarray
    crs: Any
    ids: Sequence[str | int]
    labels: Int64[ndarray, "n"]
    groups: Sequence[Hashable | None]
    attributes: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.geometries)

    @classmethod
    def plain(
        cls,
        geometries: ndarray,
        crs: Any,
        *,
        labels: ndarray | None = None,
        groups: Sequence[Hashable | None] | None = None,
    ) -> "Rows":
        """Rows of bare geometries, with their position as id."""
        count = len(geometries)
        return cls(
            geometries,
            crs,
            ids=list(range(count)),
            labels=np.ones(count, np.int64) if labels is None else labels,
            groups=[None] * count if groups is None else groups,
            attributes=[{}] * count,
        )


def rows_from_frame(
    features: gpd.GeoDataFrame,
    *,
    id_column: str | None = None,
    label_column: str | None = LABEL_COLUMN,
    group_column: str | None = None,
) -> Rows:
    """Rows of a GeoDataFrame.

    Ids come from `id_column`, else from the group, else from a column ``id`` that has a different value in each row,
    else from the index. Rows with the same value in `group_column` (if not given: in `id_column`) are one object.
    """
    for name in (id_column, group_column):
        if name is not None:
            _require(features, name)
    group_column = group_column or id_column
    table = pd.DataFrame(features.drop(columns=features.geometry.name))
    groups = [None] * len(table) if group_column is None else [_plain(value) for value in table[group_column]]
    return Rows(
        geometries=np.array(features.geometry.array, object),
        crs=features.crs,
        ids=_ids(table, id_column or group_column),
        labels=_labels(features, label_column),
        groups=groups,
        attributes=table.to_dict("records"),
    )


def _require(features: pd.DataFrame, name: str) -> None:
    if name not in features.columns:
        raise PromptError(
            f"no column {name!r} among the prompts", expected=f"one of {list(map(str, features.columns))}"
        )


def _ids(table: pd.DataFrame, column: str | None) -> list[str | int]:
    if column is None and "id" in table and table["id"].is_unique and not table["id"].hasnans:
        column = "id"
    values = table.index if column is None else table[column]
    return [row if _plain(value) is None else id_from(_plain(value)) for row, value in enumerate(values)]


def _plain(value: Any) -> Hashable | None:
    """A value out of a table as a plain Python value; None if there is none."""
    value = value.item() if isinstance(value, np.generic) else value
    absent = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and isnan(value))
    return None if absent else value


def id_from(value: Any) -> str | int:
    """A whole number or a text from whatever identifies a feature."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else str(value)


def _labels(features: gpd.GeoDataFrame, column: str | None) -> Int64[ndarray, "n"]:
    """The labels in `column`; all 1 where the usual column is absent, holds something else, or there are no points."""
    if column is None or (column == LABEL_COLUMN and not _says_labels(features)):
        return np.ones(len(features), np.int64)
    _require(features, column)
    return np.array([label_from(value, row) for row, value in enumerate(features[column])], np.int64)


def _says_labels(features: gpd.GeoDataFrame) -> bool:
    """Whether the usual column is there, in a layer with points, and holds a word for inside or outside."""
    if (
        LABEL_COLUMN not in features.columns
        or not (shapely.get_dimensions(np.array(features.geometry.array, object)) == 0).any()
    ):
        return False
    return any(_word(value) in INSIDE | OUTSIDE for value in features[LABEL_COLUMN])


def _word(value: Any) -> str:
    return str(_plain(value)).strip().lower()


def label_from(value: Any, row: int) -> int:
    """1 or 0 from what a label column holds; nothing counts as 1.

    Examples
    --------
    >>> label_from("Background", 0), label_from(True, 1), label_from(None, 2)
    (0, 1, 1)
    """
    if _plain(value) is None or _word(value) in INSIDE:
        return 1
    if _word(value) in OUTSIDE:
        return 0
    raise PromptError(
        f"label {value!r} in row {row}",
        expected="1/0, true/false, pos/neg or foreground/background",
        hint="name another label_column, or none (label_column=None) to take every row as positive",
    )


def read_features(source: Any, *, layer: str | int | None = None) -> gpd.GeoDataFrame:
    """A GeoDataFrame from a frame, a series, shapely geometries or any vector file.

    Raises
    ------
    PromptError
        If the file cannot be read, has several layers and none is named, or has no geometries.
    """
    if isinstance(source, gpd.GeoDataFrame):
        if source.active_geometry_name is None:
            raise PromptError("a GeoDataFrame without geometries", expected="one with an active geometry column")
        return source
    if isinstance(source, gpd.GeoSeries):
        return gpd.GeoDataFrame(geometry=source)
    if isinstance(source, BaseGeometry):
        return gpd.GeoDataFrame(geometry=[source])
    if isinstance(source, str | Path):
        return _read_file(str(source), layer)
    if isinstance(source, Sequence | ndarray) and all(
        item is None or isinstance(item, BaseGeometry) for item in source
    ):
        return gpd.GeoDataFrame(geometry=list(source))
    raise PromptError(
        f"prompts of type {type(source).__name__}",
        expected="a vector file, a GeoDataFrame, a GeoSeries or shapely geometries",
        hint="for numbers use Prompts.from_points or Prompts.from_boxes, for arrays Prompts.from_masks",
    )


def _read_file(path: str, layer: str | int | None) -> gpd.GeoDataFrame:
    local = "://" not in path and not path.startswith("/vsi")
    if local and not Path(path).exists():
        raise PromptError(f"no file {path!r}", expected="a vector file with prompts")
    try:
        if Path(path).suffix.lower() in (".parquet", ".geoparquet"):
            return gpd.read_parquet(path)
        if Path(path).suffix.lower() == ".csv":
            return _read_csv(path)
        features = gpd.read_file(path, layer=layer if layer is not None else _only_layer(path), fid_as_index=True)
    except (DataSourceError, DataLayerError, ValueError, OSError) as error:
        if isinstance(error, PromptError):
            raise
        raise PromptError(f"{path!r} cannot be read ({error})", expected="a vector file that GDAL reads") from error
    if not isinstance(features, gpd.GeoDataFrame):
        raise PromptError(f"{path!r} without geometries", expected="a layer with points, lines or polygons")
    return features


def _read_csv(path: str) -> gpd.GeoDataFrame:
    """Points from a table with columns x and y, or lon and lat."""
    table = pd.read_csv(path)
    names = {str(name).strip().lower(): name for name in table.columns}
    for x, y, crs in COORDINATE_COLUMNS:
        if x in names and y in names:
            points = gpd.points_from_xy(table[names[x]], table[names[y]])
            return gpd.GeoDataFrame(table.drop(columns=[names[x], names[y]]), geometry=points, crs=crs)
    raise PromptError(
        f"{path!r} with columns {', '.join(map(str, table.columns))}", expected="columns x and y, or lon and lat"
    )


def _only_layer(path: str) -> str:
    """The name of the one layer with geometries."""
    layers = pyogrio.list_layers(path)
    spatial = [str(name) for name, kind in layers if kind is not None]
    if len(spatial) > 1:
        raise PromptError(
            f"{path!r} with layers {', '.join(spatial)}",
            expected="one layer",
            hint="name it: layer=... (command line: --prompts-layer)",
        )
    if not spatial:
        raise PromptError(f"{path!r} without geometries", expected="a layer with points, lines or polygons")
    return spatial[0]
