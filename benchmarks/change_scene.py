"""What `geosam change` takes on a large pair with `nano`: processor time by step, and peak memory.

    python benchmarks/change_scene.py [--side 4096] [--objects 2000] [--no-new]

The pair is the bundled one, mirrored side by side; its footprints are mirrored with it. Times are of the processor, so
that they hold on a shared machine too; on two quiet cores the wall time is between half of the sum and the sum.
"""

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely

import geosam
from geosam.pipeline import compare, publish, two_dates

SAMPLES = Path(__file__).parents[1] / "sample_data"

STEPS = {
    "open": (compare, "open_pair"),
    "shift": (compare, "register"),
    "colours": (compare, "match"),
    "outlines": (two_dates.Look, "decoded"),
    "measures": (two_dates, "measure_objects"),
    "features": (two_dates.Look, "features"),
    "ground around": (two_dates, "ground_shares"),
    "new: segments": (two_dates.Look, "segments"),
    "new: which are": (compare, "with_new"),
    "not analysed": (compare, "unseen_frame"),
    "files": (publish, "publish"),
}
"""Step → where its function is."""


class Clock:
    """Processor time of functions, without what is measured inside them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, step: str, owner: Any, name: str) -> None:
        """Put a timed function in the place of another."""
        whole = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            begin = time.process_time()
            self._inner.append(0.0)
            try:
                return whole(*given, **named)
            finally:
                spent = time.process_time() - begin
                self.seconds[step] += spent - self._inner.pop()
                self._inner[-1] += spent

        setattr(owner, name, timed)


def mirrored(side: int, length: int) -> tuple[np.ndarray, int]:
    """Rows (or columns) of the bundled pair for each of a larger one, and how often it fits."""
    count = -(-side // length)
    there, back = np.arange(length), np.arange(length)[::-1]
    return np.concatenate([back if n % 2 else there for n in range(count)])[:side], count


def write_pair(folder: Path, side: int, objects: int) -> tuple[Path, Path, Path]:
    """Scenes before and after, and footprints."""
    paths = []
    for name in ("before", "after"):
        with rasterio.open(SAMPLES / f"village_{name}.tif") as small:
            pixels, profile = small.read(), small.profile
        rows, count = mirrored(side, pixels.shape[1])
        profile |= {"width": side, "height": side, "tiled": True, "blockxsize": 512, "blockysize": 512}
        paths.append(folder / f"{name}.tif")
        with rasterio.open(paths[-1], "w", **profile) as large:
            for top in range(0, side, 512):
                part = pixels[:, rows[top : top + 512]][:, :, rows]
                large.write(part, window=((top, top + part.shape[1]), (0, side)))
    known = gpd.read_file(SAMPLES / "village_truth.gpkg", layer="changes")
    known = known[known["status"] != "new"]
    place, length = profile["transform"], pixels.shape[1]
    flat = shapely.transform(np.array(known.geometry.array, object), lambda xy: np.stack(~place @ xy.T, axis=1))
    parts = []
    for row in range(count):
        for col in range(count):
            shapes = shapely.transform(flat, lambda xy, at=(col, row): moved(xy, at, length))
            inside = shapely.within(shapes, shapely.box(0, 0, side, side))
            world = shapely.transform(shapes[inside], lambda xy: np.stack(place @ xy.T, axis=1))
            parts.append(gpd.GeoDataFrame(geometry=list(world), crs=known.crs))
    table = pd.concat(parts, ignore_index=True).iloc[:objects]
    table.to_file(folder / "known.gpkg")
    return (*paths, folder / "known.gpkg")


def moved(xy: np.ndarray, at: tuple[int, int], length: int) -> np.ndarray:
    """Pixels of the small pair where the large one shows them for the n-th time."""
    turned = np.where(np.array(at) % 2 == 1, length - xy, xy)
    return turned + np.array(at) * length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--no-new", action="store_true", help="do not look for new objects")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="geosam-change-") as folder:
        before, after, known = write_pair(Path(folder), asked.side, asked.objects)
        model, clock = geosam.load_model("nano"), Clock()
        for step, (owner, name) in STEPS.items():
            clock.watch(step, owner, name)
        begin, busy = time.perf_counter(), time.process_time()
        how = {"model": model, "find_new": not asked.no_new}
        result = geosam.compare_to_file(before, after, Path(folder, "change.gpkg"), known, **how)
        wall, spent = time.perf_counter() - begin, time.process_time() - busy
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for step, seconds in clock.seconds.items():
        print(f"{step:20} {seconds:8.1f} s")
    rest = spent - sum(clock.seconds.values())
    print(f"{'other':20} {rest:8.1f} s")
    print(f"{asked.side}², {dict(result.counts())}: {spent:.1f} s of processor", end=", ")
    print(f"{wall:.1f} s by the clock, {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
