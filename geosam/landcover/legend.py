"""A legend: which classes there are, by code, name and colour; those that everybody knows, by name.

==================  ============================================================================================
name                whose classes
==================  ============================================================================================
``worldcover``      ESA WorldCover, 10 m, 11 classes
``dynamicworld``    Google Dynamic World, 10 m, 9 classes; 0 is water, and not *no data*
``esri``            Esri land cover, 10 m, 9 classes
``nlcd``            US National Land Cover Database, 20 classes
``corine``          Copernicus CORINE Land Cover, level 3, 44 classes
==================  ============================================================================================
"""

import colorsys
import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from os import PathLike, fspath
from pathlib import Path

import pandas as pd

from geosam.errors import LandcoverError
from geosam.landcover.qml import classes_of
from geosam.paths import check_regular
from geosam.vectors import Purpose
from geosam.vectors.text import read_text

LEGENDS = ("worldcover", "dynamicworld", "esri", "nlcd", "corine")
"""Legends that are known by name."""

UNKNOWN = "unknown"
"""The class of what no class is likely enough for; no legend has a class of this name."""

UNKNOWN_COLOUR = "#9e9e9e"

_ALIASES = {"esaworldcover": "worldcover", "dw": "dynamicworld", "clc": "corine", "corinelandcover": "corine"}
_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")
_TURN = 0.618033988749895  # the golden ratio's fraction of the colour circle keeps neighbours in a list far apart
_LARGEST = 2**16 - 2


