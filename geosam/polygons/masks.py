"""Polygons of masks that may overlap, such as one mask for each prompt."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import shapely

from geosam.masks import MaskSet
from geosam.polygons.simplify import rings_to_polygons, simplify_each
from geosam.polygons.trace import Rings, trace

_ATLAS = (2048, 2048)
"""Height and width of an atlas; a larger mask gets one of its own."""


def mask_polygons(
    masks: MaskSet, *, scale: tuple[float | int, float | int] = (1.0, 1.0), tolerance_px: float | int = 0
) -> np.ndarray:
    """One polygon for each mask, in its place in the scene.

    The masks are laid side by side into one label raster, an atlas, which is traced at once: fast also for thousands of
    small ones.

    Parameters
    ----------
    masks
        The masks of one window.
    scale
        ``(x, y)`` size of the window's pixels in scene pixels: 2, 4, … where the window lies on a coarser grid.
    tolerance_px
        The farthest that a border may move when it is simplified, in the window's pixels.

    Returns
    -------
    Object array of MultiPolygons in scene px, one for each mask, in their order; an empty mask gives an empty one.

    Examples
    --------
    >>> from rasterio.windows import Window
    >>> box, crop, one = np.array([[2, 1, 4, 3]], np.int32), np.tri(2, dtype=bool), np.ones(1, np.float32)
    >>> masks = MaskSet(Window(10, 0, 8, 8), (8, 8), box, (crop,), one, one, np.zeros(1, np.int64), np.zeros(1, bool))
    >>> mask_polygons(masks)[0].wkt
    'MULTIPOLYGON (((12 1, 12 3, 14 3, 14 2, 13 2, 13 1, 12 1)))'
    """
    shapes = np.full(len(masks), shapely.MultiPolygon(), object)
    window = masks.window
    origin = masks.boxes[:, :2].astype(np.int64) + np.array([round(window.col_off), round(window.row_off)])
    for members, corners, atlas in _atlases(masks):
        rings = trace(atlas)
        moved = _move(rings, origin[members] - corners)
        labels, polygons = rings_to_polygons(moved)
        order = np.argsort(labels, kind="stable")
        found, owner = np.unique(labels[order], return_inverse=True)
        shapes[members[found - 1]] = shapely.multipolygons(polygons[order], indices=owner)
    if tolerance_px > 0:
        shapes = _multi(simplify_each(shapes, tolerance_px))
    if scale != (1.0, 1.0):
        shapes = shapely.transform(shapes, lambda points: points * scale)
    return np.asarray(shapely.normalize(shapes), object)


def _multi(shapes: np.ndarray) -> np.ndarray:
    """Every geometry as a MultiPolygon."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    multi = np.full(len(shapes), shapely.MultiPolygon(), object)
    found, position = np.unique(owner, return_inverse=True)
    multi[found] = shapely.multipolygons(parts, indices=position)
    return multi


def _move(rings: Rings, by: np.ndarray) -> Rings:
    """Rings moved by one step for each label."""
    step = np.repeat(by[rings.labels - 1], np.diff(rings.starts), axis=0)
    return replace(rings, vertices=(rings.vertices + step).astype(np.int32))


def _atlases(masks: MaskSet) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Masks on shelves, tallest first, a pixel apart: places in the set, corners ``(x, y)``, and labels from 1 up."""
    sizes = masks.boxes[:, 2:] - masks.boxes[:, :2]
    members, corners = [], []
    x = y = shelf = 0
    for member in np.argsort(-sizes[:, 1], kind="stable").tolist():
        width, height = sizes[member].tolist()
        if x and x + width > _ATLAS[1]:
            x, y, shelf = 0, y + shelf, 0
        if members and y + height > _ATLAS[0]:
            yield _fill(masks, members, corners)
            members, corners, x, y, shelf = [], [], 0, 0, 0
        members.append(member)
        corners.append((x, y))
        x, shelf = x + width + 1, max(shelf, height + 1)
    if members:
        yield _fill(masks, members, corners)


def _fill(
    masks: MaskSet, members: list[int], corners: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    crops = [masks.crops[member] for member in members]
    height = max(y + crop.shape[0] for (_, y), crop in zip(corners, crops, strict=True))
    width = max(x + crop.shape[1] for (x, _), crop in zip(corners, crops, strict=True))
    atlas = np.zeros((max(height, 1), max(width, 1)), np.int32)
    for label, ((x, y), crop) in enumerate(zip(corners, crops, strict=True), start=1):
        atlas[y : y + crop.shape[0], x : x + crop.shape[1]][crop] = label
    return np.array(members), np.array(corners), atlas
