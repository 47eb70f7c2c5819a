"""Opening a scene: files of every kind, bands, validity, stretch, identity, damage."""

import functools
import http.server
import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rioxarray  # the accessor `rio`
import shapely
import xarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.windows import Window

import geosam
from geosam.errors import OptionError, SceneError, SceneReadError
from geosam.scene import Scene, Stretch, open_scene
from geosam.scene.control_points import ControlPoints
from geosam.scene.scale import FINEST, OBJECT_PX, SCALES
from geosam.scene.stretch import DISPLAY, MIDDLE

ALL = Window(0, 0, 10_000, 10_000)
NORTH_UP = from_origin(400_000, 5_000_000, 10, 10)


def noise(shape: tuple[int, ...] = (3, 60, 80), dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def write(path: Path, bands: np.ndarray, *, colours: tuple[ColorInterp, ...] = (), **options: Any) -> Path:
    options = {"driver": "GTiff", "transform": NORTH_UP, "crs": "EPSG:32633"} | options
    names, mask = options.pop("names", ()), options.pop("mask", None)
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", **profile, **options) as file:
        if colours:
            file.colorinterp = colours
        file.write(bands)
        for number, name in enumerate(names, 1):
            file.set_band_description(number, name)
        if mask is not None:
            file.write_mask(mask)
    return path


# ---------------------------------------------------------------- kinds of files


@pytest.mark.parametrize("name", ["a.tif", "a.TIF", "a.tiff", "a.TIFF", "no_extension"])
def test_extension_does_not_matter(tmp_path: Path, name: str) -> None:
    """Peers lose the georeference of ``.tiff`` and ``.TIF``."""
    bands = noise()
    scene = open_scene(write(tmp_path / name, bands))
    assert scene.crs == rasterio.CRS.from_epsg(32633)
    assert scene.geobox.transform == NORTH_UP
    np.testing.assert_array_equal(scene.read(ALL).pixels, bands)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
)
def test_any_number_type(tmp_path: Path, dtype: str) -> None:
    bands = noise(dtype=dtype if dtype != "int8" else "uint8").astype(dtype)
    scene = open_scene(write(tmp_path / "a.tif", bands))
    chip = scene.read(ALL)
    assert chip.pixels.dtype == np.uint8
    assert chip.pixels.shape == (3, 60, 80)
    assert chip.valid.all()
    assert scene.stretch.method == ("identity" if dtype == "uint8" else "percentile")
    np.testing.assert_array_equal(scene.values(ALL)[0], bands.astype(np.float32))


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_pixels_are_refused(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=4, width=4, dtype=dtype, transform=NORTH_UP):
        pass
    with pytest.raises(SceneError, match=r"a\.tif has pixels of type complex64: expected integers or real numbers"):
        open_scene(path)


