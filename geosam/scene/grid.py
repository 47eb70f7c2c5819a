"""Whole pixels: windows, crops, spans and strips of a grid, and how a user names a grid's resolution or an area."""

import re
from collections.abc import Iterator
from dataclasses import replace
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.errors import OptionError, SceneError
from geosam.scene.resample import Axis

STRIP_PIXELS = 2**24
FUZZ_PX = 1e-6

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


def crop_to(area: BaseGeometry | None, native: tuple[int, int], whole: tuple[int, int]) -> Window:
    """The whole pixels, of a grid of `whole` over a raster of `native` pixels, that hold an area in native pixels."""
    if area is None:
        return all_of(whole)
    scale = np.array([whole[1] / native[1], whole[0] / native[0]] * 2)
    x0, y0, x1, y1 = np.array(area.bounds) * scale
    left, top = (int(np.floor(low + FUZZ_PX)) for low in (x0, y0))
    right, bottom = (int(np.ceil(high - FUZZ_PX)) for high in (x1, y1))
    left, top = min(max(left, 0), whole[1] - 1), min(max(top, 0), whole[0] - 1)
    right, bottom = max(min(right, whole[1]), left + 1), max(min(bottom, whole[0]), top + 1)
    return window_at(left, top, right - left, bottom - top)


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
    if unit not in ("crs", "m") or not 0 < size < float("inf"):
        raise OptionError(
            f"resolution={resolution!r}, unit={unit!r}", expected='a positive number, in "crs" units or "m", or "0.5 m"'
        )
    return size, "m" if text and text[2] else unit


def load_area(geometry: Any) -> Any:
    """An area of interest as geometries: itself, or what the vector file of that path holds.

    Raises
    ------
    SceneError
        If the file cannot be read or holds nothing.
    """
    if not isinstance(geometry, str | PathLike):
        return geometry
    import geopandas  # only those who name a file pay for it

    try:
        frame = geopandas.read_file(fspath(geometry), columns=[])
    except Exception as error:  # pyogrio raises several kinds, and not all of them derive from one root
        raise SceneError(
            f"the area of interest {fspath(geometry)} cannot be read ({' '.join(str(error).split())})",
            expected="a vector file, or a geometry",
        ) from None
    if frame.empty:
        raise SceneError(f"the area of interest {fspath(geometry)} holds no feature", expected="at least one polygon")
    return frame.geometry
