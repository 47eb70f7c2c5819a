"""Charts as SVG: areas of classes with intervals, and matrices of counts."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np
import pandas as pd

from geosam.landcover import Accuracy

Number = float | int

_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_ROW, _BAR, _LEFT, _WIDTH = 44, 14, 190, 760


def area_chart(areas: pd.DataFrame, colour: Callable[[str], str], accuracy: Accuracy | None = None) -> str:
    """Draw the areas of classes: what the map says, and beside it what the sample says with its interval.

    Parameters
    ----------
    areas
        Index: names of classes; column ``area_ha``.
    colour
        The colour of a class by its name.
    accuracy
        Adds a bar with an interval for each class.
    """
    classes = None if accuracy is None else accuracy.classes
    unit = "ha" if accuracy is None else accuracy.unit
    names = [str(name) for name in areas.index]
    tops = areas["area_ha"].tolist() + ([] if classes is None else classes["area_high"].tolist())
    longest = max([*tops, 1e-12])
    scale = (_WIDTH - _LEFT - 130) / longest
    parts = []
    for row, name in enumerate(names):
        y = 30 + row * _ROW
        mapped = float(areas["area_ha"].iloc[row])
        parts.append(_text(_LEFT - 10, y + _BAR, name, anchor="end"))
        parts.append(_bar(_LEFT, y, mapped * scale, _BAR, colour(name)))
        parts.append(_text(_LEFT + mapped * scale + 6, y + _BAR - 2, f"{_figure(mapped)} {unit}", size=11))
        if classes is not None and name in classes.index:
            one = classes.loc[name]
            parts.append(_interval(_LEFT, y + _BAR + 3, scale, (one["area"], one["area_low"], one["area_high"])))
    title = f"Area of each class, {unit}: mapped" + (
        "" if classes is None else ", and below it adjusted with its interval"
    )
    return _svg([_text(0, 16, title, weight="600"), *parts], _WIDTH, 40 + _ROW * len(names), title)


def matrix_chart(counts: pd.DataFrame, *, rows: str = "found", columns: str = "said") -> str:
    """Draw a matrix of counts: darker where more; what is right is green, what is wrong is red."""
    side, left, top = 46, 170, 130
    names = [str(name) for name in counts.index]
    values = counts.to_numpy()
    share = values / np.maximum(values.sum(axis=0, keepdims=True), 1)
    parts = [_text(0, 16, f"rows: {rows}; columns: {columns}", weight="600")]
    for k, name in enumerate(names):
        parts.append(_text(left - 8, top + k * side + 28, name, anchor="end"))
        at = left + k * side + 26
        parts.append(f'<g transform="rotate(-45 {at} {top - 8})">{_text(at, top - 8, name)}</g>')
    for row in range(len(names)):
        for column in range(len(names)):
            tint = "34,139,72" if row == column else "200,50,40"
            fill = f"rgba({tint},{0.06 + 0.8 * share[row, column] if values[row, column] else 0:.3f})"
            x, y = left + column * side, top + row * side
            parts.append(f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="{fill}" stroke="#ddd"/>')
            parts.append(_text(x + side / 2, y + 28, str(values[row, column]), anchor="middle"))
    return _svg(parts, left + side * len(names) + 110, top + side * len(names) + 10, f"Matrix of {rows} and {columns}")


def bar_chart(values: Sequence[tuple[str, Number]], title: str) -> str:
    """Draw shares as bars, in the order given."""
    longest = max([value for _, value in values] + [1e-12])
    parts = [_text(0, 16, title, weight="600")]
    for row, (name, value) in enumerate(values):
        y = 28 + row * 22
        parts.append(_text(_LEFT - 10, y + 12, name, anchor="end"))
        parts.append(_bar(_LEFT, y, 420 * value / longest, 14, "#3c78b4"))
        parts.append(_text(_LEFT + 420 * value / longest + 6, y + 12, f"{100 * value:.1f} %", size=11))
    return _svg(parts, _WIDTH, 36 + 22 * len(values), title)


def _interval(left: Number, y: Number, scale: Number, estimate: tuple[Number, Number, Number]) -> str:
    value, low, high = (float(one) for one in estimate)
    first, last, middle = left + low * scale, left + high * scale, y + _BAR / 2
    lines = [(first, last, middle, middle), *((x, x, y + 2, y + _BAR - 2) for x in (first, last))]
    drawn = "".join(
        f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{c:.1f}" y2="{d:.1f}" stroke="#111"/>' for a, b, c, d in lines
    )
    told = f"{_figure(value)} ({_figure(low)} to {_figure(high)})"
    return _bar(left, y, value * scale, _BAR, "#bbbbbb") + drawn + _text(last + 6, y + _BAR - 2, told, size=11)


def _bar(x: Number, y: Number, width: Number, height: Number, fill: str) -> str:
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height}"'
    return f'<rect {box} fill="{fill}" stroke="#333" stroke-width="0.4"/>'


def _text(x: Number, y: Number, text: str, *, anchor: str = "start", size: int = 13, weight: str = "400") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} font-size="{size}" font-weight="{weight}">{escape(text)}</text>'


def _svg(parts: list[str], width: Number, height: Number, title: str) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT} role="img"><title>{escape(title)}</title>'
    return head + "".join(parts) + "</svg>"


def _figure(value: Number) -> str:
    """A number in four figures at most."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
