"""The sample data: the script makes exactly these files, and truth and pictures agree."""

import importlib.util
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.features import rasterize

FOLDER = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_sample_data", FOLDER / "make_sample_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def village(script):
    return script.village_pictures()


def burnt(frame, transform, shape):
    pairs = zip(frame.geometry, frame["id"], strict=True)
    return rasterize(pairs, out_shape=shape, transform=transform, dtype="int32")


def same_picture(committed, rendered, tolerance):
    """Equal but for the last digits of another processor's arithmetic."""
    off = np.abs(committed.astype(np.int64) - rendered.astype(np.int64)) > tolerance
    return off.mean() < 1e-3


def test_the_script_renders_the_committed_village(script, village):
    for name, world in zip(("village_before", "village_after"), village[:2], strict=True):
        with rasterio.open(FOLDER / f"{name}.tif") as file:
            assert (file.crs.to_string(), file.count, file.dtypes[0]) == (script.VILLAGE_CRS, 3, "uint8")
            assert file.transform.almost_equals(script.VILLAGE)
            assert same_picture(file.read(), world.pixels, 2)


def test_village_truth_rasterizes_to_the_labels(script, village):
    before, after, _ = village
    truth = gpd.read_file(FOLDER / "village_truth.gpkg", layer="before")
    assert truth.geometry.is_valid.all()
    assert list(truth["class"]) == [before.classes[i - 1] for i in truth["id"]]
    labels = burnt(truth, script.VILLAGE, before.labels.shape)
    assert (labels != before.labels).mean() < 1e-4
    later = gpd.read_file(FOLDER / "village_truth.gpkg", layer="after")
    kept = np.isin(after.labels, later["id"])
    labels = burnt(later, script.VILLAGE, after.labels.shape)
    assert (labels != np.where(kept, after.labels, 0)).mean() < 1e-4
    assert set(later["class"]) <= set(script.AFTER_CLASSES)


def test_changes_show_in_the_pictures(village):
    before, after, changes = village
    frame = gpd.read_file(FOLDER / "village_truth.gpkg", layer="changes")
    assert frame.crs == "EPSG:32633"
    assert set(frame["status"]) == {"unchanged", "new", "gone", "damaged"}
    assert len(frame) <= len(changes)
    gone = [change.building for change in changes if change.status == "gone"]
    names = np.array(["ground", *before.classes]), np.array(["ground", *after.classes])
    then = [names[0][before.labels[int(body.y * 2), int(body.x * 2)]] for body in gone]
    now = [names[1][after.labels[int(body.y * 2), int(body.x * 2)]] for body in gone]
    assert then.count("building") > 0.6 * len(gone)
    assert "building" not in now
    assert "flood" in after.classes


def test_the_script_renders_the_committed_farmland(script):
    world, bands = script.farmland_picture()
    with rasterio.open(FOLDER / "farmland.tif") as file:
        assert (file.crs.to_string(), file.count, file.dtypes[0]) == ("EPSG:4326", 4, "uint16")
        assert file.nodata == 0
        assert file.colorinterp[:3] == (ColorInterp.blue, ColorInterp.green, ColorInterp.red)
        committed, transform = file.read(), file.transform
    assert same_picture(committed, bands, 4)
    assert 0.01 < (committed[0] == 0).mean() < 0.2
    truth = gpd.read_file(FOLDER / "farmland_truth.gpkg")
    expected = np.where(committed[0] == 0, 0, world.labels)
    assert (burnt(truth, transform, expected.shape) != expected).mean() < 1e-4


def test_prompts_lie_on_their_objects(script, village):
    before = village[0]
    points = gpd.read_file(FOLDER / "points.gpkg")
    columns, rows = ~script.VILLAGE * (points.geometry.x.to_numpy(), points.geometry.y.to_numpy())
    assert np.array_equal(before.labels[rows.astype(int), columns.astype(int)], points["id"])
    assert points["class"].nunique() >= 8
    old = gpd.read_file(FOLDER / "old_footprints.gpkg")
    houses = gpd.read_file(FOLDER / "village_truth.gpkg", layer="changes").set_index("id").loc[old["id"]]
    shift = old.centroid.distance(houses.centroid, align=False)
    assert shift.round(2).unique().tolist() == [1.94]


def test_all_files_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= 5_000_000
