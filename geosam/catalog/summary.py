"""What became of each scene: counts, failures with their reasons, and a page about them."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from geosam.catalog.folder import RunFolder, read_lines
from geosam.catalog.manifest import DONE, FAILED, Manifest, Row
from geosam.catalog.maps import COLOURS, PENDING
from geosam.catalog.page import draw_page
from geosam.errors import SinkError


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
    _write(page, draw_page(rows, manifest.footprints(), facts))
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
