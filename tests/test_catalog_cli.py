"""``geosam catalog``: what it says, what it leaves, and with which exit code; and the page about a run."""

import logging
import re
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import pytest
from typer.testing import CliRunner

import geosam.pipeline.request
from geosam.catalog import Manifest, report
from geosam.cli import app
from geosam.errors import CatalogError, SinkError
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import TRANSFORM

SHAPE = (64, 96)


@pytest.fixture(autouse=True)
def perfect(monkeypatch):
    """The built-in model's name stands for the perfect network."""
    monkeypatch.setattr(geosam.pipeline.request, "load_model", lambda name, **how: TruthNetwork(side=48))
    monkeypatch.setattr(logging.root, "handlers", [logging.NullHandler()])


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    (tmp_path / "scenes").mkdir()
    for number, name in enumerate("ab"):
        labels = blob_labels(SHAPE, count=6, large=1, seed=number)
        grid = TRANSFORM @ TRANSFORM.translation(number * 64, 0)
        label_scene(tmp_path / "scenes" / f"{name}.tif", labels, transform=grid)
    return tmp_path / "scenes"


def run(*words, code=0):
    done = CliRunner().invoke(app, ["catalog", *(str(word) for word in words)])
    assert done.exit_code == code, f"{done.exit_code}: {done.output} {done.exception!r}"
    return done


def test_run_merge_report(scenes, tmp_path):
    folder, layer = tmp_path / "run", tmp_path / "all.gpkg"
    said = run("run", scenes, "-o", folder, "--spacing", 8, "--labels").stdout
    assert "2 scenes: 2 done" in said
    assert "2 scenes: 0 done, 2 done before" in run("run", scenes, "-o", folder, "--spacing", 8, "--labels").stdout
    assert "of 2 scenes" in run("merge", folder, "-o", layer, "--once").stdout
    assert len(gpd.read_file(layer, layer="all")) > 0
    assert "exists" in run("merge", folder, "-o", layer, code=1).stderr
    assert "2 scenes" in run("report", folder).stdout
    assert (folder / "report.html").is_file()


def test_failures_make_the_exit_code_unless_they_are_allowed(scenes, tmp_path):
    (scenes / "c.tif").write_text("no raster")
    words = ("run", scenes, "-o", tmp_path / "run", "--spacing", 8)
    done = run(*words, code=1)
    assert "failed: c: " in done.stdout
    assert "2 done before, 1 failed" in run(*words, "--allow-failures").stdout
    assert "no result: c" in run("merge", tmp_path / "run", "-o", tmp_path / "all.gpkg", code=1).stderr
    said = run("merge", tmp_path / "run", "-o", tmp_path / "all.gpkg", "--allow-failures").stdout
    assert "1 scene left out" in said
    assert "c: " in run("report", tmp_path / "run").stdout


def test_encode_then_prompts(scenes, tmp_path):
    said = run("encode", scenes, "-o", tmp_path / "run").stdout
    assert "2 scenes: 2 done" in said
    assert "object" not in said
    found = geosam.segment(scenes / "a.tif", model=TruthNetwork(side=48), spacing_px=8)
    clicks = found.set_geometry(found.geometry.representative_point())[["geometry"]].iloc[:2]
    clicks.to_file(tmp_path / "clicks.gpkg")
    said = run("run", scenes, "-o", tmp_path / "run", "--prompts", tmp_path / "clicks.gpkg").stdout
    assert "2 scenes: 2 done" in said
    assert Manifest(tmp_path / "run" / "manifest.jsonl").rows["a"].encoded == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere", "-o", "run"), "nowhere does not exist"),
        (("run", "{scenes}", "-o", "run", "--workers", "2", "--threads", "2"), "together"),
        (("run", "{scenes}", "-o", "run", "--when", "June"), "when='June'"),
        (("run", "{scenes}", "-o", "run", "--when", "2024"), "no scene that meets the conditions"),
        (("merge", "{scenes}", "-o", "all.gpkg"), "holds no run"),
        (("report", "{scenes}"), "holds no run"),
    ],
)
def test_a_wrong_call_is_one_line(scenes, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    done = run(*(word.format(scenes=scenes) for word in words), code=1)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_page_holds_everything_itself(scenes, tmp_path):
    (scenes / "c&d.tif").write_text("no raster")
    run("run", scenes, "-o", tmp_path / "run", "--spacing", 8, "--allow-failures")
    summary = report(tmp_path / "run", tmp_path / "page.html")
    assert summary.counts == {"done": 2, "failed": 1, "outside": 0, "pending": 0}
    page = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?://|src=|@import", page)
    svg = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])
    assert len(svg.findall("path")) == 2
    assert "c&amp;d" in page
    assert "cannot be opened" in page
    (tmp_path / "run" / "manifest.jsonl").unlink()
    assert report(tmp_path / "run").counts["pending"] == 3
    with pytest.raises(SinkError):
        report(tmp_path / "run", tmp_path / "nowhere" / "page.html")
    with pytest.raises(CatalogError):
        report(tmp_path)
