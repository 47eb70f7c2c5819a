"""Peak memory of `geosam.segment_to_file` over scenes of growing size, the network replaced by a stub.

    python benchmarks/memory.py [--all] [side …]

Writes a scene of each size (4,096² and 16,384²; `--all` adds 32,768²), segments it in a process of its own, and prints
the most memory that the process held, beside that of the first scene, and the processor's time. The ratio is to stay
below 1.15. The scene is full of objects: one disc for every 64 by 64 pixels, cut by the windows at random.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geosam
from geosam.testing import StubNetwork
from geosam.testing.networks import PITCH

MOST = 1.15
"""How much more memory than the smallest scene a larger one may take."""

SIDES = (4096, 16384)


def measure(scene: str, folder: str) -> None:
    """Segment a scene to a GeoPackage and a label raster; print windows, objects, seconds, their CPU part and bytes."""
    begin = time.perf_counter()
    output, labels = Path(folder, "objects.gpkg"), Path(folder, "labels.tif")
    report = geosam.segment_to_file(scene, output, labels=labels, model=StubNetwork(), spacing_px=PITCH)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(report.windows, report.objects, time.perf_counter() - begin, time.process_time(), peak)


def peak_of(side: int) -> int:
    """Bytes that a scene of ``side²`` takes at the most, in a new process; prints a line about it."""
    with tempfile.TemporaryDirectory(prefix="geosam-memory-") as folder:
        scene = Path(folder, "scene.tif")
        write = f"from geosam.testing import coordinate_scene; coordinate_scene({str(scene)!r}, ({side}, {side}))"
        subprocess.run([sys.executable, "-c", write], check=True)
        command = [sys.executable, __file__, "measure", str(scene), folder]
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    windows, objects, seconds, spent, peak = found.stdout.split()
    counts = f"{windows:>6} windows {objects:>8} objects"
    print(f"{side:6} ² {counts} {float(seconds):8.1f} s {float(spent):8.1f} s cpu {int(peak) / 1e6:8.0f} MB", end="")
    return int(peak)


def main() -> None:
    usual = [*SIDES, *([32768] if "--all" in sys.argv else [])]
    sides = [int(side) for side in sys.argv[1:] if side.isdigit()] or usual
    base = 0
    for side in sides:
        peak = peak_of(side)
        base = base or peak
        print(f"  {peak / base:5.2f} x {'' if peak <= MOST * base else f'  more than {MOST}'}", flush=True)


if __name__ == "__main__":
    measure(*sys.argv[2:]) if sys.argv[1:2] == ["measure"] else main()
