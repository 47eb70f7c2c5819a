"""Areas and perimeters on the ellipsoid, for many polygons at once.

Polygons are densified, transformed to longitude and latitude once, and summed edge by edge: areas by the authalic
latitude (Snyder 1987, *Map Projections, a Working Manual*, eq. 3-12), for which a polygon's area is a line integral;
perimeters as chords of edges that are short against the Earth. Both follow the straight edges of the polygons' own CRS,
hold across the antimeridian and need no zone.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import CRS, Transformer

from geosam.scene.reproject import lies_on_earth, metres_per_unit

MOST_PIECES = 200_000
"""Pieces that a polygon's outline is cut into at most: those of 50,000 km, more than goes around the Earth."""

EDGE_M = 250.0
"""Longest edge in metres before the transform: an edge's sagitta is then under 2 mm up to 60° of latitude."""

_POLAR = np.radians(85.0)
_VERTICES = 1 << 16  # that are measured at a time
_A, _E2 = 6378137.0, 0.0066943799901413165  # WGS 84: semi-major axis in metres, squared eccentricity


def measure(geometries_world: np.ndarray, crs: CRS | None) -> tuple[np.ndarray, np.ndarray]:
    """Area and perimeter of each polygon.

    Parameters
    ----------
    geometries_world
        Object array of Polygons and MultiPolygons, ``(x, y)`` in `crs`.
    crs
        Their CRS. One that does not lie on the Earth (a local one, another planet's) counts as a plane, in metres if
        the length of its units is known; else, and for None, measures are NaN.

    Returns
    -------
    ``(area_m2, perimeter_m)``, float64 each: square metres on the WGS 84 ellipsoid, holes left out; metres along all
    rings.

    Examples
    --------
    >>> area, perimeter = measure(np.array([shapely.box(500000, 5e6, 500100, 5000100)]), CRS(32633))
    >>> round(area[0]), round(perimeter[0])
    (10008, 400)
    """
    nothing = np.full(len(geometries_world), np.nan)
    if crs is None or len(nothing) == 0:
        return nothing, nothing.copy()
    if not lies_on_earth(crs.to_wkt()):
        unit = metres_per_unit(crs)
        return shapely.area(geometries_world) * unit**2, shapely.length(geometries_world) * unit
    transformer = Transformer.from_crs(crs, 4326, always_xy=True)
    parts = [_measure(part, crs, transformer) for part in _parts(geometries_world)]
    area, perimeter = (np.concatenate(column) for column in zip(*parts, strict=True))
    area[~np.isfinite(area)], perimeter[~np.isfinite(perimeter)] = np.nan, np.nan
    return area, perimeter


def _parts(geometries: np.ndarray) -> list[np.ndarray]:
    """The polygons in groups of about `_VERTICES` vertices, so that memory does not grow with their number."""
    ends = np.cumsum(shapely.get_num_coordinates(geometries)) // _VERTICES
    return np.split(geometries, np.flatnonzero(np.diff(ends)) + 1)


def _measure(geometries: np.ndarray, crs: CRS, transformer: Transformer) -> tuple[np.ndarray, np.ndarray]:
    """Area and perimeter of polygons, all at once."""
    geometries = _densify(geometries, crs)
    rings = _Rings.of(geometries)
    lon, lat = np.radians(transformer.transform(*rings.points.T))
    with np.errstate(invalid="ignore"):  # points off the projection's domain become NaN, and so do their polygons
        area, perimeter = rings.areas(lon, lat), rings.lengths(lon, lat)
    polar = np.isin(np.arange(len(area)), rings.owner[rings.ring[np.isfinite(lat) & (np.abs(lat) > _POLAR)]])
    if polar.any():
        area[polar] = _polar_areas(geometries[polar], crs)
    return area, perimeter


def _densify(geometries: np.ndarray, crs: CRS) -> np.ndarray:
    """Put vertices into edges longer than `EDGE_M`; most objects have none."""
    unit = (
        np.radians(1) * _A if crs.is_geographic else crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    )
    longest = EDGE_M / unit
    bounds = shapely.bounds(geometries)
    extent = (bounds[:, 2:] - bounds[:, :2]).max(axis=1)
    large = (extent > longest) & (extent * unit < 2 * np.pi * _A)  # what exceeds the Earth has no measure anyway
    dense = geometries.copy()
    dense[large] = shapely.segmentize(
        geometries[large], np.maximum(longest, shapely.length(geometries[large]) / MOST_PIECES)
    )
    return dense


@dataclass(frozen=True)
class _Rings:
    """The vertices of all rings of an array of polygons, and what belongs to what."""

    points: np.ndarray
    ring: np.ndarray  # of each vertex
    owner: np.ndarray  # polygon of each ring
    sign: np.ndarray  # of each ring: 1, or -1 for a hole
    count: int

    @classmethod
    def of(cls, geometries: np.ndarray) -> "_Rings":
        parts, geometry = shapely.get_parts(geometries, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        sign = np.where(np.diff(part, prepend=-1) > 0, 1, -1)
        return cls(points, ring, geometry[part], sign, len(geometries))

    def _edges(self) -> np.ndarray:
        """Positions of the vertices that an edge leads on from, to the vertex behind it."""
        return np.flatnonzero(self.ring[1:] == self.ring[:-1])

    def areas(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Area in m² of each polygon, from longitudes and latitudes in radians."""
        edges = self._edges()
        sine = np.sin(lat)
        e = np.sqrt(_E2)
        height = (1 - _E2) * (sine / (1 - _E2 * sine**2) + np.arctanh(e * sine) / e)
        first = np.searchsorted(self.ring, np.arange(len(self.owner)))
        height -= height[first][self.ring]
        width = np.remainder(np.diff(lon)[edges] + np.pi, 2 * np.pi) - np.pi
        strips = width * (height[edges] + height[edges + 1])
        doubled = np.bincount(self.ring[edges], strips, len(self.owner))
        return np.bincount(self.owner, self.sign * np.abs(doubled), self.count) * (_A**2 / 4)

    def lengths(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Length in metres of all rings of each polygon, from longitudes and latitudes in radians."""
        edges = self._edges()
        normal = _A / np.sqrt(1 - _E2 * np.sin(lat) ** 2)
        across = normal * np.cos(lat)
        place = across * np.cos(lon), across * np.sin(lon), (1 - _E2) * normal * np.sin(lat)
        chords = np.sqrt(sum(np.diff(axis)[edges] ** 2 for axis in place))
        return np.bincount(self.owner[self.ring[edges]], chords, self.count)


def _polar_areas(geometries: np.ndarray, crs: CRS) -> np.ndarray:
    """Areas near a pole, which a polygon may contain: on equal-area maps centred on it (EPSG:6931 and 6932)."""
    areas = np.full(len(geometries), np.nan)
    for pole in (6931, 6932):
        there = Transformer.from_crs(crs, pole, always_xy=True)
        points = np.column_stack(there.transform(*shapely.get_coordinates(geometries).T))
        flat = shapely.area(shapely.set_coordinates(geometries.copy(), points))
        near = (_latitudes(geometries, crs) > 0) == (pole == 6931)
        areas[near] = flat[near]
    return areas


def _latitudes(geometries: np.ndarray, crs: CRS) -> np.ndarray:
    """Latitude of each geometry's first vertex."""
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    first = points[np.searchsorted(owner, np.arange(len(geometries)))]
    return np.asarray(Transformer.from_crs(crs, 4326, always_xy=True).transform(*first.T)[1])
