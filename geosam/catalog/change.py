"""What became of each known object at every date after an event, out of a catalog: pair by pair, one id per object."""

import os
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from geosam import sinks
from geosam.catalog.execution import Execution, do_missing
from geosam.catalog.folder import check_apart, digest_of, made
from geosam.catalog.job import Job, ModelSpec, PromptFile, View
from geosam.catalog.pairs import PAIRS, DatePair, pair_items, pair_path
from geosam.catalog.selection import Selection
from geosam.catalog.sources import find_items
from geosam.catalog.tasks import Task
from geosam.change.dates import Dated, latest, over_dates, unosat_sites
from geosam.change.options import CompareOptions
from geosam.change.schemas import to_degrees
from geosam.errors import OptionError, PromptError
from geosam.execute import Progress
from geosam.paths import check_regular
from geosam.pipeline.publish import styles
from geosam.sinks.layers import write_layers
from geosam.sinks.places import check_path
from geosam.vectors import split_layer

LAYER = "change.gpkg"

_OPTIONS = ("resolution_m", "correct", "decode", "layer", "id_column", "prompts_crs", "grades", "fates")
"""Fields of `CompareOptions` that have a meaning for all pairs."""


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
    model
        Name of a model or path of a weights file; each process loads it once.
    store
        Folder of embeddings and features, ``"auto"`` for the one in the cache folder, None for none.
    progress
        Shows how far the run is.
    options
        ``resolution_m, correct, decode, layer, id_column, prompts_crs, grades, fates`` of
        `geosam.change.CompareOptions`; ``workers, scheduler, threads, resources, retries`` of
        `geosam.catalog.Execution`. What is written is the same wherever the work is done.

    Returns
    -------
    ChangeRun
        What was done, what failed and what was left out.

    Raises
    ------
    CatalogError
        If the source names no scenes, or none before or none after the event.
    PromptError, OptionError, ModelError, SinkError
        If the objects, an option, a model or the folder cannot be used, or another run is at work in the folder.
    ClusterError
        If the workers or the scheduler are lost.
    """
    if schema not in {None, "unosat"}:
        raise OptionError(f"schema {schema!r} over several dates", expected="unosat, or none")
    execution, asked = _chosen(options)
    seen = (view or View()).resolved()
    items = find_items(source, selection, area=seen.area)
    check_apart(folder, items)
    pairs, skipped = pair_items(items, event)
    run = ChangeRun(made(folder), skipped=skipped)
    check_path(run.folder / LAYER, (".gpkg",), inputs=sinks.input_files(prompts))
    made(run.folder / PAIRS)
    job = Job(
        run.folder,
        ModelSpec.of(model),
        seen,
        prompts=_known(prompts),
        store=store if store in {None, "auto"} else str(Path(store).absolute()),
        retries=execution.retries,
        change=asked,
    )
    shown = {"name": "pairs", "unit": "pairs", "progress": progress or Progress()}
    settled = do_missing(execution, job, [task_of(pair, job) for pair in pairs], path_of=pair_path, **shown)
    run.earlier, run.done, run.failed = settled.earlier, settled.done, settled.failed
    if compared := [_dated(run.folder, pair) for pair in pairs if pair.name not in run.failed]:
        run.objects = over_dates(compared)
        write_dates(run.objects, run.folder / LAYER, schema=schema)
    return run


def _dated(folder: Path, pair: DatePair) -> Dated:
    """What was found in a pair."""
    change = sinks.read_layer(pair_path(folder, pair.name), "change")
    return Dated(change, pair.date, pair.before.name, pair.after.name)


def task_of(pair: DatePair, job: Job) -> Task:
    """The task of comparing a pair."""
    identity = f"{pair.before.identity} {pair.after.identity}"
    return Task(pair.after, job.key(identity), identity, before=pair.before)


def write_dates(objects: gpd.GeoDataFrame, path: Path, *, schema: str | None = None) -> Path:
    """Write the rows of all dates, and the latest of each object, as layers of a GeoPackage."""
    layers: dict[str, pd.DataFrame] = {"latest": latest(objects), "change": objects}
    if schema == "unosat":
        layers["damage_sites"] = to_degrees(unosat_sites(objects))
    drawn = styles({"change": None, "damage_sites": None})
    named = {"latest": drawn["change"], **{name: drawn[name] for name in layers if name in drawn}}
    dates = sorted(objects["date"].unique().tolist())
    return write_layers(layers, path, styles=named, metadata={"dates": dates})


def _chosen(given: dict[str, Any]) -> tuple[Execution, CompareOptions]:
    """Where the work is done, and how pairs are compared; models are read here, so that workers need no files."""
    where = Execution.names()
    if odd := sorted(set(given) - set(_OPTIONS) - where):
        raise OptionError(f"{odd[0]!r} over a catalog", expected=", ".join((*_OPTIONS, *sorted(where))))
    asked = CompareOptions(find_new=False, **{name: given[name] for name in _OPTIONS if name in given})
    execution = Execution(**{name: given[name] for name in where if name in given})
    return execution, replace(asked, grades=asked.grade_model(), fates=asked.fate_model())


def _known(prompts: Any) -> PromptFile:
    """The file of known objects, and what it holds, as a hash."""
    if not isinstance(prompts, str | PathLike):
        raise PromptError(f"{type(prompts).__name__} over a catalog", expected="a vector file of known objects")
    path, layer = split_layer(os.fspath(prompts))
    real = check_regular(path, PromptError, "a vector file of known objects").absolute()
    return PromptFile(f"{real}|layername={layer}" if layer else str(real), digest=digest_of(real))
