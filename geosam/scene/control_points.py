"""Ground control points: a smooth map from pixels to the world, and its exact inverse.

Some scenes (Sentinel-1, scans, raw aerial frames) carry no transform but points whose pixel and world coordinates are
known. `ControlPoints` fits a polynomial from pixel to world and inverts it by Newton's method, so that going there
and back returns the same point. (Two separate fits, one for each direction, as in GDAL's polynomial transformer,
differ by up to 0.2 px.)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from odc.geo.gcp import GCPMapping

from geosam.arrays import Coordinates
from geosam.errors import SceneError

NEWTON_STEPS = 20
CONVERGED_PX = 1e-7


@dataclass(frozen=True)
class ControlPoints:
    """Pairs of points, and the polynomial through them.

    The polynomial has the terms ``x^i y^j`` with ``i, j <= degree``; its degree grows with the number of points (3 are
    affine, 4 bilinear, 16 quadratic, 48 cubic), so that every term is held by several points.

    Parameters
    ----------
    pixels
        ``(x, y)`` in native pixels, corner convention.
    world
        ``(x, y)`` of the same points in the CRS.
    crs
        WKT of the CRS of `world`, empty for none.

    Raises
    ------
    SceneError
        If there are fewer than three points, or they lie on one line.

    Examples
    --------
    >>> points = ControlPoints(((0., 0.), (9., 0.), (0., 9.)), ((5., 5.), (14., 5.), (5., -4.)))
    >>> np.round(points.world_from_px(np.array([[2., 3.]])), 6)
    array([[7., 2.]])
    """

    pixels: tuple[tuple[float, float], ...]
    world: tuple[tuple[float, float], ...]
    crs: str = ""

    def __post_init__(self) -> None:
        if len(self.pixels) < 3 or np.linalg.matrix_rank(self._unit_px(np.array(self.pixels)), tol=1e-6) < 2:
            raise SceneError(
                f"{len(self.pixels)} ground control points", expected="at least three that do not lie on one line"
            )

    def world_from_px(self, xy: Coordinates) -> Coordinates:
        """World coordinates of native pixel coordinates."""
        terms = _terms(self._unit_px(xy), self._powers)
        return terms @ self._coefficients * self._world_size + self._world_centre

    def px_from_world(self, xy: Coordinates) -> Coordinates:
        """Native pixel coordinates of world coordinates; NaN where the polynomial has no inverse near the scene."""
        px = self._apply(~self.affine, xy)
        step = np.full_like(px, np.inf)
        for _ in range(NEWTON_STEPS):
            step = np.einsum("nij,nj->ni", self._inverse_slope(px), xy - self.world_from_px(px))
            px = px + step
            if not np.any(np.abs(step) > CONVERGED_PX):
                break
        px[~(np.abs(step) <= CONVERGED_PX).all(axis=1)] = np.nan
        return px

    @cached_property
    def misfit_px(self) -> float:
        """How far the polynomial passes by a point at most, in native pixels."""
        apart = self.world_from_px(np.array(self.pixels)) - np.array(self.world)
        slope = np.abs(np.array(self.affine).reshape(3, 3)[:2, :2])
        return float((np.abs(apart) / np.maximum(slope.max(axis=1), 1e-300)).max())

    @cached_property
    def mapping(self) -> GCPMapping:
        """The points in odc-geo's words."""
        return GCPMapping(np.array(self.pixels), np.array(self.world), self.crs or None)

    @cached_property
    def affine(self) -> Affine:
        """The affine map that fits the points best (it may be tens of pixels off)."""
        terms = np.c_[np.array(self.pixels), np.ones(len(self.pixels))]
        (a, d), (b, e), (c, f) = np.linalg.lstsq(terms, np.array(self.world), rcond=None)[0].tolist()
        return Affine(a, b, c, d, e, f)

    @cached_property
    def _powers(self) -> list[tuple[int, int]]:
        """Exponents of x and y of each term."""
        if len(self.pixels) == 3:
            return [(0, 0), (0, 1), (1, 0)]
        degree = 1 + int(np.searchsorted([16, 48], len(self.pixels), side="right"))
        return [(i, j) for i in range(degree + 1) for j in range(degree + 1)]

    @cached_property
    def _px_centre(self) -> np.ndarray:
        return np.mean(self.pixels, axis=0)

    @cached_property
    def _px_size(self) -> np.ndarray:
        return np.maximum(np.ptp(self.pixels, axis=0) / 2, 1e-9)

    @cached_property
    def _world_centre(self) -> np.ndarray:
        return np.mean(self.world, axis=0)

    @cached_property
    def _world_size(self) -> np.ndarray:
        return np.maximum(np.ptp(self.world, axis=0) / 2, 1e-12)

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """One column of polynomial coefficients for each world axis, in unit coordinates."""
        terms = _terms(self._unit_px(np.array(self.pixels)), self._powers)
        target = (np.array(self.world) - self._world_centre) / self._world_size
        return np.linalg.lstsq(terms, target, rcond=1e-9)[0]

    def _unit_px(self, xy: np.ndarray) -> np.ndarray:
        return (xy - self._px_centre) / self._px_size

    def _inverse_slope(self, px: np.ndarray) -> np.ndarray:
        """Inverse of the 2 × 2 derivative of world by pixel at each point, by central differences."""
        right, down = np.array([0.5, 0.0]), np.array([0.0, 0.5])
        by_x = self.world_from_px(px + right) - self.world_from_px(px - right)
        by_y = self.world_from_px(px + down) - self.world_from_px(px - down)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            determinant = by_x[:, 0] * by_y[:, 1] - by_y[:, 0] * by_x[:, 1]
            rows = np.stack([by_y[:, 1], -by_y[:, 0], -by_x[:, 1], by_x[:, 0]], axis=1) / determinant[:, None]
        return rows.reshape(-1, 2, 2)

    @staticmethod
    def _apply(affine: Affine, xy: np.ndarray) -> np.ndarray:
        matrix = np.array(affine).reshape(3, 3)
        return xy @ matrix[:2, :2].T + matrix[:2, 2]


def _terms(unit: np.ndarray, powers: list[tuple[int, int]]) -> np.ndarray:
    """Products ``x^i y^j``, one row per point."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([unit[:, 0] ** i * unit[:, 1] ** j for i, j in powers], axis=1)
