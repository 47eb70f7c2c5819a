"""How right a map is, and how much ground each class has: from places whose true class somebody looked up.

The places are a probability sample (`geosam.landcover.sample_design` draws one). Numbers of pixels on the map are no
estimate of areas: a map that is 95 % right may have a rare class twice too large. The sample corrects them, and says
how far they can be trusted (Olofsson et al. 2013, *Remote Sensing of Environment* 129:122–131; 2014, 148:42–57).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from geosam.errors import LandcoverError
from geosam.landcover.estimates import Estimate, Sample

NOTE = (
    "Every number is weighted by area: a place stands for the part of the map that it was drawn from. "
    "Overall accuracy is therefore not the diagonal of the matrix of counts divided by its total."
)
"""What a reader of a report must know."""

STANDS_FOR = ("value", "se", "low", "high")


@dataclass(frozen=True, eq=False)
class Accuracy:
    """The accuracy of a map, and the areas of its classes, with confidence intervals.

    Attributes
    ----------
    counts
        Matrix of numbers of places: rows are the map's classes, columns the true ones.
    shares
        The same as estimated shares of the whole area; they sum to 1.
    overall
        Overall accuracy.
    classes
        A row for each class with its number of places (``n_map``, ``n_reference``), ``users``, ``producers``, ``f1``,
        ``mapped_area`` (what the map says) and ``area`` (what the sample says). Those with ``_se``, ``_low``,
        ``_high`` beside them are estimates; areas are in the unit in which they were given.
    unit
        That unit.
    confidence
        Share of samples whose intervals hold the truth.
    design
        How the places were drawn.
    kappa
        Cohen's kappa, if it was asked for. It mixes accuracy with chance agreement that nobody is interested in
        (Pontius and Millones 2011, *International Journal of Remote Sensing* 32:4407–4429).
    """

    counts: pd.DataFrame
    shares: pd.DataFrame
    overall: Estimate
    classes: pd.DataFrame
    unit: str = "ha"
    confidence: float = 0.95
    design: str = "stratified"
    kappa: float | None = None

    def table(self) -> pd.DataFrame:
        """A short table for people: percentages, areas and half widths of intervals, a row for each class."""
        out = pd.DataFrame(index=self.classes.index)
        out["places"] = self.classes["n_map"]
        for name in ("users", "producers"):
            out[f"{name} %"] = (100 * self.classes[name]).round(1)
            out[f"± {name}"] = (100 * self._half(name)).round(1)
        out[f"mapped {self.unit}"] = self.classes["mapped_area"].round(2)
        out[f"area {self.unit}"] = self.classes["area"].round(2)
        out[f"± {self.unit}"] = self._half("area").round(2)
        return out

    def _half(self, name: str) -> pd.Series:
        """So many standard errors; where all places agree, which is no certainty, half of Wilson's interval."""
        z = Sample(np.zeros(2, int), np.ones(1), "simple", self.confidence).z
        low, high, se = (self.classes[f"{name}_{part}"].to_numpy() for part in ("low", "high", "se"))
        half = np.where(se > 1e-12 * high, z * se, (high - low) / 2)
        return pd.Series(half, index=self.classes.index)


def accuracy(
    mapped: Sequence[Hashable] | np.ndarray,
    reference: Sequence[Hashable] | np.ndarray,
    areas: Mapping[Any, float | int],
    *,
    strata: Sequence[Hashable] | np.ndarray | None = None,
    strata_areas: Mapping[Any, float | int] | None = None,
    design: str = "stratified",
    confidence: float = 0.95,
    unit: str = "ha",
    kappa: bool = False,
) -> Accuracy:
    """Estimate the accuracy of a map and the areas of its classes.

    Parameters
    ----------
    mapped, reference
        Class of each sampled place on the map, and in truth.
    areas
        Area of each class on the map, in any unit; classes without area on the map may be left out.
    strata, strata_areas
        Stratum of each place, and the strata's areas, where the sample was drawn from other strata than the map's
        classes, such as those of a former map (Stehman 2014).
    design
        ``"stratified"``: so many places in each stratum. ``"simple"``: places anywhere on the map.
        ``"poststratified"``: the same, but the strata's areas are used, which narrows the intervals; that the numbers
        of places in the strata are chance is accounted for.
    confidence
        Of the intervals.
    unit
        Name of the areas' unit.
    kappa
        Whether Cohen's kappa is to be computed as well.

    Returns
    -------
    Accuracy
        Numbers that are weighted by area.

    Raises
    ------
    LandcoverError
        If the places do not fit together, a class or stratum has no area, or a stratum fewer than two places.

    Notes
    -----
    An interval is the value ± z standard errors. Where all places of a class agree, the standard error is 0; the
    interval is Wilson's then.

    Examples
    --------
    >>> found = accuracy(list("aaaabbbb"), list("aaabbbbb"), {"a": 40, "b": 60})
    >>> round(found.overall.value, 3), found.classes.area.round(1).to_dict()
    (0.9, {'a': 30.0, 'b': 70.0})
    """
    mapped, reference = list(mapped), list(reference)
    if len(mapped) != len(reference) or not mapped:
        given = f"{len(mapped)} classes of the map and {len(reference)} of the reference"
        raise LandcoverError(given, expected="both for each sampled place")
    names = _in_order(areas, mapped, reference)
    if (strata is None) != (strata_areas is None):
        raise LandcoverError("strata or strata_areas alone", expected="both, or none of them")
    own = mapped if strata is None else list(strata)
    if len(own) != len(mapped):
        raise LandcoverError(f"{len(own)} strata of {len(mapped)} places", expected="one for each")
    sample = _sample(own, strata_areas or areas, design, confidence)
    at = {name: place for place, name in enumerate(names)}
    rows, columns = (np.array([at[name] for name in given]) for given in (mapped, reference))
    mapped_areas = np.array([float(areas.get(name, 0.0)) for name in names])
    return _estimated(rows, columns, sample, names, mapped_areas, unit=unit, kappa=kappa)


