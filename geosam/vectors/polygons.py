"""Polygons that are used as they are: segments, classes of a map."""

import logging
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from geosam.vectors import NAMED, notes, read_vector
from geosam.vectors.purpose import Purpose
from geosam.vectors.repair import repaired

log = logging.getLogger(__name__)


def read_polygons(source: Any, purpose: Purpose) -> gpd.GeoDataFrame:
    """Features as `read_vector` gives them, each valid; rows without an outline are left out, and said.

    Points and lines pass: whoever needs polygons knows best what to say of them.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if it cannot be read, or no row is left.

    Examples
    --------
    >>> from geosam.vectors.purpose import PROMPTS
    >>> bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    >>> read_polygons(gpd.GeoDataFrame(geometry=[bow_tie, None]), PROMPTS).area.tolist()
    [2.0]
    """
    frame = read_vector(source, purpose=purpose, needs_crs=False)
    shapes, refused = repaired(np.asarray(frame.geometry.array, object))
    mixed = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    shapes[mixed] = [_areas(shape) for shape in shapes[mixed]]
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not usable.any():
        raise purpose.error(f"no {purpose.what} with an outline", expected="at least one polygon")
    rows = np.flatnonzero(~usable & ~frame.index.isin(list(notes(frame).get("reasons", {}))))  # others were told
    if len(rows):
        told = "; ".join(f"row {row}: {refused.get(row, 'no outline')}" for row in rows[:NAMED].tolist())
        log.warning("%d of %d %s are left out (%s)", len(rows), len(frame), purpose.what, told)
    return frame.set_geometry(gpd.GeoSeries(shapes, frame.index, crs=frame.crs))[usable]


def _areas(shape: Any) -> Any:
    """The polygons of a collection."""
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
