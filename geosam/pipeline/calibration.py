"""What a model costs on this machine, measured once on a window of a real scene and remembered in the cache folder."""

import json
import logging
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from geopandas import GeoDataFrame
from rasterio.windows import Window

from geosam import __version__, sinks
from geosam.embeddings import Embedding, embed
from geosam.instances import WindowInstances, assemble, flatten, stitch
from geosam.masks import segment_everything
from geosam.masks.everything import grid_points
from geosam.models import cache_folder
from geosam.pipeline.prompted import answer
from geosam.pipeline.request import Request
from geosam.polygons import instance_frame, mask_polygons, polygonize
from geosam.prompts import Prompt, WindowPrompts
from geosam.scene import Chip
from geosam.windows import WindowPlan

_log = logging.getLogger(__name__)

PROMPTS = 16
"""Prompts of each kind that are asked to find out what one takes."""

BOX_PX = 64
"""Side of the boxes and polygons among these, as far as the window goes."""

MOST_KEPT_BYTES, MOST_KEPT = 1 << 16, 1e15
"""Of a kept calibration, largest file and number: seconds and bytes that no machine takes."""

now = time.perf_counter


@dataclass(frozen=True)
class Calibration:
    """Seconds and bytes of a model on this machine.

    Attributes
    ----------
    encode, point
        Seconds of an encoder pass with its reading, and of a grid point in everything mode.
    click, box, polygon
        Seconds of a prompt of clicks alone, of one with a box, and of one with an outline; each to the polygon that
        answers it. The last two are looked at in all of a window.
    window
        Seconds of all else in a window of everything mode: stitching, polygons, files.
    peak_bytes
        Resident memory with the model and one window of everything mode.
    """

    encode: float
    point: float
    click: float
    box: float
    polygon: float
    window: float
    peak_bytes: int

    def seconds(
        self,
        *,
        passes: float | int,
        points: int = 0,
        clicks: float | int = 0,
        boxes: float | int = 0,
        polygons: float | int = 0,
    ) -> float:
        """Seconds of a run in which so many windows are encoded, for grid points or for prompts.

        Windows smaller than the one that was measured count as parts of one, and so do the prompts in them.

        Examples
        --------
        >>> cost = Calibration(encode=0.5, point=0.01, click=0.1, box=0.2, polygon=0.3, window=0.5, peak_bytes=0)
        >>> cost.seconds(passes=9, points=900), cost.seconds(passes=2, boxes=5)
        (18.0, 2.0)
        """
        rest = self.window if points else 0.0
        prompts = clicks * self.click + boxes * self.box + polygons * self.polygon
        return passes * (self.encode + rest) + points * self.point + prompts


NOTHING = Calibration(encode=0.0, point=0.0, click=0.0, box=0.0, polygon=0.0, window=0.0, peak_bytes=0)
"""What a scene without data takes."""


def calibrated(request: Request, window: Window) -> Calibration:
    """What was measured before on this machine with this model, threads and options; else measure it now.

    Parameters
    ----------
    request
        The scene, the model, and how it is asked.
    window
        A window of the scene with data, on which it is measured if it has to be.
    """
    path = cache_folder() / "calibration" / f"{identity(request, window)}.json"
    kept = read_kept(path)
    if kept is not None:
        return kept
    found = measure(request, window)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(asdict(found)))
        os.replace(part, path)
    except OSError as error:
        _log.warning("the calibration is not kept: %s", error)
    return found


def read_kept(path: Path) -> Calibration | None:
    """What was kept in a file; None if there is nothing, or not what a measurement can have been.

    Examples
    --------
    >>> read_kept(Path("nothing.json")) is None
    True
    """
    with suppress(
        OSError, ValueError, TypeError, AttributeError, RecursionError
    ):  # absent, damaged, or of another version
        if not path.is_file() or path.stat().st_size > MOST_KEPT_BYTES:
            return None
        told = json.loads(path.read_bytes())
        if all(type(value) in (int, float) and 0 <= value < MOST_KEPT for value in told.values()):
            return Calibration(**told)
    return None


