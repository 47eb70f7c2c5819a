"""A situation map as responders expect it: one page that can be printed, mailed and believed.

Title with event, place and date; the picture after with what was found on it; legend, scale bar, north arrow,
coordinate grid, overview; consequences in a table; sources with their times; ground that was not analysed; a
disclaimer. Drawn by matplotlib, which the extra ``geosam[sheets]`` brings.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geosam.change.legend import EXTENT_COLOURS, NOT_ANALYSED, OTHER_EXTENT, STATUS_COLOURS
from geosam.change.result import Comparison
from geosam.errors import OptionError
from geosam.sheets.ground import pictures
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

MAP_FORMATS = (".pdf", ".png")
"""Extensions of situation maps."""

MOST_PX = 2400
"""Longest side of the picture on the map: 200 dpi on A3."""

DPI = 150

DISCLAIMER = (
    "Derived from imagery by machine and not validated in the field. Damage is told with a probability; "
    "objects that were not seen are not counted as intact. Boundaries and names imply no opinion on their status."
)

EDGE = 0.03
"""Share of the frame along its ends where no coordinate is named, so that names do not run into each other."""

ROUND = (1.0, 2.0, 2.5, 5.0)
"""First digits that lengths of scale bars and steps of grids have."""


@dataclass(frozen=True)
class Titles:
    """What a map says of itself.

    Attributes
    ----------
    event, place, date
        Its title: what happened, where, and when it was mapped.
    author
        Who publishes it.
    """

    event: str = "Change between two dates"
    place: str = ""
    date: str = ""
    author: str = "geosam"


def situation_map(
    result: Comparison,
    path: str | os.PathLike[str],
    *,
    titles: Titles | None = None,
    overwrite: bool = True,
    outputs: Outputs | None = None,
) -> Path:
    """Draw the situation map.

    Parameters
    ----------
    result
        The comparison.
    path
        Output file, ``.pdf`` or ``.png``.
    titles
        What the map says of itself.
    overwrite
        Whether an existing file may be replaced.
    outputs
        Outputs that it is one of, and appears with.

    Raises
    ------
    OptionError
        If matplotlib is not installed.
    SinkError
        If the file cannot be written.
    """
    target = check_path(path, MAP_FORMATS, overwrite=overwrite, inputs=())
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError(
            "a situation map without matplotlib", expected="it to be installed", hint='pip install "geosam[sheets]"'
        ) from None
    figure = Figure(figsize=(16.5, 11.7))  # A3, landscape
    FigureCanvasAgg(figure)
    _draw(figure, result, titles or Titles())
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target):
        kind = target.suffix.lower()[1:]
        stamp = {"CreationDate": None} if kind == "pdf" else {"Software": None}
        figure.savefig(place.part, format=kind, dpi=DPI, metadata=stamp)
    return target


def _draw(figure: Any, result: Comparison, titles: Titles) -> None:
    before, after, scale = pictures(result.pair, MOST_PX)
    frame = figure.add_axes((0.04, 0.06, 0.66, 0.84))
    named = " · ".join(part for part in (titles.event, titles.place) if part)
    figure.text(0.04, 0.945, named, fontsize=22, weight="bold", va="center")
    figure.text(
        0.04, 0.915, f"Situation map · {titles.date or result.source['date'].iloc[1]}", fontsize=12, va="center"
    )
    _map(frame, result, after, scale)
    _grid(frame, result)
    _scale_bar(frame, result)
    _north(frame, result)
    _legend(figure, result)
    overview = figure.add_axes((0.86, 0.68, 0.12, 0.2))
    overview.imshow(before)
    overview.set_title("before", fontsize=9)
    overview.set_xticks([])
    overview.set_yticks([])
    _table(figure, (0.73, 0.36, 0.25, 0.24), "Consequences in the mapped area", consequences(result))
    _table(figure, (0.73, 0.21, 0.25, 0.1), "Sources", source_rows(result))
    facts = (
        f"Shift between the dates: {result.registration.describe()}"
        f"{' (corrected)' if result.facts.get('corrected') else ' (not corrected)'}.\n"
        f"Not analysed: {result.not_analysed['area_ha'].sum():,.2f} ha (grey, hatched).\n"
        f"Grid: {result.pair.before.crs.name if result.pair.before.crs else 'pixels'}.\n{DISCLAIMER}\n"
        f"Published by {titles.author}."
    )
    figure.text(0.73, 0.19, _wrapped(facts, 74), fontsize=8, va="top", linespacing=1.4)


def _map(axes: Any, result: Comparison, after: np.ndarray, scale: float) -> None:
    h, w = result.pair.shape
    axes.imshow(after, extent=(0, w, h, 0), interpolation="bilinear")
    axes.set_xlim(0, w)
    axes.set_ylim(h, 0)
    pair = result.pair.before
    if result.extent is not None:
        for value in result.extent["class"].unique():
            part = result.extent[result.extent["class"] == value]
            _polygons(axes, pair.to_px(part), EXTENT_COLOURS.get(value, OTHER_EXTENT), 0.35)
    _polygons(axes, pair.to_px(result.not_analysed), NOT_ANALYSED, 0.6, hatch="///")
    for status, colour in STATUS_COLOURS.items():
        part = result.change[result.change["status"] == status]
        _polygons(axes, pair.to_px(part), colour, 0.15 if status == "kept" else 0.45)
    axes.plot([0, w, w, 0, 0], [0, 0, h, h, 0], color="black", linewidth=1.2)


def _polygons(axes: Any, shapes: np.ndarray, colour: str, fill: float, hatch: str = "") -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgba
    from matplotlib.path import Path as Outline

    paths = []
    for part in shapely.get_parts(shapes) if len(shapes) else []:
        if part.geom_type == "Polygon":
            rings = [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
            paths.append(Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings)))
    if paths:
        face, edge = to_rgba(f"#{colour}", fill), to_rgba(f"#{colour}")
        axes.add_collection(
            PathCollection(paths, facecolors=[face], edgecolors=[edge], linewidths=0.9, hatch=hatch or None)
        )


def _grid(axes: Any, result: Comparison) -> None:
    """Lines of the CRS's coordinates at round steps, named on the frame."""
    h, w = result.pair.shape
    world = result.pair.before.frame.world_from_px(np.array([[0.0, 0], [w, 0], [0, h], [w, h]]))
    for axis, ticks, labels in ((0, axes.set_xticks, axes.set_xticklabels), (1, axes.set_yticks, axes.set_yticklabels)):
        low, high = world[:, axis].min(), world[:, axis].max()
        step = round_length((high - low) / 4)
        values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        values = values[(values > low + EDGE * (high - low)) & (values < high - EDGE * (high - low))]
        other = world[:, 1 - axis].mean()
        places = np.array([[value, other] if axis == 0 else [other, value] for value in values]).reshape(-1, 2)
        ticks(result.pair.before.frame.px_from_world(places)[:, axis])
        digits = max(0, -int(np.floor(np.log10(step))))
        labels([f"{value:,.{digits}f}" for value in values], fontsize=8)
    axes.grid(color="white", alpha=0.5, linewidth=0.6)
    for label in axes.get_yticklabels():
        label.set(rotation=90, va="center")


