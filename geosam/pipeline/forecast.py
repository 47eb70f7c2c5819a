"""What a run will cost, measured on this machine before it starts."""

import resource
import sys
import time
from dataclasses import dataclass

from rasterio.windows import Window

from geosam.embeddings import embed
from geosam.masks import segment_everything
from geosam.masks.everything import grid_points
from geosam.pipeline.request import Request


@dataclass(frozen=True)
class Forecast:
    """Windows and passes of a run, and what they will take.

    Attributes
    ----------
    shape, window, overlap
        The working grid, the windows on it, and the least overlap; px.
    windows, empty
        Windows of the plan, and those without data, which cost nothing.
    points
        Grid points that the decoder answers in a full window.
    seconds, peak_bytes
        Expected time and resident memory, from one window measured just now.
    """

    shape: tuple[int, int]
    window: int
    overlap: int
    windows: int
    empty: int
    points: int
    seconds: float
    peak_bytes: int

    @property
    def passes(self) -> int:
        """Encoder passes, one for each window with data."""
        return self.windows - self.empty


def forecast(request: Request) -> Forecast:
    """Plan everything mode over a scene and measure one of its windows to say what the whole will take."""
    scene, network, options = request.scene, request.network, request.options
    plan = options.plan(scene.shape, side=network.side)
    full = [planned.window for planned in plan if scene.has_data(planned.window)]
    seconds, points = measure(request, full[len(full) // 2]) if full else (0.0, 0)
    return Forecast(
        shape=scene.shape,
        window=plan.size,
        overlap=plan.overlap,
        windows=len(plan),
        empty=len(plan) - len(full),
        points=points,
        seconds=seconds * len(full),
        peak_bytes=peak_bytes(),
    )


def measure(request: Request, window: Window) -> tuple[float, int]:
    """Seconds that one window takes from its pixels to its masks, warmed up, and the grid points in it."""
    scene, network = request.scene, request.network
    options = request.options.everything(network)
    embed(scene.read(window), network)
    begin = time.perf_counter()
    chip = scene.read(window)
    embedding = embed(chip, network)
    segment_everything(embedding, network, chip.valid, options)
    return time.perf_counter() - begin, len(grid_points(window, chip.valid, options.spacing_px)[0])


def peak_bytes() -> int:
    """Most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
