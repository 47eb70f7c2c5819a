"""Memory of a whole run: bounded by the window, not by the scene. (`benchmarks/memory.py` measures GDAL's as well.)"""

import tracemalloc
from pathlib import Path

import geosam
from geosam.testing import StubNetwork, coordinate_scene
from geosam.testing.networks import PITCH

WIDTH = 256


def peak_of(folder: Path, height: int) -> int:
    """Most bytes that Python and numpy held while a scene of some rows was segmented to files."""
    folder.mkdir()
    scene = coordinate_scene(folder / "scene.tif", (height, WIDTH))
    tracemalloc.start()
    report = geosam.segment_to_file(
        scene,
        folder / "out.parquet",
        labels=folder / "labels.tif",
        model=StubNetwork(side=WIDTH, channels=8),
        spacing_px=3 * PITCH,  # on the middle of every ninth disc
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.objects == -(-(height // PITCH - 1) // 3)
    return peak


def test_a_scene_four_times_as_tall_takes_no_more_memory(tmp_path: Path) -> None:
    peak_of(tmp_path / "warm", 512)  # what is imported and cached at the first use counts for neither
    low, high = peak_of(tmp_path / "low", 2048), peak_of(tmp_path / "high", 8192)
    assert high < 1.2 * low
