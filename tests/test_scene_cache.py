"""GDAL's block cache: bounded while a scene is read, and left as it was found."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.env import getenv, hasenv
from rasterio.transform import from_origin

from geosam.scene import bounded_cache, open_scene
from geosam.scene.cache import MOST_BYTES, OPTION, SPARE_BYTES

READ_ALL = """
import resource, sys
from geosam.scene import bounded_cache, open_scene
from geosam.windows import WindowPlan
scene = open_scene(sys.argv[1], stretch=(0, 1))
peaks = []
with bounded_cache(scene, 512):
    for planned in WindowPlan(scene.shape, size=512, overlap=0):
        scene.read(planned.window)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print((peaks[-1] - peaks[0]) * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.fixture(autouse=True)
def no_limit_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OPTION, raising=False)


def empty_raster(path: Path, side: int, **options: object) -> Path:
    """A raster without a block: it costs nothing on the disk, and all of its pixels in the cache."""
    profile = {"driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint16", "sparse_ok": True}
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_000_000, 1, 1)}
    with rasterio.open(path, "w", **profile, **place, **options):
        pass
    return path


def limit(scene, side: int) -> int:
    with bounded_cache(scene, side):
        return getenv()[OPTION]


def test_memory_does_not_grow_with_what_was_read(tmp_path: Path) -> None:
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    path = empty_raster(tmp_path / "a.tif", 6144, **tiles)
    said = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(path)], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(said.stdout) < 1.75 * SPARE_BYTES  # the raster's pixels are 226 MB


def test_the_limit_is_a_windows_blocks_wherever_the_window_lies(tmp_path: Path) -> None:
    tiled = open_scene(empty_raster(tmp_path / "t.tif", 2048, tiled=True, blockxsize=256, blockysize=256))
    assert limit(tiled, 256) == SPARE_BYTES + 512 * 512 * (3 * 2 + 1)
    assert limit(tiled, 257) == SPARE_BYTES + 512 * 512 * (3 * 2 + 1)
    assert limit(tiled, 258) == SPARE_BYTES + 768 * 768 * (3 * 2 + 1)
    assert limit(tiled, 10_000) == SPARE_BYTES + 2048 * 2048 * (3 * 2 + 1)


def test_bands_that_lie_apart_are_decoded_one_by_one(tmp_path: Path) -> None:
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "band"}
    scene = open_scene(empty_raster(tmp_path / "b.tif", 2048, **blocks), bands=2)
    assert limit(scene, 256) == SPARE_BYTES + 512 * 512 * (2 + 1)


def test_of_a_raster_in_strips_a_row_of_windows_stays(tmp_path: Path) -> None:
    scene = open_scene(empty_raster(tmp_path / "s.tif", 2048, tiled=False, blockysize=8))
    assert limit(scene, 256) == SPARE_BYTES + 2048 * (256 + 8) * (3 * 2 + 1)


def test_the_limit_has_a_limit(tmp_path: Path) -> None:
    scene = open_scene(empty_raster(tmp_path / "s.tif", 16384, tiled=False, blockysize=1), stretch=(0, 1))
    assert limit(scene, 8192) == MOST_BYTES


def test_a_limit_of_the_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = open_scene(empty_raster(tmp_path / "a.tif", 512))
    with rasterio.Env(**{OPTION: 12345678}):
        assert limit(scene, 256) == 12345678
    monkeypatch.setenv(OPTION, "100")
    with bounded_cache(scene, 256):
        assert not hasenv()


def test_an_array_is_not_gdals(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    scene = open_scene(xarray.DataArray(np.zeros((3, 40, 60), np.uint8), dims=("band", "y", "x")))
    with bounded_cache(scene, 256):
        assert not hasenv()
