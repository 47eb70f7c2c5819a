"""Damage to bytes, text, trees and tables; each function is given a random generator and changes little."""

import json
import re
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from numpy.random import Generator

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 255, 10**9, 2**31, 2**63, 10**30, -(2**63), 0.5, -0.0, 1e-300, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "x", "0", "-1", "nan", "null", "None", "é", "\u202e",
    "a" * 5000,
    "../../x", "/", "a\x00b", "\x1b[31mred", "<b>", "'; DROP TABLE x; --", [], [0], [None], {}, {"x": 1}, [[[[]]]],
]  # fmt: skip
"""Values that stand where others are expected."""

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")

DEEP = 20_000
"""How deep a tree becomes that is nested without sense."""


def pick(rng: Generator, values: Any) -> Any:
    """One of some values, as it is (NumPy would turn it into its own type)."""
    values = list(values)
    return values[int(rng.integers(len(values)))]


def damage_bytes(rng: Generator, data: bytes) -> bytes:
    """Flip, set, cut, repeat or remove some bytes; more often near the beginning, where headers are."""
    how = rng.integers(8)
    whole = bytearray(data)
    size = len(whole)
    at = int(size * rng.random() ** (3 if rng.random() < 0.5 else 1)) if size else 0
    length = int(rng.integers(1, 64))
    if how == 0:
        for _ in range(int(rng.integers(1, 9))):
            at = min(int(size * rng.random() ** 2), max(size - 1, 0))
            whole[at : at + 1] = bytes([whole[at] ^ (1 << int(rng.integers(8)))]) if size else b""
    elif how == 1:
        whole[at : at + length] = rng.bytes(length)
    elif how == 2:
        whole = whole[:at]
    elif how == 3:
        del whole[at : at + length]
    elif how == 4:
        whole[at:at] = whole[at : at + length]
    elif how == 5:
        whole[at : at + length] = bytes([pick(rng, (0, 255))]) * length
    elif how == 6:
        whole = bytearray(pick(rng, (b"", b"\x00", b"<html>not found</html>", b"\xff\xfe" + bytes(whole[:99]))))
    else:
        whole += rng.bytes(length)
    return bytes(whole)


