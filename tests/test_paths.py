import os
import signal
import sys
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.change.damage import OrdinalModel
from geosam.errors import GeosamError, PromptError, SceneError
from geosam.landcover import LandcoverModel, Legend
from geosam.models import load_model
from geosam.paths import check_regular, for_gdal, is_address, is_remote
from geosam.recognition import read_word
from geosam.scene import open_scene
from geosam.testing import coordinate_scene
from geosam.training.config import read_config
from geosam.vectors import read_vector

NAMES = ["a!b", "a;b", "a?b", "a#b", "a%41b", "a\nb", "a b", "-a", "GTIFF_DIR:2:a", "zip:a", "ü\u202e", "a.zip!x"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="file names that Windows does not allow")


@posix
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name(tmp_path, name):
    square = gpd.GeoDataFrame({"mine": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    for suffix in (".gpkg", ".shp", ".geojson"):
        with for_gdal(tmp_path / f"{name}{suffix}") as plain:
            square.to_file(plain, layer="mine" if suffix == ".gpkg" else None)
        if suffix != ".shp":  # its parts are made one by one
            assert (tmp_path / f"{name}{suffix}").is_file()
            with for_gdal(tmp_path / f"{name}{suffix}") as plain:
                assert gpd.read_file(plain).mine.tolist() == [1]
    with for_gdal(tmp_path / f"{name}.tif") as plain, rasterio.open(coordinate_scene(plain)) as dataset:
        assert dataset.count > 0


@posix
def test_parts_of_a_shapefile_are_found_under_a_plain_name(tmp_path):
    gpd.GeoDataFrame({"mine": [7]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633).to_file(tmp_path / "plain.shp")
    for part in list(tmp_path.glob("plain.*")):
        part.rename(part.with_name(part.name.replace("plain", "a!b")))
    with for_gdal(tmp_path / "a!b.shp") as plain:
        found = gpd.read_file(plain)
    assert found.mine.tolist() == [7]
    assert found.crs == 32633


def test_a_plain_name_stays(tmp_path):
    with for_gdal(tmp_path / "a b.gpkg") as plain:
        assert plain == str(tmp_path / "a b.gpkg")


READERS = {
    "a.tif": open_scene,
    "a.vrt": open_scene,
    "a.gpkg": read_vector,
    "a.csv": read_vector,
    "legend.csv": Legend.of,
    "legend.qml": Legend.of,
    "word.safetensors": read_word,
    "a.safetensors": load_model,
    "a.pth": load_model,
    "a.geosam": LandcoverModel.load,
    "damage.json": OrdinalModel.read,
    "a.toml": read_config,
}


@posix
@pytest.mark.parametrize("name", READERS)
def test_no_file_of_a_user_is_waited_for(tmp_path, name):
    def hangs(*_):
        raise TimeoutError("it waits for somebody to write")

    os.mkfifo(tmp_path / name)
    former = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(20)
    try:
        with pytest.raises(GeosamError, match=r"regular file|file that exists") as refused:
            READERS[name](tmp_path / name)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    assert "\n" not in str(refused.value)


@posix
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(SceneError, match="pipe"):
        check_regular(tmp_path / "pipe.tif", SceneError, "a raster")
    with pytest.raises(PromptError, match="device"):
        check_regular("/dev/null", PromptError, "a vector file")


@given(st.text(max_size=20))
@settings(max_examples=50)
def test_what_is_not_there_is_refused_in_words(text):
    with pytest.raises(SceneError, match="a raster"):
        check_regular(f"nowhere-at-all/{text}", SceneError, "a raster")


def test_addresses_and_files_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ("https://h/a.tif", "zip://a.zip!a.tif", "/vsicurl/https://h/a", "NETCDF:a.nc:t", "PG:dbname=x"):
        assert is_address(address)
    assert not is_address("a.tif")
    assert not is_address(Path("sub/a!b.tif"))
    if sys.platform != "win32":
        Path("PG:x").write_text("a file of that name")
        assert not is_address("PG:x")
    assert is_remote("/vsis3/b/a.tif")
    assert is_remote("zip+https://h/a.zip!a.tif")
    assert not is_remote("zip://a.zip!a.tif")
    assert not is_remote("NETCDF:a.nc:t")
