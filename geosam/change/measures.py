"""How each object looks on two dates, in numbers that carry over to places nobody has labelled.

Only absolute differences are used: signed ones, and looks of the date after alone, say more about the event that they
were learned on than about damage. Each object is looked at by itself, at the small shift between the dates that fits
it best, since what stands high leans differently in every picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float32, Float64
from scipy import ndimage

from geosam.arrays import Mask
from geosam.change.ground import changed_ground, ssim
from geosam.change.pair import Both, Pair, burnt
from geosam.change.radiometry import Radiometry
from geosam.errors import OptionError
from geosam.scene import Scene
from geosam.scene.grid import clip, window_at

MEASURES = (
    "colour_change",
    "structure_change",
    "correlation_change",
    "texture_change",
    "edge_change",
    "rim_change",
    "ground_change",
    "calmness",
    "outline_change",
    "area_change",
    "feature_change_s4",
    "feature_change_s8",
    "feature_change_s16",
    "feature_change_s32",
)
"""Columns of `measure_objects`, each 0 for no change (but calmness), in order.

===================  ================================================================================================
column               meaning
===================  ================================================================================================
colour_change        length of the difference of mean colours, after matching, in units of the full range
structure_change     (1 - SSIM) / 2 inside, mean (Wang et al. 2004), in [0, 1]
correlation_change   (1 - correlation of the luminances inside) / 2, in [0, 1]
texture_change       absolute logarithm of the ratio of the local edge strengths inside
edge_change          absolute logarithm of the ratio of the edge strengths along the outline before
outline_change       1 - IoU of the outlines decoded on both dates; NaN where one is not known
area_change          absolute logarithm of the ratio of their areas; NaN where one is not known
feature_change_s*    length of the standardised difference of recognition features at a stride; NaN without them
===================  ================================================================================================
"""

PLAIN = MEASURES.index("outline_change")
"""How many of them need pixels alone."""

LOCAL_PX = 3
"""Pixels by which an object may lie beside the pair's shift: relief and lean that one shift for all leaves over."""

MARGIN_PX = 8
"""Ground around an object that is read with it: for filters, edges and the local shift."""

MOST_PX = 768
"""Side of an object's box up to which each pixel is looked at; larger ones in every second, third … pixel."""

BYTE = 255.0
LEAST_RESIDUAL = 0.5
"""8-bit values: pictures are not matched more closely than they are rounded."""

EDGE_FLOOR = 2.0
"""8-bit values of edge strength that are added before ratios are taken, so that noise on even ground is no change."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of *n* objects.

    Attributes
    ----------
    values
        A row for each object, a column for each of `MEASURES`; NaN for what is not known, all of it where nothing of
        the object is seen.
    unseen
        Share of each object that one of the dates does not show, in [0, 1]; 1 outside the grid.
    """

    values: Float32[np.ndarray, "n m"]
    unseen: Float32[np.ndarray, "n"]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.unseen), len(MEASURES)):
            raise OptionError(f"measures of shape {self.values.shape}", expected=f"{len(MEASURES)} columns")

    def with_columns(self, **columns: np.ndarray) -> "Measured":
        """The same with some columns set."""
        values = self.values.copy()
        for name, column in columns.items():
            values[:, MEASURES.index(name)] = column
        return Measured(values, self.unseen)


def measure_objects(objects_px: np.ndarray, pair: Pair, radiometry: Radiometry) -> Measured:
    """Measure objects on both dates, each by itself.

    Parameters
    ----------
    objects_px
        Polygons in pixels of the pair's grid; empty ones are not seen.
    pair
        The pair, corrected by its shift or not.
    radiometry
        What brings the colours after to those before.

    Returns
    -------
    Measured
        Outlines and recognition features are left unknown; see `outline_measures` and `feature_measures`.
    """
    values = np.full((len(objects_px), len(MEASURES)), np.nan, np.float32)
    unseen = np.ones(len(objects_px), np.float32)
    for row, (both, inside) in crops(objects_px, pair):
        seen = inside & both.seen
        shown = seen.sum() / max(inside.sum(), 1) * share_inside(objects_px[row], pair.shape)
        unseen[row] = max(1 - shown, 0)  # a share inside may be rounded up
        if seen.any():
            values[row, :PLAIN] = _looks(both, seen, radiometry)
    return Measured(values, unseen)