def _scale_bar(axes: Any, result: Comparison) -> None:
    h, w = result.pair.shape
    size = result.pair.resolution_m
    unit, size = ("m", size) if np.isfinite(size) else ("px", 1.0)
    length = round_length(w * size / 5)
    left, top = 0.03 * w, 0.965 * h
    for part, colour in ((0, "black"), (1, "white")):
        x0 = left + part * length / size / 2
        axes.fill_between(
            [x0, x0 + length / size / 2], top - 0.008 * h, top, facecolor=colour, edgecolor="black", zorder=9
        )
    text = f"{length / 1000:g} km" if unit == "m" and length >= 1000 else f"{length:g} {unit}"
    shown = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2}
    axes.text(left, top - 0.02 * h, f"0 to {text}", fontsize=10, bbox=shown, va="bottom", zorder=9)


def _north(axes: Any, result: Comparison) -> None:
    """An arrow to where the grid's y grows, or latitude does."""
    frame, (h, w) = result.pair.before.frame, result.pair.shape
    middle = frame.world_from_px(np.array([[w / 2, h / 2]]))
    up = frame.px_from_world(middle + np.array([[0, frame.resolution * 10]]))[0] - [w / 2, h / 2]
    up = up / np.linalg.norm(up) * 0.06 * h
    foot = np.array([0.955 * w, 0.1 * h])
    style = {"arrowstyle": "-|>", "lw": 2.5, "color": "black"}
    axes.annotate("", foot + up, foot, arrowprops=style, zorder=9)
    shown = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2}
    axes.text(*foot, "N", fontsize=13, weight="bold", ha="center", va="top", bbox=shown, zorder=9)


