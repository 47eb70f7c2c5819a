"""A catalog in this process: every scene once, nothing that fails lost or hidden, nothing done twice."""

import errno
import json
import os
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

import geosam
from geosam.catalog import (
    Manifest,
    RunFolder,
    change_catalog,
    encode_catalog,
    landcover_catalog,
    merge,
    segment_catalog,
)
from geosam.catalog import tasks as tasks_module
from geosam.catalog.job import ModelSpec
from geosam.errors import CatalogError, ModelError, OptionError, PromptError, SinkError
from geosam.store import EmbeddingStore
from geosam.testing import StubNetwork, TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import CRS, TRANSFORM

SIDE = 48
SHAPE = (64, 96)
SMALL = {"model": TruthNetwork(side=SIDE), "spacing_px": 8}


def place(number: int):
    """The grid of the scene of that number: each lies east of the one before."""
    return TRANSFORM @ TRANSFORM.translation(number * (SHAPE[1] + 32), 0)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    """Three scenes with their truth, side by side."""
    folder = tmp_path_factory.mktemp("originals")
    for number, name in enumerate("abc"):
        labels = blob_labels(SHAPE, count=6, large=1, seed=number)
        label_scene(folder / f"{name}.tif", labels, transform=place(number))
    return folder


@pytest.fixture
def scenes(originals: Path, tmp_path: Path) -> Path:
    """The scenes for a test to change."""
    return shutil.copytree(originals, tmp_path / "scenes")


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every part and label raster, by name."""
    kinds = ("parts/*.parquet", "labels/*.tif")
    return {str(path.relative_to(folder)): path.read_bytes() for kind in kinds for path in folder.glob(kind)}


def break_block(path: Path) -> None:
    """Damage the pixels of a file, not its header."""
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(64))


@pytest.fixture(scope="module")
def clicks(originals: Path) -> gpd.GeoDataFrame:
    """A point in every object of the truth, with an id of the whole catalog."""
    found = [geosam.segment(path, **SMALL).geometry for path in sorted(originals.iterdir())]
    points = [point for geometry in found for point in geometry.representative_point()]
    return gpd.GeoDataFrame({"house": [f"h{n}" for n in range(len(points))]}, geometry=points, crs=CRS)


class TestRun:
    def test_every_scene_gets_its_part_and_labels(self, scenes, tmp_path):
        report = segment_catalog(scenes, tmp_path / "run", labels=True, **SMALL)
        assert (report.scenes, report.done, report.kept, report.failed) == (3, 3, 0, [])
        folder = RunFolder(tmp_path / "run")
        rows = Manifest(folder.manifest).rows
        assert list(rows) == ["a", "b", "c"]
        for name, row in rows.items():
            alone = geosam.segment(scenes / f"{name}.tif", **SMALL)
            part = gpd.read_parquet(folder.part(name))
            assert (part.geometry.geom_equals_exact(alone.geometry, 0)).all()
            assert part.columns.drop("geometry").tolist() == alone.columns.drop("geometry").tolist()
            assert row.objects == len(part) > 0
            assert row.area_m2 == pytest.approx(part.area_m2.sum(), abs=1e-3)
            assert row.status == "done"
            assert (row.crs, row.attempts) == (CRS, 1)
            with rasterio.open(folder.label(name)) as labels:
                assert labels.read(1).max() == part.object_id.max()
        assert report.objects == sum(row.objects for row in rows.values())

    def test_a_rerun_does_nothing(self, scenes, tmp_path):
        segment_catalog(scenes, tmp_path / "run", **SMALL)
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "parts").iterdir()}
        report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert (report.kept, report.done) == (3, 0)
        assert report.objects > 0
        assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "parts").iterdir()}

    def test_a_rerun_does_what_has_changed(self, scenes, tmp_path):
        segment_catalog(scenes, tmp_path / "run", **SMALL)
        label_scene(scenes / "b.tif", blob_labels(SHAPE, count=3, large=0, seed=9), transform=place(1))
        (tmp_path / "run" / "parts" / "c.parquet").unlink()
        label_scene(scenes / "d.tif", blob_labels(SHAPE, count=3, large=0, seed=9), transform=place(3))
        report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert (report.scenes, report.kept, report.done) == (4, 1, 3)
        assert segment_catalog(scenes, tmp_path / "run", **SMALL, min_area=5).done == 4
        assert segment_catalog(scenes, tmp_path / "run", **SMALL, min_area=5).done == 0
        assert segment_catalog(scenes, tmp_path / "run", **SMALL, min_area=5, labels=True).done == 4

    def test_threads_give_the_same_bytes(self, scenes, tmp_path):
        segment_catalog(scenes, tmp_path / "one", labels=True, **SMALL)
        segment_catalog(scenes, tmp_path / "two", labels=True, threads=2, **SMALL)
        assert content(tmp_path / "one") == content(tmp_path / "two")

    def test_pieces_give_the_same_bytes(self, scenes, tmp_path):
        segment_catalog(scenes, tmp_path / "one", labels=True, **SMALL)
        report = segment_catalog(scenes, tmp_path / "two", labels=True, threads=2, split=2, **SMALL)
        assert report.done == 3
        assert content(tmp_path / "one") == content(tmp_path / "two")
        assert not [path for path in (tmp_path / "two" / "parts").iterdir() if path.name.startswith(".")]

    def test_bands_of_several_rasters(self, scenes, tmp_path):
        (tmp_path / "bands").mkdir()
        with rasterio.open(scenes / "a.tif") as source:
            for number in (1, 2, 3):
                profile = source.profile | {"count": 1, "photometric": "minisblack"}
                with rasterio.open(tmp_path / "bands" / f"{number}.tif", "w", **profile) as target:
                    target.write(source.read(number), 1)
        item = geosam.catalog.Item("a", tuple(str(tmp_path / "bands" / f"{number}.tif") for number in (1, 2, 3)))
        assert segment_catalog([item], tmp_path / "run", **SMALL).done == 1
        alone = geosam.segment(scenes / "a.tif", **SMALL)
        part = gpd.read_parquet(tmp_path / "run" / "parts" / "a.parquet")
        assert part.geometry.geom_equals_exact(alone.geometry, 0).all()

    def test_an_area_of_interest_crops_and_leaves_out(self, scenes, tmp_path):
        whole = geosam.open_scene(scenes / "b.tif").geobox.extent.geom
        area = gpd.GeoSeries([shapely.box(*whole.buffer(-10, join_style="mitre").bounds)], crs=CRS)
        report = segment_catalog(scenes, tmp_path / "run", aoi=area, **SMALL)
        assert report.scenes == report.done == 1
        part = gpd.read_parquet(tmp_path / "run" / "parts" / "b.parquet")
        assert area[0].buffer(0.5).contains(part.geometry.union_all())

    def test_an_empty_scene_is_an_empty_part(self, tmp_path):
        (tmp_path / "scenes").mkdir()
        label_scene(tmp_path / "scenes" / "none.tif", np.zeros(SHAPE, np.int32))
        report = segment_catalog(tmp_path / "scenes", tmp_path / "run", **SMALL)
        assert (report.done, report.objects) == (1, 0)
        assert len(gpd.read_parquet(tmp_path / "run" / "parts" / "none.parquet")) == 0


class TestPrompts:
    @pytest.mark.parametrize("suffix", [".gpkg", ".parquet", None])
    def test_each_scene_takes_its_own(self, scenes, tmp_path, clicks, suffix):
        prompts = clicks
        if suffix:
            prompts = tmp_path / f"clicks{suffix}"
            clicks.to_crs(4326).to_parquet(prompts) if suffix == ".parquet" else clicks.to_crs(4326).to_file(prompts)
        report = segment_catalog(scenes, tmp_path / "run", prompts, id_column="house", **SMALL)
        assert report.objects == len(clicks)
        found = gpd.GeoDataFrame(gpd.pd.concat(map(gpd.read_parquet, sorted((tmp_path / "run/parts").iterdir()))))
        assert sorted(found.prompt_id) == sorted(clicks.house)
        assert all(row.skipped == 0 for row in Manifest(tmp_path / "run" / "manifest.jsonl").rows.values())

    def test_a_scene_without_prompts_is_an_empty_part_and_reads_no_window(self, scenes, tmp_path, clicks):
        segment_catalog(scenes, tmp_path / "run", clicks.iloc[:1], **SMALL)
        rows = Manifest(tmp_path / "run" / "manifest.jsonl").rows
        assert [rows[name].objects for name in "abc"] == [1, 0, 0]
        assert [rows[name].windows for name in "bc"] == [0, 0]

    def test_embeddings_made_before_are_used(self, scenes, tmp_path, clicks):
        report = encode_catalog(scenes, tmp_path / "run", model=SMALL["model"])
        assert report.done == 3
        assert EmbeddingStore(tmp_path / "run" / "embeddings").stats().entries > 0
        assert encode_catalog(scenes, tmp_path / "run", model=SMALL["model"]).kept == 3
        segment_catalog(scenes, tmp_path / "run", clicks.iloc[:3], **SMALL)
        rows = Manifest(tmp_path / "run" / "manifest.jsonl").rows.values()
        assert sum(row.recalled for row in rows) > 0
        assert sum(row.encoded for row in rows) == 0

    def test_prompts_that_are_none(self, scenes, tmp_path):
        with pytest.raises(PromptError):
            segment_catalog(scenes, tmp_path / "run", tmp_path / "nowhere.gpkg", **SMALL)
        with pytest.raises(OptionError):
            segment_catalog(scenes, tmp_path / "run", id_column="house", **SMALL)


class TestFaults:
    def test_what_fails_is_named_and_the_rest_is_done(self, scenes, tmp_path):
        shutil.copy(scenes / "b.tif", tmp_path / "whole.tif")
        break_block(scenes / "b.tif")
        (scenes / "c.tif").write_text("no raster")
        report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert report.done == 1
        assert [row.name for row in report.failed] == ["b", "c"]
        assert "cannot be read" in report.failed[0].reason
        assert "cannot be opened" in report.failed[1].reason
        assert [row.attempts for row in report.failed] == [1, 1]
        assert not (tmp_path / "run" / "parts" / "b.parquet").exists()
        shutil.copy(tmp_path / "whole.tif", scenes / "b.tif")
        again = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert (again.kept, again.done, [row.name for row in again.failed]) == (1, 1, ["c"])

    def test_a_passing_fault_is_tried_again(self, scenes, tmp_path, monkeypatch):
        real, calls = tasks_module.segment_to_file, []

        def flaky(scene, *args, **kwargs):
            calls.append(scene.name)
            if calls.count("b") == 1 and scene.name == "b":
                raise SinkError("the file server is away") from OSError(errno.ESTALE, "stale file handle")
            return real(scene, *args, **kwargs)

        monkeypatch.setattr(tasks_module, "segment_to_file", flaky)
        monkeypatch.setattr(tasks_module, "PAUSE_S", 0)
        assert segment_catalog(scenes, tmp_path / "run", **SMALL).done == 3
        assert Manifest(tmp_path / "run" / "manifest.jsonl").rows["b"].attempts == 2

    def test_a_full_disk_fails_a_scene_and_is_not_tried_again(self, scenes, tmp_path, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "no space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(tasks_module, "segment_to_file", full)
            report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert len(report.failed) == 3
        assert "no space left" in report.failed[0].reason
        assert segment_catalog(scenes, tmp_path / "run", **SMALL).done == 3

    def test_a_bug_in_one_scene_does_not_end_the_others(self, scenes, tmp_path, monkeypatch):
        real = tasks_module.footprint_of

        def broken(scene, area):
            return real(scene, area) if scene.name != "a" else {}["nothing"]

        monkeypatch.setattr(tasks_module, "footprint_of", broken)
        report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert report.done == 2
        assert report.failed[0].reason == "unexpected KeyError: 'nothing'"

    @pytest.mark.parametrize("how", [{}, {"threads": 2}, {"threads": 2, "split": 2}])
    def test_an_interrupted_run_goes_on(self, scenes, tmp_path, monkeypatch, how):
        class Interrupting(TruthNetwork):
            calls = 0

            def encode(self, pixels):
                Interrupting.calls += 1
                if Interrupting.calls == 7:
                    raise KeyboardInterrupt
                return super().encode(pixels)

        settings = SMALL | {"model": Interrupting(side=SIDE)}
        monkeypatch.setattr(ModelSpec, "of", classmethod(lambda cls, model: cls(model, model.key)))
        with pytest.raises(KeyboardInterrupt):
            segment_catalog(scenes, tmp_path / "run", labels=True, **how, **settings)
        kept = len(Manifest(tmp_path / "run" / "manifest.jsonl").rows)
        assert kept < 3
        assert segment_catalog(scenes, tmp_path / "run", labels=True, **how, **settings).kept == kept
        segment_catalog(scenes, tmp_path / "whole", labels=True, **SMALL)
        assert content(tmp_path / "run") == content(tmp_path / "whole")

    def test_a_line_cut_short_does_not_hurt(self, scenes, tmp_path):
        segment_catalog(scenes, tmp_path / "run", **SMALL)
        manifest = tmp_path / "run" / "manifest.jsonl"
        manifest.write_bytes(manifest.read_bytes()[:-20])
        report = segment_catalog(scenes, tmp_path / "run", **SMALL)
        assert (report.kept, report.done) == (2, 1)
        assert len(Manifest(manifest).rows) == 3
        assert sum(1 for line in manifest.read_text().splitlines() if not line.endswith("}")) == 1

    def test_two_runs_in_one_folder_are_refused(self, scenes, tmp_path):
        from geosam.locks import Lock

        RunFolder.create(tmp_path / "run")
        with Lock(tmp_path / "run" / ".lock", "run"), pytest.raises(SinkError, match="being written by process"):
            segment_catalog(scenes, tmp_path / "run", **SMALL)

    def test_wrong_calls(self, scenes, tmp_path):
        with pytest.raises(OptionError, match="unknown option colour"):
            segment_catalog(scenes, tmp_path / "run", colour="red")
        with pytest.raises(OptionError, match="together"):
            segment_catalog(scenes, tmp_path / "run", workers=2, threads=2)
        with pytest.raises(ModelError):
            segment_catalog(scenes, tmp_path / "run", model="vit_x")
        with pytest.raises(CatalogError):
            segment_catalog(tmp_path / "nowhere", tmp_path / "run")
        (tmp_path / "file").touch()
        with pytest.raises(SinkError):
            segment_catalog(scenes, tmp_path / "file", **SMALL)


def test_a_loaded_network_does_not_travel():
    with pytest.raises(ModelError, match="a loaded network"):
        ModelSpec.of(geosam.load_model("nano"))
    assert ModelSpec.of("nano").key.startswith("nano-")
    assert ModelSpec.of(StubNetwork()).key == "stub"


def test_the_manifest_is_as_it_was_if_it_cannot_be_written(tmp_path):
    row = geosam.catalog.Row("a", "a.tif", "k", "done")
    with pytest.raises(SinkError, match="cannot be written"):
        Manifest(tmp_path / "nowhere" / "manifest.jsonl").append(row)
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.append(row)
    assert json.loads(manifest.path.read_text())["name"] == "a"
    assert os.listdir(tmp_path) == ["manifest.jsonl"]


VILLAGE = Path(__file__).parents[1] / "sample_data" / "village_before.tif"


def test_scenes_that_overlap_are_covered_once(tmp_path):
    """Every pixel of two scenes that share 64 columns lies in exactly one segment, and none in a gap."""
    (tmp_path / "scenes").mkdir()
    for name, col in (("left", 0), ("right", 96)):
        with rasterio.open(VILLAGE) as village:
            window = rasterio.windows.Window(col, 0, 160, 128)
            pixels = village.read(window=window)
            profile = village.profile | {"width": 160, "height": 128, "transform": village.window_transform(window)}
        with rasterio.open(tmp_path / "scenes" / f"{name}.tif", "w", **profile) as scene:
            scene.write(pixels)
    folder = tmp_path / "run"
    assert segment_catalog(tmp_path / "scenes", folder, coverage=True).failed == []
    found = gpd.read_parquet(merge(folder, tmp_path / "all.parquet", once=True).path)
    assert found.area.sum() == pytest.approx(256 * 128 * abs(profile["transform"].a) ** 2, rel=1e-6)
    assert found.union_all().area == pytest.approx(found.area.sum(), rel=1e-9)
    assert set(found.scene) == {"left", "right"}
    alone = gpd.read_parquet(folder / "parts" / "left.parquet")
    assert found[found.scene == "left"].geometry.reset_index(drop=True).equals(alone.geometry)
    with pytest.raises(OptionError, match="coverage with prompts"):
        segment_catalog(tmp_path / "scenes", folder, alone, coverage=True)


@pytest.mark.parametrize("inside", ["", "labels", "parts"])
def test_results_are_written_apart_from_the_scenes(scenes, tmp_path, inside):
    run = tmp_path / "run"
    shutil.copytree(scenes, run / inside, dirs_exist_ok=True)
    before = sorted(run.rglob("*"))
    with pytest.raises(SinkError, match="holds the scene 'a': expected a folder of its own"):
        segment_catalog(sorted((run / inside).glob("*.tif")), run, **SMALL)
    with pytest.raises(SinkError, match="a folder of its own"):
        landcover_catalog(run / inside, run / inside, tmp_path / "no.geosam")
    assert sorted(run.rglob("*")) == before


def test_objects_are_none_of_the_results_of_a_change(scenes, clicks, tmp_path):
    """Two dates by name: the file of the objects lies where the layer of all dates is written."""
    (run := tmp_path / "run").mkdir()
    clicks.to_file(run / "change.gpkg")
    kept = (run / "change.gpkg").read_bytes()
    shutil.copy(scenes / "a.tif", scenes / "later.tif")
    rows = {"path": [str(scenes / "a.tif"), str(scenes / "later.tif")], "datetime": ["2024-01-01", "2024-03-01"]}
    with pytest.raises(SinkError, match="is read by this run"):
        change_catalog(gpd.pd.DataFrame(rows), run, run / "change.gpkg", event="2024-02-01", model=SMALL["model"])
    assert (run / "change.gpkg").read_bytes() == kept
