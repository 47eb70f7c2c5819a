"""Laws of a scene's grid, on rasters whose pixels hold their own coordinates: a slip of half a pixel shows."""

import itertools
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.gcp import GCPGeoBox
from pyproj import CRS, Transformer
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.windows import Window

from geosam.errors import OptionError, SceneError
from geosam.scene import Scene, open_scene

UTM = "EPSG:32633"
NORTH_UP = from_origin(400_000, 5_000_000, 10, 10)
ROTATED = Affine.translation(400_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
SHAPE = (150, 230)


def coordinates(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Three bands: x and y of each pixel's centre in pixels, and zero."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.stack([x, y, np.zeros(shape)]).astype(np.float32)


def write(bands: np.ndarray, *, transform: Affine | None = NORTH_UP, crs: str | None = UTM, **options: object) -> Path:
    path = Path(mkdtemp()) / "scene.tif"
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", dtype=bands.dtype, transform=transform, crs=crs, **profile, **options) as file:
        file.write(bands)
    return path


PLAIN = open_scene(write(coordinates()))
TURNED = open_scene(write(coordinates(), transform=ROTATED))
NOISE = open_scene(write(np.random.default_rng(1).random((3, *SHAPE), np.float32)))
SCENES = {"north up": PLAIN, "rotated": TURNED}

windows = st.builds(
    Window,
    st.integers(0, 229),
    st.integers(0, 149),
    st.integers(1, 100),
    st.integers(1, 100),
)


def centres(scene: Scene, window: Window) -> np.ndarray:
    """Native pixel coordinates of the centres of a window's pixels, found through the world."""
    h, w = round(window.height), round(window.width)
    y, x = np.mgrid[:h, :w] + 0.5
    xy = np.stack([x.ravel() + window.col_off, y.ravel() + window.row_off], axis=1)
    native = open_scene(scene.source).frame.px_from_world(scene.frame.world_from_px(xy))
    return native.T.reshape(2, h, w)


@given(window=windows, name=st.sampled_from(sorted(SCENES)))
def test_pixels_are_where_the_frame_says(window: Window, name: str) -> None:
    scene = SCENES[name]
    chip = scene.read(window)
    values, known = scene.values(window)
    assert known.all()
    assert chip.valid.all()
    np.testing.assert_allclose(values[:2], centres(scene, chip.window), atol=1e-3)


@given(window=windows, factor=st.floats(1, 12))
@settings(deadline=None)
def test_coarser_pixels_are_means_of_their_place(window: Window, factor: float) -> None:
    scene = PLAIN.at(10 * factor)
    h, w = scene.shape
    window = Window(window.col_off % w, window.row_off % h, window.width, window.height)
    values, _ = scene.values(window)
    # a pixel cut by the coarse border still counts as if at its centre: at most 1/8 of a pixel on each side
    np.testing.assert_allclose(values[:2], centres(scene, scene.read(window).window), atol=0.26 / min(factor, 4))


def test_finer_pixels_are_interpolated() -> None:
    scene = PLAIN.at(2.5)
    assert scene.shape == (600, 920)
    window = Window(40, 40, 500, 500)
    np.testing.assert_allclose(scene.values(window)[0][:2], centres(scene, window), atol=2e-3)


@given(window=windows, factor=st.floats(0.3, 7))
@settings(deadline=None)
def test_windows_agree_where_they_overlap(window: Window, factor: float) -> None:
    scene = NOISE.at(10 * factor)
    h, w = scene.shape
    window = Window(window.col_off % w, window.row_off % h, window.width, window.height)
    part = scene.read(window)
    whole = scene.read(Window(0, 0, w, h))
    np.testing.assert_array_equal(part.pixels, whole.pixels[(slice(None), *part.window.toslices())])


def test_extent_and_centre_stay_at_any_resolution() -> None:
    for size in (3.3, 10, 47, 1000, 1e6):
        box = PLAIN.at(size).geobox.extent.boundingbox.bbox
        np.testing.assert_allclose(box, PLAIN.geobox.extent.boundingbox.bbox)


def test_resolution_in_metres_and_text() -> None:
    path = write(coordinates(), crs="EPSG:4326", transform=from_origin(10, 60, 1e-4, 1e-4))
    scene = open_scene(path, resolution="20 m")
    assert scene.resolution_m == pytest.approx(20, rel=0.01)
    assert open_scene(path).at(20, unit="m") == scene
    assert open_scene(path).at(2e-4) == open_scene(path, resolution=2e-4)
    mercator = open_scene(write(coordinates(), crs="EPSG:3857", transform=from_origin(0, 8_399_738, 10, 10)))
    assert mercator.resolution_m == pytest.approx(5, rel=0.01)  # at 60° north


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "fine", "10 km"])
def test_senseless_resolution_is_refused(bad: float | str) -> None:
    with pytest.raises(OptionError, match="resolution="):
        PLAIN.at(bad)


