"""What a run will cost: counted on the scene, and reckoned with what this machine was measured to take."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rasterio.windows import Window

from geosam.masks.decoder import sharpens
from geosam.masks.everything import grid_points
from geosam.pipeline.calibration import NOTHING, calibrated
from geosam.pipeline.hierarchy import VIEWS
from geosam.pipeline.prompted import on_level, pyramid, sight
from geosam.pipeline.request import Request


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
    scene, network, options = request.scene, request.network, request.options
    plan = options.plan(scene.shape, side=network.side)
    full = [planned for planned in plan if scene.has_data(planned.window)]
    spacing_px = options.everything(network).spacing_px
    asked = [planned.asked for planned in full]
    windows, passes, points, prompts = len(plan), len(full), count_points(asked, spacing_px), 0
    if options.hierarchy:
        windows, passes, points = count_views(request)
    middle = full[len(full) // 2].window if full else None
    cost = NOTHING if middle is None else calibrated(request, middle)
    seconds = cost.seconds(passes=passes, points=points)
    if request.prompts is not None:
        windows, sights = count_prompted(request)
        passes, points, prompts = len(sights), 0, sum(seen.prompts.total() for seen in sights)
        shares = [1.0 if middle is None else seen.pixels / (middle.height * middle.width) for seen in sights]
        seconds = cost.seconds(
            passes=sum(shares),
            clicks=sum(seen.clicks * share for seen, share in zip(sights, shares, strict=True)),
            boxes=sum(seen.prompts["box"] * share for seen, share in zip(sights, shares, strict=True)),
            polygons=sum(seen.prompts["polygon"] * share for seen, share in zip(sights, shares, strict=True)),
        )
    return Forecast(
        shape=scene.shape,
        window=plan.size,
        overlap=plan.overlap,
        windows=windows,
        empty=windows - passes,
        points=points,
        prompts=prompts,
        seconds=seconds,
        peak_bytes=cost.peak_bytes,
    )


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
        windows, passes = windows + len(plan), passes + len(full)
        points += count_points(full, request.options.everything(request.network).spacing_px)
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
    windows, sights, in_turn = 0, [], sharpens(request.network)
    pending, levels = list(request.prompts or ()), pyramid(request)
    for level in levels:
        here, pending = on_level(pending, levels, level, object_px=request.options.object_px(request.network))
        for index, group in here.items():
            if level.scene.has_data(level.plan[index].window):
                seen = sight(level, level.plan[index].window, group)
                kinds = Counter(prompt.kind for prompt in group)
                clicks = sum(len(prompt.labels) if in_turn else 1 for prompt in group if prompt.kind == "points")
                sights.append(Sight(kinds, clicks, round(seen.width * seen.height)))
        windows += len(here)
    return windows, sights
