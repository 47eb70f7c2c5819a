"""Tiles of scenes whose pixels are their own coordinates: a place in a picture is a place in the scene."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling

from geosam.scene import open_scene
from geosam.serve import Desk, Layer
from geosam.serve import pictures as module
from geosam.serve.pairs import pictures_of
from geosam.serve.pictures import TILE_PX, Picture
from geosam.serve.requests import OutsideError
from geosam.testing import coordinate_scene

TURNED = Affine.translation(400_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(0.3, -0.3)
SHAPE = (700, 1100)


def written(folder: Path, *, turned: bool = False, overviews: bool = False) -> Path:
    path = coordinate_scene(
        folder / "xy.tif", SHAPE, dtype="uint16", transform=TURNED if turned else Affine.scale(2, -2)
    )
    if overviews:
        with rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4], Resampling.average)
    return path


def places(picture: Picture, level: int, col: int, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean column and row that each pixel of a tile shows, and where it has data."""
    rgba = picture.pixels(level, col, row)
    return rgba[..., :2].astype(float), rgba[..., 3] == 255


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("overviews", [False, True])
def test_a_pixel_of_a_tile_shows_the_pixels_of_its_place(tmp_path: Path, turned: bool, overviews: bool):
    stretch = ((0, 0, 0), (1100, 700, 1))
    picture = Picture(open_scene(written(tmp_path, turned=turned, overviews=overviews), stretch=stretch))
    assert picture.levels == 4
    for level in range(picture.levels):
        step = 2**level
        for row in range(-(-SHAPE[0] // (TILE_PX * step))):
            for col in range(-(-SHAPE[1] // (TILE_PX * step))):
                seen, valid = places(picture, level, col, row)
                x = (np.arange(TILE_PX) + col * TILE_PX) * step
                y = (np.arange(TILE_PX) + row * TILE_PX) * step
                assert (valid == (x[None] < SHAPE[1]) & (y[:, None] < SHAPE[0])).all()
                middle_x = (x + np.minimum(x + step, SHAPE[1]) - 1) / 2 * 255 / 1100
                middle_y = (y + np.minimum(y + step, SHAPE[0]) - 1) / 2 * 255 / 700
                within = 0.51 + (0.3 if overviews else 0)  # of averages that GDAL has rounded
                assert np.abs(seen[..., 0] - middle_x[None])[valid].max() <= within
                assert np.abs(seen[..., 1] - middle_y[:, None])[valid].max() <= within


def test_an_area_of_interest_begins_its_own_grid(tmp_path: Path):
    scene = open_scene(written(tmp_path), stretch=((0, 0, 0), (1100, 700, 1)))
    part = scene.within(scene.to_world([shapely.box(101, 51, 801, 651)]))
    assert part.shape == (600, 700)
    seen, _ = places(Picture(part), 0, 0, 0)
    assert np.abs(seen[0, :, 0] - (np.arange(256) + 101) * 255 / 1100).max() <= 0.51
    seen, _ = places(Picture(part), 1, 0, 0)
    assert np.abs(seen[:, 0, 1] - (np.arange(256) * 2 + 51.5) * 255 / 700).max() <= 0.51


def test_without_overviews_coarse_tiles_come_from_one_look_at_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "SLOW_PX", 600 * 600)
    monkeypatch.setattr(module, "COARSE_PX", 550)
    picture = Picture(open_scene(written(tmp_path), stretch=((0, 0, 0), (1100, 700, 1))))
    assert [picture.is_slow(level) for level in range(4)] == [False, False, True, True]
    for _ in range(3000):
        tile = picture.tile(2, 0, 0)
        if tile is not None:
            break
        time.sleep(0.02)
    seen, valid = places(picture, 2, 0, 0)
    x = (np.arange(256) * 4 + 1.5) * 255 / 1100
    assert np.abs(seen[0, :, 0] - x)[valid[0]].max() <= 1.0


def test_bands_and_percentiles_are_chosen(tmp_path: Path):
    picture = Picture(open_scene(coordinate_scene(tmp_path / "b.tif", (256, 256))))
    rgba = picture.pixels(0, 0, 0, ((2, 2, 1), (0.0, 50.0)))
    assert rgba[10, 200, :3].tolist() == [20, 20, 255]
    assert (
        picture.pixels(0, 0, 0, ((1,), None))[10, 200, :3].tolist()[0]
        == picture.pixels(0, 0, 0, ((1,), None))[0, 200, 2]
    )
    tile = Image.open(io.BytesIO(picture.tile(0, 0, 0) or b""))
    assert (tile.format, tile.size) == ("JPEG", (256, 256))
    desk = Desk(picture.scene, Layer())
    asked = {"verb": "tile", "level": 0, "col": 0, "row": 0, "bands": [2, 2, 1], "stretch": [0, 50]}
    assert desk.answer(asked).buffer
    for wrong in ({"bands": [1, 2]}, {"bands": "rgb"}, {"stretch": [50, 50]}, {"stretch": [0, True]}):
        assert desk.answer(asked | wrong).value["kind"] == "input"
    with pytest.raises(OutsideError):
        picture.pixels(0, 1, 0)


def test_two_dates_on_different_grids_show_the_same_ground(tmp_path: Path):
    one = coordinate_scene(tmp_path / "one.tif", (300, 300), frame="world", dtype="float32")
    moved = Affine.translation(10, -20) @ Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    two = coordinate_scene(tmp_path / "two.tif", (300, 300), frame="world", dtype="float32", transform=moved)
    stretch = ((500_000, 4_999_800, 0), (500_200, 5_000_000, 1))
    scene, found = pictures_of(open_scene(one, stretch=stretch), open_scene(two, stretch=stretch))
    assert scene.shape == (260, 280)
    for level in (0, 1):
        before, after = (found[name].pixels(level, 0, 0) for name in ("before", "after"))
        both = (before[..., 3] == 255) & (after[..., 3] == 255)
        assert both.sum() > 0.9 * (before[..., 3] == 255).sum()
        assert np.abs(before[both].astype(int) - after[both].astype(int)).max() <= 1
