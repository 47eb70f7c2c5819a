"""Areas of interest: what is one, and what is refused in words."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geosam.catalog.selection import Selection
from geosam.catalog.tables import items_from_table, read_table
from geosam.errors import SceneError
from geosam.scene import Scene, open_scene
from geosam.scene.area import load_area
from geosam.testing import coordinate_scene

FIELD = shapely.box(500_010, 4_999_950, 500_030, 4_999_990)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return open_scene(coordinate_scene(tmp_path_factory.mktemp("area") / "xy.tif", (200, 200)))


def test_an_area_may_be_given_in_many_ways(scene, tmp_path):
    series = gpd.GeoSeries([FIELD], crs=scene.crs)
    series.to_file(tmp_path / "a.gpkg")
    (tmp_path / "a.gpkg").rename(tmp_path / "a!b.gpkg")
    (tmp_path / "a.csv").write_text(f'wkt\n"{FIELD.wkt}"\n')
    mixed = shapely.GeometryCollection([FIELD, shapely.Point(0, 0)])
    for given in (FIELD, series, series.to_frame(), [FIELD, None], tmp_path / "a!b.gpkg", tmp_path / "a.csv", mixed):
        assert scene.within(given).shape == scene.within(FIELD).shape


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (shapely.LineString([(500_000, 4_999_900), (500_050, 4_999_950)]), "holds linestrings, which cover no area"),
        ([shapely.Point(500_010, 4_999_990)], "holds points, which cover no area"),
        (shapely.Polygon(), "holds no feature"),
        ([None], "holds no feature"),
        (shapely.Polygon(np.random.default_rng(0).random((3000, 2))), "crosses itself"),
        (5, "type int"),
        ("absent.gpkg", "absent.gpkg does not exist"),
    ],
)
def test_what_is_no_area_is_refused_in_words(scene, given, message):
    with pytest.raises(SceneError, match=message):
        scene.within(given)


def test_an_area_in_metres_that_is_taken_for_degrees_is_refused_unless_its_crs_is_given(scene, tmp_path):
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(FIELD)}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(SceneError, match=r"no degrees.*--aoi-crs"):
        scene.within(path)
    assert scene.within(path, scene.crs).shape == scene.within(FIELD).shape
    assert load_area(path, scene.crs).geometry.iloc[0].equals(FIELD)


def test_a_table_of_scenes_keeps_names_and_names_the_row_without_a_path(tmp_path):
    table = pd.DataFrame(
        {"path": ["a.tif", None], "name": ["0042", "0043"], "cloud": pd.array([7, None], dtype="Int64")}
    )
    first, second = items_from_table(table, Selection())
    assert (first.name, dict(first.properties)) == ("0042", {"name": "0042", "cloud": 7})
    assert second.paths == ()
    assert "no path in row 1 of the table" in str(second.problem)
    twice = pd.concat([table, table[["name"]]], axis=1)
    assert [item.name for item in items_from_table(twice, Selection())] == ["0042", "0043"]


def test_a_footprint_that_is_no_place_is_none(tmp_path):
    frame = gpd.GeoDataFrame({"path": ["a.tif"]}, geometry=[FIELD], crs=4326)
    frame.to_file(tmp_path / "a.gpkg")
    (item,) = read_table(tmp_path / "a.gpkg", Selection())
    assert item.footprint is None
    assert item.paths[0].endswith("a.tif")
