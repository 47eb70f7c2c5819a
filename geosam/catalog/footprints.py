"""Where a scene has data, as longitude and latitude."""

import json
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio.features
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from geosam.scene import Scene

SIDE = 512
"""Pixels of the longer side of the decimated look at which data there is."""

GRID = 32
"""Points each way that are asked whether they lie on the earth, where not all of a shape does."""

VAST = 1e12
"""Units of a CRS, whichever these are, beyond which a side has nothing to do with the earth."""

DIGITS = 9
"""Decimals of a degree: a tenth of a millimetre."""


def to_lonlat(shape: Any, crs: Any) -> BaseGeometry:
    """A shape of any CRS in longitude and latitude, with the vertices that a long edge needs.

    Of a shape that reaches beyond the earth's edge, as what a geostationary satellite sees, it is the hull of what lies
    on the earth, to a thirtieth of its size; nothing of one whose sides are `VAST`.

    Examples
    --------
    >>> [round(edge) for edge in to_lonlat(shapely.box(166021, 0, 833978, 10), "EPSG:32631").bounds]
    [0, 0, 6, 0]
    """
    if shapely.is_empty(shape):
        return shapely.Polygon()
    x0, y0, x1, y1 = shapely.bounds(shape)
    if max(x1 - x0, y1 - y0) > VAST:
        return shapely.Polygon()
    dense = shapely.segmentize(shape, max(x1 - x0, y1 - y0, 1e-9) / 16)
    place: Any = gpd.GeoSeries([dense], crs=crs).to_crs(4326).iloc[0]
    if np.isfinite(shapely.get_coordinates(place)).all():
        return place
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(x0, x1, GRID), np.linspace(y0, y1, GRID)))
    inside = shapely.contains_xy(shape, x, y)
    lonlat = shapely.get_coordinates(gpd.GeoSeries(shapely.points(x, y)[inside], crs=crs).to_crs(4326))
    return shapely.MultiPoint(lonlat[np.isfinite(lonlat).all(axis=1)]).convex_hull


def as_geojson(shape: Any) -> dict[str, Any]:
    """A shape as the plain values that JSON holds."""
    return json.loads(shapely.to_geojson(shape))


def from_geojson(values: Any) -> BaseGeometry | None:
    """The inverse of `as_geojson`; None for None."""
    return None if not values else shapely.geometry.shape(values)


def footprint_of(scene: Scene, area: BaseGeometry | None = None) -> dict[str, Any] | None:
    """GeoJSON of where a scene has data: its whole grid, or what a decimated look at its mask shows.

    Parameters
    ----------
    scene
        A scene that is not cropped.
    area
        Longitude and latitude of an area of interest, outside of which there is none.

    Returns
    -------
    dict or None
        A Polygon or MultiPolygon; None for a scene without a place on the Earth or without data.
    """
    if not scene.frame.on_earth:
        return None
    h, w = scene.shape
    outline_px = shapely.box(0, 0, w, h) if scene.raster.info.all_valid else _valid_px(scene)
    world = scene.to_world(shapely.segmentize(outline_px, max(h, w) / 16))
    place = to_lonlat(world[0], scene.crs)
    if area is not None:
        place = shapely.intersection(shapely.make_valid(place), area)
    return None if place.is_empty else as_geojson(shapely.set_precision(place, 10**-DIGITS))


def _valid_px(scene: Scene) -> BaseGeometry:
    """Polygons around the valid pixels in working px, to a pixel of the decimated look."""
    valid = np.logical_or.reduce(scene.raster.thumbnail(scene.bands, SIDE)[1])
    if valid.all():
        return shapely.box(0, 0, scene.shape[1], scene.shape[0])
    scale = Affine.scale(scene.shape[1] / valid.shape[1], scene.shape[0] / valid.shape[0])
    found = rasterio.features.shapes(valid.astype(np.uint8), mask=valid, transform=scale)
    pixel = max(scene.shape) / max(valid.shape)
    parts = [shapely.simplify(shapely.geometry.shape(shape), pixel) for shape, _ in found]
    return shapely.union_all(shapely.make_valid(parts)) if parts else shapely.Polygon()
