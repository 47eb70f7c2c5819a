"""The one way in for features: every value is what the file holds, and whatever cannot be used is named."""

import json
import logging
import os
import sqlite3
import struct
import time
import warnings
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.errors import CatalogError, PromptError, SceneError
from geosam.vectors import AREA, NOTES, SCENES, Purpose, read_vector
from geosam.vectors.geometry import geometries_from_wkb
from geosam.vectors.repair import crossings, repaired, thinned
from geosam.vectors.text import recognized

UTM = "EPSG:32633"
CELL = 631210968840000000
SQUARES = [shapely.box(x, 0, x + 5, 5) for x in (0, 10, 20)]
VRT = (
    "<OGRVRTDataSource><OGRVRTLayer name='b'><SrcDataSource>http://127.0.0.1:9/x</SrcDataSource></OGRVRTLayer>"
    "</OGRVRTDataSource>"
)


def squares(**columns) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=SQUARES, crs=UTM)


def written(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


# --- attributes


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson", "shp", "parquet"])
def test_whole_numbers_with_a_gap_are_exact(tmp_path, suffix):
    frame = squares(cell=pd.array([CELL, CELL + 16, None], dtype="Int64"), code=["00042", "NA", None])
    path = tmp_path / f"cells.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_file(path)
    read = read_vector(path)
    assert read["cell"].dtype == "Int64"
    read = read.sort_values("cell")  # FlatGeobuf has an order of its own
    assert read["cell"].dropna().tolist() == [CELL, CELL + 16]
    assert read["code"].tolist()[:2] == ["00042", "NA"]
    assert pd.isna(read["code"].iloc[2])


def test_parquet_of_other_tools_keeps_gaps(tmp_path):
    squares().to_parquet(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    table = table.append_column("cell", pa.array([CELL + 1, None, 3])).append_column(
        "flat", pa.array([True, None, False])
    )
    pq.write_table(table, tmp_path / "b.parquet")
    read = read_vector(tmp_path / "b.parquet")
    assert read[["cell", "flat"]].dtypes.astype(str).tolist() == ["Int64", "boolean"]
    assert read["cell"].iloc[0] == CELL + 1


def test_long_numbers_of_a_shapefile_are_no_real_numbers(tmp_path):
    squares(cell=[2**63 - 1, 2**62 + 1, 7]).to_file(tmp_path / "a.shp")
    assert read_vector(tmp_path / "a.shp")["cell"].tolist() == [2**63 - 1, 2**62 + 1, 7]


def test_truth_values_lists_and_moments_keep_their_kind(tmp_path):
    moments = pd.to_datetime(["2024-06-01 00:30", "2024-01-01 00:30", None]).tz_localize("Europe/Berlin")
    frame = squares(flat=pd.array([True, None, False], dtype="boolean"), seen=moments)
    frame.to_file(tmp_path / "a.gpkg")
    read = read_vector(tmp_path / "a.gpkg")
    assert read["flat"].dtype == "boolean"
    assert (read["seen"] == pd.Series(moments, index=read.index)).tolist() == [True, True, False]


def test_json_says_what_it_says(tmp_path):
    one = {"a": 1, "A": 2, "l": [1, 2], "o": {"k": 1}, "cell": 2**64 - 1, "day": "2020/01/01", "geometry": "x"}
    two = {"a": None, "A": 2, "l": [3], "o": [1], "cell": 3, "day": "2020/01/02", "geometry": "y"}
    features = [
        {"type": "Feature", "properties": row, "geometry": {"type": "Point", "coordinates": [9, 45]}}
        for row in (one, two)
    ]
    path = written(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "a.geojson")
    read = read_vector(path)
    assert read.geometry.iloc[0] == shapely.Point(9, 45)
    attributes = pd.DataFrame(read.drop(columns=read.geometry.name))
    assert attributes.to_dict("records") == [one, two]


def test_columns_of_one_name_are_told_apart(tmp_path):
    squares(name=["a"] * 3, zame=["b"] * 3).to_file(tmp_path / "a.shp")
    table = tmp_path / "a.dbf"
    table.write_bytes(table.read_bytes().replace(b"zame", b"name"))
    read = read_vector(tmp_path / "a.shp")
    assert read[["name", "name_2"]].iloc[0].tolist() == ["a", "b"]


def test_bytes_that_are_no_text_are_spelled_out(tmp_path):
    squares(name=["abc", "b", "c"]).to_file(tmp_path / "a.gpkg")
    (tmp_path / "b.gpkg").write_bytes((tmp_path / "a.gpkg").read_bytes().replace(b"abc", b"a\xffc"))
    assert read_vector(tmp_path / "b.gpkg")["name"].tolist() == ["a\\xffc", "b", "c"]


def test_an_undefined_crs_is_none(tmp_path):
    for srs in (-1, 0):
        path = tmp_path / f"a{srs}.gpkg"
        squares().to_file(path, layer="a")
        with sqlite3.connect(path) as database:
            database.execute("update gpkg_contents set srs_id=?", (srs,))
            database.execute("update gpkg_geometry_columns set srs_id=?", (srs,))
        database.close()
        assert read_vector(path).crs is None


# --- tables


def test_text_stays_text(tmp_path):
    path = written(tmp_path, "id,country,built,x,y\n00001,NA,1987,1,2\n00002,null,,3,4\n")
    read = read_vector(path)
    assert read["id"].tolist() == ["00001", "00002"]
    assert read["country"].tolist() == ["NA", "null"]
    assert (read["built"].dtype, read["built"].iloc[0], read["built"].count()) == ("Int64", 1987, 1)


@given(
    st.lists(
        st.integers(-(10**20), 10**20).map(str)
        | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
        | st.text(),
        min_size=1,
    )
)
@settings(max_examples=40, deadline=None)
def test_numbers_that_are_recognized_can_be_written_back(values):
    column = recognized(pd.Series(values, dtype="str"))
    for text, value in zip(values, column, strict=True):
        if isinstance(value, str):
            assert value == text
        elif column.dtype.kind == "i":
            assert str(value) == text
        else:
            decimals = len(text.partition(".")[2])
            assert f"{value:.{decimals}f}" == text or repr(value) == text


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("a.csv", "id;x;y\n007;1,5;2,5\n", "utf-8"),
        ("a.tsv", "id\tx\ty\n007\t1.5\t2.5\n", "utf-8"),
        ("a.txt", "id|x|y\n007|1.5|2.5\n", "utf-8"),
        ("a.csv", "\ufeffid,x,y\n007,1.5,2.5\n", "utf-8"),
        ("a.csv", "id,x,y\r\n007,1.5,2.5\r\n", "utf-16"),
        ("a.csv", 'name,id,x,y\n"a\n""b"", c",007,1.5,2.5\n', "utf-8"),
    ],
)
def test_delimited_text_of_any_kind_is_read(tmp_path, name, text, encoding):
    read = read_vector(written(tmp_path, text, name, encoding))
    assert read["id"].tolist() == ["007"]
    assert read.geometry.tolist() == [shapely.Point(1.5, 2.5)]


