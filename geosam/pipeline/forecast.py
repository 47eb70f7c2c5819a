"""What a run will cost: counted on the scene, and reckoned with what this machine was measured to take."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from rasterio.windows import Window

from geosam import sinks
from geosam.embeddings import embed
from geosam.execute import Journal
from geosam.masks.everything import grid_points
from geosam.pipeline import calibration
from geosam.pipeline.calibration import NOTHING, calibrated, peak_bytes
from geosam.pipeline.concepts import find_concepts
from geosam.pipeline.hierarchy import VIEWS
from geosam.pipeline.kinds import kinds_seconds
from geosam.pipeline.prompted import on_level, pyramid
from geosam.pipeline.regions import LOOKS, find_regions, tree_grid
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.pipeline.words import find_words
from geosam.regions import FineFeatures, measure_scale, window_strength
from geosam.segmenter import WordFinder
from geosam.windows import WindowPlan

MEASURED = 2
"""Windows, spread over the scene, on which a region tree is timed: ground differs."""

INSET_PX = 1e-3
"""By how much a window's outline is drawn inside it, so that rounding does not add a row of pixels."""


@dataclass(frozen=True)
class Forecast:
    """Windows and passes of a run, and what they will take.

    Attributes
    ----------
    shape, window, overlap
        The working grid, the windows on it, and the least overlap; px.
    windows, empty
        Windows of the plan (with prompts: those that prompts fall into), and those without data, which cost nothing.
    points
        Grid points in all windows together, of which the decoder answers those on data; 0 with prompts.
    prompts
        Prompts that are answered; 0 in everything mode.
    seconds, peak_bytes
        Expected time and resident memory; see `geosam.pipeline.calibration`.
    """

    shape: tuple[int, int]
    window: int
    overlap: int
    windows: int
    empty: int
    points: int
    prompts: int
    seconds: float
    peak_bytes: int

    @property
    def passes(self) -> int:
        """Encoder passes, one for each window with data."""
        return self.windows - self.empty


def forecast(request: Request) -> Forecast:
    """Count the windows, points or prompts of a run, and say what they will take on this machine."""
    found = _forecast(request)
    if request.options.kinds and found.passes:
        most = None if request.prompts is None else found.passes
        found = replace(found, seconds=found.seconds + kinds_seconds(request.scene, most), peak_bytes=peak_bytes())
    return found


def _forecast(request: Request) -> Forecast:
    """The same without kinds."""
    plan = request.options.plan(request.scene.shape, side=request.network.side)
    if isinstance(request.reader, WordFinder):
        counted = _each_alike(request, plan, find_concepts)
    elif request.prompts is None and request.options.grows_tree:
        plan = tree_grid(request).plan
        counted = _grown(request, plan, find_words if request.asked else find_regions)
    else:
        counted = _everything(request, plan) if request.prompts is None else _prompted(request, plan)
    return Forecast(shape=request.scene.shape, window=plan.size, overlap=plan.overlap, **counted)


