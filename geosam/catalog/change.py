"""Pairs of dates out of a catalog: what became of each known object at every date after an event."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import pandas as pd
import shapely

from geosam import sinks
from geosam.catalog.folder import check_apart, key_of, made
from geosam.catalog.items import Item
from geosam.catalog.job import View
from geosam.catalog.selection import Selection, read_interval
from geosam.catalog.sources import find_items, with_footprint
from geosam.catalog.tasks import open_item
from geosam.change.dates import Dated, latest, over_dates, unosat_sites
from geosam.change.options import CompareOptions
from geosam.change.schemas import to_degrees
from geosam.errors import CatalogError, GeosamError, OptionError, PromptError
from geosam.execute import Progress
from geosam.paths import check_regular
from geosam.pipeline.compare import compare
from geosam.pipeline.publish import check_outputs, publish, styles
from geosam.sinks.layers import write_layers
from geosam.sinks.places import check_path
from geosam.vectors import split_layer

PAIRS, LAYER = "pairs", "change.gpkg"

LEAST_SHARE = 0.05
"""Share of a scene's ground that another scene before must add to be compared with it as well."""

_OPTIONS = ("resolution_m", "correct", "decode", "layer", "id_column", "prompts_crs", "grades", "fates")
"""Fields of `CompareOptions` that have a meaning for all pairs."""


@dataclass(frozen=True)
class DatePair:
    """A scene from before an event and one from after it.

    Attributes
    ----------
    before, after
        The scenes.
    """

    before: Item
    after: Item

    @property
    def name(self) -> str:
        """Names the pair's files."""
        return f"{self.after.name}--{self.before.name}"

    @property
    def date(self) -> str:
        """The day of the scene after, ISO 8601."""
        return _span(self.after)[0].date().isoformat()


@dataclass
class ChangeRun:
    """What became of the pairs.

    Attributes
    ----------
    folder
        ``pairs/NAME.gpkg`` for each pair, and ``change.gpkg``: all dates, one id per object.
    done, earlier
        Pairs that were compared now, and before.
    failed
        Name of each pair or scene that could not be compared → why.
    skipped
        Name of each scene that is no part of a pair → why.
    objects
        A row for each object and date, see `geosam.change.dates.over_dates`; None if no pair could be compared.
    """

    folder: Path
    done: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    objects: gpd.GeoDataFrame | None = None


def change_catalog(
    source: Any,
    folder: str | PathLike[str],
    prompts: str | PathLike[str],
    *,
    event: str,
    selection: Selection | None = None,
    view: View | None = None,
    schema: str | None = None,
    model: Any = "nano",
    store: Any = None,
    progress: Progress | None = None,
    **options: Any,
) -> ChangeRun:
    """Compare every scene after an event with those before it; the same call again does what is missing.

    Parameters
    ----------
    source, selection
        The scenes, as for `find_items`, such as a STAC ItemCollection; each needs a time.
    folder
        Where the results are written; it is made if it is not there.
    prompts
        Vector file of the known objects; each keeps its id over all dates.
    event
        When it happened, ISO 8601: a moment, a day or an interval. Scenes taken meanwhile are left out.
    view
        How scenes are seen, and the area of interest.
    schema
        "unosat" adds the layer ``damage_sites``, with columns for each date.
    model, store, progress
        As for `geosam.compare`.
    options
        ``resolution_m, correct, decode, layer, id_column, prompts_crs, grades, fates`` of
        `geosam.change.CompareOptions`.

    Returns
    -------
    ChangeRun
        What was done, what failed and what was left out.

    Raises
    ------
    CatalogError
        If the source names no scenes, or none before or none after the event.
    PromptError, OptionError, SinkError
        If the objects, an option or the folder cannot be used.
    """
    if schema not in {None, "unosat"}:
        raise OptionError(f"schema {schema!r} over several dates", expected="unosat, or none")
    if odd := sorted(set(options) - set(_OPTIONS)):
        raise OptionError(f"{odd[0]!r} over a catalog", expected=", ".join(_OPTIONS))
    asked = CompareOptions(find_new=False, **options)
    seen = (view or View()).resolved()
    items = find_items(source, selection, area=seen.area)
    check_apart(folder, items)
    pairs, skipped = pair_items(items, event)
    run = ChangeRun(made(folder), skipped=skipped)
    check_path(run.folder / LAYER, (".gpkg",), inputs=sinks.input_files(prompts))
    made(run.folder / PAIRS)
    how = {"options": asked, "model": model, "store": store}
    what = json.dumps([_content(prompts), seen.to_dict(), _plain(options), str(model)], sort_keys=True)
    found: list[Dated] = []
    for pair in (progress or Progress()).track(pairs, "pairs", total=len(pairs)):
        target = run.folder / PAIRS / f"{pair.name}.gpkg"
        key = hashlib.sha256(f"{what} {pair.before.identity} {pair.after.identity}".encode()).hexdigest()[:32]
        try:
            if key_of(target) == key:
                run.earlier.append(pair.name)
            else:
                _compared(pair, target, prompts, seen, {"key": key, **how})
                run.done.append(pair.name)
            found.append(Dated(sinks.read_layer(target, "change"), pair.date, pair.before.name, pair.after.name))
        except GeosamError as error:
            run.failed[pair.name] = str(error)
    if found:
        run.objects = over_dates(found)
        write_dates(run.objects, run.folder / LAYER, schema=schema)
    return run


