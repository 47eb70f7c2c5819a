"""Label raster to a table of polygons: geosam against segment-geospatial's `raster_to_vector`, in time and memory.

    pip install -c constraints.txt '.[bench]' && pip install -c constraints.txt --no-deps segment-geospatial
    python benchmarks/vectorize.py [--side 4096] [--repeat 3]

Both begin with a GeoTIFF of int32 labels. The peer's table has one column, the label, and one row for each patch of
pixels; geosam's has the columns of `geosam.polygons.COLUMNS`, among them ids, scores and areas in square metres, and
one row for each object. The peer writes what it makes to a GeoPackage: it is measured with and without that. Each run
is a process of its own, the variants in turn; printed are medians. Memory is the most that the process held (VmHWM), as
it is and beyond what it held once the variant had run on a raster of 64². Targets: at most 0.75 times the peer's time
for 2,000 objects and 0.4 times for 50,000, and half its memory.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

OBJECTS = (2_000, 50_000)
ROWS, CACHE_BYTES = 128, 10 << 20
"""Height of a strip, and what GDAL may keep of the raster: a row of its blocks (geosam bounds it in every run)."""


class Cost(NamedTuple):
    """What one run took."""

    objects: int
    wall: float
    processor: float
    peak_mb: float
    beyond_mb: float


def warped_parcels(side: int, count: int) -> np.ndarray:
    """Parcels with winding borders that cover the whole grid."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial import KDTree

    rng = np.random.default_rng(0)
    step = side / np.sqrt(count)
    noise = [gaussian_filter(rng.standard_normal((side, side)).astype(np.float32), step / 12) for _ in range(2)]
    y, x = (axis + n / n.std() * step / 12 for axis, n in zip(np.mgrid[:side, :side], noise, strict=True))
    nearest = KDTree(rng.random((count, 2)) * side).query(np.stack([x.ravel(), y.ravel()], 1))[1]
    return (nearest + 1).reshape(side, side).astype(np.int32)


