"""Samples: places whose class is known, and the segments that they lie in."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float64, Int64

from geosam.errors import LandcoverError
from geosam.landcover.legend import Legend, plain
from geosam.scene.reproject import parse_crs
from geosam.vectors import Purpose, read_vector

SAMPLES = Purpose(
    LandcoverError,
    "samples",
    layer="layer=... (command line: --samples-layer)",
    crs='crs="EPSG:..." (command line: --samples-crs)',
)

ENOUGH = 0.5
"""Share of a segment that a polygon must cover to name it, or share of the polygon that must lie in the segment."""

CLEAR = 2 / 3
"""Share of the votes that a segment's class needs; a segment with less holds several classes and teaches none."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Segments whose class is known.

    Attributes
    ----------
    rows
        Their positions in the table of segments, ascending.
    codes
        Their classes, as codes of the legend.
    xy
        Where they are: ``(x, y)`` in the segments' CRS.
    legend
        The classes.
    notes
        What was left out, one sentence each.
    """

    rows: Int64[np.ndarray, "n"]
    codes: Int64[np.ndarray, "n"]
    xy: Float64[np.ndarray, "n 2"]
    legend: Legend
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of segments of each class that has some, by name."""
        codes, numbers = np.unique(self.codes, return_counts=True)
        return {
            self.legend.names[self.legend.codes.index(code)]: int(n) for code, n in zip(codes, numbers, strict=True)
        }


def read_samples(
    source: Any, label: str, *, layer: str | int | None = None, crs: Any = None, into: Any = None
) -> gpd.GeoDataFrame:
    """Samples from a file or a table, in the CRS `into`; rows without a class or a geometry are left out.

    Raises
    ------
    LandcoverError
        If it cannot be read, has no such column, or no row with a class.
    OptionError
        If `crs` is none.
    """
    frame = read_vector(source, purpose=SAMPLES, layer=layer, needs_crs=crs is None)
    if label not in frame.columns:
        names = [str(name) for name in frame.columns if name != frame.geometry.name]
        hint = "name the column with the classes: label= (--label)"
        raise LandcoverError(f"samples without a column {label!r}", expected=f"one of {', '.join(names)}", hint=hint)
    if crs is not None or (frame.crs is None and into is not None):
        frame = frame.set_crs(into if crs is None else parse_crs(crs), allow_override=True)
    found = frame.loc[
        frame[label].notna() & frame.geometry.notna() & ~frame.geometry.is_empty, [label, frame.geometry.name]
    ]
    found = found.loc[found[label].astype(str).str.strip() != ""]
    if not len(found):
        raise LandcoverError(f"samples whose column {label!r} is empty", expected="at least one place with a class")
    if names := spellings(found[label]):
        raise LandcoverError(f"samples of {', '.join(map(repr, names))}", expected="one spelling of each class")
    return found if into is None or found.crs is None else found.to_crs(into)


def legend_of(labels: Any, legend: Legend | None) -> Legend:
    """The legend that samples use: the given one, else one of their own names or numbers.

    Raises
    ------
    LandcoverError
        If a sample's class is not in the legend that is given.
    """
    given = [class_text(one) for one in labels]
    if legend is not None:
        odd = sorted({text for text in given if legend.position(text) is None})
        if odd:
            shown = ", ".join(odd[:8]) + (" …" if len(odd) > 8 else "")
            names = ", ".join(legend.names[:12]) + (" …" if len(legend) > 12 else "")
            raise LandcoverError(f"samples of class {shown}", expected=f"names or codes of the legend: {names}")
        return legend
    own = Legend.of_names(given)
    if all(text.isdecimal() and int(text) < 65_535 for text in own.names):
        codes, colours = zip(*sorted(zip(map(int, own.names), own.colours, strict=True)), strict=True)
        return Legend(codes, tuple(map(str, codes)), colours, own.name)
    return own


def label_segments(
    segments: gpd.GeoDataFrame, samples: gpd.GeoDataFrame, label: str, legend: Legend | None = None
) -> Labelled:
    """Find out which segments the samples name.

    Parameters
    ----------
    segments
        Polygons.
    samples
        Points or polygons in the same CRS, as `read_samples` gives them. A point names the segment that it lies in; a
        polygon one of which it covers half, or that holds half of it.
    label
        Column with the class, by name or by code.
    legend
        The classes; None: those that occur.

    Raises
    ------
    LandcoverError
        If no segment is named, or a class is not in the legend.
    """
    known = legend_of(samples[label], legend)
    codes = np.array([known.code(class_text(one)) for one in samples[label]], np.int64)
    rows, votes_for = _named(np.asarray(segments.geometry.values, object), np.asarray(samples.geometry.values, object))
    if not len(rows):
        raise LandcoverError(
            "samples that lie in no segment",
            expected=f"places within {tuple(round(float(edge), 6) for edge in segments.total_bounds)}",
            hint="see whether their CRS is right: crs= (--samples-crs)",
        )
    notes = []
    lost = len(samples) - len(np.unique(votes_for))
    if lost:
        notes.append(f"{lost} of {len(samples)} samples lie in no segment")
    votes = pd.crosstab(rows, codes[votes_for]).sort_index()
    best, total = votes.to_numpy().argmax(axis=1), votes.to_numpy().sum(axis=1)
    clear = votes.to_numpy().max(axis=1) >= CLEAR * total - 1e-9
    if not clear.all():
        several = int((~clear).sum())
        told = (
            "1 segment holds samples of several classes and is"
            if several == 1
            else (f"{several} segments hold samples of several classes and are")
        )
        notes.append(f"{told} not learned from")
    if not clear.any():
        raise LandcoverError(
            "samples of several classes in every segment",
            expected="segments of one class",
            hint="make smaller segments",
        )
    chosen = votes.index.to_numpy(np.int64)[clear]
    inside = shapely.point_on_surface(np.asarray(segments.geometry.values, object)[chosen])
    return Labelled(
        chosen, votes.columns.to_numpy(np.int64)[best[clear]], shapely.get_coordinates(inside), known, tuple(notes)
    )


def _named(segments: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of segment and sample that names it; a point on a border names the first of the segments there."""
    tree = shapely.STRtree(segments)
    sample, segment = tree.query(samples, predicate="intersects")
    flat = shapely.get_dimensions(samples)[sample] == 2
    order = np.lexsort((segment[~flat], sample[~flat]))
    points, at = sample[~flat][order], segment[~flat][order]
    first = np.flatnonzero(np.diff(points, prepend=-1))
    shared = shapely.area(shapely.intersection(samples[sample[flat]], segments[segment[flat]]))
    least = np.minimum(shapely.area(samples[sample[flat]]), shapely.area(segments[segment[flat]]))
    names = shared >= ENOUGH * least
    return np.concatenate([at[first], segment[flat][names]]), np.concatenate([points[first], sample[flat][names]])


def spellings(labels: Iterable[Any]) -> list[str]:
    """Names of classes that differ from another in capitals or blanks alone, in alphabetical order.

    Examples
    --------
    >>> spellings(["Wood", "wood", "water", "wood ", None])
    ['Wood', 'wood']
    """
    names = pd.Series(sorted({class_text(one) for one in labels if not pd.isna(one)}), dtype=object)
    return names[names.map(plain).duplicated(keep=False)].tolist()


def class_text(one: Any) -> str:
    """A class as text; whole numbers without a point, as 10 of 10.0."""
    if isinstance(one, float | np.floating) and float(one).is_integer():
        return str(int(one))
    return str(one).strip()
