"""What became of each scene: counts, failures with their reasons, and a page with a map of the footprints."""

import html
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import shapely

from geosam.catalog.folder import RunFolder, read_lines
from geosam.catalog.footprints import from_geojson
from geosam.catalog.manifest import DONE, FAILED, OUTSIDE, Manifest, Row
from geosam.errors import SinkError

PENDING = "pending"
"""Status of a scene that no attempt has been made at with the present parameters."""

COLOURS = {DONE: "#2a9d8f", FAILED: "#d62828", OUTSIDE: "#adb5bd", PENDING: "#f4a261"}
MAP_PX = (960, 540)


@dataclass(frozen=True)
class Summary:
    """A run in numbers.

    Attributes
    ----------
    page
        The HTML page.
    counts
        Scenes by status.
    objects, area_m2
        Polygons of the scenes that are done, and their areas.
    failures
        Rows of the scenes that failed.
    """

    page: Path
    counts: dict[str, int]
    objects: int
    area_m2: float
    failures: tuple[Row, ...]


def report(folder: str | PathLike[str], output: str | PathLike[str] | None = None) -> Summary:
    """Write a page about a run, which needs nothing beside it and no network.

    Parameters
    ----------
    folder
        Of the run.
    output
        The page; ``report.html`` in the run's folder if not given.

    Raises
    ------
    CatalogError
        If there is no run.
    SinkError
        If the page cannot be written.
    """
    run = RunFolder.existing(folder)
    manifest = Manifest(run.manifest)
    rows = [_current(scene, manifest) for scene in read_lines(run.scenes)]
    page = Path(output).absolute() if output else run.path / "report.html"
    done = [row for row in rows if row.status == DONE]
    summary = Summary(
        page,
        {status: Counter(row.status for row in rows)[status] for status in COLOURS},
        objects=sum(row.objects for row in done),
        area_m2=sum((row.area_m2 for row in done), 0.0),
        failures=tuple(row for row in rows if row.status == FAILED),
    )
    facts = next(read_lines(run.facts), {})
    _write(page, _page(summary, rows, manifest.footprints(), facts))
    return summary


def _current(scene: Mapping[str, Any], manifest: Manifest) -> Row:
    """The row of a scene, if it is about what is asked for now."""
    row = manifest.rows.get(scene["name"])
    if row is not None and row.key == scene["key"]:
        return row
    return Row(scene["name"], scene.get("path", ""), scene["key"], PENDING)


def _write(page: Path, text: str) -> None:
    part = page.with_name(f".{page.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, page)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SinkError(f"{page} cannot be written ({error.strerror})", hint="choose another file") from error


def _page(summary: Summary, rows: Sequence[Row], footprints: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    done = [row for row in rows if row.status == DONE]
    seconds = sum(row.seconds for row in done)
    numbers = {
        "scenes": str(len(rows)),
        **{status: str(number) for status, number in summary.counts.items() if number},
        "objects": f"{summary.objects:,}",
        "area of all objects": f"{summary.area_m2 / 1e6:,.3f} km²",
        "windows": f"{sum(row.windows for row in done):,}",
        "work": f"{seconds:,.0f} s",
        "rate": f"{sum(row.windows for row in done) / seconds:.2f} windows/s of work" if seconds else "",
        "attempts after a fault": str(sum(row.attempts - 1 for row in rows)),
    }
    asked = {"model": facts.get("model"), "options": facts.get("options"), "prompts": facts.get("prompts")}
    return _PAGE.substitute(
        legend="".join(
            f'<span><i style="background:{colour}"></i>{status}</span>'
            for status, colour in COLOURS.items()
            if summary.counts[status]
        ),
        map=draw_map(rows, footprints),
        numbers=_rows([(name, value) for name, value in numbers.items() if value]),
        asked=_rows([(name, str(value)) for name, value in asked.items() if value]),
        failures=_table(("scene", "reason", "attempts"), [(r.name, r.reason, r.attempts) for r in summary.failures]),
        scenes=_table(
            ("scene", "status", "objects", "area, m²", "windows", "seconds", "CRS", "path"),
            [
                (r.name, r.status, r.objects, f"{r.area_m2:.0f}", r.windows, f"{r.seconds:.1f}", r.crs or "", r.path)
                for r in rows
            ],
        ),
    )


def draw_map(rows: Sequence[Row], footprints: Mapping[str, Any]) -> str:
    """Footprints coloured by status, as SVG: longitude and latitude, true to scale at the middle latitude.

    Parameters
    ----------
    rows
        The scenes.
    footprints
        GeoJSON by name; scenes without are left out.
    """
    places = [(row, place) for row in rows if (place := from_geojson(footprints.get(row.name))) and not place.is_empty]
    if not places:
        return "<p>No scene has a place on the map.</p>"
    west, south, east, north = shapely.total_bounds([place for _, place in places])
    squeeze = max(0.05, float(np.cos(np.radians((south + north) / 2))))
    width, height = max((east - west) * squeeze, 1e-6), max(north - south, 1e-6)
    scale = min((MAP_PX[0] - 40) / width, (MAP_PX[1] - 40) / height)
    shapes = []
    for row, place in places:
        path = "".join(_path(ring, (west, north), (scale * squeeze, -scale)) for ring in _rings(place))
        told = html.escape(f"{row.name}: {row.status}{f', {row.objects} objects' if row.status == DONE else ''}")
        shapes.append(f'<path d="{path}" fill="{COLOURS[row.status]}"><title>{told}</title></path>')
    size = f"{width * scale + 40:.0f} {height * scale + 40:.0f}"
    label = f"{south:.4f}° to {north:.4f}° north, {west:.4f}° to {east:.4f}° east"
    return f'<svg viewBox="0 0 {size}" role="img" aria-label="Map of the scenes">{"".join(shapes)}</svg><p>{label}</p>'


def _rings(place: Any) -> list[Any]:
    return [ring for part in shapely.get_parts(place) for ring in shapely.get_rings(part)]


def _path(ring: Any, corner: tuple[float, float], scale: tuple[float, float]) -> str:
    xy = (shapely.get_coordinates(ring) - corner) * scale + 20
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy) + "Z"


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in pairs)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return "<p>None.</p>"
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr></thead><tbody>{body}</tbody></table>"


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>geosam catalog report</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .15rem .9rem .15rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
svg { width: 100%; height: auto; border: 1px solid #ddd; background: #fafafa; }
svg path { fill-opacity: .55; fill-rule: evenodd; stroke: #333; stroke-width: .7; }
i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .35rem 0 1rem; }
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
