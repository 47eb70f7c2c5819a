"""What was seen to fail in other tools does not fail here, end to end, with networks that know the truth.

===================================================  =================================================================
seen elsewhere                                       here
===================================================  =================================================================
one lon/lat box crashes                              test_one_box_in_longitude_and_latitude_gives_its_object
a box in the raster's own CRS is not converted       test_a_box_in_the_scenes_own_crs_means_its_pixels
a partly-outside box is dropped                      test_a_box_partly_outside_is_clipped_and_gives_its_object
a point 10 km outside is passed on as a pixel        test_a_point_10_km_outside_is_reported_and_gives_nothing
boxes as an array are silently ignored               test_boxes_as_an_array_give_an_object_each
a polygon becomes its centroid                       test_a_polygon_in_c_shape_gives_the_c_and_not_its_centroid
a vector file's own CRS is not used                  test_a_vector_file_is_read_in_its_own_crs
an object over 3 tiles gets 3 ids                    test_an_object_over_three_windows_has_one_id
485 true objects give 509                            test_485_objects_in_many_windows_stay_485
touching objects fuse                                test_touching_objects_do_not_fuse
25 encoder passes where 9 suffice                    test_a_scene_of_2048_pixels_needs_9_passes
per-tile min-max                                     test_the_same_ground_has_the_same_values_in_every_window
every all-nodata tile is computed                    test_windows_without_data_are_not_encoded
nodata -9999 raises after all tiles are computed     test_nodata_minus_9999_is_no_data_and_the_labels_are_written
nodata 255 makes the mask invisible                  test_nodata_255_leaves_the_labels_visible
JPEG sources give lossy masks                        test_the_labels_of_a_jpeg_scene_are_the_polygons_exactly
``.tiff`` and ``.TIF`` lose their georeferencing     test_tiff_in_any_spelling_keeps_its_georeference
uint32 labels cannot be vectorized                   test_uint32_labels_become_polygons
more than 255 masks wrap to zero                     test_more_than_255_objects_keep_their_ids
a failed tile leaves a hole, reported nowhere        test_a_failed_window_ends_the_run_with_its_error_and_leaves_no_file
no object found raises IndexError                    test_no_object_found_is_an_empty_layer
a killed run leaves a raster that looks whole        test_a_run_killed_while_it_writes_leaves_no_raster
polygons simplified one by one leave gaps            test_simplified_polygons_leave_no_gap_and_no_overlap
one column, ``value``                                test_columns_say_what_an_object_is_and_where_it_comes_from
===================================================  =================================================================
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from geopandas import GeoDataFrame, GeoSeries, read_file
from rasterio.features import rasterize

import geosam
from geosam import Prompts
from geosam.errors import PromptError
from geosam.polygons import COLUMNS
from geosam.scene import Scene
from geosam.segmenter import Features
from geosam.sinks import read_metadata
from geosam.testing import (
    StubNetwork,
    TruthNetwork,
    coordinate_scene,
    label_scene,
    labels_to_pixels,
    parcel_labels,
)

SHAPE = (96, 144)
MODEL = TruthNetwork(side=80)
SMALL = {"overlap": 16, "spacing_px": 6}


class Watched(StubNetwork):
    """The stub, which keeps what it is shown and fails when it has seen `last` windows."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__(side=64, channels=2)
        object.__setattr__(self, "seen", [])
        object.__setattr__(self, "last", last)

    def encode(self, pixels: np.ndarray) -> Features:
        if len(self.seen) == self.last:
            raise RuntimeError("the network is out of order")
        self.seen.append(pixels)
        return super().encode(pixels)

    seen: list[np.ndarray]
    last: int | None


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A house at the left edge, a C, and a house between the arms of the C, at its centroid."""
    labels = np.zeros(SHAPE, np.int32)
    labels[20:40, :16] = 1
    labels[30:80, 70:118] = 2
    labels[40:70, 82:118] = 0
    labels[50:60, 90:105] = 3
    return labels


@pytest.fixture
def scene(tmp_path: Path, truth: np.ndarray) -> Scene:
    return geosam.open_scene(label_scene(tmp_path / "scene.tif", truth))


def drawn(table: GeoDataFrame, scene: Scene) -> np.ndarray:
    """The polygons as labels on the scene's grid."""
    shapes = zip(scene.to_px(table.geometry), table["object_id"].tolist(), strict=True)
    return rasterize(shapes, out_shape=scene.shape, dtype="int32")


