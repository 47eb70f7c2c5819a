"""The name of a raster decides what may open it, and no local file reaches the network or writes."""

import os
import shutil
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene import open_scene
from geosam.scene.dataset import open_dataset
from geosam.scene.origin import Origin
from geosam.testing import coordinate_scene

TILE = Window(0, 0, 8, 8)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(coordinate_scene(tmp_path_factory.mktemp("scene") / "a.tif", (40, 60)))


@pytest.fixture
def stub():
    """A server that knows nothing, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def vrt(source: object, *, beside: int = 0, band: str = "") -> str:
    return (
        f'<VRTDataset rasterXSize="60" rasterYSize="40"><VRTRasterBand dataType="UInt16" band="1"{band}><SimpleSource>'
        f'<SourceFilename relativeToVRT="{beside}">{escape(str(source))}</SourceFilename></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )


def wms(server: str) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{server}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
        "<UpperLeftX>0</UpperLeftX><UpperLeftY>9</UpperLeftY><LowerRightX>9</LowerRightX><LowerRightY>0</LowerRightY>"
        "<TileLevel>1</TileLevel></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
    )


@pytest.mark.parametrize("name", ["a#1.tif", "a?b.tif", "x!a.tif", "a;b.tif", "a\nb.tif", "GTIFF_DIR:1:a.tif", "é.tif"])
def test_a_name_is_a_name(scene: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    shutil.copy(scene, tmp_path / name)
    coordinate_scene(tmp_path / "a.tif", (20, 20))  # what a part of the name could mean
    monkeypatch.chdir(tmp_path)
    assert open_scene(name).shape == open_scene(tmp_path / name).shape == (40, 60)


@pytest.mark.parametrize("format_", ["WMS", "WMTS", "WCS", "VRT", "MRF", "GTI", "STACIT"])
def test_formats_that_refer_elsewhere_are_not_opened_as_pixels(scene: Path, tmp_path: Path, stub, format_: str):
    server, asked = stub
    content = {
        "WMS": wms(server),
        "WMTS": f"<GDAL_WMTS><GetCapabilitiesUrl>{server}/wmts</GetCapabilitiesUrl></GDAL_WMTS>",
        "WCS": f"<WCS_GDAL><ServiceURL>{server}/wcs</ServiceURL><CoverageName>x</CoverageName></WCS_GDAL>",
        "VRT": vrt(scene),
        "MRF": f"<MRF_META><CachedSource><Source>{scene}</Source></CachedSource><Raster><Size x='60' y='40' c='2'/>"
        f"<DataFile>{tmp_path / 'elsewhere.dat'}</DataFile></Raster></MRF_META>",
        "GTI": "<GDALTileIndexDataset><IndexDataset>x.gpkg</IndexDataset></GDALTileIndexDataset>",
        "STACIT": f'{{"stac_version": "1.0.0", "type": "FeatureCollection", "features": [{{"href": "{server}"}}]}}',
    }[format_]
    for name in ("a.tif", "a.png", "a"):
        (tmp_path / name).write_text(content)
        with pytest.raises(SceneError, match=rf"holds .*{format_}"):
            open_scene(tmp_path / name)
        with pytest.raises(SceneError), open_dataset(tmp_path / name):
            pass
    assert not asked
    assert not (tmp_path / "elsewhere.dat").exists()


def test_a_local_vrt_reaches_no_network_unless_its_name_asks(tmp_path: Path, stub):
    server, asked = stub
    (tmp_path / "w.tif").write_text(wms(server))
    sources = [
        f"/vsicurl/{server}/a.tif",
        f"{server}/a.tif",
        "/vsis3/bucket/a.tif",
        f"/vsizip//vsicurl/{server}/a.zip/a",
    ]
    sources += [wms(server), tmp_path / "w.tif", f"vrt://{server}/a.tif", "PG:host=127.0.0.1", "MEM:::DATAPOINTER=1"]
    for source in sources:
        (tmp_path / "a.vrt").write_text(vrt(source))
        with pytest.raises(SceneError, match=r"without a network; if you trust it, open it as vrt:///"):
            open_scene(tmp_path / "a.vrt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.vrt", vrt(f"/vsicurl/{server}/a.tif"))
    with pytest.raises(SceneError, match="unpack the archive first"):
        open_scene(f"/vsizip/{tmp_path}/a.zip/a.vrt")
    assert not asked
    (tmp_path / "a.vrt").write_text(vrt(f"/vsicurl/{server}/a.tif"))
    with pytest.raises(SceneError):
        open_scene(f"vrt://{tmp_path}/a.vrt").read(TILE)
    assert asked


def test_a_wms_file_by_its_own_name_reaches_the_network(tmp_path: Path, stub):
    server, asked = stub
    (tmp_path / "a.wms").write_text(wms(server))
    with pytest.raises(SceneError):
        open_scene(tmp_path / "a.wms").read(TILE)
    assert asked


def test_unsound_vrts_are_refused_in_a_line(scene: Path, tmp_path: Path):
    (tmp_path / "tile.tif").write_text(vrt(scene))
    python = "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
    unsound = {
        "not UTF-8": (vrt("a\xff.tif").encode("latin1"), "UTF-8"),
        "cut": (vrt(scene)[:80].encode(), "at line 1"),
        "entities": (b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + vrt("&a;").encode(), "expected"),
        "itself": (vrt("a.vrt", beside=1).encode(), "refers to itself"),
        "a VRT by another name": (vrt("tile.tif", beside=1).encode(), "tile.tif, which holds a VRT"),
        "absent": (vrt("gone.tif", beside=1).encode(), "gone.tif, which does not exist"),
        "raw bytes": (
            vrt("/etc/hostname", band=' subClass="VRTRawRasterBand"').replace("SimpleSource", "X").encode(),
            "expected",
        ),
        "code": (
            vrt(scene, band=' subClass="VRTDerivedRasterBand"').replace("<SimpleS", f"{python}<SimpleS").encode(),
            "expected",
        ),
    }
    for text, said in unsound.values():
        (tmp_path / "a.vrt").write_bytes(text)
        with pytest.raises(SceneError, match=said) as caught:
            open_scene(tmp_path / "a.vrt", stretch=(0, 100)).read(TILE)
        assert "\n" not in str(caught.value)


def test_raw_bytes_lie_beside_their_vrt(tmp_path: Path):
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    folder.mkdir()
    band = '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="{}">{}'
    text = f'<VRTDataset rasterXSize="8" rasterYSize="8">{band}</SourceFilename></VRTRasterBand></VRTDataset>'
    for place in (secret, folder / "raw"):
        place.write_bytes(bytes(range(64)))
    (folder / "a.vrt").write_text(text.format(1, "raw"))
    assert open_scene(folder / "a.vrt").read(TILE).pixels[0, 7, 7] == 63
    for beside, name in ((0, secret), (1, "../secret")):
        (folder / "a.vrt").write_text(text.format(beside, name))
        with pytest.raises(SceneError, match="in another folder"):
            open_scene(folder / "a.vrt")


def test_what_never_ends_is_no_scene(scene: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "a.vrt").write_text(vrt("pipe.tif", beside=1))
    for name in (
        tmp_path / "pipe.tif",
        tmp_path / "a.vrt",
        "/dev/zero",
        "/vsistdin/",
        f"{scene}\0.tif",
        f"{scene}\udcff",
    ):
        with pytest.raises(SceneError):
            open_scene(str(name))


def test_an_address_that_failed_is_asked_again(scene: Path, tmp_path: Path):
    """GDAL itself would remember the failure as long as the process lives."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/late.tif"
    try:
        for _ in range(2):
            with pytest.raises(SceneError, match="cannot be opened"):
                open_scene(address)
        shutil.copy(scene, tmp_path / "late.tif")
        assert open_scene(address).shape == open_scene(scene).shape
    finally:
        server.shutdown()
        server.server_close()


