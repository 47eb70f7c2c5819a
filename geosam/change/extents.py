"""How far water, fire or a landslide reached: from spectral indices, from radar, or from outlines on both dates.

An extent is the ground that an event took: what shows it after, less what showed it before and what always does.
Indices are computed of source values; thresholds are published ones, or found on the scene (Otsu 1979).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rasterio.features import shapes, sieve

from geosam.change.indices import BURN_CLASSES, BURNED, INDICES, METHODS, check_bands, normalized_difference, otsu
from geosam.change.pair import Pair, tiles
from geosam.errors import OptionError
from geosam.polygons.measure import measure

TILE = 1024
BINS = 512
"""Steps in which values are counted to find a threshold."""

MMU_M2 = 400.0
"""Minimum mapping unit: smaller patches, and smaller holes, are no part of a map of an event."""

GREENNESS_LOST = 0.2
"""Fall of NDVI from which vegetation counts as lost, to a slide for instance."""

SAR_DROP_DB = 3.0
"""Fall of backscatter from which smooth water is assumed: half of the power."""


@dataclass(frozen=True, eq=False)
class Extent:
    """An event's extent.

    Attributes
    ----------
    frame
        Polygons with ``event, class, method, area_ha, confidence``.
    facts
        How it was found: method, thresholds, how well they part the values.
    """

    frame: gpd.GeoDataFrame
    facts: Mapping[str, Any]


COLUMNS = {
    "extent_id": "int64",
    "event": "str",
    "class": "str",
    "method": "str",
    "area_ha": "float64",
    "confidence": "float32",
}
"""Columns of extents, in order; `geometry` follows."""


def index_extent(
    pair: Pair, method: str, *, bands: Mapping[str, int] | None = None, mmu_m2: float | int = MMU_M2
) -> Extent:
    """Find an event's extent by an index, or by a fall of backscatter.

    Parameters
    ----------
    pair
        Scenes opened with the bands in question, of which `bands` says which is which.
    method
        One of `METHODS`.
    bands
        Colour → place among the scenes' chosen bands, from 0; None: what a scene of ``bands="nir,red,green"`` has.
    mmu_m2
        Minimum mapping unit in m²: smaller patches and holes are left out.

    Raises
    ------
    OptionError
        If the method is not known, or a band that it needs is not among those given.
    """
    if method not in METHODS:
        raise OptionError(f"extent method {method!r}", expected=", ".join(METHODS))
    value = _value_of(method, bands or {})
    facts: dict[str, Any] = {"method": method}
    if method in ("ndwi", "mndwi"):
        threshold, parted = otsu(*_histogram(pair, value))
        facts |= {"threshold": threshold, "parted": parted}
        classes, codes = ("flood",), _over_threshold(value, threshold)
    elif method == "dnbr":
        limits = [BURN_CLASSES[name][0] for name in BURNED]
        facts |= {"thresholds": limits}
        classes, codes = BURNED, _stepped(value, limits)
    else:
        least = GREENNESS_LOST if method == "dndvi" else SAR_DROP_DB
        facts |= {"threshold": least}
        classes = ("vegetation lost",) if method == "dndvi" else ("flood",)
        codes = _stepped(value, [least])
    event = "flood" if method == "sar" else INDICES[method].event
    labels, margins = _labelled(pair, codes)
    return Extent(_polygons(pair, labels, margins, (event, method, classes, mmu_m2)), facts)


Value = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Source values of both dates → the index before and after."""

