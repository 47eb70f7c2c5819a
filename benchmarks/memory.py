"""Peak memory of `geosam.segment_to_file` over scenes of growing size, the network replaced by a stub.

    python benchmarks/memory.py [--coverage] [--all] [side …]

Writes a scene of each size (4,096² and 16,384²; `--all` adds 32,768²), segments it in a process of its own, and prints
the most memory that the process held, beside that of the first scene, and the processor's time. The ratio is to stay
below 1.15. The scene is full of objects: one disc for every 64 by 64 pixels, cut by the windows at random. With
`--coverage` it is cut into segments by the region tree, on a scene of the bundled village, mirrored side by side.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio

import geosam
from geosam.testing import StubNetwork, coordinate_scene
from geosam.testing.networks import PITCH

MOST = 1.15
"""How much more memory than the smallest scene a larger one may take."""

SIDES = (4096, 16384)

VILLAGE = Path(__file__).parents[1] / "sample_data" / "village_before.tif"


def measure(scene: str, folder: str, how: str) -> None:
    """Segment a scene to a GeoPackage and a label raster; print windows, objects, seconds, their CPU part and bytes."""
    begin = time.perf_counter()
    output, labels = Path(folder, "objects.gpkg"), Path(folder, "labels.tif")
    asked = {"coverage": True} if how == "coverage" else {"spacing_px": PITCH}
    report = geosam.segment_to_file(scene, output, labels=labels, model=StubNetwork(), **asked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(report.windows, report.objects, time.perf_counter() - begin, time.process_time(), peak)


def write(path: str, side: int, how: str) -> None:
    """Write a scene."""
    if how != "coverage":
        coordinate_scene(path, (side, side))
        return
    with rasterio.open(VILLAGE) as small:
        pixels, profile = small.read(), small.profile
    there = np.arange(pixels.shape[1])
    along = np.concatenate([there, there[::-1]] * (side // len(there) + 1))[:side]
    profile |= {"width": side, "height": side, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "lzw"}
    with rasterio.open(path, "w", **profile) as large:
        for top in range(0, side, 512):
            part = pixels[:, along[top : top + 512]][:, :, along]
            large.write(part, window=((top, top + part.shape[1]), (0, side)))


def peak_of(side: int, how: str) -> int:
    """Bytes that a scene of ``side²`` takes at the most, in a new process; prints a line about it."""
    with tempfile.TemporaryDirectory(prefix="geosam-memory-") as folder:
        scene = Path(folder, "scene.tif")
        subprocess.run([sys.executable, __file__, "write", str(scene), str(side), how], check=True)
        command = [sys.executable, __file__, "measure", str(scene), folder, how]
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    windows, objects, seconds, spent, peak = found.stdout.split()
    counts = f"{windows:>6} windows {objects:>8} objects"
    print(f"{side:6} ² {counts} {float(seconds):8.1f} s {float(spent):8.1f} s cpu {int(peak) / 1e6:8.0f} MB", end="")
    return int(peak)


def main() -> None:
    how = "coverage" if "--coverage" in sys.argv else "points"
    usual = [*SIDES, *([32768] if "--all" in sys.argv else [])]
    sides = [int(side) for side in sys.argv[1:] if side.isdigit()] or usual
    base = 0
    for side in sides:
        peak = peak_of(side, how)
        base = base or peak
        print(f"  {peak / base:5.2f} x {'' if peak <= MOST * base else f'  more than {MOST}'}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    elif sys.argv[1:2] == ["write"]:
        write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