def found(scene: Scene, prompts: object = None, **options: object) -> np.ndarray:
    """The labels of what is found."""
    return drawn(geosam.segment(scene, prompts, model=MODEL, **SMALL | options), scene)


def world(scene: Scene, *box_px: float) -> tuple[float, ...]:
    """Bounds in the scene's CRS."""
    return scene.to_world(np.array([shapely.box(*box_px)]))[0].bounds


def test_the_table_above_names_every_test():
    named = re.findall(r"\btest_\w+", __doc__ or "")
    there = [name for name in globals() if name.startswith("test_") and name != "test_the_table_above_names_every_test"]
    assert named == there


# ----------------------------------------------------------------------------------------------------------- prompts


def test_one_box_in_longitude_and_latitude_gives_its_object(scene: Scene, truth: np.ndarray):
    lonlat = GeoSeries([shapely.box(*world(scene, 0, 20, 16, 40))], crs=scene.crs).to_crs(4326)[0].bounds
    box = Prompts.from_boxes(lonlat, scene, crs="EPSG:4326")
    np.testing.assert_array_equal(found(scene, box), truth == 1)


def test_a_box_in_the_scenes_own_crs_means_its_pixels(scene: Scene, truth: np.ndarray):
    box = Prompts.from_boxes(world(scene, 70, 30, 118, 80), scene)
    np.testing.assert_array_equal(found(scene, box), truth == 2)


def test_a_box_partly_outside_is_clipped_and_gives_its_object(scene: Scene, truth: np.ndarray):
    box = Prompts.from_boxes(world(scene, -50, 20, 16, 40), scene)
    np.testing.assert_array_equal(found(scene, box), truth == 1)


def test_a_point_10_km_outside_is_reported_and_gives_nothing(scene: Scene):
    x, y, *_ = world(scene, 0, 0, 1, 1)
    table = geosam.segment(scene, Prompts.from_points([[x - 10_000, y]], scene, crs=scene.crs), model=MODEL)
    assert table.empty
    ((prompt, reason),) = table.attrs["skipped"]
    assert prompt == 0
    assert "10.0 km" in reason


def test_boxes_as_an_array_give_an_object_each(scene: Scene, truth: np.ndarray):
    boxes = np.array([world(scene, 0, 20, 16, 40), world(scene, 90, 50, 105, 60)])
    np.testing.assert_array_equal(
        found(scene, Prompts.from_boxes(boxes, scene)), np.select([truth == 1, truth == 3], [1, 2])
    )
    with pytest.raises(PromptError, match=r"masks of shape \(2, 4\)"):  # where the numbers might mean anything
        geosam.segment(scene, boxes, model=MODEL)


def test_a_polygon_in_c_shape_gives_the_c_and_not_its_centroid(scene: Scene, truth: np.ndarray):
    c = shapely.box(70, 30, 118, 80) - shapely.box(82, 40, 118, 70)
    outline = GeoSeries(scene.to_world(np.array([c])), crs=scene.crs)
    assert not c.contains(c.centroid)
    np.testing.assert_array_equal(found(scene, outline), truth == 2)


def test_a_vector_file_is_read_in_its_own_crs(scene: Scene, truth: np.ndarray, tmp_path: Path):
    house = GeoSeries(scene.to_world(np.array([shapely.Point(8, 30)])), crs=scene.crs)
    house.to_crs(3035).to_file(tmp_path / "house.gpkg")
    np.testing.assert_array_equal(found(scene, tmp_path / "house.gpkg"), truth == 1)


# ------------------------------------------------------------------------------------------------------------- tiles


