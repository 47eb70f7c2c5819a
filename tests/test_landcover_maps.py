"""Maps and labelled places as people have them: gaps, other spellings, no CRS, tables of any dialect."""

import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from typer.testing import CliRunner

from geosam.cli import app
from geosam.errors import LandcoverError, SceneReadError
from geosam.landcover import AssessOptions, DesignOptions, Legend, assess, class_areas, draw_points, sample_design
from geosam.landcover.legend import known
from geosam.landcover.rasters import read_map
from geosam.landcover.remap import Remap
from geosam.landcover.samples import read_samples
from geosam.sinks import Outputs

CRS, PLACES = "EPSG:32633", 8


def a_map(classes: list[object], *, crs: str | None = CRS) -> gpd.GeoDataFrame:
    """A square of a hectare for each class, side by side."""
    west = [500_000 + 100 * number for number in range(len(classes))]
    shapes = [shapely.box(x, 5_299_900, x + 100, 5_300_000) for x in west]
    return gpd.GeoDataFrame({"class": classes}, geometry=shapes, crs=crs)


def labelled(mapped: gpd.GeoDataFrame, classes: list[object]) -> gpd.GeoDataFrame:
    """As many places in each square, all of the class given for it."""
    rng = np.random.default_rng(0)
    left, low = mapped.bounds.minx.repeat(PLACES), mapped.bounds.miny.repeat(PLACES)
    xy = np.column_stack([left, low]) + rng.uniform(1, 99, (len(left), 2))
    return gpd.GeoDataFrame({"reference": np.repeat(classes, PLACES)}, geometry=shapely.points(xy), crs=mapped.crs)


def run(*words: object) -> tuple[int, str]:
    """Exit code of a command, and what it says or raises."""
    ended = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "300"})
    return ended.exit_code, f"{ended.output}{ended.exception or ''}"


def test_outputs_of_nothing_write_nothing(tmp_path):
    with Outputs([]) as outputs:
        outputs.commit()
    assert list(tmp_path.iterdir()) == []


def test_accuracy_is_told_without_any_file(tmp_path):
    mapped = a_map(["water", "wood"])
    mapped.to_file(tmp_path / "map.gpkg")
    labelled(mapped, ["water", "wood"]).to_file(tmp_path / "places.gpkg")
    code, said = run("accuracy", tmp_path / "map.gpkg", tmp_path / "places.gpkg")
    assert (code, said.splitlines()[0]) == (0, "overall accuracy 100.0 % ± 9.7 (95 %)")


@pytest.mark.parametrize("nothing", [None, "", "  ", np.nan])
def test_polygons_without_a_class_are_no_class(nothing, caplog):
    mapped = a_map(["water", nothing, "wood"])
    with caplog.at_level(logging.WARNING):
        areas = class_areas(mapped)
    assert areas == pytest.approx({"water": 1.0, "wood": 1.0}, rel=1e-2)
    assert "1 of 3 polygons have no class" in caplog.text
    found, notes = assess(mapped, labelled(mapped, ["water", "water", "wood"]))
    assert list(found.classes.index) == ["water", "wood"]
    assert notes == (f"{PLACES} labelled places lie off the map and are left out",)


def test_a_map_of_no_class_at_all_is_refused():
    with pytest.raises(LandcoverError, match="column 'class' is empty"):
        class_areas(a_map([None, ""]))


def test_a_class_is_known_however_it_is_capitalized():
    mapped = a_map(["Tree cover", "water", "Water"])
    found, notes = assess(mapped, labelled(mapped, ["tree  Cover", "water", "Water"]))
    assert (found.overall.value, notes) == (1.0, ())


def test_two_spellings_of_a_class_are_told_or_refused(tmp_path, caplog):
    mapped = a_map(["Wood", "wood", "water"])
    mapped.to_file(tmp_path / "map.gpkg")
    assert read_map(tmp_path / "map.gpkg")["class"].tolist() == ["Wood", "wood", "water"]
    assert "the map has the classes 'Wood', 'wood', which are told apart" in caplog.text
    samples = labelled(mapped, ["Wood", "wood", "water"])
    with pytest.raises(LandcoverError, match="samples of 'Wood', 'wood': expected one spelling of each class"):
        read_samples(samples, "reference")


