"""A comparison as files: one GeoPackage, the layers of a schema, GeoJSON, a situation map, a swipe page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from geosam import sinks
from geosam.change.legend import EXTENT_COLOURS, NOT_ANALYSED, OTHER_EXTENT, STATUS_COLOURS
from geosam.change.options import CompareOptions, with_changes
from geosam.change.result import Comparison
from geosam.change.schemas import EMS_DAMAGE, SCHEMAS, UNOSAT_CLASSES, to_schema
from geosam.errors import OptionError, SinkError
from geosam.pipeline.compare import compare
from geosam.sheets import MAP_FORMATS, PAGE_FORMATS, Titles, situation_map, swipe_page
from geosam.sinks import Category, categorized
from geosam.sinks.layers import write_layers
from geosam.sinks.places import check_path

OSM_STATE = (
    'CASE WHEN "destroyed:building" IS NOT NULL THEN \'destroyed\' WHEN "building" <> \'yes\' THEN "building"'
    ' WHEN "damage:grade" IS NOT NULL THEN "damage:grade" ELSE \'no damage\' END'
)
"""What became of a building in the words of OpenStreetMap, as an expression of QGIS."""

OSM_COLOURS = {
    "destroyed": "d7191c",
    "collapsed": "d7191c",
    "ruins": "d7191c",
    "major": "fdae61",
    "minor": "ffff99",
    "no damage": "1a9641",
}


@dataclass(frozen=True)
class Published:
    """Files that a comparison is written to; None for those that are not wanted.

    Attributes
    ----------
    package
        GeoPackage with all layers.
    geojson
        The layer `change` as GeoJSON.
    sheet
        Situation map, PDF or PNG.
    page
        HTML page with a swipe.
    """

    package: Path
    geojson: Path | None = None
    sheet: Path | None = None
    page: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files, the package first."""
        return [path for path in (self.package, self.geojson, self.sheet, self.page) if path]


def check_outputs(
    package: str | PathLike[str],
    *,
    geojson: str | PathLike[str] | None = None,
    sheet: str | PathLike[str] | None = None,
    page: str | PathLike[str] | None = None,
    overwrite: bool = True,
    inputs: Iterable[Any] = (),
) -> Published:
    """Find out, before any work, whether the files can be written.

    Raises
    ------
    SinkError
        If one has another ending, is an input, exists and must not be replaced, or its folder is absent.
    """
    asked = {"overwrite": overwrite, "inputs": list(inputs)}
    formats = ((geojson, (".geojson",)), (sheet, MAP_FORMATS), (page, PAGE_FORMATS))
    others = [check_path(path, kinds, **asked) if path else None for path, kinds in formats]
    return Published(check_path(package, (".gpkg",), **asked), *others)


def publish(
    result: Comparison,
    files: Published,
    *,
    schema: str | None = None,
    titles: Titles | None = None,
    overwrite: bool = True,
) -> list[Path]:
    """Write a comparison; all files appear together, or none.

    Parameters
    ----------
    result
        The comparison.
    files
        Where to, from `check_outputs`.
    schema
        ems, unosat or osm: the GeoPackage gets that schema's layers instead of geosam's own.
    titles
        What the situation map says of itself.
    overwrite
        Whether existing files may be replaced.

    Returns
    -------
    The files, absolute.

    Raises
    ------
    SinkError
        If a file cannot be written.
    OptionError
        If there is no such schema, or a situation map is asked for without matplotlib.
    """
    layers = result.layers() if schema is None else to_schema(result, schema)
    if files.geojson and result.change.crs is None:
        raise SinkError(
            f"{files.geojson}: the scenes have no CRS", expected="one, since GeoJSON is longitude and latitude"
        )
    with sinks.Outputs(files.paths, overwrite=overwrite) as outputs:
        how = {"overwrite": overwrite, "outputs": outputs}
        write_layers(layers, files.package, styles=styles(layers), metadata=result.facts, **how)
        if files.geojson:
            sinks.write(result.change, files.geojson, metadata=result.facts, **how)
        if files.sheet:
            situation_map(result, files.sheet, titles=titles, **how)
        if files.page:
            title = " · ".join(part for part in ((titles or Titles()).event, (titles or Titles()).place) if part)
            swipe_page(result, files.page, title=title, **how)
        outputs.commit()
    return files.paths


