"""The accuracy of a map on disk, from a file of labelled places."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd

from geosam.errors import LandcoverError
from geosam.landcover.accuracy import Accuracy, accuracy
from geosam.landcover.legend import Legend, plain
from geosam.landcover.points import class_areas, classes_at, has_class
from geosam.landcover.samples import class_text
from geosam.vectors import Purpose, read_vector

PLACES = Purpose.bare(LandcoverError, "labelled places")


@dataclass(frozen=True)
class AssessOptions:
    """How a map is assessed.

    Attributes
    ----------
    column, reference
        Columns with the class: of the map, and of the places.
    strata, strata_column
        Polygons of the strata that the places were drawn from, and their column, where these are not the map's classes.
    design, confidence, kappa
        As for `geosam.landcover.accuracy`.
    legend
        What else classes may be called: the places' codes in it are its names.
    """

    column: str = "class"
    reference: str = "reference"
    strata: Any = None
    strata_column: str = "class"
    design: str = "stratified"
    confidence: float = 0.95
    kappa: bool = False
    legend: Legend | None = None


def assess(
    mapped: gpd.GeoDataFrame, reference: Any, options: AssessOptions | None = None
) -> tuple[Accuracy, tuple[str, ...]]:
    """Compare a map with labelled places.

    Parameters
    ----------
    mapped
        Polygons with classes.
    reference
        Points with their true class: a file or a GeoDataFrame, in any CRS; of lines and polygons a point within counts.
        Those without a class are left out. A class is the map's whose name it is, however that is capitalized, or whose
        code by the map's own column of codes (``class_code``) or by a legend; others are classes that the map does not
        have.
    options
        See `AssessOptions`.

    Returns
    -------
    The accuracy, areas in hectares; and what was left out or is no class of the map, one sentence each.

    Raises
    ------
    LandcoverError
        If columns are missing, no place lies on the map, or none is of a class that the map has.
    """
    options = options or AssessOptions()
    points = read_vector(reference, purpose=PLACES)
    if options.reference not in points.columns:
        names = ", ".join(str(name) for name in points.columns if name != points.geometry.name)
        raise LandcoverError(
            f"places without a column {options.reference!r}", expected=f"one of {names}", hint="--reference names it"
        )
    points = points.set_geometry(points.geometry.representative_point())
    areas = class_areas(mapped, options.column)
    labels = points[options.reference]
    said = has_class(labels) & points.geometry.notna()
    found = classes_at(mapped, points, options.column)
    strata, strata_areas = None, None
    used = said & found.notna()
    if options.strata is not None:
        former = read_vector(options.strata, purpose=PLACES)
        strata_areas = class_areas(former, options.strata_column)
        strata = classes_at(former, points, options.strata_column)
        used &= strata.notna()
    if not used.any():
        given = f"{len(points)} places that are not labelled in {options.reference!r}, or lie off the map"
        raise LandcoverError(given, expected="labelled places on the map, in a CRS that is theirs")
    codes = codes_of(mapped, options)
    true, strange = as_mapped([class_text(one) for one in labels[used]], areas, codes)
    if len(strange) == len({*true}):
        raise LandcoverError(
            f"places of class {_listed(strange)}",
            expected=f"classes of the map: {_listed(areas)}",
            hint="--column and --reference name the columns that hold them",
        )
    notes = [f"{int((~said).sum())} places are not labelled and left out"] if not said.all() else []
    off = int((said & ~used).sum())
    notes += [f"{off} labelled places lie off the map and are left out"] if off else []
    again = int(points.geometry[used].duplicated().sum())
    if again:
        notes.append(f"{again} places lie exactly on another: each counts, though it tells nothing new")
    notes += [f"{_listed(strange)}: no class of the map, so that such places are wrong there"] if strange else []
    result = accuracy(
        found[used].tolist(),
        true,
        areas,
        strata=None if strata is None else strata[used].tolist(),
        strata_areas=strata_areas,
        design=options.design,
        confidence=options.confidence,
        kappa=options.kappa,
    )
    return result, tuple(notes)


def codes_of(mapped: gpd.GeoDataFrame, options: AssessOptions) -> dict[str, str]:
    """Code → name of classes: those of a legend, and of the map's column of codes."""
    legend = options.legend
    found = {} if legend is None else dict(zip(map(str, legend.codes), legend.names, strict=True))
    own = f"{options.column}_code"
    if own in mapped:
        there = mapped.loc[has_class(mapped[options.column]) & has_class(mapped[own]), [own, options.column]]
        pairs = there.drop_duplicates().itertuples(index=False, name=None)
        found |= {class_text(code): class_text(name) for code, name in pairs}
    return found


def as_mapped(
    given: Iterable[str], classes: Iterable[str], codes: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Classes as the map spells them, and those that it does not have; codes are names where no class is called so.

    Examples
    --------
    >>> as_mapped(["Water", "wood", "bog", "7"], ["water", "Wood", "wood"], {"7": "water"})
    (['water', 'wood', 'bog', 'water'], ['bog'])
    """
    known = list(classes)
    spelled = {plain(name): name for name in reversed(known)} | {name: name for name in known}

    def spell(name: str) -> str:
        return spelled.get(name, spelled.get(plain(name), name))

    found = [same if (same := spell(name)) in spelled else spell((codes or {}).get(name, name)) for name in given]
    return found, sorted({name for name in found if name not in known})


def _listed(names: Iterable[str]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:8]) + (" …" if len(shown) > 8 else "")
