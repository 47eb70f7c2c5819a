"""The whole flow: a scene goes in, polygons come out.

`segment` gives a GeoDataFrame, `segment_to_file` streams to a file in bounded memory, `encode` fills an embedding
store, `plan` says beforehand what a run will cost.

===========  ===========================================================
module       responsibility
===========  ===========================================================
options      what a run is asked for, and what it says at its end
limits       how much that may be
request      the same with every name and path resolved
run          a request being carried out: journal, store, progress
everything   every object of the scene, stitched across windows
regions      every pixel of the scene in a segment, from its region tree
hierarchy    every object of several views: wholes and their parts
prompted     one polygon for each prompt
calibration  what a model takes on this machine, measured once
words        what words name, from the region tree
concepts     what a larger model finds by words, window by window
reading      which words are asked, who reads them, the pixel that suits
kinds        what the polygons show
likeness     polygons ranked by how much they are like some
two_dates    a pair of dates, looked at with a model
newcomers    objects that stand only on the date after
compare      what became of known objects between two dates
publish      a comparison as files
landcover    a land-cover map of a scene
styles       how QGIS draws a layer
forecast     windows, passes, time and memory, before starting
===========  ===========================================================
"""

import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
from geopandas import GeoDataFrame

from geosam import sinks
from geosam.execute import Journal, Progress
from geosam.pipeline.concepts import find_concepts
from geosam.pipeline.everything import Strips, find_everything
from geosam.pipeline.forecast import Forecast, forecast
from geosam.pipeline.hierarchy import check_hierarchy, find_hierarchy
from geosam.pipeline.kinds import with_kinds
from geosam.pipeline.likeness import similar
from geosam.pipeline.options import Report, SegmentOptions
from geosam.pipeline.prompted import find_prompted
from geosam.pipeline.regions import find_regions
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run, open_store
from geosam.pipeline.styles import style_of
from geosam.pipeline.words import find_words
from geosam.segmenter import Segmenter, WordFinder

__all__ = ["Forecast", "Report", "SegmentOptions", "encode", "plan", "segment", "segment_to_file", "similar"]

Model = str | PathLike[str] | Segmenter


def segment(
    scene: Any,
    prompts: Any = None,
    *,
    model: Model = "nano",
    options: SegmentOptions | None = None,
    store: Any = None,
    progress: Progress | None = None,
    **changes: Any,
) -> GeoDataFrame:
    """Segment a scene into polygons: every object, or those that prompts point at.

    Parameters
    ----------
    scene
        A `Scene` from `geosam.open_scene`, or whatever that function opens.
    prompts
        None for every object. Else a `Prompts`, a vector file, a GeoDataFrame or geometries (points, boxes, polygons)
        in any CRS, a label raster or a label array; each gives one polygon, with its id and attributes.
    model
        Name of a model, path of a weights file, or a network.
    options
        See `SegmentOptions`; each of its fields may also be given by its name, as in ``min_area=20``.
    store
        Folder or `EmbeddingStore` in which embeddings are kept for later runs; ``"auto"`` for the cache folder.
    progress
        Shows how far the run is, such as a `geosam.execute.Bar`.

    Returns
    -------
    GeoDataFrame
        One row for each object, in the scene's CRS, with the documented columns (`geosam.polygons.COLUMNS`). Its
        ``attrs["geosam"]`` says how it was made, ``attrs["skipped"]`` which prompts gave nothing, and why.

    Raises
    ------
    SceneError, PromptError, ModelError, OptionError
        If the scene, the prompts, the model or an option cannot be used.

    Examples
    --------
    >>> from geosam.testing import TruthNetwork, blob_labels, label_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = label_scene(f"{folder}/scene.tif", blob_labels((200, 300), count=5, large=0))
    ...     found = segment(path, model=TruthNetwork(side=128), spacing_px=4)
    >>> len(found) > 0 and bool(found.geometry.is_valid.all())
    True
    """
    request = Request.of(scene, prompts, model=model, options=options, changes=changes)
    check_hierarchy(request, labels=False)
    with temporary_journal(request) as journal, request.bounded_cache():
        run = Run(request, journal, open_store(store), progress or Progress())
        frames = list(find(run))
    full = [frame for frame in frames if len(frame)] or frames[:1]
    whole = GeoDataFrame(pd.concat(full, ignore_index=True)) if len(full) > 1 else full[0]
    whole.attrs = {"geosam": request.metadata, "skipped": run.report.skipped}
    return whole


