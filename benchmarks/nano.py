"""How quick the built-in model is: a window encoded, and a click on a window that is encoded already, to a polygon.

    python benchmarks/nano.py [--model nano] [--repeats 9] [--threads N]

The targets on two cores are 0.25 s for a window of 1,024 px and 40 ms for a click. Beside them stands the rate of a
matrix product in float32 just before, which tells a quick machine from a slow one, and the time on the processor, which
tells a busy one.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam.embeddings import Embedding
from geosam.masks import segment_prompts
from geosam.polygons import mask_polygons
from geosam.prompts import WindowPrompts
from geosam.sam.registry import load_model
from geosam.training.world import render

SIDE, GEMM = 1024, 1024
TARGETS_MS = {"encode": 250.0, "click": 40.0}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="of the matrix library; 0: as it comes")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model(options.model, device="cpu")
    pixels = np.tile(render(7, SIDE // 2).pixels, (1, 2, 2))
    square = torch.rand(GEMM, GEMM)
    gemm = cost_of(lambda: square @ square, 9)
    rate = 2 * GEMM**3 / 1e6
    print(
        f"{model.key}, {torch.get_num_threads()} threads; a matrix product in float32 runs at {rate / gemm.wall:.0f} "
        f"GFLOP/s by the clock, {rate / gemm.busy:.0f} per second of the processor",
        flush=True,
    )
    arrays = model.encode(pixels)
    place = GeoBox((SIDE, SIDE), Affine.identity(), None)
    embedding = Embedding(arrays, (SIDE, SIDE), Window(0, 0, SIDE, SIDE), place, model.key)
    valid, rng = np.ones((SIDE, SIDE), bool), np.random.default_rng(0)

    def click() -> int:
        point = rng.uniform(100, SIDE - 100, (1, 1, 2)).astype(np.float32)
        prompts = WindowPrompts(np.zeros(1, np.int64), point, np.ones((1, 1), np.int64), None, None)
        return len(mask_polygons(segment_prompts(embedding, model, prompts, valid)))

    works = {"encode": lambda: model.encode(pixels), "click": click}
    for name, what in (("encode", f"encode a window of {SIDE} px"), ("click", "a cached click to a polygon")):
        cost = cost_of(works[name], options.repeats)
        verdict = "met" if cost.wall <= TARGETS_MS[name] else "missed"
        print(
            f"{what:30} {cost.wall:6.0f} ms by the clock, {cost.busy:6.0f} ms on the processor; "
            f"target {TARGETS_MS[name]:.0f} ms: {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
