"""Maps of a catalog as SVG: footprints coloured by status, longitude and latitude, true to scale at the middle."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry.base import BaseGeometry

from geosam.catalog.footprints import from_geojson
from geosam.catalog.manifest import DONE, FAILED, OUTSIDE, Row

PENDING = "pending"
"""Status of a scene that no attempt has been made at with the present parameters."""

COLOURS = {DONE: "#2a9d8f", FAILED: "#d62828", OUTSIDE: "#adb5bd", PENDING: "#f4a261"}

MAP_PX, PLACE_PX = (960, 480), (310, 210)
"""The most that the map of all scenes takes, and that of one place."""

MARGIN_PX = 24
DOT_PX = 5
"""Radius of the dot that stands for a footprint too small to be seen."""

LABEL_PX = 75
"""Room for the degrees of a line, and so the least distance of two lines."""

SPECK_PX2 = 2.0
"""Area of a ring too small to be drawn, such as the hole that a single pixel without data leaves."""

MOST_PLACES = 24

Seen = tuple[Row, BaseGeometry]


def draw_maps(rows: Sequence[Row], footprints: Mapping[str, Any]) -> str:
    """A map of all scenes, and one of each place where these lie too far apart to be seen on one.

    Parameters
    ----------
    rows
        The scenes.
    footprints
        GeoJSON by name; scenes without are left out.

    Returns
    -------
    str
        HTML that needs nothing beside it.
    """
    seen = [(row, place) for row in rows if (place := from_geojson(footprints.get(row.name))) and not place.is_empty]
    if not seen:
        return "<p>No scene has a place on the map.</p>"
    unplaced = len(rows) - len(seen)
    note = f"<p>{unplaced} of {len(rows)} scenes have no place on the map (yet).</p>" if unplaced else ""
    return f"{_draw(seen, MAP_PX)}{note}{_draw_places(seen)}"


def _draw_places(seen: Sequence[Seen]) -> str:
    """A map of each place, unless one map shows them all."""
    frame = Frame.around([shape for _, shape in seen], MAP_PX)
    if not any(frame.is_dot(shape) for _, shape in seen):
        return ""
    places = sorted(group_by_place(seen), key=len, reverse=True)
    figures = []
    for place in places[:MOST_PLACES]:
        more = f" and {len(place) - 1} more" if len(place) > 1 else ""
        told = f"<figcaption>{html.escape(place[0][0].name)}{more}</figcaption>"
        figures.append(f"<figure>{_draw(place, PLACE_PX)}{told}</figure>")
    rest = len(places) - len(figures)
    return f"<div>{''.join(figures)}</div>" + (f"<p>… and {rest} more places.</p>" if rest else "")


def group_by_place(seen: Sequence[Seen]) -> list[list[Seen]]:
    """Scenes that lie no farther from one another than they are large, together."""
    x0, y0, x1, y1 = shapely.bounds([shape for _, shape in seen]).T
    reach = np.maximum(x1 - x0, y1 - y0) / 2
    boxes = shapely.box(x0 - reach, y0 - reach, x1 + reach, y1 + reach)
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    _, place = connected_components(coo_array((np.ones(pairs.shape[1]), pairs), shape=(len(seen), len(seen))))
    return [[seen[index] for index in np.flatnonzero(place == number).tolist()] for number in range(place.max() + 1)]


@dataclass(frozen=True)
class Frame:
    """Longitude and latitude → pixels of a picture with a margin.

    Attributes
    ----------
    bounds
        ``west, south, east, north`` of what is shown.
    scale
        Pixels in a degree of longitude and of latitude.
    """

    bounds: tuple[float, float, float, float]
    scale: tuple[float, float]

    @classmethod
    def around(cls, shapes: Sequence[BaseGeometry], most_px: tuple[int, int]) -> "Frame":
        """The frame in which some shapes fill a picture of at most `most_px`."""
        west, south, east, north = shapely.total_bounds(shapes).tolist()
        squeeze = max(0.05, math.cos(math.radians((south + north) / 2)))
        width, height = max((east - west) * squeeze, 1e-6), max(north - south, 1e-6)
        scale = min((most_px[0] - 2 * MARGIN_PX) / width, (most_px[1] - 2 * MARGIN_PX) / height)
        return cls((west, south, east, north), (scale * squeeze, scale))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture."""
        west, south, east, north = self.bounds
        return (east - west) * self.scale[0] + 2 * MARGIN_PX, (north - south) * self.scale[1] + 2 * MARGIN_PX

    def to_px(self, lonlat: np.ndarray) -> np.ndarray:
        """Pixels ``(x, y)`` of positions."""
        return (lonlat - (self.bounds[0], self.bounds[3])) * (self.scale[0], -self.scale[1]) + MARGIN_PX

    def is_dot(self, shape: BaseGeometry) -> bool:
        """Whether a shape is too small to be seen."""
        x0, y0, x1, y1 = shape.bounds
        return bool(max((x1 - x0) * self.scale[0], (y1 - y0) * self.scale[1]) < DOT_PX)


