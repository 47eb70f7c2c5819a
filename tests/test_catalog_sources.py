"""Catalogs of scenes: whatever names scenes gives the items it names, and says what is wrong where it does not."""

import json
import os
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pystac
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from geosam.catalog.items import Item, safe_name, with_unique_names
from geosam.catalog.selection import Selection
from geosam.catalog.sources import find_items, read_footprint
from geosam.catalog.stac import resolve
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
        with pytest.raises(CatalogError, match="asset nir of item 'a': expected one that it has: red, green, blue"):
            find_items(item, Selection(asset="nir"))

    def test_what_is_no_stac(self, folder):
        (folder / "broken.json").write_text('{"type": "Feature"')
        with pytest.raises(CatalogError, match="cannot be read"):
            find_items(folder / "broken.json")


UNSOUND = {
    "no time": {"properties": {"datetime": None}},
    "a time that is none": {"properties": {"datetime": "June"}},
    "an end before its start": {"properties": {"start_datetime": "2024-06-02T00:00Z", "end_datetime": "2024-06-01"}},
    "no properties": {"properties": None},
    "properties as a list": {"properties": []},
    "no asset": {"assets": {}},
    "assets as a list": {"assets": [{"href": "a.tif"}]},
    "an asset without href": {"assets": {"visual": {"type": "image/tiff", "roles": ["data"]}}},
    "an href of numbers": {"assets": {"visual": {"href": 7, "type": "image/tiff"}}},
    "an href with a NUL": {"assets": {"visual": {"href": "file:///a%00.tif", "type": "image/tiff"}}},
    "a geometry of too few points": {"geometry": {"type": "Polygon", "coordinates": [[15, 47]]}},
    "a geometry in metres": {"geometry": {"type": "Point", "coordinates": [500000, 5300000]}},
    "a geometry of text": {"geometry": "POINT (15 47)"},
    "a box of text": {"bbox": ["a", 0, 1, 1]},
    "a box upside down": {"bbox": [15, 48, 16, 47]},
    "links of another kind": {"links": 7},
    "another version": {"stac_version": "banana"},
    "a version of numbers": {"stac_version": 1.0},
    "a Collection": {"type": "Collection"},
}