def accuracy_of_matrix(
    counts: Any, areas: Sequence[float | int] | np.ndarray, *, names: Sequence[Hashable] | None = None, **options: Any
) -> Accuracy:
    """The same from a matrix of counts, rows the map's classes and columns the true ones, and the classes' areas.

    Raises
    ------
    LandcoverError
        As for `accuracy`, or if the matrix is not square with whole numbers.

    Examples
    --------
    >>> found = accuracy_of_matrix([[97, 0, 3], [3, 279, 18], [2, 1, 97]], [22353, 1122543, 610228])
    >>> found.classes.area.round().tolist()
    [45112.0, 1050067.0, 659944.0]
    """
    matrix = np.asarray(counts)
    size = len(matrix)
    whole = matrix.ndim == 2 and matrix.shape == (size, size) == (len(areas), len(areas))
    if not whole or (matrix < 0).any() or not np.equal(np.mod(matrix, 1), 0).all():
        raise LandcoverError(
            f"a matrix of {matrix.shape} for {len(areas)} areas", expected="counts, square, a row for each class"
        )
    labels = list(range(1, size + 1)) if names is None else list(names)
    rows, columns = np.indices(matrix.shape)
    each = matrix.astype(int).ravel()
    mapped, reference = (np.repeat(place.ravel(), each) for place in (rows, columns))
    given = dict(zip(labels, map(float, areas), strict=True))
    return accuracy([labels[k] for k in mapped], [labels[k] for k in reference], given, **options)


def _in_order(areas: Mapping[Any, float | int], *given: list[Any]) -> list[Any]:
    """The classes: those of the map in its order, then those that only the places have."""
    names = list(areas)
    for name in sorted({*given[0], *given[1]}, key=str):
        if pd.isna(name):
            raise LandcoverError(
                "a place without a class", expected="a class for each place", hint="label it, or leave it out"
            )
        if name not in areas:
            names.append(name)
    return names


def _sample(strata: list[Any], areas: Mapping[Any, float | int], design: str, confidence: float) -> Sample:
    absent = next((name for name in strata if name not in areas), None)
    if absent is not None:
        raise LandcoverError(
            f"places in {absent!r}, whose area is not given", expected=f"areas of {', '.join(map(str, areas))}"
        )
    if design == "simple":
        return Sample(np.zeros(len(strata), int), np.array([float(sum(areas.values()))]), design, confidence)
    kept = [name for name, area in areas.items() if area or name in strata]
    at = {name: place for place, name in enumerate(kept)}
    bare = next((name for name in kept if not (design == "poststratified" or name in strata)), None)
    if bare is not None:
        raise LandcoverError(
            f"no places in {bare!r}",
            expected="at least 2 in each stratum",
            hint="label some there; its part of the map has an unknown truth",
        )
    numbers = np.array([at[name] for name in strata])
    return Sample(numbers, np.array([float(areas[name]) for name in kept]), design, confidence)


def _estimated(
    rows: np.ndarray,
    columns: np.ndarray,
    sample: Sample,
    names: list[Any],
    mapped_areas: np.ndarray,
    *,
    unit: str,
    kappa: bool,
) -> Accuracy:
    size = len(names)
    whole = float(sample.sizes.sum())
    counts = np.zeros((size, size), int)
    np.add.at(counts, (rows, columns), 1)
    weights = (sample.sizes / np.maximum(sample.counts, 1))[sample.stratum] / whole
    shares = np.zeros((size, size))
    np.add.at(shares, (rows, columns), weights)
    table: dict[str, list[float]] = {}
    for k in range(size):
        right = (rows == k) & (columns == k)
        _append(table, "users", sample.ratio(right, rows == k))
        _append(table, "producers", sample.ratio(right, columns == k))
        _append(table, "area", sample.share(columns == k), whole)
    frame = pd.DataFrame(table, index=pd.Index(names, name="class"))
    frame.insert(0, "n_map", counts.sum(axis=1))
    frame.insert(1, "n_reference", counts.sum(axis=0))
    frame.insert(2, "f1", 2 * np.diag(shares) / np.maximum(shares.sum(axis=0) + shares.sum(axis=1), 1e-300))
    frame.insert(3, "mapped_area", mapped_areas)
    labels = pd.Index(names, name="map"), pd.Index(names, name="reference")
    return Accuracy(
        pd.DataFrame(counts, *labels),
        pd.DataFrame(shares, *labels),
        sample.share(rows == columns),
        frame,
        unit,
        sample.confidence,
        sample.design,
        _kappa(shares) if kappa else None,
    )


def _append(table: dict[str, list[float]], name: str, estimate: Estimate, scale: float = 1.0) -> None:
    for part in STANDS_FOR:
        table.setdefault(name if part == "value" else f"{name}_{part}", []).append(scale * getattr(estimate, part))


def _kappa(shares: np.ndarray) -> float:
    chance = float(shares.sum(axis=0) @ shares.sum(axis=1))
    return float((np.trace(shares) - chance) / (1 - chance)) if chance < 1 else float("nan")
