"""The parts of a run → one layer."""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from pyproj import CRS

from geosam.catalog.folder import RunFolder, read_lines
from geosam.catalog.footprints import from_geojson
from geosam.catalog.manifest import DONE, OUTSIDE, Manifest
from geosam.catalog.overlaps import find_once
from geosam.catalog.parts import Part, Parts
from geosam.errors import CatalogError
from geosam.scene.reproject import parse_crs
from geosam.sinks import check_writable, write_table

NAMED = 3
"""Scenes without a result that an error names; the others are counted."""


@dataclass(frozen=True)
class Merged:
    """What was merged.

    Attributes
    ----------
    path
        The layer.
    scenes, objects
        Parts, and polygons in the layer.
    joined
        Polygons that went into one seen from another scene.
    missing
        Names of the scenes that have no result.
    """

    path: Path
    scenes: int
    objects: int
    joined: int
    missing: tuple[str, ...]


def merge(
    folder: str | PathLike[str],
    output: str | PathLike[str],
    *,
    crs: Any = None,
    once: bool = False,
    allow_failures: bool = False,
    layer: str | None = None,
    overwrite: bool = True,
) -> Merged:
    """Merge the parts of a run into one layer, in memory that does not grow with their number.

    The rows are those of the parts, scene by scene in the order of their names; ``scene`` and ``object_id`` together
    name a row.

    Parameters
    ----------
    folder
        Of the run.
    output
        ``.gpkg``, ``.parquet``, ``.fgb`` or ``.geojson``.
    crs
        Of the layer. None: that of the parts if they share one, else longitude and latitude.
    once
        Whether an object that was found in two overlapping scenes becomes one, by the same rule as in overlapping
        windows: where their IoU in what both scenes saw exceeds one half. The first scene's outline holds where it has
        data, the other's beyond.
    allow_failures
        Whether scenes without a result, and those without a CRS where others have one, are left out; else they are an
        error.
    layer, overwrite
        As for `geosam.write`.

    Raises
    ------
    CatalogError
        If there is no run, a scene has no result, or some parts have a CRS and some have none.
    SinkError
        If the layer cannot be written.
    """
    run = RunFolder.existing(folder)
    inputs = [*run.path.rglob("*")]
    target = check_writable(output, overwrite=overwrite, layer=layer, inputs=inputs)
    manifest = Manifest(run.manifest)
    scenes = list(read_lines(run.scenes))
    current = [row for scene in scenes if (row := manifest.rows.get(scene["name"])) and row.key == scene["key"]]
    there = {row.name for row in current if row.status == OUTSIDE or _is_whole(row, run)}
    missing = tuple(scene["name"] for scene in scenes if scene["name"] not in there)
    if missing and not allow_failures:
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        hint = "run the catalog again, or leave them out (--allow-failures)"
        raise CatalogError(f"{len(missing)} of {len(scenes)} scenes have no result: {named}", hint=hint)
    names = [row.name for row in current if row.name in there and row.status == DONE]
    if not names:
        raise CatalogError(f"{folder} has no result to merge", expected="at least one scene that is done")
    parts = tuple(Part.open(run.part(name)) for name in names)
    if allow_failures and any(part.crs for part in parts):
        missing += tuple(name for name, part in zip(names, parts, strict=True) if part.crs is None)
        names, parts = [name for name in names if name not in missing], tuple(part for part in parts if part.crs)
    table = Parts(parts, common_crs(parts, crs))
    joined = 0
    if once:
        edits = find_once(table, [from_geojson(one) for one in map(manifest.footprints().get, names)])
        joined = sum(change is None for one in edits.values() for change in one.values())
        table = Parts(parts, table.crs, edits)
    facts = _facts(run, scenes=len(names), missing=missing, once=once)
    write_table(table, target, layer=layer, metadata=facts, overwrite=overwrite, inputs=inputs)
    return Merged(target, len(names), table.rows, joined, missing)


def common_crs(parts: tuple[Part, ...], asked: Any = None) -> CRS | None:
    """The CRS of a layer of all parts.

    Raises
    ------
    CatalogError
        If some have one and some have none.
    """
    without = [part.path.stem for part in parts if part.crs is None]
    if len(without) == len(parts):
        return None
    if without:
        raise CatalogError(
            f"{without[0]} and {len(without) - 1} more scenes have no CRS, others have",
            expected="scenes that all have one",
            hint="georeference them, or leave them out (--allow-failures)",
        )
    if asked is not None:
        return parse_crs(asked)
    first = parts[0].crs
    return first if all(part.crs == first for part in parts) else CRS(4326)


def _is_whole(row: Any, run: RunFolder) -> bool:
    return row.status == DONE and run.part(row.name).is_file()


def _facts(run: RunFolder, *, scenes: int, missing: tuple[str, ...], once: bool) -> dict[str, object]:
    """What the layer's metadata says of how it was made."""
    asked = json.loads(run.facts.read_text(encoding="utf-8"))
    return {**asked, "scenes": scenes, "missing": list(missing), "once": once}