def test_another_encoding_is_said(tmp_path, caplog):
    read = read_vector(written(tmp_path, "name,x,y\nZürich,1,2\n", encoding="latin-1"))
    assert read["name"].tolist() == ["Zürich"]
    assert "Windows-1252" in caplog.text


def test_rows_that_do_not_fit_are_named_and_the_others_used(tmp_path):
    read = read_vector(written(tmp_path, "a,x,y\n1,n/a,2\n2,1,2,3\n3,5,6,\n4,7\n"))
    assert read.geometry.tolist()[2] == shapely.Point(5, 6)
    reasons = read.attrs[NOTES]["reasons"]
    assert sorted(reasons) == [0, 1, 3]
    assert "'n/a'" in reasons[0]
    assert "4 values for 3 columns" in reasons[1]


@pytest.mark.parametrize(
    ("spell", "crs"),
    [
        (lambda shape: shape.wkt, None),
        (lambda shape: f"SRID=32633;{shape.wkt}", UTM),
        (lambda shape: shapely.to_wkb(shape, hex=True), None),
        (lambda shape: shapely.to_wkb(shapely.set_srid(shape, 32633), hex=True, include_srid=True), UTM),
    ],
)
def test_outlines_in_a_column_are_the_geometry(tmp_path, spell, crs):
    rows = "".join(f'{number},"{spell(shape)}"\n' for number, shape in enumerate(SQUARES))
    read = read_vector(written(tmp_path, f"no,outline\n{rows}"))
    assert shapely.equals(read.geometry.to_numpy(), np.array(SQUARES)).all()
    assert read.crs == crs


