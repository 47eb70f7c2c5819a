"""Polygons → GeoJSON as RFC 7946 asks for it.

Longitude and latitude on WGS 84, shells counter-clockwise, holes clockwise, nothing crosses the antimeridian (section
3.1.9), and the layer's metadata as a foreign member (section 6.1).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS, Transformer
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from geosam.errors import SinkError
from geosam.scene.reproject import lies_on_earth
from geosam.sinks.columns import to_json
from geosam.sinks.table import GEOMETRY, Table, as_multipolygons

DECIMALS = 8
"""Decimals of a degree that are written: about a millimetre."""

_GRID = 10.0**-DECIMALS
_LONGEST_EDGE_M = 1000.0
_MOST_PIECES = 200_000
_WGS84 = CRS("EPSG:4326")


def write_geojson(table: Table, path: Path, metadata: Mapping[str, object]) -> None:
    """Write polygons as a FeatureCollection, one feature a line.

    Parameters
    ----------
    table
        The polygons; they must have a CRS.
    path
        File to write.
    metadata
        Becomes the foreign member ``geosam``, ahead of the features.

    Raises
    ------
    SinkError
        If the polygons have no CRS, or lie where their CRS has no longitude and latitude.
    """
    if table.crs is None or not lies_on_earth(table.crs.to_wkt()):
        hint = "give the scene a CRS, or write .gpkg, .parquet or .fgb"
        raise SinkError(
            "GeoJSON of polygons without a CRS that lies on the Earth",
            expected="a CRS, since GeoJSON is longitude and latitude",
            hint=hint,
        )
    to_lonlat = LonLat(table.crs)
    with open(path, "w", encoding="utf-8") as file:
        head = to_json({"type": "FeatureCollection", "geosam": metadata})
        file.write(head[:-1] + ', "features": [')
        separator = "\n"
        for batch in table.batches():
            for feature in _features(batch, to_lonlat):
                file.write(separator + feature)
                separator = ",\n"
        file.write("\n]}\n")


def read_foreign_member(path: str) -> dict[str, object]:
    """Read the member ``geosam`` of a file of `write_geojson` without parsing the features."""
    with open(path, encoding="utf-8") as file:
        head = file.read(1 << 20)
    mark = '"geosam": '
    start = head.find(mark)
    if start < 0:
        return {}
    return json.JSONDecoder().raw_decode(head, start + len(mark))[0]


class LonLat:
    """Transforms geometries of one CRS to longitude and latitude, cut at the antimeridian.

    Parameters
    ----------
    crs
        The CRS of the geometries.

    Examples
    --------
    >>> island = shapely.box(179, -17, 181, -16)
    >>> [part.bounds for part in LonLat(CRS("EPSG:4326"))(np.array([island]))[0].geoms]
    [(-180.0, -17.0, -179.0, -16.0), (179.0, -17.0, 180.0, -16.0)]
    """

    def __init__(self, crs: CRS) -> None:
        self._transformer = Transformer.from_crs(crs, _WGS84, always_xy=True)
        unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
        self._degrees = np.degrees(unit) if crs.is_geographic else None
        self._longest_edge = None if crs.is_geographic else _LONGEST_EDGE_M / unit

    def __call__(self, geometries: np.ndarray) -> np.ndarray:
        """Transform an object array of multipolygons; None stays None.

        Raises
        ------
        SinkError
            If a vertex has no longitude and latitude.
        """
        if self._longest_edge is not None:
            length = shapely.length(geometries) / _MOST_PIECES  # NaN where there is no geometry
            geometries = shapely.segmentize(geometries, np.fmax(self._longest_edge, length))
        moved = shapely.transform(geometries, self._move)
        west, _, east, _ = shapely.bounds(moved).T
        for index in np.flatnonzero((east - west > 180) | (west < -180) | (east > 180)):
            moved[index] = _cut(moved[index], follow=self._longest_edge is not None)
        return as_multipolygons(shapely.orient_polygons(_rounded(moved)))

    def _move(self, points: np.ndarray) -> np.ndarray:
        lon, lat = self._transformer.transform(points[:, 0], points[:, 1])
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise SinkError(
                "a polygon lies outside the area of its CRS", hint="write .gpkg, .parquet or .fgb in the scene's CRS"
            )
        if self._degrees is not None:
            lon = lon + 360 * np.round((points[:, 0] * self._degrees - lon) / 360)
        return np.column_stack([lon, lat])


def _rounded(geometries: np.ndarray) -> np.ndarray:
    """Coordinates to so many decimals, of which nothing crosses itself that did not before; None stays None.

    What would be nothing at all keeps its decimals.
    """
    rounded = shapely.transform(geometries, lambda points: np.round(points, DECIMALS))
    for index in np.flatnonzero(shapely.is_valid(geometries) & ~shapely.is_valid(rounded)):
        snapped = shapely.set_precision(geometries[index], _GRID)
        there = shapely.transform(snapped, lambda points: np.round(points, DECIMALS))
        rounded[index] = geometries[index] if there.is_empty or not there.is_valid else there
    return rounded


def _cut(geometry: BaseGeometry, *, follow: bool) -> MultiPolygon:
    """Cut a multipolygon at the antimeridian into parts between -180 and 180 degrees.

    `follow` tells that longitudes jump by 360 degrees where a ring crosses the antimeridian, and the ring has to be
    followed.
    """
    parts = []
    for polygon in shapely.get_parts(geometry):
        rings = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
        shell, *holes = [_fold(_unroll(ring) if follow else ring) for ring in rings]
        parts.append(shapely.difference(shell, shapely.union_all(holes, grid_size=_GRID), grid_size=_GRID))
    polygons = shapely.get_parts(shapely.get_parts(parts))
    return MultiPolygon(list(polygons[shapely.get_type_id(polygons) == 3]))


def _unroll(ring: np.ndarray) -> np.ndarray:
    """Follow a ring over the antimeridian; one that goes around a pole is closed along the pole."""
    lon, lat = np.unwrap(ring[:, 0], period=360), ring[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        pole = 90.0 if lat.mean() > 0 else -90.0
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return np.column_stack([lon, lat])


def _fold(ring: np.ndarray) -> BaseGeometry:
    """The area inside a ring, its parts beyond 180 degrees moved around the globe."""
    area = shapely.make_valid(Polygon(ring))
    west, _, east, _ = area.bounds
    turns = range(int(np.floor((west + 180) / 360)), int(np.ceil((east + 180) / 360)))
    pieces = [shapely.intersection(area, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)) for turn in turns]
    moved = [
        shapely.transform(piece, lambda points, turn=turn: points - [360 * turn, 0])
        for piece, turn in zip(pieces, turns, strict=True)
    ]
    return shapely.union_all(moved, grid_size=_GRID)


def _features(batch: pa.RecordBatch, to_lonlat: LonLat) -> Iterator[str]:
    """Spell each row of a batch as a GeoJSON feature."""
    names = [name for name in batch.schema.names if name != GEOMETRY]
    geometries = to_lonlat(shapely.from_wkb(batch.column(GEOMETRY).to_numpy(zero_copy_only=False)))
    rows = batch.select(names).to_pylist() if names else [{}] * batch.num_rows
    for row, geometry in zip(rows, shapely.to_geojson(geometries), strict=True):
        properties = to_json(row)
        yield f'{{"type": "Feature", "properties": {properties}, "geometry": {geometry or "null"}}}'
