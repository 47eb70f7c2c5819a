"""Whole pixels: windows, spans and strips of a grid, and how a user names a grid's resolution."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from rasterio.windows import Window

from geosam.errors import OptionError
from geosam.scene.resample import Axis

STRIP_PIXELS = 2**22

LEAST, MOST = 1e-30, 1e30
"""Sizes of a pixel between which arithmetic holds; what a run can bear is told by its windows."""

Unit = Literal["crs", "m"]


def window_at(left: int, top: int, width: int, height: int) -> Window:
    """A window of whole pixels.

    Examples
    --------
    >>> window_at(1, 2, 3, 4).height
    4
    """
    return Window(left, top, width, height)  # pyright: ignore[reportCallIssue]  # attrs class without stubs


def all_of(shape: tuple[int, int]) -> Window:
    """The window that is a whole grid of ``(h, w)``."""
    return window_at(0, 0, shape[1], shape[0])


def clip(window: Window, shape: tuple[int, int]) -> Window | None:
    """The whole pixels of a window that lie in a grid of ``(h, w)``; None if there are none."""
    h, w = shape
    left, top = max(0, round(window.col_off)), max(0, round(window.row_off))
    right = min(w, round(window.col_off + window.width))
    bottom = min(h, round(window.row_off + window.height))
    return window_at(left, top, right - left, bottom - top) if right > left and bottom > top else None


def span(rows: Axis, cols: Axis) -> Window:
    """The window of source pixels that two axes need."""
    return window_at(cols.first, rows.first, cols.last - cols.first, rows.last - rows.first)


def strips(rows: Axis, cols: Axis) -> Iterator[Axis]:
    """Cut rows so that no strip needs too many source pixels at once."""
    count = max(1, int(STRIP_PIXELS / max(rows.step, 1) / max(cols.last - cols.first, 1)))
    for start in range(rows.start, rows.stop, count):
        yield replace(rows, start=start, stop=min(start + count, rows.stop))


def parse_resolution(resolution: float | int | str, unit: Unit) -> tuple[float, Unit]:
    """Size and unit of a resolution given as a number, or as text such as ``"0.5 m"``.

    Raises
    ------
    OptionError
        If it is not a positive number.

    Examples
    --------
    >>> parse_resolution("0.5 m", "crs"), parse_resolution(10, "crs")
    ((0.5, 'm'), (10.0, 'crs'))
    """
    text = re.fullmatch(r"\s*([-+.\deE]+?)\s*(m?)\s*", str(resolution))
    try:
        size = float(text[1]) if text else float("nan")
    except ValueError:
        size = float("nan")
    if unit not in ("crs", "m") or not LEAST < size < MOST:
        raise OptionError(
            f"resolution={resolution!r}, unit={unit!r}", expected='a positive number, in "crs" units or "m", or "0.5 m"'
        )
    return size, "m" if text and text[2] else unit
