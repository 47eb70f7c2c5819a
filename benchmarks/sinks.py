"""Time, size and peak memory of writing outputs; each in a process of its own.

    python benchmarks/sinks.py [polygons] [side]

Writes 200,000 polygons of 24 corners, streamed in frames of 2,000, to each format, then labels of 4,096² and 16,384²,
and measures what the journal costs for each window.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from geosam import sinks
from geosam.execute import Journal

FRAME = 2000
CORNERS = 24


def polygons(count: int) -> Iterator[gpd.GeoDataFrame]:
    """Frames of roundish polygons on a lattice, with the documented columns."""
    generator = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    for start in range(0, count, FRAME):
        ids = np.arange(start, min(count, start + FRAME))
        radius = 15 + 5 * generator.random((len(ids), CORNERS))
        x = 500_000 + ids[:, None] % 448 * 50 + radius * np.cos(angle)
        y = 5_000_000 + ids[:, None] // 448 * 50 + radius * np.sin(angle)
        columns = {
            "object_id": ids + 1,
            "scene": "benchmark",
            "score": generator.random(len(ids)).astype(np.float32),
            "area_m2": (radius**2).sum(axis=1),
            "prompt_id": None,
            "touches_edge": False,
            "model": "nano-0123456789ab",
        }
        yield gpd.GeoDataFrame(columns, geometry=shapely.polygons(np.stack([x, y], -1)), crs="EPSG:32633")


def labels(row_off: int, rows: int, side: int) -> np.ndarray:
    """Fields with wavy borders and lanes between them."""
    y, x = np.arange(row_off, row_off + rows, dtype=np.int32)[:, None], np.arange(side, dtype=np.int32)
    y = y + (7 * np.sin(x / 17)).astype(np.int32)
    fields = y // 61 * (side // 61 + 2) + x // 61 + 1
    fields[(y % 61 < 8) | (x % 61 < 8)] = 0
    return fields


def write_polygons(folder: Path, suffix: str, count: int) -> Path:
    return sinks.write(polygons(count), folder / f"out{suffix}", metadata={"benchmark": True})


def write_labels(folder: Path, side: int, rows: int) -> Path:
    grid = GeoBox((side, side), Affine(1, 0, 0, 0, -1, 0), "EPSG:32633")
    with sinks.LabelSink(folder / "out.tif", grid) as sink:
        for row_off in range(0, side, rows):
            sink.write(row_off, labels(row_off, min(rows, side - row_off), side))
    return folder / "out.tif"


def write_journal(folder: Path, windows: int) -> Path:
    window = {"labels": labels(0, 1024, 1024), "scores": np.ones(300, np.float32)}
    with Journal(folder / "journal", "run") as journal:
        for number in range(windows):
            journal.put(f"window-{number}", window)
        for number in range(windows):
            journal.get(f"window-{number}")
    return folder / "journal" / "window-0.npz"


def measure(what: str, *arguments: str) -> None:
    """Do one piece of work and print what it cost beyond the imports."""
    work = {"polygons": write_polygons, "labels": write_labels, "journal": write_journal}[what]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        begun, spent = time.perf_counter(), time.process_time()
        path = work(Path(folder), *(int(value) if value.isdigit() else value for value in arguments))
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        size = os.path.getsize(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    name, peak, more = " ".join((what, *arguments)), peak >> 10, (peak - before) >> 10
    print(f"{name:28} {wall:6.2f} s {cpu:6.2f} s cpu {size / 1e6:8.1f} MB, peak {peak:4} MB (+{more})")


def main() -> None:
    count = sys.argv[1] if len(sys.argv) > 1 else "200000"
    sides = sys.argv[2:] or ["4096", "16384"]
    tasks = [("polygons", suffix, count) for suffix in sinks.POLYGON_FORMATS]
    tasks += [("labels", side, "256") for side in sides]
    tasks += [("journal", "20")]
    for task in tasks:
        subprocess.run([sys.executable, __file__, "measure", *task], check=True)


if __name__ == "__main__":
    measure(*sys.argv[2:]) if sys.argv[1:2] == ["measure"] else main()
