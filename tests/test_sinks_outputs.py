"""Outputs lose nothing: not their inputs, not other layers, not one of several, whenever the process ends."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely

import geosam
from geosam import sinks
from geosam.errors import OptionError, SinkError
from geosam.locks import LockedFolder
from geosam.sinks import Outputs
from geosam.sinks.commit import RECORD, Commit
from geosam.sinks.places import check_inputs, check_path
from geosam.sinks.staging import staged
from geosam.testing import TruthNetwork, blob_labels, label_scene

SMALL = {"model": TruthNetwork(side=64), "spacing_px": 8, "overlap": 16}


def fields(count: int = 2) -> gpd.GeoDataFrame:
    x = 20.0 * np.arange(count)
    return gpd.GeoDataFrame({"object_id": np.arange(count)}, geometry=shapely.box(x, 0, x + 10, 10), crs=32633)


def layers(path: Path) -> set[str]:
    return {str(name) for name, kind in pyogrio.list_layers(path) if kind is not None}


def query(path: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(sql).fetchall()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return label_scene(tmp_path / "scene.tif", blob_labels((100, 120), count=4, large=0))


# -------------------------------------------------------------------------------------------- an output is no input


def test_an_output_is_none_of_the_files_that_are_read(tmp_path: Path, scene: Path):
    before = scene.read_bytes()
    os.link(scene, tmp_path / "hard.tif")
    (tmp_path / "soft.tif").symlink_to(scene)
    for name in ("scene.tif", "hard.tif", "soft.tif", "../" + tmp_path.name + "/scene.tif"):
        with pytest.raises(SinkError, match="is read by this run"):
            geosam.segment_to_file(scene, tmp_path / "a.gpkg", labels=tmp_path / name, **SMALL)
    with pytest.raises(SinkError, match="is read by this run"):
        sinks.LabelSink(scene, geosam.open_scene(scene))
    assert scene.read_bytes() == before
    assert not (tmp_path / "a.gpkg").exists()


def test_an_output_is_no_source_of_a_vrt_of_a_vrt(tmp_path: Path, scene: Path):
    inner, outer = tmp_path / "inner.vrt", tmp_path / "outer.vrt"
    rasterio.shutil.copy(scene, inner, driver="VRT")
    rasterio.shutil.copy(inner, outer, driver="VRT")
    with pytest.raises(SinkError, match="is read by this run"):
        geosam.segment_to_file(outer, tmp_path / "a.gpkg", labels=scene, **SMALL)


@pytest.mark.parametrize("how", ["path", "prompts", "inputs"])
def test_an_output_is_not_the_file_of_the_prompts_nor_another_input(tmp_path: Path, scene: Path, how: str):
    mine = tmp_path / "mine.gpkg"
    with rasterio.open(scene) as dataset:
        box = shapely.box(*dataset.bounds)
    gpd.GeoDataFrame({"keep": [1]}, geometry=[box], crs=geosam.open_scene(scene).crs).to_file(mine, layer="parcels")
    before = mine.read_bytes()
    asked = {
        "path": {"prompts": mine},
        "prompts": {"prompts": geosam.Prompts.from_features(mine, geosam.open_scene(scene))},
        "inputs": {"inputs": [mine]},
    }[how]
    with pytest.raises(SinkError, match="is read by this run"):
        geosam.segment_to_file(scene, mine, **asked, **SMALL)
    assert mine.read_bytes() == before


def test_an_output_is_not_the_area_of_interest(tmp_path: Path, scene: Path):
    mine = tmp_path / "area.gpkg"
    opened = geosam.open_scene(scene)
    gpd.GeoDataFrame(geometry=[shapely.box(*opened.geobox.boundingbox.bbox)], crs=opened.crs).to_file(mine)
    with pytest.raises(SinkError, match="is read by this run"):
        geosam.segment_to_file(geosam.open_scene(scene, aoi=mine), mine, **SMALL)


def test_what_goes_with_an_output_is_no_input_either(tmp_path: Path):
    (tmp_path / "a.tif.ovr").write_bytes(b"mine")
    with pytest.raises(SinkError, match=r"a\.tif\.ovr, which goes with"):
        check_inputs(tmp_path / "a.tif", [tmp_path / "a.tif.ovr", "https://host/b.tif", "nano"])


def test_two_outputs_are_two_files(tmp_path: Path):
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.gpkg")
    with pytest.raises(OptionError, match="two outputs of one name"):
        Outputs([tmp_path / "a.gpkg", tmp_path / "b.tif"])


# ---------------------------------------------------------------------------------------------- places, links, names


def test_a_link_is_followed_and_stays(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "a.gpkg", tmp_path / "elsewhere" / "b.gpkg"
    link.symlink_to(target)  # which is not there yet
    for count in (2, 3):
        assert sinks.write(fields(count), link, layer="x") == link
        assert link.is_symlink()
        assert len(gpd.read_file(target, layer="x")) == count
    assert os.listdir(tmp_path / "elsewhere") == ["b.gpkg"]


def test_places_that_cannot_be_written_are_known_before(tmp_path: Path):
    (tmp_path / "loop.gpkg").symlink_to(tmp_path / "loop.gpkg")
    os.mkfifo(tmp_path / "pipe.gpkg")
    (tmp_path / "far.gpkg").symlink_to(tmp_path / "no" / "a.gpkg")
    for name, said in (
        ("loop.gpkg", "leads nowhere"),
        ("pipe.gpkg", "pipe"),
        ("far.gpkg", "no folder"),
        ("n" * 300 + ".gpkg", "too long"),
        ("a\0.gpkg", "ends in"),
    ):
        with pytest.raises(SinkError, match=said):
            check_path(tmp_path / name, (".gpkg",))


NAMES = [
    "a!b",
    "a;b",
    "a?b",
    "a#%20b",
    "a\nb",
    "é名🙂",
    "n" * 240,
    "-lead",
    "trail.",
    "[x]",
    "!x",
    "a:b",
    "\udcff",
    "a\"b'",
]


@pytest.mark.parametrize(("folder", "names"), [("fo!l;d?e#r", NAMES), ("plain", NAMES[:3])])
def test_a_name_is_a_name(tmp_path: Path, folder: str, names: list[str]):
    place = tmp_path / folder
    place.mkdir()
    neighbour = sinks.write(fields(1), place / "b.gpkg")
    before = neighbour.read_bytes()
    expected = {"b.gpkg"}
    for name in names:
        for suffix in (".gpkg", ".fgb"):
            path = sinks.write(fields(), place / f"{name}{suffix}", metadata={"a": 1})
            assert len(sinks.read_layer(path)) == 2
            assert sinks.read_metadata(path) == {"a": 1}
            expected.add(path.name)
    assert set(os.listdir(place)) == expected
    assert neighbour.read_bytes() == before


def test_other_outputs_have_any_name_too(tmp_path: Path, scene: Path):
    for name in ("b.tif", "b.png", "b.parquet", "b.geojson"):
        (tmp_path / name).write_bytes(b"mine")
    for suffix in (".parquet", ".geojson"):
        place = {"labels": tmp_path / f"a!b{suffix}.tif", "picture": tmp_path / f"a;b\n{suffix}.png"}
        geosam.segment_to_file(scene, tmp_path / f"a!b{suffix}", **place, **SMALL)
        assert len(sinks.read_layer(tmp_path / f"a!b{suffix}")) > 0
        with rasterio.open(place["labels"]) as labels:
            assert labels.read().any()
        assert place["picture"].stat().st_size > 0
    assert {(tmp_path / name).read_bytes() for name in ("b.tif", "b.png", "b.parquet", "b.geojson")} == {b"mine"}


@pytest.mark.parametrize(
    "name",
    [
        "layer_styles",
        "GPKG_x",
        "sqlite_x",
        "rtree_x",
        "ogr_empty_table",
        "qgis_projects",
        "",
        " ",
        "n" * 999,
        "a\0",
        "-x",
    ],
)
def test_layer_names_that_are_kept_are_refused_before_the_work(tmp_path: Path, name: str):
    def frames():
        pytest.fail("the work has begun")
        yield

    with pytest.raises(SinkError, match="--layer"):
        sinks.write(frames(), tmp_path / "a.gpkg", layer=name)
    with pytest.raises(SinkError, match="--layer"):
        sinks.check_writable(tmp_path / "gpkg_a.gpkg")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["select", 'a"b', "a'b", "a b", "a\nb", "n" * 255, "é名", "fid", "a.b"])
def test_all_other_layer_names_hold(tmp_path: Path, name: str):
    path = sinks.write(fields(), tmp_path / "a.gpkg", layer=name)
    assert layers(path) == {name}
    assert len(gpd.read_file(path, layer=name, bbox=(0, 0, 5, 5))) == 1


# --------------------------------------------------------------------------------- other layers of a GeoPackage live


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A GeoPackage with a layer, tiles, a table, a style and metadata of somebody's."""
    path = tmp_path / "project.gpkg"
    with rasterio.open(
        path, "w", driver="GPKG", width=8, height=8, count=1, dtype="uint8", crs=32633, RASTER_TABLE="tiles",
        transform=rasterio.Affine(1, 0, 0, 0, -1, 8),
    ) as tiles:  # fmt: skip
        tiles.write(np.full((1, 8, 8), 7, np.uint8))
    fields(3).to_file(path, layer="parcels", layer_metadata={"by": "me"})
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), path, layer="table", append=True)
    query(path, "CREATE TABLE unlisted AS SELECT 42 AS answer")
    return path


