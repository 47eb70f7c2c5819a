"""The objects of a scene as one label raster, strip of rows by strip of rows."""

from collections.abc import Iterator

import numpy as np
from rasterio.windows import Window

from geosam.arrays import Ids, Labels
from geosam.errors import OptionError
from geosam.instances.runs import Runs
from geosam.instances.stitch import InstanceSet, Load
from geosam.windows import PlannedWindow, WindowPlan

STRIP_PIXELS = 2**21
"""Pixels of a strip by default, so that memory does not grow with the scene's width."""


def strip_rows(width: int) -> int:
    """Rows of a strip that keeps memory even in a scene of `width` pixels.

    Examples
    --------
    >>> strip_rows(1000), strip_rows(4096), strip_rows(32768)
    (1024, 512, 64)
    """
    return min(1024, max(16, STRIP_PIXELS // width))


def assemble(
    plan: WindowPlan, instances: InstanceSet, load: Load, *, rows: int | None = None
) -> Iterator[tuple[int, Labels]]:
    """Paint the objects' ids: of the instances that hold a pixel the one of the highest rank has it.

    Parameters
    ----------
    plan, load
        As given to `stitch`. Each window is loaded once, when its first row is reached, and kept run-length encoded
        until its last.
    instances
        What `stitch` returned.
    rows
        Height of a strip; by default `strip_rows`.

    Yields
    ------
    ``(row_off, labels)``: the strip's first row, and its object ids as ``rows w`` int32, 0 for none; top to bottom,
    without gaps.

    Raises
    ------
    OptionError
        If `rows` is not positive.

    Examples
    --------
    >>> from geosam.instances import WindowInstances, stitch
    >>> plan = WindowPlan((4, 6), size=4, overlap=2)
    >>> one = np.ones(1, np.float32)
    >>> seen = lambda i: WindowInstances(i, np.ones((4, 4), np.int32), one, one, np.zeros(1, bool))
    >>> [(row, strip.tolist()) for row, strip in assemble(plan, stitch(plan, seen), seen, rows=3)][1]
    (3, [[1, 1, 1, 1, 1, 1]])
    """
    rows = strip_rows(plan.shape[1]) if rows is None else rows
    if rows < 1:
        raise OptionError(f"rows={rows}", expected="at least one row in a strip")
    return _paint_strips(plan, instances, _Shelf(plan, instances, load), rows)


def assemble_core(plan: WindowPlan, instances: InstanceSet, load: Load, index: int) -> Labels:
    """The object ids of one window's core, as `assemble` paints them.

    Parameters
    ----------
    plan, instances, load
        As given to `assemble`; only the windows that see a part of the core are loaded (`WindowPlan.meeting`).
    index
        The window's position in the plan.
    """
    ranks = _paint(plan, _Shelf(plan, instances, load), plan[index].core)
    return instances.ids_by_rank()[ranks]


def count_pixels(plan: WindowPlan, instances: InstanceSet, load: Load) -> Ids:
    """The area of each object in pixels, as `assemble` paints it.

    Parameters
    ----------
    plan, instances, load
        As given to `assemble`; each window is loaded once.
    """
    total = np.zeros(len(instances) + 1, np.int64)
    for _, labels in assemble(plan, instances, load):
        total += np.bincount(labels.ravel(), minlength=len(total))
    return total[1:]


def _paint_strips(plan: WindowPlan, instances: InstanceSet, shelf: "_Shelf", rows: int) -> Iterator[tuple[int, Labels]]:
    (height, width), ids = plan.shape, instances.ids_by_rank()
    for top in range(0, height, rows):
        strip = Window(0, top, width, min(rows, height - top))  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        ranks = _paint(plan, shelf, strip)
        shelf.forget(top + strip.height)
        yield top, ids[ranks]


def _paint(plan: WindowPlan, shelf: "_Shelf", area: Window) -> np.ndarray:
    """The highest rank at each pixel of an area, 0 for none."""
    ranks = np.zeros((area.height, area.width), np.int32)
    for planned in plan.meeting(area):
        window = planned.window
        top, bottom = max(area.row_off, window.row_off), min(area.row_off + area.height, window.row_off + window.height)
        left, right = max(area.col_off, window.col_off), min(area.col_off + area.width, window.col_off + window.width)
        seen = shelf.read(planned, top - window.row_off, bottom - window.row_off)
        if seen is not None:
            place = ranks[top - area.row_off : bottom - area.row_off, left - area.col_off : right - area.col_off]
            np.maximum(place, seen[:, left - window.col_off : right - window.col_off], out=place)
    return ranks


class _Shelf:
    """The windows that the current strip needs, run-length encoded: a few per cent of their dense size."""

    def __init__(self, plan: WindowPlan, instances: InstanceSet, load: Load) -> None:
        self.plan, self.instances, self.load = plan, instances, load
        self.runs: dict[int, Runs | None] = {}

    def read(self, source: PlannedWindow, first: int, last: int) -> np.ndarray | None:
        """Ranks of what a window saw in its rows ``first … last``; None if it saw nothing at all."""
        if source.index not in self.runs:
            seen = self.load(source.index)
            self.runs[source.index] = None if seen is None else Runs.encode(seen.labels)
        runs = self.runs[source.index]
        return None if runs is None else runs.decode(first, last, self.instances.rank_lookup(source.index))

    def forget(self, row: int) -> None:
        """Drop the windows that end above `row`."""
        for index in list(self.runs):
            window = self.plan[index].window
            if window.row_off + window.height <= row:
                del self.runs[index]
