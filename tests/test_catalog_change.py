"""Several dates of a place: one id per object, and no scene or object left out without a word."""

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from geosam.catalog import Item, change_catalog
from geosam.catalog.pairs import pair_items
from geosam.change.schemas import problems
from geosam.errors import CatalogError, OptionError, SinkError
from geosam.execute import Progress
from geosam.locks import Lock

SAMPLES = Path(__file__).parents[1] / "sample_data"


def item(name: str, day: int, *bounds: float) -> Item:
    when = datetime(2024, 6, day, tzinfo=UTC)
    return Item(name, (f"{name}.tif",), (when, when), shapely.box(*bounds))


def test_each_scene_after_meets_those_before_that_show_its_ground():
    items = [
        item("old", 1, 0, 0, 10, 10),
        item("new", 3, 0, 0, 10, 10),
        item("beside", 2, 9, 0, 20, 10),
        item("during", 5, 0, 0, 20, 10),
        item("after", 8, 0, 0, 14, 10),
        item("elsewhere", 9, 50, 50, 60, 60),
        Item("timeless", ("t.tif",)),
    ]
    pairs, skipped = pair_items(items, "2024-06-05")
    assert [(pair.before.name, pair.after.name) for pair in pairs] == [("new", "after"), ("beside", "after")]
    assert skipped == {
        "timeless": "no time",
        "old": "others before show more of the ground",
        "during": "taken during the event",
        "elsewhere": "no scene before shows its ground",
    }
    with pytest.raises(CatalogError, match="was taken before 2024-05"):
        pair_items(items, "2024-05")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> gpd.GeoDataFrame:
    """The village before a flood, as a whole after it, and its western half once more."""
    folder = tmp_path_factory.mktemp("dates")
    rows = []
    for name, source, day, width in (("a", "before", 1, 512), ("b", "after", 8, 512), ("c", "before", 12, 256)):
        with rasterio.open(SAMPLES / f"village_{source}.tif") as village:
            profile = village.profile | {"width": width}
            with rasterio.open(folder / f"{name}.tif", "w", **profile) as scene:
                scene.write(village.read(window=Window(0, 0, width, village.height)))
            rows.append({"path": str(folder / f"{name}.tif"), "datetime": f"2024-06-{day:02}T10:00:00Z"})
            rows[-1]["geometry"] = shapely.box(*rasterio.open(folder / f"{name}.tif").bounds)
    return gpd.GeoDataFrame(rows, crs=profile["crs"])


def test_dates_after_an_event_keep_one_id_per_object(scenes, tmp_path):
    known = gpd.read_file(SAMPLES / "village_truth.gpkg", layer="before")
    known = known[known.geometry.area > 60].sample(20, random_state=0).reset_index(drop=True)
    known.assign(osm_id=[f"way/{n}" for n in known.index]).to_file(tmp_path / "known.gpkg")
    asked = {"event": "2024-06-05", "schema": "unosat", "decode": False}
    run = change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", **asked)
    assert (len(run.done), run.failed, run.skipped) == (2, {}, {})
    found = run.objects
    assert found.date.value_counts().to_dict() == {"2024-06-08": len(known), "2024-06-12": len(known)}
    assert not found.duplicated(["source_id", "date"]).any()
    second = found[found.date == "2024-06-12"]
    edge = scenes.geometry[2].bounds[2]
    assert (second.status[second.geometry.bounds.minx > edge] == "unseen").all()
    assert (second.status[second.geometry.bounds.maxx < edge] == "kept").mean() > 0.9  # the picture of before once more
    package = tmp_path / "run" / "change.gpkg"
    assert pyogrio.list_layers(package)[:, 0].tolist()[:3] == ["latest", "change", "damage_sites"]
    sites = gpd.read_file(package, layer="damage_sites")
    assert problems({"damage_sites": sites}, "unosat") == []
    assert {"SensorDate", "Main_Damage_Site_Class_2"} <= set(sites)
    assert sites.Damage_Status_2.notna().sum() == (second.status != "unseen").sum()
    last = gpd.read_file(package, layer="latest").set_index("source_id")
    seen = found[found.status != "unseen"].groupby("source_id").date.max()
    assert last.date[seen.index].eq(seen).all()

    again = change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", **asked)
    assert (again.done, len(again.earlier)) == ([], 2)
    pd.testing.assert_frame_equal(pd.DataFrame(again.objects), pd.DataFrame(found))