def segment_to_file(  # noqa: PLR0913 - each output is an argument of its own
    scene: Any,
    output: str | PathLike[str],
    prompts: Any = None,
    *,
    labels: str | PathLike[str] | None = None,
    picture: str | PathLike[str] | None = None,
    layer: str | None = None,
    overwrite: bool = True,
    inputs: Iterable[str | PathLike[str]] = (),
    model: Model = "nano",
    options: SegmentOptions | None = None,
    store: Any = None,
    progress: Progress | None = None,
    **changes: Any,
) -> Report:
    """Segment a scene and stream the polygons to a file, in memory that does not grow with the scene.

    The outputs appear when all of them are whole. If the run is interrupted, the same call goes on from the windows
    that are done; they lie in a hidden folder beside the output until then. If it was killed when the outputs were
    complete, the same call gives them their places.

    Parameters
    ----------
    scene, prompts, model, options, store, progress, changes
        As for `segment`.
    output
        ``.gpkg``, ``.parquet``, ``.fgb`` or ``.geojson``.
    labels
        Also write the object ids as an int32 cloud-optimized GeoTIFF here.
    picture
        Also draw the scene with its polygons here, as a PNG; for that all polygons are read into memory at the end.
    layer
        Name of the layer; the file's name if not given. Other layers of a GeoPackage that exists stay.
    overwrite
        Whether existing outputs, of a GeoPackage a layer of the same name, may be replaced.
    inputs
        Files that the run depends on, besides those of the scene, the prompts and the model; no output may be one of
        them all.

    Returns
    -------
    Report
        What was done, what was skipped and why.

    Raises
    ------
    SinkError
        If an output is an input or cannot be written; known before any work is done where possible.
    SceneError, PromptError, ModelError, OptionError
        As for `segment`.
    """
    begin = time.perf_counter()
    request = Request.of(scene, prompts, model=model, options=options, changes=changes)
    check_hierarchy(request, labels=labels is not None)
    read = sinks.input_files(request.scene, scene, prompts, model, *inputs)
    asked = OutputPaths.of(request, output, labels, picture, layer=layer, overwrite=overwrite, inputs=read)
    report = Report(outputs=asked.paths)
    key = json.dumps([request.key, layer], sort_keys=True)
    with (
        sinks.Outputs(asked.paths, overwrite=overwrite, key=key) as outputs,
        Journal.beside(asked.layer_path, request.key) as journal,
        request.bounded_cache(),
    ):
        if outputs.done is None:
            write_outputs(Run(request, journal, open_store(store), progress or Progress(), report), asked, outputs)
            report.seconds = time.perf_counter() - begin
            outputs.commit(report.facts())
        else:
            report = Report.from_facts(outputs.done, asked.paths)
        journal.remove()
    return report


@dataclass(frozen=True)
class OutputPaths:
    """The outputs of a run.

    Attributes
    ----------
    layer_path, labels, picture
        The files; None for what is not asked for.
    layer
        Name of the layer; None: the file's.
    overwrite
        Whether what exists may be replaced.
    """

    layer_path: Path
    labels: Path | None
    picture: Path | None
    layer: str | None
    overwrite: bool

    @classmethod
    def of(
        cls,
        request: Request,
        layer_path: str | PathLike[str],
        labels: str | PathLike[str] | None,
        picture: str | PathLike[str] | None,
        *,
        layer: str | None,
        overwrite: bool,
        inputs: Iterable[str],
    ) -> "OutputPaths":
        """Check, before any work, that each output can be written and is none of the inputs."""
        pending = sinks.is_pending(layer_path)
        checked = partial(sinks.check_writable, inputs=inputs)
        return cls(
            checked(layer_path, overwrite=overwrite, has_crs=request.scene.frame.on_earth, layer=layer),
            checked(labels, formats=sinks.LABEL_FORMATS, overwrite=overwrite or pending) if labels else None,
            checked(picture, formats=sinks.PICTURE_FORMATS, overwrite=overwrite or pending) if picture else None,
            layer,
            overwrite,
        )

    @property
    def paths(self) -> list[Path]:
        """All files, the layer's first."""
        return [path for path in (self.layer_path, self.labels, self.picture) if path]


