"""What a look at the pixels finds: collars without a mark; and what `geosam info` says of it all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.transform import from_origin
from typer.testing import CliRunner

from geosam.cli import app
from geosam.scene import open_scene
from geosam.scene.facts import facts_of
from geosam.scene.look import find_collars

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PLACE = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_000_000, 10, 10)}


def picture(shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (3, *shape)).astype(np.uint8)


def write(path: Path, bands: np.ndarray, **options: Any) -> Path:
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", **profile, dtype=bands.dtype, **PLACE | options) as file:
        file.write(bands)
    return path


def framed(value: float, dtype: str = "uint8") -> np.ndarray:
    """A rotated picture: triangles of one value in its corners."""
    bands = picture().astype(dtype)
    y, x = np.mgrid[:200, :300]
    bands[:, (x + y < 90) | (x + y > 410)] = value
    return bands


@pytest.mark.parametrize(("value", "dtype"), [(0, "uint8"), (255, "uint8"), (0, "uint16"), (-9999, "float32")])
def test_collars_are_said_with_the_option_that_masks_them(tmp_path: Path, value: float, dtype: str) -> None:
    path = write(tmp_path / "a.tif", framed(value, dtype))
    note = open_scene(path).notes[-1]
    assert f"--nodata {value:g}" in note
    assert note.startswith("13% of it")
    assert open_scene(path, nodata=value).notes == ()
    assert open_scene(write(tmp_path / "b.tif", framed(value, dtype), nodata=value)).notes == ()


def test_what_is_no_collar_is_not_said(tmp_path: Path) -> None:
    roof = picture()
    roof[:, 80:120, 100:200] = 255  # white, but not along the border
    edge = picture()
    edge[:, 0] = 0  # a line
    flat = np.full((3, 200, 300), 77, np.uint8)
    classes = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 9, (1, 4, 6)), 50, 1), 50, 2).astype(np.uint8)
    for bands in (picture(), roof, edge, flat):
        assert open_scene(write(tmp_path / "a.tif", bands)).notes == ()
    assert not any("border" in note for note in open_scene(write(tmp_path / "a.tif", classes)).notes)


def test_both_sides_of_a_strip_are_collars_of_their_own() -> None:
    values = picture().astype(np.float32)
    values[:, :, :60], values[:, :, -30:] = 0, 255
    assert find_collars(values, np.ones(values.shape, bool)) == [(0.0, 0.2), (255.0, 0.1)]


# ---------------------------------------------------------------- geosam info


def info(*arguments: Any) -> str:
    found = CliRunner().invoke(app, ["info", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_info_says_place_bands_data_and_what_was_assumed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", framed(0), tiled=True, blockxsize=256, blockysize=256, compress="deflate")
    said = info(path)
    for words in (
        "300 x 200 px, GTiff, blocks 256 x 256, DEFLATE",
        "WGS 84 / UTM zone 33N (EPSG:32633), by its transform",
        "longitude 13.7",
        "1: uint8, seen as red, 0 to 254, no nodata value",
        "none: 8-bit values as they are",
        "--nodata 0",
    ):
        assert words in said
    masked = info(path, "--nodata", 0)
    assert "nodata 0, 86.7% data" in masked
    assert masked.rstrip().endswith("nothing")


def test_info_as_json_holds_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", picture().astype(np.uint16), nodata=3)
    facts = json.loads(info(path, "--json", "--bands", "3,2,1"))
    assert facts == json.loads(json.dumps(facts_of(open_scene(path, bands=(3, 2, 1)))))
    assert [band["seen_as"] for band in facts["bands"]] == ["blue", "green", "red"]
    assert facts["bands"][0]["nodata"] == 3
    assert facts["place"]["crs"] == "EPSG:32633"
    assert facts["stretch"]["method"] == "percentile"


def test_info_of_odd_rasters(tmp_path: Path) -> None:
    grey = picture()[:1]
    assert "min-is-white, turned round" in info(write(tmp_path / "a.tif", grey, photometric="MINISWHITE"))
    assert "coordinates are pixels" in info(write(tmp_path / "b.tif", grey, transform=None))
    with rasterio.open(write(tmp_path / "c.tif", grey), "r+") as file:
        file.scales, file.offsets = (0.5,), (-3,)
    assert "0.5 * value + -3; not applied" in info(tmp_path / "c.tif")
    empty = write(tmp_path / "d.tif", np.zeros((3, 20, 20), np.uint8), nodata=0)
    assert "0.0% of the pixels" in info(empty)
    cut = info(
        write(tmp_path / "e.tif", picture()),
        "--aoi",
        "POLYGON ((400100 4999900, 400600 4999900, 400600 4999500, 400100 4999500, 400100 4999900))",
    )
    assert "50 x 40 px are segmented" in cut


def test_info_tells_sides_and_turn_of_pixels_masks_and_bands_of_other_names(tmp_path: Path) -> None:
    grey = picture()[:1]
    turned = Affine.translation(500_000, 5_000_000) @ Affine.rotation(-30) @ Affine.scale(10, -20)
    assert "pixels of 10 x 20 (" in (said := info(write(tmp_path / "a.tif", grey, transform=turned)))
    assert "rows 30° right of east" in said
    assert "pixels of 10 (" in (said := info(write(tmp_path / "b.tif", grey, transform=Affine(10, 0, 0, 0, -10, 0))))
    assert "of east" not in said
    far = {"crs": "+proj=geos +lon_0=0 +h=35785831", "transform": from_origin(-3e6, 2e6, 20_000, 20_000)}
    said = info(write(tmp_path / "c.tif", grey, **far))
    assert "pixels of 20000 (2" in said
    assert "e+0" not in said
    assert "a CRS without a name, Geostationary Satellite" in info(tmp_path / "c.tif")
    with rasterio.open(write(tmp_path / "d.tif", picture()), "r+") as file:
        file.write_mask((np.arange(file.width) < 150) & np.ones(file.shape, bool))
    assert "50.0% of the pixels (decimated), as its mask says" in info(tmp_path / "d.tif")
    with rasterio.open(write(tmp_path / "e.tif", picture()), "r+") as file:
        file.descriptions = ("B02", "B03", "B04")
    assert "its bands B02, B03, B04 are seen as red, green and blue" in info(tmp_path / "e.tif")
    assert info(tmp_path / "e.tif", "--bands", "B04,B03,B02").rstrip().endswith("nothing")


def test_info_shows_no_secrets_and_one_line_for_what_is_no_scene(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["info", str(tmp_path / "absent.tif")])
    assert found.exit_code != 0
    odd = write(tmp_path / "a\x1b[31mb.tif", picture())
    assert "\x1b" not in info(odd)
    assert "\x1b" not in info(odd, "--json")


def test_many_bands_without_colours_are_said(tmp_path: Path):
    def notes(count: int, **how: object) -> str:
        path = tmp_path / f"{count}.tif"
        profile = {
            "driver": "GTiff",
            "height": 32,
            "width": 32,
            "count": count,
            "dtype": "uint16",
            "photometric": "MINISBLACK",
        }
        with rasterio.open(path, "w", transform=rasterio.Affine(1, 0, 5, 0, -1, 5), crs=32633, **profile) as file:
            file.write(np.random.default_rng(0).integers(0, 999, (count, 32, 32)).astype(np.uint16))
        return " ".join(open_scene(path, **how).notes)

    assert "of its 5 bands" in notes(5)
    assert "the first is seen as grey" in notes(2)
    assert "bands" not in notes(5, bands=(4, 3, 2)) + notes(1) + notes(3)