def test_places_that_are_there_twice_are_told():
    mapped = a_map(["water", "wood"])
    places = labelled(mapped, ["water", "wood"])
    assert assess(mapped, places)[1] == ()
    (note,) = assess(mapped, pd.concat([places, places[:3]]))[1]
    assert note.startswith("3 places lie exactly on another")


def test_a_total_that_is_too_small_for_all_classes_is_told(caplog):
    design = sample_design({"water": 1.0, "wood": 2.0, "bog": 3.0}, DesignOptions(total=3))
    assert design.n.tolist() == [2, 2, 2]
    assert "total=3 gives 6 places" in caplog.text
    caplog.clear()
    assert sample_design({"water": 1.0, "wood": 2.0}, DesignOptions(total=30)).n.sum() == 30
    assert not caplog.records


def test_classes_that_the_map_does_not_have_are_told_and_wrong():
    mapped = a_map(["water", "wood"])
    found, notes = assess(mapped, labelled(mapped, ["water", "bog"]))
    assert found.overall.value == pytest.approx(0.5, abs=0.01)
    assert notes == ("bog: no class of the map, so that such places are wrong there",)


def test_places_whose_classes_are_all_others_are_refused():
    mapped = a_map(["water", "wood"])
    with pytest.raises(LandcoverError, match="places of class 10, 20: expected classes of the map: water, wood"):
        assess(mapped, labelled(mapped, [10, 20]))


def test_a_polygon_counts_by_a_point_within():
    mapped = a_map(["water", "wood"])
    places = labelled(mapped, ["water", "wood"])
    found, _ = assess(mapped, places.set_geometry(places.buffer(0.9)))
    assert found.overall.value == 1.0


def test_polygons_over_one_another_are_told(caplog):
    twice = pd.concat([a_map(["water", "wood"]), a_map(["wood"])], ignore_index=True)
    with caplog.at_level(logging.WARNING):
        draw_points(twice, {"water": 5})
    assert "5 of 5 places lie in several polygons, whose areas count twice" in caplog.text


def test_places_of_a_map_without_a_crs_are_no_degrees():
    points = draw_points(a_map(["water"], crs=None), {"water": 2})
    assert points.columns[:3].tolist() == ["PLOTID", "X", "Y"]
    assert points.X.between(500_000, 500_100).all()
    assert draw_points(a_map(["water"]), {"water": 2}).columns[:3].tolist() == ["PLOTID", "LON", "LAT"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--total", 10**9), "1,000,000,000 places: expected 1,000,000 at most"),
        (("--se", 1e-6), "places: expected 1,000,000 at most"),
        (("--seed", -1), "--seed"),
        (("--users", "water=0.9,water=0.8"), "expected each class once"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused(words, message, tmp_path):
    a_map(["water"]).to_file(tmp_path / "map.gpkg")
    code, said = run("sample", tmp_path / "map.gpkg", "-o", tmp_path / "p.csv", *words)
    assert code != 0
    assert message in said
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_legend_is_read_in_any_dialect(tmp_path, encoding, delimiter):
    rows = [("Code", "Name", "Colour"), ("10", "Gewässer", "#0064c8"), ("20", "Wald", "")]
    (path := tmp_path / "own.csv").write_text("\r\n".join(map(delimiter.join, rows)), encoding=encoding)
    legend = Legend.of(path)
    assert (legend.codes, legend.names, legend.colours[0]) == ((10, 20), ("Gewässer", "Wald"), "#0064c8")


@pytest.mark.parametrize("colour", ["#ff0064c8", "0064c8ff", "#0064c"])
def test_a_colour_has_six_digits_or_is_refused(tmp_path, colour):
    (path := tmp_path / "own.csv").write_text(f"code,name,colour\n1,water,{colour}\n")
    with pytest.raises(LandcoverError, match="expected six hex digits"):
        Legend.of(path)


def test_a_row_with_more_values_than_columns_is_named(tmp_path):
    (path := tmp_path / "own.csv").write_text("code,name\n1,water,#0000ff\n")
    with pytest.raises(LandcoverError, match=r"row 1 of own\.csv: it has 3 values for 2 columns"):
        Legend.of(path)


def test_a_table_from_one_legend_to_another_is_read_in_any_dialect(tmp_path):
    (path := tmp_path / "own.csv").write_text("from;to\n10;1\n", encoding="utf-16")
    assert Remap.from_csv(path, known()["worldcover"], known()["dynamicworld"]).codes == {10: 1}


def test_layers_of_a_map_are_asked_for_in_a_way_that_the_command_has(tmp_path):
    for layer in "ab":
        a_map(["water", "wood"]).to_file(tmp_path / "map.gpkg", layer=layer)
    _, said = run("sample", tmp_path / "map.gpkg", "-o", tmp_path / "p.csv")
    assert '"file.gpkg|layername=fields"' in said
    assert "--" not in said


def test_a_legend_is_no_output(tmp_path):
    mapped = a_map(["water", "wood"])
    mapped.to_file(tmp_path / "map.gpkg")
    labelled(mapped, ["water", "wood"]).to_file(tmp_path / "places.gpkg")
    (legend := tmp_path / "own.csv").write_text("code,name\n1,water\n2,wood\n")
    for words in (
        ("sample", tmp_path / "map.gpkg", "-o", legend),
        ("accuracy", tmp_path / "map.gpkg", tmp_path / "places.gpkg", "--table", legend),
    ):
        code, said = run(*words, "--legend", legend, "--overwrite")
        assert code == 1
        assert "is read by this run" in said
    assert legend.read_text().startswith("code,name")


def a_raster(path: Path, codes: list[int], *, damaged: bool = False) -> Path:
    """A class raster of the squares of `a_map`, a code for each; damaged: what is stored of it is nothing."""
    rows = np.repeat(np.repeat(np.array([codes], np.uint8), 100, 0), 100, 1)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 100, "width": rows.shape[1]}
    with rasterio.open(
        path, "w", crs=CRS, transform=from_origin(500_000, 5_300_000, 1, 1), compress="deflate", **profile
    ) as file:
        file.write(rows, 1)
    if damaged:
        with rasterio.open(path) as file:
            start = int(file.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1))
        stored = bytearray(path.read_bytes())
        stored[start : start + 20] = bytes(20)
        path.write_bytes(stored)
    return path