def test_overviews_serve_coarser_grids() -> None:
    marked = coordinates((1024, 1024))
    path = write(marked, tiled=True, blockxsize=256, blockysize=256)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.average)
    scene = open_scene(path)
    assert [scene.at(10 * factor)._level for factor in (0.5, 1, 1.9, 2, 3.9, 4, 9)] == [0, 0, 0, 1, 1, 2, 2]
    for factor in (2, 3, 4, 9):
        coarse = scene.at(10 * factor)
        h, w = coarse.shape
        everything = Window(0, 0, w, h)
        np.testing.assert_allclose(coarse.values(everything)[0][:2], centres(coarse, everything), atol=0.2)


# ---------------------------------------------------------------- areas of interest


def test_area_of_interest_crops_whole_pixels_and_masks() -> None:
    triangle = shapely.Polygon([(400_103, 4_999_892), (400_903, 4_999_892), (400_103, 4_999_292)])
    scene = open_scene(PLAIN.source, aoi=triangle)
    assert scene.crop == Window(10, 10, 81, 61)
    chip = scene.read(Window(0, 0, 81, 61))
    inside = shapely.contains_xy(triangle, *scene.frame.world_from_px(_all_centres(scene.shape)).T).reshape(61, 81)
    np.testing.assert_array_equal(chip.valid, inside)
    whole = PLAIN.read(Window(10, 10, 81, 61))
    np.testing.assert_array_equal(chip.pixels, whole.pixels)  # context stays, and the stretch is the whole scene's
    assert scene.stretch == PLAIN.stretch


def _all_centres(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.stack([x.ravel(), y.ravel()], axis=1)


@given(windows, st.integers(0, 99))
def test_pixels_of_an_area_are_those_whose_centre_lies_in_it(window: Window, seed: int) -> None:
    corners = shapely.points(np.random.default_rng(seed).uniform(0, 1, (12, 2)) * [230, 150])
    shape = shapely.union_all(shapely.buffer(corners, np.linspace(1, 30, 12), quad_segs=3))
    shape = shape.difference(shapely.buffer(corners[0], 12))  # holes and several parts
    scene = TURNED.within(TURNED.to_world(shape))
    chip = scene.read(Window(window.col_off % scene.shape[1], window.row_off % scene.shape[0], 50, 50))
    x, y = np.meshgrid(*(np.arange(n) + 0.5 for n in chip.valid.shape[::-1]))
    left, top = scene.crop.col_off + chip.window.col_off, scene.crop.row_off + chip.window.row_off
    np.testing.assert_array_equal(chip.valid, shapely.contains_xy(shape, x + left, y + top))


def test_crop_on_the_pixel_grid_adds_no_pixel() -> None:
    assert PLAIN.within(shapely.box(400_100, 4_999_500, 400_200, 4_999_900)).crop == Window(10, 10, 10, 40)


def test_crop_and_scale_commute() -> None:
    area = shapely.box(400_100, 4_999_100, 401_203, 4_999_900)
    assert PLAIN.within(area).at(33) == PLAIN.at(33).within(area)


def test_area_in_any_crs_and_any_container(tmp_path: Path) -> None:
    import geopandas

    area = geopandas.GeoSeries([shapely.box(400_300, 4_999_300, 400_800, 4_999_800)], crs=UTM)
    scene = PLAIN.within(area)
    lonlat = area.segmentize(5).to_crs(4326)
    lonlat.to_file(tmp_path / "area.geojson")
    for given_area in (lonlat, geopandas.GeoDataFrame(geometry=lonlat), tmp_path / "area.geojson"):
        other = open_scene(PLAIN.source, aoi=given_area)
        assert (other.crop.col_off, other.crop.row_off) == pytest.approx(
            (scene.crop.col_off, scene.crop.row_off), abs=1
        )
        assert shapely.hausdorff_distance(other.area, scene.area) < 0.2
    assert open_scene(PLAIN.source, aoi=lonlat[0], aoi_crs=4326).crop == other.crop


@pytest.mark.parametrize(
    ("area", "crs"),
    [
        (shapely.box(0, 0, 1, 1), UTM),
        (shapely.box(15, 45, 16, 46), "EPSG:4326"),
    ],
)
def test_area_off_the_scene_is_one_clear_error(area: shapely.Geometry, crs: str) -> None:
    with pytest.raises(SceneError, match="does not meet scene"):
        PLAIN.within(area, crs)


def test_area_of_points_is_one_clear_error() -> None:
    with pytest.raises(SceneError, match="points, which cover no area"):
        PLAIN.within(shapely.Point(400_500, 4_999_500), UTM)


def test_area_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"nothing\.gpkg does not exist"):
        PLAIN.within(tmp_path / "nothing.gpkg")


