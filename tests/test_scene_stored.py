"""What a file says of its numbers: colours, bits, types, no data, overviews, pages."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import from_origin
from rasterio.windows import Window

from geosam.errors import OptionError, SceneError
from geosam.scene import open_scene
from geosam.scene.raster import can_hold

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ALL = Window(0, 0, 10_000, 10_000)
NORTH_UP = from_origin(400_000, 5_000_000, 10, 10)
COLOURS = {index: (index, 255 - index, index // 2, 255) for index in range(256)}


def noise(count: int = 3, shape: tuple[int, int] = (60, 80), top: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (count, *shape)).astype(np.uint8)


def write(path: Path, bands: np.ndarray, **options: Any) -> Path:
    palette, colours = options.pop("palette", None), options.pop("colours", ())
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    place = {"driver": "GTiff", "crs": "EPSG:32633", "transform": NORTH_UP}
    with rasterio.open(path, "w", **place | profile | options) as file:
        file.write(bands)
        if palette:
            file.write_colormap(1, palette)
        if colours:
            file.colorinterp = colours
    return path


def seen(path: Path | str, **how: Any) -> np.ndarray:
    return open_scene(path, **how).read(ALL).pixels.astype(int)


# ---------------------------------------------------------------- which end is white, how many bits


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 12, 16])
def test_min_is_white_is_seen_the_right_way_round_at_any_number_of_bits(tmp_path: Path, bits: int) -> None:
    dtype, top = ("uint8" if bits <= 8 else "uint16"), 2**bits - 1
    grey = np.random.default_rng(0).integers(0, top + 1, (1, 60, 80)).astype(dtype)
    depth = {} if bits in (8, 16) else {"nbits": bits}
    black = open_scene(write(tmp_path / "b.tif", grey, **depth)).read(ALL).pixels.astype(int)
    white = write(tmp_path / "w.tif", (top - grey).astype(dtype), photometric="MINISWHITE", **depth)
    assert black.max() == 255
    assert np.abs(black - seen(white)).max() <= 1
    np.testing.assert_array_less(black[0][grey[0] < top // 4], 90)


def test_min_is_white_of_signed_and_real_numbers(tmp_path: Path) -> None:
    grey = noise(1)
    for dtype, whole in (("int16", -1), ("float32", 0)):
        black = seen(write(tmp_path / "b.tif", grey.astype(dtype)))
        white = write(tmp_path / "w.tif", (whole - grey.astype(dtype)).astype(dtype), photometric="MINISWHITE")
        assert np.abs(black - seen(white)).max() <= 1


def test_no_data_counts_before_white_is_turned_round(tmp_path: Path) -> None:
    grey = noise(1)
    grey[:, :20] = 7
    path = write(tmp_path / "w.tif", grey, photometric="MINISWHITE", nodata=7)
    for chip in (open_scene(path).read(ALL), open_scene(path, nodata=7).read(ALL)):
        assert not chip.valid[:20].any()
        np.testing.assert_array_equal(chip.pixels[0][chip.valid], 255 - grey[0][chip.valid])
    assert open_scene(path).at(20).read(ALL).valid.sum() > 0


def test_bytes_of_few_bits_use_the_whole_range(tmp_path: Path) -> None:
    few = noise(1, top=16)
    np.testing.assert_array_equal(seen(write(tmp_path / "a.tif", few, nbits=4))[0], few[0] * 17)
    plain = open_scene(write(tmp_path / "b.tif", few))  # nothing says that four bits are all
    assert "look black" in plain.notes[0]
    assert "look black" not in "".join(open_scene(plain.source, stretch="minmax").notes)


def test_print_colours_become_light(tmp_path: Path) -> None:
    ink = np.zeros((4, 20, 20), np.uint8)
    ink[0], ink[3, :10] = 255, 255  # cyan, and black above
    pixels = seen(write(tmp_path / "a.tif", ink, photometric="CMYK"))
    np.testing.assert_array_equal(pixels[:, 0, 0], [0, 0, 0])
    np.testing.assert_array_equal(pixels[:, 19, 0], [0, 255, 255])


@pytest.mark.parametrize("dtype", ["uint32", "int64", "float64"])
def test_long_numbers_keep_their_differences(tmp_path: Path, dtype: str) -> None:
    grey = noise(1)
    high = {"uint32": 4 * 10**9, "int64": 4 * 10**15, "float64": 4e12}[dtype]
    near, far = (write(tmp_path / f"{n}.tif", grey.astype(dtype) + np.dtype(dtype).type(n)) for n in (0, high))
    for size in (10, 20, 7):
        one, other = (open_scene(path, resolution=size).read(ALL).pixels.astype(int) for path in (near, far))
        assert np.abs(one - other).max() <= 1


# ---------------------------------------------------------------- palettes


def test_the_colours_of_a_palette_count_with_alpha_behind_it(tmp_path: Path) -> None:
    index = noise(1)
    alpha = np.full_like(index, 255)
    alpha[:, :20] = 0
    both = np.concatenate([index, alpha])
    kinds = (ColorInterp.palette, ColorInterp.alpha)
    path = write(tmp_path / "a.tif", both, palette=COLOURS, colours=kinds, photometric="PALETTE", alpha="YES")
    chip = open_scene(path).read(ALL)
    assert not chip.valid[:20].any()
    assert chip.valid[20:].all()
    np.testing.assert_array_equal(chip.pixels[0][20:], index[0][20:])
    np.testing.assert_array_equal(chip.pixels[1][20:], 255 - index[0][20:])
    assert open_scene(path, nodata="none").read(ALL).valid.all()


def test_transparent_and_absent_colours_are_no_data_and_a_users_index_too(tmp_path: Path) -> None:
    index = noise(1)
    write(tmp_path / "a.tif", index, palette=COLOURS, photometric="PALETTE")
    path = tmp_path / "a.vrt"
    rasterio.shutil.copy(tmp_path / "a.tif", path, driver="VRT")
    nine = '<Entry c1="9" c2="246" c3="4" c4="255" />'
    assert nine in path.read_text()
    path.write_text(path.read_text().replace(nine, nine.replace("255", "0")))
    np.testing.assert_array_equal(open_scene(path).read(ALL).valid, index[0] != 9)
    valid = open_scene(path, nodata=11).read(ALL).valid
    np.testing.assert_array_equal(valid, index[0] != 11)


def test_a_palette_of_sixteen_bits(tmp_path: Path) -> None:
    index = noise(1).astype(np.uint16) * 3
    palette = {number: (number % 256, number // 256, 9, 255) for number in range(800)}
    pixels = seen(write(tmp_path / "a.tif", index, palette=palette, photometric="PALETTE"))
    np.testing.assert_array_equal(pixels[0] + 256 * pixels[1], index[0])


def test_other_bands_of_a_palette_are_named_and_can_be_asked_for(tmp_path: Path) -> None:
    bands = noise(2)
    path = write(tmp_path / "a.tif", bands, palette=COLOURS, photometric="PALETTE")
    scene = open_scene(path)
    assert scene.bands == (1, 2, 3)
    assert "has a palette" in scene.notes[0]
    np.testing.assert_array_equal(seen(path, bands=4)[0], bands[1])


# ---------------------------------------------------------------- values that mean no data


@pytest.mark.parametrize(
    ("dtype", "value", "held"),
    [
        ("uint8", 255, True),
        ("uint8", 256, False),
        ("uint8", -1, False),
        ("int8", -128, True),
        ("uint8", 0.5, False),
        ("int64", 2**63 - 1, True),
        ("uint64", 2**64 - 1, True),
        ("int16", float("nan"), False),
        ("int16", float("inf"), False),
        ("float32", 1e20, True),
        ("float32", -3.4028234663852886e38, True),
        ("float32", 1e39, False),
        ("float64", 1e39, True),
        ("bool", 2, False),
    ],
)
def test_what_a_type_can_hold(dtype: str, value: float, held: bool) -> None:
    assert can_hold(dtype, value) == held


def test_a_nodata_value_between_the_numbers_marks_nothing_and_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((1, 60, 80), np.uint8))
    with rasterio.open(path, "r+") as file:
        file.nodata = 0.5
    scene = open_scene(path)
    assert scene.read(ALL).valid.all()
    assert scene.nodata is None
    assert "nodata value 0.5 cannot occur in uint8" in scene.notes[0]


@pytest.mark.parametrize("value", [-15, 256, 0.5, float("nan")])
def test_a_users_value_that_cannot_occur_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(OptionError, match="a value that its pixels can have"):
        open_scene(write(tmp_path / "a.tif", noise()), nodata=value)


def test_real_numbers_are_rounded_as_their_type_does(tmp_path: Path) -> None:
    bands = noise(1).astype(np.float32)
    bands[:, :30] = 0.1
    for nodata in (1e20, 0.1):
        bands[:, :30] = nodata
        path = write(tmp_path / "a.tif", bands)
        assert not open_scene(path, nodata=nodata).read(ALL).valid[:30].any()


def mixed(tmp_path: Path) -> Path:
    """A VRT whose bands differ in type and in what means no data."""
    bands = noise()
    write(tmp_path / "long.tif", bands[:1].astype(np.uint16) * 100)
    write(tmp_path / "rest.tif", bands)
    source = (
        '<VRTRasterBand dataType="{}" band="{}"><NoDataValue>{}</NoDataValue><SimpleSource><SourceFilename '
        'relativeToVRT="1">{}</SourceFilename><SourceBand>{}</SourceBand></SimpleSource></VRTRasterBand>'
    )
    rows = (("UInt16", 1, 500, "long.tif", 1), ("Byte", 2, 7, "rest.tif", 2), ("Float32", 3, 9, "rest.tif", 3))
    text = "".join(source.format(*row) for row in rows)
    grid = "<GeoTransform>400000,10,0,5000000,0,-10</GeoTransform>"
    path = tmp_path / "mixed.vrt"
    path.write_text(f'<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>EPSG:32633</SRS>{grid}{text}</VRTDataset>')
    return path


def test_bands_of_different_types_are_each_stretched_and_masked_for_themselves(tmp_path: Path) -> None:
    scene, bands = open_scene(mixed(tmp_path)), noise()
    assert scene.raster.info.dtypes == ("uint16", "uint8", "float32")
    assert scene.raster.info.nodatas == (500, 7, 9)
    values, known = scene.values(Window(0, 0, 80, 60))
    np.testing.assert_array_equal(known, bands != np.array([5, 7, 9])[:, None, None])
    np.testing.assert_array_equal(values[0], bands[0] * 100.0)
    pixels = scene.read(ALL).pixels.astype(int)
    assert all(pixel.min() == 0 and pixel.max() == 255 for pixel in pixels)
    assert np.abs(pixels[0] - pixels[1]).std() > 0
    chosen = open_scene(mixed(tmp_path), nodata=500)  # the user's word, in the bands that can hold it
    assert chosen.raster.info.nodatas == (500, None, 500)


# ---------------------------------------------------------------- overviews


def landscape(shape: tuple[int, int] = (1024, 1024), *, grain: float = 8) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    rng = np.random.default_rng(0)
    return (120 + 60 * np.sin(x / 90) * np.cos(y / 70) + rng.normal(0, grain, shape)).clip(1, 255).astype(np.uint8)


def with_overviews(path: Path, image: np.ndarray, shown: np.ndarray | None = None, **options: Any) -> Path:
    """A tiled raster of `image` whose overviews are those of `shown`."""
    how = options.pop("resampling", Resampling.nearest)
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    write(path, (image if shown is None else shown)[None], **tiles, **options)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8], how)
    if shown is not None:
        with rasterio.open(path, "r+") as file:
            file.write(image, 1)
    return path


@pytest.mark.parametrize("how", ["nearest", "average", "cubic", "gauss", "mode"])
def test_honest_overviews_are_used(tmp_path: Path, how: str) -> None:
    for grain in (0, 8, 60):
        path = with_overviews(tmp_path / "a.tif", landscape(grain=grain), resampling=Resampling[how])
        info = open_scene(path).raster.info
        assert (len(info.levels), info.distrusted) == (4, 0)


@pytest.mark.parametrize("lie", ["empty", "flipped", "negative", "bright", "no data"])
def test_overviews_that_show_something_else_are_not_used(tmp_path: Path, lie: str) -> None:
    image = landscape()
    shown = {
        "empty": np.full_like(image, 1),
        "flipped": image[:, ::-1],
        "negative": 255 - image,
        "bright": np.full_like(image, 250),
        "no data": np.zeros_like(image),
    }[lie]
    path = with_overviews(tmp_path / "a.tif", image, shown, nodata=0)
    scene = open_scene(path, stretch="minmax")
    assert (len(scene.raster.info.levels), scene.raster.info.distrusted) == (1, 3)
    assert "not used" in scene.notes[0]
    true = open_scene(write(tmp_path / "b.tif", image[None], nodata=0), stretch="minmax")
    assert scene.stretch == true.stretch
    coarse = [one.at(40).read(ALL).pixels for one in (scene, true)]
    np.testing.assert_array_equal(*coarse)
    assert scene.has_data(Window(0, 0, 64, 64))


# ---------------------------------------------------------------- pages and subdatasets


def test_pages_are_asked_for_by_name(tmp_path: Path) -> None:
    small, large = write(tmp_path / "s.tif", noise(shape=(20, 20))), write(tmp_path / "l.tif", noise())
    path = str(tmp_path / "pages.tif")
    rasterio.shutil.copy(small, path, driver="GTiff")
    rasterio.shutil.copy(large, path, driver="GTiff", APPEND_SUBDATASET="YES")
    with pytest.raises(SceneError, match=r"holds 2 pages.*GTIFF_DIR:2:.*80P x 60L"):
        open_scene(path)
    assert open_scene(f"GTIFF_DIR:2:{path}").shape == (60, 80)


def test_masks_and_overviews_inside_a_file_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with_overviews(path, landscape())
        with rasterio.open(path, "r+") as file:
            file.write_mask(np.full((1024, 1024), 255, np.uint8))
    assert open_scene(path).shape == (1024, 1024)


def test_a_zarr_store_is_its_image_and_not_its_coordinates(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("zarr")
    places = {"x": 400_005 + 10.0 * np.arange(80), "y": 4_999_995 - 10.0 * np.arange(60)}
    images = {name: (("y", "x"), band) for name, band in zip(("one", "two"), noise(2), strict=True)}
    xarray.Dataset(images, coords=places).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    with pytest.raises(SceneError, match=r"holds 2 rasters.*/one") as refused:
        open_scene(tmp_path / "a.zarr")
    assert ":/x" not in str(refused.value)


def test_an_identity_in_a_vrt_is_no_place(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", noise(), transform=None)
    rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "a.vrt", driver="VRT")
    assert open_scene(tmp_path / "a.vrt").crs is None
