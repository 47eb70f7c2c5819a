"""The parts of a run → one layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from pyproj import CRS

from geosam.catalog.folder import RunFolder, is_whole
from geosam.catalog.footprints import from_geojson
from geosam.catalog.manifest import DONE, OUTSIDE, Manifest
from geosam.catalog.overlaps import find_once, share_ground
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
        data, the other's beyond. Of a coverage, ground that two scenes cover stays with the first, and the segments
        of the other end there.
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
    target = check_writable(output, overwrite=overwrite, layer=layer)
    run.check_free(target)
    facts, scenes = run.asked()
    manifest = Manifest(run.manifest)
    found = _Results.of(run, scenes, manifest)
    if found.missing and not allow_failures:
        raise found.incomplete(len(scenes))
    parts = tuple(Part.open(run.part(name)) for name in found.names)
    if not parts:
        raise CatalogError(f"{folder} has no result to merge", expected="at least one scene that is done")
    if allow_failures and any(part.crs for part in parts):
        found = found.without([part.path.stem for part in parts if part.crs is None])
        parts = tuple(part for part in parts if part.crs)
    table = Parts(parts, common_crs(parts, crs))
    if once:
        footprints = [from_geojson(manifest.footprints().get(name)) for name in found.names]
        asked = facts.get("options", {})
        if asked.get("coverage"):
            edits = share_ground(table, footprints)
        else:
            edits = find_once(table, footprints, label="label" if asked.get("text") else None)
        table = replace(table, edits=edits)
    told = {**facts, "scenes": len(parts), "missing": list(found.missing), "once": once}
    write_table(table, target, layer=layer, metadata=told, overwrite=overwrite, inputs=_inputs(facts, scenes))
    return Merged(target, len(parts), table.rows, table.left_out, found.missing)


@dataclass(frozen=True)
class _Results:
    """The scenes that have a part, those that have none, and those of these whose part is not as it was made."""

    names: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]

    @classmethod
    def of(cls, run: RunFolder, scenes: Sequence[Mapping[str, Any]], manifest: Manifest) -> "_Results":
        """Look at what the manifest says of the scenes, and whether their parts are still what it says."""
        rows = {scene["name"]: manifest.rows.get(scene["name"]) for scene in scenes}
        current = {s["name"]: row for s in scenes if (row := rows[s["name"]]) is not None and row.key == s["key"]}
        done = [name for name, row in current.items() if row.status == DONE]
        whole = {name for name in done if is_whole(run.part(name), current[name].part)}
        outside = {name for name, row in current.items() if row.status == OUTSIDE}
        missing = tuple(name for name in rows if name not in whole | outside)
        return cls(
            tuple(name for name in done if name in whole), missing, tuple(name for name in done if name not in whole)
        )

    def without(self, names: Sequence[str]) -> "_Results":
        """The same without the parts of some scenes."""
        return _Results(tuple(name for name in self.names if name not in names), (*self.missing, *names), self.damaged)

    def incomplete(self, count: int) -> CatalogError:
        """The error where some of the scenes have no result."""
        damaged = f"; the parts of {_named(self.damaged)} are damaged" if self.damaged else ""
        hint = "run the catalog again with the same command, or leave them out (--allow-failures; allow_failures=True)"
        return CatalogError(
            f"{len(self.missing)} of {count} scenes have no result: {_named(self.missing)}{damaged}", hint=hint
        )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _inputs(facts: Mapping[str, Any], scenes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the run read, which a layer must not replace: its scenes and its prompts."""
    prompts = facts.get("prompts") or {}
    places = [scene["path"] for scene in scenes]
    return [*places, *(path for place in places for path in place.split(", ")), prompts.get("path", "")]


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
