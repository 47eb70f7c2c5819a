"""Polygon layers: what is written can be read back, whole, by any reader."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from geosam import sinks
from geosam.errors import SinkError
from geosam.sinks.geojson import LonLat
from geosam.sinks.staging import staged

CUSTOM = CRS.from_proj4("+proj=laea +lat_0=12.5 +lon_0=33.25 +x_0=500 +y_0=700 +ellps=bessel +units=m")
METADATA = {"model": "nano-0123456789ab", "stretch": {"low": [0.5], "high": [255.0]}, "note": 'Größe < 5 m² & "mehr"'}


def fields(count: int = 3, crs: object = "EPSG:32633", first: int = 1) -> gpd.GeoDataFrame:
    """Fields as the pipeline gives them, the first with a hole."""
    x = 500_000 + 20.0 * np.arange(first, first + count)
    shapes = shapely.box(x, 5_000_000, x + 10, 5_000_010).astype(object)
    if count:
        shapes[0] = shapes[0].difference(shapely.box(x[0] + 2, 5_000_002, x[0] + 4, 5_000_004))
    ids = np.arange(first, first + count, dtype=np.int64)
    columns = {
        "object_id": ids,
        "scene": pd.Series(["scene"] * count, dtype=object),
        "score": (ids / 10).astype(np.float32),
        "area_m2": ids * 1.5,
        "prompt_id": pd.Series([None] * count, dtype=object),
        "n_windows": np.ones(count, np.int32),
        "touches_edge": ids % 2 == 0,
    }
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def read(path: Path) -> gpd.GeoDataFrame:
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)
    return gpd.read_file(path, layer=pyogrio.list_layers(path)[0, 0])


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", CUSTOM, None], ids=["utm", "lonlat", "custom", "none"])
def test_a_layer_comes_back_as_it_went(tmp_path: Path, suffix: str, crs: object):
    frame = fields(crs=crs)
    if crs == "EPSG:4326":
        frame.geometry = frame.geometry.scale(1e-5, 1e-5, origin=(500_000, 5_000_000)).translate(-500_000, -4_999_960)
    path = tmp_path / f"fields{suffix}"
    if suffix == ".geojson" and crs is None:
        with pytest.raises(SinkError, match="CRS"):
            sinks.write(frame, path)
        assert os.listdir(tmp_path) == []
        return
    assert sinks.write(frame, path, metadata=METADATA) == path
    back = read(path)
    assert os.listdir(tmp_path) == [path.name]
    assert sinks.read_metadata(path) == METADATA
    assert set(back.geom_type) == {"MultiPolygon"}
    if suffix == ".geojson":
        frame = frame.to_crs(4326)
    frame.geometry = [shapely.MultiPolygon([polygon]) for polygon in frame.geometry]
    assert back.crs == frame.crs
    back = back.sort_values("object_id").reset_index(drop=True)  # FlatGeobuf stores in the order of its index
    assert (
        back.geometry.normalize()
        .geom_equals_exact(frame.geometry.normalize(), 1e-7 if suffix == ".geojson" else 0)
        .all()
    )
    assert back.prompt_id.isna().all()
    for name in frame.columns.drop(["geometry", "prompt_id"]):
        assert back[name].tolist() == pytest.approx(frame[name].tolist()), name


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_an_empty_result_is_a_valid_empty_layer(tmp_path: Path, suffix: str):
    path = sinks.write(fields(0), tmp_path / f"fields{suffix}", metadata=METADATA)
    back = read(path)
    assert len(back) == 0
    assert sinks.read_metadata(path) == METADATA
    if suffix != ".geojson":  # in GeoJSON a column is what a feature has
        assert list(back.columns.drop(["geometry", "bbox"], errors="ignore")) == list(
            fields(0).columns.drop("geometry")
        )
        assert back.crs == CRS("EPSG:32633")
    if suffix in (".gpkg", ".fgb"):
        info = pyogrio.read_info(path, layer=pyogrio.list_layers(path)[0, 0])
        assert info["geometry_type"] == "MultiPolygon"
        assert dict(zip(info["fields"], info["dtypes"], strict=True))["touches_edge"] == "bool"


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_frames_that_come_one_by_one_make_the_same_file(tmp_path: Path, suffix: str):
    whole = sinks.write(fields(7), tmp_path / f"a{suffix}", layer="x")
    parts = (fields(count, first=first) for first, count in ((1, 2), (3, 1), (4, 4)))
    # holes lie in the first field of each part
    frames = [part.assign(geometry=fields(7).geometry.iloc[part.object_id - 1].values) for part in parts]
    streamed = sinks.write(iter(frames), tmp_path / f"b{suffix}", layer="x")
    assert sha256(whole.read_bytes()).digest() == sha256(streamed.read_bytes()).digest()


def test_no_frame_at_all_is_an_empty_layer(tmp_path: Path):
    path = sinks.write(iter([]), tmp_path / "none.gpkg", crs="EPSG:3035")
    assert len(read(path)) == 0
    assert read(path).crs == CRS("EPSG:3035")


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_equal_input_gives_equal_bytes(tmp_path: Path, suffix: str):
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = sinks.write(fields(50), tmp_path / folder / f"fields{suffix}", metadata=METADATA)
        digests.add(sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_column_fits_all_frames(tmp_path: Path):
    frames = [
        fields(1).assign(prompt_id=7, mixed=1, wider=np.int16(3), late=None),
        fields(1, first=2).assign(prompt_id="b", mixed=2.5, wider=np.int64(2**40), late="x", extra=True),
        fields(1, first=3).assign(prompt_id=None, mixed=3, wider=np.uint8(9)),
    ]
    back = read(sinks.write(frames, tmp_path / "a.parquet"))
    back = back.astype(object).where(back.notna(), None)
    assert back.prompt_id.tolist() == ["7", "b", None]
    assert back.mixed.tolist() == [1.0, 2.5, 3.0]
    assert back.wider.tolist() == [3, 2**40, 9]
    assert back.late.tolist() == [None, "x", None]
    assert back.extra.tolist() == [None, True, None]


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_any_attribute_of_a_prompt_survives(tmp_path: Path, suffix: str):
    frame = fields(2).assign(
        ids=pd.Series([1, "b"], dtype=object),
        tags=pd.Series([["a", 1], {"k": None}], dtype=object),
        kind=pd.Categorical(["roof", None]),
        day=pd.Series([date(2024, 2, 29), None], dtype=object),
        seen=pd.Series(pd.to_datetime(["2024-02-29T12:00:00", None])),
        maybe=pd.array([True, None], dtype="boolean"),
        huge=np.array([2**64 - 1, 1], np.uint64),
        half=np.array([0.5, np.inf], np.float16),
        raw=pd.Series([b"\x00\xff", None], dtype=object),
    )
    back = read(sinks.write(frame, tmp_path / f"a{suffix}")).sort_values("object_id")
    assert back.ids.tolist() == ["1", "b"]
    assert [json.loads(v) if isinstance(v, str) else v for v in back.tags] == [["a", 1], {"k": None}]
    assert back.kind.tolist()[0] == "roof"
    assert back.raw.tolist()[0] == "00ff"
    assert back.half.tolist()[0] == 0.5
    assert str(back.huge.tolist()[0]) == str(2**64 - 1)
    assert pd.Timestamp(back.seen.tolist()[0]) == datetime(2024, 2, 29, 12)
    assert pd.isna(back.kind.tolist()[1])
    assert pd.isna(back.maybe.tolist()[1])


@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_attributes_keep_clear_of_the_names_of_the_formats(tmp_path: Path, suffix: str):
    frame = fields(2).assign(fid=["a", "a"], Score=1.0, geom="g", FID=[7, 7], **{"": 1, "naïve 名": 2})
    back = read(sinks.write(frame, tmp_path / f"a{suffix}"))
    assert back.fid_1.tolist() == ["a", "a"]
    assert back.Score_1.tolist() == [1.0, 1.0]
    assert back.geom_1.tolist() == ["g", "g"]
    assert back.FID_2.tolist() == [7, 7]
    assert back["naïve 名"].tolist() == [2, 2]


def test_absent_and_empty_geometries_are_null(tmp_path: Path):
    frame = fields(3)
    frame.geometry = [None, shapely.Polygon(), frame.geometry.iloc[2]]
    for suffix in sinks.POLYGON_FORMATS:
        back = read(sinks.write(frame, tmp_path / f"a{suffix}"))
        assert back.geometry.isna().sum() == 2, suffix


def test_only_polygons_are_written(tmp_path: Path):
    frame = gpd.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs=4326)
    with pytest.raises(SinkError, match="Point"):
        sinks.write(frame, tmp_path / "a.gpkg")
    assert os.listdir(tmp_path) == []


def test_one_layer_has_one_crs(tmp_path: Path):
    with pytest.raises(SinkError, match=r"WGS 84 / UTM zone 32N.*to_crs"):
        sinks.write([fields(), fields(crs="EPSG:32632")], tmp_path / "a.gpkg")


def test_heights_are_dropped(tmp_path: Path):
    frame = fields(2)
    frame.geometry = shapely.force_3d(frame.geometry.values, 5.0)
    assert not read(sinks.write(frame, tmp_path / "a.gpkg")).has_z.any()


# ---------------------------------------------------------------------------------------------------------- GeoPackage


def rows(path: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_a_geopackage_opens_styled(tmp_path: Path):
    path = sinks.write(fields(), tmp_path / "my fields.gpkg")
    (style,) = rows(
        path,
        "SELECT f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML, length(styleName) <= 30"
        " FROM layer_styles",
    )
    assert style[:4] == ("", "my fields", "geom", 1)
    assert style[5]
    qgis = ElementTree.fromstring(style[4])
    assert qgis.tag == "qgis"
    (renderer,) = qgis.findall("renderer-v2")
    assert renderer.get("type") == "singleSymbol"
    (fill,) = renderer.findall("symbols/symbol[@type='fill'][@name='0']/layer[@class='SimpleFill']")
    options = {option.get("name"): option.get("value") for option in fill.findall("Option/Option")}
    properties = {prop.get("k"): prop.get("v") for prop in fill.findall("prop")}
    assert options == properties
    assert 0 < int(options["color"].split(",")[3]) < 128
    assert options["outline_style"] == "solid"
    contents = rows(path, "SELECT table_name, data_type FROM gpkg_contents")
    assert contents == [("my fields", "features"), ("layer_styles", "attributes")]
    assert [name for name, _ in pyogrio.list_layers(path)] == ["my fields", "layer_styles"]
    assert len(pyogrio.read_dataframe(path, layer="layer_styles")) == 1  # as QGIS asks for it, by name
    with pytest.warns(UserWarning, match="'my fields' \\(default\\), 'layer_styles'"):
        assert gpd.read_file(path).equals(gpd.read_file(path, layer="my fields"))


def test_a_geopackage_has_one_type_an_index_and_a_sound_database(tmp_path: Path):
    path = sinks.write(fields(40), tmp_path / "a.gpkg", layer="fields")
    assert rows(path, "SELECT column_name, geometry_type_name, z, m FROM gpkg_geometry_columns") == [
        ("geom", "MULTIPOLYGON", 0, 0)
    ]
    assert rows(path, "SELECT count(*) FROM rtree_fields_geom") == [(40,)]
    assert ("gpkg_rtree_index",) in rows(path, "SELECT extension_name FROM gpkg_extensions")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    assert rows(path, "SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = 'fields'") == [(40,)]
    near = gpd.read_file(path, layer="fields", bbox=(500_020, 5_000_000, 500_031, 5_000_001))
    assert near.object_id.tolist() == [1]


def test_a_style_is_optional(tmp_path: Path):
    path = sinks.write(fields(), tmp_path / "a.gpkg", style=False)
    assert len(pyogrio.list_layers(path)) == 1


def test_a_geopackage_is_replaced_with_its_log(tmp_path: Path):
    path = tmp_path / "a.gpkg"
    sinks.write(fields(3), path)
    (tmp_path / "a.gpkg-wal").write_bytes(b"stale")
    (tmp_path / "a.gpkg-shm").write_bytes(b"stale")
    sinks.write(fields(2), path)
    assert os.listdir(tmp_path) == ["a.gpkg"]
    assert len(read(path)) == 2


# ---------------------------------------------------------------------------------------------------------- GeoParquet


def test_geoparquet_says_where_everything_lies(tmp_path: Path):
    path = sinks.write([fields(2), fields(3, first=3)], tmp_path / "a.parquet", metadata=METADATA)
    keys = pq.read_schema(path).metadata
    geo = json.loads(keys[b"geo"])
    assert json.loads(keys[b"geosam"]) == METADATA
    column = geo["columns"][geo["primary_column"]]
    assert geo["version"] == "1.1.0"
    assert column["geometry_types"] == ["MultiPolygon"]
    assert CRS.from_json_dict(column["crs"]) == CRS("EPSG:32633")
    assert column["bbox"] == [500_020.0, 5_000_000.0, 500_110.0, 5_000_010.0]
    near = gpd.read_parquet(path, bbox=(500_020, 5_000_000, 500_031, 5_000_001))
    assert near.object_id.tolist() == [1]


# ------------------------------------------------------------------------------------------------------------- GeoJSON


def test_geojson_is_longitude_and_latitude_counter_clockwise(tmp_path: Path):
    path = sinks.write(fields(), tmp_path / "a.geojson", metadata=METADATA)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["geosam"] == METADATA
    assert "crs" not in document
    expected = fields().to_crs(4326)
    for feature, geometry in zip(document["features"], expected.geometry, strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.geom_type == "MultiPolygon"
        for polygon in shape.geoms:
            assert polygon.exterior.is_ccw
            assert not any(hole.is_ccw for hole in polygon.interiors)
        assert shape.symmetric_difference(geometry).area < 1e-3 * geometry.area


def ground_area(polygons: np.ndarray) -> float:
    """Square metres on the ellipsoid of polygons in longitude and latitude, also across the antimeridian or a pole."""
    rings = [
        (ring, 1 if number == 0 else -1)
        for polygon in polygons
        for number, ring in enumerate(shapely.get_rings(polygon))
    ]
    geod = CRS(4326).get_geod()
    return sum(sign * abs(geod.polygon_area_perimeter(*shapely.get_coordinates(ring).T)[0]) for ring, sign in rings)


@pytest.mark.parametrize(
    ("crs", "box"),
    [
        pytest.param("EPSG:32601", (200_000, 7_000_000, 215_000, 7_010_000), id="over the western edge of UTM zone 1"),
        pytest.param("EPSG:32660", (785_000, 7_000_000, 800_000, 7_010_000), id="over the eastern edge of UTM zone 60"),
        pytest.param("EPSG:3832", (3_330_000, -2_000_000, 3_350_000, -1_990_000), id="Mercator around 150° east"),
        pytest.param("EPSG:3857", (20_030_000, 0, 20_045_000, 10_000), id="web Mercator beyond 180°"),
        pytest.param("EPSG:4326", (179.99, -17.01, 180.01, -16.99), id="degrees beyond 180°"),
        pytest.param("EPSG:4167", (179.99, -44.01, 180.01, -43.99), id="degrees of another datum"),
        pytest.param("EPSG:4326", (359.9, 44.9, 360.1, 45.1), id="degrees from 0 to 360"),
        pytest.param("EPSG:3413", (-710_000, 700_000, -700_000, 715_000), id="polar stereographic"),
        pytest.param("EPSG:3413", (-10_000, -8_000, 9_000, 12_000), id="around the north pole"),
        pytest.param("EPSG:3031", (-10_000, -8_000, 9_000, 12_000), id="around the south pole"),
    ],
)
def test_geojson_is_cut_at_the_antimeridian(tmp_path: Path, crs: str, box: tuple[float, ...]):
    whole = shapely.box(*box)
    frame = gpd.GeoDataFrame({"object_id": [1]}, geometry=[whole - shapely.affinity.scale(whole, 0.5, 0.5)], crs=crs)
    (feature,) = json.loads(sinks.write(frame, tmp_path / "a.geojson").read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    west, south, east, north = shape.bounds
    assert shape.is_valid
    assert (west >= -180, south >= -90, east <= 180, north <= 90) == (True, True, True, True)
    assert all(part.exterior.is_ccw for part in shape.geoms)
    if crs not in ("EPSG:3413", "EPSG:3031"):
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in shape.geoms)
    dense = frame.geometry.segmentize(max(box[2] - box[0], box[3] - box[1]) / 100)
    lonlat = shapely.transform(
        dense.array[0], Transformer.from_crs(crs, 4326, always_xy=True).transform, interleaved=False
    )
    assert ground_area(shape.geoms) == pytest.approx(ground_area([lonlat]), rel=1e-4)


def test_geojson_of_the_whole_world_stays_the_whole_world(tmp_path: Path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(-180, -60, 180, 60)], crs=4326)
    (feature,) = json.loads(sinks.write(frame, tmp_path / "a.geojson").read_text())["features"]
    assert shapely.geometry.shape(feature["geometry"]).bounds == (-180, -60, 180, 60)


def test_geojson_outside_the_area_of_the_crs_is_refused(tmp_path: Path):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(1e9, 1e9, 1e9 + 1, 1e9 + 1)], crs=32633)
    with pytest.raises(SinkError, match="outside the area"):
        sinks.write(frame, tmp_path / "a.geojson")
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------------------------------------------- whole or not


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path):
    for name in ("fields.shp", "fields", "fields.gpkg.zip"):
        with pytest.raises(SinkError, match=r"\.gpkg, \.parquet, \.fgb or \.geojson"):
            sinks.write(fields(), tmp_path / name)


def test_the_case_of_the_extension_is_free(tmp_path: Path):
    for suffix in sinks.POLYGON_FORMATS:
        path = sinks.write(fields(), tmp_path / f"fields{suffix.upper()}", metadata=METADATA)
        assert path.exists()
        assert sinks.read_metadata(path) == METADATA


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path):
    (tmp_path / "folder.gpkg").mkdir()
    (tmp_path / "there.gpkg").write_bytes(b"something")
    for name, message in (("no/a.gpkg", "there is no folder"), ("folder.gpkg", "is a folder")):
        with pytest.raises(SinkError, match=message):
            sinks.check_writable(tmp_path / name)
    with pytest.raises(SinkError, match="exists"):
        sinks.check_writable(tmp_path / "there.gpkg", overwrite=False)
    with pytest.raises(SinkError, match="ends in"):
        sinks.check_writable("s3://bucket/a.gpkg")
    with pytest.raises(SinkError, match="CRS"):
        sinks.check_writable(tmp_path / "a.geojson", has_crs=False)
    with pytest.raises(SinkError, match=r"\.tif or \.tiff"):
        sinks.check_writable(tmp_path / "a.gpkg", formats=sinks.LABEL_FORMATS)
    assert sinks.check_writable(tmp_path / "a.TIF", formats=sinks.LABEL_FORMATS) == tmp_path / "a.TIF"
    assert (tmp_path / "there.gpkg").read_bytes() == b"something"


def frames_then(error: BaseException) -> Iterator[gpd.GeoDataFrame]:
    yield fields()
    raise error


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyboardInterrupt(), OSError("scene cannot be read")])
@pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)
def test_an_error_in_the_frames_passes_through_and_leaves_the_former_file(
    tmp_path: Path, suffix: str, error: BaseException
):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"former")
    with pytest.raises(type(error)) as raised:
        sinks.write(frames_then(error), path)
    assert raised.value is error
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"former"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geosam.sinks.parquet.pq.ParquetWriter", full)
    with pytest.raises(SinkError, match=r"a\.parquet cannot be written .the disk is full"):
        sinks.write(fields(), tmp_path / "a.parquet")
    assert os.listdir(tmp_path) == []


def test_metadata_of_a_damaged_or_foreign_file(tmp_path: Path):
    (tmp_path / "bad.gpkg").write_bytes(b"no database")
    with pytest.raises(SinkError, match=r"bad\.gpkg cannot be read"):
        sinks.read_metadata(tmp_path / "bad.gpkg")
    with pytest.raises(SinkError, match="existing file"):
        sinks.read_metadata(tmp_path / "none.gpkg")
    for suffix in sinks.POLYGON_FORMATS:
        assert sinks.read_metadata(sinks.write(fields(), tmp_path / f"plain{suffix}")) == {}


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path):
    path = tmp_path / "a.gpkg"
    left = tmp_path / ".a.gpkg.geosam"
    left.mkdir()
    (left / "part.gpkg").write_bytes(b"half")
    with staged(path) as part:
        assert os.listdir(part.parent) != ["part.gpkg"]
        part.write_bytes(b"whole")
        with pytest.raises(SinkError, match=f"a.gpkg is being written by process {os.getpid()}"):
            sinks.write(fields(), path)
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == [path.name]


SCRIPT = """
import sys, time
import geopandas as gpd, shapely
from geosam import sinks

