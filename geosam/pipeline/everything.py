"""Everything mode: every object of the scene, each once, none overlapping another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from geopandas import GeoDataFrame
from rasterio.windows import Window

from geosam.arrays import Valid
from geosam.embeddings import Embedding
from geosam.execute import run_in_order
from geosam.instances import InstanceSet, Load, WindowInstances, assemble, count_pixels, flatten, stitch
from geosam.masks import segment_everything
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.polygons import instance_frame, outline, polygonize
from geosam.scene import Chip
from geosam.windows import PlannedWindow, WindowPlan

Strips = Iterator[tuple[int, np.ndarray]]

ABREAST = 2
"""Windows that are segmented at a time where the network computes elsewhere: it and the processor take turns."""


def find_everything(run: Run, tap: Callable[[Strips], Strips] = iter) -> Iterator[GeoDataFrame]:
    """Polygons of all objects, in batches, each object as soon as its last row of pixels is known.

    Parameters
    ----------
    run
        The scene, the network and the options.
    tap
        Sees the strips of labels on their way to the polygons, such as a label raster that writes them down.
    """
    plan = run.plan()
    load = segment_windows(run, plan)
    instances = within_limits(run.request, plan, stitch(plan, load), load)
    strips = tap(assemble(plan, instances, load))
    for ids, geometries_px in polygonize(strips, stops=instances.stops, tolerance_px=run.tolerance_px):
        drawn = outline(geometries_px, run.request.options.style)
        yield instance_frame(ids, drawn, run.scene, instances=instances, model=run.network.name)
    none = np.zeros(0, np.int32), np.zeros(0, object)
    yield instance_frame(*none, run.scene, instances=instances, model=run.network.name)


def within_limits(request: Request, plan: WindowPlan, instances: InstanceSet, load: Load) -> InstanceSet:
    """Only the objects whose area lies within the limits that were asked for, measured in the pixels they have."""
    least, most = request.options.min_area, request.options.max_area
    if least <= 0 and most == float("inf"):
        return instances
    area = count_pixels(plan, instances, load) * request.m2_per_px
    return instances.keep((area >= least) & (area <= most))


def segment_windows(run: Run, plan: WindowPlan) -> Callable[[int], WindowInstances | None]:
    """Segment every window that has data; returns the loader of their results, None for an empty window."""
    full = {planned.index: planned for planned in plan if run.scene.has_data(planned.window)}
    done = set(run.journal.names())
    todo = [planned for index, planned in full.items() if entry(index, run.prefix) not in done]
    run.report.windows += len(plan)
    run.report.empty += len(plan) - len(full)
    run.report.resumed += len(full) - len(todo)
    with run.progress.stage("segment", len(full), done=len(full) - len(todo)) as stage:
        for index, found in segment_each(run, todo):
            run.journal.put(entry(index, run.prefix), found.to_arrays())
            stage.advance()

    def load(index: int) -> WindowInstances | None:
        planned = full.get(index)
        if planned is None:
            return None
        name = entry(index, run.prefix)

        def make() -> dict[str, np.ndarray]:
            return next(segment_each(run, [planned]))[1].to_arrays()

        return WindowInstances.from_arrays(index, run.once(name, make))

    return load


def segment_each(run: Run, todo: Sequence[PlannedWindow]) -> Iterator[tuple[int, WindowInstances]]:
    """Every object that the network finds in each of some windows, in their order, by the windows' indices.

    Windows are read ahead. If the network takes several at once, it computes elsewhere: then the next ones are embedded
    while some are segmented, `ABREAST` at a time.
    """
    embedded = run.embed_each(run.scene, (planned.window for planned in todo))
    looks = (Look(planned, *seen) for planned, seen in zip(todo, embedded, strict=True))
    threads = ABREAST if run.network.capabilities.max_windows > 1 else 0
    yield from run_in_order(lambda look: (look.planned.index, segment_look(run, look)), looks, threads=threads)


@dataclass(frozen=True)
class Look:
    """A window, read and embedded."""

    planned: PlannedWindow
    chip: Chip = field(repr=False)
    embedding: Embedding = field(repr=False)


def segment_look(run: Run, look: Look) -> WindowInstances:
    """Every object that the network finds in one window, without overlaps."""
    planned, chip, embedding = look.planned, look.chip, look.embedding
    recipe = run.request.options.recipe(run.network)
    asked = within(planned.window, planned.asked)
    return flatten(segment_everything(embedding, run.network, chip.valid, recipe, asked=asked), planned.index)


def within(window: Window, part: Window) -> Valid:
    """Tell which pixels of a window lie in a part of it.

    Examples
    --------
    >>> within(Window(10, 0, 4, 2), Window(11, 0, 2, 1)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    inside = np.zeros((round(window.height), round(window.width)), bool)
    top, left = round(part.row_off - window.row_off), round(part.col_off - window.col_off)
    inside[top : top + round(part.height), left : left + round(part.width)] = True
    return inside


def entry(index: int, prefix: str = "") -> str:
    """The journal's name for a window of everything mode."""
    return f"{prefix}window-{index:06d}"
