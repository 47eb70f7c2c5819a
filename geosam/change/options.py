"""What a comparison is asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from os import PathLike
from typing import Any

from geosam.change.damage import FATES, GRADES, OrdinalModel, default_fates, default_grades
from geosam.change.extents import MMU_M2
from geosam.change.indices import METHODS, check_bands
from geosam.errors import OptionError

OUTLINES = "outlines"
"""Method of extents that are decoded from prompts."""

WORD = "word"
"""Method of extents that a word names on both dates."""


SAMPLES = "samples"
"""Method of extents of what is like samples on the event, and not like others."""

ALL_METHODS = (*METHODS, OUTLINES, SAMPLES, WORD)


@dataclass(frozen=True)
class ExtentOptions:
    """How the extent of an event is found.

    Attributes
    ----------
    method
        One of `geosam.change.extents.METHODS` for indices, "outlines" for prompts on the date after, "samples" for
        places of known class on it, or "word".
    event
        Its name, for outlines: flood, landslide, burn or whatever it is; of samples the class that shows it.
    prompts
        Points, boxes or polygons on the event after, or samples of it and of other ground: a vector file, a
        GeoDataFrame or geometries.
    before
        Polygons of the same before the event, or of permanent water: taken off.
    bands
        Colour → place among the scenes' chosen bands, from 0, for indices.
    mmu_m2
        Minimum mapping unit in m².
    word
        What shows the event, as ``"water"`` or ``"landslide"``: what it names after, less what it names before.
    grow
        Whether outlines grow to all changed ground that looks like them, see `geosam.change.growing`. None: those of
        points do; a box or a polygon says by itself how far its object reaches.
    label
        Column of samples with their class.

    Raises
    ------
    OptionError
        If a value is out of its range, or outlines are asked for without prompts.
    """

    method: str = OUTLINES
    event: str = "flood"
    prompts: Any = None
    before: Any = None
    bands: Mapping[str, int] | None = None
    mmu_m2: float | int = MMU_M2
    grow: bool | None = None
    word: str | None = None
    label: str = "class"

    def __post_init__(self) -> None:
        if self.method not in ALL_METHODS:
            raise OptionError(f"extent method {self.method!r}", expected=", ".join(ALL_METHODS))
        if (self.word is None) == (self.method == WORD):
            raise OptionError(
                f"extent by {self.method} {'without' if self.word is None else 'with'} a word",
                expected="a word for method 'word', and none for others",
            )
        if (self.prompts is None) == (self.method in (OUTLINES, SAMPLES)):
            raise OptionError(
                f"extent by {self.method} {'without' if self.prompts is None else 'with'} prompts",
                expected="prompts for outlines and samples, and none for an index",
            )
        if not (math.isfinite(self.mmu_m2) and self.mmu_m2 >= 0):
            raise OptionError(f"mmu_m2={self.mmu_m2}", expected="an area in m², 0 or more")
        check_bands(self.method, self.bands or {})

    @property
    def files(self) -> tuple[Any, ...]:
        """The files that are read."""
        return _paths(self.prompts, self.before)


@dataclass(frozen=True)
class CompareOptions:
    """How two dates are compared; every field has a default that suits buildings.

    Attributes
    ----------
    resolution_m
        Metres per pixel of the common grid; None: the coarser of both scenes.
    correct
        Whether the estimated shift between the dates is taken out; it is estimated and told in any case.
    decode
        Whether each object's outline is decoded on both dates; without, footprints are taken as they are.
    find_new
        Whether objects that stand only on the date after are looked for, by what the known ones look like.
    layer, id_column, prompts_crs
        Of the known objects, see `geosam.change.read_objects`.
    masks_before, masks_after
        Clouds and whatever else hides the ground: rasters or polygons of each date.
    grades, fates
        Models of damage and of what became of objects, or the files that hold them; None: the package's.
    extent
        What extent of an event is asked for; None for none.
    units, units_crs
        Units of the summary: polygons, the side of a grid's cells in CRS units, or None for one.
    date_before, date_after
        When the scenes were taken, ISO 8601 (also a month or a year alone), for the table of sources; "" for unknown.

    Raises
    ------
    OptionError
        If a value is out of its range.
    """

    resolution_m: float | int | None = None
    correct: bool = True
    decode: bool = True
    find_new: bool = True
    layer: str | int | None = None
    id_column: str | None = None
    prompts_crs: Any = None
    masks_before: tuple[Any, ...] = ()
    masks_after: tuple[Any, ...] = ()
    grades: OrdinalModel | str | PathLike[str] | None = None
    fates: OrdinalModel | str | PathLike[str] | None = None
    extent: ExtentOptions | None = None
    units: Any = None
    units_crs: Any = None
    date_before: str = ""
    date_after: str = ""

    def __post_init__(self) -> None:
        size = self.resolution_m
        if size is not None and not (isinstance(size, int | float) and math.isfinite(size) and size > 0):
            raise OptionError(f"resolution_m={size!r}", expected="metres per pixel, above 0")
        for name in ("masks_before", "masks_after"):
            if not isinstance(getattr(self, name), tuple):
                raise OptionError(f"{name}={getattr(self, name)!r}", expected="a tuple of masks")
        days = [_day(name, getattr(self, name)) for name in ("date_before", "date_after")]
        if all(days) and days[0] > days[1][: len(days[0])]:
            raise OptionError(
                f"date_before={self.date_before!r} and date_after={self.date_after!r}",
                expected="an earlier scene and a later one",
                hint="exchange the scenes, or the dates",
            )

    @property
    def files(self) -> tuple[Any, ...]:
        """The files that are read, beside the scenes and the objects."""
        own = _paths(*self.masks_before, *self.masks_after, self.grades, self.fates, self.units)
        return own + (self.extent.files if self.extent else ())

    def grade_model(self) -> OrdinalModel:
        """The model of damage that is asked for.

        Raises
        ------
        ModelError
            If its file holds none.
        OptionError
            If it has other levels.
        """
        return _model(self.grades, default_grades, GRADES)

    def fate_model(self) -> OrdinalModel:
        """The model of what became of objects that is asked for; raises as `grade_model`."""
        return _model(self.fates, default_fates, FATES)


def with_changes(options: CompareOptions, changes: dict[str, Any]) -> CompareOptions:
    """The options with some fields given by their names.

    Raises
    ------
    OptionError
        If there is no such field.
    """
    unknown = sorted(set(changes) - {each.name for each in fields(CompareOptions)})
    if unknown:
        names = ", ".join(each.name for each in fields(CompareOptions))
        raise OptionError(f"option {unknown[0]!r}", expected=f"one of {names}")
    return replace(options, **changes)


def _model(given: Any, default: Any, levels: tuple[str, ...]) -> OrdinalModel:
    model = default() if given is None else given if isinstance(given, OrdinalModel) else OrdinalModel.read(given)
    if model.levels != levels:
        raise OptionError(f"a model of {', '.join(model.levels)}", expected=f"one of {', '.join(levels)}")
    return model


def _paths(*sources: Any) -> tuple[Any, ...]:
    return tuple(one for one in sources if isinstance(one, str | PathLike))


def _day(name: str, text: str) -> str:
    """The day of a moment as text that sorts: as much of it as is told."""
    try:
        padded = text + "0001-01-01"[len(text) :] if len(text) in (4, 7) else text
        return datetime.fromisoformat(padded).date().isoformat()[: min(len(text), 10)] if text else ""
    except ValueError:
        raise OptionError(f"{name}={text!r}", expected="a day or moment in ISO 8601, as 2024-06-30") from None
