"""The objects of a scene as one label raster, strip of rows by strip of rows."""

from collections.abc import Iterator

import numpy as np

from geosam.arrays import Labels
from geosam.errors import OptionError
from geosam.instances.runs import Runs
from geosam.instances.stitch import InstanceSet, Load, Numbers
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
    """Paint the objects' ids, each pixel by the window that owns it.

    An object that the owner missed altogether is then painted from a neighbouring window that saw it, in the plan's
    order and into pixels that are still empty.

    Parameters
    ----------
    plan, load
        As given to `stitch`. Each window is loaded once, when its first row is reached, and kept run-length encoded
        until its last.
    instances
        What `stitch` returned.
    rows
        Height of a strip; by default `strip_rows`.

    Yields ------ ``(row_off, labels)``: the strip's first row, and its object ids as ``rows w`` int32, 0 for none; top
    to bottom, without gaps.

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


def _paint_strips(plan: WindowPlan, instances: InstanceSet, shelf: "_Shelf", rows: int) -> Iterator[tuple[int, Labels]]:
    height, width = plan.shape
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = np.zeros((bottom - top, width), np.int32)
        for owner in _owners(plan, top, bottom):
            core = owner.core
            first, last = max(top, core.row_off), min(bottom, core.row_off + core.height)
            place = strip[first - top : last - top, core.col_off : core.col_off + core.width]
            place[:] = _paint_rows(plan, instances, shelf, (owner, first, last))
        shelf.forget(bottom)
        yield top, strip


def assemble_core(plan: WindowPlan, instances: InstanceSet, load: Load, index: int) -> Labels:
    """The object ids of one window's core, as `assemble` paints them.

    Parameters
    ----------
    plan, instances, load
        As given to `assemble`; only the window and those around it are loaded.
    index
        The window's position in the plan.
    """
    owner = plan[index]
    rows = owner, owner.core.row_off, owner.core.row_off + owner.core.height
    return _paint_rows(plan, instances, _Shelf(plan, instances, load), rows)


def _paint_rows(
    plan: WindowPlan, instances: InstanceSet, shelf: "_Shelf", rows: tuple[PlannedWindow, int, int]
) -> Labels:
    """Object ids in some rows of a window's core: its own, then those that it missed."""
    owner, first, last = rows
    place = shelf.read(owner, first, last, owner)
    for other in _around(plan, owner):
        if (owner.index, other.index) in instances.missed:
            _fill(place, shelf.read(other, first, last, owner, instances.missed[owner.index, other.index]))
    return place


def _fill(place: np.ndarray, offered: np.ndarray) -> None:
    """Paint what is offered where nothing is yet."""
    np.copyto(place, offered, where=place == 0)


def _owners(plan: WindowPlan, top: int, bottom: int) -> Iterator[PlannedWindow]:
    """The windows whose cores meet the rows ``top … bottom``."""
    grid_rows, grid_cols = plan.grid
    for row in range(grid_rows):
        core = plan[row * grid_cols].core
        if core.row_off < bottom and core.row_off + core.height > top:
            yield from (plan[row * grid_cols + col] for col in range(grid_cols))


def _around(plan: WindowPlan, owner: PlannedWindow) -> Iterator[PlannedWindow]:
    """The up to eight windows around one, in the plan's order."""
    grid_rows, grid_cols = plan.grid
    for row in range(max(owner.row - 1, 0), min(owner.row + 2, grid_rows)):
        for col in range(max(owner.col - 1, 0), min(owner.col + 2, grid_cols)):
            if (row, col) != (owner.row, owner.col):
                yield plan[row * grid_cols + col]


class _Shelf:
    """The windows that the current strip needs, run-length encoded: a few per cent of their dense size."""

    def __init__(self, plan: WindowPlan, instances: InstanceSet, load: Load) -> None:
        self.plan, self.instances, self.load = plan, instances, load
        self.runs: dict[int, Runs | None] = {}

    def read(
        self, source: PlannedWindow, first: int, last: int, owner: PlannedWindow, only: Numbers | None = None
    ) -> np.ndarray:
        """Object ids that `source` saw in rows ``first … last`` of the owner's core; 0 outside its window."""
        core, window = owner.core, source.window
        runs = self._runs(source.index)
        ids = np.zeros((last - first, core.width), np.int32)
        top, bottom = max(first, window.row_off), min(last, window.row_off + window.height)
        left, right = max(core.col_off, window.col_off), min(core.col_off + core.width, window.col_off + window.width)
        if runs is None or top >= bottom or left >= right:
            return ids
        lookup = self.instances.lookup(source.index)
        if only is not None:
            kept = np.zeros_like(lookup)
            kept[only] = lookup[only]
            lookup = kept
        seen = runs.decode(top - window.row_off, bottom - window.row_off, lookup)
        ids[top - first : bottom - first, left - core.col_off : right - core.col_off] = seen[
            :, left - window.col_off : right - window.col_off
        ]
        return ids

    def forget(self, row: int) -> None:
        """Drop the windows that end above `row`."""
        for index in list(self.runs):
            window = self.plan[index].window
            if window.row_off + window.height <= row:
                del self.runs[index]

    def _runs(self, index: int) -> Runs | None:
        if index not in self.runs:
            seen = self.load(index)
            self.runs[index] = None if seen is None else Runs.encode(seen.labels)
        return self.runs[index]
