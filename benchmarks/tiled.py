"""A scene of 2,048² in windows: geosam against segment-geospatial's `generate(batch=True)`, same weights of vit_b.

    pip install -c constraints.txt '.[bench]' && pip install -c constraints.txt --no-deps segment-geospatial
    python benchmarks/tiled.py [--threads 2] [--full]

The peer cuts the scene into 25 tiles of 768² and asks 32 by 32 points in each, one for every 24 by 24 pixels; geosam
takes 9 windows of 1,024², and points at the same distance on their cores and 64 px around them. Its result is a table
of objects, the peer's a binary mask. The weights are random, those of `random_vit.py`. geosam takes the whole scene;
the peer, which would take an hour, one tile, and 25 times as long is reckoned for the whole, unless `--full` is given.
Each run is a process of its own; memory is the most it held (VmHWM).
Targets: 25 times quicker, half the memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE, TILE, SPACING = 2048, 768, 24
TILES, WINDOW = 25, 1024


def write_scene(path: Path, side: int) -> None:
    """A GeoTIFF of rendered ground."""
    import rasterio
    from affine import Affine

    from geosam.training.world import render

    pixels = np.tile(render(7, 512).pixels, (1, side // 512, side // 512))
    form = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    with rasterio.open(path, "w", **form, **place) as scene:
        scene.write(pixels)


def peer(folder: Path, side_points: int, *, full: bool) -> tuple[float, float]:
    """Segment tiles of the scene; seconds by the clock and of the processor."""
    import torchvision_shim

    torchvision_shim.install()
    import samgeo
    import samgeo.common

    every = samgeo.common.calculate_sample_grid
    if not full:  # the tile in the middle alone
        samgeo.common.calculate_sample_grid = lambda **how: (tiles := every(**how))[len(tiles) // 2 :][:1]
    options = {"points_per_side": side_points}
    model = samgeo.SamGeo(model_type="vit_b", checkpoint=str(folder / "vit_b.pth"), device="cpu", sam_kwargs=options)
    begin = time.perf_counter(), time.process_time()
    model.generate(str(folder / "scene.tif"), str(folder / "mask.tif"), batch=True, foreground=True)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def ours(folder: Path, spacing: int, **_: bool) -> tuple[float, float]:
    """Segment the scene to a GeoPackage; seconds as above."""
    import geosam
    from geosam.models import load_model

    model = load_model(folder / "vit_b.pth")
    begin = time.perf_counter(), time.process_time()
    asked = {"pred_iou_threshold": 0.88, "stability_threshold": 0.95, "spacing_px": spacing, "window": WINDOW}
    geosam.segment_to_file(folder / "scene.tif", folder / "objects.gpkg", model=model, **asked)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def run(who: str, folder: Path, argument: int, threads: int, *, full: bool) -> tuple[float, float, float]:
    """Run in a new process: seconds by the clock, of the processor, and peak memory in MB."""
    command = [sys.executable, __file__, "--child", who, str(folder), str(argument), "--threads", str(threads)]
    done = subprocess.run([*command, *(["--full"] if full else [])], check=True, stdout=subprocess.PIPE, text=True)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def child(who: str, folder: str, argument: str, options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(options.threads)
    wall, processor = {"peer": peer, "ours": ours}[who](Path(folder), int(argument), full=options.full)
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps([wall, processor, peak]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="the whole scene through both: hours")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options)
        return
    import random_vit

    with tempfile.TemporaryDirectory(prefix="geosam-tiled-") as name:
        folder = Path(name)
        write_scene(folder / "scene.tif", SIDE)
        random_vit.write(folder / "vit_b.pth")
        mine = run("ours", folder, SPACING, options.threads, full=True)
        theirs = run("peer", folder, TILE // SPACING, options.threads, full=options.full)
        if not options.full:
            print(
                f"one tile of the peer's: {theirs[0]:.1f} s by the clock, {theirs[1]:.1f} s of the processor",
                flush=True,
            )
            theirs = TILES * theirs[0], TILES * theirs[1], theirs[2]
    for who, (wall, processor, peak) in (("segment-geospatial", theirs), ("geosam", mine)):
        print(f"{who:20} {wall:9.0f} s by the clock, {processor:9.0f} s of the processor, {peak:6.0f} MB at most")
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    print(
        f"{ratios[0]:.1f} times by the clock (target 25), {ratios[1]:.1f} of the processor; memory 1 / {ratios[2]:.1f}"
    )


if __name__ == "__main__":
    main()
