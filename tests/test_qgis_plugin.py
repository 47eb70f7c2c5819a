import ast
import configparser
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import geosam
from geosam.cli import app
from geosam.cli.qgis_plugin import NAME, packed, plugin_folder
from geosam.execute import Lines, progress_bar

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "integrations" / "qgis" / NAME
FILES = sorted(PLUGIN.rglob("*.py"))
MOST_BYTES = 200_000

MANDATORY = {
    "name", "qgisMinimumVersion", "description", "about", "version", "author", "email", "repository", "tracker"
}  # fmt: skip
WANTED = {
    "license", "qgisMaximumVersion", "supportsQt6", "hasProcessingProvider", "category", "tags", "icon", "homepage",
    "changelog", "experimental", "deprecated",
}  # fmt: skip


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "geosam.zip"
    done = CliRunner().invoke(app, ["qgis-plugin", "-o", str(path)])
    assert done.exit_code == 0, done.output
    return path


def test_the_zip_file_is_small_and_whole(archive):
    assert archive.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(archive) as held:
        assert held.testzip() is None
        names = held.namelist()
    assert all(re.fullmatch(rf"{NAME}/[\w./]+", name) for name in names)
    assert {f"{NAME}/{name}" for name in ("__init__.py", "metadata.txt", "LICENSE", "icon.svg")} <= set(names)
    assert {f"{NAME}/{path.relative_to(PLUGIN).as_posix()}" for path in FILES} <= set(names)
    assert not any("__pycache__" in name for name in names)


def test_equal_files_give_equal_bytes(archive, tmp_path):
    copy = shutil.copytree(PLUGIN, tmp_path / NAME, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    (copy / "plugin.py").write_bytes((copy / "plugin.py").read_bytes().replace(b"\n", b"\r\n"))  # as git on Windows
    assert packed(copy) == archive.read_bytes()
    assert packed(plugin_folder()) == archive.read_bytes()


def test_an_existing_file_is_kept_unless_it_may_be_replaced(archive):
    before = archive.read_bytes()
    refused = CliRunner().invoke(app, ["qgis-plugin", "-o", str(archive)])
    assert refused.exit_code == 1
    assert "exists" in refused.output
    assert CliRunner().invoke(app, ["qgis-plugin", "-o", str(archive), "--overwrite"]).exit_code == 0
    assert archive.read_bytes() == before


def test_the_metadata_say_what_qgis_asks_for(archive):
    with zipfile.ZipFile(archive) as held:
        read = configparser.ConfigParser(interpolation=None)
        read.optionxform = str  # QGIS heeds the case
        read.read_file(io.TextIOWrapper(held.open(f"{NAME}/metadata.txt"), encoding="utf-8"))
        facts = dict(read["general"])
        assert set(facts) >= (MANDATORY | WANTED), (MANDATORY | WANTED) - set(facts)
        assert held.read(f"{NAME}/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert f"{NAME}/{facts['icon']}" in held.namelist()
    assert all(value.strip() for value in facts.values())
    assert facts["version"] == geosam.__version__
    assert (facts["qgisMinimumVersion"], facts["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert "plugin_dependencies" not in facts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_a_module_is_python_3_9_and_needs_pyqgis_alone(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots = {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots = {(node.module or "").partition(".")[0]}
        else:
            continue
        foreign = roots - {"qgis"} - sys.stdlib_module_names
        assert not foreign, f"line {node.lineno}: {foreign}"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_qt_enums_are_spelled_as_qt_6_wants_them():
    short = re.compile(r"\bQt\.(?!Key,|\w+\.)\w+|\bQEvent\.(?!Type\.)[A-Z]\w+|\bexec_\(")
    found = [f"{path.name}: {hit[0]}" for path in FILES for hit in short.finditer(path.read_text(encoding="utf-8"))]
    assert not found


def test_progress_is_told_in_lines_where_another_program_asks_for_it(monkeypatch):
    told = io.StringIO()
    with Lines(told) as progress, progress.stage("segment", 400, done=100) as stage:
        for _ in range(300):
            stage.advance()
    lines = told.getvalue().splitlines()
    assert (lines[0], lines[-1]) == ("progress 100/400 windows: segment", "progress 400/400 windows: segment")
    assert len(lines) == 76
    pattern = re.search(r'_PROGRESS = re.compile\(r"(.+)"\)', (PLUGIN / "running.py").read_text(encoding="utf-8"))
    assert pattern is not None
    assert all(re.fullmatch(pattern[1], line) for line in lines)
    monkeypatch.setenv("GEOSAM_PROGRESS", "lines")
    assert isinstance(progress_bar(), Lines)
    assert not isinstance(progress_bar(quiet=True), Lines)


@pytest.mark.slow
def test_in_qgis(tmp_path):
    if shutil.which("qgis") is None or shutil.which("xvfb-run") is None:
        pytest.skip("needs QGIS and Xvfb: apt-get install qgis python3-qgis xvfb")
    script = ROOT / "integrations" / "qgis" / "tests" / "run.sh"
    fake = script.with_name("fake_geosam.py")
    real = tmp_path / "geosam"
    real.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m geosam "$@"\n')
    real.chmod(0o755)
    done = subprocess.run(
        [
            script,
            fake,
            tmp_path / "out",
            "test_hover_click_accept,test_undo_redo_delete_reopen,test_leaves_nothing_behind",
        ],
        env=os.environ | {"GEOSAM_REAL": str(real), "GEOSAM_LIMIT_S": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 4, done.stdout