def write_labels(path: str, labels: np.ndarray) -> None:
    """A label raster on half-metre pixels, as `geosam segment --labels` writes it."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    from geosam.sinks import LabelSink

    grid = GeoBox(labels.shape, Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), "EPSG:32633")
    with LabelSink(path, grid) as sink:
        sink.write(0, labels)


def strips(raster: str) -> Iterator[tuple[int, np.ndarray]]:
    """The labels from top to bottom."""
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), rasterio.open(raster) as labels:
        for top in range(0, labels.height, ROWS):
            bottom = min(top + ROWS, labels.height)
            yield top, labels.read(1, window=((top, bottom), (0, labels.width)))


def last_rows(raster: str) -> np.ndarray:
    """For each label the row below its last pixel, which `geosam.instances.stitch` knows without asking."""
    stops = np.zeros(1, np.int64)
    for top, labels in strips(raster):
        stops = np.pad(stops, (0, max(0, int(labels.max()) + 1 - len(stops))))
        for row, line in enumerate(labels, start=top + 1):
            stops[line] = row
    return stops[1:]


def frames(raster: str, *, tolerance_px: float = 0) -> Iterator:
    """Tables of polygons, object by object as they are complete."""
    from geosam.polygons import frame, polygonize
    from geosam.scene import open_scene

    scene = open_scene(raster, stretch=(0, 1))
    for ids, geometries in polygonize(strips(raster), stops=last_rows(raster), tolerance_px=tolerance_px):
        scores = np.full(len(ids), 0.9, np.float32)
        yield frame(geometries, scene, object_ids=ids, predicted_iou=scores, stability=scores, model="none")


def to_frame(raster: str, *, tolerance_px: float = 0) -> int:
    import pandas as pd

    return len(pd.concat(frames(raster, tolerance_px=tolerance_px), ignore_index=True))


def to_file(raster: str) -> int:
    from geosam import sinks

    count = 0

    def counted() -> Iterator:
        nonlocal count
        for table in frames(raster):
            count += len(table)
            yield table

    sinks.write(counted(), f"{raster}.gpkg")
    return count


def peer(raster: str, *, write: bool) -> int:
    import geopandas
    from samgeo.common import raster_to_vector

    count, to_file = 0, geopandas.GeoDataFrame.to_file

    def noted(table: geopandas.GeoDataFrame, *where: object, **how: object) -> None:
        nonlocal count
        count = len(table)
        if write:
            to_file(table, *where, **how)

    geopandas.GeoDataFrame.to_file = noted
    raster_to_vector(raster, f"{raster}.gpkg")
    return count


def load_geosam() -> None:
    import geosam.sinks  # noqa: F401 - all that the variants need


def load_peer() -> None:
    import torchvision_shim

    torchvision_shim.install()
    import samgeo.common  # noqa: F401 - the whole package, as users import it


PEER_FRAME, PEER_FILE = "segment-geospatial, to a table", "segment-geospatial, to a GeoPackage"
VARIANTS: dict[str, tuple[Callable[[], None], Callable[[str], int], str]] = {
    PEER_FRAME: (load_peer, lambda raster: peer(raster, write=False), PEER_FRAME),
    "geosam, to a table": (load_geosam, to_frame, PEER_FRAME),
    "geosam, to a table, borders 1.5 px": (load_geosam, lambda raster: to_frame(raster, tolerance_px=1.5), PEER_FRAME),
    PEER_FILE: (load_peer, lambda raster: peer(raster, write=True), PEER_FILE),
    "geosam, to a GeoPackage": (load_geosam, to_file, PEER_FILE),
}
"""What to import, what to run, and which peer it is compared with."""


def peak_mb() -> float:
    """Peak resident size of this process alone; `getrusage` would report the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(name: str, raster: str, small: str, answer) -> None:
    """Run one variant in this process, which has done nothing else."""
    load, run, _ = VARIANTS[name]
    load()
    run(small)
    before, wall, processor = peak_mb(), time.perf_counter(), time.process_time()
    objects = run(raster)
    spent = time.perf_counter() - wall, time.process_time() - processor
    answer.put(Cost(objects, *spent, peak_mb(), peak_mb() - before))


def cost_of(name: str, raster: str, small: str) -> Cost:
    """Run one variant in a new process."""
    context = get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measure, args=(name, raster, small, answer))
    process.start()
    cost = answer.get(timeout=600)
    process.join()
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    for count in OBJECTS:
        with tempfile.TemporaryDirectory(prefix="geosam-vectorize-") as folder:
            raster, small = f"{folder}/labels.tif", f"{folder}/small.tif"
            write_labels(raster, warped_parcels(options.side, count))
            write_labels(small, warped_parcels(64, 16))
            runs = {name: [] for name in VARIANTS}
            for _ in range(options.repeat):
                for name in VARIANTS:
                    runs[name].append(cost_of(name, raster, small))
        report(f"{count:,} objects on {options.side}²", runs)


def report(title: str, runs: dict[str, list[Cost]]) -> None:
    """Print medians, and in brackets how they compare with the peer."""
    medians = {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in runs.items()}
    print(f"\n{title}, medians of {len(runs[PEER_FILE])}")
    print(f"{'':36}      clock        processor      peak memory    beyond imports  rows")
    for name, cost in medians.items():
        other = medians[VARIANTS[name][2]]
        cells = (
            f"{mine:7.2f} s ({mine / theirs:4.2f})" if unit == "s" else f"{mine:6.0f} MB ({mine / theirs:4.2f})"
            for mine, theirs, unit in zip(cost[1:], other[1:], ("s", "s", "MB", "MB"), strict=True)
        )
        print(f"{name:36}{' '.join(cells)}  {cost.objects:,.0f}", flush=True)


if __name__ == "__main__":
    main()
