"""A scene and samples in, a land-cover map out: segments, features, classes, and all that is written of them."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from geosam import sinks
from geosam.errors import LandcoverError, OptionError
from geosam.execute import Progress
from geosam.features import measure_features
from geosam.landcover import (
    UNKNOWN,
    Classification,
    ClassifyOptions,
    LandcoverModel,
    Legend,
    classify,
    with_classes,
)
from geosam.landcover.legend import UNKNOWN_COLOUR
from geosam.landcover.model import MODEL_FORMATS
from geosam.landcover.outputs import area_table, class_strips, dissolve
from geosam.landcover.samples import legend_of, read_samples
from geosam.pipeline.run import open_store
from geosam.scene import Scene, open_scene
from geosam.sheets import area_chart, landcover_page
from geosam.vectors import Purpose
from geosam.vectors.polygons import read_polygons

AnyPath = str | PathLike[str]

SEGMENTS = Purpose.bare(LandcoverError, "segments")


@dataclass(frozen=True)
class LandcoverFiles:
    """What is written of a land-cover map; they appear together, or none does.

    Attributes
    ----------
    output
        The segments with their classes; a GeoPackage opens in QGIS in the legend's colours.
    dissolved
        Neighbouring segments of a class as one polygon.
    raster
        Codes as a cloud-optimized GeoTIFF with colours and names.
    areas
        Area of each class: ``.csv`` for the table, ``.svg`` for the chart.
    report
        One HTML page; it tells of the samples, and is none of a map by a trained model.
    model
        What was learned from the samples, ``.geosam``, for other scenes.
    overwrite
        Whether existing files may be replaced.
    metadata
        What is noted in the polygons' and the raster's metadata beside legend and model.
    """

    output: AnyPath
    dissolved: AnyPath | None = None
    raster: AnyPath | None = None
    areas: tuple[AnyPath, ...] = ()
    report: AnyPath | None = None
    model: AnyPath | None = None
    overwrite: bool = False
    metadata: Mapping[str, object] = field(default_factory=dict)

    def checked(self, inputs: Iterable[Any]) -> dict[str, list[Path]]:
        """The files by kind, after a look whether they can be written.

        Raises
        ------
        SinkError, OptionError
            If one cannot be, or two are one file.
        """
        read = sinks.input_files(*inputs)
        polygons = [path for path in (self.output, self.dissolved) if path is not None]
        asked: list[tuple[str, Iterable[AnyPath], tuple[str, ...]]] = [
            ("polygons", polygons, sinks.POLYGON_FORMATS),
            ("raster", [self.raster] if self.raster else [], sinks.LABEL_FORMATS),
            ("areas", self.areas, (".csv", ".svg")),
            ("report", [self.report] if self.report else [], (".html",)),
            ("model", [self.model] if self.model else [], MODEL_FORMATS),
        ]
        found = {
            kind: [sinks.check_writable(path, formats=formats, overwrite=self.overwrite, inputs=read) for path in paths]
            for kind, paths, formats in asked
        }
        sinks.check_together([path for paths in found.values() for path in paths])
        return found


@dataclass(frozen=True, eq=False)
class SampleSource:
    """Where samples are from.

    Attributes
    ----------
    source
        A vector file or a GeoDataFrame with points or polygons.
    label
        The column with the class.
    layer, crs
        Layer of the file, and their CRS where it does not say it.
    legend
        The classes: a `Legend`, a known one by name, a file; None: those of the samples.
    """

    source: Any
    label: str = "class"
    layer: str | int | None = None
    crs: Any = None
    legend: Legend | AnyPath | None = None

    @property
    def files(self) -> list[Any]:
        """The files that are read."""
        return [one for one in (self.source, self.legend) if isinstance(one, str | PathLike)]

    def read(self) -> tuple[gpd.GeoDataFrame, Legend]:
        """The samples, and their classes.

        Raises
        ------
        LandcoverError
            If they cannot be read, or one has a class that is not in the legend.
        """
        places = read_samples(self.source, self.label, layer=self.layer, crs=self.crs)
        return places, legend_of(places[self.label], None if self.legend is None else Legend.of(self.legend))


@dataclass
class LandcoverReport:
    """What came of it.

    Attributes
    ----------
    classification
        Segments, model and validation; None where a model was applied.
    segments
        The map.
    areas
        The table of areas.
    outputs
        The files.
    seconds
        How long each step took, by name.
    """

    segments: gpd.GeoDataFrame
    areas: pd.DataFrame
    classification: Classification | None = None
    outputs: list[Path] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def map_landcover(
    scene: Any,
    files: LandcoverFiles,
    *,
    samples: Any = None,
    trained: LandcoverModel | AnyPath | None = None,
    segments: Any = None,
    mmu: float | int = 0.0,
    options: ClassifyOptions | None = None,
    model: Any = "nano",
    store: Any = None,
    progress: Progress | None = None,
) -> LandcoverReport:
    """Make a land-cover map of a scene.

    Parameters
    ----------
    scene
        A `Scene`, or anything that `open_scene` takes.
    files
        What is written.
    samples
        Places of known class: a `SampleSource`, or its source alone.
    trained
        A model instead of samples: `LandcoverModel`, or the file of one.
    segments
        Polygons to classify, a table or a vector file; None: the scene is segmented as a coverage.
    mmu
        Minimum mapping unit in m²: smaller segments join the neighbour that they are most like.
    options
        How segments are classified.
    model, store, progress
        As for `geosam.segment`; the store also keeps what the recognition network sees for the features.

    Returns
    -------
    LandcoverReport
        The map, and how long each step took.

    Raises
    ------
    LandcoverError
        If samples, legend or model do not fit.
    OptionError
        If samples and a trained model are given, or neither.
    SinkError
        If an output cannot be written; known before any work is done.
    """
    _check_asked(files, samples, trained)
    opened = scene if isinstance(scene, Scene) else open_scene(scene)
    given = samples if isinstance(samples, SampleSource) else SampleSource(samples)
    if trained is not None and (files.report or files.model):
        problem = "a report" if files.report else "what was learned"
        raise OptionError(f"{problem} of a map without samples", expected="samples (--samples)")
    named = [one for one in (trained, segments) if isinstance(one, str | PathLike)]
    targets = files.checked([opened, scene, *named, *given.files])
    places, known = (None, None) if samples is None else given.read()
    if places is not None:
        check_reach(opened, places)
    loaded = LandcoverModel.load(trained) if isinstance(trained, str | PathLike) else trained
    clock, kept = Clock(), open_store(store)
    if segments is not None:
        segments = read_polygons(segments, SEGMENTS)
    else:
        from geosam.pipeline import segment

        segments = clock.timed(
            "segment",
            lambda: segment(opened, coverage=True, min_area=mmu, model=model, store=kept, progress=progress),
        )
    wanted = (options or ClassifyOptions()).features if loaded is None else loaded.features
    if loaded is not None and options is not None and options.bands_as is not None:
        wanted = replace(wanted, bands_as=options.bands_as)
    features = clock.timed("features", lambda: measure_features(segments, opened, wanted, store=kept))
    found = None
    if loaded is not None:
        mapped = clock.timed("classify", lambda: with_classes(segments, features, loaded))
        seen = loaded.legend
    else:
        how = {"features": features, "legend": known, "options": options}
        found = clock.timed("classify", lambda: classify(segments, places, given.label, **how))
        mapped, seen = found.segments, found.legend
    areas = area_table(mapped, seen)
    report = LandcoverReport(mapped, areas, found, [path for paths in targets.values() for path in paths])
    clock.timed("write", lambda: write_map(opened, report, seen, targets, files))
    report.seconds = clock.seconds
    return report


class Clock:
    """How long steps take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, step: Callable[[], Any]) -> Any:
        """Do a step and note its time."""
        begin = time.perf_counter()
        done = step()
        self.seconds[name] = round(time.perf_counter() - begin, 3)
        return done