def test_the_outline_wins_over_the_point_and_takes_its_crs(tmp_path):
    shape = shapely.box(9, 45, 9.001, 45.001)
    path = written(tmp_path, f'latitude,longitude,geometry\n45.0005,9.0005,"{shape.wkt}"\n')
    read = read_vector(path)
    assert read.geometry.iloc[0].equals(shape)
    assert read.crs == "EPSG:4326"
    assert {"latitude", "longitude"} < set(read.columns)


def test_outlines_and_points_that_contradict_each_other_are_asked_about(tmp_path):
    shape = shapely.box(9, 45, 9.001, 45.001)
    with pytest.raises(PromptError, match=r"outlines in column wkt and points in columns lon and lat.*elsewhere"):
        read_vector(written(tmp_path, f'lat,lon,wkt\n48,9,"{shape.wkt}"\n'))
    with pytest.raises(PromptError, match="different outlines in columns a, b"):
        read_vector(written(tmp_path, f'a,b\n"{SQUARES[0].wkt}","{SQUARES[1].wkt}"\n'))


def test_a_broken_outline_is_named(tmp_path):
    read = read_vector(written(tmp_path, f'wkt\n"{SQUARES[0].wkt}"\n"POLYGON ((0 0"\n'))
    assert "cannot be built" in read.attrs[NOTES]["reasons"][1]


def test_a_table_that_ends_within_quotes_is_refused(tmp_path):
    with pytest.raises(PromptError, match=r"unexpected end of data, in line 3"):
        read_vector(written(tmp_path, 'name,x,y\n"a,1,2\nb,3,4\n'))


# --- geometries


def tin(square: shapely.Polygon) -> bytes:
    """WKB of a square roof of two triangles and a wall, with heights."""
    a, b, c, d = [(x, y, 5.0) for x, y in list(square.exterior.coords)[:4]]
    patches = [(a, b, c, a), (a, c, d, a), (a, b, (*b[:2], 0.0), a)]
    body = b"".join(
        struct.pack("<BIII", 1, 1017, 1, 4) + b"".join(struct.pack("<3d", *corner) for corner in patch)
        for patch in patches
    )
    return struct.pack("<BII", 1, 1016, len(patches)) + body


def test_surfaces_of_patches_are_outlines():
    collection = struct.pack("<BII", 1, 1007, 1) + tin(SQUARES[0])
    shapes, reasons = geometries_from_wkb([tin(SQUARES[0]), collection, shapely.to_wkb(SQUARES[1])])
    assert not reasons
    assert [shape.equals(square) for shape, square in zip(shapes, [SQUARES[0], *SQUARES[:2]], strict=True)] == [
        True
    ] * 3