def test_has_data_knows_the_area() -> None:
    scene = PLAIN.within(shapely.MultiPolygon([shapely.box(400_000, 4_999_900, 400_100, 5_000_000),
                                               shapely.box(402_000, 4_998_500, 402_300, 4_998_600)]))  # fmt: skip
    assert scene.shape == SHAPE
    assert scene.has_data(Window(0, 0, 50, 50))
    assert not scene.has_data(Window(60, 0, 50, 50))
    assert not scene.read(Window(60, 0, 50, 50)).valid.any()


# ---------------------------------------------------------------- pixel and world

CRSS = ("EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:32632", "EPSG:27700")


@pytest.mark.parametrize("crs", CRSS)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_points_come_back_in_every_crs(scene: Scene, crs: str) -> None:
    px = _all_centres((20, 20)) * 7.3 - 20
    world = scene.to_world(shapely.points(px))
    move = Transformer.from_crs(UTM, crs, always_xy=True)
    there = shapely.points(np.stack(move.transform(*shapely.get_coordinates(world).T), axis=1))
    back = shapely.get_coordinates(scene.to_px(there, crs))
    np.testing.assert_allclose(back, px, atol=2e-4)


@cache
def wide_scene() -> Scene:
    """A hundred kilometres of 10 m pixels, on a few bytes of disk."""
    path = Path(mkdtemp()) / "wide.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 10_000, "width": 10_000, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(path, "w", transform=from_origin(300_000, 5_000_000, 10, 10), crs=UTM, **profile):
        pass
    return open_scene(path)


@pytest.mark.parametrize("crs", CRSS)
def test_boxes_follow_the_true_curve(crs: str) -> None:
    scene = wide_scene()
    move = Transformer.from_crs(UTM, crs, always_xy=True)
    x, y = move.transform(*scene.frame.world_from_px(np.array([[3000.0, 4000.0]]))[0])
    size = 1.0 if crs == "EPSG:4326" else 100_000.0
    box = shapely.box(x - size, y - size, x + size, y + size)
    fine = shapely.get_coordinates(scene.to_px(shapely.segmentize(box, size / 2000), crs)[0])
    few = scene.to_px(box, crs)[0]
    assert shapely.distance(few.exterior, shapely.points(fine)).max() < 0.1
    assert len(few.exterior.coords) < 3000


def test_lonlat_corners_alone_would_miss() -> None:
    """The observed failure that densifying is for."""
    scene = wide_scene()
    box = shapely.box(12.7, 44.2, 13.7, 45.1)
    corners = shapely.transform(box, lambda xy: np.stack(
        Transformer.from_crs(4326, UTM, always_xy=True).transform(*xy.T), axis=1))  # fmt: skip
    true = scene.to_px(box, 4326)[0]
    assert shapely.hausdorff_distance(scene.to_px(corners)[0], true) > 5