def write_outputs(run: Run, asked: OutputPaths, outputs: sinks.Outputs) -> None:
    """Segment, and write each output as a whole; they get their places later, all at once."""
    scene, facts = run.request.scene, run.request.metadata
    how = {"overwrite": asked.overwrite, "outputs": outputs}
    with sinks.LabelSink(asked.labels, scene, metadata=facts, **how) if asked.labels else nullcontext() as sink:
        frames = counted(find(run, tap(sink)), run.report)
        layer = {"layer": asked.layer, "style": style_of(run.request), "metadata": facts, "crs": scene.crs}
        sinks.write(frames, asked.layer_path, **layer, **how)
    if asked.picture:
        polygons = sinks.read_layer(outputs.place(asked.layer_path).part, sinks.layer_of(asked.layer_path, asked.layer))
        sinks.picture(scene, polygons, asked.picture, **how)


@contextmanager
def temporary_journal(request: Request) -> Iterator[Journal]:
    """A journal of a run that nothing is to be left of."""
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder, Journal(folder, request.key) as journal:
        yield journal


def find(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons in batches, with their kinds where these are wanted; `tap` sees the label strips on their way."""
    frames = find_polygons(run, tap)
    return with_kinds(run, frames) if run.request.options.kinds else frames


def find_polygons(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons in batches, in the way that the request asks for."""
    if run.request.asked:
        return find_concepts(run, tap) if isinstance(run.request.reader, WordFinder) else find_words(run, tap)
    if run.request.options.grows_tree and run.request.prompts is None:
        return find_regions(run, tap)
    if run.request.options.hierarchy:
        return find_hierarchy(run)
    if run.request.prompts is None:
        return find_everything(run, tap)
    return find_prompted(run, run.request.prompts, tap)


def tap(sink: sinks.LabelSink | None) -> Callable[[Strips], Strips]:
    """Write the strips of labels down as they pass, or let them pass."""
    if sink is None:
        return iter

    def write(strips: Strips) -> Strips:
        for row_off, labels in strips:
            sink.write(row_off, labels)
            yield row_off, labels

    return write


def counted(frames: Iterator[GeoDataFrame], report: Report) -> Iterator[GeoDataFrame]:
    """The same frames, their rows counted in the report."""
    for frame in frames:
        report.objects += len(frame)
        yield frame


def encode(
    scene: Any,
    *,
    model: Model = "nano",
    options: SegmentOptions | None = None,
    store: Any = "auto",
    progress: Progress | None = None,
    **changes: Any,
) -> Report:
    """Fill an embedding store with all windows of a scene, so that later prompts need no encoder.

    Parameters
    ----------
    scene, model, options, store, progress, changes
        As for `segment`.

    Returns
    -------
    Report
        How many windows were encoded, were there already, or have no data.
    """
    begin = time.perf_counter()
    request = Request.of(scene, None, model=model, options=options, changes=changes)
    with temporary_journal(request) as journal, request.bounded_cache():
        run = Run(request, journal, open_store(store, needed=True), progress or Progress())
        plan = run.plan()
        full = [planned.window for planned in plan if run.scene.has_data(planned.window)]
        deque(run.progress.track(run.embed_each(run.scene, full), "encode", total=len(full)), maxlen=0)
    run.report.windows, run.report.empty = len(plan), len(plan) - len(full)
    run.report.seconds = time.perf_counter() - begin
    return run.report


def plan(
    scene: Any,
    prompts: Any = None,
    *,
    model: Model = "nano",
    options: SegmentOptions | None = None,
    **changes: Any,
) -> Forecast:
    """Say what segmenting a scene will cost on this machine: windows, passes, seconds, memory.

    The first time, one window of the scene is segmented to find out what the model takes here. That is kept in the
    cache folder, and measured anew if the machine, the number of threads, the model or how it is asked changes.

    Parameters
    ----------
    scene, prompts, model, options, changes
        As for `segment`.
    """
    request = Request.of(scene, prompts, model=model, options=options, changes=changes)
    with request.bounded_cache():
        return forecast(request)
