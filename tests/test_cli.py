"""The command line, used as a user would: what it prints, what it leaves, and with which exit code."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import rasterio
import shapely
import torch
from geopandas.testing import assert_geodataframe_equal
from typer.testing import CliRunner

import geosam.pipeline.request
from geosam.cli import app
from geosam.sinks import read_layer, read_metadata
from geosam.testing import TruthNetwork, label_scene, parcel_labels

SIDE = 128
COUNT = 12


@pytest.fixture(autouse=True)
def perfect(monkeypatch, tmp_path):
    """Every name of a model but a wrong one stands for the perfect network; the cache folder is the test's own."""
    real = geosam.pipeline.request.load_model
    truth = TruthNetwork(side=SIDE)
    monkeypatch.setattr(
        geosam.pipeline.request, "load_model", lambda name, **how: truth if str(name) == "nano" else real(name, **how)
    )
    monkeypatch.setenv("GEOSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])


@pytest.fixture
def scene(tmp_path) -> Path:
    return label_scene(tmp_path / "scene.tif", parcel_labels((200, 300), count=COUNT, seed=4))


def run(*words, code=0):
    """Run a command in this process; returns what it printed."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, f"{done.exit_code}: {done.output} {done.exception!r}"
    return done


def complaint(*words, code=1) -> str:
    """The one line on stderr of a command that fails."""
    done = run(*words, code=code)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


class TestSegment:
    def test_everything_with_all_outputs(self, scene, tmp_path):
        outputs = [tmp_path / name for name in ("out.gpkg", "labels.tif", "look.png")]
        said = run(
            "segment", scene, "-o", outputs[0], "--labels", outputs[1], "--picture", outputs[2], "--spacing", 4
        ).stdout
        layer = read_layer(outputs[0])
        assert len(layer) == COUNT
        assert f"{COUNT} objects" in said
        assert all(path.exists() and path.name in said for path in outputs)
        with rasterio.open(outputs[1]) as labels:
            assert labels.read(1).max() == COUNT

    @pytest.mark.parametrize("suffix", [".parquet", ".fgb", ".geojson"])
    def test_a_picture_is_drawn_from_every_format(self, scene, tmp_path, suffix):
        run("segment", scene, "-o", tmp_path / f"out{suffix}", "--picture", tmp_path / "look.png", "--spacing", 8)
        assert (tmp_path / "look.png").stat().st_size > 0

    def test_where_and_how_the_model_computes(self, scene, tmp_path, monkeypatch):
        told, cores = {}, torch.get_num_threads()
        truth = TruthNetwork(side=SIDE)
        monkeypatch.setattr(geosam.pipeline.request, "load_model", lambda _, **how: told.update(how) or truth)
        try:
            how = ("--device", "cpu", "--dtype", "bfloat16", "--threads", 1)
            run("segment", scene, "-o", tmp_path / "out.gpkg", "--spacing", 8, *how)
            assert torch.get_num_threads() == 1
        finally:
            torch.set_num_threads(cores)
        assert told == {"device": "cpu", "dtype": "bfloat16"}

    def test_a_device_that_is_not_there_is_said_in_a_line(self, scene, tmp_path, monkeypatch):
        monkeypatch.setattr(geosam.pipeline.request, "load_model", geosam.load_model)
        assert "'toaster'" in complaint("segment", scene, "-o", tmp_path / "out.gpkg", "--device", "toaster")
        assert not (tmp_path / "out.gpkg").exists()

    def test_more_cores_than_there_are_are_said_and_not_asked_of_the_machine(self, scene, tmp_path, monkeypatch):
        cores, told = torch.get_num_threads(), []
        monkeypatch.setattr("geosam.cli.machine.log.warning", lambda *said: told.append(said[0] % said[1:]))
        try:
            run("segment", scene, "-o", tmp_path / "out.gpkg", "--spacing", 8, "--threads", 10**9)
            assert torch.get_num_threads() <= os.cpu_count()
        finally:
            torch.set_num_threads(cores)
        assert told == [f"--threads 1000000000: this machine has {os.cpu_count()}, which are used"]

    def test_another_precision_is_wrong_usage(self, scene, tmp_path):
        done = run("segment", scene, "-o", tmp_path / "out.gpkg", "--dtype", "float64", code=2)
        assert "bfloat16" in done.stderr

    def test_clicks_and_boxes_each_give_a_polygon(self, scene, tmp_path):
        out = tmp_path / "out.gpkg"
        run("segment", scene, "-o", out, "--prompts-crs", "px", "--point", "150,100", "--box", "5,5,60,60")
        assert len(read_layer(out)) == 2

    def test_coordinates_below_zero_are_values_and_not_options(self, scene, tmp_path):
        out = tmp_path / "out.gpkg"
        run("segment", scene, "-o", out, "--prompts-crs", "px", "--box", "-10,-10,60,60", "--point", "150,100")
        assert len(read_layer(out)) == 2

    def test_prompts_of_a_file_keep_id_and_attributes(self, scene, tmp_path):
        layer = geopandas.GeoDataFrame(
            {"parcel": ["a7"], "crop": ["rye"]}, geometry=[shapely.Point(500_075, 4_999_950)], crs=32631
        )
        layer.to_crs(4326).to_file(tmp_path / "clicks.geojson")
        out = tmp_path / "out.gpkg"
        run("segment", scene, "-o", out, "--prompts", tmp_path / "clicks.geojson", "--id-column", "parcel")
        row = read_layer(out).iloc[0]
        assert (row["prompt_id"], row["crop"]) == ("a7", "rye")

    def test_prompts_off_the_scene_are_reported_and_the_layer_is_valid_and_empty(self, scene, tmp_path):
        out = tmp_path / "out.gpkg"
        said = run("segment", scene, "-o", out, "--prompts-crs", "EPSG:32631", "--point", "510000,4999950").stdout
        assert "0 objects" in said
        assert "skipped prompt" in said
        layer = read_layer(out)
        assert len(layer) == 0
        assert layer.crs.to_epsg() == 32631
        assert "prompt_id" in layer.columns

    def test_the_options_reach_the_scene(self, scene, tmp_path):
        out = tmp_path / "out.gpkg"
        aoi = "POLYGON ((500010 4999990, 500100 4999990, 500100 4999920, 500010 4999920, 500010 4999990))"
        how = [
            "--aoi",
            aoi,
            "--resolution",
            "1 m",
            "--stretch",
            "0,255",
            "--nodata",
            "none",
            "--bands",
            "red,green,blue",
        ]
        run("segment", scene, "-o", out, "--spacing", 4, *how)
        layer = read_layer(out)
        assert shapely.from_wkt(aoi).buffer(1).contains(layer.union_all())
        metadata = read_metadata(out)
        assert metadata["resolution_m"] == pytest.approx(1, rel=0.01)
        assert metadata["stretch"]["high"] == [255, 255, 255]

    def test_an_area_in_its_own_crs(self, scene, tmp_path):
        there = geopandas.GeoSeries([shapely.box(500_010, 4_999_920, 500_100, 4_999_990)], crs=32631).to_crs(4326)
        for name, how in {
            "wkt": ["--aoi", there[0].wkt, "--aoi-crs", "EPSG:4326"],
            "file": ["--aoi", "a.gpkg"],
        }.items():
            if name == "file":
                there.to_file(tmp_path / "a.gpkg")
                how[1] = str(tmp_path / "a.gpkg")
            run("segment", scene, "-o", tmp_path / f"{name}.gpkg", "--spacing", 8, *how)
            assert len(read_layer(tmp_path / f"{name}.gpkg")) > 0

    def test_a_second_run_recalls_the_embeddings(self, scene, tmp_path):
        words = ["segment", scene, "-o", tmp_path / "out.gpkg", "--spacing", 8]
        run(*words)
        assert "from the store" in run(*words, "--overwrite").stdout
        assert "from the store" not in run(*words, "--overwrite", "--store", "none").stdout


class TestErrors:
    def test_wrong_scenes(self, tmp_path):
        out = tmp_path / "out.gpkg"
        (tmp_path / "text.tif").write_text("no raster")
        assert "does not exist" in complaint("segment", tmp_path / "absent.tif", "-o", out)
        assert "cannot be opened" in complaint("segment", tmp_path / "text.tif", "-o", out)
        assert "does not exist" in complaint("plan", tmp_path / "absent.tif")
        assert "does not exist" in complaint("encode", tmp_path / "absent.tif")

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            (["--bands", "9"], "band 9"),
            (["--bands", "ultraviolet"], "ultraviolet"),
            (["--box", "1,2,3"], "box '1,2,3'"),
            (["--point", "a,b"], "point 'a,b'"),
            (["--point", "1,2"], "--prompts-crs"),
            (["--model", "vit_x"], "vit_x"),
            (["--model", "absent.safetensors"], "absent.safetensors"),
            (["--aoi", "POLYGON ((0 0, 1 0, 1 1, 0 0))"], "does not meet"),
            (["--aoi", "POLYGON ((0 0, 1 0"], "--aoi"),
            (["--aoi", "absent.gpkg"], "absent.gpkg"),
            (["--prompts", "absent.gpkg"], "absent.gpkg"),
            (["--id-column", "parcel"], "without --prompts"),
            (["--prompts-crs", "EPSG:999999", "--point", "1,2"], "999999"),
            (["--stretch", "low,high"], "--stretch"),
            (["--stretch", "5,1"], "stretch"),
            (["--stretch", "sometimes"], "sometimes"),
            (["--nodata", "dark"], "--nodata"),
            (["--resolution", "tiny"], "tiny"),
            (["--resolution", "0"], "resolution"),
            (["--min-area", "9", "--max-area", "3"], "min_area"),
            (["--outline", "wavy"], "wavy"),
            (["--overlap", "5000"], "overlap"),
            (["--labels", "labels.png"], "labels.png"),
            (["--picture", "look.gif"], "look.gif"),
        ],
    )
    def test_wrong_options(self, scene, tmp_path, monkeypatch, words, what):
        monkeypatch.chdir(tmp_path)
        assert what in complaint("segment", scene, "-o", "out.gpkg", *words)
        assert not list(tmp_path.glob("*out.gpkg*"))
        assert not list(tmp_path.glob(".*out.gpkg*"))

    def test_wrong_outputs(self, scene, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert ".gpkg" in complaint("segment", scene, "-o", "out.shp")
        assert "nowhere" in complaint("segment", scene, "-o", "nowhere/out.gpkg")
        for option, name in (("-o", "there.gpkg"), ("--labels", "there.tif"), ("--picture", "there.png")):
            Path(name).write_text("mine")
            first = [] if option == "-o" else ["-o", "new.gpkg"]
            assert "--overwrite" in complaint("segment", scene, *first, option, name)
            assert Path(name).read_text() == "mine"

    def test_an_absent_layer_of_the_prompts(self, scene, tmp_path):
        geopandas.GeoSeries([shapely.Point(500_075, 4_999_950)], crs=32631).to_file(tmp_path / "clicks.gpkg")
        words = ["--prompts", tmp_path / "clicks.gpkg", "--prompts-layer", "roofs"]
        assert "roofs" in complaint("segment", scene, "-o", tmp_path / "out.gpkg", *words)

    def test_encoding_into_no_store(self, scene):
        assert "--store" in complaint("encode", scene, "--store", "none")

    @pytest.mark.parametrize(
        "words", [["segment"], ["segment", "scene.tif"], ["nothing"], ["plan", "--window", "many", "s.tif"], ["--what"]]
    )
    def test_wrong_usage_is_2(self, words):
        assert "Traceback" not in run(*words, code=2).output


class TestOthers:
    def test_plan_says_windows_time_and_memory(self, scene):
        said = run("plan", scene, "--window", 128, "--overlap", 16).stdout
        assert "300 x 200 px" in said
        assert "6 windows" in said
        assert "GB" in said

    def test_encode_then_prompt_without_the_encoder(self, scene, tmp_path):
        store = tmp_path / "store"
        assert "6 encoded" in run("encode", scene, "--store", store).stdout
        words = ["--prompts-crs", "px", "--box", "20,20,40,40", "--store", store]
        said = run("segment", scene, "-o", tmp_path / "out.gpkg", *words).stdout
        assert "from the store" in said
        assert " encoded" not in said

    def test_models_are_listed(self):
        said = run("models").stdout
        assert all(name in said for name in ("nano", "vit_b", "vit_l", "vit_h"))

    def test_every_command_has_help(self):
        for command in ("segment", "plan", "encode", "models", "demo", "train"):
            assert "Usage" in run(command, "--help").stdout

    def test_the_demo_leaves_its_three_files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        said = run("demo").stdout
        for name in ("village.gpkg", "village_labels.tif", "village.png"):
            assert (tmp_path / "demo" / name).exists()
            assert f"demo/{name}" in said

    def test_train_takes_what_the_trainer_takes(self, tmp_path, monkeypatch):
        import geosam.training

        asked = {}

        def train(config, out, *, data, resume, processes, workers, start_from):
            asked.update(locals())
            return out / "nano.safetensors"

        monkeypatch.setattr(geosam.training, "train", train, raising=False)
        run("train", "-o", tmp_path, "--fresh", "--processes", 2)
        assert (asked["config"], asked["resume"], asked["processes"]) == (None, False, 2)


def started(*words, folder: Path, windows: int = 1000) -> subprocess.Popen:
    """A real `geosam` process with the perfect network, which sleeps over the window after so many."""
    code = (
        "import sys, time\n"
        "import geosam.pipeline.request as request\n"
        "from geosam.cli import main\n"
        "from geosam.testing import TruthNetwork\n"
        "class Sleepy(TruthNetwork):\n"
        f"    left = {windows}\n"
        "    def encode(self, pixels):\n"
        "        while Sleepy.left == 0:\n"  # a signal that comes just before it sleeps waits until it wakes
        "            time.sleep(0.05)\n"
        "        Sleepy.left -= 1\n"
        "        return super().encode(pixels)\n"
        f"request.load_model = lambda name, **how: Sleepy(side={SIDE})\n"
        "main()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def signalled(process: subprocess.Popen, how: signal.Signals, when: Callable[[], bool]) -> str:
    """Send a signal as soon as `when` says so; returns what the process said on stderr."""
    deadline = time.monotonic() + 300
    try:
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(how)
        return process.communicate(timeout=600)[1]
    finally:
        process.kill()


INTERRUPTED = """
import os, signal, sys
import geosam.pipeline.request as request
from geosam.cli import main
from geosam.sinks.table import Spool
from geosam.testing import TruthNetwork

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests run under

def batches(self, real=Spool.batches):
    for number in map(int, os.environ["SIGNALS"].split()):
        os.kill(os.getpid(), number)
    yield from real(self)

Spool.batches = batches
request.load_model = lambda name, **how: TruthNetwork(side={side})
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_layer_is_written_is_an_interruption(scene, tmp_path, name):
    outputs = ("-o", "out.gpkg", "--labels", "out.tif")
    words = [sys.executable, "-c", INTERRUPTED.format(side=SIDE), "segment", scene, *outputs, "--store", "none"]

    def ends(signals: str) -> subprocess.CompletedProcess:
        told = {**os.environ, "SIGNALS": signals, "OMP_NUM_THREADS": "1"}
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=told, timeout=300)

    done = ends(str(getattr(signal, name).value))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1].startswith("interrupted: ")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} - {scene.name, "cache"} == {".out.gpkg.geosam-journal"}
    done = ends("")
    assert done.returncode == 0, done.stderr
    assert "from an interrupted run" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {scene.name, "cache"} == {"out.gpkg", "out.tif"}


