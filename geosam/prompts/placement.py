"""From the world to the pixels of a scene: geometries repaired, placed and clipped, each refusal with its reason."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy import ndarray
from pyproj import CRS
from pyproj.exceptions import CRSError

from geosam.errors import PromptError
from geosam.scene import Scene

PIXELS = "px"
"""The frame to name instead of a CRS for coordinates in pixels of the scene."""

LEAST_AREA_PX = 0.01
"""Polygons and boxes with less area than that, in square pixels, are refused."""

NOT_PLACED = "its coordinates have no place in the scene's CRS"


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


def place(geometries: ndarray, scene: Scene, crs: CRS | str | None) -> Placed:
    """Repair geometries, bring them to the pixels of `scene` and clip them to it.

    Parameters
    ----------
    geometries
        Object array of n shapely geometries or None.
    scene
        The scene to place them on.
    crs
        What the coordinates mean: a CRS, or ``"px"``.
    """
    reasons = np.full(len(geometries), "", object)
    sound = _sound(geometries, reasons)
    _move(sound, reasons, scene, crs)
    _clip(sound, reasons, scene)
    surfaces = shapely.get_dimensions(sound) == 2
    _refuse(reasons, surfaces & (shapely.area(sound) < LEAST_AREA_PX), f"it covers less than {LEAST_AREA_PX} pixels")
    sound[reasons != ""] = None
    if isinstance(crs, CRS):
        _hint_at_swap(geometries, reasons, scene, crs)
    return Placed(sound, reasons)


def _sound(geometries: ndarray, reasons: ndarray) -> ndarray:
    """Plane, non-empty, valid geometries of one dimension each; a reason for every one that cannot be made so."""
    sound = shapely.force_2d(geometries)
    _refuse(reasons, shapely.is_missing(sound), "it has no geometry")
    _refuse(reasons, ~_finite(sound), "it has coordinates that are not finite numbers")
    _refuse(reasons, shapely.is_empty(sound), "its geometry is empty")
    usable = reasons == ""
    dimensions = shapely.get_dimensions(sound)
    broken = usable & ~shapely.is_valid(sound)
    sound[broken] = shapely.make_valid(sound[broken])
    _keep_dimension(sound, dimensions, usable)
    _refuse(reasons, shapely.is_empty(sound), "its geometry has no area")
    return sound


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


def _hint_at_swap(geometries: ndarray, reasons: ndarray, scene: Scene, crs: CRS) -> None:
    """Add to the reasons of what lies outside if it would lie on the scene with x and y the other way round."""
    gone = np.flatnonzero(["outside scene" in reason or reason == NOT_PLACED for reason in reasons])
    turned = shapely.transform(geometries[gone], lambda xy: xy[:, ::-1])
    height, width = scene.shape
    swapped = shapely.intersects(scene.to_px(turned, crs), shapely.box(0, 0, width, height))
    reasons[gone[swapped]] += "; with x and y swapped it would lie on it"


def frame_of(crs: Any, geometries: ndarray, scene: Scene) -> CRS | str | None:
    """The frame of coordinates given in `crs`: a CRS, ``"px"``, or the scene's own where nothing is said.

    Raises
    ------
    PromptError
        If the CRS is not known; if the scene has none but the prompts do; or if nothing is said and the coordinates do
        not reach the scene when read in the scene's CRS.
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
    return crs_from(crs)


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
    placed = scene.to_px(geometries[rows], scene.crs)
    if shapely.intersects(shapely.box(*shapely.total_bounds(placed)), shapely.box(0, 0, width, height)):
        return scene.crs
    x0, y0, x1, y1 = shapely.total_bounds(geometries[rows])
    raise PromptError(
        f"prompts without a CRS that range over x {x0:g} to {x1:g}, y {y0:g} to {y1:g}",
        expected=f"a CRS, or coordinates in that of scene {scene.name!r} ({scene.crs.to_string()})",
        hint=f'name the CRS, such as crs="EPSG:4326" (command line: --prompts-crs); crs="{PIXELS}" for pixels',
    )