@pytest.mark.parametrize("crs", [4326, "EPSG:4326", "OGC:CRS84", CRS(4326)])
def test_longitude_comes_first_whatever_the_crs_says(crs: object) -> None:
    scene = open_scene(write(coordinates(), crs="EPSG:4326", transform=from_origin(10, 50, 0.01, 0.01)))
    assert scene.to_px(shapely.Point(10.5, 49.5), crs)[0].equals_exact(shapely.Point(50, 50), 1e-6)


@pytest.mark.parametrize("x0", [179.0, -181.0])
def test_scene_across_the_antimeridian(x0: float) -> None:
    scene = open_scene(write(coordinates((200, 200)), crs="EPSG:4326", transform=from_origin(x0, 10, 0.01, 0.01)))
    east, west = scene.to_px([shapely.Point(179.5, 9.5), shapely.Point(-179.5, 9.5)], 4326)
    assert east.equals_exact(shapely.Point(50, 50), 1e-6)
    assert west.equals_exact(shapely.Point(150, 50), 1e-6)
    split = shapely.MultiPolygon([shapely.box(179.5, 9, 180, 9.5), shapely.box(-180, 9, -179.5, 9.5)])
    whole = scene.to_px(split, 4326)[0]
    assert whole.is_valid
    assert whole.symmetric_difference(shapely.box(50, 50, 150, 100)).area < 1e-6
    utm = Transformer.from_crs(4326, 32660, always_xy=True)
    crossing = shapely.transform(shapely.box(179.5, 9, 180.5, 9.5), lambda xy: np.stack(utm.transform(*xy.T), axis=1))
    assert scene.to_px(crossing, 32660)[0].symmetric_difference(shapely.box(50, 50, 150, 100)).area < 50


def test_projected_scene_at_the_antimeridian() -> None:
    x, y = Transformer.from_crs(4326, 32660, always_xy=True).transform(180, 10)
    scene = open_scene(write(coordinates(), crs="EPSG:32660", transform=from_origin(x - 1000, y + 750, 10, 10)))
    pair = shapely.points([[180 - 1e-3, 10], [-180 + 1e-3, 10]])
    one, other = shapely.get_coordinates(scene.to_px(pair, 4326))
    np.testing.assert_allclose((one + other) / 2, [100, 75], atol=0.01)


def test_what_cannot_be_mapped_comes_out_empty_in_its_row() -> None:
    scene = open_scene(write(coordinates(), crs="EPSG:3857", transform=from_origin(0, 0, 10, 10)))
    geometries = [shapely.Point(0, 95), None, shapely.Point(0.001, -0.001), shapely.Point()]
    px = scene.to_px(geometries, 4326)
    assert [shape.is_empty for shape in px] == [True, True, False, True]


def test_a_polygon_larger_than_the_crs_is_kept_near_the_scene() -> None:
    world = shapely.box(-180, -90, 180, 90)
    for scene in (PLAIN, open_scene(write(coordinates(), crs="EPSG:3857", transform=from_origin(0, 6e6, 10, 10)))):
        assert scene.to_px(world, 4326)[0].contains(shapely.box(0, 0, 230, 150))
        assert scene.within(world, 4326).crop == scene.crop


def test_geometry_with_a_crs_on_a_scene_without() -> None:
    scene = _bare()
    assert scene.crs is None
    assert np.isnan(scene.resolution_m)
    assert scene.to_px(shapely.Point(3, 4))[0].equals(shapely.Point(3, 4))
    assert scene.to_world(shapely.Point(3, 4))[0].equals(shapely.Point(3, 4))
    with pytest.raises(SceneError, match="scene without a CRS"):
        scene.to_px(shapely.Point(3, 4), 4326)
    with pytest.raises(SceneError, match="no CRS"):
        scene.at(10, unit="m")
    assert scene.at(2).shape == (5, 10)
    with pytest.raises(OptionError, match="crs="):
        PLAIN.to_px(shapely.Point(3, 4), "EPSG:nonsense")


def _bare() -> Scene:
    from PIL import Image

    path = Path(mkdtemp()) / "photo.png"
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(path)
    return open_scene(path)


