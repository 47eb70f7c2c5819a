"""Everything mode on one window for `engine.py`, each variant in a process of its own that tells its peak memory.

The variants compute in turn, each with the machine's threads to itself. `segment_anything` takes minutes and runs once.
"""

import multiprocessing
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from random_vit import SIDE, Dtype, ours, picture, segment_anything, theirs
from rasterio.windows import Window

from geosam.embeddings import Embedding
from geosam.masks import segment_everything
from geosam.sam.model import Predictor
from geosam.segmenter import Everything, Recipe

PEER = "segment_anything"

STRICT = Everything(pred_iou_threshold=0.88, stability_threshold=0.95, passes=1, connected=False)
"""What the peer keeps by default."""

spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Variant:
    """What a process of its own computes: the peer, or geosam at some precision."""

    path: Path
    dtype: Dtype | None = None

    def __str__(self) -> str:
        return f"geosam {self.dtype}" if self.dtype else PEER

    def load(self) -> Callable[[], int]:
        """Read the weights; what is given counts the masks of a whole window, encoder and all."""
        pixels = picture()
        if self.dtype is None:
            generator = segment_anything.SamAutomaticMaskGenerator(theirs(self.path), points_per_side=32)
            image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
            return lambda: len(generator.generate(image))
        model = ours(self.path, self.dtype)
        return lambda: everything(model, pixels)


def everything(model: Predictor, pixels: np.ndarray) -> int:
    """Encode a window, find all its objects, count them."""
    window = Window(0, 0, SIDE, SIDE)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
    embedding = Embedding(model.encode(pixels), window)
    recipe = Recipe(everything=STRICT) if model.recipe == Recipe() else model.recipe
    return len(segment_everything(embedding, model, np.ones((SIDE, SIDE), bool), recipe))


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock and of all cores, masks found, peak memory of the process so far in MB."""

    wall: float
    cores: float
    masks: int
    peak: float


class Alone:
    """A variant in its own process."""

    def __init__(self, variant: Variant, threads: int) -> None:
        self.ours, other = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(variant, threads, other), daemon=True)
        self.process.start()

    def run(self) -> Taken:
        """Compute once."""
        self.ours.send(True)
        return self.ours.recv()

    def end(self) -> None:
        """Let the process go."""
        self.ours.send(False)
        self.process.join(60)


def serve(variant: Variant, threads: int, asked: Connection) -> None:
    """Compute as often as asked to."""
    torch.set_num_threads(threads)
    run = variant.load()
    while asked.recv():
        wall, cores = time.perf_counter(), time.process_time()
        masks = run()
        asked.send(Taken(time.perf_counter() - wall, time.process_time() - cores, masks, peak_mb()))


def peak_mb() -> float:
    """The most memory that this process has had (not what its parent had, as `getrusage` tells)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def keep_busy() -> None:
    """Compute nothing, for ever."""
    while True:
        pass


def bench_everything(path: Path, dtypes: list[Dtype], *, repeat: int, peer: bool) -> None:
    """Print seconds, ratios to the peer and peak memory, and what a busy process beside costs."""
    threads = torch.get_num_threads()
    base = None
    if peer:
        alone = Alone(Variant(path), threads)
        base = alone.run()
        alone.end()
        show(PEER, [base], base)
    variants = [Variant(path, dtype) for dtype in dtypes]
    quiet = measure(variants, repeat, threads)
    busy_process = spawn.Process(target=keep_busy, daemon=True)
    busy_process.start()
    try:
        busy = measure(variants, repeat, threads)
    finally:
        busy_process.kill()
    for variant, taken in quiet.items():
        show(str(variant), taken, base)
    for variant, taken in busy.items():
        longer = median(taken, "wall") / median(quiet[variant], "wall")
        print(f"everything  {variant!s:28} beside one busy process {longer:5.2f} times the time", flush=True)


def measure(variants: list[Variant], repeat: int, threads: int) -> dict[Variant, list[Taken]]:
    """Run them in turn, after one round to warm up."""
    alone = {variant: Alone(variant, threads) for variant in variants}
    rounds = [{variant: process.run() for variant, process in alone.items()} for _ in range(repeat + 1)]
    for process in alone.values():
        process.end()
    return {variant: [each[variant] for each in rounds[1:]] for variant in variants}


def median(taken: list[Taken], what: str) -> float:
    return float(np.median([getattr(each, what) for each in taken]))


def show(what: str, taken: list[Taken], base: Taken | None) -> None:
    wall, cores, peak = (median(taken, each) for each in ("wall", "cores", "peak"))
    clock, busy, memory = (
        ("", "", "")
        if base is None
        else (f"{base.wall / wall:6.1f} x", f"{base.cores / cores:6.1f} x", f"{peak / base.peak:5.2f}")
    )
    print(
        f"everything  {what:28} {wall:8.2f} s {clock}   cores {cores:8.2f} s {busy}   peak {peak:6.0f} MB {memory}"
        f"   {taken[0].masks} masks",
        flush=True,
    )
