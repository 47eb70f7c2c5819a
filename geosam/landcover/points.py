"""Places to label, drawn from a map; and what the map says where places were labelled."""

import logging
from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.errors import LandcoverError
from geosam.landcover.outputs import HECTARE
from geosam.landcover.samples import class_text
from geosam.polygons.measure import measure

log = logging.getLogger(__name__)

MOST_PLACES = 1_000_000
"""More places than anybody labels; as many take seconds to draw."""

_MOST_ROUNDS = 10_000
_PLACES = 7  # decimals of longitude and latitude: a centimetre


def class_areas(mapped: gpd.GeoDataFrame, column: str = "class") -> dict[str, float]:
    """Area of each class of a map in hectares, on the ellipsoid; in squares of its units without a CRS.

    Polygons without a class are no part of the map, and it is said.

    Raises
    ------
    LandcoverError
        If the map has no such column, or no polygons.
    """
    if column not in mapped.columns:
        names = ", ".join(str(name) for name in mapped.columns if name != mapped.geometry.name)
        raise LandcoverError(f"a map without a column {column!r}", expected=f"one of {names}")
    shapes = np.asarray(mapped.geometry.values, object)
    if not len(shapes) or (shapely.get_dimensions(shapes) < 2).any():
        raise LandcoverError("a map that is not all polygons", expected="polygons with a class")
    said = has_class(mapped[column])
    if not said.any():
        raise LandcoverError(f"a map whose column {column!r} is empty", expected="polygons with a class")
    if not said.all():
        log.warning("%d of %d polygons have no class and are no part of the map", (~said).sum(), len(said))
    area = measure(shapes[said], mapped.crs)[0] / HECTARE
    if not np.isfinite(area).all():
        area = shapely.area(shapes[said])
    names, rows = np.unique([class_text(one) for one in mapped[column][said]], return_inverse=True)
    totals = np.bincount(rows, area, len(names))
    return {str(name): float(total) for name, total in zip(names, totals, strict=True)}


def has_class(column: Any) -> np.ndarray:
    """Which rows of a column say a class: neither nothing nor blanks.

    Examples
    --------
    >>> has_class(pd.Series(["water", None, " ", 0])).tolist()
    [True, False, False, True]
    """
    return (column.notna() & (column.astype(str).str.strip() != "")).to_numpy(bool)


def draw_points(
    mapped: gpd.GeoDataFrame, counts: Mapping[Any, int], *, column: str = "class", seed: int = 0, blind: bool = False
) -> gpd.GeoDataFrame:
    """Draw places at random: so many in each class of a map, each spot of a class as likely as any other.

    Parameters
    ----------
    mapped
        Polygons with their classes.
    counts
        Number of places of each class, as in the column ``n`` of `geosam.landcover.sample_design`.
    column
        The map's column of classes.
    seed
        Of the random numbers: the same one draws the same places.
    blind
        Whether to leave out what the map says, so that whoever labels is not led by it.

    Returns
    -------
    GeoDataFrame
        Points in random order: ``PLOTID, LON, LAT, map_class`` (unless blind), ``reference`` (empty, to be filled in),
        ``note``; of a map without a CRS ``X, Y`` in the place of ``LON, LAT``.

    Raises
    ------
    LandcoverError
        If a class of `counts` is not on the map, or the seed or the number of places makes no sense.
    """
    if sum(counts.values()) > MOST_PLACES:
        raise LandcoverError(f"{sum(counts.values()):,} places", expected=f"{MOST_PLACES:,} at most")
    if seed < 0:
        raise LandcoverError(f"seed={seed}", expected="0 or more")
    classes = mapped[column].map(class_text).to_numpy() if column in mapped.columns else np.zeros(0, object)
    rng = np.random.default_rng(seed)
    drawn, named = [], []
    for name, count in counts.items():
        own = np.asarray(mapped.geometry.values, object)[classes == str(name)]
        if not len(own):
            raise LandcoverError(f"class {str(name)!r}", expected=f"one of {', '.join(sorted(set(classes)))}")
        drawn.append(_points_in(own, int(count), rng))
        named += [str(name)] * int(count)
    points = np.concatenate(drawn)
    _polygons_at(mapped, points)
    order = rng.permutation(len(points))
    geometry = gpd.GeoSeries(points[order], crs=mapped.crs)
    places, names = (geometry, ("X", "Y")) if mapped.crs is None else (geometry.to_crs(4326), ("LON", "LAT"))
    xy = (each.round(_PLACES).to_numpy() for each in (places.x, places.y))
    table: dict[str, Any] = {"PLOTID": np.arange(1, len(points) + 1), **dict(zip(names, xy, strict=True))}
    if not blind:
        table["map_class"] = np.array(named, object)[order]
    return gpd.GeoDataFrame({**table, "reference": "", "note": ""}, geometry=geometry)


def _points_in(polygons: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points spread evenly over polygons: a polygon by its area, then a spot in its box until one lies inside."""
    area = shapely.area(polygons)
    chosen = rng.choice(len(polygons), count, p=area / area.sum())
    xy, open_rows = np.zeros((count, 2)), np.arange(count)
    shapely.prepare(polygons)
    for _ in range(_MOST_ROUNDS):
        if not len(open_rows):
            break
        x0, y0, x1, y1 = shapely.bounds(polygons[chosen[open_rows]]).T
        xy[open_rows] = np.column_stack([rng.uniform(x0, x1), rng.uniform(y0, y1)])
        inside = shapely.contains_xy(polygons[chosen[open_rows]], *xy[open_rows].T)
        open_rows = open_rows[~inside]
    if len(open_rows):  # slivers that hardly hold a point of their box
        xy[open_rows] = shapely.get_coordinates(shapely.point_on_surface(polygons[chosen[open_rows]]))
    return np.asarray(shapely.points(xy), object)


def classes_at(mapped: gpd.GeoDataFrame, points: gpd.GeoDataFrame, column: str = "class") -> pd.Series:
    """What a map says at points, in any CRS; missing where it says nothing.

    Of several polygons that lie over one another the first counts; how many points that concerns is said.
    """
    mapped = mapped.iloc[np.flatnonzero(has_class(mapped[column]))]
    there = points.to_crs(mapped.crs) if points.crs is not None and mapped.crs is not None else points
    point, polygon = _polygons_at(mapped, np.asarray(there.geometry.values, object))
    order = np.lexsort((polygon, point))
    first = order[np.flatnonzero(np.diff(point[order], prepend=-1))]
    found = pd.Series(pd.NA, index=points.index, dtype="str")
    found.iloc[point[first]] = mapped[column].map(class_text).to_numpy()[polygon[first]]
    return found


def _polygons_at(mapped: gpd.GeoDataFrame, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of points and of the polygons that hold them; polygons that lie over one another are told."""
    tree = shapely.STRtree(np.asarray(mapped.geometry.values, object))
    point, polygon = tree.query(points, predicate="intersects")
    several = int((np.unique(point, return_counts=True)[1] > 1).sum())
    if several:
        log.warning("%d of %d places lie in several polygons, whose areas count twice", several, len(points))
    return point, polygon
