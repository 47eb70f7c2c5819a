"""A whole catalog: find the scenes, do what is missing, keep account of it."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from geosam.catalog.execution import Execution, work_on
from geosam.catalog.folder import RunFolder, check_apart, is_whole, write_lines
from geosam.catalog.items import Item
from geosam.catalog.job import Job, ModelSpec, PromptFile, View, check_names, check_words, chosen, with_words
from geosam.catalog.manifest import DONE, FAILED, OUTSIDE, Manifest, Row
from geosam.catalog.selection import Selection
from geosam.catalog.sources import find_items
from geosam.catalog.tasks import Task
from geosam.errors import OptionError, PromptError
from geosam.execute import Progress
from geosam.locks import Lock
from geosam.paths import check_regular, is_address
from geosam.pipeline import SegmentOptions
from geosam.prompts import Prompts
from geosam.prompts.placement import PIXELS, crs_from
from geosam.prompts.source import read_features
from geosam.scene.fingerprint import lasting
from geosam.vectors import split_layer


@dataclass
class CatalogReport:
    """What a run over a catalog did.

    Attributes
    ----------
    folder
        Of the run.
    scenes
        How many there are.
    kept
        How many an earlier run had done.
    done, outside
        How many were done now; how many the area of interest does not meet.
    failed
        Rows of those that failed.
    objects
        Polygons of all scenes, those of earlier runs too.
    seconds
        That this run took.
    """

    folder: Path
    scenes: int = 0
    kept: int = 0
    done: int = 0
    outside: int = 0
    failed: list[Row] = field(default_factory=list)
    objects: int = 0
    seconds: float = 0.0


def segment_catalog(
    source: Any,
    folder: str | PathLike[str],
    prompts: Any = None,
    *,
    model: Any = "nano",
    labels: bool = False,
    store: str | PathLike[str] | None = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> CatalogReport:
    """Segment all scenes of a catalog, each into a part of its own; go on where an earlier run stopped.

    What is done already, with the same scene, model and parameters, is not done again. A scene that fails does not end
    the run: it is in the report and the manifest with its reason, and the next run tries it again.

    Parameters
    ----------
    source
        A folder, a pattern, STAC, a table or a list of paths; see `geosam.catalog.find_items`.
    folder
        Of the run; `geosam.catalog.RunFolder` says what is in it. `geosam.catalog.merge` makes one layer of its parts.
    prompts
        None for every object. Else a vector file, a raster of masks, a GeoDataFrame or geometries, for all scenes.
    model
        Name of a model or path of a weights file; each process loads it once.
    labels
        Whether to write label rasters as well.
    store
        Folder of embeddings; ``"auto"`` for what `encode_catalog` has made in the run's folder, None for none.
    progress
        Shows how far the run is.
    options
        Fields of `Selection` (which scenes), `View` (how they are seen), `Execution` (where the work is done) and
        `SegmentOptions` (how they are segmented), by their names; ``id_column``, ``group_column``, ``label_column`` and
        ``layer`` of the prompts, and as ``prompts_crs`` their CRS, if the file does not say it, or says a wrong one.

    Returns
    -------
    CatalogReport
        What was done, and which scenes failed.

    Raises
    ------
    CatalogError, OptionError, PromptError, ModelError
        If the source, an option, the prompts or the model cannot be used.
    SinkError
        If the run's folder cannot be written, or another run is at work in it.
    ClusterError
        If the workers or the scheduler are lost.

    Notes
    -----
    With `workers`, a script needs no ``if __name__ == "__main__":``; the processes that it starts do not run it again.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import TruthNetwork, blob_labels, label_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in "ab":
    ...         path = label_scene(f"{folder}/{name}.tif", blob_labels((96, 96), count=4, large=0))
    ...     report = segment_catalog(folder, f"{folder}/run", model=TruthNetwork(side=96), spacing_px=8)
    >>> report.scenes, report.done, report.failed
    (2, 2, [])
    """
    if prompts is not None and options.get("coverage"):
        raise OptionError("coverage with prompts", expected="everything mode", hint="leave one of them out")
    told = {field: options.pop(name) for name, field in _PROMPTS.items() if name in options}
    request = _Request.of(source, folder, model=model, store=store, options=options)
    check_words(request.job.options, prompts)
    file = prompt_file(prompts, request.folder, **told)
    return _run(request, replace(request.job, prompts=file, labels=labels), progress or Progress())


def encode_catalog(
    source: Any,
    folder: str | PathLike[str],
    *,
    model: Any = "nano",
    store: str | PathLike[str] = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> CatalogReport:
    """Fill a store with the embeddings of all scenes, so that later prompts need no encoder.

    Parameters
    ----------
    source, model, progress, options
        As for `segment_catalog`.
    folder
        Of the run; later runs in it use its embeddings.
    store
        Another folder for the embeddings.

    Returns
    -------
    CatalogReport
        What was done, and which scenes failed.
    """
    request = _Request.of(source, folder, model=model, store=store, options=options)
    where = request.folder.embeddings if store == "auto" else store
    job = replace(request.job, encode=True, store=str(Path(where).absolute()))
    request = replace(request, folder=RunFolder.create(request.folder.path / "encoding"))
    return _run(request, job, progress or Progress())


_PROMPTS = {name: name for name in ("layer", "id_column", "group_column", "label_column")} | {"prompts_crs": "crs"}
"""Arguments that say how the prompts are taken, and the fields of a `PromptFile` that hold them."""


@dataclass(frozen=True)
class _Request:
    """What is asked for, with every option resolved."""

    folder: RunFolder
    items: list[Item]
    execution: Execution
    job: Job

    @classmethod
    def of(cls, source: Any, folder: Any, *, model: Any, store: Any, options: Mapping[str, Any]) -> "_Request":
        check_names(options, Selection, View, Execution, SegmentOptions)
        execution, view = chosen(Execution, options), chosen(View, options).resolved()
        segment = chosen(SegmentOptions, options)
        segment = with_words(segment)
        items = find_items(source, chosen(Selection, options), area=view.area)
        check_apart(folder, items)
        spec, place = ModelSpec.of(model), RunFolder.create(folder)
        if store == "auto":
            store = place.embeddings if place.embeddings.is_dir() else None
        job = Job(
            place.path,
            spec,
            view,
            segment,
            store=None if store is None else str(Path(store).absolute()),
            retries=execution.retries,
            split=execution.split if execution.parallel else 0,
        )
        return cls(place, items, execution, job)


def prompt_file(prompts: Any, folder: RunFolder, **how: Any) -> PromptFile | None:
    """The prompts as a file that every process can read: their own, or one in the run's folder.

    Raises
    ------
    PromptError
        If they cannot be read.
    """
    if prompts is None:
        if given := [name for name, value in how.items() if value is not None]:
            named = ", ".join(f"{name}={how[name]!r}" for name in given)
            raise OptionError(f"{named} without prompts", expected="the file that has it", hint="prompts= (--prompts)")
        return None
    if isinstance(prompts, Prompts):
        raise PromptError("prompts of one scene", expected="a vector file or a GeoDataFrame, which serve many scenes")
    if isinstance(prompts, str | PathLike):
        path, named = split_layer(fspath(prompts))
        how["layer"] = how.get("layer") or named
        if not is_address(path):
            path = str(check_regular(path, PromptError, "a vector file or a raster with prompts"))
    else:
        path = str(folder.path / "prompts.parquet")
        read_features(prompts).to_parquet(path)
    stat = Path(path).stat() if Path(path).is_file() else None
    content = sha256(Path(path).read_bytes()).hexdigest()[:32] if stat else lasting(path)
    if how.get("crs") is not None and str(how["crs"]).lower() != PIXELS:
        how["crs"] = crs_from(how["crs"]).to_wkt()
    return PromptFile(path, digest=content, **how)


def _run(request: _Request, job: Job, progress: Progress) -> CatalogReport:
    begin, folder = time.perf_counter(), request.folder
    report = CatalogReport(folder.path, scenes=len(request.items))
    with Lock(folder.path / ".lock", str(folder.path)):
        known = ((item, item.identity) for item in request.items)
        tasks = [Task(item, job.key(identity), identity) for item, identity in known]
        write_lines(
            folder.scenes, ({"name": task.item.name, "path": task.item.place, "key": task.key} for task in tasks)
        )
        write_lines(folder.facts, [{**job.facts, "digest": job.digest, "labels": job.labels, "scenes": len(tasks)}])
        manifest = Manifest(folder.manifest)
        todo = [task for task in tasks if not is_done(manifest.rows.get(task.item.name), task, job)]
        report.kept = len(tasks) - len(todo)
        with (
            progress.stage("scenes", len(tasks), unit="scenes", done=report.kept) as stage,
            closing(work_on(request.execution, job, todo)) as rows,
        ):
            for row in rows:
                manifest.append(row)
                _count(report, row)
                stage.advance()
        report.objects = sum(manifest.rows[task.item.name].objects for task in tasks)
    report.seconds = time.perf_counter() - begin
    return report


def is_done(row: Row | None, task: Task, job: Job) -> bool:
    """Whether a scene's last row says that it is done as it is asked for now, and its outputs are as they were."""
    if row is None or row.key != task.key or row.status == FAILED:
        return False
    if row.status == OUTSIDE or job.encode:
        return True
    folder = RunFolder(job.folder)
    if not is_whole(folder.part(row.name), row.part):
        return False
    return not job.labels or is_whole(folder.label(row.name), row.label)


def _count(report: CatalogReport, row: Row) -> None:
    report.done += row.status == DONE
    report.outside += row.status == OUTSIDE
    if row.status == FAILED:
        report.failed.append(row)
