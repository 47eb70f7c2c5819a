"""Label raster to polygons: geosam's strips against the loop that everybody writes, in time and memory.

    python benchmarks/vectorize.py [--side 4096]

Each variant runs in a process of its own; the peak is what it needs beyond the interpreter, libraries and labels.
"""

import argparse
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import shapely
from rasterio.features import shapes
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from geosam.polygons import polygonize


def warped_parcels(side: int, count: int) -> np.ndarray:
    """Parcels with winding borders that cover the whole grid."""
    rng = np.random.default_rng(0)
    step = side / np.sqrt(count)
    noise = [gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), step / 12) for _ in range(2)]
    y, x = (axis + n / n.std() * step / 12 for axis, n in zip(np.mgrid[:side, :side], noise, strict=True))
    nearest = KDTree(rng.random((count, 2)) * side).query(np.stack([x.ravel(), y.ravel()], 1))[1]
    return (nearest + 1).reshape(side, side).astype(np.int32)


def sparse(parcels: np.ndarray) -> np.ndarray:
    """A third of the parcels, alone on background."""
    return np.where(parcels % 3 == 0, parcels, 0)


def strips(labels: np.ndarray, rows: int = 512) -> list[tuple[int, np.ndarray]]:
    return [(top, labels[top : top + rows]) for top in range(0, len(labels), rows)]


STOPS = np.zeros(0, np.int64)


def last_rows(labels: np.ndarray) -> np.ndarray:
    """For each label the row below its last pixel, as `geosam.instances.stitch` knows it."""
    stops = np.zeros(labels.max() + 1, np.int64)
    for row, line in enumerate(labels):
        stops[line] = row + 1
    return stops[1:]


def plain(labels: np.ndarray) -> tuple[int, int]:
    """``shapes`` and one ``shape`` a polygon."""
    found = [(shapely.geometry.shape(each), value) for each, value in shapes(labels, mask=labels > 0, connectivity=4)]
    return len({value for _, value in found}), int(shapely.get_num_coordinates([each for each, _ in found]).sum())


def geosam(labels: np.ndarray, tolerance_px: float = 0) -> tuple[int, int]:
    """Strips, streamed: objects are handed on when they are complete."""
    count = vertices = 0
    for ids, geometries in polygonize(strips(labels), stops=STOPS, tolerance_px=tolerance_px):
        count, vertices = count + len(ids), vertices + int(shapely.get_num_coordinates(geometries).sum())
    return count, vertices


VARIANTS = {
    "shapes + shapely.shape": plain,
    "geosam, exact": geosam,
    "geosam, borders simplified 1.5 px": lambda labels: geosam(labels, 1.5),
}


def peak_mb() -> float:
    """Peak resident size of this process alone; `getrusage` would report the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(name: str, path: str, answer) -> None:
    """Run one variant in this process, which has done nothing else."""
    labels = np.load(path)
    global STOPS  # noqa: PLW0603  # in a scene they are known from stitching
    STOPS = last_rows(labels)
    before = peak_mb()
    start = time.process_time()
    count, vertices = VARIANTS[name](labels)
    seconds = time.process_time() - start
    answer.put((count, vertices, seconds, peak_mb() - before))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    side = parser.parse_args().side
    context = get_context("spawn")
    for count in (2_000, 50_000):
        parcels = warped_parcels(side, count)
        for kind, labels in (("parcels", parcels), ("sparse", sparse(parcels))):
            with tempfile.NamedTemporaryFile(suffix=".npy") as file:
                np.save(file.name, labels)
                print(f"\n{kind}, {len(np.unique(labels)):,} labels on {side}²")
                baseline = None
                for name in VARIANTS:
                    answer = context.Queue()
                    process = context.Process(target=measure, args=(name, file.name, answer))
                    process.start()
                    found, vertices, seconds, peak = answer.get()
                    process.join()
                    baseline = baseline or seconds
                    print(
                        f"  {name:36} {seconds:6.2f} s CPU  x{baseline / seconds:4.1f}  {peak:6.0f} MB peak"
                        f"  {found:,} objects, {vertices:,} vertices"
                    )


if __name__ == "__main__":
    main()
