"""A whole scene with `nano`: the share of the time in which the encoder or the decoder computes.

    python benchmarks/scene.py [--side 4096] [--spacing 32] [--threads 2] [--labels]

The scene is a mosaic of rendered pictures, so that windows hold real objects; it is segmented to a GeoPackage. What is
not the network's (reading, stitching, polygons, files) is to hide behind it: the target is 85 % of the wall time. Peak
memory is the whole process's; that of 16,384² is to be that of 4,096², within 15 %.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine

import geosam
from geosam.models import load_model
from geosam.training.world import render

TARGET = 0.85
TILE = 512


class Timed:
    """A network whose encoder and decoder are timed, each by the clock of the thread that waits for it."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self.seconds = {"encode": 0.0, "survey": 0.0, "decode": 0.0}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def encode(self, *given: Any, **named: Any) -> Any:
        """The network's, timed."""
        return self._during("encode", self._network.encode, given, named)

    def encode_many(self, *given: Any, **named: Any) -> Any:
        """The network's, timed."""
        return self._during("encode", self._network.encode_many, given, named)

    def decode(self, *given: Any, **named: Any) -> Any:
        """The network's: prompted mode, which is not measured."""
        return self._network.decode(*given, **named)

    def decode_rois(self, *given: Any, **named: Any) -> Any:
        """The network's, timed: the second pass."""
        return self._during("decode", self._network.decode_rois, given, named)

    def refine(self, *given: Any, **named: Any) -> Any:
        """The network's, timed: masks, refined."""
        return self._during("decode", self._network.refine, given, named)

    def decode_filtered(self, *given: Any, **named: Any) -> Any:
        """The network's, timed."""
        return self._during("survey", self._network.decode_filtered, given, named)

    def _during(self, name: str, call: Callable[..., Any], given: Any, named: Any) -> Any:
        begin = time.perf_counter()
        try:
            return call(*given, **named)
        finally:
            self.seconds[name] += time.perf_counter() - begin


def write_scene(path: Path, side: int, *, kinds: int = 12) -> None:
    """A GeoTIFF of ``side²`` pixels, each of its tiles one of some rendered pictures, turned at random."""
    rng = np.random.default_rng(0)
    pictures = [render(seed, TILE).pixels for seed in range(kinds)]
    form = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    with rasterio.open(path, "w", **form, **place, blockxsize=256, blockysize=256) as scene:
        for top in range(0, side, TILE):
            for left in range(0, side, TILE):
                picture = np.rot90(pictures[rng.integers(kinds)], rng.integers(4), axes=(1, 2))
                bottom, right = min(top + TILE, side), min(left + TILE, side)
                scene.write(picture[:, : bottom - top, : right - left], window=((top, bottom), (left, right)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--spacing", type=int, help="pixels between the points; by default what suits the model")
    parser.add_argument("--threads", type=int, default=0, help="of the matrix library; 0: as it comes")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--labels", action="store_true", help="also write a label raster")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="geosam-scene-") as folder:
        scene, output, labels = (Path(folder, name) for name in ("scene.tif", "objects.gpkg", "labels.tif"))
        write_scene(scene, options.side)
        network = Timed(load_model(options.model))
        network.encode(np.zeros((3, network.side, network.side), np.uint8))
        network.seconds["encode"] = 0.0
        begin, busy = time.perf_counter(), time.process_time()
        given = {"labels": labels if options.labels else None, "spacing_px": options.spacing}
        report = geosam.segment_to_file(scene, output, **given, model=network)
        wall, processor = time.perf_counter() - begin, time.process_time() - busy
    spent = network.seconds
    share, decoder = sum(spent.values()) / wall, spent["survey"] + spent["decode"]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.side}²: {report.windows} windows, {report.objects:,} objects; {wall:.1f} s by the clock, "
        f"{processor:.1f} s of processor; encoder {spent['encode']:.1f} s, decoder {decoder:.1f} s: "
        f"{share:.0%} of the clock, target {TARGET:.0%}: {'met' if share >= TARGET else 'missed'}; "
        f"peak memory {peak_mb:.0f} MB"
    )


if __name__ == "__main__":
    main()
