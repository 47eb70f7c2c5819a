"""Tables with places in their columns → features: outlines as text first, else coordinates."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.vectors.geometry import geometries_from_text, is_geometry
from geosam.vectors.purpose import Purpose
from geosam.vectors.text import numbers

log = logging.getLogger(__name__)

LONLAT = "EPSG:4326"

OUTLINE_COLUMNS = ("geometry", "geom", "the_geom", "wkt", "wkb_geometry", "shape", ".geo", "geojson")
"""Names that say which of several columns with outlines is meant, the first that is there."""

COORDINATE_COLUMNS = (
    ("lon", "lat", LONLAT),
    ("longitude", "latitude", LONLAT),
    ("lng", "lat", LONLAT),
    ("long", "lat", LONLAT),
    ("x", "y", None),
    ("easting", "northing", None),
)
"""Columns of a table that hold coordinates, and their CRS (None: the scene's)."""


@dataclass(frozen=True, eq=False)
class Places:
    """What some columns say of where the rows are.

    Attributes
    ----------
    columns
        Their names.
    geometries
        Object array of n geometries or None.
    reasons
        Why some rows have none.
    crs
        Their CRS, None if nothing says it.
    """

    columns: tuple[Any, ...]
    geometries: np.ndarray
    reasons: Mapping[int, str]
    crs: str | None


def table_to_features(table: pd.DataFrame, where: str, purpose: Purpose) -> tuple[gpd.GeoDataFrame, Mapping[int, str]]:
    """Features out of a table, and why some rows have no geometry.

    Parameters
    ----------
    table
        Columns of text, or of any type.
    where
        What the table is called.
    purpose
        What it is read for.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if no column or several say where the rows are, and they do not agree.
    """
    outlines, points = _outlines(table, where, purpose), _points(table)
    found = outlines or points
    if found is None:
        raise purpose.error(
            f"{where!r} with columns {', '.join(map(str, table.columns))}",
            expected="outlines as WKT in a column, columns x and y, or lon and lat",
        )
    crs = found.crs
    if outlines and points and crs is None:
        crs = _crs_of_points(outlines, points, where, purpose)
    own = table.drop(columns=list(found.columns))
    frame = gpd.GeoDataFrame(own, geometry=gpd.GeoSeries(found.geometries, index=table.index, crs=crs))
    return frame, found.reasons


def _outlines(table: pd.DataFrame, where: str, purpose: Purpose) -> Places | None:
    """The column whose text is the richest geometry."""
    columns = {name: column for name, column in table.items() if _holds_outlines(column)}
    found = [_parsed(column, name, where, purpose) for name, column in columns.items()]
    if not found:
        return None
    richness = [int(shapely.get_dimensions(places.geometries).max(initial=-1)) for places in found]
    found = [places for places, rich in zip(found, richness, strict=True) if rich == max(richness)]
    named = [one for name in OUTLINE_COLUMNS for one in found if str(one.columns[0]).lower() == name]
    chosen = (named or found)[0]
    if not all(shapely.equals(one.geometries, chosen.geometries).all() for one in found if one is not chosen):
        raise purpose.error(
            f"{where!r} with different outlines in columns {', '.join(str(one.columns[0]) for one in found)}",
            expected="one column of outlines",
            hint="leave the others out of the table",
        )
    return chosen


def _holds_outlines(column: pd.Series) -> bool:
    given = column.dropna()
    return len(given) > 0 and is_geometry(given.iloc[0])


def _parsed(column: pd.Series, name: Any, where: str, purpose: Purpose) -> Places:
    """A column of outlines."""
    given = [one if isinstance(one, str | bytes) else None for one in column]
    geometries, reasons, srids = geometries_from_text(given)
    if len(srids) > 1:
        raise purpose.error(
            f"{where!r} with the SRIDs {', '.join(map(str, sorted(srids)))} in column {name}",
            expected="one for all rows",
        )
    crs = f"EPSG:{srids.pop()}" if srids else None
    if crs is None and any(isinstance(one, str) and one.lstrip().startswith("{") for one in given):
        crs = LONLAT if _in_degrees(geometries) else None  # as GeoJSON has it
    return Places((name,), geometries, reasons, crs)


def _points(table: pd.DataFrame) -> Places | None:
    """The columns with coordinates."""
    names = {str(name).strip().lower(): name for name in reversed(table.columns)}
    for x, y, crs in COORDINATE_COLUMNS:
        if x in names and y in names:
            columns = (names[x], names[y])
            given = [table[name].tolist() for name in columns]
            return Places(columns, *_pointed(*given), crs)
    return None


def _pointed(x: Sequence[Any], y: Sequence[Any]) -> tuple[np.ndarray, dict[int, str]]:
    xy = np.array([numbers(x), numbers(y)], float).reshape(2, -1).T
    there = np.isfinite(xy).all(axis=1)
    shapes = np.full(len(xy), None, object)
    shapes[there] = shapely.points(xy[there])
    return shapes, {
        int(row): f"its coordinates {x[row]!r}, {y[row]!r} are no numbers" for row in np.flatnonzero(~there)
    }


def _crs_of_points(outlines: Places, points: Places, where: str, purpose: Purpose) -> str | None:
    """The CRS of the points beside outlines, if they lie where the outlines are.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if both are in degrees and lie apart.
    """
    x0, y0, x1, y1 = shapely.bounds(outlines.geometries).T
    x, y = shapely.bounds(points.geometries).T[:2]
    pad = np.hypot(x1 - x0, y1 - y0) / 2 + 1e-9
    known = np.isfinite(x0) & np.isfinite(x)
    near = known & (x0 - pad <= x) & (x <= x1 + pad) & (y0 - pad <= y) & (y <= y1 + pad)
    if 2 * near.sum() >= known.sum() and known.any():
        return points.crs
    if points.crs == LONLAT and not _in_degrees(outlines.geometries):
        return None
    raise purpose.error(
        f"{where!r} with outlines in column {outlines.columns[0]} and points in columns "
        f"{' and '.join(map(str, points.columns))} that lie elsewhere",
        expected="one place for each row",
        hint="leave one of them out of the table, or put the outlines' SRID before them, as in SRID=32633;POLYGON (…)",
    )


def _in_degrees(geometries: np.ndarray) -> bool:
    x0, y0, x1, y1 = shapely.total_bounds(geometries[~shapely.is_missing(geometries)])
    return bool(x0 >= -360 and x1 <= 360 and y0 >= -90 and y1 <= 90)