def frames():
    yield gpd.GeoDataFrame({"object_id": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    print("begun", flush=True)
    for _ in range(600):
        time.sleep(0.1)
    yield gpd.GeoDataFrame({"object_id": [2]}, geometry=[shapely.box(2, 0, 3, 1)], crs=32633)

try:
    sinks.write(frames(), sys.argv[1])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_leaves_the_former_file(tmp_path: Path, how: signal.Signals):
    path = tmp_path / "a.gpkg"
    path.write_bytes(b"former")
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(how)
        assert process.wait(120) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert path.read_bytes() == b"former"
    left = [name for name in os.listdir(tmp_path) if name != path.name]
    assert len(left) == (0 if how == signal.SIGINT else 1)
    assert all(name.startswith(".") for name in left)
    sinks.write(fields(), path)
    assert os.listdir(tmp_path) == [path.name]


@given(
    values=st.lists(
        st.lists(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_of_values_is_written(tmp_path: Path, values: list[list[object]]):
    frames = [
        gpd.GeoDataFrame(
            {"v": pd.Series(part, dtype=object)}, geometry=[shapely.box(0, 0, 1, 1)] * len(part), crs=32633
        )
        for part in values
    ]
    back = read(sinks.write(frames, tmp_path / "a.parquet")).v
    missing = [pd.isna(value) for part in values for value in part]
    assert back.isna().tolist() == missing


@given(angle=st.floats(0, 360), lon=st.floats(-180, 180), lat=st.floats(-80, 80), size=st.floats(10, 20_000))
@settings(max_examples=25, deadline=None)
def test_longitude_and_latitude_anywhere_keep_the_area(angle: float, lon: float, lat: float, size: float):
    crs = CRS.from_proj4(f"+proj=laea +lon_0={lon} +lat_0={lat} +datum=WGS84")
    square = shapely.affinity.rotate(shapely.box(-size, -size, size, size), angle)
    (shape,) = LonLat(crs)(np.array([shapely.MultiPolygon([square])]))
    assert shape.is_valid
    assert shape.bounds[0] >= -180
    assert shape.bounds[2] <= 180
    assert ground_area(shape.geoms) == pytest.approx(4 * size**2, rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2e-8, 5e-8, 1e-6]))
@settings(max_examples=50, deadline=None)
def test_what_is_finer_than_the_decimals_of_geojson_stays_valid(seed: int, size: float):
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 40))
    star = shapely.Polygon(np.c_[np.cos(turn), np.sin(turn)] * rng.uniform(0.3, 1, (40, 1)) * size)
    assume(star.is_valid)
    (shape,) = LonLat(CRS("EPSG:4326"))(np.array([shapely.MultiPolygon([star])]))
    assert shape.is_valid
    assert not shape.is_empty
    assert shapely.symmetric_difference(shape, star).area < star.length * 1e-8
