"""A comparison as files: GeoPackage, schemas, GeoJSON, situation map, swipe page, command line."""

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from geosam.change import ExtentOptions, problems
from geosam.change.schemas import to_schema
from geosam.cli import app
from geosam.errors import OptionError, SinkError
from geosam.pipeline.publish import check_outputs, compare_to_file, publish
from geosam.sheets import Titles, situation_map
from geosam.sheets.situation import source_rows
from geosam.sinks import read_metadata
from geosam.testing import TruthNetwork

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)
CRS = "EPSG:32633"


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Ground with eight bright roofs, two of which are gone later, and a mask."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(4)
    ground = ndimage.gaussian_filter(rng.uniform(60, 140, (3, 200, 260)), (0, 1.2, 1.2))
    corners = [(20 + 60 * (n % 4), 30 + 80 * (n // 4)) for n in range(8)]
    boxes = [shapely.box(x, y, x + 30, y + 24) for x, y in corners]
    for name, standing in (("before", range(8)), ("after", range(2, 8))):
        pixels = ground.copy()
        for number in standing:
            x, y = corners[number]
            pixels[:, y : y + 24, x : x + 30] = np.array([[[200]], [[90]], [[70]]])
            pixels[:, y : y + 12, x : x + 30] += 30
        noisy = np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
        profile = {"driver": "GTiff", "count": 3, "height": 200, "width": 260, "dtype": "uint8"}
        with rasterio.open(folder / f"{name}.tif", "w", **profile, crs=CRS, transform=PLACE) as file:
            file.write(noisy)
    known = gpd.GeoSeries(boxes).affine_transform(PLACE.to_shapely())
    gpd.GeoDataFrame({"osm_id": [f"w{n}" for n in range(8)]}, geometry=known.array, crs=CRS).to_file(
        folder / "known.gpkg"
    )
    cloud = gpd.GeoSeries([shapely.box(200, 0, 260, 60)]).affine_transform(PLACE.to_shapely())
    gpd.GeoDataFrame(geometry=cloud.array, crs=CRS).to_file(folder / "cloud.gpkg")
    return folder


@pytest.fixture(scope="session")
def result(place, tmp_path_factory):
    """The place compared and written in all forms, and the folder."""
    folder = tmp_path_factory.mktemp("out")
    flood = gpd.GeoSeries([shapely.box(10, 150, 60, 190)]).affine_transform(PLACE.to_shapely())
    found = compare_to_file(
        place / "before.tif",
        place / "after.tif",
        folder / "change.gpkg",
        place / "known.gpkg",
        geojson=folder / "change.geojson",
        sheet=folder / "map.png",
        page=folder / "swipe.html",
        titles=Titles("Flood", "Nowhere <&>", "2026-11-30"),
        model=TruthNetwork(),
        decode=False,
        find_new=False,
        masks_after=(place / "cloud.gpkg",),
        date_before="2026-11-01T10:00:00Z",
        date_after="2026-11-30T10:30:00Z",
        units=100.0,
    )
    assert flood.crs is None
    return found, folder


def test_what_is_gone_is_told_so(result):
    status = result[0].change.set_index("source_id")["status"]
    assert status["w0"] in ("gone", "changed")
    assert status["w1"] in ("gone", "changed")
    assert status["w3"] == "unseen"
    assert (status[["w2", "w4", "w5", "w6", "w7"]] == "kept").all()


def test_the_package_has_all_layers_and_styles(result):
    path = result[1] / "change.gpkg"
    names = pyogrio.list_layers(path)[:, 0].tolist()
    assert names[:6] == ["change", "before", "after", "not_analysed", "summary", "source"]
    change = gpd.read_file(path, layer="change")
    assert change["source_id"].tolist() == [f"w{n}" for n in range(8)]
    assert change.geom_type.eq("MultiPolygon").all()
    with closing(sqlite3.connect(path)) as package:
        styles = dict(package.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault").fetchall())
        assert not package.execute("PRAGMA foreign_key_check").fetchall()
    assert {"change", "before", "after", "not_analysed"} <= set(styles)
    tree = ElementTree.fromstring(styles["change"].split("\n", 1)[1])
    assert {each.get("value") for each in tree.iter("category")} == {"kept", "changed", "gone", "new", "unseen"}
    assert "after lies" in str(read_metadata(path)["registration"])


def test_the_same_input_gives_the_same_bytes(result, tmp_path):
    one, two = (check_outputs(tmp_path / f"{name}.gpkg") for name in "ab")
    publish(result[0], one)
    publish(result[0], two)
    assert one.package.read_bytes() == two.package.read_bytes()


@pytest.mark.parametrize("schema", ["ems", "unosat", "osm"])
def test_a_package_in_a_schema_is_valid(result, schema, tmp_path):
    files = check_outputs(tmp_path / "out.gpkg")
    publish(result[0], files, schema=schema)
    names = [name for name in pyogrio.list_layers(files.package)[:, 0] if name != "layer_styles"]
    layers = {name: pyogrio.read_dataframe(files.package, layer=name) for name in names}
    assert problems(layers, schema) == []
    shaped = {name for name, kind in pyogrio.list_layers(files.package) if kind is not None}
    with closing(sqlite3.connect(files.package)) as package:
        assert {name for (name,) in package.execute("SELECT f_table_name FROM layer_styles")} == shaped
    assert sum(len(each) for each in layers.values()) >= 7


@pytest.mark.parametrize("schema", [None, "ems", "unosat", "osm"])
def test_gdal_reads_every_layer_of_a_package_without_a_word_of_complaint(result, schema, tmp_path):
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("needs ogrinfo (Debian: gdal-bin)")
    files = check_outputs(tmp_path / "out.gpkg")
    publish(result[0], files, schema=schema)
    told = subprocess.run([program, "-al", "-so", "-ro", files.package], capture_output=True, text=True, check=True)
    complaints = [line for line in told.stderr.splitlines() if "version of GeoPackage" not in line]  # an older GDAL
    assert complaints == []
    counts = dict(re.findall(r"^Layer name: (\S+).*?^Feature Count: (\d+)", told.stdout, re.M | re.S))
    layers = result[0].layers() if schema is None else to_schema(result[0], schema)
    assert {name: int(counts[name]) for name in layers} == {name: len(table) for name, table in layers.items()}


def test_empty_layers_of_a_schema_have_the_types_of_full_ones(result):
    nothing = replace(result[0], change=result[0].change.iloc[:0])
    for schema in ("ems", "unosat", "osm"):
        full, empty = to_schema(result[0], schema), to_schema(nothing, schema)
        name = next(iter(full))
        assert [kind.kind in "if" for kind in empty[name].drop(columns="geometry").dtypes] == [
            kind.kind in "if" for kind in full[name].drop(columns="geometry").dtypes
        ]


def test_the_map_tells_long_names_of_scenes_apart(result):
    names = [f"santa-rosa-wildfire_00000086_{when}_disaster" for when in ("pre", "post")]
    rows = source_rows(replace(result[0], source=result[0].source.assign(name=names)))
    assert len({name for name, *_ in rows}) == 3
    assert all(len(name) <= 28 for name, *_ in rows)


def test_the_map_is_a_whole_page(result):
    with Image.open(result[1] / "map.png") as image:
        assert image.size == (2475, 1755)
        assert np.asarray(image.convert("L")).std() > 20
    situation_map(result[0], result[1] / "map.pdf")
    assert (result[1] / "map.pdf").read_bytes()[:5] == b"%PDF-"


def test_the_page_needs_nothing_from_elsewhere(result):
    text = (result[1] / "swipe.html").read_text(encoding="utf-8")
    assert "Nowhere &lt;&amp;&gt;" in text
    assert text.count("data:image/jpeg;base64,") == 2
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert text.count("<path ") == 8


def test_geojson_is_in_longitude_and_latitude(result):
    found = gpd.read_file(result[1] / "change.geojson")
    assert len(found) == 8
    assert found.total_bounds[0] == pytest.approx(15.0, abs=0.1)


def test_outputs_are_checked_before_any_work(place, tmp_path):
    with pytest.raises(SinkError, match="gpkg"):
        compare_to_file(place / "before.tif", place / "after.tif", tmp_path / "out.shp")
    with pytest.raises(SinkError, match="read"):
        compare_to_file(place / "before.tif", place / "after.tif", place / "known.gpkg", place / "known.gpkg")
    with pytest.raises(OptionError, match="schema"):
        compare_to_file(place / "before.tif", place / "after.tif", tmp_path / "out.gpkg", schema="fema")


def test_an_extent_of_outlines_wants_prompts():
    with pytest.raises(OptionError, match="prompts"):
        ExtentOptions()


def test_the_command_writes_what_it_says(place, tmp_path):
    command = [
        "change", str(place / "before.tif"), str(place / "after.tif"), "-o", str(tmp_path / "out.gpkg"),
        "--prompts", str(place / "known.gpkg"), "--id-column", "osm_id", "--no-decode", "--no-new", "--store", "none",
        "--mask-after", str(place / "cloud.gpkg"), "--swipe", str(tmp_path / "swipe.html"), "-q",
    ]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "1 unseen" in done.output
    assert (tmp_path / "swipe.html").exists()
    assert len(gpd.read_file(tmp_path / "out.gpkg", layer="change")) == 8
