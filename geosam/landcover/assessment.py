"""The accuracy of a map on disk, from a file of labelled places."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd

from geosam.errors import LandcoverError
from geosam.landcover.accuracy import Accuracy, accuracy
from geosam.landcover.points import class_areas, classes_at
from geosam.landcover.samples import SAMPLES, class_text
from geosam.vectors import read_vector


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
    """

    column: str = "class"
    reference: str = "reference"
    strata: Any = None
    strata_column: str = "class"
    design: str = "stratified"
    confidence: float = 0.95
    kappa: bool = False


def assess(
    mapped: gpd.GeoDataFrame, reference: Any, options: AssessOptions | None = None
) -> tuple[Accuracy, tuple[str, ...]]:
    """Compare a map with labelled places.

    Parameters
    ----------
    mapped
        Polygons with classes.
    reference
        Points with their true class: a file or a GeoDataFrame, in any CRS. Those without a class are left out.
    options
        See `AssessOptions`.

    Returns
    -------
    The accuracy, areas in hectares; and what was left out, one sentence each.

    Raises
    ------
    LandcoverError
        If columns are missing, or no place lies on the map.
    """
    options = options or AssessOptions()
    points = read_vector(reference, purpose=SAMPLES)
    if options.reference not in points.columns:
        names = ", ".join(str(name) for name in points.columns if name != points.geometry.name)
        raise LandcoverError(
            f"places without a column {options.reference!r}", expected=f"one of {names}", hint="--reference names it"
        )
    areas = class_areas(mapped, options.column)
    labels = points[options.reference]
    said = labels.notna() & (labels.astype(str).str.strip() != "") & points.geometry.notna()
    found = classes_at(mapped, points, options.column)
    strata, strata_areas = None, None
    used = said & found.notna()
    if options.strata is not None:
        former = read_vector(options.strata, purpose=SAMPLES)
        strata_areas = class_areas(former, options.strata_column)
        strata = classes_at(former, points, options.strata_column)
        used &= strata.notna()
    if not used.any():
        raise LandcoverError("places that are not labelled, or lie off the map", expected="labelled places on the map")
    notes = [f"{int((~said).sum())} places are not labelled and left out"] if not said.all() else []
    off = int((said & ~used).sum())
    notes += [f"{off} labelled places lie off the map and are left out"] if off else []
    result = accuracy(
        found[used].tolist(),
        [class_text(one) for one in labels[used]],
        areas,
        strata=None if strata is None else strata[used].tolist(),
        strata_areas=strata_areas,
        design=options.design,
        confidence=options.confidence,
        kappa=options.kappa,
    )
    return result, tuple(notes)
