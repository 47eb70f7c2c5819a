"""Where an array lies: by the transform that it declares, else by its coordinates; contradictions are refused.

Libraries write the place of an array in several ways: a CF grid mapping with ``GeoTransform`` or ``gcps`` (rioxarray,
odc-geo), ``attrs["transform"]`` (stackstac, older xarray), and coordinates along the dimensions, which are centres of
pixels by the CF conventions and corners by stackstac's default. The declared transform says which; where an array was
cropped it is that of the whole, and the coordinates say which part is left.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from geosam.errors import SceneError
from geosam.scene.place import Place, from_points, settle
from geosam.scene.reproject import parse_crs, same_place

EPSG = ("epsg", "proj:epsg")
"""Names of scalar coordinates that hold an EPSG code (stackstac)."""

SKEWED = ("xc", "yc")
"""2-D coordinates of centres beside a rotated transform (rioxarray)."""

PHASE = 0.05
"""How far a coordinate may be from a corner or a centre of the declared grid, in pixels."""

UNEVEN = 0.1
"""How far a coordinate may be from an even spacing, in pixels."""


@dataclass(frozen=True)
class Axis:
    """Coordinates along one dimension: the first, the step (NaN for one alone), their number, and their rounding."""

    first: float
    step: float
    size: int
    blur: float

    def begin(self, origin: float, step: float) -> tuple[float, int] | None:
        """Where the array begins on a declared grid, in its pixels, and which way it goes; None if it is of another.

        Coordinates are centres or corners of declared pixels, whichever they meet; rounded ones are centres.
        """
        way = -1 if self.step * step < 0 else 1
        if self.size > 1 and abs(self.step / step - way) * self.size > 1 / 2 + 2 * self.blur / abs(step):
            return None
        place = (self.first - origin) / step
        fuzz = max(PHASE, self.blur / abs(step))
        if fuzz < 1 / 4 and abs(place - round(place)) <= fuzz:
            pixel = round(place)
        elif fuzz >= 1 / 4 or abs(place - np.floor(place) - 1 / 2) <= fuzz:
            pixel = int(np.floor(place))
        else:
            return None
        return None if pixel < 0 else (float(pixel + (way < 0)), way)

    def coarser(self, step: float) -> bool:
        """Whether it goes in whole steps of a declared grid, as after averaging or taking every n-th pixel."""
        ratio = abs(self.step / step) if self.size > 1 else 1.0
        return ratio > 3 / 2 and abs(ratio - round(ratio)) * self.size <= 1 / 2


def place_of_array(name: str, bands: Any) -> Place:
    """Where a DataArray with dimensions ``band, y, x`` lies; `name` is for messages.

    Raises
    ------
    SceneError
        If its coordinates are unevenly spaced, or contradict the transform that it declares.
    """
    grid = _grid_mapping(bands)
    wkt, declared, shape = _wkt(name, bands, grid), _declared(name, bands, grid), bands.shape[1:]
    told = [transform for transform in declared if not transform.is_identity]
    y, x = (_axis(name, bands, dim) for dim in bands.dims[1:])
    if "gcps" in grid and not told:
        return _control_points(name, grid["gcps"], wkt, (x, y), shape)
    if told and set(SKEWED) <= set(bands.coords):
        return settle(name, _skewed(name, told[0], bands), wkt, shape)
    if told and x and y:
        transform, notes = _agreed(name, told, x, y)
        return settle(name, transform, wkt, shape, notes)
    if told:
        return settle(name, told[0], wkt, shape)
    swath = any(bands.coords[key].ndim == 2 for key in bands.coords if bands.coords[key].dims == bands.dims[1:])
    notes = ("the places in its 2-D coordinates are not used: resample it to a grid first",) if swath else ()
    pixels = x and y and x.step == y.step == 1 and (bool(declared) or swath or {x.first, y.first} <= {0, 0.5})
    if x is None or y is None or (pixels and (wkt or swath)):
        return settle(name, Affine.identity(), wkt, shape, notes)
    transform, more = _of_coordinates(name, bands, x, y)
    return settle(name, transform, wkt, shape, (*notes, *more))


def _agreed(name: str, told: list[Affine], x: Axis, y: Axis) -> tuple[Affine, tuple[str, ...]]:
    """The declared transform, moved to the part of its grid that the coordinates are of."""
    found = [place for transform in told if (place := _part(transform, x, y)) is not None]
    if found and (~found[0] @ found[-1]).almost_equals(Affine.identity(), PHASE):
        return found[0], ()
    one = told[0]
    along, down = x.begin(one.c, one.a), y.begin(one.f, one.e)
    if not found and not (one.b or one.d) and (along or x.coarser(one.a)) and (down or y.coarser(one.e)):
        note = f"it declares pixels of {abs(one.a):g}; its coordinates, {abs(x.step):g} apart, count, as centres"
        return _of_centres(x, y), (note,)
    raise SceneError(
        f"{name} declares the transform {tuple(told[0])[:6]}"
        + (f" and {tuple(told[-1])[:6]}" if len(told) > 1 else "")
        + f", but has coordinates from {x.first:.10g}, {y.first:.10g} in steps of {x.step:g}, {y.step:g}",
        expected="one grid",
        hint="drop what is not right, as with `array.rio.write_transform()` or `del array.attrs['transform']`",
    )


def _part(told: Affine, x: Axis, y: Axis) -> Affine | None:
    """The part of a declared grid that coordinates are of; of a rotated one they can only be numbers of pixels."""
    frame = told if not (told.b or told.d) else Affine.identity()
    along, down = x.begin(frame.c, frame.a), y.begin(frame.f, frame.e)
    if along is None or down is None:
        return None
    return told @ Affine.translation(along[0], down[0]) @ Affine.scale(along[1], down[1])


def _skewed(name: str, told: Affine, bands: Any) -> Affine:
    """The part of a rotated grid that is left, by the 2-D coordinates of its pixels' centres."""
    x, y = (bands.coords[key].values for key in SKEWED)
    left, top = np.array(~told @ (x[0, 0], y[0, 0])) - 1 / 2
    right, bottom = np.array(~told @ (x[-1, -1], y[-1, -1])) + 1 / 2
    if np.abs([right - left - bands.shape[2], bottom - top - bands.shape[1]]).max() > 1 / 2:
        raise SceneError(
            f"{name} declares the transform {tuple(told)[:6]}, but its coordinates {SKEWED} are of another grid",
            expected="one grid",
            hint="take every pixel, or reproject it first",
        )
    return told @ Affine.translation(round(left), round(top))