def test_an_object_over_three_windows_has_one_id(tmp_path: Path):
    road = np.zeros((64, 180), np.int32)
    road[20:40, 5:170] = 1
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", road))
    (row,) = geosam.segment(scene, model=MODEL, **SMALL).itertuples()
    assert row.n_windows == 3
    np.testing.assert_array_equal(found(scene), road)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Path]:
    """485 houses in streets that no window's edge respects, and the folder with what is found of them."""
    folder = tmp_path_factory.mktemp("many")
    rows, cols = np.divmod(np.arange(485), 25)
    truth = np.zeros((240, 300), np.int32)
    for label, (row, col) in enumerate(zip(rows * 12, cols * 12, strict=True), 1):
        truth[row + 2 : row + 10, col + 1 : col + 9] = label
    path = label_scene(folder / "scene.tif", truth)
    geosam.segment_to_file(path, folder / "out.gpkg", labels=folder / "out.tif", model=TruthNetwork(side=100), **SMALL)
    return truth, folder


def test_485_objects_in_many_windows_stay_485(many: tuple[np.ndarray, Path]):
    truth, folder = many
    table = read_file(folder / "out.gpkg", layer="out")
    assert len(table) == 485
    assert table["n_windows"].max() > 1
    np.testing.assert_array_equal(drawn(table, geosam.open_scene(folder / "scene.tif")) > 0, truth > 0)


def test_touching_objects_do_not_fuse(tmp_path: Path):
    parcels = parcel_labels(SHAPE, count=9, seed=5)
    labels = found(geosam.open_scene(label_scene(tmp_path / "scene.tif", parcels)))
    assert len(np.unique(np.stack([labels, parcels]).reshape(2, -1), axis=1).T) == 9


def test_a_scene_of_2048_pixels_needs_9_passes(tmp_path: Path):
    path = coordinate_scene(tmp_path / "scene.tif", (2048, 2048))
    assert geosam.encode(path, model=StubNetwork(side=1024, channels=2), store=None).encoded == 9


def test_the_same_ground_has_the_same_values_in_every_window(tmp_path: Path):
    ramp = np.broadcast_to(np.linspace(300, 9000, 256).astype(np.uint16), (1, 64, 256))
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": 64, "width": 256, "crs": "EPSG:32631"}
    with rasterio.open(
        tmp_path / "ramp.tif", "w", **profile, transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)
    ) as target:
        target.write(ramp)
    network = Watched()
    geosam.encode(tmp_path / "ramp.tif", model=network, store=None, overlap=32)
    assert len(network.seen) == 7
    for left, right in zip(network.seen, network.seen[1:], strict=False):
        np.testing.assert_array_equal(left[:, :, 32:], right[:, :, :32])
    assert all(np.ptp(pixels) < 128 for pixels in network.seen)  # stretched each by itself it would be 255


def test_windows_without_data_are_not_encoded(tmp_path: Path, truth: np.ndarray):
    valid = np.zeros(SHAPE, bool)
    valid[:, :40] = True
    path, network = label_scene(tmp_path / "scene.tif", truth, valid=valid), Watched()
    report = geosam.segment_to_file(path, tmp_path / "out.gpkg", model=network, **SMALL)
    assert len(network.seen) == report.encoded == 2
    assert report.empty == report.windows - 2 == 4


# ------------------------------------------------------------------------------------------------------------- files


def scene_with_nodata(path: Path, truth: np.ndarray, nodata: float, dtype: str) -> Scene:
    """The colours of `truth` in another type; the right third has no data."""
    pixels = labels_to_pixels(truth).astype(dtype)
    pixels[:, :, 100:] = nodata
    profile = {"driver": "GTiff", "count": 3, "dtype": dtype, "height": truth.shape[0], "width": truth.shape[1]}
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(path, "w", **profile, **place, nodata=nodata) as target:
        target.write(pixels)
    return geosam.open_scene(path, stretch=(0, 255))


@pytest.mark.parametrize(("nodata", "dtype"), [(-9999, "int16"), (-9999, "float32")])
def test_nodata_minus_9999_is_no_data_and_the_labels_are_written(
    tmp_path: Path, truth: np.ndarray, nodata: float, dtype: str
):
    scene = scene_with_nodata(tmp_path / "scene.tif", truth, nodata, dtype)
    assert_labels_show(scene, tmp_path, np.where(np.arange(SHAPE[1]) < 100, truth, 0) > 0)


