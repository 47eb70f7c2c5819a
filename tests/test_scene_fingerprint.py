"""A scene is known by what GDAL reads for it, and pixels that changed since it was opened are not given out."""

import logging
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.windows import Window

import geosam
from geosam.catalog import Item
from geosam.errors import SceneReadError
from geosam.scene import open_scene
from geosam.scene.fingerprint import lasting
from geosam.segmenter import Features
from geosam.store import EmbeddingStore
from geosam.testing import StubNetwork, coordinate_scene

TILE = Window(0, 0, 8, 8)


def write(path: Path, side: int, **profile) -> None:
    place = rasterio.transform.from_origin(500_000, 5_000_000, 1, 1)
    with rasterio.open(
        path, "w", width=side, height=side, count=1, dtype="uint8", crs="EPSG:32631", transform=place, **profile
    ) as target:
        target.write(np.arange(side**2).reshape(1, side, side).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    coordinate_scene(tmp_path / "a.tif", (40, 60))
    write(tmp_path / "a.png", 9, driver="PNG")
    above = "a.tif"
    for name in ("v1.vrt", "v2.vrt", "v3.vrt"):
        (tmp_path / name).write_text(
            '<VRTDataset rasterXSize="60" rasterYSize="40"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
            f'<SourceFilename relativeToVRT="1">{above}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
        )
        above = name
    pack(tmp_path)
    return tmp_path


def pack(folder: Path) -> None:
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        for name in ("one/a.tif", "two/a.tif"):
            archive.write(folder / "a.tif", name)


def known(folder: Path, name: str) -> str:
    return open_scene(name.format(folder), stretch=(0, 1)).raster.info.fingerprint


NAMES = ("{}/a.tif", "{}/v1.vrt", "{}/v3.vrt", "vrt://{}/v3.vrt", "GTIFF_DIR:1:{}/a.tif", "file://{}/a.tif")
ZIPPED = ("/vsizip/{}/z.zip/one/a.tif", "zip+file://{}/z.zip!one/a.tif", "zip://{}/z.zip!one/a.tif")


def test_it_follows_what_gdal_reads(folder: Path):
    names = (*NAMES, *ZIPPED, "{}/a.png")
    before = {name: known(folder, name) for name in names}
    assert before == {name: known(folder, name) for name in names}
    with rasterio.open(folder / "a.tif", "r+") as target:
        target.write(target.read(1) ^ 1, 1)
    edited = {name: known(folder, name) for name in names}
    assert {name for name in names if edited[name] != before[name]} == set(NAMES)
    pack(folder)
    packed = {name: known(folder, name) for name in names}
    assert {name for name in names if packed[name] != edited[name]} == set(ZIPPED)
    (folder / "a.pgw").write_text("2\n0\n0\n-2\n100\n100\n")
    (folder / "a.tif.aux.xml").write_text("<PAMDataset><Metadata><MDI key='a'>b</MDI></Metadata></PAMDataset>")
    beside = {name: known(folder, name) for name in names}
    assert {name for name in names if beside[name] != packed[name]} == {*NAMES, "{}/a.png"} - {"GTIFF_DIR:1:{}/a.tif"}


def test_it_follows_the_crs_beside_a_grid(tmp_path: Path):
    grid, crs = tmp_path / "a.asc", tmp_path / "a.prj"
    grid.write_text("ncols 2\nnrows 2\nxllcorner 500000\nyllcorner 5000000\ncellsize 10\n1 2\n3 4\n")
    seen = []
    for code in (None, 32633, 32634):
        crs.write_text(pyproj.CRS(code).to_wkt("WKT1_ESRI")) if code else None
        scene = open_scene(grid, stretch=(0, 5))
        assert (scene.crs and scene.crs.to_epsg()) == code
        seen.append((scene.raster.info.fingerprint, Item("a", (str(grid),)).identity))
    assert len({one for one, _ in seen}) == len({two for _, two in seen}) == 3


def test_files_of_one_archive_are_told_apart(folder: Path):
    assert known(folder, ZIPPED[0]) != known(folder, ZIPPED[0].replace("one", "two"))


def test_passing_parts_of_an_address_do_not_count_and_others_do():
    address = "https://me:pw@host/get?id=3&file=a.tif&X-Amz-Signature=5f&se=2026"
    assert lasting(address) == lasting(address.replace("5f", "6e").replace("2026", "2027").replace("pw", "other"))
    assert lasting(address) != lasting(address.replace("a.tif", "b.tif"))
    assert lasting("https://host/a.tif?sig=1") == "https://host/a.tif"
    assert lasting("/vsicurl?url=https%3A%2F%2Fhost%2Fa.tif") != lasting("/vsicurl?url=https%3A%2F%2Fhost%2Fb.tif")


@pytest.mark.parametrize("name", ["a.tif", "v3.vrt"])
def test_pixels_that_changed_since_it_was_opened_are_not_given_out(folder: Path, name: str):
    scene = open_scene(folder / name, stretch=(0, 1))
    assert scene.read(TILE).valid.all()
    again = pickle.loads(pickle.dumps(scene))
    assert again.read(TILE).valid.all()
    with rasterio.open(folder / "a.tif", "r+") as target:
        target.write(target.read(1) ^ 1, 1)
    for opened in (scene, again):
        with pytest.raises(SceneReadError, match="has changed since it was opened"):
            opened.read(TILE)
    assert open_scene(folder / name, stretch=(0, 1)).read(TILE).valid.all()


def test_a_scene_that_is_replaced_or_taken_away_is_noticed(folder: Path):
    scene = open_scene(folder / "a.tif")
    shutil.copy2(folder / "a.tif", folder / "b.tif")  # of the same size and time
    os.replace(folder / "b.tif", folder / "a.tif")
    with pytest.raises(SceneReadError, match="changed"):
        scene.read(TILE)
    (folder / "a.tif").unlink()
    with pytest.raises(SceneReadError, match="changed"):
        scene.read(TILE)


def test_a_scene_edited_during_a_run_leaves_nothing_wrong_in_the_store(tmp_path: Path):
    path, passes = tmp_path / "raw.tif", 0
    write(path, 300, driver="GTiff")

    class Editing(StubNetwork):
        def encode(self, pixels: np.ndarray) -> Features:
            nonlocal passes
            passes += 1
            if passes == 2:
                with path.open("r+b") as stream:
                    stream.seek(-1000, os.SEEK_END)
                    stream.write(bytes(1000))
            return super().encode(pixels)

    store, network = EmbeddingStore(tmp_path / "store"), Editing(side=128, channels=2)
    with pytest.raises(SceneReadError, match="nothing of the changed pixels was kept"):
        geosam.encode(path, model=network, store=store)
    kept = store.stats().entries
    assert kept < 9
    report = geosam.encode(path, model=network, store=store)
    assert (report.encoded, report.recalled) == (9, 0)
    assert store.stats().entries == kept + 9


def test_blocks_that_every_window_decodes_are_said_before_the_work(tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setattr("geosam.scene.file.LARGE_BLOCK_BYTES", 1 << 16)
    write(tmp_path / "strip.tif", 300, driver="GTiff", compress="deflate", blockysize=300)
    write(tmp_path / "tiles.tif", 300, driver="GTiff", compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    with caplog.at_level(logging.WARNING):
        open_scene(tmp_path / "tiles.tif")
        assert not caplog.records
        open_scene(tmp_path / "strip.tif")
    assert "300 x 300 px" in caplog.text
    assert "gdal_translate -of COG" in caplog.text
