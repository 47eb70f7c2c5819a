"""How quick the built-in model is: a window encoded, and a click on a window that is encoded already, to a polygon.

    python benchmarks/nano.py [--model nano] [--repeats 9] [--threads N]

The targets on two cores are 0.25 s for a window of 1,024 px and 40 ms for a click. Beside them stands the rate of a
matrix product in float32 just before, which tells a quick machine from a slow or busy one.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam.embeddings import Embedding
from geosam.masks import segment_prompts
from geosam.polygons import polygonize
from geosam.prompts import WindowPrompts
from geosam.sam.registry import load_model
from geosam.training.world import render

SIDE, GEMM = 1024, 2048
TARGETS_MS = {"encode": 250.0, "click": 40.0}


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """Median wall time after one call that warms up."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="of the matrix library; 0: as it comes")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model(options.model, device="cpu")
    pixels = render(7, SIDE).pixels
    square = torch.rand(GEMM, GEMM)
    gemm = 2 * GEMM**3 / median_ms(lambda: square @ square, 5) / 1e6
    arrays = model.encode(pixels)
    place = GeoBox((SIDE, SIDE), Affine.identity(), None)
    embedding = Embedding(arrays, (SIDE, SIDE), Window(0, 0, SIDE, SIDE), place, model.key)
    valid, rng = np.ones((SIDE, SIDE), bool), np.random.default_rng(0)

    def click() -> int:
        point = rng.uniform(100, SIDE - 100, (1, 1, 2)).astype(np.float32)
        prompts = WindowPrompts(np.zeros(1, np.int64), point, np.ones((1, 1), np.int64), None, None)
        masks = segment_prompts(embedding, model, prompts, valid)
        labels = np.zeros((SIDE, SIDE), np.int32)
        for (x0, y0, x1, y1), crop in zip(masks.boxes.tolist(), masks.crops, strict=True):
            labels[y0:y1, x0:x1][crop] = 1
        return sum(len(ids) for ids, _ in polygonize([(0, labels)], stops=np.array([SIDE])))

    found = {"encode": median_ms(lambda: model.encode(pixels), options.repeats)}
    found["click"] = median_ms(click, 3 * options.repeats)
    print(f"{model.key}, {torch.get_num_threads()} threads, float32 matrix product {gemm:.0f} GFLOP/s")
    for name, what in (("encode", f"encode a window of {SIDE} px"), ("click", "a cached click to a polygon")):
        verdict = "met" if found[name] <= TARGETS_MS[name] else "missed"
        print(f"{what:30} {found[name]:6.0f} ms  target {TARGETS_MS[name]:.0f} ms: {verdict}")


if __name__ == "__main__":
    main()
