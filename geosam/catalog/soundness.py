"""Whether a STAC item is sound: what is wrong with it, in a line, and the values of one that is."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

import shapely
from shapely.geometry.base import BaseGeometry

from geosam.catalog.items import moment
from geosam.catalog.selection import Selection
from geosam.errors import CatalogError, OptionError

_RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff", "image/png", "image/jpeg")
_RASTER_ENDINGS = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg")
_USUAL = ("visual", "image", "data")
_SIDE_ROLES = {"thumbnail", "overview", "metadata", "labels"}

_MOST_LON, _MOST_LAT = 360.0, 90.0
"""Degrees; a footprint that crosses the antimeridian may go on beyond 180."""

_SLACK = 1e-6


def check_kind(item: Any) -> None:
    """Check that some JSON is a STAC item, as far as that does not depend on what is asked for.

    Raises
    ------
    CatalogError
        If it is not, or a field that it has to have is absent or of another type.

    Examples
    --------
    >>> check_kind({"type": "Feature", "id": 7, "properties": {}, "assets": {}})
    Traceback (most recent call last):
    geosam.errors.CatalogError: an item with the id 7: expected text
    """
    if not isinstance(item, Mapping):
        raise CatalogError(f"a {type(item).__name__} among STAC items", expected="an item")
    name = item.get("id")
    if not isinstance(name, str) or not name.strip():
        problem = f"an item with the id {name!r:.40}" if "id" in item else "an item without id"
        raise CatalogError(problem, expected="text")
    if item.get("type", "Feature") != "Feature":
        raise CatalogError(f"{_told(item)} is of the type {item['type']!r:.40}", expected="'Feature', a STAC item")
    version = item.get("stac_version", "1.0.0")
    if not (isinstance(version, str) and re.match(r"[01]\.\d", version)):
        raise CatalogError(f"{_told(item)} has the stac_version {version!r:.40}", expected="one such as '1.0.0'")
    for field, kind, needed in _FIELDS:
        if (field in item or needed) and not isinstance(item.get(field), kind):
            had = f"{type(item[field]).__name__} as {field}" if field in item else f"no {field}"
            raise CatalogError(f"{_told(item)} has {had}", expected=f"{_KINDS[kind]}, as in STAC")


_FIELDS: tuple[tuple[str, Any, bool], ...] = (
    ("properties", Mapping, True),
    ("assets", Mapping, True),
    ("links", list, False),
    ("stac_extensions", list, False),
)
_KINDS = {Mapping: "an object with names and values", list: "a list"}


def properties_of(item: Any) -> dict[str, Any]:
    """The properties of an item, sound or not; empty if it has none."""
    found = item.get("properties") if isinstance(item, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def timed(item: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """First and last moment of an item.

    Raises
    ------
    CatalogError
        If it has no ``datetime`` and not both ends of an interval, one is no time, or the last comes first.
    """
    given = properties_of(item)
    first, last = (given.get(name) or given.get("datetime") for name in ("start_datetime", "end_datetime"))
    for value in (first, last, given.get("datetime")):
        if value is not None and moment(value) is None:
            raise CatalogError(f"{_told(item)} has the time {value!r:.60}", expected="one such as 2024-06-30T10:00:00Z")
    begin, end = moment(first), moment(last)
    if begin is None or end is None:
        raise CatalogError(f"{_told(item)} has no datetime", expected="one, or start_datetime and end_datetime")
    if begin > end:
        raise CatalogError(f"{_told(item)} ends at {end.isoformat()}", expected=f"an end after {begin.isoformat()}")
    return begin, end


def placed(item: Mapping[str, Any]) -> BaseGeometry | None:
    """Footprint of an item in longitude and latitude; None if it tells none.

    Raises
    ------
    CatalogError
        If its geometry cannot be built, or it or the ``bbox`` does not lie on the earth.
    """
    geometry, box = item.get("geometry"), item.get("bbox")
    if box is not None:
        numbers = [_number(value) for value in box] if isinstance(box, list | tuple) else []
        half = len(numbers) // 2
        if len(numbers) not in (4, 6) or not _on_earth(numbers[:2], numbers[half : half + 2]):
            problem = f"{_told(item)} has the bbox {box!r:.80}"
            raise CatalogError(problem, expected="west, south, east, north in degrees")
    if geometry is None:
        return None
    try:
        shape = shapely.geometry.shape(geometry)
        bounds = shape.bounds
        sound = shape.is_empty or _on_earth(bounds[:2], bounds[2:])
        whole = shape if shape.is_valid else shapely.make_valid(shape)
    except Exception as error:  # shapely raises whatever the values provoke
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        problem = f"{_told(item)} has a geometry that cannot be built ({reason})"
        raise CatalogError(problem, expected="GeoJSON") from error
    if not sound:
        raise CatalogError(f"{_told(item)} has a geometry at {bounds}", expected="longitude and latitude")
    return None if whole.is_empty else whole


def choose_assets(item: Mapping[str, Any], selection: Selection) -> list[Any]:
    """Addresses of the assets that are asked for, else of the one that is the scene.

    Raises
    ------
    OptionError
        If none is asked for, and several could be meant.
    CatalogError
        If the item lacks one that is asked for, has none that is a raster, or one of them has no address.
    """
    assets = {name: asset for name, asset in item["assets"].items() if isinstance(asset, Mapping)}
    for name in selection.assets:
        if name not in assets:
            had = ", ".join(map(str, assets)) or "no asset"
            raise CatalogError(f"asset {name} of {_told(item)}", expected=f"one that it has: {had}")
    chosen = selection.assets or _only(item, assets)
    for name in chosen:
        if not isinstance(href := assets[name].get("href"), str) or not href.strip():
            raise CatalogError(f"asset {name} of {_told(item)} has the href {href!r:.40}", expected="an address")
    return [assets[name]["href"] for name in chosen]


def _only(item: Mapping[str, Any], assets: Mapping[str, Any]) -> list[str]:
    """Name of the one asset that can be meant."""
    rasters = [name for name, asset in assets.items() if _is_raster(asset)]
    chosen = rasters if len(rasters) == 1 else [name for name in _USUAL if name in rasters][:1]
    if chosen:
        return chosen
    if not assets:
        raise CatalogError(f"{_told(item)} has no asset", expected="one that is a raster")
    raise OptionError(
        f"{_told(item)} with the rasters {', '.join(map(str, rasters)) or 'none'}",
        expected="the asset that is the scene",
        hint="name it: asset=... (command line: --asset); three names with commas give three bands",
    )


def _is_raster(asset: Mapping[str, Any]) -> bool:
    roles, kind, href = (asset.get(name) for name in ("roles", "type", "href"))
    if isinstance(roles, list | tuple) and not _SIDE_ROLES.isdisjoint(map(str, roles)):
        return False
    kind = kind.split(";")[0].strip().lower() if isinstance(kind, str) else ""
    return kind in _RASTER_TYPES or (not kind and _ending(href) in _RASTER_ENDINGS)


def _ending(href: Any) -> str:
    try:
        return PurePosixPath(urlparse(href).path).suffix.lower() if isinstance(href, str) else ""
    except ValueError:  # no address
        return ""


def _on_earth(low: Any, high: Any) -> bool:
    """Whether two corners lie on the earth, the first one south of the second; a box may cross the antimeridian."""
    numbers = (*low, *high)
    return (
        all(math.isfinite(one) for one in numbers)
        and max(abs(numbers[0]), abs(numbers[2])) <= _MOST_LON + _SLACK
        and -_MOST_LAT - _SLACK <= numbers[1] <= numbers[3] <= _MOST_LAT + _SLACK
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _told(item: Mapping[str, Any]) -> str:
    return f"item {str(item.get('id'))[:80]!r}"