def compare_to_file(  # noqa: PLR0913 - each output is an argument of its own
    before: Any,
    after: Any,
    output: str | PathLike[str],
    prompts: Any = None,
    *,
    geojson: str | PathLike[str] | None = None,
    sheet: str | PathLike[str] | None = None,
    page: str | PathLike[str] | None = None,
    schema: str | None = None,
    titles: Titles | None = None,
    overwrite: bool = True,
    model: Any = "nano",
    options: CompareOptions | None = None,
    store: Any = None,
    progress: Any = None,
    **changes: Any,
) -> Comparison:
    """Compare two dates and write what was found; all files appear together, or none.

    Parameters
    ----------
    before, after, prompts, model, options, store, progress, changes
        As for `compare`.
    output
        GeoPackage with all layers, those of `schema` if one is named.
    geojson, sheet, page
        Also write the objects as GeoJSON, the situation map (``.pdf`` or ``.png``), the swipe page (``.html``).
    schema
        ems, unosat or osm.
    titles
        What the situation map says of itself.
    overwrite
        Whether existing files may be replaced.

    Raises
    ------
    SinkError
        If a file cannot be written; known before any work is done where possible.
    SceneError, PromptError, ModelError, OptionError
        As for `compare`.
    """
    if schema is not None and schema not in SCHEMAS:
        raise OptionError(f"schema {schema!r}", expected=", ".join(SCHEMAS))
    asked = with_changes(options or CompareOptions(), changes)
    files = check_outputs(
        output,
        geojson=geojson,
        sheet=sheet,
        page=page,
        overwrite=overwrite,
        inputs=sinks.input_files(before, after, prompts, asked),
    )
    result = compare(before, after, prompts, model=model, options=asked, store=store, progress=progress)
    publish(result, files, schema=schema, titles=titles, overwrite=overwrite)
    return result


def styles(layers: Mapping[str, Any]) -> dict[str, str]:
    """Style of each layer that QGIS is to draw by category; of extents only the classes that are there."""
    by_status = [_shown(name, name, colour) for name, colour in STATUS_COLOURS.items()]
    there = set(layers["extent"]["class"]) if "extent" in layers else set()
    by_class = [_shown(name, name, colour) for name, colour in EXTENT_COLOURS.items() if name in there]
    by_class += [_shown("", "other", OTHER_EXTENT)] * bool(there - set(EXTENT_COLOURS))
    words = dict(zip(EMS_DAMAGE, ("d7191c", "fdae61", "ffff99", "1a9641", "9e9e9e"), strict=True))
    sites = dict(zip(UNOSAT_CLASSES, ("d7191c", "fdae61", "fee08b", "ffff99", "1a9641", "c2a5cf"), strict=True))
    by_site = [_shown(str(code), f"{code} {UNOSAT_CLASSES[code]}", colour) for code, colour in sites.items()]
    observed = [_shown("event", "observed event", EXTENT_COLOURS["flood"])]
    known = {
        "change": categorized("status", by_status),
        "before": categorized("'before'", [_shown("before", "outline before", "ffffff", 0.0)]),
        "after": categorized("'after'", [_shown("after", "outline after", "ffd92f", 0.0)]),
        "extent": categorized("class", by_class),
        "not_analysed": categorized("'gap'", [_shown("gap", "not analysed", NOT_ANALYSED, 0.6)]),
        "summary": categorized("'unit'", [_shown("unit", "units", "444444", 0.0)]),
        "builtUpA": categorized("damage_gra", [_shown(word, word, colour) for word, colour in words.items()]),
        "observedEventA": categorized("'event'", observed),
        "notAnalysedA": categorized("'gap'", [_shown("gap", "not analysed", NOT_ANALYSED, 0.6)]),
        "damage_sites": categorized("Main_Damage_Site_Class", by_site),
        "event_extent": categorized("'event'", observed),
        "buildings": categorized(OSM_STATE, [_shown(name, name, colour) for name, colour in OSM_COLOURS.items()]),
    }
    return {name: qml for name, qml in known.items() if name in layers}


def _shown(value: str, label: str, colour: str, opacity: float = 0.45) -> Category:
    """A category through whose fill the scene is seen, ``colour`` without its sign."""
    return Category(value, label, f"#{colour}", opacity, outlined=True)