def test_nodata_255_leaves_the_labels_visible(tmp_path: Path, truth: np.ndarray):
    scene = scene_with_nodata(tmp_path / "scene.tif", truth, 255, "uint8")
    assert_labels_show(scene, tmp_path, np.where(np.arange(SHAPE[1]) < 100, truth, 0) > 0)


def assert_labels_show(scene: Scene, folder: Path, wanted: np.ndarray) -> None:
    """The label raster shows exactly the wanted pixels, and its polygons are the same."""
    geosam.segment_to_file(scene, folder / "out.gpkg", labels=folder / "out.tif", model=MODEL, **SMALL)
    with rasterio.open(folder / "out.tif") as labels:
        np.testing.assert_array_equal(labels.read_masks(1) > 0, wanted)
        np.testing.assert_array_equal(labels.read(1), drawn(read_file(folder / "out.gpkg", layer="out"), scene))


def test_the_labels_of_a_jpeg_scene_are_the_polygons_exactly(tmp_path: Path):
    with rasterio.open(coordinate_scene(tmp_path / "exact.tif", (200, 200))) as source:
        profile = source.profile | {"compress": "jpeg", "photometric": "ycbcr"}
        profile.pop("zstd_level", None)
        with rasterio.open(tmp_path / "scene.tif", "w", **profile) as target:
            target.write(source.read())
    scene = geosam.open_scene(tmp_path / "scene.tif")
    geosam.segment_to_file(
        scene, tmp_path / "out.gpkg", labels=tmp_path / "out.tif", model=StubNetwork(side=256, channels=2)
    )
    table = read_file(tmp_path / "out.gpkg", layer="out")
    with rasterio.open(tmp_path / "out.tif") as labels:
        assert labels.compression.name == "deflate"
        np.testing.assert_array_equal(labels.read(1), drawn(table, scene))
    assert len(table) > 1


@pytest.mark.parametrize("suffix", ["tif", "tiff", "TIF", "TIFF"])
def test_tiff_in_any_spelling_keeps_its_georeference(tmp_path: Path, truth: np.ndarray, suffix: str):
    path = label_scene(tmp_path / f"scene.{suffix}", truth)
    geosam.segment_to_file(path, tmp_path / "out.gpkg", labels=tmp_path / f"labels.{suffix}", model=MODEL, **SMALL)
    with rasterio.open(tmp_path / f"labels.{suffix}") as labels, rasterio.open(path) as scene:
        assert (labels.crs, labels.transform, labels.shape) == (scene.crs, scene.transform, scene.shape)
        assert labels.read(1).max() == 3


def test_uint32_labels_become_polygons(scene: Scene, truth: np.ndarray, tmp_path: Path):
    ids = np.array([0, 70_000, 2**24 + 1, 2**31 - 1], np.uint32)
    with rasterio.open(scene.source) as source:
        profile = source.profile | {"count": 1, "dtype": "uint32"}
        profile.pop("photometric", None)
    with rasterio.open(tmp_path / "old.tif", "w", **profile) as target:
        target.write(ids[truth], 1)
    table = geosam.segment(scene, tmp_path / "old.tif", model=MODEL, **SMALL)
    assert table["prompt_id"].tolist() == ids[1:].tolist()
    np.testing.assert_array_equal(drawn(table, scene), truth)


def test_more_than_255_objects_keep_their_ids(many: tuple[np.ndarray, Path]):
    truth, folder = many
    with rasterio.open(folder / "out.tif") as raster:
        labels = raster.read(1)
    pairs = np.unique(np.stack([labels, truth]).reshape(2, -1), axis=1)
    np.testing.assert_array_equal(np.sort(pairs[0]), np.arange(486))
    np.testing.assert_array_equal(np.sort(pairs[1]), np.arange(486))


# ------------------------------------------------------------------------------------------------------------ errors