def test_jpeg_and_png_without_georeference(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.png"):
        Image.fromarray(noise((40, 60, 3))).save(tmp_path / name)
        scene = open_scene(tmp_path / name)
        assert scene.crs is None
        assert scene.shape == (40, 60)
        assert scene.geobox.transform == Affine.identity()


def test_jpeg2000_and_virtual_raster(tmp_path: Path) -> None:
    bands = noise((3, 64, 64))
    write(tmp_path / "a.jp2", bands, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")
    np.testing.assert_array_equal(open_scene(tmp_path / "a.jp2").read(ALL).pixels, bands)
    write(tmp_path / "a.tif", bands)
    with rasterio.open(tmp_path / "a.tif") as file:
        rasterio.shutil.copy(file, tmp_path / "a.vrt", driver="VRT")
    scene = open_scene(tmp_path / "a.vrt")
    np.testing.assert_array_equal(scene.read(ALL).pixels, bands)
    before = scene.fingerprint
    write(tmp_path / "a.tif", noise((3, 64, 64), seed=1))
    assert open_scene(tmp_path / "a.vrt").fingerprint != before


def test_world_file_and_side_file(tmp_path: Path) -> None:
    write(tmp_path / "a.png", noise(), driver="PNG")  # GDAL writes a.png.aux.xml beside
    scene = open_scene(tmp_path / "a.png")
    assert scene.geobox.transform == NORTH_UP
    assert scene.crs == rasterio.CRS.from_epsg(32633)


def test_palette_becomes_colours(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    index = noise((1, 20, 30)) % 3
    profile = {"driver": "GTiff", "count": 1, "height": 20, "width": 30, "dtype": "uint8", "nodata": 2}
    with rasterio.open(path, "w", transform=NORTH_UP, **profile) as f:
        f.write(index)
        f.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 255, 10, 255), 2: (7, 8, 9, 255)})
    scene = open_scene(path)
    chip = scene.read(ALL)
    assert scene.bands == (1, 2, 3)
    np.testing.assert_array_equal(chip.pixels[:, index[0] == 0].T, [[255, 0, 0]] * (index == 0).sum())
    np.testing.assert_array_equal(chip.pixels[:, index[0] == 1].T, [[0, 255, 10]] * (index == 1).sum())
    np.testing.assert_array_equal(chip.valid, index[0] != 2)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that serves parts, as GDAL asks for."""

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = data[int(start) : int(end) + 1 if end else None]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


def test_remote_cog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    bands = noise((3, 600, 600))
    write(tmp_path / "a.tif", bands, driver="COG")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Ranges, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/a.tif"
        scene = open_scene(url)
        assert scene.name == "a"
        np.testing.assert_array_equal(scene.read(Window(300, 300, 64, 64)).pixels, bands[:, 300:364, 300:364])
        assert scene.at(20).read(ALL).pixels.shape == (3, 300, 300)
        with pytest.raises(SceneError, match=r"nothing\.tif cannot be opened"):
            open_scene(url.replace("a.tif", "nothing.tif"))
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- what is no scene


def test_what_is_no_scene_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("not a raster")
    cases = {
        tmp_path / "nothing.tif": "does not exist",
        tmp_path / "text.tif": "cannot be opened",
        tmp_path: "cannot be opened",
        "s3://": "cannot be opened",
        42: "a int as a scene",
    }
    for source, message in cases.items():
        with pytest.raises(SceneError, match=message) as caught:
            open_scene(source)
        assert "\n" not in str(caught.value)
        assert not isinstance(caught.value, SceneReadError)


def test_a_damaged_block_names_its_window_and_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", noise((3, 512, 512)), compress="deflate", tiled=True, blockxsize=128, blockysize=128
    )
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 2000] = bytes(2000)
    path.write_bytes(data)
    scene = open_scene(path)
    assert scene.read(Window(0, 0, 128, 128)).valid.all()
    with pytest.raises(SceneReadError, match=r"a\.tif: window 128 x 128 px at column 256, row 256") as caught:
        scene.read(Window(256, 256, 128, 128))
    assert isinstance(caught.value, OSError)
    assert scene.read(Window(128, 128, 128, 128)).valid.all()


def test_a_truncated_file_is_an_error_and_not_a_hole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise((1, 512, 512), "uint16"), compress="deflate")
    path.write_bytes(path.read_bytes()[:-200_000])
    with pytest.raises(SceneError, match=r"a\.tif"):
        open_scene(path).read(ALL)


def test_several_rasters_in_one_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(noise((20, 20))).save(path, save_all=True, append_images=[Image.fromarray(noise((20, 20)))])
    scene = open_scene(f"GTIFF_DIR:2:{path}")
    assert scene.shape == (20, 20)


# ---------------------------------------------------------------- bands

C = ColorInterp


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ((C.red, C.green, C.blue), (1, 2, 3)),
        ((C.blue, C.green, C.red, C.alpha), (3, 2, 1)),
        ((C.gray, C.undefined, C.undefined, C.undefined), (1, 2, 3)),
        ((C.gray, C.alpha), (1,)),
        ((C.gray, C.undefined), (1,)),
        ((C.alpha, C.gray, C.undefined, C.undefined), (2, 3, 4)),
        ((C.gray,), (1,)),
    ],
)
def test_bands_by_default(tmp_path: Path, colours: tuple[ColorInterp, ...], expected: tuple[int, ...]) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise((len(colours), 20, 30)), colours=colours))
    assert scene.bands == expected
    assert scene.read(ALL).pixels.shape == (3, 20, 30)


@pytest.mark.parametrize(
    ("bands", "expected"),
    [((4, 3, 2), (4, 3, 2)), ("4,3,2", (4, 3, 2)), (2, (2,)), ("nir", (4,)), ("NIR, red,green", (4, 3, 2)),
     ("rgb", (3, 2, 1)), ("cir", (4, 3, 2)), (["red", 1, "4"], (3, 1, 4)), ((1, 1, 1), (1, 1, 1))],
)  # fmt: skip
def test_bands_by_number_and_name(tmp_path: Path, bands: Any, expected: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.tif", noise((4, 20, 30)), names=("Blue", "Green", "Red", "NIR"))
    scene = open_scene(path, bands=bands)
    assert scene.bands == expected
    with rasterio.open(path) as file:
        wanted = file.read(expected)
    np.testing.assert_array_equal(scene.read(ALL).pixels, np.broadcast_to(wanted, (3, 20, 30)))


@pytest.mark.parametrize(
    ("bands", "message"),
    [((9, 1, 2), "band 9: expected 1 to 4; it has 1 \\(Blue\\)"), ((0,), "band 0"), ((1, 2), "one band or three"),
     ("swir", "band 'swir'"), ((-1,), "band -1"), ((), "one band or three")],
)  # fmt: skip
def test_bands_that_are_not_there(tmp_path: Path, bands: Any, message: str) -> None:
    path = write(tmp_path / "a.tif", noise((4, 20, 30)), names=("Blue", "Green", "Red", "NIR"))
    with pytest.raises(OptionError, match=message):
        open_scene(path, bands=bands)


# ---------------------------------------------------------------- validity


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0),
        ("uint8", 255),
        ("int16", -9999),
        ("float32", -9999),
        ("float32", float("nan")),
        ("float64", -3.4e38),
    ],
)
def test_nodata_is_not_valid_and_leaves_no_edge(tmp_path: Path, dtype: str, nodata: float) -> None:
    """Peers raise at −9999 and lose masks at 255."""
    bands = noise(dtype=dtype)
    bands[:, :, 40:] = nodata
    scene = open_scene(write(tmp_path / "a.tif", bands, nodata=nodata))
    chip = scene.read(ALL)
    np.testing.assert_array_equal(chip.valid, np.arange(80)[None] < np.full((60, 1), 40))
    for band in chip.pixels:
        assert len(np.unique(band[:, 40:])) == 1
        assert abs(float(band[0, 40]) - band[:, :40].mean()) <= 0.5
    assert scene.has_data(Window(0, 0, 40, 60))
    assert not scene.has_data(Window(40, 0, 40, 60))
    assert not scene.read(Window(40, 0, 40, 60)).pixels.any()


def test_numbers_that_are_none(tmp_path: Path) -> None:
    bands = noise(dtype="float32")
    bands[:, 0, 0], bands[:, 1, 1], bands[0, 2, 2] = np.nan, np.inf, -np.inf
    chip = open_scene(write(tmp_path / "a.tif", bands, nodata=-9999)).read(ALL)
    assert (~chip.valid).sum() == 2  # at (2, 2) two bands have data
    assert not chip.valid[0, 0]
    assert not chip.valid[1, 1]


def test_nodata_in_one_band_is_a_dark_pixel(tmp_path: Path) -> None:
    bands = noise()
    bands[2] = 0
    chip = open_scene(write(tmp_path / "a.tif", bands, nodata=0)).read(ALL)
    assert chip.valid.all()
    assert not chip.pixels[2].any()


def test_alpha_and_mask(tmp_path: Path) -> None:
    left = np.broadcast_to(np.arange(80) < 40, (60, 80))
    bands = noise((4, 60, 80))
    bands[3] = left * 255
    alpha = open_scene(write(tmp_path / "alpha.tif", bands, colours=(C.red, C.green, C.blue, C.alpha)))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        inside = open_scene(write(tmp_path / "inside.tif", bands[:3], mask=left))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        beside = open_scene(write(tmp_path / "beside.tif", bands[:3], mask=left))
    assert (tmp_path / "beside.tif.msk").exists()
    for scene in (alpha, inside, beside):
        np.testing.assert_array_equal(scene.read(ALL).valid, left)
        np.testing.assert_array_equal(scene.at(20).read(ALL).valid, left[::2, ::2])
        assert not scene.has_data(Window(40, 0, 40, 60))
        assert open_scene(scene.source, nodata="none").read(ALL).valid.all()


def test_nodata_override(tmp_path: Path) -> None:
    bands = noise()
    bands[:, :30] = 7
    bands[:, 30:, :] += 10
    path = write(tmp_path / "a.tif", bands, nodata=0)
    chip = open_scene(path, nodata=7).read(ALL)
    assert not chip.valid[:30].any()
    assert chip.valid[30:].all()
    assert open_scene(path, nodata=7).nodata == 7
    assert not open_scene(path, nodata=7).at(20).read(ALL).valid[:15].any()
    assert open_scene(path, nodata=7).key != open_scene(path).key
    with pytest.raises(OptionError, match="nodata='no'"):
        open_scene(path, nodata="no")


def test_coarse_pixels_ignore_nodata(tmp_path: Path) -> None:
    bands = np.full((1, 40, 40), 100, "int16")
    bands[:, ::4] = -9999
    scene = open_scene(write(tmp_path / "a.tif", bands, nodata=-9999), stretch=(0, 255)).at(40)
    chip = scene.read(ALL)
    assert chip.valid.all()
    assert (chip.pixels == 100).all()


def test_has_data_sees_a_single_pixel(tmp_path: Path) -> None:
    bands = np.zeros((1, 3000, 3000), np.uint8)
    bands[0, 1707, 2001] = 9
    scene = open_scene(write(tmp_path / "a.tif", bands, nodata=0, compress="deflate"))
    assert scene.has_data(Window(1900, 1700, 200, 200))
    assert not scene.has_data(Window(0, 1000, 500, 500))
    assert scene.at(30).has_data(Window(640, 560, 40, 20))


# ---------------------------------------------------------------- stretch


def test_percentiles_are_of_the_whole_scene(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bands = rng.normal(3000, 500, (3, 400, 500)).astype("uint16")
    bands[:, :100] = 0
    scene = open_scene(write(tmp_path / "a.tif", bands, nodata=0))
    low, high = np.percentile(bands[:, 100:], (2, 98), axis=(1, 2))
    np.testing.assert_allclose([scene.stretch.low, scene.stretch.high], [low, high], rtol=1e-3)
    part = scene.within(shapely.box(400_000, 4_996_000, 401_000, 4_997_000))
    assert part.stretch == scene.stretch == scene.at(37).stretch


def test_measurements_of_light_are_made_as_bright_as_pictures(tmp_path: Path) -> None:
    light = (np.linspace(0, 1, 4000) ** 2.2 * 10_000).reshape(1, 50, 80).astype("uint16").repeat(3, 0)
    scene = open_scene(write(tmp_path / "a.tif", light))
    pixels = scene.read(Window(0, 0, 80, 50)).pixels
    assert np.median(pixels) == pytest.approx(255 * MIDDLE, abs=2)
    assert (np.diff(pixels[0].ravel().astype(int)) >= 0).all()  # what is brighter stays brighter
    assert (pixels[0] == pixels[1:]).all()  # what is grey stays grey
    linear = open_scene(tmp_path / "a.tif", stretch="percentile")
    assert linear.stretch == replace(scene.stretch, gamma=1.0)
    assert np.median(linear.read(Window(0, 0, 80, 50)).pixels) < 0.25 * 255


def test_what_is_bright_already_stays_linear_and_nothing_is_brighter_than_on_a_display(tmp_path: Path) -> None:
    bright = np.linspace(500, 900, 4000).reshape(1, 50, 80).astype("uint16")
    assert open_scene(write(tmp_path / "a.tif", bright)).stretch.gamma == 1
    night = np.zeros((1, 50, 80), "uint16")
    night[:, :5] = 3000
    assert open_scene(write(tmp_path / "b.tif", night)).stretch.gamma == DISPLAY


@given(low=st.floats(-1e4, 1e4), width=st.floats(1e-3, 1e5), gamma=st.floats(0.2, 5))
def test_a_stretch_survives_its_record(low: float, width: float, gamma: float) -> None:
    stretch = Stretch((low,), (low + width,), gamma=gamma)
    assert Stretch.from_dict(json.loads(json.dumps(stretch.to_dict()))) == stretch


@pytest.mark.parametrize("gamma", [0, -1, float("nan"), float("inf")])
def test_an_exponent_that_is_none_is_refused(gamma: float) -> None:
    with pytest.raises(OptionError, match="gamma"):
        Stretch((0.0,), (1.0,), gamma=gamma)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("stretch", ["auto", "percentile", "minmax"])
@pytest.mark.parametrize("value", [0, 17])
def test_constant_and_empty_bands(tmp_path: Path, dtype: str, stretch: str, value: int) -> None:
    path = write(tmp_path / "a.tif", np.full((3, 20, 20), value, dtype), nodata=0)
    chip = open_scene(path, stretch=stretch).read(ALL)
    assert len(np.unique(chip.pixels)) == 1
    assert chip.valid.all() == (value != 0)


def test_nearly_constant_band(tmp_path: Path) -> None:
    bands = np.zeros((1, 100, 100), "uint16")
    bands[0, 3, 3] = 40  # both percentiles are 0
    assert open_scene(write(tmp_path / "a.tif", bands)).read(ALL).pixels.max() == 255


def test_given_stretch(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise(dtype="uint16"))
    scene = open_scene(path, stretch=(0, [100, 200, 400]))
    assert scene.stretch == Stretch((0, 0, 0), (100, 200, 400), "given")
    again = Stretch.from_dict(scene.stretch.to_dict())
    assert again == scene.stretch
    assert open_scene(path, stretch=again) == scene
    for bad in ("gamma", (5, 5), (1,), (0, [1, 2]), ("a", "b"), (0, float("nan"))):
        with pytest.raises(OptionError, match="stretch"):
            open_scene(path, stretch=bad)  # type: ignore[arg-type]  # that is the test


def test_identity_changes_nothing() -> None:
    values = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    np.testing.assert_array_equal(Stretch((0.0,), (255.0,), "identity").apply(values), values)
    np.testing.assert_array_equal(Stretch((0.0,), (255.0,), "given").apply(values), values)


# ---------------------------------------------------------------- identity, threads, processes


def test_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    bands = noise()
    one = open_scene(write(tmp_path / "a.tif", bands))
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    os.utime(tmp_path / "b.tif", (0, 0))
    assert open_scene(tmp_path / "b.tif").fingerprint == one.fingerprint
    bands[1, 30, 30] += 1
    assert open_scene(write(tmp_path / "c.tif", bands)).fingerprint != one.fingerprint
    (tmp_path / "b.tif.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    assert open_scene(tmp_path / "b.tif").fingerprint != one.fingerprint


def test_key_changes_with_whatever_changes_the_result(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise())
    scene = open_scene(path)
    area = shapely.Point(400_400, 4_999_700).buffer(100)
    others = [open_scene(path, bands=(3, 2, 1)), open_scene(path, stretch="minmax"), open_scene(path, nodata=3),
              scene.at(20), scene.within(area), scene.within(shapely.box(*area.bounds))]  # fmt: skip
    assert len({scene.key, *(other.key for other in others)}) == 7
    assert scene.within(area).fingerprint == scene.within(shapely.box(*area.bounds)).fingerprint  # same pixels
    assert scene == open_scene(path)
    assert hash(scene) == hash(open_scene(path))


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    first, second = noise(seed=1), noise(seed=2)
    np.testing.assert_array_equal(open_scene(write(tmp_path / "a.tif", first)).read(ALL).pixels, first)
    np.testing.assert_array_equal(open_scene(write(tmp_path / "a.tif", second)).read(ALL).pixels, second)


def test_scenes_pickle_and_read_in_threads(tmp_path: Path) -> None:
    bands = noise((3, 300, 300))
    scene = open_scene(
        write(tmp_path / "a.tif", bands, nodata=0), aoi=shapely.box(400_100, 4_997_500, 402_500, 4_999_900)
    )
    scene.read(ALL)
    scene.has_data(ALL)
    again = pickle.loads(pickle.dumps(scene))
    assert again == scene
    assert len(pickle.dumps(scene)) < 20_000
    windows = [Window(x, y, 40, 40) for x in range(0, 200, 20) for y in range(0, 200, 20)]
    with ThreadPoolExecutor(8) as pool:
        chips = list(pool.map(again.read, windows))
    for window, chip in zip(windows, chips, strict=True):
        np.testing.assert_array_equal(chip.pixels, scene.read(window).pixels)


def test_windows_are_clipped_or_refused(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise()))
    chip = scene.read(Window(70, -5, 64, 64))
    assert chip.window == Window(70, 0, 10, 59)
    assert chip.geobox.shape == (59, 10)
    assert chip.geobox.transform == NORTH_UP @ Affine.translation(70, 0)
    with pytest.raises(SceneError, match="lies outside"):
        scene.read(Window(80, 0, 10, 10))


def test_a_scene_seen_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise((4, 60, 80)))
    scene = open_scene(path)
    assert open_scene(scene) == scene
    assert open_scene(scene, bands=(4, 3, 2), resolution=20) == open_scene(path, bands=(4, 3, 2), resolution=20)
    with pytest.raises(OptionError, match="nodata of an open scene"):
        open_scene(scene, nodata=3)
    assert geosam.open_scene is open_scene
    assert repr(scene) == "Scene('a', 80 x 60 px, bands (1, 2, 3), WGS 84 / UTM zone 33N)"


# ---------------------------------------------------------------- DataArrays


def test_dataarray_is_the_file(tmp_path: Path) -> None:

    bands = noise((4, 60, 80), "uint16")
    bands[:, :10] = 0
    path = write(tmp_path / "a.tif", bands, nodata=0, names=("blue", "green", "red", "nir"))
    file = open_scene(path)
    with rioxarray.open_rasterio(path) as array:
        scene = open_scene(array)
        assert scene.crs == file.crs
        assert scene.geobox.transform == file.geobox.transform
        assert scene.bands == open_scene(path).bands == (3, 2, 1)
        for one, other in ((scene, file), (scene.at(25), file.at(25)), (scene.at(5), file.at(5))):
            np.testing.assert_array_equal(one.read(ALL).pixels, other.read(ALL).pixels)
            np.testing.assert_array_equal(one.read(ALL).valid, other.read(ALL).valid)
        assert open_scene(array).key == scene.key
        assert open_scene(array + 1).key != scene.key
        assert pickle.loads(pickle.dumps(scene)) == scene
    with rioxarray.open_rasterio(path, masked=True) as masked:
        np.testing.assert_array_equal(open_scene(masked).read(ALL).valid, file.read(ALL).valid)


def image(values: np.ndarray, **names: str) -> xarray.DataArray:
    """A DataArray as rioxarray makes them."""

    assert rioxarray
    h, w = values.shape[-2:]
    y, x = 5_000_000 - 5 - 10 * np.arange(h), 400_000 + 5 + 10 * np.arange(w)
    dims = ("band", "y", "x")[-values.ndim :]
    return xarray.DataArray(values, {"y": y, "x": x}, dims).rio.write_crs(32633).rename(names)


def test_dataarrays_of_many_shapes() -> None:
    plain = image(noise((40, 50)))
    scene = open_scene(plain.rio.write_nodata(5))
    assert scene.bands == (1,)
    assert scene.nodata == 5
    assert scene.geobox.transform == NORTH_UP
    assert scene.crs == rasterio.CRS.from_epsg(32633)
    assert open_scene(plain[10:, 20:]).geobox.transform == NORTH_UP @ Affine.translation(20, 10)
    assert open_scene(plain[::2, ::2]).geobox.transform == NORTH_UP @ Affine.translation(-0.5, -0.5) @ Affine.scale(2)
    assert open_scene(plain[::-1]).to_px(shapely.Point(400_005, 4_999_995))[0].equals(shapely.Point(0.5, 39.5))
    assert open_scene(plain.expand_dims(time=1)).shape == (40, 50)
    assert open_scene(plain.T).key == open_scene(plain).key
    assert open_scene(plain.rename(x="lon", y="lat")).shape == (40, 50)
    colours = xarray.Dataset({"nir": plain, "red": plain + 1, "green": plain, "blue": plain})
    assert open_scene(colours).bands == (2, 3, 4)
    assert open_scene(colours).crs == scene.crs
    bare = open_scene(xarray.DataArray(noise((3, 9, 7)), dims=("band", "y", "x")))
    assert bare.crs is None
    assert bare.geobox.transform == Affine.identity()


def test_dataarrays_that_are_no_images() -> None:
    plain = image(noise((40, 50)))
    with pytest.raises(SceneError, match="select a time step"):
        open_scene(xarray.concat([plain, plain], "time").expand_dims(band=[1, 2]))
    with pytest.raises(SceneError, match="evenly spaced"):
        open_scene(plain.isel(x=[0, 1, 4, 9]))
    with pytest.raises(SceneError, match="two spatial dimensions"):
        open_scene(xarray.DataArray(noise((40,)), dims="x"))


def test_dataarray_with_control_points(tmp_path: Path) -> None:
    from rasterio.control import GroundControlPoint

    corners = [(0, 0), (0, 80), (60, 0), (60, 80)]
    points = [GroundControlPoint(row=r, col=c, x=10 + c / 100, y=50 - r / 100) for r, c in corners]
    path = write(tmp_path / "a.tif", noise(), gcps=points, crs="EPSG:4326", transform=None)
    with rioxarray.open_rasterio(path) as array:
        world = open_scene(array).to_world(shapely.Point(40, 30))[0]
    assert world.equals_exact(open_scene(path).to_world(shapely.Point(40, 30))[0], 1e-9)


def test_dataarray_is_read_window_by_window() -> None:
    from xarray.backends.common import BackendArray
    from xarray.core import indexing

    reads: list[tuple[int, ...]] = []

    class Lazy(BackendArray):
        shape, dtype = (3, 4000, 4000), np.dtype("uint16")

        def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
            return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

        def _read(self, key: tuple[Any, ...]) -> np.ndarray:
            part = np.broadcast_to(np.uint16(7), self.shape)[key]
            reads.append(part.shape)
            return part

    lazy = xarray.DataArray(indexing.LazilyIndexedArray(Lazy()), dims=("band", "y", "x"))
    scene = open_scene(lazy, stretch=(0, 10))
    reads.clear()
    scene.read(Window(100, 100, 50, 60))
    assert max(np.prod(shape) for shape in reads) <= 3 * 50 * 60


# ---------------------------------------------------------------- control points


@pytest.mark.parametrize("pixels", [((0.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (1.0, 1.0), (2.0, 2.0))])
def test_too_few_control_points(pixels: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(SceneError, match="at least three that do not lie on one line"):
        ControlPoints(pixels, pixels)


def test_scene_refuses_what_cannot_be(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif", noise()))
    with pytest.raises(OptionError, match="bands="):
        Scene(scene.raster, (1, 2), scene.stretch, scene.whole, scene.crop)
    with pytest.raises(OptionError, match="a stretch from"):
        Stretch((1.0,), (0.0,))


class TestScale:
    """What is looked for, in words, sets the working pixel."""

    @given(st.sampled_from(sorted(SCALES)), st.floats(0.05, 30))
    @settings(deadline=None, max_examples=40)
    def test_an_object_of_the_scale_spans_as_many_pixels_but_none_is_finer_than_half_the_raster_s(self, name, pixel):
        raster = xarray.DataArray(np.zeros((3, 600, 800), np.uint8), dims=("band", "y", "x"))
        raster = raster.rio.write_crs("EPSG:32631").rio.write_transform(Affine(pixel, 0, 5e5, 0, -pixel, 5e6))
        scene = open_scene(raster, resolution=name)
        wanted = max(SCALES[name] / OBJECT_PX, FINEST * open_scene(raster).resolution_m)
        h, w = (n * open_scene(raster).resolution_m / wanted for n in (600, 800))
        assert abs(scene.shape[0] - h) <= max(0.51, 1 - h)
        assert abs(scene.shape[1] - w) <= max(0.51, 1 - w)
        assert open_scene(open_scene(raster, resolution=3 * pixel), resolution=name).shape == scene.shape

    def test_unknown_scales_and_scenes_without_metres_are_said(self):
        raster = xarray.DataArray(np.zeros((3, 60, 80), np.uint8), dims=("band", "y", "x"))
        with pytest.raises(OptionError, match=r"houses.*buildings"):
            open_scene(raster, resolution="houses")
        with pytest.raises(OptionError, match="CRS"):
            open_scene(raster, resolution="buildings")