def test_what_cannot_be_built_is_named_and_the_others_are_used(tmp_path):
    squares(no=[1, 2, 3]).to_file(tmp_path / "a.gpkg")
    head = b"GP\0\1" + struct.pack("<i", 32633)
    arc = struct.pack("<BII", 1, 10, 1) + struct.pack("<BII10d", 1, 8, 5, 0, 0, 1, 1, 2, 0, 1, -1, 0, 0)
    open_ring = struct.pack("<BII", 1, 3, 1) + struct.pack("<I8d", 4, 0, 0, 1, 0, 1, 1, 0, 1)
    dot = struct.pack("<BII", 1, 3, 1) + struct.pack("<I2d", 1, 0, 0)
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        for (name,) in database.execute("select name from sqlite_master where type='trigger'").fetchall():
            database.execute(f'drop trigger "{name}"')
        for number, wkb in enumerate((arc, open_ring, dot), start=1):
            database.execute("update a set geom=? where no=?", (head + wkb, number))
    database.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_vector(tmp_path / "a.gpkg")
    assert read.geometry.iloc[0].area == pytest.approx(np.pi, rel=0.01)
    assert read.geometry.iloc[1].area == 1
    assert read.geometry.iloc[2] is None
    assert "cannot be built" in read.attrs[NOTES]["reasons"][3]


def test_a_scribble_is_refused_and_a_few_crossings_are_repaired():
    corners = np.random.default_rng(0).random((3000, 2))
    shapes = np.array([shapely.Polygon(corners), shapely.Polygon(corners[:60]), SQUARES[0]])
    sound, reasons = repaired(shapes)
    assert list(reasons) == [0]
    assert "crosses itself some 1,0" in reasons[0]
    assert sound[1].is_valid
    assert sound[1].area == pytest.approx(shapely.make_valid(shapes[1]).area)
    assert sound[2] is shapes[2]
    assert crossings(shapes[1]) > 200