class TestUnsound:
    """An item that is not sound is named with its reason, and stops no other."""

    @staticmethod
    def write(folder: Path, *items: object) -> Path:
        path = folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        return path

    @pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND)
    def test_one_item_is_named(self, tmp_path, change):
        sound = stac_item("sound").to_dict(transform_hrefs=False)
        items = find_items(self.write(tmp_path, sound, sound | {"id": "broken-7"} | change))
        assert {item.name: item.problem is None for item in items} == {"sound": True, "broken-7": False}
        assert "broken-7" in str(items[0].problem) or "a%00" in str(items[0].problem)

    @pytest.mark.parametrize("entry", [None, 7, "text", [], {}, {"id": None}, {"id": 7}, {"id": ""}])
    def test_one_without_a_name_is_numbered(self, tmp_path, entry):
        sound = stac_item("sound").to_dict(transform_hrefs=False)
        broken = entry if not isinstance(entry, dict) else sound | {"id": entry.get("id")} if entry else {}
        items = find_items(self.write(tmp_path, sound, broken))
        assert [item.name for item in items] == ["item-2", "sound"]
        assert items[0].problem is not None

    def test_an_id_that_two_items_have_names_two_scenes(self, tmp_path):
        sound = stac_item("a").to_dict(transform_hrefs=False)
        other = sound | {"assets": {"visual": {"href": "b.tif", "type": "image/tiff"}}}
        items = find_items(self.write(tmp_path, sound, other, sound))
        assert len(items) == len({item.name for item in items}) == 2

    def test_where_all_are_broken_there_is_one_error(self, tmp_path):
        broken = stac_item("a").to_dict(transform_hrefs=False) | {"assets": {}}
        with pytest.raises(CatalogError, match=r"'a' has no asset \(and 1 more"):
            find_items(self.write(tmp_path, broken, broken | {"id": "b"}))

    def test_links_that_lead_nowhere_or_in_circles_are_named_or_left(self, tmp_path):
        catalog = write_catalog(tmp_path / "stac")
        content = json.loads(catalog.read_text())
        content["links"] += [
            {"rel": "child", "href": "./catalog.json"},
            {"rel": "child", "href": "../stac/catalog.json"},
            {"rel": "item", "href": "./gone.json"},
            {"rel": "item", "href": "./list.json"},
            {"rel": "item", "href": 7},
            {"rel": "item"},
            None,
        ]
        catalog.write_text(json.dumps(content))
        (tmp_path / "stac" / "list.json").write_text("[" * 100_000)
        items = find_items(catalog)
        assert {item.name for item in items if item.problem is None} == {"summer_a", "summer_b"}
        broken = {item.name: str(item.problem) for item in items if item.problem is not None}
        assert set(broken) >= {"gone", "list"}
        assert len(broken) == 4
        assert "does not exist" in broken["gone"]
        content["links"] = content["links"][:-3]  # those that pystac cannot hold
        catalog.write_text(json.dumps(content))
        in_memory = find_items(pystac.Catalog.from_file(str(catalog)))
        assert names(in_memory) == names(find_items(catalog)) == ["gone", "list", "summer_a", "summer_b"]

    @pytest.mark.parametrize(
        "href",
        [
            "file:///etc/a.tif",
            "/vsizip//data/a.zip/vsicurl/https://h/a.tif",
            "/vsicurl/file:///etc/a.tif",
            "/vsistdin/",
            "/vsimem/a",
            "vrt:///a.tif",
            "/vsicurl?url=file:///a&x=https://",
            "GPKG:/a:b",
        ],
    )
    def test_an_item_from_afar_names_no_local_file(self, href):
        with pytest.raises(CatalogError):
            resolve(href, "https://host/items/one.json")

    @pytest.mark.parametrize(
        ("href", "address"),
        [
            ("../a.tif", "https://host/a.tif"),
            ("/a.tif", "https://host/a.tif"),
            ("../../../../etc/passwd", "https://host/etc/passwd"),
            ("s3://b/a.tif", "s3://b/a.tif"),
            ("/vsizip/vsicurl/https://h/a.zip/a.tif", "/vsizip/vsicurl/https://h/a.zip/a.tif"),
            ("/vsicurl?pc=yes&url=https%3A%2F%2Fh%2Fa.tif", "/vsicurl?pc=yes&url=https%3A%2F%2Fh%2Fa.tif"),
        ],
    )
    def test_an_item_from_afar_names_what_lies_afar(self, href, address):
        assert resolve(href, "https://host/items/one.json") == address

    def test_a_local_name_is_a_name_and_may_be_written_as_in_a_url(self, tmp_path):
        item = str(tmp_path / "item.json")
        (tmp_path / "a b.tif").touch()
        assert resolve("a%20b.tif", item) == resolve("./a b.tif", item) == str(tmp_path / "a b.tif")
        (tmp_path / "a%20b.tif").touch()
        assert resolve("a%20b.tif", item) == str(tmp_path / "a%20b.tif")
        assert resolve("gone%20.tif", item) == str(tmp_path / "gone%20.tif")

    def test_a_pipe_is_no_catalog(self, tmp_path):
        os.mkfifo(tmp_path / "items.json")
        with pytest.raises(CatalogError, match="pipe"):
            find_items(tmp_path / "items.json")


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

    def test_one_bad_row_is_named_and_the_others_are_scenes(self, folder):
        table = gpd.GeoDataFrame({"path": ["a.tif", None, "b\0.tif", ""]}, geometry=[None] * 4, crs=4326)
        items = find_items(table)
        assert [item.name for item in items if item.problem is None] == ["a"]
        assert len(items) == 4
        stac = gpd.GeoDataFrame(
            {"id": ["a", "b", None], "assets": ['{"data": {"href": "a.tif"}}', "[[", "{}"], "datetime": "2024-06-01"},
            geometry=[None] * 3,
            crs=4326,
        )
        items = find_items(stac)
        assert {item.name: item.problem is None for item in items} == {"a": True, "b": False, "item": False}

    def test_a_table_without_paths(self):
        with pytest.raises(CatalogError, match="expected one of path"):
            find_items(gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.Point(0, 0)], crs=4326))


