"""The page about a run: HTML that needs nothing beside it and no network."""

import html
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

from geosam.catalog.manifest import DONE, FAILED, Row
from geosam.catalog.maps import COLOURS, draw_maps
from geosam.display import shown

NUMBERS = {"objects", "area, m²", "windows", "seconds", "attempts"}
"""Columns that are aligned by their last digit."""


def draw_page(rows: Sequence[Row], footprints: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The page as text.

    Parameters
    ----------
    rows
        A row for each scene that is asked for.
    footprints
        GeoJSON by name of scene.
    facts
        What was asked for, as the run's folder has it.
    """
    counts = Counter(row.status for row in rows)
    failures = [(row.name, row.reason, row.attempts) for row in rows if row.status == FAILED]
    return _PAGE.substitute(
        legend=" ".join(
            f'<span><i style="background: {colour}"></i>{counts[status]} {status}</span>'
            for status, colour in COLOURS.items()
            if counts[status]
        ),
        map=draw_maps(rows, footprints),
        numbers=_pairs(_numbers(rows)),
        asked=_pairs(_asked(facts)),
        failures=_table(("scene", "reason", "attempts"), failures),
        scenes=_scenes(rows),
    )


def _numbers(rows: Sequence[Row]) -> dict[str, str]:
    done = [row for row in rows if row.status == DONE]
    seconds, windows = sum(row.seconds for row in done), sum(row.windows for row in done)
    objects, again = sum(row.objects for row in done), sum(row.attempts - 1 for row in rows)
    return {
        "scenes": f"{len(rows):,}",
        "objects": f"{objects:,}",
        "area of all objects": f"{sum(row.area_m2 for row in done) / 1e6:,.3f} km²",
        "windows": f"{windows:,}",
        "work": f"{seconds:,.0f} s" if seconds else "",
        "rates": f"{windows / seconds:.3g} windows, {objects / seconds:.3g} objects a second" if seconds else "",
        "tried again after a fault": f"{again:,} times" if again else "",
    }


def _asked(facts: Mapping[str, Any]) -> dict[str, str]:
    """What was asked for, in words: dicts become `name value` pairs."""
    words = {}
    for name in ("model", "view", "options", "prompts"):
        value = facts.get(name)
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {one}" for key, one in value.items() if one not in (None, ""))
        words[name] = str(value or "")
    return words


def _scenes(rows: Sequence[Row]) -> str:
    """A line for each scene; paths count from the folder that they share."""
    folder = _shared_folder([row.path for row in rows])
    where = f"<p>Paths count from {_escaped(folder)}.</p>" if folder else ""
    lines = []
    for row in rows:
        numbers: tuple[str, ...] = ("", "", "", "")
        if row.status == DONE:
            area = f"{row.area_m2:,.0f}" if row.crs else ""
            numbers = (f"{row.objects:,}", area, f"{row.windows:,}", f"{row.seconds:,.1f}")
        path = row.path.replace(f"{folder}/", "") if folder else row.path
        lines.append((row.name, row.status, *numbers, row.crs or "", path))
    head = ("scene", "status", "objects", "area, m²", "windows", "seconds", "CRS", "path")
    return where + _table(head, lines)


def _shared_folder(paths: Sequence[str]) -> str:
    """The folder in which all paths lie; empty if there is none to speak of, or some are remote."""
    if not paths or not all(path.startswith("/") for path in paths):
        return ""
    folder = os.path.commonpath([os.path.dirname(path.split(", ", maxsplit=1)[0]) for path in paths])
    return "" if folder == "/" else folder


def _pairs(pairs: Mapping[str, str]) -> str:
    return "".join(
        f"<tr><th>{_escaped(name)}</th><td>{_escaped(value)}</td></tr>" for name, value in pairs.items() if value
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p>None.</p>"
    kinds = [' class="n"' if name in NUMBERS else "" for name in head]
    names = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "".join(f"<tr>{_cells(kinds, row)}</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _cells(kinds: Sequence[str], row: Sequence[object]) -> str:
    return "".join(f"<td{kind}>{_escaped(value)}</td>" for kind, value in zip(kinds, row, strict=True))


def _escaped(value: object) -> str:
    return html.escape(shown(value))


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>geosam catalog report</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .9rem .15rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
td:first-child, td:last-child { overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; border: 1px solid #ddd; background: #fafafa; }
svg path, svg circle { fill-opacity: .6; fill-rule: evenodd; stroke: #333; stroke-width: .7; }
svg line { stroke: #e3e3e3; }
svg text { font-size: 10px; fill: #555; }
div { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; align-items: flex-end; }
figure { margin: 0; max-width: 310px; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
span { margin-right: 1.2rem; }
i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; }
</style>
<h1>Catalog report</h1>
<p>$legend</p>
$map
<table>$numbers</table>
<h2>What was asked for</h2>
<table>$asked</table>
<h2>Failures</h2>
$failures
<h2>Scenes</h2>
$scenes
</html>
""")
