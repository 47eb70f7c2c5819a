"""How quick the built-in model is: a window encoded, and clicks on a window that is encoded already, to a polygon.

    python benchmarks/nano.py [--model nano] [--repeats 25] [--threads N]

The targets on two cores are 0.25 s for a window of 1,024 px and 40 ms for a click on an object; large objects take
longer, and a click anywhere may hit the ground between objects, of which then most of the window is the answer. The
window shows four rendered worlds. Beside the times stands the rate of a matrix product in float32 just before, which
tells a quick machine from a slow one, and the time on the processor, which tells a busy one.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from rasterio.windows import Window

from geosam.embeddings import Embedding
from geosam.masks import segment_prompts
from geosam.models import load_model
from geosam.polygons import mask_polygons
from geosam.prompts import WindowPrompts
from geosam.segmenter import PromptBatch
from geosam.training.samples import box_of, draw_click, large_labels
from geosam.training.world import World, render

SIDE, GEMM = 1024, 1024
WORLDS, LEAST_PX = (7, 8, 9, 10), 100
LENGTHS_PX = ((15, 60), (60, 120), (120, 240))


@dataclass(frozen=True)
class Cost:
    """Medians in ms: by the clock, and on the processor (of all threads together)."""

    wall: float
    busy: float


def cost_of(work: Callable[[], object], repeats: int) -> Cost:
    """Measure after one call that warms up."""
    work()
    walls, busies = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - begin)
        busies.append(time.process_time() - busy)
    return Cost(1000 * statistics.median(walls), 1000 * statistics.median(busies))


def objects_of(worlds: list[World]) -> list[tuple[float, np.ndarray]]:
    """Length in pixels of every object of the window, and a click in it, in an order of chance."""
    rng, found = np.random.default_rng(1), []
    for place, world in enumerate(worlds):
        corner = np.array([place % 2, place // 2]) * (SIDE // 2)
        for label in large_labels(world.labels, LEAST_PX):
            mask = world.labels == label
            x0, y0, x1, y1 = box_of(mask)
            found.append((float(max(x1 - x0, y1 - y0)), draw_click(rng, mask) + corner))
    return [found[position] for position in rng.permutation(len(found))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--threads", type=int, default=0, help="of the matrix library; 0: as it comes")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model(options.model, device="cpu")
    worlds = [render(seed, SIDE // 2) for seed in WORLDS]
    pixels = np.block([[[worlds[0].pixels, worlds[1].pixels], [worlds[2].pixels, worlds[3].pixels]]])
    square = torch.rand(GEMM, GEMM)
    gemm = cost_of(lambda: square @ square, 9)
    rate = 2 * GEMM**3 / 1e6
    print(
        f"{model.key}, {torch.get_num_threads()} threads; a matrix product in float32 runs at {rate / gemm.wall:.0f} "
        f"GFLOP/s by the clock, {rate / gemm.busy:.0f} per second of the processor",
        flush=True,
    )
    embedding = Embedding(model.encode(pixels), Window(0, 0, SIDE, SIDE))
    valid, rng = np.ones((SIDE, SIDE), bool), np.random.default_rng(0)

    objects = objects_of(worlds)

    def click(point: np.ndarray) -> int:
        prompts = WindowPrompts(np.zeros(1, np.int64), PromptBatch.of_clicks(point.astype(np.float32).reshape(1, 2)))
        return len(mask_polygons(segment_prompts(embedding, model, prompts, valid)))

    def clicks(low: int, high: int) -> Callable[[], int]:
        points = cycle([point for length, point in objects if low <= length < high])
        return lambda: click(next(points))

    works: list[tuple[str, Callable[[], object], float | None]] = [
        (f"encode a window of {SIDE} px", lambda: model.encode(pixels), 250.0)
    ]
    works += [(f"a cached click, {low} to {high} px", clicks(low, high), 40.0) for low, high in LENGTHS_PX]
    works.append(("a cached click anywhere", lambda: click(rng.uniform(100, SIDE - 100, 2)), None))
    for what, work, target in works:
        cost = cost_of(work, options.repeats)
        verdict = "" if target is None else f"; target {target:.0f} ms: {'met' if cost.wall <= target else 'missed'}"
        print(f"{what:30} {cost.wall:6.0f} ms by the clock, {cost.busy:6.0f} ms on the processor{verdict}", flush=True)


if __name__ == "__main__":
    main()
