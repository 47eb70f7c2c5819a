"""Catalogs of scenes: whatever names scenes gives the items it names, and says what is wrong where it does not."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pystac
import pytest
import shapely

from geosam.catalog.items import Item, with_unique_names
from geosam.catalog.selection import Selection
from geosam.catalog.sources import find_items, read_footprint
from geosam.errors import CatalogError, OptionError
from geosam.testing import coordinate_scene
from geosam.testing.scenes import TRANSFORM

JUNE = datetime(2024, 6, 15, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three rasters side by side, one of them in a folder below."""
    (tmp_path / "scenes" / "north").mkdir(parents=True)
    for number, name in enumerate(("a.tif", "b.tif", "north/c.tif")):
        coordinate_scene(
            tmp_path / "scenes" / name, (32, 32), transform=TRANSFORM.translation(64 * number, 0) @ TRANSFORM
        )
    return tmp_path / "scenes"


def stac_item(name: str, *, assets=("visual",), month: int = 6, clouds: int = 10) -> pystac.Item:
    footprint = read_footprint(f"{name}.tif") or shapely.box(3, 45, 3.1, 45.1)
    item = pystac.Item(
        name,
        shapely.geometry.mapping(footprint),
        list(footprint.bounds),
        JUNE.replace(month=month),
        {"eo:cloud_cover": clouds, "platform": "sentinel-2a"},
    )
    for asset in assets:
        roles = ["data", "visual"]
        item.add_asset(asset, pystac.Asset(f"./{name}.tif", media_type=pystac.MediaType.COG, roles=roles))
    return item


def write_catalog(folder: Path) -> Path:
    """A catalog with a collection of two items, all in files of their own."""
    catalog = pystac.Catalog("all", "all scenes")
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[JUNE, None]]))
    collection = pystac.Collection("summer", "summer scenes", extent)
    catalog.add_child(collection)
    collection.add_items([stac_item("a"), stac_item("b", month=8, clouds=60)])
    catalog.normalize_hrefs(str(folder))
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


class TestFiles:
    def test_a_folder_gives_all_rasters_below_it_by_name(self, folder):
        assert names(find_items(folder)) == ["a", "b", "north_c"]

    def test_hidden_files_and_those_of_a_run_are_no_scenes(self, folder):
        (folder / "run" / "labels").mkdir(parents=True)
        (folder / "run" / "manifest.jsonl").touch()
        coordinate_scene(folder / "run" / "labels" / "a.tif", (8, 8))
        coordinate_scene(folder / ".part.tif", (8, 8))
        assert names(find_items(folder)) == ["a", "b", "north_c"]

    def test_a_pattern_a_raster_and_a_list(self, folder):
        assert names(find_items(f"{folder}/**/*.tif")) == ["a", "b", "north_c"]
        assert names(find_items(folder / "a.tif")) == ["a"]
        assert names(find_items([folder / "b.tif", str(folder / "a.tif")])) == ["a", "b"]

    def test_a_limit_takes_that_many(self, folder):
        assert len(find_items(folder, Selection(limit=2))) == 2

    def test_an_area_leaves_out_what_does_not_meet_it(self, folder):
        first = read_footprint(str(folder / "a.tif"))
        assert names(find_items(folder, area=shapely.Point(first.centroid))) == ["a"]

    @pytest.mark.parametrize("source", ["nowhere", "none/*.tif", "nowhere.json", "nowhere.gpkg", 7])
    def test_a_source_that_is_none_is_one_clear_error(self, tmp_path, source):
        with pytest.raises(CatalogError):
            find_items(tmp_path / source if isinstance(source, str) else source)

    def test_identity_changes_with_the_file_and_with_nothing_else(self, folder):
        item = find_items(folder / "a.tif")[0]
        assert find_items(folder)[0].identity == item.identity
        os.utime(folder / "a.tif", ns=(1, 1))
        assert item.identity != find_items(folder / "b.tif")[0].identity
        assert find_items(folder)[0].identity == item.identity
        changed = item.identity
        (folder / "a.tif.msk").touch()
        assert item.identity != changed


