"""Regions of whole scenes: the same whatever the windows, kept when asked, refused when they are none."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.errors import OptionError
from geosam.recognition import Describer, Encoder, load_backbone, names
from geosam.recognition.layers import overlap_free
from geosam.scene import open_scene
from geosam.store import EmbeddingStore
from geosam.training.world import render

SIDE = 300


def write_scene(path, pixels, nodata=None):
    how = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "nodata": nodata}
    place = rasterio.Affine(0.5, 0, 500000, 0, -0.5, 5500000)
    with rasterio.open(path, "w", width=pixels.shape[2], height=pixels.shape[1], transform=place, **how) as file:
        file.write(pixels)
    return path


DEEP = [number for number, name in enumerate(names()) if name.startswith("s")]
LOOKS = [number for number, name in enumerate(names()) if not name.startswith("s")]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_scene(write_scene(tmp_path_factory.mktemp("scene") / "town.tif", render(5, SIDE, theme="town").pixels))


@pytest.fixture(scope="module")
def regions():
    """Squares that tile the scene, larger ones over them, one that holds no pixel's centre, one outside, and none."""
    x, y = np.meshgrid(np.arange(0, SIDE, 50), np.arange(0, SIDE, 50))
    tiles = shapely.box(x.ravel(), y.ravel(), x.ravel() + 50, y.ravel() + 50)
    over = [shapely.box(30, 30, 170, 110), shapely.Point(150, 150).buffer(90), shapely.box(77.6, 8.6, 77.9, 8.9)]
    return np.array([*tiles, *over, shapely.box(-90, -90, -50, -50), shapely.Polygon()], object)


def in_world(scene, regions):
    return geopandas.GeoSeries(scene.to_world(regions), crs=scene.crs)


@pytest.fixture(scope="module")
def whole(scene, regions):
    return Describer(load_backbone("float32")).describe(in_world(scene, regions), scene)


@pytest.mark.parametrize(("window", "overlap"), [(160, 64), (96, 17)])
def test_colour_texture_and_shape_do_not_depend_on_windows(scene, regions, whole, window, overlap):
    parts = Describer(load_backbone("float32"), window=window, overlap=overlap).describe(
        in_world(scene, regions), scene
    )
    assert np.array_equal(parts.area_px, whole.area_px)
    assert np.array_equal(parts.values[:, LOOKS], whole.values[:, LOOKS]), "to the last bit"


def test_deep_features_hardly_depend_on_windows(scene, regions, whole):
    parts = Describer(load_backbone("float32"), window=256, overlap=160).describe(in_world(scene, regions), scene)
    off = (parts.values[:36, DEEP] - whole.values[:36, DEEP]).std(0) / whole.values[:36, DEEP].std(0)
    assert np.median(off) < 0.3, "windows of 256 px, the edges of which all regions are near"


def test_a_region_is_described_alike_whoever_else_is_asked_for(scene, regions, whole):
    some = np.array([40 - 3, 7, 12, 36])
    alone = Describer(load_backbone("float32")).describe(in_world(scene, regions[some]), scene)
    assert np.array_equal(alone.values, whole.values[some])


def test_areas_are_those_of_the_polygons(regions, whole):
    assert whole.area_px[:36].tolist() == [2500] * 36
    assert whole.area_px[36] == 140 * 80
    assert whole.area_px[38] == 1, "one that holds no pixel's centre is the pixel it lies in"
    assert whole.area_px[39:].tolist() == [0, 0]
    assert not whole.values[39:].any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 6)] * 2), min_size=1, max_size=12))
def test_no_two_polygons_of_a_layer_overlap(boxes):
    geometries = np.array([shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes], object)
    layer = overlap_free(geometries)
    for number in range(int(layer.max()) + 1):
        of_it = geometries[layer == number]
        assert len(of_it)
        assert shapely.union_all(of_it).area == pytest.approx(shapely.area(of_it).sum())


def test_nodata_does_not_count(tmp_path):
    pixels = render(3, 64).pixels
    pixels[:, :, :20] = 0
    scene = open_scene(write_scene(tmp_path / "collar.tif", pixels, nodata=0))
    found = Describer(load_backbone("float32")).describe(in_world(scene, np.array([shapely.box(0, 0, 64, 64)])), scene)
    assert found.area_px[0] <= 64 * 44


def test_what_is_kept_is_not_encoded_again(tmp_path, scene, regions, whole):
    class Counting(Encoder):
        def __init__(self) -> None:
            self.encoder, self.count = load_backbone("float32"), 0
            self.key = self.encoder.key

        def encode(self, pixels):
            self.count += 1
            return self.encoder.encode(pixels)

    counting, store = Counting(), EmbeddingStore(tmp_path)
    first = Describer(counting, store).describe(in_world(scene, regions), scene)
    again = Describer(counting, store).describe(in_world(scene, regions), scene)
    others = Describer(counting, store).describe(in_world(scene, regions[:9]), scene)
    assert counting.count == 1
    assert np.array_equal(first.values, whole.values)
    assert np.array_equal(again.values, whole.values)
    assert np.array_equal(others.values, whole.values[:9])


def test_points_and_lines_are_no_regions(scene):
    with pytest.raises(OptionError, match="a buffer around"):
        Describer(load_backbone("float32")).describe(in_world(scene, np.array([shapely.Point(3, 3)])), scene)
