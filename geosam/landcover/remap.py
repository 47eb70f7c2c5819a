"""From one legend to another: which class of the one is which class of the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Integer

from geosam.errors import LandcoverError
from geosam.landcover.legend import Legend, concepts, read_rows

_NEXT = {
    "mangrove": ("wetland", "tree"),
    "moss": ("grass", "rangeland"),
    "shrub": ("rangeland", "grass"),
    "grass": ("rangeland", "shrub"),
    "rangeland": ("grass", "shrub"),
    "wetland": ("grass", "rangeland"),
}
"""What comes closest where a legend has no such class, in order. Clouds have no class but in a legend with clouds."""


@dataclass(frozen=True)
class Remap:
    """A table from the codes of one legend to those of another.

    Attributes
    ----------
    source, target
        The two legends.
    codes
        Code of the source → code of the target; what is not in it becomes *no data* of the target.

    Raises
    ------
    LandcoverError
        If a code is not of its legend.

    Examples
    --------
    >>> remap = Remap.between("worldcover", "dynamicworld")
    >>> remap.apply(np.array([[10, 80, 0]])).tolist()
    [[1, 0, 255]]
    """

    source: Legend
    target: Legend
    codes: Mapping[int, int]

    def __post_init__(self) -> None:
        for legend, given in ((self.source, self.codes), (self.target, self.codes.values())):
            odd = next((code for code in given if code not in legend.codes), None)
            if odd is not None:
                raise LandcoverError(
                    f"code {odd} in a table to remap", expected=f"a code of {legend.name or 'its legend'}"
                )

    def apply(self, codes: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
        """Codes of the source as codes of the target, ``uint16``."""
        table = np.full(2**16, self.target.nodata, np.uint16)
        for one, other in self.codes.items():
            table[one] = other
        inside = (codes >= 0) & (codes < 2**16)
        return np.where(inside, table[np.where(inside, codes, 0)], np.uint16(self.target.nodata)).astype(np.uint16)

    def table(self) -> pd.DataFrame:
        """The table to look at: ``from, from_name, to, to_name``; *to* is missing where there is nothing like it."""
        rows = []
        for code, name in zip(self.source.codes, self.source.names, strict=True):
            other = self.codes.get(code)
            label = None if other is None else self.target.names[self.target.codes.index(other)]
            rows.append((code, name, other, label))
        return pd.DataFrame(rows, columns=["from", "from_name", "to", "to_name"]).astype({"to": "Int64"})

    @classmethod
    def between(cls, source: str, target: str) -> "Remap":
        """The table between two known legends: each class to the one that means the same, else to what comes closest.

        Raises
        ------
        LandcoverError
            If one is none of `LEGENDS`.
        """
        one, other = Legend.named(source), Legend.named(target)
        mains = {
            row["concept"]: int(row["code"]) for row in concepts() if row["legend"] == other.name and row["main"] == "1"
        }
        codes = {}
        for row in concepts():
            if row["legend"] != one.name:
                continue
            meanings = (row["concept"], *_NEXT.get(row["concept"], ()))
            found = next((mains[meaning] for meaning in meanings if meaning in mains), None)
            if found is not None:
                codes[int(row["code"])] = found
        same = codes if one.name != other.name else {code: code for code in one.codes}
        return cls(one, other, same)

    @classmethod
    def from_csv(cls, path: str | PathLike[str], source: Legend, target: Legend) -> "Remap":
        """Your own table: columns ``from`` and ``to``, codes or names of classes; rows without *to* are left out.

        Raises
        ------
        LandcoverError
            If it cannot be read, or a class is not of its legend.
        """
        try:
            table = read_rows(Path(path), "a table of classes")
        except OSError as error:
            raise LandcoverError(f"{fspath(path)!r} cannot be read ({error})", expected="a .csv file") from None
        if not len(table) or not {"from", "to"} <= set(table):
            raise LandcoverError(f"{fspath(path)!r}", expected="a table with columns from and to")
        given = [(one, other) for one, other in zip(table["from"], table["to"], strict=True) if one and other]
        return cls(source, target, {source.code(one): target.code(other) for one, other in given})