def contents(folder: Path) -> dict[str, bytes]:
    """All packages below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.gpkg"))}


@pytest.fixture(scope="session")
def footprints(tmp_path_factory) -> Path:
    """Ten houses of the village."""
    known = gpd.read_file(SAMPLES / "village_truth.gpkg", layer="before")
    known = known[known.geometry.area > 60].sample(10, random_state=1).reset_index(drop=True)
    path = tmp_path_factory.mktemp("known") / "known.gpkg"
    known.assign(osm_id=[f"way/{n}" for n in known.index]).to_file(path)
    return path


@pytest.fixture(scope="session")
def one_by_one(scenes, footprints, tmp_path_factory) -> Path:
    """A run in this process."""
    folder = tmp_path_factory.mktemp("here")
    change_catalog(scenes, folder, footprints, event="2024-06-05", decode=False)
    return folder


class Told(Progress):
    """Counts what is shown."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None, int]] = []
        self.count = 0

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = "windows", done: int = 0):
        self.stages.append((name, total, done))
        yield self

    def advance(self, count: int = 1) -> None:
        self.count += count


@pytest.mark.parametrize("where", [{"threads": 2}, pytest.param({"workers": 2}, marks=pytest.mark.slow)])
def test_the_same_bytes_wherever_the_work_is_done(scenes, footprints, one_by_one, tmp_path, where):
    told = Told()
    run = change_catalog(scenes, tmp_path / "run", footprints, event="2024-06-05", decode=False, progress=told, **where)
    assert (len(run.done), run.failed) == (2, {})
    assert contents(tmp_path / "run") == contents(one_by_one)
    assert (told.stages, told.count) == ([("pairs", 2, 0)], 2)


def test_an_interrupted_run_goes_on(scenes, footprints, one_by_one, tmp_path):
    shutil.copytree(one_by_one, tmp_path / "run")
    kept, lost = sorted((tmp_path / "run" / "pairs").glob("*.gpkg"))
    lost.unlink()
    before = kept.stat().st_mtime_ns
    told = Told()
    run = change_catalog(scenes, tmp_path / "run", footprints, event="2024-06-05", decode=False, progress=told)
    assert (run.earlier, run.done) == ([kept.stem], [lost.stem])
    assert (kept.stat().st_mtime_ns, told.stages) == (before, [("pairs", 2, 1)])
    assert contents(tmp_path / "run") == contents(one_by_one)


def test_a_pair_that_cannot_be_read_is_named_and_stops_no_other(scenes, footprints, tmp_path):
    broken = scenes.copy()
    broken.loc[1, "path"] = str(tmp_path / "b.tif")
    Path(broken.path[1]).write_bytes(b"no raster")
    run = change_catalog(broken, tmp_path / "run", footprints, event="2024-06-05", decode=False)
    assert len(run.done) == 1
    assert "b.tif" in str(run.failed)


def test_two_runs_do_not_share_a_folder(scenes, footprints, tmp_path):
    with Lock(tmp_path / ".lock", "it"), pytest.raises(SinkError, match="being written"):
        change_catalog(scenes, tmp_path, footprints, event="2024-06-05", decode=False)


def test_what_has_no_meaning_over_several_dates_is_refused(scenes, tmp_path):
    with pytest.raises(OptionError, match="'units' over a catalog"):
        change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", event="2024-06-05", units=5.0)
    with pytest.raises(OptionError, match="schema 'ems' over several dates"):
        change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", event="2024-06-05", schema="ems")
