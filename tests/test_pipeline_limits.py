"""Runs are counted before anything is laid out; what nobody can mean is refused with its size."""

import json
import logging
import sys
import time
from pathlib import Path

import pytest

import geosam
from geosam.errors import OptionError, StoreError
from geosam.pipeline import SegmentOptions
from geosam.pipeline.calibration import Calibration, read_kept
from geosam.pipeline.run import open_store
from geosam.scene import open_scene
from geosam.testing import StubNetwork, coordinate_scene

FOUND = {"encode": 0.5, "point": 0.01, "click": 0.1, "box": 0.2, "polygon": 0.3, "window": 0.5, "peak_bytes": 9}


@pytest.fixture
def network() -> StubNetwork:
    return StubNetwork(side=1024, channels=2)


def vrt(folder: Path, side: int, *, nodata: str = "") -> str:
    tile = Path(coordinate_scene(folder / "tile.tif", (40, 60)))
    source = f'<SimpleSource><SourceFilename relativeToVRT="1">{tile.name}</SourceFilename></SimpleSource>'
    band = f'<VRTRasterBand dataType="UInt16" band="1">{nodata}{source}</VRTRasterBand>'
    (folder / "vast.vrt").write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>{band}</VRTDataset>"
    )
    return str(folder / "vast.vrt")


@pytest.mark.parametrize("side", [2_000_000, 2**31 - 1])
@pytest.mark.parametrize("nodata", ["", "<NoDataValue>0</NoDataValue>"])
def test_vast_scenes_are_refused_at_once_with_their_size(tmp_path: Path, network, side: int, nodata: str):
    path, begin = vrt(tmp_path, side, nodata=nodata), time.process_time()
    for ask in (geosam.plan, geosam.segment, geosam.encode):
        with pytest.raises(
            OptionError, match=rf"{side:,} px, [\d,]+ windows, [\d,]+ hours at one a second.*area of inter"
        ):
            ask(path, model=network)
    assert time.process_time() - begin < 60


def test_a_few_prompts_on_a_vast_scene_are_counted(tmp_path: Path, network, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["geosam.pipeline.forecast"], "calibrated", lambda *_: Calibration(**FOUND))
    scene = open_scene(vrt(tmp_path, 2_000_000))
    prompts = geosam.Prompts.from_points([(1_000_000.5, 1_000_000.5), (5.5, 5.5)], scene)
    said = geosam.plan(scene, prompts, model=network)
    assert (said.windows, said.prompts) == (2, 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"window": 32, "overlap": 31}, "overlap=31 with window=32.*at most 28"),
        ({"window": 1 << 20}, "window=1048576.*from 1 to 16384"),
        ({"window": 0}, "window=0"),
        ({"overlap": -1}, "overlap=-1"),
        ({"refine": 10**9}, "refine=1000000000.*from 0 to 100"),
        ({"min_area": float("nan")}, "min_area=nan"),
        ({"simplify": float("inf")}, "simplify=inf"),
    ],
)
def test_senseless_options_are_refused(tmp_path: Path, network, asked, said):
    path = coordinate_scene(tmp_path / "xy.tif", (100, 100))
    with pytest.raises(OptionError, match=said):
        geosam.encode(path, model=network, store=tmp_path / "store", **asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", float("nan")),
        ("window", "big"),
        ("overlap", 2.5),
        ("spacing_px", float("inf")),
        ("min_area", "20"),
        ("pred_iou_threshold", "high"),
    ],
)
def test_values_of_a_wrong_kind_are_refused(name: str, value: object):
    options = SegmentOptions()
    object.__setattr__(options, name, value)  # as if nobody checked the kinds of arguments
    with pytest.raises(OptionError, match=f"{name}={value!r}: expected a"):
        options._check_kinds()


def test_a_grid_much_finer_than_the_pixels_is_refused(tmp_path: Path, network):
    path = coordinate_scene(tmp_path / "xy.tif", (100, 100))
    own = open_scene(path).frame.resolution
    with pytest.raises(OptionError, match=r"500 times as fine.*at most 64"):
        geosam.plan(open_scene(path, resolution=own / 500), model=network)
    for resolution in (1e-320, 1e300, "1e-99 m"):
        with pytest.raises(OptionError, match="a positive number"):
            open_scene(path, resolution=resolution)
    assert SegmentOptions().plan((100, 100), side=1024).count == 1


def test_a_store_that_cannot_be_opened_is_gone_without(tmp_path: Path, network, caplog, monkeypatch):
    path = coordinate_scene(tmp_path / "xy.tif", (100, 100))
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEOSAM_CACHE", str(tmp_path / "file"))
    for store in ("auto", tmp_path / "file" / "store"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert open_store(store) is None
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "goes on without its store" in caplog.text
    with pytest.raises(StoreError):
        geosam.encode(path, model=network, store=tmp_path / "file" / "store")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"3",
        b"[" * 100_000,
        json.dumps(FOUND | {"encode": "0.5"}).encode(),
        json.dumps(FOUND | {"encode": None}).encode(),
        json.dumps(FOUND | {"encode": True}).encode(),
        json.dumps(FOUND | {"encode": [1]}).encode(),
        json.dumps(FOUND | {"encode": -1}).encode(),
        json.dumps(FOUND | {"encode": float("nan")}).encode(),
        json.dumps(FOUND | {"encode": float("inf")}).encode(),
        json.dumps(FOUND | {"peak_bytes": 10**400}).encode(),
        json.dumps(FOUND | {"further": 1}).encode(),
        json.dumps({"encode": 1.0}).encode(),
        json.dumps(FOUND).encode() + b" " * (1 << 17),
    ],
)
def test_a_damaged_calibration_is_measured_anew(tmp_path: Path, content: bytes):
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(FOUND))
    assert read_kept(kept) == Calibration(**FOUND)
    kept.write_bytes(content)
    assert read_kept(kept) is None
    assert read_kept(tmp_path) is None
