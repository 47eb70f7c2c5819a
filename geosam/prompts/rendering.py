"""Polygons to mask logits: what a polygon says to a network that refines masks."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy import ndarray

from geosam.arrays import MaskLogits

INSIDE, OUTSIDE = 8.0, -8.0
"""Logits inside and outside a polygon; about what the network itself is sure with."""

FINENESS = 2
"""Samples along each side of a logit's cell: a cell half covered gets a logit of 0."""


def render(
    polygons: ndarray, shape: tuple[int, int], logits_shape: tuple[int, int], marks: Sequence[ndarray] = ()
) -> MaskLogits:
    """Mask logits of polygons, by the even-odd rule at sample centres.

    Parameters
    ----------
    polygons
        Object array of n polygons or multipolygons in window pixels; what lies outside the window is ignored.
    shape
        ``(h, w)`` of the window in pixels.
    logits_shape
        ``(mh, mw)`` samples that cover the window.
    marks
        For each polygon points ``(x, y)`` whose cells count as inside, so that none vanishes between the samples.

    Examples
    --------
    >>> render(np.array([shapely.box(2, 0, 6, 8)]), (8, 8), (2, 2)).tolist()
    [[[0.0, 0.0], [0.0, 0.0]]]
    """
    (height, width), (rows, cols) = shape, logits_shape
    grid = np.array([cols * FINENESS / width, rows * FINENESS / height])
    owner, row, start, stop = _spans(polygons, grid, (rows * FINENESS, cols * FINENESS))
    length = stop - start
    column = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(start, length)
    cell = np.repeat((owner * rows + row // FINENESS) * cols, length) + column // FINENESS
    logits = np.full((len(polygons), rows, cols), OUTSIDE, np.float32)
    np.add.at(logits.reshape(-1), cell, np.float32((INSIDE - OUTSIDE) / FINENESS**2))
    for number, points in enumerate(marks):
        x, y = (points * grid / FINENESS).astype(int).T
        logits[number, y.clip(0, rows - 1), x.clip(0, cols - 1)] = INSIDE
    return logits


def _spans(polygons: ndarray, grid: ndarray, shape: tuple[int, int]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Runs of samples inside the polygons: polygon, row, first column and column after the last."""
    owner, row, x = _crossings(polygons, grid, shape[0])
    order = np.lexsort((x, row, owner))
    owner, row = owner[order][::2], row[order][::2]  # a closed ring crosses each row an even number of times
    column = np.ceil(x[order] - 0.5).clip(0, shape[1]).astype(np.int64)
    return owner, row, column[::2], column[1::2]


def _crossings(polygons: ndarray, grid: ndarray, rows: int) -> tuple[ndarray, ndarray, ndarray]:
    """Where the outlines cross the middle of each row of samples: polygon, row and x."""
    parts, part_owner = shapely.get_parts(polygons, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    corners, corner_ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(corner_ring[1:] == corner_ring[:-1])
    (x0, y0), (x1, y1) = (corners[edge] * grid).T, (corners[edge + 1] * grid).T
    first = np.ceil(np.minimum(y0, y1) - 0.5).clip(0, rows).astype(np.int64)
    count = np.ceil(np.maximum(y0, y1) - 0.5).clip(0, rows).astype(np.int64) - first
    which = np.repeat(np.arange(len(edge)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[which]
    x = x0[which] + (row + 0.5 - y0[which]) * ((x1 - x0)[which] / (y1 - y0)[which])
    return part_owner[ring_part[corner_ring[edge]]][which], row, x
