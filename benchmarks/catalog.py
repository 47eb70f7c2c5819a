"""Catalogs: workers against one, the scheduler's share, the client's memory, and merging.

    python benchmarks/catalog.py [schedule | memory | merge] [--scenes N] [--folder FOLDER] [--cost work | wait]

`schedule` runs 200 scenes (the rasters of `--folder`, and rendered small ones) with 1 and 2 worker processes, the
network replaced by one of a fixed cost for each window: efficiency is to be at least 0.9, the share of the time in
which workers wait for work at most 5 %, and each process is to load one model. With `--cost work` a window costs
processor time, so that client, scheduler and workers share the cores as with a network that computes there; with
`--cost wait` it costs time alone, as where a graphics card computes. `memory` compares the client's memory after 200
and after 5,000 scenes that cost next to nothing. `merge` puts 200,000 polygons of 200 parts into a GeoPackage, beside
a plain copy of the same Arrow batches: at most 1.5 times its time, and 600 MB.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import geopandas
import numpy as np
import shapely
from distributed import Client, LocalCluster
from pyproj import CRS

import geosam
from geosam.catalog import Item, Manifest, Row, RunFolder, segment_catalog
from geosam.catalog.cluster import SETTINGS
from geosam.catalog.folder import write_lines
from geosam.execute import Progress
from geosam.polygons import COLUMNS, measure
from geosam.testing import StubNetwork, coordinate_scene
from geosam.testing.networks import PITCH
from geosam.testing.scenes import TRANSFORM

COST_S = 0.25
"""What the stubbed network takes for a window; `nano` takes more."""

SIDE = 256

_PRINT = """
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.perf_counter() - begin, int(peak) * 1024)
"""

MEASURED = {
    "plain": f"""
import time
import pyarrow.dataset, pyogrio
begin = time.perf_counter()
found = pyarrow.dataset.dataset(folder + "/run/parts")
columns = [name for name in found.schema.names if name != "bbox"]
reader = found.scanner(columns=columns, batch_size=8192).to_reader()
kind = {{"geometry_name": "geometry", "geometry_type": "MultiPolygon", "crs": "EPSG:32631"}}
pyogrio.write_arrow(reader, folder + "/plain.gpkg", driver="GPKG", **kind)
{_PRINT}""",
    "merge": f"""
import time
from geosam.catalog import merge
begin = time.perf_counter()
merge(folder + "/run", folder + "/all.gpkg")
{_PRINT}""",
}
"""Programs that merge, each in a process of its own that loads nothing else.