def _of_coordinates(name: str, bands: Any, x: Axis, y: Axis) -> tuple[Affine, tuple[str, ...]]:
    """The transform of coordinates that are centres; a single row or column is taken to be of square pixels."""
    said = np.ravel(bands.attrs.get("res", bands.attrs.get("resolution", [])))
    if x.size > 1 and y.size > 1:
        blur = max(x.blur / abs(x.step), y.blur / abs(y.step))
        rounded = (f"its coordinates are rounded to {blur:.2g} px: places may be off by as much",)
        return _of_centres(x, y), rounded if blur > PHASE else ()
    if said.size in (1, 2) and said.dtype.kind in "iuf":
        wide, high = float(said[0]), float(said[-1])
    else:
        wide, high = abs(y.step), abs(x.step)
    if x.size == y.size == 1 and not np.isfinite(wide):
        raise SceneError(
            f"{name} is one pixel whose coordinates do not say how large it is",
            expected="a transform",
            hint="write it before the array is cropped, as with `array.rio.write_transform()`",
        )
    note = "it has one row or column, whose pixels are taken to be square" if not said.size else ""
    x = x if x.size > 1 else replace(x, step=wide)
    y = y if y.size > 1 else replace(y, step=-high)
    return _of_centres(x, y), (note,) if note else ()


def _of_centres(x: Axis, y: Axis) -> Affine:
    return Affine(x.step, 0, x.first - x.step / 2, 0, y.step, y.first - y.step / 2)


