"""Features of segments: right, and the same however the scene is read."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geosam.errors import OptionError
from geosam.features import RECOGNITION, FeatureOptions, measure_features
from geosam.features.burning import Burner
from geosam.features.roles import band_roles
from geosam.polygons import polygonize
from geosam.recognition import Encoder
from geosam.scene import open_scene
from geosam.store import EmbeddingStore
from geosam.testing import parcel_labels

GRID = GeoBox((96, 120), rasterio.Affine(2, 0, 500000, 0, -2, 5000000), "EPSG:32633")
COLOURS = ("blue", "green", "red", "nir")


def write(path, values, *, nodata=None, descriptions=COLOURS):
    bands, h, w = values.shape
    profile = {"count": bands, "height": h, "width": w, "dtype": values.dtype, "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", transform=GRID.affine, **profile) as file:
        file.write(values)
        file.descriptions = descriptions[:bands]
    return open_scene(str(path), stretch="minmax")


@pytest.fixture(scope="module")
def labels():
    return parcel_labels((96, 120), count=30, seed=3)


@pytest.fixture(scope="module")
def values(labels):
    rng = np.random.default_rng(5)
    own = rng.integers(100, 3000, (4, labels.max() + 1))
    return (own[:, labels] + rng.integers(0, 60, (4, *labels.shape))).astype(np.uint16)


@pytest.fixture(scope="module")
def scene(values, tmp_path_factory):
    return write(tmp_path_factory.mktemp("features") / "scene.tif", values)


@pytest.fixture(scope="module")
def segments(labels, scene):
    ids, shapes = next(iter(polygonize([(0, labels)])))
    return gpd.GeoDataFrame({"object_id": ids}, geometry=scene.to_world(shapes), crs=scene.crs)


@pytest.fixture(scope="module")
def table(segments, scene):
    return measure_features(segments, scene)


def test_means_and_deviations_are_those_of_the_pixels(table, segments, labels, values):
    for row, label in enumerate(segments.object_id):
        inside = values[:, labels == label].astype(float)
        means = [table[f"{name}_mean"].iloc[row] for name in COLOURS]
        assert means == pytest.approx(inside.mean(axis=1))
        assert [table[f"{name}_std"].iloc[row] for name in COLOURS] == pytest.approx(inside.std(axis=1), abs=1e-6)


def test_quantiles_are_right_to_a_level(table, segments, labels, values):
    step = (values[3].max() - values[3].min()) / 256
    for row, label in enumerate(segments.object_id):
        inside = np.sort(values[3][labels == label])
        at = [inside[max(int(np.ceil(share * len(inside))) - 1, 0)] for share in (0.1, 0.5, 0.9)]
        assert [table[f"nir_q{q}"].iloc[row] for q in (10, 50, 90)] == pytest.approx(at, abs=step)


def test_quantiles_of_bytes_are_exact(tmp_path, labels, segments):
    picture = np.random.default_rng(1).integers(0, 256, (3, *labels.shape)).astype(np.uint8)
    table = measure_features(segments, write(tmp_path / "rgb.tif", picture))
    medians = [
        np.sort(picture[0][labels == k])[(np.count_nonzero(labels == k) + 1) // 2 - 1] for k in segments.object_id
    ]
    assert table.blue_q50.tolist() == medians


def test_indices_where_bands_allow(table, segments, labels, values):
    _, _, red, nir = values.astype(float)
    inside = labels == segments.object_id[0]
    assert table.ndvi_mean.iloc[0] == pytest.approx(((nir - red) / (nir + red))[inside].mean())
    assert {"ndwi_mean", "grvi_mean", "bgri_q50"} <= set(table.columns)
    assert not any(name.startswith("ndbi") for name in table.columns)


@pytest.mark.parametrize("rows", [1, 2, 7, 50, 96])
def test_values_are_the_same_however_the_scene_is_read(table, segments, scene, rows):
    other = measure_features(segments, scene, FeatureOptions(strip_rows=rows))
    pd.testing.assert_frame_equal(table, other, check_exact=True)


@settings(max_examples=10, deadline=None)
@given(st.randoms())
def test_the_order_of_segments_plays_no_part(table, segments, scene, random):
    order = list(range(len(segments)))
    random.shuffle(order)
    shuffled = measure_features(segments.iloc[order], scene)
    pd.testing.assert_frame_equal(table, shuffled.sort_index(), check_exact=False, rtol=1e-12)


def test_segments_in_another_crs_are_measured_alike(table, segments, scene):
    there = measure_features(segments.to_crs(4326), scene)
    assert there.nir_mean.to_numpy() == pytest.approx(table.nir_mean.to_numpy(), rel=0.05)


def test_pixels_without_data_do_not_count(tmp_path, segments, labels, values):
    holed = values.copy()
    holed[:, labels == segments.object_id[0]] = 0
    holed[:, 40:44] = 0
    table = measure_features(segments, write(tmp_path / "holed.tif", holed, nodata=0))
    assert np.isnan(table.red_mean.iloc[0])
    row = 5
    inside = (labels == segments.object_id[row]) & (holed > 0).all(axis=0)
    assert table.green_mean.iloc[row] == pytest.approx(values[1][inside].mean())


def test_neighbours_and_what_lies_beside(tmp_path):
    values = np.zeros((1, 96, 120), np.uint8)
    values[:, :, 60:] = 100
    scene = write(tmp_path / "two.tif", values)
    halves = scene.to_world([shapely.box(0, 0, 60, 96), shapely.box(60, 0, 120, 96)])
    table = measure_features(halves, scene)
    assert table.neighbours.tolist() == [1, 1]
    assert table.blue_beside.tolist() == [-100, 100]
    assert table.edge_1.tolist() == [0, 0]


def test_where_segments_overlap_the_smallest_counts():
    shapes = np.array([shapely.box(0, 0, 10, 10), shapely.box(2, 2, 4, 4)])
    (_, labels), *_ = Burner(shapes, (10, 10)).strips()
    (_, other), *_ = Burner(shapes[::-1], (10, 10)).strips()
    assert (labels == 2).sum() == (other == 1).sum() == 4


def test_texture_tells_a_pattern_from_a_plain(tmp_path):
    values = np.full((1, 96, 120), 100, np.uint8)
    values[:, ::2, :60] = 140
    values[:, 0, 119] = 200
    scene = write(tmp_path / "pattern.tif", values)
    table = measure_features(scene.to_world([shapely.box(0, 0, 60, 96), shapely.box(60, 0, 120, 96)]), scene)
    assert table.edge_1[0] > 10 * table.edge_1[1]
    assert table.likeness_1[0] < table.likeness_1[1]


def test_roles_come_from_the_user_the_description_or_the_colour(scene):
    assert list(band_roles(scene).values()) == list(COLOURS)
    assert list(band_roles(scene, "red,-,nir,swir1").values()) == ["red", "band_2", "nir", "swir1"]


@pytest.mark.parametrize("given_roles", ["red", "red,red,green,blue", "red,green,blue,yellow"])
def test_roles_that_do_not_fit_are_refused(scene, given_roles):
    with pytest.raises(OptionError):
        band_roles(scene, given_roles)


@pytest.mark.parametrize("shapes", [[], [shapely.Point(500010, 4999990)]])
def test_what_are_no_segments_is_refused(scene, shapes):
    with pytest.raises(OptionError):
        measure_features(np.array(shapes, object), scene)


def test_what_the_recognition_network_sees_comes_on_request(table, segments, scene):
    seen = measure_features(segments, scene, FeatureOptions(recognition=True))
    more = [name for name in seen.columns if name not in table.columns]
    assert len(more) == 24 + 40 + 112
    assert all(name.startswith(RECOGNITION) for name in more)
    assert np.isfinite(seen.to_numpy()).all()
    pd.testing.assert_frame_equal(seen[list(table.columns)], table, check_exact=True)


def test_what_a_store_holds_is_not_encoded_again(segments, scene, tmp_path, monkeypatch):
    encode, windows = Encoder.encode, []
    monkeypatch.setattr(Encoder, "encode", lambda self, pixels: windows.append(pixels.shape) or encode(self, pixels))
    options, store = FeatureOptions(recognition=True), EmbeddingStore(tmp_path)
    alone = measure_features(segments, scene, options)
    first = measure_features(segments, scene, options, store=store)
    assert len(windows) == 2
    again = measure_features(segments, scene, options, store=store)
    fewer = measure_features(segments.iloc[:7], scene, options, store=store)
    assert len(windows) == 2
    pd.testing.assert_frame_equal(first, alone)
    pd.testing.assert_frame_equal(again, alone)
    seen = [name for name in alone if name.startswith(RECOGNITION)]
    pd.testing.assert_frame_equal(fewer[seen], alone[seen].iloc[:7])
