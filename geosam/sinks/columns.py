"""pandas column → Arrow array of a type that every output format knows.

===============================  =======================================
pandas                           written as
===============================  =======================================
bool (also with missing values)  bool
signed and unsigned integers     int32 up to 16 bits, else int64
floating point, decimal          float32 or float64
dates and times                  date, timestamp in milliseconds
text, categories                 text
lists, dicts                     text (JSON)
anything else, or a mixture      text
===============================  =======================================
"""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_SMALL_INTEGERS = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16())


def series_to_array(series: pd.Series) -> pa.Array:
    """Convert one column; a mixture of types becomes text.

    Parameters
    ----------
    series
        Any column of a frame but its geometry.

    Examples
    --------
    >>> series_to_array(pd.Series([7, "b", None], dtype=object)).to_pylist()
    ['7', 'b', None]
    """
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = pa.array([_text(value) for value in series], pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    target = simple_type(array.type)
    if pa.types.is_string(target) and not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return pa.array([_text(value) for value in series], pa.string())
    return pc.cast(array, target, safe=False)


def simple_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column of Arrow type `kind` is written as."""
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return kind
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return pa.int32() if kind in _SMALL_INTEGERS else pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float32() if kind in (pa.float16(), pa.float32()) else pa.float64()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("ms", kind.tz)
    return pa.string()


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that holds the values of two columns of the same name in two frames.

    Examples
    --------
    >>> str(common_type(pa.int32(), pa.float32())), str(common_type(pa.int64(), pa.string()))
    ('double', 'string')
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    kinds = (one, other)
    if all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64()
    return pa.string()


def _text(value: object) -> str | None:
    """Spell one value; what pandas counts as missing is None."""
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        return json.dumps(value, ensure_ascii=False, default=_plain, sort_keys=True)
    if isinstance(value, bytes):
        return value.hex()
    return None if pd.isna(value) is True else str(value)


def _plain(value: object) -> object:
    """Make JSON of what is none yet."""
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