def identity(request: Request, window: Window) -> str:
    """Whatever changes what a window takes: machine, device, threads, versions, model, size of the window and grid."""
    told: dict[str, Any] = {
        "machine": [platform.node(), platform.machine(), _processor(), os.cpu_count()],
        "device": str(getattr(request.network, "device", "cpu")),
        "threads": torch.get_num_threads(),
        "versions": [__version__, torch.__version__],
        "model": request.network.key,
        "window": [window.height, window.width],
        "recipe": request.options.recipe(request.network).to_dict(),
        "refine": request.options.refine,
        "speed": request.options.speed,
    }
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


def measure(request: Request, window: Window) -> Calibration:
    """Take one window from its pixels to a file, after a pass that warms up."""
    scene, network, options = request.scene, request.network, request.options
    embed(scene.read(window), network)
    begin = now()
    chip = scene.read(window)
    embedding = embed(chip, network)
    encoded = now()
    recipe = options.recipe(network)
    points, _ = grid_points(window, chip.valid, recipe.everything.spacing_px)
    masks = segment_everything(embedding, network, chip.valid, recipe)
    decoded = now()
    _finish(request, flatten(masks, 0))
    finished = now()
    some = points[:: max(1, len(points) // PROMPTS)][:PROMPTS]
    taken = {kind: _ask(request, embedding, chip, prompts) for kind, prompts in _prompts(some, embedding.shape).items()}
    return Calibration(
        encode=encoded - begin,
        point=(decoded - encoded) / max(1, len(points)),
        **taken,
        window=finished - decoded,
        peak_bytes=peak_bytes(),
    )


def _finish(request: Request, seen: WindowInstances) -> None:
    """What follows when all windows are segmented, for one window: stitching, polygons, a file."""
    scene = request.scene
    plan = WindowPlan(seen.labels.shape, size=max(seen.labels.shape), overlap=0)
    instances = stitch(plan, lambda _: seen)

    def frames() -> Iterator[GeoDataFrame]:
        nothing = np.zeros(0, np.int32), np.zeros(0, object)
        drawn = polygonize(assemble(plan, instances, lambda _: seen), stops=instances.stops)
        for ids, polygons in chain(drawn, [nothing]):
            yield instance_frame(ids, polygons, scene, instances=instances, model=request.network.name)

    with tempfile.TemporaryDirectory(prefix="geosam-calibration-") as folder:
        sinks.write(frames(), Path(folder, "window.gpkg"), crs=scene.crs)


def _prompts(points: np.ndarray, shape: tuple[int, int]) -> dict[str, list[Prompt]]:
    """Single clicks, boxes around them, and the same as polygons, in pixels of a window."""
    h, w = shape
    corners = np.concatenate([points - BOX_PX / 2, points + BOX_PX / 2], 1).clip(0, [w, h, w, h]).astype(np.float64)
    inside = np.ones(1, np.int64)
    return {
        "click": [Prompt(row, row, each[None].astype(np.float64), inside) for row, each in enumerate(points)],
        "box": [Prompt(row, row, box_px=each) for row, each in enumerate(corners)],
        "polygon": [Prompt(row, row, polygon_px=shapely.box(*each)) for row, each in enumerate(corners)],
    }


def _ask(request: Request, embedding: Embedding, chip: Chip, prompts: list[Prompt]) -> float:
    """Ask prompts in pixels of the window, to polygons; the seconds that one of them takes."""
    begin = now()
    window = Window(0, 0, *embedding.shape[::-1])  # pyright: ignore[reportCallIssue]  # attrs class without stubs
    logits_shape = request.network.logits_shape(embedding.shape)
    for asked in WindowPrompts.for_window(prompts, window, logits_shape=logits_shape):
        mask_polygons(answer(request, embedding, asked, chip.valid))
    return (now() - begin) / max(1, len(prompts))


def _processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def peak_bytes() -> int:
    """Most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
