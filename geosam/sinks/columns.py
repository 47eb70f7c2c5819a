r"""pandas column → Arrow array of a type that every output format knows, without loss.

===============================  ====================================================================
pandas                           written as
===============================  ====================================================================
bool (also with missing values)  bool
signed and unsigned integers     int32 up to 16 bits, else int64; text where one is 2⁶³ or more
floating point                   float32 or float64
decimal                          float64 up to 15 digits, else text
dates                            date
times                            timestamp; in GeoPackage and FlatGeobuf to the millisecond, zones as UTC
text, categories                 text; what no format holds is spelled out (``\x00``, ``\udcff``)
lists, dicts                     text (JSON; what is not finite is null)
bytes                            text (hexadecimal)
anything else, or a mixture      text
===============================  ====================================================================
"""

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_SMALL_INTEGERS = (pa.int8(), pa.uint8(), pa.int16(), pa.uint16())
_LARGEST = 2**63 - 1
_EXACT = 2**53
"""Up to here every whole number is a floating-point number too."""
_DIGITS = 15
"""Digits of a decimal number that a floating-point number keeps."""
_FINER = {"s": 0, "ms": 1, "us": 2, "ns": 3}


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
    array = _to_array(series)
    target = simple_type(array.type)
    if array.type == pa.uint64() and (_asked("max", array) or 0) > _LARGEST:
        target = pa.string()
    if pa.types.is_decimal(array.type) and _fits(array, pa.decimal128(_DIGITS, min(array.type.scale, _DIGITS))):
        target = pa.float64()
    if not pa.types.is_string(target):
        return pc.cast(array, target, safe=False)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.cast(array, pa.string())
        options = pc.ReplaceSubstringOptions(pattern="\0", replacement="\\x00")
        return pc.call_function("replace_substring", [array], options)
    return pa.array([_text(value) for value in series], pa.string())


def simple_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column of Arrow type `kind` is written as."""
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_timestamp(kind):
        return kind
    if pa.types.is_integer(kind):
        return pa.int32() if kind in _SMALL_INTEGERS else pa.int64()
    if pa.types.is_floating(kind):
        return pa.float32() if kind in (pa.float16(), pa.float32()) else pa.float64()
    if pa.types.is_decimal(kind):
        return pa.float64() if kind.precision <= _DIGITS else pa.string()
    if pa.types.is_date(kind):
        return pa.date32()
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
    if all(pa.types.is_timestamp(kind) for kind in kinds) and (one.tz is None) == (other.tz is None):
        unit = max(one.unit, other.unit, key=_FINER.__getitem__)
        return pa.timestamp(unit, one.tz if one.tz == other.tz else "UTC")
    return pa.string()


def is_wide(array: pa.Array) -> bool:
    """Whether an array holds whole numbers that floating point would round."""
    if not pa.types.is_int64(array.type):
        return False
    low, high = _asked("min_max", array).values()
    return low is not None and (low < -_EXACT or high > _EXACT)


def _asked(name: str, array: pa.Array) -> Any:
    """What a function of Arrow says of an array."""
    return pc.call_function(name, [array]).as_py()


def to_json(value: object) -> str:
    """Spell a value as JSON that every reader takes: what is not finite is null, what JSON does not know is text.

    Examples
    --------
    >>> to_json({"a": float("nan"), 1: (np.float32(0.5), {"x"}), "day": date(2024, 2, 29)})
    '{"a": null, "1": [0.5, ["x"]], "day": "2024-02-29"}'
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _fits(array: pa.Array, kind: pa.DataType) -> bool:
    try:
        pc.cast(array, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _to_array(series: pd.Series) -> pa.Array:
    """The column in Arrow's own type; as text where it has none."""
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
    try:
        mixed = series.dtype == object and _mixes_zones(series)
        array = pa.array([_text(value) for value in series] if mixed else series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError):
        array = pa.array([_text(value) for value in series], pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        return pa.array([_text(value) for value in series], pa.string())
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _mixes_zones(series: pd.Series) -> bool:
    """Whether moments with a time zone stand beside such without, which Arrow would take for UTC."""
    return len({value.tzinfo is None for value in series if isinstance(value, datetime) and not pd.isna(value)}) > 1


def _text(value: object) -> str | None:
    """Spell one value; what pandas counts as missing is None."""
    if isinstance(value, Mapping | list | tuple | set | frozenset | np.ndarray):
        text = to_json(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).hex()
    elif isinstance(value, datetime) and not pd.isna(value):
        text = value.isoformat(sep=" ")
    else:
        text = None if pd.isna(value) is True else str(value)
    return None if text is None else _spelled(text)


def _spelled(text: str) -> str:
    """Text without what no format holds: NUL, and halves of characters."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _plain(value: Any) -> Any:
    """Make JSON of what is none yet."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    match value:
        case None | bool() | int():
            plain = value
        case float():
            plain = value if np.isfinite(value) else None
        case str():
            plain = _spelled(value)
        case Mapping():
            plain = {
                key if isinstance(key, int | None) else _spelled(str(key)): _plain(one) for key, one in value.items()
            }
        case set() | frozenset():
            plain = sorted(map(str, value))
        case list() | tuple():
            plain = [_plain(one) for one in value]
        case date() | time():
            plain = value.isoformat()
        case _:
            plain = _text(value)
    return plain
