"""What may befall the folder of a run, its parts and the addresses of its scenes: named or made again, never silent."""

import os
import random
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import geopandas as gpd
import pytest
import rasterio

from geosam.catalog import Item, Manifest, RunFolder, encode_catalog, merge, report, segment_catalog
from geosam.catalog import job as job_module
from geosam.catalog import tasks as tasks_module
from geosam.catalog.job import ModelSpec
from geosam.errors import CatalogError, GeosamError, SinkError
from geosam.locks import Lock
from geosam.models import load_model, weights_path
from geosam.models.specs import SPECS
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import TRANSFORM

SHAPE = (64, 96)
SMALL = {"model": TruthNetwork(side=48), "spacing_px": 8}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number, name in enumerate("abc"):
        labels = blob_labels(SHAPE, count=4, large=0, seed=number)
        label_scene(folder / f"{name}.tif", labels, transform=TRANSFORM @ TRANSFORM.translation(number * 128, 0))
    return folder


@pytest.fixture(scope="module")
def finished(scenes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    segment_catalog(scenes, folder, labels=True, **SMALL)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> RunFolder:
    """A finished run for a test to damage."""
    return RunFolder(shutil.copytree(finished, tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes]:
    kinds = ("parts/*.parquet", "labels/*.tif")
    return {str(path.relative_to(folder)): path.read_bytes() for kind in kinds for path in folder.glob(kind)}


def said_by(work) -> str:
    """What an error of ours says; nothing if there is none, and another kind goes on."""
    try:
        work()
    except GeosamError as error:
        return str(error)
    return ""


def flip(path: Path) -> None:
    """Change one byte in the middle of a file, not its size nor its time."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGE = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "one byte": flip,
    "another": lambda path: shutil.copy(path.with_name(f"a{path.suffix}"), path),
    "gone": Path.unlink,
}


class TestParts:
    @pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
    @pytest.mark.parametrize("of", ["part", "label"])
    def test_a_damaged_one_is_made_again_and_no_other(self, run, scenes, finished, damage, of):
        damage(getattr(run, of)("b"))
        if of == "part":
            with pytest.raises(CatalogError, match="no result: b; the parts of b are damaged: run the catalog again"):
                merge(run.path, run.path.parent / "all.gpkg")
            assert merge(run.path, run.path.parent / "some.gpkg", allow_failures=True).missing == ("b",)
        again = segment_catalog(scenes, run.path, labels=True, **SMALL)
        assert (again.kept, again.done) == (2, 1)
        assert content(run.path) == content(finished)

    def test_a_folder_in_the_place_of_one_is_a_failure_of_that_scene(self, run, scenes):
        run.part("b").unlink()
        run.part("b").mkdir()
        again = segment_catalog(scenes, run.path, labels=True, **SMALL)
        assert [row.name for row in again.failed] == ["b"]
        assert again.kept == 2

    def test_a_scene_that_changes_while_it_is_read_has_no_result(self, scenes, tmp_path, monkeypatch):
        copies = shutil.copytree(scenes, tmp_path / "scenes")
        result = tasks_module._result

        def change(station, scene, part):
            found = result(station, scene, part)
            if part.stem == "b":
                os.utime(copies / "b.tif", ns=(1, 1))
            return found

        monkeypatch.setattr(tasks_module, "_result", change)
        found = segment_catalog(copies, tmp_path / "run", **SMALL)
        assert [(row.name, "changed" in row.reason) for row in found.failed] == [("b", True)]


class TestFiles:
    """The files of a run, damaged in many ways."""

    @staticmethod
    def mutate(data: bytes, dice: random.Random) -> bytes:
        at, end = sorted(dice.sample(range(len(data) + 1), 2))
        deep = b"[" * 100_000
        values = [b"null", b"NaN", b"-1e999", b"true", b"{}", b'"\\ud800"', b"\xff\xfe", deep, b"9" * 400, b"\n", b"\0"]
        value = dice.choice(values)
        return dice.choice([data[:at], data[at:], data[:at] + data[end:], data[:at] + value + data[end:], value])

    @pytest.mark.parametrize("name", ["manifest.jsonl", "scenes.jsonl", "run.json"])
    def test_damaged_ones_are_refused_in_one_line_or_made_again(self, run, scenes, finished, name):
        path, dice = run.path / name, random.Random(name)
        whole = path.read_bytes()
        for _ in range(12):
            path.write_bytes(self.mutate(whole, dice))
            for look in (partial(merge, run.path, run.path.parent / "all.gpkg"), partial(report, run.path)):
                assert "\n" not in said_by(look)
        segment_catalog(scenes, run.path, labels=True, **SMALL)
        assert content(run.path) == content(finished)
        assert merge(run.path, run.path.parent / "all.gpkg").scenes == 3

    def test_a_value_that_was_changed_is_not_believed(self, run):
        rows = (run.manifest).read_text()
        run.manifest.write_text(rows.replace('"objects": ', '"objects": 1'))
        assert Manifest(run.manifest).rows == {}
        run.manifest.write_bytes(run.scenes.read_bytes())
        assert report(run.path).counts["pending"] == 3
        run.scenes.write_text("".join(run.scenes.read_text().splitlines(keepends=True)[:2]))
        with pytest.raises(CatalogError, match="no whole list of what was asked for"):
            merge(run.path, run.path.parent / "all.gpkg")
        run.scenes.write_text(run.facts.read_text() * 3)  # as many whole lines, of another file
        with pytest.raises(CatalogError, match="no whole list of what was asked for"):
            merge(run.path, run.path.parent / "all.gpkg")

    @pytest.mark.parametrize("name", ["manifest.jsonl", "scenes.jsonl", "run.json", "parts"])
    @pytest.mark.parametrize("what", ["folder", "pipe", "loop"])
    def test_something_else_in_their_place_is_one_line(self, run, scenes, name, what):
        path = run.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if what == "folder":
            (path / "x").mkdir(parents=True)
        else:
            os.mkfifo(path) if what == "pipe" else path.symlink_to(path)
        for look in (
            partial(merge, run.path, run.path.parent / "all.gpkg"),
            partial(report, run.path),
            partial(segment_catalog, scenes, run.path, labels=True, **SMALL),
        ):
            assert "\n" not in said_by(look)

    def test_outputs_are_no_files_of_the_run_nor_what_it_read(self, run, scenes, tmp_path):
        before = content(run.path)
        for output in (run.part("a"), run.path / "prompts.parquet", run.path / "embeddings" / "x.parquet"):
            output.parent.mkdir(exist_ok=True)
            with pytest.raises(SinkError):
                merge(run.path, output)
        (tmp_path / "linked").symlink_to(run.parts)
        with pytest.raises(SinkError):
            merge(run.path, tmp_path / "linked" / "b.parquet")
        for page in (run.manifest, run.part("a"), scenes / "a.tif", run.parts / "a.html"):
            with pytest.raises(SinkError):
                report(run.path, page)
        assert content(run.path) == before

    def test_a_run_in_the_folder_of_another_is_refused(self, run, scenes):
        with Lock(run.path / ".lock", "run"), pytest.raises(SinkError, match="is being written"):
            segment_catalog(scenes, run.path, labels=True, **SMALL)

    def test_a_folder_with_a_name_that_is_none(self, scenes):
        with pytest.raises(SinkError):
            segment_catalog(scenes, "a\0b", **SMALL)


class TestItems:
    def test_one_with_a_problem_is_a_row_and_the_others_are_done(self, scenes, tmp_path):
        broken = Item.broken("b\x1b[31m", CatalogError("item 'b' has no asset"))
        items = [Item("a", (str(scenes / "a.tif"),)), broken]
        found = segment_catalog(items, tmp_path / "run", **SMALL)
        assert found.done == 1
        assert [(row.name, row.reason) for row in found.failed] == [("b_31m", "item 'b' has no asset")]
        assert report(tmp_path / "run").counts["failed"] == 1
        assert merge(tmp_path / "run", tmp_path / "all.gpkg", allow_failures=True).missing == ("b_31m",)
        found = encode_catalog(items, tmp_path / "run", **SMALL)
        assert (found.done, len(found.failed)) == (1, 1)

    def test_names_that_differ_in_case_and_are_as_long_as_can_be(self, scenes, tmp_path):
        items = [Item(name, (str(scenes / "a.tif"),)) for name in ("x" * 100, "X" * 100)]
        assert segment_catalog(items, tmp_path / "run", labels=True, **SMALL).failed == []


class TestSecrets:
    @pytest.fixture
    def address(self, scenes, tmp_path):
        """A server of the scenes, and of the three bands of one."""
        served = shutil.copytree(scenes, tmp_path / "served")
        with rasterio.open(served / "a.tif") as source:
            for number in (1, 2, 3):
                profile = source.profile | {"count": 1, "photometric": "minisblack"}
                with rasterio.open(served / f"band{number}.tif", "w", **profile) as target:
                    target.write(source.read(number), 1)

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()
        thread.join(10)

    def test_they_are_stored_nowhere_and_another_signature_is_the_same_scene(self, address, tmp_path):
        def items(secret):
            signed = [f"{address}/{name}.tif?sig={secret}" for name in ("a", "band1", "band2", "band3", "gone")]
            return [Item("a", (signed[0],)), Item("stack", tuple(signed[1:4])), Item("gone", (signed[4],))]

        folder = tmp_path / "run"
        found = segment_catalog(items("s3cr3t"), folder, labels=True, retries=0, **SMALL)
        assert (found.done, [row.name for row in found.failed]) == (2, ["gone"])
        merge(folder, tmp_path / "all.gpkg", allow_failures=True)
        report(folder)
        assert "s3cr3t" not in found.failed[0].reason
        for path in [*folder.rglob("*"), tmp_path / "all.gpkg"]:
            assert path.is_dir() or b"s3cr3t" not in path.read_bytes(), path
        whole, stack = (gpd.read_parquet(folder / "parts" / f"{name}.parquet").geometry for name in ("a", "stack"))
        assert whole.geom_equals_exact(stack, 0).all()
        assert segment_catalog(items("0ther"), folder, labels=True, retries=0, **SMALL).kept == 2


class TestModels:
    def test_a_spec_and_the_network_have_one_key(self, tmp_path):
        own = shutil.copy(weights_path(SPECS["nano"]), tmp_path / "own.safetensors")
        for name in ("nano", str(own)):
            spec = ModelSpec.of(name)
            assert (spec.key, spec.dtype) == (load_model(name).key, "float32")
            assert spec.load().key == spec.key

    def test_the_precision_is_part_of_the_key_and_travels(self, tmp_path, monkeypatch):
        spec = SPECS["vit_b"]
        (tmp_path / "vit_b").write_bytes(b"weights")
        monkeypatch.setattr(job_module, "weights_path", lambda known: tmp_path / "vit_b")
        keys = {}
        for dtype in ("float32", "bfloat16"):
            monkeypatch.setattr(job_module, "quick_dtype", lambda device, dtype=dtype: getattr(job_module.torch, dtype))
            keys[dtype] = ModelSpec.of(spec.name)
        assert [one.dtype for one in keys.values()] == ["float32", "bfloat16"]
        assert keys["bfloat16"].key == f"{keys['float32'].key}-bfloat16"
        asked = {}
        network = TruthNetwork()
        monkeypatch.setattr(job_module, "to_network", lambda source, **how: asked.update(how, source=source) or network)
        keys["bfloat16"].load("cuda:1")
        assert asked == {"source": "vit_b", "device": "cuda:1", "dtype": "bfloat16"}
