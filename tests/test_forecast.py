"""What a plan says beforehand is what a run then does: a network of fixed cost, and a clock that it alone moves."""

import sys
import time
from functools import partial
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
import torch
from shapely import box
from typer.testing import CliRunner

import geosam
from geosam.cli import app
from geosam.pipeline import forecast, regions
from geosam.prompts import Prompt
from geosam.scene import open_scene
from geosam.segmenter import Clicks, Features, Recipe
from geosam.testing import StubNetwork, coordinate_scene
from geosam.testing.finders import TruthFinder
from geosam.windows import WindowPlan

ENCODE, POINT = 2.0, 0.01
GRID = {"spacing_px": 16, "overlap": 32}


class Priced(StubNetwork):
    """A network whose passes and answers take a fixed time on a clock of its own."""

    clock = 0.0
    passes = answers = 0

    def encode(self, pixels: np.ndarray) -> Features:
        Priced.clock, Priced.passes = Priced.clock + ENCODE, Priced.passes + 1
        return super().encode(pixels)

    def decode(self, features, prompts, *, multimask=True):
        Priced.clock, Priced.answers = Priced.clock + POINT * len(prompts), Priced.answers + len(prompts)
        return super().decode(features, prompts, multimask=multimask)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GEOSAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("geosam.pipeline.calibration.now", lambda: Priced.clock)


@pytest.fixture
def network() -> Priced:
    return Priced(side=128, channels=2)


def taken(work) -> tuple[float, int, int]:
    """Seconds, passes and answers of some work."""
    before = Priced.clock, Priced.passes, Priced.answers
    work()
    return Priced.clock - before[0], Priced.passes - before[1], Priced.answers - before[2]


@pytest.mark.parametrize("shape", [(128, 128), (200, 500), (300, 380)])
def test_everything_takes_what_was_forecast(tmp_path: Path, network: Priced, shape: tuple[int, int]):
    path = coordinate_scene(tmp_path / "xy.tif", shape)
    said = geosam.plan(path, model=network, **GRID)
    seconds, passes, answers = taken(lambda: geosam.segment(path, model=network, **GRID))
    assert (said.passes, said.points, said.prompts) == (passes, answers, 0)
    assert said.seconds == pytest.approx(seconds)
    assert said.peak_bytes > 1 << 20


@pytest.mark.parametrize("size", [40, 150])
def test_prompts_take_what_was_forecast_also_on_coarser_views(tmp_path: Path, network: Priced, size: int):
    path = coordinate_scene(tmp_path / "xy.tif", (300, 380))
    scene = open_scene(path)
    corners = [(20, 20), (180, 60), (200, 140), (30, 200)]
    boxes = scene.to_world([box(x, y, x + size, min(y + size, 300)) for x, y in corners])
    prompts = geopandas.GeoDataFrame(geometry=boxes, crs=scene.crs)
    said = geosam.plan(path, prompts, model=network, overlap=32)
    seconds, passes, answers = taken(lambda: geosam.segment(path, prompts, model=network, overlap=32))
    assert (said.passes, said.prompts, said.points) == (passes, answers, 0)
    assert said.seconds == pytest.approx(seconds)


RECOGNISE = 3.0


@pytest.fixture
def recognised(monkeypatch: pytest.MonkeyPatch):
    """Kinds that take a fixed time for each window that polygons lie on."""

    def priced(frame, scene, describer):
        plan = WindowPlan(scene.shape, size=describer.window, overlap=describer.overlap)
        owners = {plan.best(tuple(each.tolist())) for each in shapely.bounds(scene.to_px(frame.geometry))}
        Priced.clock += RECOGNISE * len(owners)
        return frame

    monkeypatch.setattr("geosam.pipeline.kinds.recognise", priced)


@pytest.mark.parametrize(("shape", "windows"), [((200, 500), 1), ((300, 1500), 2)])
def test_kinds_are_forecast_window_by_window(tmp_path: Path, network: Priced, recognised, shape, windows):
    path = coordinate_scene(tmp_path / "xy.tif", shape)
    plain, named = (geosam.plan(path, model=network, kinds=each, **GRID) for each in (False, True))
    assert named.passes == plain.passes
    assert named.seconds - plain.seconds == pytest.approx(windows * RECOGNISE)
    prompts = geosam.Prompts.from_points([(50, 50)], open_scene(path), crs="px")
    plain, named = (geosam.plan(path, prompts, model=network, kinds=each).seconds for each in (False, True))
    assert named - plain == pytest.approx(RECOGNISE)


class Slow(Priced):
    """A network that takes three times as long for a box, and four times for an outline."""

    def decode(self, features, prompts, *, multimask=True):
        Priced.clock += 0.0 if prompts.boxes is None else 2 * POINT * len(prompts)
        Priced.clock += 0.0 if prompts.mask_logits is None else POINT * len(prompts)
        return super().decode(features, prompts, multimask=multimask)


def test_boxes_and_polygons_are_forecast_at_what_they_take(tmp_path: Path):
    path, network = coordinate_scene(tmp_path / "xy.tif", (128, 128)), Slow(side=128, channels=2)
    scene = open_scene(path)
    shapes = geopandas.GeoSeries(scene.to_world([box(20, 20, 60, 60), box(70, 30, 100, 90)]), crs=scene.crs)
    asked = {
        "point": geosam.Prompts.from_features(geopandas.GeoDataFrame(geometry=shapes.representative_point()), scene),
        "box": geosam.Prompts.from_boxes(shapes.bounds.to_numpy(), scene),
        "polygon": geosam.Prompts.from_features(geopandas.GeoDataFrame(geometry=shapes), scene),
    }
    seconds = {}
    for kind, prompts in asked.items():
        seconds[kind] = geosam.plan(path, prompts, model=network).seconds
        assert seconds[kind] == pytest.approx(taken(partial(geosam.segment, path, prompts, model=network))[0])
    assert seconds["box"] - seconds["point"] == pytest.approx(2 * 2 * POINT)
    assert seconds["polygon"] - seconds["box"] == pytest.approx(2 * POINT)