class TestStac:
    @pytest.fixture(autouse=True)
    def here(self, folder, monkeypatch):
        monkeypatch.chdir(folder)

    def test_a_catalog_is_followed_to_its_items(self, tmp_path):
        catalog = write_catalog(tmp_path / "stac")
        items = find_items(catalog)
        assert names(items) == ["summer_a", "summer_b"]
        assert items[0].when == (JUNE, JUNE)
        assert items[0].paths == (str(tmp_path / "stac" / "summer" / "a" / "a.tif"),)
        assert names(find_items(tmp_path / "stac")) == names(items)
        assert names(find_items(tmp_path / "stac" / "summer" / "collection.json")) == names(items)

    @pytest.mark.parametrize("suffix", [".json", ".geojson"])
    def test_an_item_collection_and_an_item(self, folder, suffix):
        collection = folder / f"items{suffix}"
        pystac.ItemCollection([stac_item("a"), stac_item("b")]).save_object(str(collection))
        assert [item.paths for item in find_items(collection)] == [(str(folder / f"{name}.tif"),) for name in "ab"]
        single = folder / f"one{suffix}"
        single.write_text(json.dumps(stac_item("a").to_dict(transform_hrefs=False)))
        assert names(find_items(single)) == ["a"]

    def test_objects_of_pystac(self):
        collection = pystac.ItemCollection([stac_item("a"), stac_item("b")])
        assert names(find_items(collection)) == names(find_items(list(collection))) == ["a", "b"]
        assert names(find_items(collection[0])) == ["a"]

    def test_conditions(self):
        items = [stac_item("a"), stac_item("b", month=8, clouds=60)]
        assert names(find_items(items, Selection(when="2024-06"))) == ["a"]
        assert names(find_items(items, Selection(when="2024-07-01/.."))) == ["b"]
        assert names(find_items(items, Selection(where=("eo:cloud_cover >= 60",)))) == ["b"]
        assert names(find_items(items, Selection(where=("platform = sentinel-2a",)))) == ["a", "b"]
        with pytest.raises(CatalogError, match="meets the conditions"):
            find_items(items, Selection(where=("gsd < 1",)))

    @pytest.mark.parametrize("wrong", [{"when": "June"}, {"when": "2025/2024"}, {"where": ("clouds",)}])
    def test_conditions_that_are_none(self, wrong):
        with pytest.raises(OptionError):
            Selection(**wrong)

    def test_assets_are_chosen(self):
        item = stac_item("a", assets=("red", "green", "blue"))
        with pytest.raises(OptionError, match="--asset"):
            find_items(item)
        assert len(find_items(item, Selection(asset="red"))[0].paths) == 1
        assert len(find_items(item, Selection(asset="red, green, blue"))[0].paths) == 3
        assert find_items(item, Selection(asset="nir"))[0].paths == ("asset nir of item a",)

    def test_what_is_no_stac(self, folder):
        (folder / "broken.json").write_text('{"type": "Feature"')
        with pytest.raises(CatalogError, match="cannot be read"):
            find_items(folder / "broken.json")


class TestTables:
    @pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".geojson"])
    def test_an_index_of_rasters(self, folder, suffix):
        footprints = [read_footprint(str(folder / name)) for name in ("a.tif", "b.tif")]
        table = gpd.GeoDataFrame(
            {"location": ["a.tif", "b.tif"], "clouds": [3, 70], "date": ["2024-06-01", "2024-09-01"]},
            geometry=footprints,
            crs=4326,
        )
        path = folder / f"index{suffix}"
        table.to_parquet(path) if suffix == ".parquet" else table.to_file(path)
        assert [item.paths for item in find_items(path)] == [(str(folder / name),) for name in ("a.tif", "b.tif")]
        assert names(find_items(path, Selection(when="2024-06", where=("clouds < 50",)))) == ["a"]
        assert names(find_items(table, area=footprints[1].buffer(-1e-6))) == ["b"]

    def test_stac_geoparquet(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        items = [stac_item("a"), stac_item("b", month=8)]
        items[1].add_asset("preview", pystac.Asset("b.png", media_type="image/png", roles=["thumbnail", "overview"]))
        table = gpd.GeoDataFrame(
            {
                "id": ["a", "b"],
                "stac_version": "1.0.0",
                "datetime": [item.datetime for item in items],
                "eo:cloud_cover": [10, 20],
                "proj:shape": [[32, 32], [32, 32]],
                "assets": [{name: asset.to_dict() for name, asset in item.assets.items()} for item in items],
            },
            geometry=[shapely.geometry.shape(item.geometry) for item in items],
            crs=4326,
        )
        table.to_parquet(folder / "items.parquet")
        found = find_items(folder / "items.parquet", Selection(where=("eo:cloud_cover < 15",), when="2024"))
        assert [(item.name, item.paths) for item in found] == [("a", (str(folder / "a.tif"),))]
        assert found[0].properties["proj:shape"] == [32, 32]
        assert names(find_items(folder / "items.parquet")) == ["a", "b"]

    def test_a_table_without_paths(self):
        with pytest.raises(CatalogError, match="expected one of path"):
            find_items(gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.Point(0, 0)], crs=4326))


def test_names_are_unique_whatever_the_paths():
    items = with_unique_names([Item("a", ("1",)), Item("A", ("2",)), Item("b", ("3",))])
    assert len({item.name.lower() for item in items}) == 3
    assert [item.name for item in items] == sorted(item.name for item in items)