def _everything(request: Request, plan: WindowPlan) -> dict[str, Any]:
    """What every object of the scene takes."""
    full = [planned for planned in plan if request.scene.has_data(planned.window)]
    spacing_px = request.options.recipe(request.network).everything.spacing_px
    windows, passes = plan.count, len(full)
    if request.options.hierarchy:
        windows, passes, points = count_views(request)
    else:
        points = count_points([planned.asked for planned in full], spacing_px)
    cost = calibrated(request, full[len(full) // 2].window) if full else NOTHING
    return {
        "windows": windows,
        "empty": windows - passes,
        "points": points,
        "prompts": 0,
        "seconds": cost.seconds(passes=passes, points=points),
        "peak_bytes": cost.peak_bytes,
    }


def _each_alike(request: Request, plan: WindowPlan, find: Callable[[Run], Iterator[Any]]) -> dict[str, Any]:
    """What windows take that all take the same, by one of them."""
    full = [planned for planned in plan if request.scene.has_data(planned.window)]
    seconds = [seconds_alone(request, full[len(full) // 2].window, find) for _ in range(2)][-1] if full else 0.0
    return _counted(plan, len(full), seconds * len(full), peak_bytes())


def _grown(request: Request, plan: WindowPlan, find: Callable[[Run], Iterator[Any]]) -> dict[str, Any]:
    """What a region tree takes, by some windows: what each window takes as a whole, and all else by its ground."""
    full = [planned for planned in plan if request.scene.has_data(planned.window)]
    chosen = [full[k].window for k in np.unique(np.linspace(0, len(full) - 1, MEASURED + 2)[1:-1].round().astype(int))]
    if not full:
        return _counted(plan, 0, 0.0, 0)
    seconds_alone(request, chosen[0], find)  # warms up
    timed = [Timed.of(request, window, find) for window in chosen]
    owned_px = sum(planned.core.width * planned.core.height for planned in full)
    measured_px = sum(window.width * window.height for window in chosen)
    rest = max(sum(each.rest for each in timed), 0.0) * owned_px / measured_px
    seen, scaled = (float(np.mean([getattr(each, name) for each in timed])) for name in ("seen", "scaled"))
    looks = min(len(full), LOOKS)
    held = (looks - 1) * max(each.held_bytes for each in timed)
    return _counted(plan, len(full), seen * len(full) + scaled * looks + rest, peak_bytes() + held)


@dataclass(frozen=True)
class Timed:
    """What a window of a region tree takes.

    Attributes
    ----------
    seen
        Seconds for the window as a whole: to read and encode it, and its boundary strength.
    scaled
        Seconds to measure the scene's scale on it.
    rest
        All other seconds.
    held_bytes
        Of what is held of a window on which the scale was measured.
    """

    seen: float
    scaled: float
    rest: float
    held_bytes: int

    @classmethod
    def of(cls, request: Request, window: Window, find: Callable[[Run], Iterator[Any]]) -> "Timed":
        """Segment a window alone, and look at it again."""
        whole = seconds_alone(request, window, find)
        begin = calibration.now()
        chip = request.scene.read(window)
        fine = FineFeatures.of(embed(chip, request.network), request.network)
        encoded = calibration.now()
        scale = measure_scale([(chip.pixels, fine, chip.valid)])
        scaled = calibration.now()
        window_strength(chip.pixels, fine, scale)
        seen = calibration.now() - scaled + encoded - begin
        held_bytes = chip.pixels.nbytes + chip.valid.nbytes + fine.values.nbytes
        return cls(seen, scaled - encoded, whole - seen - (scaled - encoded), held_bytes)


def _counted(plan: WindowPlan, passes: int, seconds: float, most: int) -> dict[str, Any]:
    return {
        "windows": plan.count,
        "empty": plan.count - passes,
        "points": 0,
        "prompts": 0,
        "seconds": seconds,
        "peak_bytes": most,
    }


def seconds_alone(request: Request, window: Window, find: Callable[[Run], Iterator[Any]]) -> float:
    """Seconds that one window takes from its pixels to its polygons in a file."""
    corner = window.col_off, window.row_off
    outline_px = shapely.box(*corner, corner[0] + window.width, corner[1] + window.height).buffer(-INSET_PX)
    alone = replace(request, scene=request.scene.within(request.scene.to_world(outline_px)[0]))
    begin = calibration.now()
    with tempfile.TemporaryDirectory(prefix="geosam-calibration-") as folder, Journal(folder, "") as journal:
        sinks.write(find(Run(alone, journal)), Path(folder, "window.gpkg"), crs=alone.scene.crs)
    return calibration.now() - begin


def _prompted(request: Request, plan: WindowPlan) -> dict[str, Any]:
    """What the windows take that prompts fall into."""
    windows, sights = count_prompted(request)
    places = (plan[plan.best(prompt.extent_px)].window for prompt in request.prompts or ())
    middle = next((window for window in places if request.scene.has_data(window)), None) if sights else None
    cost = NOTHING if middle is None else calibrated(request, middle)
    shares = [1.0 if middle is None else seen.pixels / (middle.height * middle.width) for seen in sights]
    seconds = cost.seconds(
        passes=sum(shares),
        clicks=sum(seen.clicks * share for seen, share in zip(sights, shares, strict=True)),
        boxes=sum(seen.prompts["box"] * share for seen, share in zip(sights, shares, strict=True)),
        polygons=sum(seen.prompts["polygon"] * share for seen, share in zip(sights, shares, strict=True)),
    )
    return {
        "windows": windows,
        "empty": windows - len(sights),
        "points": 0,
        "prompts": sum(seen.prompts.total() for seen in sights),
        "seconds": seconds,
        "peak_bytes": cost.peak_bytes,
    }


def count_points(places: list[Window], spacing_px: float | int) -> int:
    """Grid points in all places that are asked, as if all of their pixels were data, which nobody has read yet."""
    valid = (np.ones((round(place.height), round(place.width)), bool) for place in places)
    return sum(len(grid_points(place, each, spacing_px)[0]) for place, each in zip(places, valid, strict=True))


def count_views(request: Request) -> tuple[int, int, int]:
    """Windows, those of them with data, and grid points of all views of a hierarchy."""
    windows = passes = points = 0
    for number in VIEWS:
        view = request.scene.coarsened(2.0**number) if number else request.scene
        plan = request.options.plan(view.shape, side=request.network.side)
        full = [planned.asked for planned in plan if view.has_data(planned.window)]
        windows, passes = windows + plan.count, passes + len(full)
        points += count_points(full, request.options.recipe(request.network).everything.spacing_px)
    return windows, passes, points


class Sight(NamedTuple):
    """A window with data that prompts fall into.

    Attributes
    ----------
    prompts
        How many of each `Prompt.kind`.
    clicks
        Of prompts of clicks alone that are answered one after another; of others one counts for all of a prompt.
    pixels
        That are read.
    """

    prompts: Counter[str]
    clicks: int
    pixels: int


def count_prompted(request: Request) -> tuple[int, list[Sight]]:
    """Windows that prompts fall into, and those of them with data.

    A click whose object turns out to be larger than its window is asked again on a coarser view; nobody knows
    beforehand, and it is counted once.
    """
    windows, sights, in_turn = 0, [], request.network.recipe.clicks.in_turn
    pending, levels = list(request.prompts or ()), pyramid(request)
    for level in levels:
        here, pending = on_level(pending, levels, level)
        for index, group in here.items():
            if level.scene.has_data(level.plan[index].window):
                seen = level.plan[index].window
                kinds = Counter(prompt.kind for prompt in group)
                clicks = sum(len(prompt.labels) if in_turn else 1 for prompt in group if prompt.kind == "points")
                sights.append(Sight(kinds, clicks, round(seen.width * seen.height)))
        windows += len(here)
    return windows, sights
