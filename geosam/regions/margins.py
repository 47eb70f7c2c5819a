"""Features of neighbouring windows brought to agree where their blocks meet.

An encoder pads a window with zeros, and so gives the same ground other features at another distance from the window's
edge: where the cores of two windows meet, 32 px from either edge, features of `nano` jump by four to seven times what
they change from one cell to the next. A jump is a border that is not there. So each window goes over, around its block,
from what earlier windows made of the ground to what it makes of it itself: it agrees with them exactly where its block
meets theirs, and is itself where they saw nothing (feathering, as in mosaics; weights by inverse distance as of
Shepard 1968). Windows that come later do the same in turn, so that one pass is enough, and nobody waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float16, Float32, Float64
from rasterio.windows import Window

from geosam.regions.features import FineFeatures
from geosam.windows import PlannedWindow

CLOSE_PX = 1e-3
"""Nearer to a block is in it."""

Sides = tuple[float | int, float | int, float | int, float | int]
"""Top, left, bottom and right in scene px; infinite where the scene ends."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Features on a part of a window's grid.

    Attributes
    ----------
    values
        ``c gh gw``.
    rows, cols
        Where the middles of its rows, and columns, lie in scene px.
    """

    values: Float16[np.ndarray, "c gh gw"]
    rows: Float64[np.ndarray, "gh"]
    cols: Float64[np.ndarray, "gw"]

    @classmethod
    def of(cls, fine: FineFeatures, window: Window) -> "Patch":
        """All features of a window."""
        (h, w), (high, wide) = fine.extent, (window.height, window.width)
        rows = window.row_off + (np.arange(fine.values.shape[1]) + 0.5) * high / h
        cols = window.col_off + (np.arange(fine.values.shape[2]) + 0.5) * wide / w
        return cls(fine.values, rows, cols)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Patch":
        """The inverse of `to_arrays`."""
        return cls(arrays["values"], arrays["rows"], arrays["cols"])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a journal."""
        return {"values": self.values, "rows": self.rows, "cols": self.cols}

    def within(self, sides: Sides) -> tuple[slice, slice]:
        """The rows and columns that lie in a rectangle."""
        top, left, bottom, right = sides
        rows, cols = np.searchsorted(self.rows, [top, bottom]), np.searchsorted(self.cols, [left, right])
        return slice(*rows.tolist()), slice(*cols.tolist())

    def cut(self, sides: Sides) -> "Patch":
        """What lies in a rectangle."""
        rows, cols = self.within(sides)
        return Patch(self.values[:, rows, cols], self.rows[rows], self.cols[cols])

    def at(self, rows: Float64[np.ndarray, "n"], cols: Float64[np.ndarray, "m"]) -> Float32[np.ndarray, "c n m"]:
        """Bilinear interpolation at places of the scene; the nearest value beyond the patch.

        Examples
        --------
        >>> patch = Patch(np.array([[[0, 8]]], np.float16), np.array([2.0]), np.array([2.0, 6.0]))
        >>> patch.at(np.array([0.0]), np.array([2.0, 3.0, 7.0])).tolist()
        [[[0.0, 2.0, 8.0]]]
        """
        values = self.values.astype(np.float32)
        for axis, (own, asked) in enumerate(((self.rows, rows), (self.cols, cols)), start=1):
            at = np.interp(asked, own, np.arange(len(own)))
            low = at.astype(np.int64)
            share = (at - low).astype(np.float32).reshape((-1, 1) if axis == 1 else -1)
            high = np.minimum(low + 1, len(own) - 1)
            values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
        return values


@dataclass(frozen=True)
class Margin:
    """A block, and the ground around it on which its window has a say.

    Attributes
    ----------
    core, reach
        Their sides.

    Examples
    --------
    >>> margin = Margin((-np.inf, -np.inf, np.inf, 4.0), (-np.inf, -np.inf, np.inf, 8.0))
    >>> margin.weight(np.array([0.5]), np.array([5.0, 6.0, 8.0])).tolist()
    [[3.0, 1.0, 0.0]]
    """

    core: Sides
    reach: Sides

    @classmethod
    def of(cls, planned: PlannedWindow, shape: tuple[int, int]) -> "Margin":
        """The margin of a planned window in a scene of ``(h, w)``."""
        return cls(_sides(planned.core, shape), _sides(planned.asked, shape))

    def shared(self, other: "Margin") -> Sides:
        """Ground on which both windows have a say."""
        here, there = self.reach, other.reach
        return max(here[0], there[0]), max(here[1], there[1]), min(here[2], there[2]), min(here[3], there[3])

    def meets(self, other: "Margin") -> bool:
        """Whether there is such ground."""
        top, left, bottom, right = self.shared(other)
        return top < bottom and left < right

    def weight(self, rows: Float64[np.ndarray, "n"], cols: Float64[np.ndarray, "m"]) -> Float32[np.ndarray, "n m"]:
        """How much the window counts beside a later one: nothing where its reach ends, all towards its own block."""
        places = (rows, cols)
        left = [np.minimum(x - self.reach[k], self.reach[k + 2] - x).clip(0) for k, x in enumerate(places)]
        gone = [np.maximum(self.core[k] - x, x - self.core[k + 2]).clip(CLOSE_PX) for k, x in enumerate(places)]
        return (np.minimum(left[0][:, None], left[1]) / np.maximum(gone[0][:, None], gone[1])).astype(np.float32)


def agree(fine: FineFeatures, window: Window, margin: Margin, earlier: Sequence[tuple[Margin, Patch]]) -> FineFeatures:
    """Features of a window that go over into those of earlier ones towards their blocks.

    Parameters
    ----------
    fine, window, margin
        What the encoder made of a window, and where that lies.
    earlier
        Margins of windows that came before, and what these made of the ground they share.

    Returns
    -------
    FineFeatures
        Those of the earlier windows in their blocks, `fine` beyond their reach, and continuous between.
    """
    own = Patch.of(fine, window)
    total = fine.values.astype(np.float32)
    weight = np.ones(total.shape[1:], np.float32)
    for other, patch in earlier:
        rows, cols = own.within(margin.shared(other))
        places = own.rows[rows], own.cols[cols]
        share = other.weight(*places)
        total[:, rows, cols] += patch.at(*places) * share
        weight[rows, cols] += share
    total /= weight
    return FineFeatures(total.astype(np.float16), fine.extent)


def _sides(window: Window, shape: tuple[int, int]) -> Sides:
    """Sides of a part of a scene of ``(h, w)``."""
    top, left = window.row_off, window.col_off
    bottom, right = top + window.height, left + window.width
    return (
        top if top > 0 else -np.inf,
        left if left > 0 else -np.inf,
        bottom if bottom < shape[0] else np.inf,
        right if right < shape[1] else np.inf,
    )