def test_other_layers_tiles_tables_styles_and_metadata_live(project: Path):
    parcels = query(project, "SELECT * FROM parcels")
    for count in (2, 1):  # added, then replaced
        sinks.write(fields(count), project, layer="Objects" if count == 2 else "objects", metadata={"n": count})
        assert layers(project) >= {"parcels", "Objects"}
        assert len(gpd.read_file(project, layer="objects")) == count
        assert sinks.read_metadata(project) == {"n": count}
        assert query(project, "SELECT count(*) FROM layer_styles") == [(1,)]
        assert query(project, "SELECT answer FROM unlisted") == [(42,)]
        assert query(project, "SELECT * FROM parcels") == parcels
        assert pyogrio.read_info(project, layer="parcels")["layer_metadata"]["by"] == "me"
        with rasterio.open(f"GPKG:{project}:tiles") as tiles:
            assert tiles.read(1).max() == 7
        assert query(project, "PRAGMA integrity_check") == [("ok",)]
        assert query(project, "SELECT count(*) FROM rtree_Objects_geom") == [(count,)]
    assert os.listdir(project.parent) == [project.name]


def test_what_overwrite_means_for_a_geopackage(project: Path):
    sinks.write(fields(2), project, layer="objects", overwrite=False)  # a new layer destroys nothing
    with pytest.raises(SinkError, match="exists and has a layer 'OBJECTS'"):
        sinks.write(fields(1), project, layer="OBJECTS", overwrite=False)
    for name, kind in (("tiles", "tiles"), ("table", "attributes"), ("unlisted", "table")):
        with pytest.raises(SinkError, match=kind):
            sinks.write(fields(1), project, layer=name)
    assert len(gpd.read_file(project, layer="objects")) == 2