Codes = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""The same → class of each pixel (0 for none) and how far it is from the limit, in units that 1 is far."""


def _value_of(method: str, bands: Mapping[str, int]) -> Value:
    if method == "sar":
        return lambda before, after: (before[0].astype(np.float64), after[0].astype(np.float64))
    index = INDICES[method]
    check_bands(method, bands)
    first, second = bands[index.first], bands[index.second]

    def value(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return normalized_difference(before[first], before[second]), normalized_difference(after[first], after[second])

    return value


def _over_threshold(value: Value, threshold: float) -> Codes:
    """Water after that was none before."""

    def codes(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = value(before, after)
        return ((second > threshold) & ~(first > threshold)).astype(np.int32), np.abs(second - threshold) / 0.3

    return codes


def _stepped(value: Value, limits: Sequence[float]) -> Codes:
    """Classes of the fall of a value from before to after."""

    def codes(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = value(before, after)
        fall = first - second
        code = np.searchsorted(limits, np.nan_to_num(fall, nan=-np.inf), side="right").astype(np.int32)
        return code, np.abs(fall - limits[0]) / max(abs(limits[0]) * 2, 1e-9)

    return codes


def _histogram(pair: Pair, value: Value) -> tuple[np.ndarray, np.ndarray]:
    """How often each value of an index occurs after, over the whole scene; the same for any tiles."""
    edges = np.linspace(-1, 1, BINS + 1)
    counts = np.zeros(BINS, np.int64)
    for window in tiles(pair.shape, TILE):
        before, after, seen = pair.values(window)
        found = value(before, after)[1][seen]
        counts += np.histogram(found[np.isfinite(found)], bins=edges)[0]
    return counts, edges


def _labelled(pair: Pair, codes: Codes) -> tuple[np.ndarray, np.ndarray]:
    """Class of each pixel of the grid, and how sure it is, in percent: five bytes a pixel."""
    labels, sure = np.zeros(pair.shape, np.int32), np.zeros(pair.shape, np.uint8)
    for window in tiles(pair.shape, TILE):
        before, after, seen = pair.values(window)
        with np.errstate(invalid="ignore"):
            code, margin = codes(before, after)
        y, x = int(window.row_off), int(window.col_off)
        part = (slice(y, y + int(window.height)), slice(x, x + int(window.width)))
        labels[part] = np.where(seen, code, 0)
        sure[part] = np.where(seen, 50 + 50 * np.clip(np.nan_to_num(margin), 0, 1), 0).astype(np.uint8)
    return labels, sure


def _polygons(
    pair: Pair, labels: np.ndarray, sure: np.ndarray, named: tuple[str, str, tuple[str, ...], float | int]
) -> gpd.GeoDataFrame:
    """Patches of one class as polygons, small ones and small holes sieved out."""
    event, method, classes, mmu_m2 = named
    size = pair.resolution_m if np.isfinite(pair.resolution_m) else 1.0
    least = max(1, round(mmu_m2 / size**2))
    sieved = sieve(labels, size=least) if least > 1 else labels
    sieved = np.where(labels.astype(bool) | (sieved > 0), sieved, 0).astype(np.int32)
    rows = []
    for outline, code in shapes(sieved, mask=sieved > 0, connectivity=4):
        polygon = shapely.geometry.shape(outline)
        if polygon.area >= least:
            rows.append((polygon, int(code)))
    outlines = np.array([row[0] for row in rows], object)
    confidence = [_mean_inside(sure, sieved, polygon, code) for polygon, code in rows]
    return extent_frame(
        pair,
        outlines,
        event=event,
        classes=[classes[code - 1] for _, code in rows],
        method=method,
        confidence=confidence,
    )


def _mean_inside(sure: np.ndarray, labels: np.ndarray, polygon: Any, code: int) -> float:
    """Mean certainty of a patch's pixels, thinned out where it is large."""
    x0, y0, x1, y1 = (int(v) for v in polygon.bounds)
    step = 1 + max(x1 - x0, y1 - y0) // 1024
    part = (slice(y0, y1, step), slice(x0, x1, step))
    inside = labels[part] == code
    return float(sure[part][inside].mean()) / 100 if inside.any() else 0.5


def outline_extent(
    pair: Pair,
    after_px: np.ndarray,
    less_px: np.ndarray,
    *,
    event: str,
    scores: Any,
    mmu_m2: float | int = MMU_M2,
    method: str = "outlines",
) -> Extent:
    """An event's extent from outlines: those on the date after, less what showed it before or always does.

    Parameters
    ----------
    pair
        The pair.
    after_px
        Polygons in pixels of the grid that show the event after.
    less_px
        Polygons of the same before the event, or of permanent water.
    event
        Its name.
    scores
        How sure each outline is, in [0, 1].
    mmu_m2
        Minimum mapping unit in m².
    method
        What the column `method` says.
    """
    size = pair.resolution_m if np.isfinite(pair.resolution_m) else 1.0
    taken = shapely.union_all(shapely.make_valid(less_px)) if len(less_px) else shapely.Polygon()
    frame_px = shapely.box(0, 0, pair.shape[1], pair.shape[0])
    rows, sure = [], []
    known: Any = shapely.Polygon()
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    for row in order:
        shape: Any = shapely.make_valid(after_px[row])
        rest = shape.intersection(frame_px).difference(taken).difference(known)
        known = known.union(rest)
        for part in shapely.get_parts(rest):
            if part.geom_type == "Polygon" and part.area * size**2 >= mmu_m2:
                rows.append(_without_small_holes(part, mmu_m2 / size**2))
                sure.append(float(scores[row]))
    outlines = np.array(rows, object)
    frame = extent_frame(pair, outlines, event=event, classes=[event] * len(rows), method=method, confidence=sure)
    return Extent(frame, {"method": method, "outlines": len(after_px), "taken off": len(less_px)})


def _without_small_holes(polygon: Any, least: float) -> Any:
    return shapely.Polygon(
        polygon.exterior, [ring for ring in polygon.interiors if shapely.Polygon(ring).area >= least]
    )


def extent_frame(
    pair: Pair, outlines_px: np.ndarray, *, event: str, classes: Sequence[str], method: str, confidence: Sequence[float]
) -> gpd.GeoDataFrame:
    """The documented table of extents, in the CRS of the scene before."""
    world = pair.before.to_world(outlines_px) if len(outlines_px) else np.array([], object)
    area = measure(world, pair.before.crs)[0] / 1e4
    table = pd.DataFrame(
        {
            "extent_id": np.arange(1, len(world) + 1),
            "event": pd.Series([event] * len(world), dtype="str"),
            "class": pd.Series(list(classes), dtype="str"),
            "method": pd.Series([method] * len(world), dtype="str"),
            "area_ha": area,
            "confidence": np.asarray(confidence, np.float32).reshape(-1),
        }
    ).astype(COLUMNS)
    return gpd.GeoDataFrame(table, geometry=list(world), crs=pair.before.crs)