def pair_items(items: Sequence[Item], event: str) -> tuple[list[DatePair], dict[str, str]]:
    """Pair each scene after an event with the scenes before it that show the most of its ground.

    The scene before that shares most ground comes first, of equal ones the last taken; another one joins where it adds
    at least a twentieth of the ground.

    Parameters
    ----------
    items
        Scenes with times; footprints are read from the rasters where the catalog tells none.
    event
        A moment or an interval, see `geosam.catalog.Selection.when`.

    Returns
    -------
    The pairs, by time, and for each scene that is in none the reason.

    Raises
    ------
    CatalogError
        If no scene was taken before, or none after.
    """
    begin, end = read_interval(event)
    usable, skipped = [], {}
    for item in items:
        if item.problem is None and item.when is not None:
            usable.append(with_footprint(item))
        else:
            skipped[item.name] = str(item.problem or "no time")
    before = [item for item in usable if _span(item)[1] < begin]
    after = sorted((item for item in usable if _span(item)[0] > end), key=lambda item: (_span(item), item.name))
    for when, found in (("before", before), ("after", after)):
        if not found:
            said = f"; {len(skipped)} have no time or cannot be read" if skipped else ""
            raise CatalogError(
                f"none of {len(items)} scenes was taken {when} {event}{said}",
                expected="scenes with times from before and after the event",
                hint="name the event's time (--event), or give a STAC catalog or a table with the column datetime",
            )
    pairs = [DatePair(partner, item) for item in after for partner in _partners(item, before)]
    used = {item.name for pair in pairs for item in (pair.before, pair.after)}
    why = dict.fromkeys((item.name for item in before), "others before show more of the ground")
    why |= dict.fromkeys((item.name for item in after), "no scene before shows its ground")
    left = {item.name: why.get(item.name, "taken during the event") for item in usable if item.name not in used}
    return pairs, skipped | left


def write_dates(objects: gpd.GeoDataFrame, path: Path, *, schema: str | None = None) -> Path:
    """Write the rows of all dates, and the latest of each object, as layers of a GeoPackage."""
    layers: dict[str, pd.DataFrame] = {"latest": latest(objects), "change": objects}
    if schema == "unosat":
        layers["damage_sites"] = to_degrees(unosat_sites(objects))
    drawn = styles({"change": None, "damage_sites": None})
    named = {"latest": drawn["change"], **{name: drawn[name] for name in layers if name in drawn}}
    dates = sorted(objects["date"].unique().tolist())
    return write_layers(layers, path, styles=named, metadata={"dates": dates})


def _compared(pair: DatePair, target: Path, prompts: Any, view: View, how: dict[str, Any]) -> None:
    """Compare one pair, and write it."""
    key, options = how["key"], how["options"]
    before, after = (open_item(item, view, target.parent.parent) for item in (pair.before, pair.after))
    moments = {"date_before": _span(pair.before)[0].isoformat(), "date_after": _span(pair.after)[0].isoformat()}
    dated = replace(options, **moments)
    result = compare(before, after, prompts, options=dated, model=how["model"], store=how["store"])
    publish(replace(result, facts={**result.facts, "key": key}), check_outputs(target))


def _partners(item: Item, before: Sequence[Item]) -> list[Item]:
    """The scenes before that show the ground of one after, as few as do."""
    rest, chosen = item.footprint, []
    if rest is None or not (whole := shapely.area(rest)):
        return []
    while shares := [
        (shapely.area(shapely.intersection(rest, one.footprint)) / whole, _span(one)[0], one.name, one)
        for one in before
        if one.footprint is not None
    ]:
        share, _, _, best = max(shares, key=lambda found: found[:3])
        if share < LEAST_SHARE:
            break
        chosen.append(best)
        rest = shapely.difference(rest, best.footprint)
    return chosen


def _span(item: Item) -> tuple[datetime, datetime]:
    """When a scene was taken, its first and last moment."""
    return cast("tuple[datetime, datetime]", item.when)


def _content(prompts: str | PathLike[str]) -> str:
    """What the file of known objects holds, as a hash."""
    if not isinstance(prompts, str | PathLike):
        raise PromptError(f"{type(prompts).__name__} over a catalog", expected="a vector file of known objects")
    path, layer = split_layer(os.fspath(prompts))
    real = check_regular(path, PromptError, "a vector file of known objects")
    return f"{hashlib.sha256(real.read_bytes()).hexdigest()} {layer}"


def _plain(options: dict[str, Any]) -> dict[str, str]:
    """Options as text, models by what their files hold."""
    files = {name: value for name, value in options.items() if name in ("grades", "fates") and value is not None}
    return {name: repr(value) for name, value in options.items() if name not in files} | {
        name: hashlib.sha256(Path(value).read_bytes()).hexdigest() for name, value in files.items()
    }