def _draw(seen: Sequence[Seen], most_px: tuple[int, int]) -> str:
    frame = Frame.around([shape for _, shape in seen], most_px)
    width, height = frame.size
    shapes = "".join(_draw_scene(frame, row, shape) for row, shape in seen)
    west, south, east, north = frame.bounds
    told = f"Map of scenes, {south:.4f}° to {north:.4f}° north, {west:.4f}° to {east:.4f}° east"
    view = f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width: {width:.0f}px"'
    lines, labels = _draw_degrees(frame)
    return f'<svg {view} role="img" aria-label="{told}">{lines}{shapes}{labels}</svg>'


def _draw_scene(frame: Frame, row: Row, shape: BaseGeometry) -> str:
    objects = f", {row.objects:,} objects" if row.status == DONE else ""
    told = f"<title>{html.escape(f'{row.name}: {row.status}{objects}')}</title>"
    if frame.is_dot(shape):
        x, y = frame.to_px(shapely.get_coordinates(shape.centroid))[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT_PX}" fill="{COLOURS[row.status]}">{told}</circle>'
    rings = [ring for part in shapely.get_parts(shape) for ring in shapely.get_rings(part)]
    corners = [xy for ring in rings if _area(xy := frame.to_px(shapely.get_coordinates(ring))) > SPECK_PX2]
    path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy) + "Z" for xy in corners)
    return f'<path d="{path}" fill="{COLOURS[row.status]}">{told}</path>'


def _area(ring: np.ndarray) -> float:
    return float(shapely.area(shapely.polygons(ring)))


def _draw_degrees(frame: Frame) -> tuple[str, str]:
    """Lines of longitude and latitude, and their degrees."""
    west, south, east, north = frame.bounds
    width, height = frame.size
    step = _round_step(LABEL_PX / min(frame.scale))
    digits = max(0, -int(np.floor(np.log10(step))))
    lines, labels = [], []
    for lon in np.arange(np.ceil(west / step), east / step) * step:
        x = frame.to_px(np.array([[lon, south]]))[0, 0]
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height:.0f}"/>')
        if x + LABEL_PX < width:
            labels.append(f'<text x="{x + 3:.1f}" y="{height - 5:.0f}">{abs(lon):.{digits}f}°{_side(lon, "EW")}</text>')
    for lat in np.arange(np.ceil(south / step), north / step) * step:
        y = frame.to_px(np.array([[west, lat]]))[0, 1]
        lines.append(f'<line x1="0" x2="{width:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        labels.append(f'<text x="3" y="{y - 3:.1f}">{abs(lat):.{digits}f}°{_side(lat, "NS")}</text>')
    return "".join(lines), "".join(labels)


def _side(degrees: float, names: str) -> str:
    return names[int(degrees < 0)] if abs(degrees) > 1e-9 else ""


def _round_step(least: float) -> float:
    """The first of 1, 2, 5, 10, 20 … (and of their tenths, hundredths …) that is not below a step.

    Examples
    --------
    >>> _round_step(0.03), _round_step(17.0)
    (0.05, 20.0)
    """
    power = 10.0 ** np.floor(np.log10(least))
    return next(round(float(one * power), 12) for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))
