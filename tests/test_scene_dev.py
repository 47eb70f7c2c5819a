"""Every real raster opens, reads through all of its windows, and looks like an image."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.windows import Window

from geosam.scene import open_scene
from geosam.windows import WindowPlan

ALL = Window(0, 0, 10_000, 10_000)


def test_every_raster_reads_whole(dev_data: Path) -> None:
    rasters = [path for path in sorted(dev_data.rglob("*")) if path.suffix.lower() in (".tif", ".png", ".jpg")]
    assert len(rasters) > 100
    for path in rasters:
        scene = open_scene(path)
        whole = scene.read(ALL)
        assert whole.pixels.shape == (3, *scene.shape), path
        for planned in WindowPlan(scene.shape, 600, 64):
            chip = scene.read(planned.window)
            rows, cols = planned.window.toslices()
            np.testing.assert_array_equal(chip.valid, whole.valid[rows, cols], err_msg=str(path))
            seen = chip.pixels[:, chip.valid]
            np.testing.assert_array_equal(seen, whole.pixels[:, rows, cols][:, chip.valid], err_msg=str(path))
            assert scene.has_data(planned.window) >= chip.valid.any(), path


def test_pixel_and_world_agree_on_every_raster(dev_data: Path) -> None:
    for path in sorted(dev_data.rglob("*.tif")):
        scene = open_scene(path)
        h, w = scene.shape
        px = shapely.points(np.random.default_rng(0).uniform(0, 1, (20, 2)) * [w, h])
        back = shapely.get_coordinates(scene.to_px(scene.to_world(px)))
        np.testing.assert_allclose(back, shapely.get_coordinates(px), atol=1e-5, err_msg=str(path))


def test_all_nodata(dev_data: Path) -> None:
    scene = open_scene(dev_data / "rasterio-tests" / "all-nodata.tif")
    assert not any(scene.has_data(planned.window) for planned in WindowPlan(scene.shape, 512, 64))
    assert not scene.read(ALL).valid.any()


def test_rotated_without_crs(dev_data: Path) -> None:
    scene = open_scene(dev_data / "rasterio-tests" / "rotated.tif")
    assert scene.crs is None
    assert scene.to_world(shapely.Point(0, 0))[0].equals(shapely.Point(100, 200))
    corner = scene.to_px(scene.to_world(shapely.box(2, 3, 5, 9)))[0]
    assert corner.equals_exact(shapely.box(2, 3, 5, 9), 1e-9)


def test_side_file_georeference(dev_data: Path) -> None:
    scene = open_scene(dev_data / "hotosm-fair-models" / "OAM-386690-220241-19.tif")
    assert scene.crs is not None
    assert scene.resolution_m == pytest.approx(0.13, abs=0.01)


def test_earth_from_space_has_points_without_a_pixel(dev_data: Path) -> None:
    """The corners of a geostationary image are not on the earth, and half of the earth is not in it."""
    scene = open_scene(dev_data / "rasterio-tests" / "goes.tif")
    seen, behind = scene.to_px([shapely.Point(-70, -10), shapely.Point(100, 10)], 4326)
    assert shapely.box(0, 0, *scene.shape[::-1]).contains(seen)
    assert behind.is_empty
    assert scene.resolution_m == pytest.approx(20_000, rel=0.1)


def test_overviews_with_a_mask(dev_data: Path) -> None:
    scene = open_scene(dev_data / "rasterio-tests" / "cogeo.tif")
    coarse = scene.at(scene.frame.resolution * 4)
    assert coarse._level == 2
    chip = coarse.read(ALL)
    assert chip.pixels.shape == (3, 256, 256)
    fine = scene.read(ALL).pixels.reshape(3, 256, 4, 256, 4).mean(axis=(2, 4))
    assert np.abs(chip.pixels - fine).mean() < 12  # the file's own overviews, by another filter