def test_names_are_unique_whatever_the_paths():
    items = with_unique_names([Item("a", ("1",)), Item("A", ("2",)), Item("b", ("3",))])
    assert len({item.name.lower() for item in items}) == 3
    assert [item.name for item in items] == sorted(item.name for item in items)


@given(st.lists(st.text(max_size=300), max_size=6))
def test_names_are_those_of_files_whatever_the_ids(ids):
    items = with_unique_names(Item(safe_name(text), (text,)) for text in ids)
    names = [item.name for item in items]
    assert len({name.lower() for name in names}) == len(names) == len(set(ids))
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,140}", name) and name[-1] not in "._" for name in names)


def test_long_names_stay_apart_and_those_of_devices_are_none():
    long = 280 * "x"
    assert safe_name(long) == safe_name(long) != safe_name(f"{long}y")
    assert [safe_name(name) for name in ("nul", "COM1.tif", "console", "..")] == [
        "scene-nul",
        "scene-COM1.tif",
        "console",
        "scene",
    ]


class TestAddresses:
    SIGNED = "https://me:pw@host/a.tif?layers=3&sig=5f.gh%2Fij&se=2024"

    def test_secrets_are_only_where_they_open_something(self):
        item = find_items([self.SIGNED])[0]
        assert item.name == "a"
        assert item.paths == (self.SIGNED,)
        assert item.place == "https://***@host/a.tif?layers=3&sig=***&se=***"

    def test_another_signature_is_the_same_scene_and_another_layer_is_not(self):
        one, again, other = (
            Item("a", (address,)).identity
            for address in (self.SIGNED, self.SIGNED.replace("5f.gh", "6a"), self.SIGNED.replace("=3", "=4"))
        )
        assert one == again != other
        twice = find_items([self.SIGNED, self.SIGNED.replace("5f.gh", "6a"), self.SIGNED.replace("=3", "=4")])
        assert len(twice) == 2


class TestIdentity:
    """The key of a scene's result follows every file that GDAL reads for it."""

    def test_of_a_file_in_an_archive(self, folder):
        def pack(name):
            with zipfile.ZipFile(folder / "x.zip", "w") as archive:
                archive.write(folder / name, "a.tif")

        pack("a.tif")
        items = [Item("a", (path,)) for path in (f"/vsizip/{folder}/x.zip/a.tif", f"zip://{folder}/x.zip!/a.tif")]
        before = [item.identity for item in items]
        pack("b.tif")
        assert all(item.identity != old for item, old in zip(items, before, strict=True))

    def test_of_the_source_of_a_vrt_in_a_vrt(self, folder):
        with rasterio.open(folder / "a.tif") as source:
            wkt, (w, h) = source.crs.to_wkt(), (source.width, source.height)
        for name, inner in (("one.vrt", "a.tif"), ("two.vrt", "one.vrt")):
            (folder / name).write_text(
                f'<VRTDataset rasterXSize="{w}" rasterYSize="{h}"><SRS>{wkt}</SRS>'
                f'<VRTRasterBand dataType="Float64" band="1"><SimpleSource>'
                f'<SourceFilename relativeToVRT="1">{inner}</SourceFilename><SourceBand>1</SourceBand>'
                "</SimpleSource></VRTRasterBand></VRTDataset>"
            )
        item = Item("two", (str(folder / "two.vrt"),))
        before = item.identity
        os.utime(folder / "a.tif", ns=(1, 1))
        assert item.identity != before

    def test_of_a_world_file(self, folder):
        shape = {"width": 8, "height": 8, "count": 1, "dtype": "uint8"}
        with pytest.warns(NotGeoreferencedWarning), rasterio.open(folder / "plain.tif", "w", driver="GTiff", **shape):
            pass
        item = Item("plain", (str(folder / "plain.tif"),))
        before = item.identity
        (folder / "plain.tfw").write_text("1\n0\n0\n-1\n5\n5\n")
        placed = item.identity
        (folder / "plain.tfw").write_text("2\n0\n0\n-2\n50\n50\n")
        assert len({before, placed, item.identity}) == 3
