"""From the world to the pixels of a scene: geometries repaired, placed and clipped, each refusal with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy import ndarray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from geosam.errors import PromptError
from geosam.scene import Scene
from geosam.vectors import PROMPTS
from geosam.vectors.repair import repaired, thinned

PIXELS = "px"
"""The frame to name instead of a CRS for coordinates in pixels of the scene."""

LEAST_AREA_PX = 0.01
"""Polygons and boxes with less area than that, in square pixels, are refused."""

VISIBLE_PX = 0.25
"""Outlines of very many vertices are drawn to about that, in pixels."""

SLACK = 1 + 1e-6

WGS84 = CRS.from_epsg(4326)

NOT_PLACED = "its coordinates have no place in the scene's CRS"
NO_DEGREES = "its coordinates are no longitude and latitude"
NAME_IT = 'crs="{0}"; command line: --prompts-crs {0}'


@dataclass(frozen=True, eq=False)
class Placed:
    """Geometries in pixels, clipped to the scene.

    Attributes
    ----------
    geometries_px
        Object array of n geometries; None where there is a reason.
    reasons
        Object array of n: why the geometry cannot be used, ``""`` if it can.
    """

    geometries_px: ndarray
    reasons: ndarray


def place(
    geometries: ndarray, scene: Scene, crs: CRS | str | None, *, known: Mapping[int, str] = MappingProxyType({})
) -> Placed:
    """Repair geometries, bring them to the pixels of `scene` and clip them to it.

    Parameters
    ----------
    geometries
        Object array of n shapely geometries or None.
    scene
        The scene to place them on.
    crs
        What the coordinates mean: a CRS, or ``"px"``.
    known
        Why some of them are known to be of no use, by position.
    """
    reasons = np.full(len(geometries), "", object)
    for row, reason in known.items():
        reasons[row] = reason
    sound = shapely.force_2d(geometries)
    if isinstance(crs, CRS):
        _refuse(reasons, _beyond_degrees(sound, crs), NO_DEGREES)
    sound = _sound(sound, reasons, _pixel_in(scene, crs))
    _move(sound, reasons, scene, crs)
    _clip(sound, reasons, scene)
    surfaces = shapely.get_dimensions(sound) == 2
    _refuse(reasons, surfaces & (shapely.area(sound) < LEAST_AREA_PX), f"it covers less than {LEAST_AREA_PX} pixels")
    sound[reasons != ""] = None
    if isinstance(crs, CRS):
        _hint_at_frame(geometries, reasons, scene, crs)
    return Placed(sound, reasons)


def _sound(geometries: ndarray, reasons: ndarray, pixel: float) -> ndarray:
    """Plane, non-empty, valid geometries of one dimension each; a reason for every one that cannot be made so."""
    sound = geometries
    _refuse(reasons, shapely.is_missing(sound), "it has no geometry")
    _refuse(reasons, ~_finite(sound), "it has coordinates that are not finite numbers")
    _refuse(reasons, shapely.is_empty(sound), "its geometry is empty")
    sound[reasons != ""] = None
    dimensions = shapely.get_dimensions(sound)
    for mend in (lambda shapes: thinned(shapes, VISIBLE_PX * pixel), repaired):
        sound, refused = mend(sound)
        for row, reason in refused.items():
            reasons[row] = reason
    _keep_dimension(sound, dimensions, reasons == "")
    _refuse(reasons, shapely.is_empty(sound), "its geometry has no area")
    return sound


def _pixel_in(scene: Scene, crs: CRS | str | None) -> float:
    """About the side of a pixel in the units of a CRS; 1 in pixels, 0 where it cannot be told."""
    if not isinstance(crs, CRS) or scene.crs is None:
        return 1.0
    if crs == scene.crs:
        return scene.frame.resolution
    h, w = scene.shape
    middle = scene.to_world(shapely.points([[w / 2, h / 2], [w / 2 + 1, h / 2], [w / 2, h / 2 + 1]]))
    try:
        xy = shapely.get_coordinates(gpd.GeoSeries(middle, crs=scene.crs).to_crs(crs).to_numpy())
    except ProjError:
        return 0.0
    sides = np.abs(xy[1:] - xy[0]).max(axis=1)
    return float(sides.min()) if np.isfinite(sides).all() else 0.0


def _finite(geometries: ndarray) -> ndarray:
    """True for each geometry whose coordinates are all finite."""
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), bool)
    finite[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite


def _keep_dimension(geometries: ndarray, dimensions: ndarray, rows: ndarray) -> None:
    """Reduce what is a mixed collection, or has lost a dimension, to its parts of the asked dimension."""
    mixed = shapely.get_type_id(geometries) == shapely.GeometryType.GEOMETRYCOLLECTION
    lower = shapely.get_dimensions(geometries) < dimensions
    for row in np.flatnonzero(rows & (mixed | lower)):
        parts = shapely.get_parts(shapely.get_parts(geometries[row]))
        geometries[row] = shapely.union_all(parts[shapely.get_dimensions(parts) == dimensions[row]])


def _refuse(reasons: ndarray, rows: ndarray, reason: str) -> None:
    reasons[rows & (reasons == "")] = reason


def _move(geometries: ndarray, reasons: ndarray, scene: Scene, crs: CRS | str | None) -> None:
    """Replace usable geometries by their pixel coordinates."""
    rows = reasons == ""
    if isinstance(crs, str) or not rows.any():
        return
    geometries[rows] = scene.to_px(geometries[rows], crs)
    rows[rows] = ~_finite(geometries[rows]) | shapely.is_empty(geometries[rows])
    _refuse(reasons, rows, NOT_PLACED)


def _clip(geometries: ndarray, reasons: ndarray, scene: Scene) -> None:
    """Cut usable geometries at the edge of the scene; refuse those beyond it."""
    height, width = scene.shape
    extent = shapely.box(0, 0, width, height)
    x0, y0, x1, y1 = shapely.bounds(geometries).T
    rows = (reasons == "") & ~((x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height))
    if not rows.any():
        return
    whole = geometries[rows]
    broken = ~shapely.is_valid(whole)
    whole[broken] = shapely.make_valid(whole[broken])
    dimensions = shapely.get_dimensions(whole)
    cut = shapely.intersection(whole, extent)
    _keep_dimension(cut, dimensions, ~shapely.is_empty(cut))
    geometries[rows] = cut
    gone = np.flatnonzero(rows)[shapely.is_empty(cut)]
    for row, distance_px in zip(gone, shapely.distance(whole[shapely.is_empty(cut)], extent).tolist(), strict=True):
        reasons[row] = _outside(distance_px, scene)


def _outside(distance_px: float, scene: Scene) -> str:
    """How far off the scene something lies, in words."""
    if distance_px == 0:
        return f"it only touches the edge of scene {scene.name!r}"
    metres = distance_px * scene.resolution_m
    if not np.isfinite(metres):
        return f"it lies {distance_px:,.0f} px outside scene {scene.name!r}"
    ground = f"{metres / 1000:,.1f} km" if metres >= 1000 else f"{metres:,.1f} m"
    return f"it lies {ground} ({distance_px:,.0f} px) outside scene {scene.name!r}"


def _hint_at_frame(geometries: ndarray, reasons: ndarray, scene: Scene, crs: CRS) -> None:
    """Add to the reasons of what lies outside in which other reading of its coordinates it would lie on the scene."""
    gone = np.flatnonzero(["outside scene" in reason or reason in (NOT_PLACED, NO_DEGREES) for reason in reasons])
    lost = shapely.force_2d(geometries[gone])
    for words, turn, other in (
        ("with x and y swapped", True, crs),
        (f"read in the scene's CRS, {crs_name(scene.crs)}, ({NAME_IT.format(crs_name(scene.crs))})", False, scene.crs),
        (f"read as longitude and latitude ({NAME_IT.format('EPSG:4326')})", False, WGS84),
    ):
        if other is None or (other == crs and not turn) or not len(gone):
            continue
        shapes = shapely.transform(lost, lambda xy: xy[:, ::-1]) if turn else lost
        there = ~_beyond_degrees(shapes, other)
        there[there] = _on_scene(shapes[there], scene, other)
        reasons[gone[there]] += f"; {words} it would lie on it"
        gone, lost = gone[~there], lost[~there]


def _on_scene(geometries: ndarray, scene: Scene, crs: CRS) -> ndarray:
    """Which geometries meet the scene, by the bounds that their vertices have there."""
    height, width = scene.shape
    bounds = shapely.bounds(scene.to_px(_boxes(geometries), crs))
    known = np.isfinite(bounds).all(axis=1)
    met = np.zeros(len(geometries), bool)
    met[known] = shapely.intersects(shapely.box(*bounds[known].T), shapely.box(0, 0, width, height))
    return met


def _boxes(geometries: ndarray) -> ndarray:
    """Bounds as geometries; points stay what they are."""
    return np.asarray(shapely.envelope(geometries), object)


def _beyond_degrees(geometries: ndarray, crs: CRS) -> ndarray:
    """True for geometries with coordinates that no longitude and latitude has."""
    if not crs.is_geographic:
        return np.zeros(len(geometries), bool)
    quarter = np.pi / 2 / (crs.axis_info[0].unit_conversion_factor or np.pi / 180)
    x0, y0, x1, y1 = np.abs(shapely.bounds(geometries)).T
    return (np.maximum(x0, x1) > 4 * quarter * SLACK) | (np.maximum(y0, y1) > quarter * SLACK)


def crs_name(crs: CRS | None) -> str:
    """A CRS by its authority's code, else by its name."""
    return "none" if crs is None else ":".join(crs.to_authority() or ()) or crs.name