def damage_text(rng: Generator, data: bytes) -> bytes:
    """Change a number, a line, a separator or the encoding of a text."""
    text = data.decode("utf-8", "replace")
    how = rng.integers(9)
    lines = text.splitlines(keepends=True) or [""]
    row = int(rng.integers(len(lines)))
    if how <= 2:
        found = list(NUMBER.finditer(text))
        if found:
            one = pick(rng, found)
            text = text[: one.start()] + as_text(pick(rng, ODD)) + text[one.end() :]
    elif how == 3:
        text = "".join(lines[:row] + lines[row + 1 :])
    elif how == 4:
        text = "".join([*lines[: row + 1], lines[row], *lines[row + 1 :]])
    elif how == 5:
        return text.encode(pick(rng, ("utf-16", "utf-8-sig", "utf-32")), "replace")
    elif how == 6:
        return data[: len(data) // 2] + pick(rng, (b"\xff\xfe\xfa", b"\x00", b"\x1b[2J")) + data[len(data) // 2 :]
    elif how == 7:
        old, new = pick(rng, ((",", ";"), ('"', "'"), ("=", ":"), ("\n", "\r"), ("[", "("), (".", ",")))
        text = text.replace(old, new)
    else:
        return damage_bytes(rng, data)
    return text.encode("utf-8", "surrogatepass")


def as_text(value: Any) -> str:
    """A value as it would stand in a file."""
    return value if isinstance(value, str) else json.dumps(value)


def nodes(tree: Any) -> list[tuple[Any, Any]]:
    """All places of a tree of lists and dictionaries: the container and the key."""
    found, todo = [], [tree]
    while todo:
        here = todo.pop()
        keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
        for key in keys:
            found.append((here, key))
            todo.append(here[key])
    return found


def damage_tree(rng: Generator, tree: Any) -> Any:
    """Put odd values into a tree, take some away, or give others new names."""
    for _ in range(int(rng.integers(1, 4))):
        there = nodes(tree)
        if not there:
            return pick(rng, ODD)
        inside, key = pick(rng, there)
        how = rng.integers(6)
        if how <= 2:
            inside[key] = pick(rng, ODD)
        elif how == 3:
            del inside[key]
        elif how == 4 and isinstance(inside, dict):
            inside[pick(rng, ("", "x", "type", "name", "id", "é"))] = inside.pop(key)
        else:
            other, there_key = pick(rng, there)
            with suppress(LookupError, TypeError):
                inside[key] = json.loads(json.dumps(other[there_key]))
    return tree


def damage_json(rng: Generator, data: bytes) -> bytes:
    """Damage a JSON text as a tree, or as a text."""
    how = rng.random()
    if how < 0.2:
        return damage_text(rng, data)
    if how < 0.23:
        return b"[" * DEEP + b"]" * DEEP
    try:
        tree = json.loads(data)
    except ValueError:
        return damage_text(rng, data)
    return json.dumps(damage_tree(rng, tree)).encode("utf-8", "surrogatepass")


def damage_lines(rng: Generator, data: bytes) -> bytes:
    """Damage one line of a file of JSON lines."""
    lines = data.splitlines(keepends=True)
    if not lines or rng.random() < 0.3:
        return damage_text(rng, data)
    row = int(rng.integers(len(lines)))
    lines[row] = damage_json(rng, lines[row]) + b"\n"
    return b"".join(lines)


def damage_xml(rng: Generator, data: bytes) -> bytes:
    """Change an attribute, a text or an element of an XML file."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return damage_text(rng, data)
    if rng.random() < 0.25:
        return damage_text(rng, data)
    for _ in range(int(rng.integers(1, 3))):
        one = pick(rng, root.iter())
        how = rng.integers(4)
        value = "".join(sign for sign in as_text(pick(rng, ODD)) if sign.isprintable())
        if how == 0 and one.attrib:
            one.set(pick(rng, one.attrib), value)
        elif how == 1:
            one.text = value
        elif how == 2 and len(one):
            one.remove(pick(rng, one))
        elif len(one):
            one.append(pick(rng, one))
    return ElementTree.tostring(root)


def damage_sqlite(rng: Generator, path: Path) -> None:
    """Change a cell, a table or a column of a SQLite file."""
    with closing(sqlite3.connect(path)) as base, base:
        tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for (trigger,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            base.execute(f'DROP TRIGGER "{trigger}"')  # of GDAL, which call functions that are not here
        table = pick(rng, [name for name in tables if not name.startswith(("sqlite_", "rtree_"))])
        columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
        column, how = pick(rng, columns), rng.integers(7)
        value = pick(rng, [one for one in ODD if not isinstance(one, list | dict) and not _too_large(one)])
        with suppress(sqlite3.Error):
            if how <= 3:
                rows = [row for (row,) in base.execute(f'SELECT rowid FROM "{table}"')]
                base.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (value, pick(rng, rows or [0])))
            elif how == 4:
                base.execute(f'DROP TABLE "{table}"')
            elif how == 5:
                base.execute(f'DELETE FROM "{table}"')
            else:
                base.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "odd column"')


def _too_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**63


def damage_tiff(rng: Generator, data: bytes) -> bytes:
    """Change an entry of the first directory of a TIFF: its tag, type, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    whole = bytearray(data)
    with suppress(struct.error):
        (first,) = struct.unpack_from(f"{order}I", whole, 4)
        (count,) = struct.unpack_from(f"{order}H", whole, first)
        for _ in range(int(rng.integers(1, 3))):
            at = first + 2 + 12 * int(rng.integers(count))
            field, kind, most = pick(rng, ((0, "H", 65_536), (2, "H", 20), (4, "I", 2**32), (8, "I", 2**32)))
            value = pick(rng, (0, 1, 2, 3, 4, 5, 8, 16, 32_773, 65_535, most - 1, int(rng.integers(most))))
            struct.pack_into(f"{order}{kind}", whole, at + field, min(value, most - 1))
    return bytes(whole)


Damage = Callable[[Generator, bytes], bytes]

BY_NAME: dict[str, Damage] = {
    ".json": damage_json,
    ".geojson": damage_json,
    ".jsonl": damage_lines,
    ".csv": damage_text,
    ".toml": damage_text,
    ".vrt": damage_xml,
    ".prj": damage_text,
    ".cpg": damage_text,
}
"""How files are damaged by their extension; others as bytes."""


def damage_file(rng: Generator, path: Path) -> None:
    """Damage a file as its extension suggests, or as bytes."""
    if path.suffix == ".gpkg" and rng.random() < 0.6:
        damage_sqlite(rng, path)
        return
    damage = BY_NAME.get(path.suffix, damage_bytes)
    if path.suffix in (".tif", ".tiff") and rng.random() < 0.6:
        damage = damage_tiff
    path.write_bytes(damage(rng, path.read_bytes()))