def test_addresses_keep_their_secrets_to_themselves(stub):
    server, _ = stub
    for address in (f"{server}/a.tif?sig=SECRET", f"{server.replace('//', '//me:SECRET@')}/a.tif"):
        with pytest.raises(SceneError) as caught:
            open_scene(address)
        assert "SECRET" not in str(caught.value)
        assert "SECRET" not in repr(caught.value)
        assert "SECRET" in Origin.of(address).address
    assert "WMS" not in (Origin.of(f"{server}/a.tif").drivers or ())
    assert "WMS" in (Origin.of(f"{server}/WMTSCapabilities.xml").drivers or ())
    assert Origin.of("WMTS:https://host/caps.xml").drivers is None


def test_names_are_shown_without_signs_that_a_terminal_obeys(scene: Path, tmp_path: Path):
    shutil.copy(scene, tmp_path / "a\x1b[31m.tif")
    opened = open_scene(tmp_path / "a\x1b[31m.tif")
    assert opened.name == "a\\x1b[31m"
    assert "\x1b" not in opened.source + repr(opened) + repr(opened.raster)
    assert opened.read(TILE).valid.all()


def test_name_and_source_of_an_address_are_those_of_its_file(scene: Path):
    with zipfile.ZipFile(scene.with_name("z.zip"), "w") as archive:
        archive.write(scene, "inner/b.tif")
    for address in (f"/vsizip/{scene.parent}/z.zip/inner/b.tif", f"zip+file://{scene.parent}/z.zip!inner/b.tif"):
        assert open_scene(address).name == "b"
    assert open_scene(f"file://{scene}").name == open_scene(f"vrt://{scene}?bands=1").name == "a"