def _legend(figure: Any, result: Comparison) -> None:
    from matplotlib.patches import Patch

    counts = result.counts()
    rows = [
        Patch(facecolor=f"#{STATUS_COLOURS[name]}80", edgecolor=f"#{STATUS_COLOURS[name]}", label=name)
        for name in counts
    ]
    if result.extent is not None:
        for value in result.extent["class"].unique():
            colour = EXTENT_COLOURS.get(value, OTHER_EXTENT)
            rows.append(Patch(facecolor=f"#{colour}60", edgecolor=f"#{colour}", label=f"{value} (extent)"))
    rows.append(Patch(facecolor=f"#{NOT_ANALYSED}", edgecolor="#757575", hatch="///", label="not analysed"))
    figure.legend(
        handles=rows, loc="upper left", bbox_to_anchor=(0.725, 0.9), title="Objects", fontsize=10, frameon=False
    )


def _table(figure: Any, place: tuple[float, float, float, float], title: str, rows: list[list[str]]) -> None:
    lengths = np.array([max(len(row[column]) for row in rows) + 3 for column in range(len(rows[0]))])
    widths = (lengths / lengths.sum()).tolist()
    axes = figure.add_axes(place)
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=11, weight="bold")
    table = axes.table(
        cellText=rows[1:], colLabels=rows[0], loc="upper left", cellLoc="left", edges="horizontal", colWidths=widths
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.scale(1, 1.15)


def consequences(result: Comparison) -> list[list[str]]:
    """Rows of the table of consequences: unit, affected, total."""
    counts = result.counts()
    known = sum(counts.values()) - counts["new"]
    rows = [["", "affected", "of"]]
    rows += [[f"objects {name}", f"{counts[name]:,}", f"{known:,}"] for name in ("gone", "changed", "unseen")]
    rows.append(["new objects", f"{counts['new']:,}", ""])
    grades = result.change["grade"].value_counts().to_dict()
    rows += [
        [f"damage: {grade}", f"{int(grades.get(grade, 0)):,}", f"{known:,}"]
        for grade in ("destroyed", "major", "minor")
    ]
    if result.extent is not None:
        for name in result.extent["class"].unique():
            area = result.extent.loc[result.extent["class"] == name, "area_ha"].sum()
            rows.append([f"{name}, ha", f"{area:,.2f}", ""])
    return rows


def source_rows(result: Comparison) -> list[list[str]]:
    """Rows of the table of sources."""
    rows = [["source", "phase", "date", "pixel"]]
    for name, phase, date, size in result.source[["name", "phase", "date", "gsd_m"]].itertuples(index=False):
        rows.append(
            [
                in_short(str(name)),
                phase,
                str(date).replace("T", " ").replace(":00Z", "Z") or "unknown",
                f"{size:.2g} m" if np.isfinite(size) else "",
            ]
        )
    return rows


def in_short(name: str, most: int = 28) -> str:
    """A name of at most so many signs: a longer one keeps its ends, by which names of scenes are told apart.

    Examples
    --------
    >>> in_short("T60HTD_2023_before"), in_short("santa-rosa-wildfire_00000086_post_disaster")
    ('T60HTD_2023_before', 'santa-ros…0086_post_disaster')
    """
    if len(name) <= most:
        return name
    head = most // 3
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def round_length(length: float) -> float:
    """The largest round length that is no longer.

    Examples
    --------
    >>> round_length(137.0), round_length(0.0041)
    (100.0, 0.0025)
    """
    ten = 10.0 ** np.floor(np.log10(length))
    return float(max((digit * ten for digit in ROUND if digit * ten <= length * (1 + 1e-9)), default=ten))


def _wrapped(text: str, width: int) -> str:
    from textwrap import fill

    return "\n".join(fill(line, width) for line in text.splitlines())
