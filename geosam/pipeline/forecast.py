"""What a run will cost: counted on the scene, and reckoned with what this machine was measured to take."""

from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from geosam.masks.everything import grid_points
from geosam.pipeline.calibration import NOTHING, calibrated
from geosam.pipeline.prompted import on_level, pyramid
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
    full = [planned.window for planned in plan if scene.has_data(planned.window)]
    windows, passes, points, prompts = len(plan), len(full), count_points(full, options.spacing_px), 0
    if request.prompts is not None:
        windows, passes, prompts = count_prompted(request)
        points = 0
    cost = calibrated(request, full[len(full) // 2]) if full else NOTHING
    return Forecast(
        shape=scene.shape,
        window=plan.size,
        overlap=plan.overlap,
        windows=windows,
        empty=windows - passes,
        points=points,
        prompts=prompts,
        seconds=cost.seconds(passes=passes, points=points, prompts=prompts),
        peak_bytes=cost.peak_bytes,
    )


def count_points(windows: list[Window], spacing_px: int) -> int:
    """Grid points in all windows, as if all of their pixels were data, which nobody has read yet."""
    valid = (np.ones((window.height, window.width), bool) for window in windows)
    return sum(len(grid_points(window, each, spacing_px)[0]) for window, each in zip(windows, valid, strict=True))


def count_prompted(request: Request) -> tuple[int, int, int]:
    """Windows that prompts fall into, those of them with data, and the prompts in these.

    A click whose object turns out to be larger than its window is asked again on a coarser view; nobody knows
    beforehand, and it is counted once.
    """
    windows = passes = prompts = 0
    pending, levels = list(request.prompts or ()), pyramid(request)
    for level in levels:
        here, pending = on_level(
            pending, levels, level, object_px=request.options.object_px(request.network)
        )
        full = [len(group) for index, group in here.items() if level.scene.has_data(level.plan[index].window)]
        windows, passes, prompts = windows + len(here), passes + len(full), prompts + sum(full)
    return windows, passes, prompts
