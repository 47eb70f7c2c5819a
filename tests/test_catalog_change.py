"""Several dates of a place: one id per object, and no scene or object left out without a word."""

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
from geosam.catalog.change import pair_items
from geosam.change.schemas import problems
from geosam.errors import CatalogError, OptionError

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


def test_what_has_no_meaning_over_several_dates_is_refused(scenes, tmp_path):
    with pytest.raises(OptionError, match="'units' over a catalog"):
        change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", event="2024-06-05", units=5.0)
    with pytest.raises(OptionError, match="schema 'ems' over several dates"):
        change_catalog(scenes, tmp_path / "run", tmp_path / "known.gpkg", event="2024-06-05", schema="ems")