def crops(objects_px: np.ndarray, pair: Pair) -> Iterator[tuple[int, tuple[Both, Mask]]]:
    """Each object's surroundings on both dates, and which pixels are inside it; objects outside the grid are left out.

    Objects larger than `MOST_PX` come thinned out.
    """
    for row, shape in enumerate(objects_px):
        if shape is None or shape.is_empty:
            continue
        x0, y0, x1, y1 = shape.bounds
        left, top = int(np.floor(x0)) - MARGIN_PX, int(np.floor(y0)) - MARGIN_PX
        around = window_at(left, top, int(np.ceil(x1)) + MARGIN_PX - left, int(np.ceil(y1)) + MARGIN_PX - top)
        window = clip(around, pair.shape)
        if window is None:
            continue
        both = pair.read(window)
        inside = burn(shape, (int(window.col_off), int(window.row_off)), both.seen.shape)
        step = 1 + max(both.seen.shape) // (MOST_PX + 1)
        if step > 1:
            thin = (slice(None), slice(None, None, step), slice(None, None, step))
            both = Both(both.before[thin], both.after[thin], both.seen[thin[1:]], both.window)
            inside = inside[thin[1:]]
        yield row, (both, inside)


def share_inside(shape: Any, size: tuple[int, int]) -> float:
    """Share of a polygon that lies in a grid of ``(h, w)``."""
    return shape.intersection(shapely.box(0, 0, size[1], size[0])).area / shape.area if shape.area > 0 else 1.0


def burn(shape: Any, corner: tuple[int, int], size: tuple[int, int]) -> Mask:
    """Pixels whose centres lie in a polygon; of one that holds no centre the pixel that its middle lies in."""
    inside = burnt([shape], corner, size)
    if not inside.any():
        middle = shape.representative_point()
        row, col = int(np.floor(middle.y)) - corner[1], int(np.floor(middle.x)) - corner[0]
        if 0 <= row < size[0] and 0 <= col < size[1]:
            inside[row, col] = True
    return inside


def _looks(both: Both, seen: Mask, radiometry: Radiometry) -> list[float]:
    """The measures that need pixels alone, at the local shift that fits best."""
    first = both.before.astype(np.float32)
    second = radiometry.apply(both.after)
    y, x = best_shift(first.mean(0), second.mean(0), seen)
    second = np.roll(second, (-y, -x), (1, 2))
    grey, later = first.mean(0), second.mean(0)
    colour = np.linalg.norm((first - second)[:, seen].mean(axis=1)) / BYTE
    edges, edges_later = (ndimage.gaussian_gradient_magnitude(each, 1.0) for each in (grey, later))
    rim = np.asarray(ndimage.binary_dilation(seen, iterations=2)) & ~np.asarray(
        ndimage.binary_erosion(seen, iterations=2), bool
    )
    return [
        float(colour),
        float((1 - ssim(grey, later)[seen].mean()) / 2),
        float((1 - correlation(grey[seen], later[seen])) / 2),
        _ratio(edges[seen], edges_later[seen]),
        _ratio(edges[rim], edges_later[rim]),
        _turned(grey, later, rim),
        float(changed_ground(first, second, both.seen)[seen].mean()),
        -float(np.log(max(np.mean(radiometry.residual), LEAST_RESIDUAL))),
    ]


def best_shift(first: Float32[np.ndarray, "h w"], second: Float32[np.ndarray, "h w"], near: Mask) -> tuple[int, int]:
    """Whole pixels ``(y, x)`` by which the second picture fits the first best in and around an object."""
    around = np.asarray(ndimage.binary_dilation(near, iterations=3), bool)
    own = first[around]
    best, found = -2.0, (0, 0)
    steps = sorted(range(-LOCAL_PX, LOCAL_PX + 1), key=abs)
    for y in steps:
        for x in steps:
            fit = correlation(own, np.roll(second, (-y, -x), (0, 1))[around]) - 0.005 * (abs(y) + abs(x))
            if fit > best:
                best, found = fit, (y, x)
    return found