LEGEND = "code,name\n10,wood\n80,water\n90,bog\n"


@pytest.mark.parametrize("given", [[80, 10], ["80", "10"], [80.0, 10.0], ["water", "wood"], ["Water", "10"]])
def test_a_class_is_known_by_its_code(tmp_path, given):
    raster = a_raster(tmp_path / "map.tif", [80, 10])
    (legend := tmp_path / "own.csv").write_text(LEGEND)
    labelled(a_map(["", ""]), given).to_file(tmp_path / "places.gpkg")
    code, said = run("accuracy", raster, tmp_path / "places.gpkg", "--legend", legend)
    assert (code, said.splitlines()[0]) == (0, "overall accuracy 100.0 % ± 9.7 (95 %)")
    assert [line.split()[0] for line in said.splitlines()[2:5]] == ["class", "water", "wood"]


def test_codes_of_the_map_itself_are_known_without_a_legend():
    mapped = a_map(["water", "wood"]).assign(class_code=[80, 10])
    found, notes = assess(mapped, labelled(mapped, [80, 10]))
    assert (found.overall.value, notes) == (1.0, ())


def test_a_class_called_as_another_ones_code_is_itself():
    mapped = a_map(["1", "2"]).assign(class_code=[2, 1])
    assert assess(mapped, labelled(mapped, ["1", "2"]))[0].overall.value == 1.0


def test_a_code_that_only_the_legend_knows_is_told_by_its_name(tmp_path):
    (tmp_path / "own.csv").write_text(LEGEND)
    mapped = a_map(["water", "wood"])
    options = AssessOptions(legend=Legend.of(tmp_path / "own.csv"))
    assert assess(mapped, labelled(mapped, [80, 90]), options)[1] == (
        "bog: no class of the map, so that such places are wrong there",
    )


def test_polygons_whose_classes_are_codes_get_the_names_of_the_legend(tmp_path):
    a_map(["80", "10", "marsh", None]).to_file(tmp_path / "map.gpkg")
    (tmp_path / "own.csv").write_text(LEGEND)
    read = read_map(tmp_path / "map.gpkg", legend=Legend.of(tmp_path / "own.csv"))
    assert read["class"].tolist()[:3] == ["water", "wood", "marsh"]
    assert read["class"].isna().tolist() == [False] * 3 + [True]


def test_a_damaged_class_raster_is_named(tmp_path):
    raster = a_raster(tmp_path / "map.tif", [80, 10], damaged=True)
    with pytest.raises(SceneReadError, match=r"map\.tif cannot be read .*expected an undamaged file"):
        read_map(raster)
