"""Kill a process that accepts objects at many moments, and see what its session holds.

    python benchmarks/session_kills.py [--moments 20]

Each process accepts objects, one after another, and prints the id of each when it is told to be saved; it is killed
with SIGKILL at its own moment. Then the file must be sound for SQLite, open as a layer, open as a session, and hold
every object that was promised, and at most one more: the one in hand.
"""

import argparse
import os
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import shapely

from geosam.scene import open_scene
from geosam.serve import Layer, Session
from geosam.serve.objects import MapObject
from geosam.serve.shapes import canonical
from geosam.testing import coordinate_scene


def accept(scene: Path, path: Path, pipe: int) -> None:
    """Accept objects, and promise each when that is done."""
    layer = Layer(Session(path, open_scene(scene)))
    while True:
        number = layer.next_id()
        layer.do(layer.adding([MapObject(number, canonical(shapely.box(0, 0, 4, number)))], "one"))
        os.write(pipe, f"{number}\n".encode())


def killed(scene: Path, path: Path, seconds: float) -> int:
    """Kill a process so long after its first promise, and give its last one."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            accept(scene, path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = [pipe.readline()]
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        said += pipe.read().split()
    return int(said[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20)
    moments = parser.parse_args().moments
    lost = unsound = 0
    with tempfile.TemporaryDirectory() as folder:
        scene = coordinate_scene(f"{folder}/xy.tif", (64, 64))
        for moment in range(moments):
            path = Path(folder, f"{moment}.gpkg")
            promised = killed(scene, path, 0.0137 * moment)
            with sqlite3.connect(path) as database:
                sound = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            with Session(path, open_scene(scene)) as session:
                there = sorted(Layer(session).objects)
            sound &= there == list(range(1, len(there) + 1)) and len(gpd.read_file(path, layer="objects")) == len(there)
            lost += max(promised - len(there), 0)
            unsound += not (sound and len(there) <= promised + 1)
            print(
                f"killed {13.7 * moment:5.1f} ms after the first: {promised} promised, {len(there)} there", flush=True
            )
    print(f"{moments} moments: {lost} promised objects lost, {unsound} files unsound")


if __name__ == "__main__":
    main()