def noise(count: int) -> shapely.Polygon:
    """A ring whose corners lie far closer to each other along it than across it."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 20 + np.random.default_rng(0).random(count)
    return shapely.Polygon(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]))


def test_what_would_take_for_ever_is_left_out_before_anything_is_asked_of_it(caplog):
    scribble = shapely.Polygon(np.random.default_rng(0).random((3000, 2)))
    shore = shapely.Point(0, 0).buffer(100, quad_segs=25_000)
    frame = gpd.GeoDataFrame({"n": range(5)}, geometry=[scribble, noise(400_000), shore, noise(5000), None], crs=32633)
    begin = time.process_time()
    read = read_vector(frame, purpose=Purpose.bare(PromptError, "examples"))
    assert time.process_time() - begin < 60
    assert read.geometry.isna().tolist() == [True, True, False, False, True]
    assert read.geometry.iloc[2] is frame.geometry.iloc[2]
    assert frame.geometry.iloc[0] is not None
    assert "2 of 5 examples are left out (row 0: its outline crosses itself some 1,0" in caplog.text
    assert "row 1: its outline has 400,001 vertices, which lie too close" in caplog.text
    caplog.clear()
    assert set(read_vector(frame).attrs[NOTES]["reasons"]) == {0, 1}
    assert not caplog.records
    for both in (frame.iloc[[0, 2]], frame.geometry.iloc[[2, 1]]):
        with pytest.raises(SceneError, match="the area of interest: its outline"):
            read_vector(both, purpose=AREA)


def test_rows_that_count_together_are_all_needed(tmp_path, caplog):
    rows = 'name,wkt\na,"POLYGON ((0 0, 1 0, 1 1, 0 0))"\nb,"POLYGON ((0 0, 1 0"\n'
    (tmp_path / "a.csv").write_text(rows)
    read = read_vector(tmp_path / "a.csv", purpose=Purpose.bare(PromptError, "units"), needs_crs=False)
    assert len(read) == 2
    assert "1 of 2 units are left out (row 1: " in caplog.text
    with pytest.raises(SceneError, match=r"clouds .*a\.csv: "):
        read_vector(tmp_path / "a.csv", purpose=Purpose.bare(SceneError, "clouds", together=True), needs_crs=False)


def test_a_million_vertices_become_what_can_be_seen():
    angle = np.linspace(0, 2 * np.pi, 10**6, endpoint=False)
    radius = 300 + np.random.default_rng(0).random(10**6) / 10
    disc = shapely.Polygon(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]))
    (coarse, small), reasons = thinned(np.array([disc, SQUARES[0]]), 0.25)
    assert not reasons
    assert shapely.get_num_coordinates(coarse) < 5000
    assert abs(coarse.area / disc.area - 1) < 0.005
    assert small is SQUARES[0]


# --- files


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.kml", "a.gml", "a.xml", "a.dat"])
def test_a_file_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(PromptError, match="says where features are"):
        read_vector(written(tmp_path, VRT, name))


def test_an_archive_is_looked_into(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.gpkg", VRT)
    for path in (tmp_path / "a.zip", f"/vsizip/{tmp_path}/a.zip/a.gpkg"):
        with pytest.raises(PromptError, match="says where features are"):
            read_vector(path)


@pytest.mark.parametrize("left", [5, 100, -20])
def test_a_table_that_is_cut_off_is_refused_before_gdal_crashes_on_it(tmp_path, left):
    squares(cell=[1, 2, 3], height=[0.5, 1.5, 2.5]).to_file(tmp_path / "a.shp")
    table = tmp_path / "a.dbf"
    table.write_bytes(table.read_bytes()[:left])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for part in tmp_path.glob("a.[!z]*"):
            archive.write(part, part.name)
    for path in (tmp_path / "a.shp", tmp_path, tmp_path / "a.zip"):
        with pytest.raises(PromptError, match=r"a\.dbf.*cut off"):
            read_vector(path)


def test_content_that_is_not_what_the_name_says_is_refused(tmp_path):
    squares().to_file(tmp_path / "a.geojson")
    (tmp_path / "a.geojson").rename(tmp_path / "a.gpkg")
    with pytest.raises(PromptError, match=r"no SQLite database, as \.gpkg says"):
        read_vector(tmp_path / "a.gpkg")


def test_nothing_is_left_beside_gml(tmp_path):
    squares(n=[1, 2, 3]).to_file(tmp_path / "a.gml", driver="GML")
    (tmp_path / "a.xsd").unlink()
    assert len(read_vector(tmp_path / "a.gml")) == 3
    assert os.listdir(tmp_path) == ["a.gml"]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")
@pytest.mark.parametrize("name", ["a!b", "a;b", "a?b", "a\nb", "a#b"])
def test_a_name_is_a_name(tmp_path, name):
    squares(n=[1, 2, 3]).to_file(tmp_path / "b.gpkg")
    squares(n=[7, 8, 9]).to_file(tmp_path / "c.gpkg")
    (tmp_path / "c.gpkg").rename(tmp_path / f"{name}.gpkg")
    assert read_vector(tmp_path / f"{name}.gpkg")["n"].tolist() == [7, 8, 9]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_refused(tmp_path):
    for name in ("a.gpkg", "a.csv"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(PromptError, match="pipe"):
            read_vector(tmp_path / name)


@pytest.mark.parametrize(("purpose", "error"), [(AREA, SceneError), (SCENES, CatalogError)])
def test_layers_are_asked_for_whatever_they_are_for(tmp_path, purpose, error):
    for layer in ("wells", "trees"):
        squares(layer=[layer] * 3).to_file(tmp_path / "a.gpkg", layer=layer)
    with pytest.raises(error, match=r"one of wells, trees.*\|layername="):
        read_vector(tmp_path / "a.gpkg", purpose=purpose)
    assert read_vector(f"{tmp_path}/a.gpkg|layername=trees", purpose=purpose)["layer"].iloc[0] == "trees"
    with pytest.raises(error, match=r"no layer 'x'.*wells, trees"):
        read_vector(f"{tmp_path}/a.gpkg|layername=x", purpose=purpose)


def test_the_only_layer_of_a_gpx_that_holds_something_is_taken(tmp_path):
    text = '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"><wpt lat="45" lon="9"/>{}</gpx>'
    assert read_vector(written(tmp_path, text.format(""), "a.gpx")).geometry.tolist() == [shapely.Point(9, 45)]
    track = '<trk><trkseg><trkpt lat="45" lon="9"/><trkpt lat="46" lon="9"/></trkseg></trk>'
    with pytest.raises(PromptError, match=r"waypoints, tracks, track_points.*--prompts-layer"):
        read_vector(written(tmp_path, text.format(track), "b.gpx"))


@pytest.mark.parametrize(
    ("member", "crs"),
    [
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}, UTM),
        (None, None),
        ({"type": "link", "properties": {"href": "http://127.0.0.1:9/x"}}, "gives its CRS as"),
        ({"type": "name", "properties": {"name": "bogus"}}, "CRS 'bogus'"),
    ],
)
def test_the_crs_of_older_geojson_is_honoured(tmp_path, member, crs):
    features = json.loads(squares().to_json())["features"]
    path = written(
        tmp_path, json.dumps({"type": "FeatureCollection", "crs": member, "features": features}), "a.geojson"
    )
    if crs in (None, UTM):
        assert read_vector(path).crs == crs
    else:
        with pytest.raises(PromptError, match=crs):
            read_vector(path)


def test_a_geojson_without_crs_is_noted_as_assumed(tmp_path):
    features = json.loads(squares().to_json())["features"]
    path = written(tmp_path, json.dumps({"type": "FeatureCollection", "features": features}), "a.geojson")
    read = read_vector(path)
    assert read.crs == "EPSG:4326"
    assert "without a `crs`" in read.attrs[NOTES]["assumed"]


def test_warnings_of_gdal_are_logged_with_names_that_the_user_knows(tmp_path, caplog):
    feature = {"type": "Feature", "id": 7, "properties": {}, "geometry": {"type": "Point", "coordinates": [9, 45]}}
    path = written(tmp_path, json.dumps({"type": "FeatureCollection", "features": [feature, feature]}), "a!b.geojson")
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        read_vector(path)
    assert "a!b.geojson: Several features with id = 7" in caplog.text
    assert "named" not in caplog.text


def test_a_password_is_not_shown():
    with pytest.raises(PromptError) as caught:
        read_vector("PG:host=127.0.0.1 user=me password=sesame dbname=x")
    assert "sesame" not in str(caught.value)


def test_a_curve_in_a_table_is_named_and_the_other_rows_are_used(tmp_path: Path):
    curve = "CURVEPOLYGON (CIRCULARSTRING (0 0, 5 5, 10 0, 5 -5, 0 0))"
    as_wkb = bytes.fromhex("01" + "08000000" + "03000000" + "00" * 48)  # a circular string
    for column in (
        [curve, "POLYGON ((0 0, 1 0, 1 1, 0 0))"],
        [as_wkb.hex(), shapely.to_wkb(shapely.Point(1, 2), hex=True)],
    ):
        path = tmp_path / "a.csv"
        path.write_text("id,wkt\n" + "\n".join(f'{row},"{one}"' for row, one in enumerate(column)))
        found = read_vector(path)
        assert [one is not None for one in found.geometry] == [False, True]
        assert "curve" in str(found.attrs[NOTES]["reasons"]).lower() or "Nonlinear" in str(
            found.attrs[NOTES]["reasons"]
        )


@pytest.mark.parametrize(("said", "shown"), [({"edges": "spherical"}, "spherical"), ({"epoch": 2015.5}, "2015.5")])
def test_what_geoparquet_says_and_nothing_goes_by_is_told(tmp_path, caplog, said, shown):
    squares(name=["a", "b", "c"]).to_parquet(tmp_path / "plain.parquet")
    table = pq.read_table(tmp_path / "plain.parquet")
    facts = json.loads(table.schema.metadata[b"geo"])
    facts["columns"][facts["primary_column"]].update(said)
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"geo": json.dumps(facts)}), tmp_path / "told.parquet"
    )
    with caplog.at_level(logging.WARNING, "geosam"):
        read_vector(tmp_path / "plain.parquet")
        assert not caplog.messages
        assert len(read_vector(tmp_path / "told.parquet")) == 3
    assert shown in caplog.text
