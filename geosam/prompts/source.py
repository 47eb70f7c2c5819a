"""Rows of a source of prompts: geometries with their frame, ids, labels, groups and attributes."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from math import isnan
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Int64
from numpy import ndarray

from geosam.errors import PromptError
from geosam.vectors import notes, read_vector
from geosam.vectors.columns import lossy, unique_names

log = logging.getLogger(__name__)

AUTO = "auto"
"""Instead of the name of a label column: `LABEL_COLUMN`, if it holds nothing but words for inside and outside."""

LABEL_COLUMN = "label"
"""The column that tells inside from outside, if nothing else is said."""

INSIDE = {"1", "1.0", "true", "t", "yes", "pos", "positive", "foreground", "fg", "+", "inside"}
OUTSIDE = {"0", "0.0", "false", "f", "no", "neg", "negative", "background", "bg", "-", "outside", "-1", "-1.0"}


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
        The other columns, n rows, each column of the type that it is given in.
    reasons
        Why some rows have no geometry, by position.
    assumed
        What the CRS rests on, if it is a convention and nobody has stated it.
    """

    geometries: ndarray
    crs: Any
    ids: Sequence[str | int]
    labels: Int64[ndarray, "n"]
    groups: Sequence[Hashable | None]
    attributes: pd.DataFrame
    reasons: Mapping[int, str] = field(default_factory=dict)
    assumed: str | None = None

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
        n = len(geometries)
        return cls(
            geometries,
            crs,
            ids=list(range(n)),
            labels=np.ones(n, np.int64) if labels is None else labels,
            groups=[None] * n if groups is None else groups,
            attributes=pd.DataFrame(index=range(n)),
        )


def rows_from_frame(
    features: gpd.GeoDataFrame,
    *,
    id_column: str | None = None,
    label_column: str | None = AUTO,
    group_column: str | None = None,
) -> Rows:
    """Rows of a GeoDataFrame.

    Ids come from `id_column`, else from the group, else from a column ``id`` that has a different value in each row,
    else from the index, else from the position. Rows with the same value in `group_column` (if not given: in
    `id_column`) are one object. A row without an id gets a number that no other has.

    Raises
    ------
    PromptError
        If a column is absent, or its values cannot be told apart.
    """
    geometries = np.array(features.geometry.array, object)
    table = pd.DataFrame(features.drop(columns=features.geometry.name))
    table.columns = unique_names(list(table.columns))
    names = group_column or id_column
    groups = [None] * len(table) if names is None else _told_apart(_values(table, names), names)
    said = notes(features)
    reasons = said.get("reasons", {})
    return Rows(
        geometries=geometries,
        crs=features.crs,
        ids=_ids(table, id_column or group_column),
        labels=_labels(table, geometries, label_column),
        groups=groups,
        attributes=table.reset_index(drop=True),
        reasons={row: reasons[label] for row, label in enumerate(features.index) if label in reasons}
        if reasons
        else {},
        assumed=said.get("assumed"),
    )


def _values(table: pd.DataFrame, name: str) -> pd.Series | pd.Index:
    """A column by its name, or the index if that is its name, as a file's own column of feature ids is."""
    named = {str(column): at for at, column in reversed(list(enumerate(table.columns)))}
    exact = {column: at for at, column in enumerate(table.columns) if isinstance(column, str)}
    if name in named:
        return table.iloc[:, exact.get(name, named[name])]
    if name == table.index.name:
        return table.index
    raise PromptError(
        f"no column {name!r} among the prompts", expected=f"one of {', '.join(map(str, table.columns)) or 'none'}"
    )


def _told_apart(values: pd.Series | pd.Index, name: str) -> list[Hashable | None]:
    """What groups rows, as plain values.

    Raises
    ------
    PromptError
        If real numbers are so large that different ids may look alike, and some do.
    """
    if lossy(pd.Series(values)) and pd.Series(values).duplicated().any():
        raise PromptError(
            f"column {name!r} with real numbers above 2**53, some of them equal: ids of which digits were lost",
            expected="whole numbers or text",
            hint="save the ids as such, or name no column for them",
        )
    return [_plain(value) for value in values]


def _ids(table: pd.DataFrame, column: str | None) -> list[str | int]:
    if column is not None:
        values: Any = _values(table, column)
    elif "id" in table and table["id"].map(_plain).is_unique and not table["id"].map(_plain).hasnans:
        values = table["id"]
    else:
        values = table.index if table.index.is_unique else range(len(table))
    given = [None if (plain := _plain(value)) is None else id_from(plain) for value in values]
    taken, last, ids = {str(one) for one in given if one is not None}, 0, []
    for row, one in enumerate(given):
        if one is None:
            last = next(number for number in count(max(last, row)) if str(number) not in taken)
            taken.add(str(last))
        ids.append(last if one is None else one)
    return ids


def _plain(value: Any) -> Hashable | None:
    """A value out of a table as a plain Python value; None if there is none, or nothing but blanks."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufS":
        value = value.item()
    absent = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and isnan(value))
    if absent or (isinstance(value, str) and not value.strip()):
        return None
    try:
        hash(value)
    except TypeError:
        return str(value)
    return value


def id_from(value: Any) -> str | int:
    """A whole number or a text from whatever identifies a feature."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | str) and not isinstance(value, bool) else str(value)


def _labels(table: pd.DataFrame, geometries: ndarray, column: str | None) -> Int64[ndarray, "n"]:
    """The labels in `column`; all 1 where the usual column is absent, holds something else, or there are no points."""
    if column == AUTO:
        column = LABEL_COLUMN if _says_labels(table, geometries) else None
    if column is None:
        return np.ones(len(table), np.int64)
    return np.array([label_from(value, row) for row, value in enumerate(_values(table, column))], np.int64)


def _says_labels(table: pd.DataFrame, geometries: ndarray) -> bool:
    """Whether the usual column is there, in a layer with points, and holds only words for inside or outside."""
    if LABEL_COLUMN not in table.columns or not (shapely.get_dimensions(geometries) == 0).any():
        return False
    words = {_word(value) for value in table[LABEL_COLUMN] if _plain(value) is not None}
    others = sorted(words - INSIDE - OUTSIDE)
    if others and len(others) < len(words):
        told = ", ".join(islice(others, 3)) + (", …" if len(others) > 3 else "")
        log.warning(
            "column %r holds %s, which mean neither inside nor outside: it is taken as an attribute", LABEL_COLUMN, told
        )
    return bool(words) and not others


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
        hint="name another column, or none to take every row as positive: label_column=None "
        "(command line: --label-column none)",
    )


def read_features(source: Any, *, layer: str | int | None = None, needs_crs: bool = True) -> gpd.GeoDataFrame:
    """Prompts as features, from whatever holds them; see `geosam.vectors.read_vector`.

    Raises
    ------
    PromptError
        If the file cannot be read, has several layers and none is named, or has no geometries.
    """
    return read_vector(source, layer=layer, needs_crs=needs_crs)