CLICKS = ["--prompts-crs", "px", "--point", "40,40", "--point", "150,100", "--point", "280,40", "--point", "280,180"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "asked"),
    [
        (signal.SIGINT, []),
        (signal.SIGKILL, []),
        (signal.SIGTERM, CLICKS),
    ],
)
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(scene, tmp_path, how, asked):
    def is_under_way() -> bool:
        return len(list(tmp_path.glob(".out.gpkg.geosam-journal/*.npz"))) == 2

    words = ["segment", scene, *asked, "--labels", "labels.tif", "--spacing", 16, "--store", "none"]
    process = started(*words, "-o", "out.gpkg", folder=tmp_path, windows=2)
    stderr = signalled(process, how, is_under_way)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how != signal.SIGKILL:
        assert stderr.startswith("interrupted: ")
        assert stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} <= {"cache", "scene.tif"}

    stdout, stderr = started(*words, "-o", "out.gpkg", folder=tmp_path).communicate(timeout=600)
    assert "2 from an interrupted run" in stdout, stderr
    found = read_layer(tmp_path / "out.gpkg")
    assert len(found) == (4 if asked else COUNT)
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"labels.tif", "out.gpkg", "scene.tif"}
    run(*words, "-o", tmp_path / "whole.gpkg", "--labels", tmp_path / "whole.tif")
    assert_geodataframe_equal(found, read_layer(tmp_path / "whole.gpkg"))
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_bug_is_one_line_that_says_how_to_see_more(scene, tmp_path):
    code = (
        "import geosam.pipeline.request as request\n"
        "from geosam.cli import main\n"
        "request.load_model = lambda name, **how: 1 / 0\n"
        "main()\n"
    )
    words = [sys.executable, "-c", code, "segment", str(scene), "-o", str(tmp_path / "out.gpkg")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith("unexpected ZeroDivisionError")
    assert done.stderr.count("\n") == 1
    debugged = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "GEOSAM_DEBUG": "1"}
    )
    assert "Traceback" in debugged.stderr


def test_help_loads_nothing_heavy():
    heavy = ["torch", "numpy", "rasterio", "shapely", "geopandas"]
    code = (
        "import sys\nfrom geosam.cli import main\nsys.argv = ['geosam', 'segment', '--help']\n"
        f"try: main()\nexcept SystemExit: sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