# ---------------------------------------------------------------- ground control points


def swath(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the pixels of a rotated swath, curved in lon/lat."""
    u = 400_000 + 10 * (x * np.cos(0.2) + y * np.sin(0.2))
    v = 7_600_000 - 10 * (y * np.cos(0.2) - x * np.sin(0.2))
    return Transformer.from_crs(UTM, 4326, always_xy=True).transform(u, v)


def swath_scene(n: int, shape: tuple[int, int] = (4000, 6000)) -> Scene:
    x, y = (side.ravel() for side in np.meshgrid(np.linspace(0, shape[1], n), np.linspace(0, shape[0], n)))
    points = [GroundControlPoint(row=r, col=c, x=lon, y=lat) for r, c, lon, lat in zip(y, x, *swath(x, y), strict=True)]
    path = Path(mkdtemp()) / "swath.tif"
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": shape[0],
        "width": shape[1],
        "dtype": "uint8",
        "sparse_ok": True,
    }
    with rasterio.open(path, "w", gcps=points, crs="EPSG:4326", **profile):
        pass
    return open_scene(path)


@pytest.mark.parametrize(("n", "accuracy"), [(4, 0.1), (5, 0.1), (11, 0.01)])
def test_control_points_are_accurate_and_invertible(n: int, accuracy: float) -> None:
    scene = swath_scene(n)
    px = np.random.default_rng(0).uniform(0, 1, (500, 2)) * [6000, 4000]
    lonlat = shapely.points(np.stack(swath(*px.T), axis=1))
    found = shapely.get_coordinates(scene.to_px(lonlat))
    assert np.linalg.norm(found - px, axis=1).max() < accuracy
    back = shapely.get_coordinates(scene.to_px(scene.to_world(shapely.points(px))))
    np.testing.assert_allclose(back, px, atol=1e-5)
    assert isinstance(scene.geobox, GCPGeoBox)
    assert scene.resolution_m == pytest.approx(10, rel=0.01)


def test_control_points_scale_and_crop() -> None:
    scene = swath_scene(11)
    half = scene.at(20, unit="m")
    assert half.shape == pytest.approx((2000, 3000), abs=2)
    world = scene.to_world(shapely.Point(1000, 600))
    assert half.to_px(world)[0].distance(shapely.Point(500, 300)) < 0.5
    part = scene.within(shapely.box(*scene.to_world(shapely.box(1000, 600, 1400, 900))[0].bounds))
    assert part.to_px(world)[0].distance(shapely.Point(1000 - part.crop.col_off, 600 - part.crop.row_off)) < 1e-4


def test_shared_borders_stay_shared_on_control_points() -> None:
    left, right = swath_scene(11).to_world([shapely.box(0, 0, 3000, 4000), shapely.box(3000, 0, 6000, 4000)])
    assert len(left.exterior.coords) > 6
    assert left.intersection(right).area == 0
    assert shapely.coverage_is_valid([left, right])


def test_control_points_across_the_antimeridian() -> None:
    points = [GroundControlPoint(row=r, col=c, x=(179 + c / 100 + 180) % 360 - 180, y=10 - r / 100)
              for r, c in itertools.product((0, 100, 200), (0, 90, 200))]  # fmt: skip
    path = Path(mkdtemp()) / "swath.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=200, width=200, dtype="uint8", gcps=points, crs=4326):
        pass
    scene = open_scene(path)
    px = shapely.get_coordinates(scene.to_px(shapely.points([[179.5, 9], [-179.5, 9]]), 4326))
    np.testing.assert_allclose(px, [[50, 100], [150, 100]], atol=1e-4)


def test_many_geometries_in_one_call_are_the_same_as_one_by_one() -> None:
    rng = np.random.default_rng(3)
    shapes: list[shapely.Geometry] = [
        shapely.Point(x, y).buffer(0.001, 2) for x, y in rng.uniform([13.7, 45.0], [13.9, 45.2], (50, 2))
    ]
    many = PLAIN.to_px(shapes, 4326)
    assert all(a.equals_exact(PLAIN.to_px(b, 4326)[0], 1e-9) for a, b in zip(many, shapes, strict=True))