def correlation(first: Float32[np.ndarray, "k"], second: Float32[np.ndarray, "k"]) -> float:
    """Correlation of two sets of values; 0 where one does not vary.

    Examples
    --------
    >>> a = np.array([1, 2, 4], np.float32)
    >>> round(correlation(a, 3 * a), 3), correlation(a, a * 0)
    (1.0, 0.0)
    """
    a, b = first - first.mean(), second - second.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 1e-6 else 0.0


def _turned(grey: np.ndarray, later: np.ndarray, rim: Mask) -> float:
    """How little the gradients along an outline point where they did; half for nothing in common."""
    first, second = (
        np.stack([ndimage.gaussian_filter1d(smooth, 1.0, axis=axis, order=1)[rim] for axis in (0, 1)])
        for smooth in (grey, later)
    )
    length = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return 0.5 - 0.5 * float((first * second).sum()) / length if length > 1e-6 else 0.0


def _ratio(first: np.ndarray, second: np.ndarray) -> float:
    return float(abs(np.log((second.mean() + EDGE_FLOOR) / (first.mean() + EDGE_FLOOR)))) if len(first) else 0.0


def outline_measures(before_px: np.ndarray, after_px: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap and change of area of outlines decoded on both dates; NaN where one is missing.

    Returns
    -------
    ``(iou, outline_change, area_change)``, float64 each.

    Examples
    --------
    >>> one = np.array([shapely.box(0, 0, 2, 2)])
    >>> [round(float(each[0]), 3) for each in outline_measures(one, np.array([shapely.box(0, 0, 2, 1)]))]
    [0.5, 0.5, 0.693]
    """
    before, after = shapely.make_valid(before_px), shapely.make_valid(after_px)
    a, b = shapely.area(before), shapely.area(after)
    known = (a > 0) & (b > 0)
    iou, change = np.full(len(a), np.nan), np.full(len(a), np.nan)
    cut = shapely.area(shapely.intersection(before[known], after[known]))
    iou[known] = cut / (a[known] + b[known] - cut)
    change[known] = np.abs(np.log(b[known] / a[known]))
    return iou, 1 - iou, change


def feature_measures(objects_px: np.ndarray, pair: Pair, describer: Any) -> Float64[np.ndarray, "n 4"]:
    """Change of recognition features at each stride; NaN where one date does not show the object.

    Parameters
    ----------
    objects_px
        Polygons in pixels of the pair's grid.
    pair
        The pair.
    describer
        A `geosam.recognition.Describer`; what it keeps in its store makes later calls quick.
    """
    before = describer.describe(pair.before.to_world(objects_px), pair.before)
    after = describer.describe(_frame_after(objects_px, pair), pair.after)
    found = distances(before.values, after.values)
    found[(before.area_px == 0) | (after.area_px == 0)] = np.nan
    return found


def distances(before: Float32[np.ndarray, "n d"], after: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n 4"]:
    """Root mean square of the standardised difference over the channels of each stride."""
    from geosam.backbone.network import CHANNELS

    ends = np.cumsum(CHANNELS)
    columns = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        a, b = before[:, start:end].astype(np.float64), after[:, start:end].astype(np.float64)
        spread = np.sqrt((a * a + b * b).mean(axis=1, keepdims=True) / 2) + 1e-6
        columns.append(np.sqrt((((a - b) / spread) ** 2).mean(axis=1)))
    return np.stack(columns, axis=1)


def _frame_after(objects_px: np.ndarray, pair: Pair) -> Any:
    import geopandas as gpd

    scene: Scene = pair.before
    moved = shapely.transform(np.asarray(objects_px, object), lambda xy: xy + np.asarray(pair.shift_px))
    return gpd.GeoSeries(list(scene.to_world(moved)), crs=scene.crs)