The peak is Linux's VmHWM, since a child's ru_maxrss begins with its parent's.
"""


@dataclass(frozen=True)
class Steady(StubNetwork):
    """A network that takes a fixed time for a window: of the processor, or of the clock alone."""

    works: bool = True

    def encode(self, pixels):
        """Work or wait, then encode."""
        begin = time.thread_time()
        if not self.works:
            time.sleep(COST_S)
        while self.works and time.thread_time() - begin < COST_S:
            np.dot(*_WORK)
        return super().encode(pixels)


_WORK = np.ones((2, 128, 128), np.float32)


class Watch(Progress):
    """Asks the workers, when the last scene is done, how often each has loaded its model."""

    def __init__(self, client: Client, scenes: int) -> None:
        self.client, self.left, self.loads = client, scenes, {}

    def stage(self, *_, **__):
        """Begin the only stage."""
        return self

    def __enter__(self):
        self.begin, self.used = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.begin
        self.used = time.process_time() - self.used

    def advance(self, count: int = 1) -> None:
        """Count a scene."""
        self.left -= count
        if self.left == 0:
            self.loads = self.client.run(loads)


def loads(dask_worker) -> int:
    """Models that a worker has loaded."""
    stations = [plugin.station for name, plugin in dask_worker.plugins.items() if name.startswith("geosam-")]
    return sum(station.loads for station in stations)


def schedule(scenes: int, folder: str | None, *, works: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="geosam-catalog-") as place:
        real = sorted(Path(folder).rglob("*.tif"))[:scenes] if folder else []
        items = [Item(f"real-{number}", (str(path),)) for number, path in enumerate(real)]
        for number in range(scenes - len(real)):
            path = Path(place, f"{number}.tif")
            coordinate_scene(path, (SIDE, SIDE), transform=TRANSFORM @ TRANSFORM.translation(number * SIDE, 0))
            items.append(Item(f"rendered-{number}", (str(path),)))
        print(f"{len(real)} real scenes and {scenes - len(real)} rendered ones; {'work' if works else 'wait'}")
        network, walls = Steady(works=works), {}
        for workers in (1, 2):
            walls[workers] = run_with(workers, items, Path(place, f"run{workers}"), network)
        print(f"efficiency of 2 workers {walls[1] / (2 * walls[2]):.2f}")
        same = [
            path.read_bytes() == Path(place, "run2", "parts", path.name).read_bytes()
            for path in Path(place, "run1", "parts").iterdir()
        ]
        print(f"{sum(same)} of {len(same)} parts have the same bytes with 1 and with 2 workers")


def run_with(workers: int, items: list[Item], folder: Path, network: Steady) -> float:
    """Seconds that the scenes take, the start of the workers apart; prints what they did."""
    how = {"model": network, "spacing_px": PITCH}
    with (
        dask.config.set(SETTINGS),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=40) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(workers, timeout=60)
        segment_catalog(items[-workers:], folder.with_name("warm"), scheduler=client, **how)
        watch = Watch(client, len(items))
        report = segment_catalog(items, folder, scheduler=client, progress=watch, **how)
    rows = Manifest(folder / "manifest.jsonl").rows.values()
    waiting = 1 - sum(row.seconds for row in rows) / (workers * watch.seconds)
    windows, loaded = sum(row.windows for row in rows), sorted(watch.loads.values())
    print(
        f"{workers} workers: {report.done} done, {len(report.failed)} failed, {windows} windows, {watch.seconds:.1f} s"
    )
    print(f"  {waiting:.1%} of the workers' time waiting for work; models loaded {loaded}")
    print(
        f"  client and scheduler: {watch.used:.1f} s of processor, {watch.used / watch.seconds:.1%} of one core",
        flush=True,
    )
    return watch.seconds


def memory() -> None:
    peaks = {}
    for scenes in (200, 5000):
        done = subprocess.run(
            [sys.executable, __file__, "client", "--scenes", str(scenes)], check=True, capture_output=True, text=True
        )
        seconds, peaks[scenes] = map(float, done.stdout.split()[-2:])
        print(f"{scenes:5} scenes: {seconds:6.1f} s, client at most {peaks[scenes] / 1e6:.0f} MB")
    print(f"ratio {peaks[5000] / peaks[200]:.2f}")


def client(scenes: int) -> None:
    """Run scenes that lie outside the area of interest; print seconds and the client's peak in bytes."""
    area = shapely.box(10, 10, 11, 11)
    with tempfile.TemporaryDirectory(prefix="geosam-catalog-") as place:
        path = str(coordinate_scene(Path(place, "tiny.tif"), (8, 8)))
        items = [Item(f"scene-{number:05d}", (path,), footprint=area) for number in range(scenes)]
        begin = time.perf_counter()
        report = segment_catalog(items, Path(place, "run"), model=StubNetwork(), workers=2, aoi=area)
        seconds = time.perf_counter() - begin
        assert report.outside == scenes, report
    print(seconds, peak_bytes())


def merging(parts: int = 200, rows: int = 1000) -> None:
    with tempfile.TemporaryDirectory(prefix="geosam-merge-") as place:
        write_parts(Path(place, "run"), parts, rows)
        for kind in ("plain", "merge", "plain", "merge"):
            code = f"folder = {place!r}\n{MEASURED[kind]}"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            seconds, peak = map(float, done.stdout.split()[-2:])
            print(f"{kind:6} {parts * rows:,} polygons of {parts} parts: {seconds:5.2f} s, {peak / 1e6:.0f} MB")


def write_parts(folder: Path, parts: int, rows: int) -> None:
    """Parts as a run leaves them: discs of forty corners."""
    run = RunFolder.create(folder)
    rng = np.random.default_rng(0)
    write_lines(run.facts, [{"model": "stub"}])
    write_lines(run.scenes, ({"name": f"{part:04d}", "path": "", "key": "k"} for part in range(parts)))
    manifest = Manifest(run.manifest)
    for part in range(parts):
        centres = shapely.points(rng.uniform((5e5, 5e6), (5.1e5, 5.01e6), (rows, 2)))
        discs = shapely.multipolygons(shapely.buffer(centres, 20, quad_segs=10), indices=np.arange(rows))
        area, perimeter = measure(discs, CRS(32631))
        values = {"object_id": np.arange(rows), "scene": f"{part:04d}", "model": "stub", "area_m2": area}
        columns = {name: values.get(name, perimeter if name == "perimeter_m" else 0) for name in COLUMNS}
        table = geopandas.GeoDataFrame(columns, geometry=discs, crs=32631).astype(COLUMNS)
        geosam.write(table, run.part(f"{part:04d}"))
        manifest.append(Row(f"{part:04d}", "", "k", "done", objects=rows))


def peak_bytes() -> int:
    """The peak of this process; elsewhere than on Linux that of its parent counts too, if that was higher."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--folder")
    parser.add_argument("--cost", choices=("work", "wait"), default="work")
    asked = parser.parse_args()
    if asked.what == "client":
        client(asked.scenes)
        return
    for name, work in {
        "schedule": lambda: schedule(asked.scenes, asked.folder, works=asked.cost == "work"),
        "memory": memory,
        "merge": merging,
    }.items():
        if asked.what in (None, name):
            print(f"-- {name}", flush=True)
            work()


if __name__ == "__main__":
    main()
