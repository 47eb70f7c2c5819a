"""Arrow columns → pandas columns that hold just what the file holds.

Whole numbers and truth values with gaps stay what they are, as pandas' own nullable types; text that is no text keeps
its bytes in view; moments keep their instant.
"""

import datetime
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_OFFSET = re.compile(r"T?\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)?")


def table_to_frame(table: pa.Table, names: Sequence[str], kinds: Sequence[str]) -> pd.DataFrame:
    """A table as a frame whose columns are of the same types, and differ in their names.

    Parameters
    ----------
    table
        n rows and k columns; several may have one name.
    names, kinds
        The columns' names, and what OGR says of them (such as ``"datetime64[ms]"`` where the column holds text).

    Examples
    --------
    >>> table = pa.table({"cell": pa.array([2**60 + 1, None]), "code": ["00042", None]})
    >>> frame = table_to_frame(table, ["cell", "code"], ["int64", "object"])
    >>> frame.dtypes.astype(str).tolist(), int(frame["cell"][0]) == 2**60 + 1
    (['Int64', 'str'], True)
    """
    columns = [array_to_series(column) for column in table.columns]
    for position, kind in enumerate(kinds):
        if kind.startswith("datetime") and _is_text(table.column(position).type):
            columns[position] = moments(columns[position])
    frame = pd.DataFrame(dict(enumerate(columns)), index=range(table.num_rows))
    return frame.set_axis(unique_names(names), axis=1)


def unique_names(names: Sequence[Any]) -> list[Any]:
    """Names that all differ: the second of a kind gets the suffix ``_2``, and so on.

    Examples
    --------
    >>> unique_names(["name", "id", "name", "name_2"])
    ['name', 'id', 'name_3', 'name_2']
    """
    taken, found = set(names), []
    for name in names:
        number, new = 1, name
        while new in found or (number > 1 and new in taken):
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found


def array_to_series(column: pa.ChunkedArray) -> pd.Series:
    """One column, its type kept."""
    kind, is_json = column.type, False
    if isinstance(kind, pa.BaseExtensionType):
        is_json = kind.extension_name == "arrow.json"
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)  # pyright: ignore[reportAttributeAccessIssue]  # chunks of an extension type have a storage
        kind = column.type
    if _is_text(kind):
        return structures(texts(column)) if is_json else texts(column)
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return pd.Series(nullable(kind).__from_arrow__(column))
    if pa.types.is_primitive(kind) and not (pa.types.is_time(kind) or pa.types.is_date(kind)):
        return column.to_pandas()
    return pd.Series(column.to_pylist(), dtype=object)


def nullable(kind: pa.DataType) -> Any:
    """Pandas' type with gaps for whole numbers or truth values of an Arrow type."""
    if pa.types.is_boolean(kind):
        return pd.BooleanDtype()
    name = str(kind).capitalize()
    return pd.array([], dtype=name.replace("Uint", "UInt")).dtype


def texts(column: pa.ChunkedArray) -> pd.Series:
    r"""Text; bytes that are no UTF-8 are spelled out.

    Examples
    --------
    >>> texts(pa.chunked_array([pa.array([b"a\xff", b"b"]).view(pa.string())])).tolist()
    ['a\\xff', 'b']
    """
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()).to_pylist()
        values = [None if one is None else one.decode("utf-8", "backslashreplace") for one in raw]
    return pd.Series(values, dtype="str")


def structures(column: pd.Series) -> pd.Series:
    """JSON text as lists and mappings; as it is where some of it is neither."""
    given = [None if pd.isna(one) else one for one in column]
    if not all(one is None or one.lstrip()[:1] in ("{", "[") for one in given):
        return column
    try:
        return pd.Series([None if one is None else json.loads(one) for one in given], dtype=object)
    except ValueError:
        return column


def moments(column: pd.Series) -> pd.Series:
    """Moments out of ISO 8601 text: with their offset if all share one, in UTC if they have several.

    Text stays where some have an offset and others do not, since nobody can tell what those mean.

    Examples
    --------
    >>> moments(pd.Series(["2024-06-01T00:30:00+02:00", "2024-01-01T00:30:00+01:00"])).astype(str).tolist()
    ['2024-05-31 22:30:00+00:00', '2023-12-31 23:30:00+00:00']
    """
    given = column.dropna()
    ends = {found[1] if (found := _OFFSET.search(one)) else None for one in given}
    if len(ends) > 1 and None in ends:
        return column
    try:
        return pd.to_datetime(column, format="ISO8601", utc=len(ends) > 1)
    except (ValueError, OverflowError):
        return column


def moments_in_text(column: pd.Series) -> pd.Series:
    """A column of text as dates or moments, if all of it is spelled as ISO 8601 spells them."""
    given = column.dropna()
    if not isinstance(column.dtype, pd.StringDtype) or given.empty:
        return column
    if all(map(_MOMENT.fullmatch, given)):
        return moments(column)
    if not all(map(_DATE.fullmatch, given)):
        return column
    try:
        days = [None if pd.isna(one) else datetime.date.fromisoformat(one) for one in column]
    except ValueError:
        return column
    return pd.Series(days, dtype=object, index=column.index)


def exact_integers(column: pd.Series, given: Sequence[Any]) -> pd.Series:
    """A column of real numbers, with whole ones that they cannot hold put right out of what the file says.

    Parameters
    ----------
    column
        n real numbers.
    given
        What a JSON file holds for each of them.
    """
    whole = [one for one in given if isinstance(one, int) and not isinstance(one, bool)]
    if len(whole) < sum(one is not None for one in given) or not any(abs(one) > 2**53 for one in whole):
        return column
    low, high = min(whole), max(whole)
    if low >= 0 and high < 2**64:
        return pd.Series(pd.array(list(given), dtype="Int64" if high < 2**63 else "UInt64"), index=column.index)
    return pd.Series([None if one is None else str(one) for one in given], dtype="str", index=column.index)


def lossy(column: pd.Series) -> bool:
    """Whether a column of real numbers holds some beyond which whole ones are no longer told apart."""
    return column.dtype.kind == "f" and bool((np.abs(column.to_numpy(float)) > 2**53).any())


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
