"""Delimited text → a table of just the text that it holds; numbers where nothing is lost by calling them so."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from geosam.vectors.columns import unique_names
from geosam.vectors.purpose import Purpose

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".tsv", ".txt", ".psv")
DELIMITERS = ",;\t|"

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}")
_REAL = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.(\d+))?")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")


def read_text(path: Path, purpose: Purpose) -> tuple[pd.DataFrame, dict[int, str]]:
    """A table of text with None for empty cells, and why some rows do not fit it.

    The first line gives the names. The delimiter is the comma, semicolon, tab or bar that divides it most; the encoding
    what a byte order mark says, else UTF-8, else Windows-1252, which is said.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if it is no table.
    """
    text = _decoded(path)
    limit = csv.field_size_limit(2**31 - 1)  # outlines are long
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, path), strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise purpose.unreadable(path, f"{error}, in line {reader.line_num}") from None
    finally:
        csv.field_size_limit(limit)
    if not rows or "\0" in text[:4096]:
        raise purpose.unreadable(path, "it is empty" if not rows else "it is no text")
    names, body = rows[0], rows[1:]
    width, reasons = len(names), {}
    for number, row in enumerate(body):
        if any(row[width:]):
            reasons[number] = f"it has {len(row)} values for {width} columns"
        row[width:] = [""] * (width - len(row))
    columns = [pd.Series([row[k] or None for row in body], dtype="str") for k in range(width)]
    frame = pd.DataFrame(dict(enumerate(columns)), index=range(len(body)))
    return frame.set_axis(unique_names([name.strip() for name in names]), axis=1), reasons


def recognized(column: pd.Series) -> pd.Series:
    """Text as numbers, if each could be written back as it stands: no leading zeros, no more digits than fit.

    Real numbers may all have the same number of decimals, or none that could be left out.

    Examples
    --------
    >>> [recognized(pd.Series(one)).tolist() for one in (["1", "20"], ["00042", "1"], ["0.50", "1.25"], ["1.1", "1.10"])]
    [[1, 20], ['00042', '1'], [0.5, 1.25], ['1.1', '1.10']]
    """  # noqa: E501 - four cases in one line
    given = column.dropna().tolist()
    if not given or not all(isinstance(one, str) for one in given):
        return column
    if all(map(_INTEGER.fullmatch, given)) and all(-(2**63) <= int(one) < 2**63 for one in given):
        whole = pd.array([None if pd.isna(one) else int(one) for one in column], dtype="Int64")
        return pd.Series(whole if len(given) < len(column) else whole.astype("int64"), index=column.index)
    if _are_real(given):
        return column.astype(object).map(float, na_action="ignore").astype("float64")
    return column


def _are_real(texts: Sequence[str]) -> bool:
    """Whether real numbers say just what texts say, and there is one way to write them."""
    found = [_REAL.fullmatch(one) for one in texts]
    decimals = {len(one[1] or "") for one in found if one}
    short = not any(one and (one[1] or "").endswith("0") for one in found)
    if None in found or not (short or len(decimals) == 1):
        return False
    long = (one for one in texts if len(one.lstrip("-").replace(".", "").lstrip("0")) > 15)
    return all(repr(float(one)) == one for one in long) and not any(
        one.startswith("-") and float(one) == 0 for one in texts
    )


def numbers(values: Sequence[Any]) -> list[float | None]:
    """Coordinates out of a column; None for what is no number. A comma may stand for the point.

    Examples
    --------
    >>> numbers(["1.5", " 2", "n/a", None, 3]), numbers(["500010,5", "7"])
    ([1.5, 2.0, None, None, 3.0], [500010.5, 7.0])
    """
    texts = [one for one in values if isinstance(one, str)]
    comma = any("," in one for one in texts) and not any("." in one for one in texts)
    return [_number(one.replace(",", ".") if comma and isinstance(one, str) else one) for one in values]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return None if pd.isna(value) else float(value)


def _decoded(path: Path) -> str:
    raw = path.read_bytes()
    encoding = next((name for mark, name in _BOMS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        log.warning("%s is no %s: read as Windows-1252", path.name, encoding.upper())
        return raw.decode("cp1252", "backslashreplace")


def _delimiter(text: str, path: Path) -> str:
    """What divides the first line most."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    head = text[: text.find("\n") + 1 or len(text)]
    return max(DELIMITERS, key=lambda sign: len(next(csv.reader(io.StringIO(head, newline=""), delimiter=sign), [])))
