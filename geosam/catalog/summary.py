"""What became of each scene: counts, failures with their reasons, and a page about them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from geosam.catalog.folder import RunFolder
from geosam.catalog.manifest import DONE, FAILED, Manifest, Row
from geosam.catalog.maps import COLOURS, PENDING
from geosam.catalog.page import draw_page
from geosam.sinks.places import check_path
from geosam.sinks.staging import named_errors, staged

PAGES = (".html", ".htm")
"""Extensions of a page."""


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
        If the page cannot be written, or is a file of the run.
    """
    run = RunFolder.existing(folder)
    page = check_path(output or run.path / "report.html", PAGES, inputs=[run.facts, run.scenes, run.manifest])
    run.check_free(page)
    facts, scenes = run.asked()
    manifest = Manifest(run.manifest)
    rows = [_current(scene, manifest) for scene in scenes]
    done = [row for row in rows if row.status == DONE]
    summary = Summary(
        page,
        {status: Counter(row.status for row in rows)[status] for status in COLOURS},
        objects=sum(row.objects for row in done),
        area_m2=sum((row.area_m2 for row in done), 0.0),
        failures=tuple(row for row in rows if row.status == FAILED),
    )
    with staged(page) as part, named_errors(page):
        part.write_text(draw_page(rows, manifest.footprints(), facts), encoding="utf-8")
    return summary


def _current(scene: Mapping[str, Any], manifest: Manifest) -> Row:
    """The row of a scene, if it is about what is asked for now."""
    row = manifest.rows.get(scene["name"])
    if row is not None and row.key == scene["key"]:
        return row
    return Row(scene["name"], scene["path"], scene["key"], PENDING)