def _check_asked(files: LandcoverFiles, samples: Any, trained: Any) -> None:
    """Refuse what does not fit together."""
    if (samples is None) == (trained is None):
        problem = "neither samples nor a trained model" if samples is None else "samples and a trained model"
        raise OptionError(problem, expected="one of them")
    if samples is None and (files.report or files.model):
        problem = "a report" if files.report else "what was learned"
        raise OptionError(f"{problem} of a map without samples", expected="samples (--samples)")


def check_reach(scene: Scene, places: gpd.GeoDataFrame) -> None:
    """Refuse samples of which none lies on a scene, before any work is done.

    Raises
    ------
    LandcoverError
        If that is so.
    """
    if (scene.crs is None) != (places.crs is None):
        return  # which is told, or refused, where they meet the segments
    h, w = scene.shape
    frame = shapely.box(0, 0, w, h)
    if shapely.intersects(scene.to_px(places), frame).any():
        return
    edges = shapely.total_bounds(scene.to_world(frame)).round(6).tolist()
    raise LandcoverError(
        "samples that lie beside the scene",
        expected=f"places within {tuple(edges)} of {scene.crs or 'its own coordinates'}",
        hint="see whether their CRS is right: crs= (--samples-crs)",
    )


def write_map(
    scene: Scene, report: LandcoverReport, legend: Legend, targets: dict[str, list[Path]], files: LandcoverFiles
) -> None:
    """Write all files of a map; they get their places together."""
    facts = {"legend": legend.name, "codes": dict(zip(legend.names, legend.codes, strict=True)), **files.metadata}
    overwrite = files.overwrite
    learned = report.classification
    if learned is not None:
        facts |= json.loads(json.dumps(dict(learned.model.facts), default=str))
    style = sinks.categorized("class", categories(legend, report.segments))
    with sinks.Outputs(report.outputs, overwrite=overwrite) as outputs:
        how = {"overwrite": overwrite, "outputs": outputs}
        frames = [report.segments, *([dissolve(report.segments)] if len(targets["polygons"]) > 1 else [])]
        for frame, path in zip(frames, targets["polygons"], strict=True):
            sinks.write(frame, path, metadata=facts, crs=scene.crs, style=style, **how)
        rows = [
            *zip(legend.codes, legend.names, legend.colours, strict=True),
            (legend.unknown, UNKNOWN, UNKNOWN_COLOUR),
        ]
        for path in targets["raster"]:
            strips = class_strips(report.segments, scene, legend)
            sinks.write_classes(strips, path, scene, rows, nodata=legend.nodata, metadata=facts, **how)
        for path in targets["areas"]:
            is_table = path.suffix.lower() == ".csv"
            text = report.areas.to_csv(lineterminator="\n") if is_table else area_chart(report.areas, legend.colour)
            sinks.write_text(text, path, **how)
        if learned is not None:
            for path in targets["report"]:
                sinks.write_text(landcover_page(scene, learned, report.areas), path, **how)
            for path in targets["model"]:
                with sinks.named_errors(path):
                    outputs.place(path).part.write_bytes(learned.model.to_bytes())
        outputs.commit()


def categories(legend: Legend, segments: gpd.GeoDataFrame) -> list[sinks.Category]:
    """The classes that a map has, as categories of its style, *unknown* last."""
    there = set(segments["class"])
    shown = [(name, legend.colour(name)) for name in legend.names if name in there]
    shown += [(UNKNOWN, UNKNOWN_COLOUR)] if UNKNOWN in there else []
    return [sinks.Category(name, name, colour) for name, colour in shown]
