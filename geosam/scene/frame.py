"""Where a pixel lies in the world, for points and for whole geometries.

`Frame` joins three facts: the working pixel grid, how it sits on the native grid (one scale and one offset), and how
native pixels map to the world (an affine transform or ground control points). Coordinates are always ``(x, y)``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from affine import Affine
from odc.geo.gcp import GCPGeoBox
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Coordinates
from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints
from geosam.scene.reproject import (
    as_shapes,
    densify,
    join_parts,
    lies_on_earth,
    metres_per_unit,
    parse_crs,
    period,
    projection,
    transform,
    unwrap,
)

TOLERANCE_PX = 0.1
MUCH_LARGER = 4
WGS84 = CRS(4326)


@dataclass(frozen=True)
class Frame:
    """The working pixel grid of a scene and its place in the world.

    Attributes
    ----------
    shape
        ``(h, w)`` of the working grid.
    native
        Working pixel → native pixel.
    mapping
        Native pixel → world.
    wkt
        The CRS of the world; empty for none, then the world is whatever `mapping` says, pixels if that is the identity.

    Examples
    --------
    >>> frame = Frame((10, 20), Affine.identity(), Affine(2, 0, 100, 0, -2, 500), CRS(32633).to_wkt())
    >>> frame.world_from_px(np.array([[1.0, 1.0]]))
    array([[102., 498.]])
    >>> frame.to_px(shapely.Point(102, 498))[0]
    <POINT (1 1)>
    """

    shape: tuple[int, int]
    native: Affine
    mapping: Affine | ControlPoints
    wkt: str = ""

    @cached_property
    def crs(self) -> CRS | None:
        """The CRS of the world, None if the scene has none."""
        return CRS.from_wkt(self.wkt) if self.wkt else None

    @cached_property
    def geobox(self) -> GeoBox | GCPGeoBox:
        """The grid in odc-geo's words."""
        if isinstance(self.mapping, ControlPoints):
            return GCPGeoBox(self.shape, self.mapping.mapping, self.native)
        return GeoBox(self.shape, self.mapping @ self.native, self.wkt or None)

    @cached_property
    def affine(self) -> Affine:
        """Working pixel → world; only the best fit on a scene with ground control points."""
        return (self.mapping if isinstance(self.mapping, Affine) else self.mapping.affine) @ self.native

    def world_from_px(self, xy: Coordinates) -> Coordinates:
        """World coordinates of working pixel coordinates."""
        if isinstance(self.mapping, Affine):
            return _apply(self.affine, xy)
        return self.mapping.world_from_px(_apply(self.native, xy))

    def px_from_world(self, xy: Coordinates) -> Coordinates:
        """Working pixel coordinates of world coordinates."""
        if isinstance(self.mapping, Affine):
            return _apply(~self.affine, xy)
        return _apply(~self.native, self.mapping.px_from_world(xy))

    def to_px(self, geometries: Any, crs: Any = None) -> np.ndarray:
        """Geometries of any CRS (None: their own, else the scene's) in working pixels; see `Scene.to_px`."""
        source = self._source(geometries, crs)
        shapes = as_shapes(geometries)
        project = projection(source.to_wkt(), self.wkt) if source else _identity

        def image(xy: np.ndarray) -> np.ndarray:
            return self.px_from_world(self._nearest_turn(project(xy)))

        def place(these: np.ndarray) -> np.ndarray:
            world = transform(densify(these, image, TOLERANCE_PX), project)
            if self._turn:
                world = unwrap(world, self._centre_x, self._turn, torn=not period(source))
            return join_parts(transform(world, self.px_from_world))

        if source and source != self.crs:
            shapes = self._trimmed(shapes, source)
        return place(shapes)

    def to_world(self, geometries_px: Any) -> np.ndarray:
        """Geometries in working pixels in the scene's CRS; see `Scene.to_world`."""
        shapes = as_shapes(geometries_px)
        if np.isfinite(self._straight_px):  # one length for all, so that shapes that share an edge keep sharing it
            shapes = shapely.segmentize(shapes, self._straight_px)
        return transform(shapes, self.world_from_px)

    @property
    def on_earth(self) -> bool:
        """Whether longitudes and latitudes of the scene are known; not without a CRS, nor in a local one."""
        return bool(self.wkt) and lies_on_earth(self.wkt)

    @cached_property
    def resolution_m(self) -> float:
        """Metres on the ground per pixel: the square root of the area of the central pixel; NaN where not known."""
        if self.crs is None:
            return float("nan")
        if not self.on_earth:
            return self.resolution * metres_per_unit(self.crs)
        centre = np.array([self.shape[1] / 2, self.shape[0] / 2])
        corners = self.world_from_px(centre + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        lon, lat = projection(self.wkt, WGS84.to_wkt())(corners).T
        if not np.isfinite([lon, lat]).all():
            return self.resolution * metres_per_unit(self.crs)
        geod = Geod(ellps="WGS84")
        towards_x, _, width = geod.inv(lon[0], lat[0], lon[1], lat[1])
        towards_y, _, height = geod.inv(lon[0], lat[0], lon[2], lat[2])
        return float(np.sqrt(width * height * abs(np.sin(np.radians(towards_y - towards_x)))))

    @property
    def resolution(self) -> float:
        """CRS units per pixel: the geometric mean of a pixel's two sides."""
        a, b, _, d, e, *_ = self.affine
        return abs(a * e - b * d) ** 0.5

    def _source(self, geometries: Any, crs: Any) -> CRS | None:
        """The CRS that geometries are in; None where neither they nor the scene have one."""
        own = getattr(geometries, "crs", None) if crs is None else crs
        if own is None:
            return self.crs
        if self.crs is None:
            raise SceneError(
                f"geometries in {parse_crs(own).name} on a scene without a CRS",
                expected="geometries without a CRS, in the scene's own coordinates",
                hint="georeference the scene, or drop the CRS of the geometries",
            )
        return parse_crs(own)

    @cached_property
    def _turn(self) -> float:
        return period(self.crs)

    @cached_property
    def _centre_x(self) -> float:
        return float(self.world_from_px(np.array([[self.shape[1] / 2, self.shape[0] / 2]]))[0, 0])

    def _nearest_turn(self, world: np.ndarray) -> np.ndarray:
        """Coordinates of a periodic CRS, each on the turn of the globe nearest to the scene."""
        if not self._turn:
            return world
        with np.errstate(invalid="ignore"):
            x = world[:, 0] + self._turn * np.round((self._centre_x - world[:, 0]) / self._turn)
        return np.stack([x, world[:, 1]], axis=1)

    def _trimmed(self, shapes: np.ndarray, source: CRS) -> np.ndarray:
        """Shapes much larger than the scene cut to its surroundings; far away the scene's CRS may not be defined."""
        if not (shapely.get_dimensions(shapes) > 0).any():
            return shapes
        around = self._surroundings(source)
        bounds = shapely.bounds(shapes)
        with np.errstate(invalid="ignore"):
            size = (bounds[:, 2:] - bounds[:, :2]).max(axis=1)
        large = size > MUCH_LARGER * np.ptp(np.reshape(around.bounds, (2, 2)), axis=0).max()
        near = shapes.copy()
        near[large] = shapely.intersection(shapely.make_valid(shapes[large]), self._repeated(around, source))
        return near

    @staticmethod
    def _repeated(shape: BaseGeometry, crs: CRS) -> BaseGeometry:
        """A shape on three turns of the globe, in a CRS that goes around it."""
        turn = period(crs)
        return shapely.union_all([translate(shape, step * turn) for step in (-1, 0, 1)]) if turn else shape

    def _surroundings(self, source: CRS) -> BaseGeometry:
        """A box in another CRS that holds the scene with a margin of half its size."""
        h, w = self.shape
        grid = np.stack(np.meshgrid(np.linspace(-w / 2, 1.5 * w, 33), np.linspace(-h / 2, 1.5 * h, 33)), axis=-1)
        xy = projection(self.wkt, source.to_wkt())(self.world_from_px(grid.reshape(-1, 2)))
        xy, turn = xy[np.isfinite(xy).all(axis=1)], period(source)
        if turn and len(xy):
            xy[:, 0] += turn * np.round((np.median(xy[:, 0]) - xy[:, 0]) / turn)
        return shapely.box(*xy.min(axis=0), *xy.max(axis=0)) if len(xy) else shapely.Point(0, 0).buffer(0)

    @cached_property
    def _straight_px(self) -> float:
        """Length of a line of pixels that stays straight in the world, within the tolerance; infinite if all do."""
        if isinstance(self.mapping, Affine):
            return float("inf")
        h, w = self.shape
        step = np.array([[w, 0.0], [0.0, h], [w, h], [w, -h]]) / 16
        grid = np.stack(np.meshgrid(np.linspace(0, w, 17), np.linspace(0, h, 17)), axis=-1).reshape(-1, 1, 2)

        def flat(px: np.ndarray) -> np.ndarray:
            return _apply(~self.affine, self.world_from_px(np.broadcast_to(px, (len(grid), 4, 2)).reshape(-1, 2)))

        bend = np.linalg.norm(flat(grid + step) - 2 * flat(grid) + flat(grid - step), axis=1).reshape(-1, 4) / 2
        length = 2 * np.linalg.norm(step, axis=1) * np.sqrt(TOLERANCE_PX / np.maximum(bend, 1e-12))
        return float(np.maximum(length.min(), 1.0))


def _identity(xy: np.ndarray) -> np.ndarray:
    return xy


def _apply(affine: Affine, xy: np.ndarray) -> np.ndarray:
    """Map ``(n, 2)`` coordinates by an affine transform."""
    a, b, c, d, e, f, *_ = affine
    x, y = xy[:, 0], xy[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)
