"""Label rasters: a valid cloud-optimized GeoTIFF of the scene's grid, whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.gcp import GCPGeoBox, GCPMapping
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam import open_scene, sinks
from geosam.errors import SinkError
from geosam.testing import coordinate_scene

UTM = Affine(2, 0, 500_000, 0, -2, 5_000_000)
GRID = GeoBox((300, 200), UTM, "EPSG:32633")


def write(path: Path, labels: np.ndarray, grid: GeoBox | GCPGeoBox = GRID, rows: int = 128) -> Path:
    with sinks.LabelSink(path, grid) as sink:
        for row_off in range(0, len(labels), rows):
            sink.write(row_off, labels[row_off : row_off + rows])
    return path


def random_labels(shape: tuple[int, int] = (300, 200)) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 70_000, shape, dtype=np.int32)


@given(rows=st.integers(1, 400))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_come_back_whatever_the_strips(tmp_path: Path, rows: int):
    labels = random_labels()
    with rasterio.open(write(tmp_path / "labels.tif", labels, rows=rows)) as back:
        assert (back.read(1) == labels).all()
        assert back.dtypes == ("int32",)
        assert back.nodata == 0
        assert back.crs.to_epsg() == 32633
        assert back.transform == UTM
    assert os.listdir(tmp_path) == ["labels.tif"]


def test_more_labels_than_fit_16_bits_stay_apart(tmp_path: Path):
    labels = np.arange(1, 300 * 200 * 400, 400, dtype=np.int32).reshape(300, 200)
    with rasterio.open(write(tmp_path / "labels.tif", labels)) as back:
        assert (back.read(1) == labels).all()


@pytest.mark.parametrize("name", ["labels.tif", "labels.tiff", "labels.TIF", "Labels.TIFF"])
def test_every_spelling_of_tif_keeps_the_georeference(tmp_path: Path, name: str):
    with rasterio.open(write(tmp_path / name, random_labels())) as back:
        assert back.transform == UTM
        assert back.crs.to_epsg() == 32633


def test_it_is_a_cloud_optimized_lossless_file(tmp_path: Path):
    grid = GeoBox((1500, 1100), UTM, "EPSG:32633")
    with rasterio.open(write(tmp_path / "labels.tif", random_labels((1500, 1100)), grid)) as back:
        structure = back.tags(ns="IMAGE_STRUCTURE")
        assert structure["LAYOUT"] == "COG"
        assert structure["COMPRESSION"] == "DEFLATE"
        assert back.block_shapes == [(512, 512)]
        assert back.overviews(1) == [2, 4]


def test_an_overview_pixel_is_the_most_frequent_label_with_none_counted(tmp_path: Path):
    labels = np.zeros((1024, 1024), np.int32)
    labels[::4, ::4] = 7  # one pixel of 16: no object at a quarter of the size
    labels[512:, 512:] = 9
    labels[513::4, 512::4] = 70_001
    grid = GeoBox((1024, 1024), UTM, "EPSG:32633")
    path = write(tmp_path / "labels.tif", labels, grid)
    with rasterio.open(path) as back:
        half = back.read(1, out_shape=(512, 512))
    assert set(np.unique(half)) <= {0, 7, 9, 70_001}
    assert (half[256:, 256:] == 9).mean() == 1
    assert (half[:256] == 7).mean() <= 0.0
    with rasterio.open(path, overview_level=0) as level:
        assert (level.read(1) == half).all()


def test_a_rotated_grid_keeps_its_rotation(tmp_path: Path):
    turned = Affine(1.7, 1.0, 500_000, 1.0, -1.7, 5_000_000)
    with rasterio.open(
        write(tmp_path / "labels.tif", random_labels(), GeoBox((300, 200), turned, "EPSG:32633"))
    ) as back:
        assert back.transform.almost_equals(turned)


def test_a_custom_crs_keeps_its_parameters(tmp_path: Path):
    crs = "+proj=laea +lat_0=12.5 +lon_0=33.25 +x_0=500 +y_0=700 +ellps=bessel +units=m +type=crs"
    with rasterio.open(write(tmp_path / "labels.tif", random_labels(), GeoBox((300, 200), UTM, crs))) as back:
        assert back.crs.to_dict()["lat_0"] == 12.5
        assert back.crs.to_dict()["ellps"] == "bessel"


@pytest.mark.filterwarnings("error")
def test_a_grid_without_a_crs(tmp_path: Path):
    path = write(tmp_path / "placed.tif", random_labels(), GeoBox((300, 200), UTM, None))
    with rasterio.open(path) as back:
        assert back.crs is None
        assert back.transform == UTM
    path = write(tmp_path / "pixels.tif", random_labels(), GeoBox((300, 200), Affine.identity(), None))
    with rasterio.open(path) as back:
        assert back.crs is None
        assert (back.read(1) == random_labels()).all()


def test_control_points_are_kept_also_of_a_part(tmp_path: Path):
    pixels = np.array([[x, y] for y in (0.0, 400.0, 800.0) for x in (0.0, 300.0, 700.0)])
    world = np.array([10.0, 50.0]) + pixels * [1e-3, -1e-3] + (pixels**2) * 1e-8
    whole = GCPGeoBox((800, 700), GCPMapping(pixels, world, "EPSG:4326"))
    part = whole[100:400, 50:250]
    with rasterio.open(write(tmp_path / "labels.tif", random_labels(), part)) as back:
        points, crs = back.gcps
    assert crs.to_epsg() == 4326
    expected = sorted((x - 50, y - 100, *at) for (x, y), at in zip(pixels, world, strict=True))
    assert np.array(sorted((p.col, p.row, p.x, p.y) for p in points)) == pytest.approx(np.array(expected))


def test_labels_of_a_jpeg_scene_are_not_lossy(tmp_path: Path):
    source = coordinate_scene(tmp_path / "scene.tif", (300, 200))
    with rasterio.open(source) as scene:
        profile = {"driver": "JPEG", "width": 200, "height": 300, "count": 3, "dtype": "uint8"}
        with rasterio.open(tmp_path / "scene.jpg", "w", **profile, crs=scene.crs, transform=scene.transform) as jpeg:
            jpeg.write(scene.read())
    scene = open_scene(tmp_path / "scene.jpg")
    with sinks.LabelSink(tmp_path / "labels.tif", scene, metadata={"model": "nano"}) as sink:
        sink.write(0, random_labels())
    with rasterio.open(tmp_path / "labels.tif") as back:
        assert (back.read(1) == random_labels()).all()
        assert back.compression.name == "deflate"
        assert back.transform == scene.geobox.affine
    assert sinks.read_metadata(tmp_path / "labels.tif") == {"model": "nano"}


def test_equal_labels_give_equal_bytes(tmp_path: Path):
    one = write(tmp_path / "a.tif", random_labels(), rows=64)
    other = write(tmp_path / "b.tif", random_labels(), rows=300)
    assert one.read_bytes() == other.read_bytes()


# -------------------------------------------------------------------------------------------------------- whole or not


def write_strip(path: Path, row_off: int, strip: np.ndarray) -> None:
    with sinks.LabelSink(path, GRID) as sink:
        sink.write(row_off, strip)


def test_strips_must_follow_one_another_and_fill_the_scene(tmp_path: Path):
    path = tmp_path / "labels.tif"
    labels = random_labels()
    for row_off, strip in ((10, labels[:10]), (0, labels[:, :50]), (0, np.zeros((301, 200), np.int32))):
        with pytest.raises(SinkError, match=r"expected 200 columns from row 0 to at most 300"):
            write_strip(path, row_off, strip)
    with pytest.raises(SinkError, match=r"rows 100 to 300 were never written"):
        write_strip(path, 0, labels[:100])
    assert os.listdir(tmp_path) == []


def test_other_extensions_are_refused(tmp_path: Path):
    with pytest.raises(SinkError, match=r"\.tif or \.tiff"):
        sinks.LabelSink(tmp_path / "labels.png", GRID)


def write_part_then_interrupt(path: Path) -> None:
    with sinks.LabelSink(path, GRID) as sink:
        sink.write(0, random_labels()[:100])
        raise KeyboardInterrupt


def test_an_existing_file_is_kept_on_request_and_on_error_and_replaced_with_its_sidecars(tmp_path: Path):
    path = tmp_path / "labels.tif"
    path.write_bytes(b"former")
    (tmp_path / "labels.tif.aux.xml").write_text("statistics of the former file")
    with pytest.raises(SinkError, match="exists"):
        sinks.LabelSink(path, GRID, overwrite=False)
    with pytest.raises(KeyboardInterrupt):
        write_part_then_interrupt(path)
    assert path.read_bytes() == b"former"
    assert sorted(os.listdir(tmp_path)) == ["labels.tif", "labels.tif.aux.xml"]
    write(path, random_labels())
    assert os.listdir(tmp_path) == ["labels.tif"]


SCRIPT = """
import sys, time
import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox
from geosam import sinks

with sinks.LabelSink(sys.argv[1], GeoBox((300, 200), Affine(2, 0, 0, 0, -2, 0), "EPSG:32633")) as sink:
    sink.write(0, np.ones((200, 200), np.int32))
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_half_raster(tmp_path: Path):
    path = tmp_path / "labels.tif"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
        process.wait(120)
    assert not path.exists()
    assert all(name.startswith(".") for name in os.listdir(tmp_path))
    write(path, random_labels())
    assert os.listdir(tmp_path) == ["labels.tif"]


def test_reading_a_window_of_the_file(tmp_path: Path):
    labels = random_labels()
    with rasterio.open(write(tmp_path / "labels.tif", labels)) as back:
        assert (back.read(1, window=Window(20, 30, 40, 50)) == labels[30:80, 20:60]).all()