@dataclass(frozen=True)
class Legend:
    """Classes of a map.

    Attributes
    ----------
    codes
        A whole number for each class, 0 to 65,534, which is its pixel value.
    names
        Its name.
    colours
        Its colour, ``#rrggbb``.
    name
        What the legend is called.

    Raises
    ------
    LandcoverError
        If two classes have one code or one name, a name is empty or *unknown*, or a colour is none.

    Examples
    --------
    >>> Legend((1, 2), ("water", "land"), ("#0064c8", "#ffff4c")).code("land")
    2
    """

    codes: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        what = f"legend {self.name!r}" if self.name else "a legend"
        if not self.codes or not len(self.codes) == len(self.names) == len(self.colours):
            given = f"{what} of {len(self.codes)} codes, {len(self.names)} names and {len(self.colours)} colours"
            raise LandcoverError(given, expected="one of each for at least one class")
        for kind, values in (("code", self.codes), ("name", tuple(map(plain, self.names)))):
            twice = next((value for n, value in enumerate(values) if value in values[:n]), None)
            if twice is not None:
                raise LandcoverError(f"{what} with the {kind} {twice!r} twice", expected=f"each {kind} once")
        odd = next((code for code in self.codes if not 0 <= code <= _LARGEST), None)
        if odd is not None:
            raise LandcoverError(f"{what} with the code {odd}", expected=f"whole numbers from 0 to {_LARGEST}")
        if any(plain(name) in ("", UNKNOWN) for name in self.names):
            raise LandcoverError(f"{what} with a class of no name, or named {UNKNOWN!r}", expected="names of classes")
        colour = next((colour for colour in self.colours if not re.fullmatch("#[0-9a-f]{6}", colour)), None)
        if colour is not None:
            raise LandcoverError(f"{what} with the colour {colour!r}", expected="six hex digits, as in '#0064c8'")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nodata(self) -> int:
        """A code for no data, which no class has: 0 if that is free, else 255, else the first free one."""
        free = (code for code in (0, 255, *range(1, _LARGEST + 1)) if code not in self.codes)
        return next(free)

    @property
    def unknown(self) -> int:
        """A code for *unknown*, which neither a class nor *no data* has."""
        free = (code for code in (255, 254, *range(1, _LARGEST + 1)) if code not in (*self.codes, self.nodata))
        return next(free)

    def position(self, given: object) -> int | None:
        """The place of a class in the legend, by its code or its name; None if it has no such class."""
        text = str(given).strip()
        names = [plain(name) for name in self.names]
        if plain(text) in names:
            return names.index(plain(text))
        number = _whole(text)
        return self.codes.index(number) if number is not None and number in self.codes else None

    def name_of(self, given: object) -> str | None:
        """The name of a class, given by code or name; None if the legend has no such class."""
        place = self.position(given)
        return None if place is None else self.names[place]

    def code(self, given: object) -> int:
        """The code of a class, given by code or name.

        Raises
        ------
        LandcoverError
            If the legend has no such class.
        """
        place = self.position(given)
        if place is None:
            raise LandcoverError(f"class {str(given)!r}", expected=f"one of {_listed(self)}")
        return self.codes[place]

    def colour(self, given: object) -> str:
        """The colour of a class, given by code or name; grey for *unknown* and for what the legend does not have."""
        place = self.position(given)
        return UNKNOWN_COLOUR if place is None else self.colours[place]

    def only(self, given: Iterable[object]) -> "Legend":
        """The part of the legend with some classes, in the legend's order."""
        wanted = {self.code(one) for one in given}
        rows = [row for row, code in enumerate(self.codes) if code in wanted]
        codes, names, colours = zip(
            *((self.codes[row], self.names[row], self.colours[row]) for row in rows), strict=True
        )
        return Legend(codes, names, colours, self.name)

    @classmethod
    def named(cls, name: str) -> "Legend":
        """One of the legends that everybody knows.

        Raises
        ------
        LandcoverError
            If it is none of `LEGENDS`.

        Examples
        --------
        >>> legend = Legend.named("WorldCover")
        >>> len(legend), legend.code("Built-up"), legend.nodata
        (11, 50, 0)
        >>> Legend.named("dynamic-world").nodata
        255
        """
        key = re.sub(r"[^a-z]", "", name.lower())
        found = known().get(_ALIASES.get(key, key))
        if found is None:
            hint = "or the path of a .csv or .qml file with your own"
            raise LandcoverError(f"legend {name!r}", expected=f"one of {', '.join(LEGENDS)}", hint=hint)
        return found

    @classmethod
    def of_names(cls, names: Iterable[object]) -> "Legend":
        """A legend of class names alone: sorted, numbered from 1, in colours that are easy to tell apart.

        Examples
        --------
        >>> legend = Legend.of_names(["water", "forest", "water"])
        >>> legend.names, legend.codes
        (('forest', 'water'), (1, 2))
        """
        sorted_names = tuple(sorted({str(name).strip() for name in names}))
        colours = tuple(_colour_for(name, row) for row, name in enumerate(sorted_names))
        return cls(tuple(range(1, len(sorted_names) + 1)), sorted_names, colours, "samples")

    @classmethod
    def of(cls, given: "Legend | str | PathLike[str]") -> "Legend":
        """A legend, one known by name, or the one in a file: ``.csv`` (columns code, name, colour) or QGIS's ``.qml``.

        Raises
        ------
        LandcoverError
            If there is no such legend or file, or the file holds none.
        """
        if isinstance(given, Legend):
            return given
        path = Path(given)
        suffix = path.suffix.lower()
        if suffix not in (".csv", ".qml"):
            return cls.named(fspath(given))
        check_regular(path, LandcoverError, "a legend, .csv or .qml")
        try:
            rows = _csv_rows(path) if suffix == ".csv" else classes_of(path.read_text(encoding="utf-8-sig"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise LandcoverError(f"legend {fspath(given)!r} cannot be read ({error})", expected="a text file") from None
        return from_rows(rows, path.name)


def from_rows(rows: Iterable[tuple[str, str, str]], name: str) -> Legend:
    """A legend of ``(code, name, colour)`` as text; a class without a colour gets one.

    Raises
    ------
    LandcoverError
        If a code is no whole number, or as for `Legend`.
    """
    codes, names, colours = [], [], []
    for row, (code, label, colour) in enumerate(rows):
        number, found = _whole(code), _COLOUR.fullmatch(colour.strip())
        if number is None:
            raise LandcoverError(f"{name} with the code {code!r}", expected="whole numbers as codes of classes")
        if colour.strip() and not found:
            raise LandcoverError(f"{name} with the colour {colour!r}", expected="six hex digits, as in '#0064c8'")
        codes.append(number)
        names.append(label.strip() or code.strip())
        colours.append("#" + found[1].lower() if found else _colour_for(label, row))
    return Legend(tuple(codes), tuple(names), tuple(colours), name)


@cache
def known() -> dict[str, Legend]:
    """The legends of the package's table, by name."""
    table = concepts()
    return {
        name: from_rows(((row["code"], row["name"], row["colour"]) for row in table if row["legend"] == name), name)
        for name in LEGENDS
    }


@cache
def concepts() -> tuple[dict[str, str], ...]:
    """The package's table: a row for each class of each legend, with what it means."""
    text = files("geosam.landcover").joinpath("legends.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _csv_rows(path: Path) -> list[tuple[str, str, str]]:
    table = read_rows(path, "a legend").rename(columns=lambda name: str(name).lower())
    if not {"code", "name"} <= set(table):
        raise LandcoverError(f"{path.name} with columns {', '.join(table)}", expected="code, name and perhaps colour")
    colour = next((name for name in ("colour", "color") if name in table), None)
    colours = [""] * len(table) if colour is None else table[colour]
    return list(zip(table["code"], table["name"], colours, strict=True))


def read_rows(path: Path, what: str) -> pd.DataFrame:
    """The text of a table with delimiters, ``""`` for empty cells.

    Raises
    ------
    LandcoverError
        If it is none, or a line has more values than columns.
    """
    table, reasons = read_text(path, Purpose.bare(LandcoverError, what))
    for row, reason in reasons.items():
        raise LandcoverError(f"row {row + 1} of {path.name}: {reason}", expected="a value for each column at most")
    return table.fillna("")


_FAMILIAR = (
    (("water", "river", "lake", "sea", "pool"), "#0064c8"),
    (("forest", "tree", "wood"), "#006400"),
    (("orchard", "shrub"), "#a0a814"),
    (("grass", "meadow", "pasture", "pitch"), "#9bd13c"),
    (("crop", "field", "farm"), "#f0c85a"),
    (("building", "built", "house", "roof", "urban"), "#dc2814"),
    (("road", "street", "parking", "pavement"), "#505050"),
    (("bare", "sand", "rock", "soil"), "#c8b496"),
    (("snow", "ice"), "#e6f0ff"),
    (("wetland", "marsh"), "#0096a0"),
)
"""Colours that people expect of some words, the first that a name contains."""


def _colour_for(name: str, row: int) -> str:
    """A familiar colour, else one that differs from those of the rows before."""
    words = plain(name)
    for spellings, colour in _FAMILIAR:
        if any(spelling in words for spelling in spellings):
            return colour
    rgb = colorsys.hls_to_rgb(row * _TURN % 1, 0.45 + 0.2 * (row % 2), 0.65)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def plain(name: str) -> str:
    """A class's name in small letters, with single blanks: what two spellings of it have in common."""
    return " ".join(str(name).lower().split())


def _whole(text: str) -> int | None:
    """The whole number that a text is, as in ``10`` or ``10.0``; None if it is none."""
    found = re.fullmatch(r"\s*(-?\d{1,9})(?:\.0*)?\s*", text)
    return int(found[1]) if found else None


def _listed(legend: Legend) -> str:
    shown = [f"{name} ({code})" for code, name in zip(legend.codes, legend.names, strict=True)]
    return ", ".join(shown[:12]) + (" …" if len(shown) > 12 else "")
