"""Overlapping windows over a pixel grid, and the core pixels that each window owns.

A network looks at windows of a fixed size; a scene is larger. `WindowPlan` lays equal windows over the scene so that
every window is full size (where the scene is), neighbours share at least the asked overlap, and the **cores**, cut at
the middle of each overlap, partition the scene: every pixel has exactly one owner.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rasterio.windows import Window

from geosam.errors import OptionError


@dataclass(frozen=True)
class PlannedWindow:
    """One window of a plan.

    Attributes
    ----------
    index
        Position in the plan, row by row.
    row, col
        Position in the plan's grid of windows.
    window
        The pixels that the network sees.
    core
        The pixels that this window owns, a part of `window`.
    asked
        The pixels on which everything mode asks in this window: the core and half the asked overlap around it. Windows
        are spread evenly, so that neighbours may share far more than the asked overlap; asked twice is only that much.
    """

    index: int
    row: int
    col: int
    window: Window
    core: Window
    asked: Window


@dataclass(frozen=True)
class WindowPlan:
    """Windows over a grid of `shape` pixels; iterates `PlannedWindow` row by row.

    Parameters
    ----------
    shape
        ``(h, w)`` of the scene in pixels.
    size
        Side of a window in pixels; a scene smaller than that gets one smaller window.
    overlap
        Least number of pixels that neighbouring windows share.

    Raises
    ------
    OptionError
        If the shape is empty or the overlap does not lie in ``0 <= overlap < size``.

    Examples
    --------
    >>> plan = WindowPlan((2048, 2048), size=1024, overlap=128)
    >>> len(plan), plan[4].window.col_off, plan[4].core.width
    (9, 512, 512)
    """

    shape: tuple[int, int]
    size: int = 1024
    overlap: int = 128

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise OptionError(f"a grid of {self.shape} pixels", expected="at least one row and one column")
        if not 0 <= self.overlap < self.size:
            raise OptionError(
                f"overlap={self.overlap} with window={self.size}",
                expected="0 <= overlap < window, in pixels",
                hint="an eighth of the window is a good overlap",
            )

    @cached_property
    def _axes(self) -> tuple["_Axis", "_Axis"]:
        rows, cols = (_Axis.cut(n, self.size, self.overlap) for n in self.shape)
        return rows, cols

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, cols = self._axes
        return rows.count, cols.count

    @property
    def count(self) -> int:
        """Number of windows, also where it is too large for `len`."""
        rows, cols = self.grid
        return rows * cols

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> PlannedWindow:
        """The window at `index`, counted row by row."""
        if not 0 <= index < self.count:
            raise IndexError(f"window {index} of a plan of {self.count}")
        row, col = divmod(index, self.grid[1])
        rows, cols = self._axes
        window = Window(cols.start(col), rows.start(row), cols.size, rows.size)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        core = Window(cols.bound(col), rows.bound(row), cols.core(col), rows.core(row))  # pyright: ignore[reportCallIssue]  # likewise
        reach = -(-self.overlap // 2)
        left, top, w, h = core.col_off - reach, core.row_off - reach, core.width + 2 * reach, core.height + 2 * reach
        grown = Window(left, top, w, h)  # pyright: ignore[reportCallIssue]  # likewise
        return PlannedWindow(index, row, col, window, core, _intersection(window, grown) or core)

    def __iter__(self) -> Iterator[PlannedWindow]:
        return (self[index] for index in range(self.count))

    def neighbours(self) -> Iterator[tuple[int, int, Window]]:
        """Pairs of windows that share pixels, with the strip that both see.

        Yields
        ------
        ``(i, j, strip)`` with ``i < j``: right, lower-left, lower and lower-right neighbours of each window in plan
        order. Where the overlap exceeds half a window, windows further apart share pixels too; they are joined
        through those between them.
        """
        rows, cols = self.grid
        for here in self:
            for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
                row, col = here.row + down, here.col + right
                if row < rows and 0 <= col < cols:
                    there = self[row * cols + col]
                    strip = _intersection(here.window, there.window)
                    if strip is not None:
                        yield here.index, there.index, strip

    def meeting(self, area: Window) -> Iterator[PlannedWindow]:
        """The windows that see a part of an area of the scene, in the plan's order.

        Examples
        --------
        >>> plan = WindowPlan((1024, 1024), size=512, overlap=64)
        >>> [planned.index for planned in plan.meeting(plan[0].core)]
        [0, 1, 3, 4]
        """
        rows, cols = self._axes
        for row in rows.meeting(area.row_off, area.row_off + area.height):
            for col in cols.meeting(area.col_off, area.col_off + area.width):
                yield self[row * self.grid[1] + col]

    def best(self, box_px: tuple[float, float, float, float]) -> int:
        """Index of the window that shows an ``xyxy`` box best.

        That is the one that holds the most of the box and, among equals, keeps it furthest from those window edges
        beyond which the scene goes on.
        """
        rows, cols = self._axes
        x0, y0, x1, y1 = box_px
        return rows.best(y0, y1) * self.grid[1] + cols.best(x0, x1)


@dataclass(frozen=True)
class _Axis:
    """Windows along one axis, spread evenly: where they start, and where their cores are cut; none is laid out."""

    n: int
    size: int
    count: int

    @classmethod
    def cut(cls, n: int, size: int, overlap: int) -> "_Axis":
        size = min(size, n)
        return cls(n, size, -(-(n - overlap) // (size - overlap)) if n > size else 1)

    def start(self, position: int) -> int:
        """First pixel of a window."""
        if position == self.count - 1:
            return self.n - self.size
        return round(position * ((self.n - self.size) / (self.count - 1)))

    def bound(self, position: int) -> int:
        """Where the core of a window begins: the middle of what it shares with the one before."""
        if position in (0, self.count):
            return 0 if position == 0 else self.n
        return (self.start(position - 1) + self.size + self.start(position)) // 2

    def core(self, position: int) -> int:
        return self.bound(position + 1) - self.bound(position)

    def meeting(self, low: float | int, high: float | int) -> range:
        """Positions of the windows that reach into ``[low, high)``."""
        positions = range(self.count)
        first, last = (bisect_right(positions, edge, key=self.start) for edge in (low - self.size, high))
        return range(first, last)

    def best(self, low: float | int, high: float | int) -> int:
        """Position of the window that shows ``[low, high]`` best, among those that reach it and one on either side."""
        near = self.meeting(low, high)
        first = min(max(near.start - 1, 0), self.count - 1)
        positions = range(first, max(min(near.stop + 1, self.count), first + 1))
        starts = np.array([self.start(position) for position in positions], float)
        ends = starts + self.size
        seen = np.minimum(ends, high) - np.maximum(starts, low)
        before = np.where(starts == 0, np.inf, low - starts)
        after = np.where(ends == self.n, np.inf, ends - high)
        margin = np.minimum(np.minimum(before, after), self.size)
        return first + int(np.lexsort((-margin, -seen))[0])


def _intersection(one: Window, other: Window) -> Window | None:
    """The pixels that both windows hold, or None."""
    left, top = max(one.col_off, other.col_off), max(one.row_off, other.row_off)
    right = min(one.col_off + one.width, other.col_off + other.width)
    bottom = min(one.row_off + one.height, other.row_off + other.height)
    if right <= left or bottom <= top:
        return None
    return Window(left, top, right - left, bottom - top)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