def test_a_failed_window_ends_the_run_with_its_error_and_leaves_no_file(scene: Scene, tmp_path: Path):
    outputs = {"output": tmp_path / "out.gpkg", "labels": tmp_path / "out.tif"}
    with pytest.raises(RuntimeError, match="out of order"):
        geosam.segment_to_file(scene, **outputs, model=Watched(last=3), **SMALL)
    assert not any(path.exists() for path in outputs.values())
    assert geosam.segment_to_file(scene, **outputs, model=Watched(), **SMALL).resumed == 3


def test_no_object_found_is_an_empty_layer(tmp_path: Path):
    path = label_scene(tmp_path / "scene.tif", np.zeros(SHAPE, np.int32))
    clicks = Prompts.from_points([[20, 20]], geosam.open_scene(path), crs="px")
    for prompts in (None, clicks):
        table = geosam.segment(path, prompts, model=MODEL, **SMALL)
        report = geosam.segment_to_file(path, tmp_path / "out.gpkg", prompts, model=MODEL, **SMALL)
        assert len(table) == report.objects == len(read_file(tmp_path / "out.gpkg", layer="out")) == 0
        assert table.crs == geosam.open_scene(path).crs
        assert set(COLUMNS) <= set(table.columns)


KILLED = """
import os, signal, sys, geosam
from geosam.sinks import LabelSink
from geosam.testing import TruthNetwork

write = LabelSink.write

def die(self, row_off, labels):
    write(self, row_off, labels)
    os.kill(os.getpid(), signal.SIGKILL)

LabelSink.write = die
geosam.segment_to_file(*sys.argv[1:3], labels=sys.argv[3], model=TruthNetwork(side=80), overlap=16, spacing_px=6)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_run_killed_while_it_writes_leaves_no_raster(scene: Scene, truth: np.ndarray, tmp_path: Path):
    out, labels = tmp_path / "out.gpkg", tmp_path / "out.tif"
    words = [sys.executable, "-c", KILLED, scene.source, str(out), str(labels)]
    killed = subprocess.run(words, check=False, timeout=600)
    assert killed.returncode == -signal.SIGKILL
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path.name != "scene.tif")
    report = geosam.segment_to_file(scene, out, labels=labels, model=MODEL, **SMALL)
    assert report.resumed == report.windows
    with rasterio.open(labels) as raster:
        np.testing.assert_array_equal(raster.read(1) > 0, truth > 0)
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "out.gpkg", "out.tif"}


# ---------------------------------------------------------------------------------------------------------- polygons


def test_simplified_polygons_leave_no_gap_and_no_overlap(tmp_path: Path):
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", parcel_labels(SHAPE, count=12, seed=1)))
    table = geosam.segment(scene, model=MODEL, simplify=1.5, **SMALL)
    exact = geosam.segment(scene, model=MODEL, **SMALL)
    assert shapely.get_num_coordinates(table.geometry).sum() < shapely.get_num_coordinates(exact.geometry).sum() / 2
    whole = SHAPE[0] * SHAPE[1] / 4
    assert table.geometry.union_all().area == pytest.approx(whole, abs=1e-6)
    assert table.geometry.area.sum() == pytest.approx(whole, abs=1e-6)


def test_columns_say_what_an_object_is_and_where_it_comes_from(scene: Scene, tmp_path: Path):
    houses = GeoDataFrame(
        {"owner": ["Ada"]}, geometry=scene.to_world(np.array([shapely.Point(8, 30)])), crs=scene.crs
    ).set_index([[7]])
    geosam.segment_to_file(scene, tmp_path / "out.gpkg", houses, model=MODEL, **SMALL)
    table = read_file(tmp_path / "out.gpkg", layer="out")
    assert set(table.columns) == {*COLUMNS, "owner", "geometry"}
    (row,) = table.itertuples()
    assert (row.object_id, row.scene, row.prompt_id, row.owner, row.model) == (1, "scene", 7, "Ada", "truth")
    assert (row.score, row.predicted_iou, row.stability) == (1, 1, 1)
    assert row.area_m2 == pytest.approx(16 * 20 / 4, rel=2e-3)
    assert (row.touches_edge, row.touches_nodata, row.n_windows) == (True, False, 1)
    assert read_metadata(tmp_path / "out.gpkg")["model_key"] == "truth"