@pytest.mark.parametrize("what", [b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_what_is_no_geopackage_is_replaced_only_if_it_may_be(tmp_path: Path, what: bytes):
    path = tmp_path / "a.gpkg"
    path.write_bytes(what)
    with pytest.raises(SinkError, match="no GeoPackage"):
        sinks.write(fields(), path, overwrite=False)
    assert path.read_bytes() == what
    assert layers(sinks.write(fields(), path)) == {"a"}


def test_a_layer_alone_is_replaced_by_the_same_bytes(tmp_path: Path):
    path = sinks.write(fields(), tmp_path / "a.gpkg")
    before = path.read_bytes()
    sinks.write(fields(1), path)
    assert sinks.write(fields(), path).read_bytes() == before


def test_a_users_own_style_stays_the_default(tmp_path: Path):
    path = sinks.write(fields(), tmp_path / "a.gpkg")
    query(
        path, "INSERT INTO layer_styles (f_table_name, styleName, styleQML, useAsDefault) VALUES ('a', 'mine', 'x', 1)"
    )
    query(path, "UPDATE layer_styles SET useAsDefault = 0 WHERE styleName = 'geosam'")
    sinks.write(fields(1), path)
    assert len(gpd.read_file(path, layer="a")) == 1
    assert query(path, "SELECT styleName, useAsDefault FROM layer_styles ORDER BY 1") == [("geosam", 0), ("mine", 1)]


def test_what_lies_in_the_log_of_a_geopackage_comes_along_and_an_open_one_is_refused(project: Path):
    with closing(sqlite3.connect(project)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("INSERT INTO unlisted VALUES (43)")
        other.commit()
        with pytest.raises(SinkError, match="open in another program"):
            sinks.write(fields(), project, layer="objects")
    sinks.write(fields(), project, layer="objects")
    assert query(project, "SELECT answer FROM unlisted") == [(42,), (43,)]


def test_a_geopackage_that_changes_meanwhile_is_left_alone(project: Path, monkeypatch: pytest.MonkeyPatch):
    written = sinks.write_geopackage

    def meanwhile(*args: object, **how: object) -> None:
        query(project, "INSERT INTO unlisted VALUES (44)")
        written(*args, **how)  # pyright: ignore[reportArgumentType]  # handed through

    monkeypatch.setattr(sinks, "write_geopackage", meanwhile)
    with pytest.raises(SinkError, match="was changed"):
        sinks.write(fields(), project, layer="objects")
    assert query(project, "SELECT max(answer) FROM unlisted") == [(44,)]
    assert "objects" not in layers(project)


# --------------------------------------------------------------------------------- newcomers, locks, several at once


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_stays_and_no_output_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
):
    def none(*_: object) -> None:
        raise PermissionError("no hard links here")

    if not links:
        monkeypatch.setattr("geosam.sinks.commit.os.link", none)
    paths = [tmp_path / "a.png", tmp_path / "b.tif", tmp_path / "c.parquet"]
    real = os.replace

    def late(source: str, target: str) -> None:  # between the last look and the moves
        real(source, target)
        if Path(target).name == RECORD:
            paths[2].write_bytes(b"newcomer")

    with Outputs(paths, overwrite=False) as outputs:
        for path in paths:
            outputs.place(path).part.write_bytes(b"new")
        monkeypatch.setattr("geosam.sinks.commit.os.replace", late)
        with pytest.raises(SinkError, match=r"c\.parquet appeared"):
            outputs.commit()
    assert paths[2].read_bytes() == b"newcomer"
    assert os.listdir(tmp_path) == ["c.parquet"]


def test_every_output_is_locked(tmp_path: Path, scene: Path):
    with staged(tmp_path / "labels.tif") as part:
        with pytest.raises(SinkError, match=f"labels.tif is being written by process {os.getpid()}"):
            geosam.segment_to_file(scene, tmp_path / "b.gpkg", labels=tmp_path / "labels.tif", **SMALL)
        part.write_bytes(b"whole")
    assert set(os.listdir(tmp_path)) == {"labels.tif", "scene.tif"}


KILLED = """
import os, signal, sys
from pathlib import Path
from geosam.sinks import Outputs

folder, at, key = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
changes, seen = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "fcntl.flock", "os.chmod"), []

def hook(event, args):
    if event in changes:
        seen.append(event)
        if len(seen) == at:
            os.kill(os.getpid(), signal.SIGKILL)

paths = [folder / "a.png", folder / "b.tif", folder / "c.parquet"]
for at in [at] if at else range(1, 1000):  # without a number: all of them, each in a process of its own
    pid = os.fork()
    if pid == 0:
        seen.clear()
        sys.addaudithook(hook)
        with Outputs(paths, overwrite=True, key=key) as outputs:
            if outputs.done is None:
                for path in paths:
                    outputs.place(path).part.write_bytes(b"new" + path.name.encode())
                outputs.commit({"objects": 3})
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        break
    kept = {path.read_bytes() == b"new" + path.name.encode() for path in paths if path.exists()}
    with Outputs(paths, overwrite=True, key=key) as outputs:
        done = outputs.done
        if done is None:
            for path in paths:
                outputs.place(path).part.write_bytes(b"new" + path.name.encode())
            outputs.commit({"objects": 3})
    assert done in (None, {"objects": 3}), done
    assert len(kept) < 2 or done is not None, (at, "a mixture that was not finished")
    assert all(path.read_bytes() == b"new" + path.name.encode() for path in paths), at
    assert sorted(os.listdir(folder)) == sorted(path.name for path in paths), (at, os.listdir(folder))
    for path in paths:
        path.write_bytes(b"old")
        Path(f"{path}.aux.xml").write_bytes(b"old")
print(at)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
def test_killed_at_any_change_of_the_disk_all_outputs_appear_after_the_rerun_or_none(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "0", "run"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@pytest.mark.parametrize("name", ["a.gpkg", "a.tif"])
def test_the_folder_of_a_run_that_was_killed_after_its_last_move_goes(tmp_path: Path, name: str):
    def refused() -> None:
        with pytest.raises(SinkError, match="exists"):
            sinks.check_writable(tmp_path / name, formats=(".gpkg", ".tif"), overwrite=False)

    folder = tmp_path / f".{name}.geosam"
    if name == "a.gpkg":
        sinks.write(fields(), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(b"whole")
    folder.mkdir()
    (folder / "lock").touch()
    held = LockedFolder(folder, name)
    refused()
    assert folder.is_dir()
    held.release()
    refused()
    assert os.listdir(tmp_path) == [name]


def committed_then_killed(scene: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **how: object) -> dict[str, Path]:
    """Run until the record is written and one output moved, then stop as a kill would."""
    asked = {"output": folder / "out.gpkg", "labels": folder / "out.tif", "picture": folder / "out.png"}

    class KilledError(BaseException):
        pass

    def killed(commit: Commit) -> None:
        first = commit.moves[0]
        os.link(first.staged, first.target)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Commit, "carry_out", killed)
        with pytest.raises(KilledError):
            geosam.segment_to_file(scene, **asked, overwrite=False, **SMALL, **how)
    return asked


def test_a_rerun_finds_that_all_was_done_and_only_gives_the_outputs_their_places(
    tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = committed_then_killed(scene, tmp_path, monkeypatch)
    report = geosam.segment_to_file(scene, **asked, overwrite=False, **SMALL)
    assert report.earlier
    assert report.objects == len(sinks.read_layer(asked["output"])) > 0
    assert report.outputs == list(asked.values())
    assert set(os.listdir(tmp_path)) == {"scene.tif", "out.gpkg", "out.tif", "out.png"}
    with pytest.raises(SinkError, match="exists"):
        geosam.segment_to_file(scene, **asked, overwrite=False, **SMALL)


def test_another_run_finishes_what_it_finds_and_does_its_own(
    tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = committed_then_killed(scene, tmp_path, monkeypatch)
    report = geosam.segment_to_file(scene, tmp_path / "other.gpkg", labels=asked["labels"], **SMALL)
    assert not report.earlier
    assert set(os.listdir(tmp_path)) - {".out.gpkg.geosam-journal"} == {
        "scene.tif", "out.gpkg", "out.tif", "out.png", "other.gpkg",
    }  # fmt: skip
    with pytest.raises(SinkError, match="exists"):  # another layer, another run
        geosam.segment_to_file(scene, **asked, layer="out", min_area=1.0, overwrite=False, **SMALL)


# ------------------------------------------------------------------------------------------------ disks and signals


FULL = """
import resource, sys
import numpy as np, geopandas as gpd, shapely
from geosam import sinks
from geosam.errors import SinkError
from odc.geo.geobox import GeoBox
from rasterio import Affine

x = 20.0 * np.arange(3000)
noise = np.random.default_rng(0).integers(0, 1 << 30, (512, 512)).astype(np.int32)
frame = gpd.GeoDataFrame({"t": list(map(str, noise.ravel()[:3000]))}, geometry=shapely.box(x, 0, x + 10, 10), crs=32633)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (2_000, 60_000, 300_000):
    for suffix in (".gpkg", ".fgb", ".geojson", ".parquet", ".tif"):
        path = sys.argv[1] + "/a" + suffix
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            if suffix == ".tif":
                with sinks.LabelSink(path, GeoBox((512, 512), Affine(1, 0, 0, 0, -1, 0), "EPSG:32633")) as sink:
                    sink.write(0, noise)
            else:
                sinks.write(frame, path)
            said = ""
        except SinkError as error:
            said = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        print(size, suffix, said.replace(sys.argv[1], ""))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs limits of file sizes")
def test_a_disk_that_takes_no_more_is_said_in_one_line_and_nothing_is_left(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        size, suffix, said = line.split(" ", 2)
        whole = (tmp_path / f"a{suffix}").exists()
        assert (said == "" and whole) or re.search("the file is larger than|the disk is full", said), line
        assert int(size) > 100_000 or said, line
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_ctrl_c_while_a_layer_is_written_is_ctrl_c(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"former")
    real = sinks.table.Spool.batches

    def interrupted(self: sinks.table.Spool):
        signal.raise_signal(signal.SIGINT)
        yield from real(self)

    monkeypatch.setattr(sinks.table.Spool, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sinks.write(fields(), path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == [path.name]