def frame_of(crs: Any, geometries: ndarray, scene: Scene, *, assumed: str | None = None) -> CRS | str | None:
    """The frame of coordinates given in `crs`: a CRS, ``"px"``, or the scene's own where nothing is said.

    Raises
    ------
    PromptError
        If the CRS is not known; if the scene has none but the prompts do; if nothing is said and the coordinates do not
        reach the scene when read in the scene's CRS; or if they are said or `assumed` to be degrees and are none.
    """
    if isinstance(crs, str) and crs.lower() == PIXELS:
        return PIXELS
    if crs is None:
        return _assumed(geometries, scene)
    if scene.crs is None:
        raise PromptError(
            f"prompts in {crs} for scene {scene.name!r}, which has no CRS",
            expected="coordinates in pixels of the scene",
            hint=f'say crs="{PIXELS}" and give pixels: x right, y down, from the top left corner',
        )
    known = crs_from(crs)
    _check_degrees(known, geometries, assumed)
    return known


def _check_degrees(crs: CRS, geometries: ndarray, assumed: str | None) -> None:
    """Refuse prompts none of which can be in degrees, as they should be."""
    rows = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries)) & _finite(geometries)
    if not rows.any() or not _beyond_degrees(geometries[rows], crs).all():
        return
    x0, y0, x1, y1 = shapely.total_bounds(geometries[rows])
    raise PromptError(
        f"prompts that range over x {x0:g} to {x1:g}, y {y0:g} to {y1:g}, which are no degrees",
        expected=f"longitude and latitude, since {assumed or f'their CRS is {crs_name(crs)}'}",
        hint=f"name the right CRS: {PROMPTS.crs}",
    )


def crs_from(crs: Any) -> CRS:
    """A `pyproj.CRS` from anything that names one."""
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise PromptError(f"crs={crs!r}", expected='a CRS such as "EPSG:4326"') from error


def _assumed(geometries: ndarray, scene: Scene) -> CRS | str | None:
    """The scene's own CRS, if the coordinates then reach the scene; pixels, if the scene has no CRS."""
    if scene.crs is None:
        return PIXELS
    rows = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries)) & _finite(geometries)
    if not rows.any():
        return scene.crs
    height, width = scene.shape
    placed = scene.to_px(_boxes(geometries[rows]), scene.crs)
    if shapely.intersects(shapely.box(*shapely.total_bounds(placed)), shapely.box(0, 0, width, height)):
        return scene.crs
    x0, y0, x1, y1 = shapely.total_bounds(geometries[rows])
    raise PromptError(
        f"prompts without a CRS that range over x {x0:g} to {x1:g}, y {y0:g} to {y1:g}",
        expected=f"a CRS, or coordinates in that of scene {scene.name!r} ({crs_name(scene.crs)})",
        hint=f'name the CRS, such as crs="EPSG:4326" (command line: --prompts-crs EPSG:4326); {PIXELS} for pixels',
    )