class InTurn(Priced):
    """A network whose clicks are answered one after another."""

    recipe = Recipe(clicks=Clicks(in_turn=True))


@pytest.mark.parametrize(("kind", "times"), [(Priced, 1), (InTurn, 3)])
def test_clicks_that_are_answered_one_after_another_are_forecast_one_by_one(tmp_path: Path, kind, times):
    path, network = coordinate_scene(tmp_path / "xy.tif", (128, 128)), kind(side=128, channels=2)
    places = np.array([[40.0, 40], [60, 44], [90, 80]])
    alone, several = (geosam.Prompts((Prompt(0, 0, places[:count], np.array([1, 0, 1])[:count]),)) for count in (1, 3))
    one, three = (geosam.plan(path, prompts, model=network).seconds for prompts in (alone, several))
    assert three - ENCODE == pytest.approx(times * (one - ENCODE))
    assert three + 1e-6 >= taken(partial(geosam.segment, path, several, model=network))[0]


def test_a_calibration_is_remembered_until_machine_model_or_options_change(
    tmp_path: Path, network: Priced, monkeypatch: pytest.MonkeyPatch
):
    path = coordinate_scene(tmp_path / "xy.tif", (300, 380))

    def measured(model: Priced = network, **options: int) -> bool:
        return taken(lambda: geosam.plan(path, model=model, **{**GRID, **options}))[1] > 0

    assert measured()
    assert not measured()
    assert measured(spacing_px=32)
    assert measured(Priced(side=128, channels=2, key="other"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert measured()
    assert not measured()
    for kept in (tmp_path / "cache" / "calibration").iterdir():
        kept.write_text("{")
    assert measured()


def test_a_plan_goes_on_where_the_calibration_cannot_be_kept(
    tmp_path: Path, network: Priced, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEOSAM_CACHE", str(tmp_path / "file"))
    said = geosam.plan(coordinate_scene(tmp_path / "xy.tif", (128, 128)), model=network, **GRID)
    assert said.seconds > 0
    assert "not kept" in caplog.text


def test_a_scene_without_data_costs_nothing(tmp_path: Path, network: Priced, monkeypatch: pytest.MonkeyPatch):
    path = coordinate_scene(tmp_path / "xy.tif", (128, 128))
    monkeypatch.setattr("geosam.scene.Scene.has_data", lambda *_: False)
    said = geosam.plan(path, model=network, **GRID)
    assert (said.windows, said.passes, said.points, said.seconds) == (1, 0, 0, 0)
    assert sys.modules[forecast.__module__].NOTHING.peak_bytes == said.peak_bytes


@pytest.mark.parametrize("shape", [(128, 128), (200, 300), (260, 520)])
def test_a_coverage_takes_its_passes_and_the_ground_that_each_window_owns(
    tmp_path: Path, network: Priced, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
):
    """Windows overlap; a tree grows on each pixel once."""
    grow = regions.make_block

    def priced(pixels, valid, fine, scale, place):
        Priced.clock += 1e-4 * place.shape[0] * place.shape[1]
        return grow(pixels, valid, fine, scale, place)

    monkeypatch.setattr("geosam.pipeline.regions.make_block", priced)
    path = coordinate_scene(tmp_path / "xy.tif", shape)
    said = geosam.plan(path, model=network, coverage=True)
    seconds, passes, _ = taken(lambda: geosam.segment(path, model=network, coverage=True))
    assert said.passes == passes
    assert said.seconds == pytest.approx(seconds)


def test_a_redrawn_coverage_is_forecast_to_take_more(tmp_path: Path, network: Priced):
    path = coordinate_scene(tmp_path / "xy.tif", (200, 300))
    fast, best = (geosam.plan(path, model=network, coverage=True, speed=speed) for speed in ("fast", "best"))
    assert best.passes == fast.passes
    assert best.seconds >= fast.seconds


def test_words_are_forecast_by_the_windows_that_they_are_read_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One word takes what a coverage takes, and its reading; a finder looks into the windows of the plan."""
    monkeypatch.setattr("geosam.pipeline.calibration.now", time.perf_counter)
    path, network = coordinate_scene(tmp_path / "xy.tif", (200, 300)), Priced(side=128, channels=2)
    covered = geosam.plan(path, model=network, coverage=True)
    named = geosam.plan(open_scene(path), model=network, text="building")
    assert (named.windows, named.passes, named.window) == (covered.windows, covered.passes, covered.window)
    assert min(named.seconds, covered.seconds) > 0
    finder = TruthFinder({"building": (1,)})
    found = geosam.plan(open_scene(path), model=network, text="building", text_model=finder, window=160, overlap=32)
    assert (found.window, found.windows, found.points, found.prompts) == (160, 6, 0, 0)
    assert found.seconds > 0


def test_the_command_line_forecasts_words(tmp_path: Path):
    path = coordinate_scene(tmp_path / "xy.tif", (128, 128))
    said = CliRunner().invoke(app, ["plan", str(path), "--text", "building"])
    assert said.exit_code == 0, said.output
    assert "1 window" in said.output
    assert CliRunner().invoke(app, ["plan", str(path), "--text", "unicorn"]).exit_code == 1