def _axis(name: str, bands: Any, dim: str) -> Axis | None:
    """The coordinates along a dimension; None without them."""
    if dim not in bands.coords:
        return None
    stored = bands.coords[dim].values
    if stored.dtype.kind not in "iuf" or not np.isfinite(stored).all():
        raise SceneError(f"{name} has coordinates {dim} that are not numbers", expected="evenly spaced pixels")
    blur = float(np.spacing(np.abs(stored).max())) if stored.dtype.kind == "f" else 0.0
    places = stored.astype(float)
    if len(places) < 2:
        return Axis(float(places[0]), float("nan"), 1, blur)
    step = float(places[-1] - places[0]) / (len(places) - 1)
    even = places[0] + step * np.arange(len(places))
    if step == 0 or np.abs(places - even).max() > max(UNEVEN * abs(step), 2 * blur):
        raise SceneError(f"{name} has coordinates {dim} of unequal steps", expected="evenly spaced pixels")
    return Axis(float(places[0]), step, len(places), blur)


def _grid_mapping(bands: Any) -> Mapping[str, Any]:
    """Attributes of the CF grid mapping: of the coordinate that is named as such, else of one that looks like it."""
    named = bands.encoding.get("grid_mapping", bands.attrs.get("grid_mapping", "spatial_ref"))
    if named in bands.coords:
        return bands.coords[named].attrs
    like = ("crs_wkt", "spatial_ref", "grid_mapping_name")
    found = [at.attrs for at in bands.coords.values() if at.ndim == 0 and any(key in at.attrs for key in like)]
    return found[0] if found else {}


def _wkt(name: str, bands: Any, grid: Mapping[str, Any]) -> str:
    """The CRS that a grid mapping, attributes and EPSG codes among the coordinates agree on; empty if none says any.

    Raises
    ------
    SceneError
        If they contradict each other.
    """
    told = [parse_crs(crs) for crs in _crs_told(bands, grid)]
    for other in told[1:]:
        if not same_place(told[0], other):
            raise SceneError(
                f"{name} declares the CRSs {told[0].name} and {other.name}",
                expected="one CRS",
                hint="drop what is not right, as with `array.rio.write_crs()` or `del array.attrs['crs']`",
            )
    return told[0].to_wkt() if told else ""


def _crs_told(bands: Any, grid: Mapping[str, Any]) -> Iterator[Any]:
    """Whatever an array says of its CRS, what counts most first."""
    if crs := grid.get("crs_wkt") or grid.get("spatial_ref"):
        yield crs
    elif "grid_mapping_name" in grid:
        with suppress(CRSError, KeyError):
            yield CRS.from_cf(dict(grid))
    if crs := bands.attrs.get("crs"):
        yield crs
    codes = [bands.coords[key].values for key in EPSG if key in bands.coords and bands.coords[key].ndim == 0]
    yield from (int(code) for code in codes if str(code).isdigit())


def _declared(name: str, bands: Any, grid: Mapping[str, Any]) -> list[Affine]:
    """The transforms that an array declares."""
    found = []
    try:
        if "GeoTransform" in grid:
            found.append(Affine.from_gdal(*map(float, str(grid["GeoTransform"]).split())))
        if np.size(bands.attrs.get("transform")) in (6, 9):
            found.append(Affine(*map(float, tuple(bands.attrs["transform"])[:6])))
    except (TypeError, ValueError) as error:
        raise SceneError(f"{name} declares a transform that cannot be read ({error})", expected="six numbers") from None
    odd = [tuple(one)[:6] for one in found if not np.isfinite(tuple(one)).all() or one.is_degenerate]
    if odd:
        raise SceneError(f"{name} declares the transform {odd[0]}", expected="one that can be inverted")
    return found


def _control_points(
    name: str, text: str, wkt: str, axes: tuple[Axis | None, Axis | None], shape: tuple[int, int]
) -> Place:
    """Ground control points as rioxarray keeps them, GeoJSON with row and column; of a cropped array they move."""
    (x, y), features = axes, json.loads(text)["features"]
    pixels = [(float(one["properties"]["col"]), float(one["properties"]["row"])) for one in features]
    world = [tuple(map(float, one["geometry"]["coordinates"][:2])) for one in features]
    if x and y and x.step > 0 and y.step > 0:  # numbers of pixels of the whole
        pixels = [~_of_centres(x, y) @ pixel for pixel in pixels]
    place = from_points(name, tuple((left, top) for left, top in pixels), world, wkt)
    if (x and y) or not np.any(np.max(pixels, axis=0) > np.array(shape[::-1]) + 1):
        return place
    note = "its control points lie beyond it: if it is cut from a larger one, its place is wrong"
    return replace(place, notes=(*place.notes, note))
