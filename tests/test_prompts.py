"""Prompts: whatever is given, in whatever CRS, lands on the right pixels or is refused with a reason."""

import logging
import warnings
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import CRS, Transformer
from rasterio.errors import NotGeoreferencedWarning

from geosam.errors import PromptError
from geosam.prompts import Prompt, Prompts, apart, parse_box, parse_point
from geosam.scene import Scene, open_scene


def from_origin(west: float, north: float, width: float, height: float) -> Affine:
    return Affine(width, 0, west, 0, -height, north)


UTM = "EPSG:32632"
NORTH_UP = from_origin(500_000, 5_000_000, 0.5, 0.5)
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(25) @ Affine.scale(0.5, -0.5)
SIX_CRSS = ("EPSG:32632", "EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:25832", "EPSG:32633")
FOLDER = mkdtemp(prefix="geosam-prompts-")
C_SHAPE = shapely.Polygon([(0, 0), (100, 0), (100, 20), (20, 20), (20, 80), (100, 80), (100, 100), (0, 100)])


@pytest.fixture(scope="session", autouse=True)
def _tidy_up():
    yield
    rmtree(FOLDER)


@cache
def scene_on(
    crs: str | None = UTM, transform: Affine | None = NORTH_UP, shape: tuple[int, int] = (1000, 1200)
) -> Scene:
    path = Path(mkdtemp(dir=FOLDER)) / "field.tif"
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "height": shape[0],
        "width": shape[1],
        "sparse_ok": True,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", crs=crs, transform=transform, **profile):
            pass
    return open_scene(path)


def to_crs(geometry_px: shapely.Geometry, scene: Scene, crs: str) -> shapely.Geometry:
    """A pixel geometry in another CRS, with so many vertices that it is the same curve."""
    world = scene.to_world(np.array([shapely.segmentize(geometry_px, 2.0)]))[0]
    move = Transformer.from_crs(scene.crs, crs, always_xy=True)
    return shapely.transform(world, lambda xy: np.stack(move.transform(*xy.T), axis=1))


def only(prompts: Prompts) -> Prompt:
    assert not prompts.skipped
    (prompt,) = prompts
    return prompt


# --- one place, many ways to say it


@given(x=st.floats(0, 1200), y=st.floats(0, 1000), crs=st.sampled_from(SIX_CRSS), rotated=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_point_in_any_crs_lands_on_its_pixel(x, y, crs, rotated):
    scene = scene_on(transform=ROTATED if rotated else NORTH_UP)
    there = to_crs(shapely.Point(x, y), scene, crs)
    prompts = Prompts.from_points([there.x, there.y], scene, crs=crs)
    if prompts.skipped:  # numbers at the very edge may round to the other side of it
        assert min(x, y, 1200 - x, 1000 - y) < 1e-3
    else:
        assert only(prompts).points_px == pytest.approx(np.array([[x, y]]), abs=0.1)


@pytest.mark.parametrize("crs", SIX_CRSS)
@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
def test_a_polygon_in_any_crs_covers_the_same_pixels(crs, transform):
    scene = scene_on(transform=transform)
    drawn = shapely.transform(C_SHAPE, lambda xy: xy * 5 + 100)
    prompt = only(Prompts.from_features(gpd.GeoSeries([to_crs(drawn, scene, crs)], crs=crs), scene))
    assert shapely.hausdorff_distance(prompt.polygon_px, drawn) < 0.1
    assert prompt.box_px == pytest.approx(np.array([100, 100, 600, 600]), abs=0.1)


def test_a_large_lonlat_box_follows_the_parallels():
    scene = scene_on("EPSG:32632", from_origin(400_000, 5_100_000, 20, 20), (8000, 8000))
    box = only(Prompts.from_boxes((8.5, 45.0, 9.5, 45.5), scene, crs="EPSG:4326"))
    edge = shapely.segmentize(shapely.box(8.5, 45.0, 9.5, 45.5), 0.001)
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(*shapely.get_coordinates(edge).T)
    exact = [(x.min() - 400_000) / 20, (5_100_000 - y.max()) / 20, (x.max() - 400_000) / 20, (5_100_000 - y.min()) / 20]
    assert box.box_px == pytest.approx(np.array(exact), abs=0.2)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "shp", "parquet"])
def test_a_file_is_read_in_its_own_crs(tmp_path, suffix):
    scene = scene_on()
    frame = gpd.GeoDataFrame(
        {"kind": ["barn"]}, geometry=[shapely.box(500_100, 4_999_900, 500_110, 4_999_910)], crs=UTM
    )
    path = tmp_path / f"old.{suffix}"
    moved = frame.to_crs(4326)
    moved.to_parquet(path) if suffix == "parquet" else moved.to_file(path)
    prompt = only(Prompts.from_features(path, scene))
    assert prompt.box_px == pytest.approx(np.array([200, 180, 220, 200]), abs=0.1)
    assert prompt.attributes["kind"] == "barn"


@pytest.mark.parametrize(
    "give", [np.array, list, lambda box: [box], lambda box: np.array([box]), lambda box: shapely.box(*box)]
)
def test_one_box_works_however_it_is_given(give):
    prompt = only(Prompts.from_boxes(give((500_010.0, 4_999_970.0, 500_050.0, 4_999_990.0)), scene_on()))
    assert prompt.kind == "box"
    assert prompt.box_px.tolist() == [20, 20, 100, 60]
    assert len(prompt.labels) == 0


def test_boxes_as_a_frame_keep_their_attributes():
    frame = gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[shapely.box(0, 0, 1, 1), C_SHAPE], crs=UTM)
    frame.geometry = frame.geometry.translate(500_000, 4_999_800)
    boxes = Prompts.from_boxes(frame, scene_on(), id_column="name")
    assert [(prompt.id, prompt.kind, prompt.attributes["name"]) for prompt in boxes] == [
        ("a", "box", "a"),
        ("b", "box", "b"),
    ]
    assert boxes.items[1].box_px.tolist() == [0, 200, 200, 400]


def test_boxes_with_corners_in_any_order_are_put_in_order():
    box = only(Prompts.from_boxes((50, 60, 10, 20), scene_on(), crs="px"))
    assert box.box_px.tolist() == [10, 20, 50, 60]


def test_a_raster_without_a_crs_takes_pixels():
    scene = scene_on(None, None)
    assert only(Prompts.from_points([3, 4], scene)).points_px.tolist() == [[3, 4]]
    with pytest.raises(PromptError, match=r"has no CRS.*pixels"):
        Prompts.from_points([3, 4], scene, crs=4326)


# --- what cannot be used says why


def test_a_box_partly_outside_is_clipped_not_dropped():
    box = only(Prompts.from_boxes((-100, -50, 40, 30), scene_on(), crs="px"))
    assert box.box_px.tolist() == [0, 0, 40, 30]


def test_a_polygon_partly_outside_is_clipped_and_its_points_are_on_the_scene():
    outline = shapely.transform(C_SHAPE, lambda xy: xy - [50, 10])
    prompt = only(Prompts.from_features(outline, scene_on(), crs="px"))
    assert prompt.box_px.tolist() == [0, 0, 50, 90]
    assert shapely.contains_xy(prompt.polygon_px, *prompt.points_px.T).all()


def test_a_point_10_km_outside_is_reported_with_its_distance(caplog):
    with caplog.at_level(logging.WARNING):
        prompts = Prompts.from_points([[500_100, 4_999_900], [490_000, 4_999_900]], scene_on())
    (skipped,) = prompts.skipped
    assert (len(prompts), skipped.row, skipped.id) == (1, 1, 1)
    assert "10.0 km" in skipped.reason
    assert "outside" in skipped.reason
    assert "1 of 2 prompts skipped" in caplog.text


def test_each_unusable_row_is_reported_with_its_id_and_reason():
    flat = shapely.Polygon([(500_010, 4_999_990), (500_020, 4_999_990), (500_015, 4_999_990)])
    geometries = [
        None,
        shapely.Polygon(),
        flat,
        shapely.Point(np.nan, 1),
        shapely.box(0, 0, 1, 1),
        shapely.Point(500_010, 4_999_990),
    ]
    frame = gpd.GeoDataFrame({"no": list("abcdef")}, geometry=geometries, crs=UTM)
    prompts = Prompts.from_features(frame, scene_on(), id_column="no")
    reasons = {row.id: row.reason for row in prompts.skipped}
    assert [prompt.id for prompt in prompts] == ["f"]
    assert list(reasons) == list("abcde")
    assert "no geometry" in reasons["a"]
    assert "empty" in reasons["b"]
    assert "no area" in reasons["c"]
    assert "outside" in reasons["e"]


def test_an_invalid_polygon_is_repaired():
    bow_tie = shapely.Polygon([(10, 10), (50, 50), (50, 10), (10, 50)])
    prompt = only(Prompts.from_features(bow_tie, scene_on(), crs="px"))
    assert prompt.polygon_px.is_valid
    assert prompt.polygon_px.area == pytest.approx(800)


def test_a_pole_cannot_be_placed_on_a_mercator_scene():
    scene = scene_on("EPSG:3857", from_origin(1_000_000, 6_000_000, 1, 1))
    (skipped,) = Prompts.from_points([0, 90], scene, crs=4326).skipped
    assert skipped.reason


def test_latitude_before_longitude_is_pointed_out():
    skipped = Prompts.from_points([[45.15, 9.001], [9.001, 45.15], [0, 0]], scene_on(), crs=4326).skipped
    assert [(row.row, "x and y swapped" in row.reason) for row in skipped] == [(0, True), (2, False)]


def test_touching_the_edge_is_not_being_on_the_scene():
    (skipped,) = Prompts.from_boxes((1200, 10, 1300, 20), scene_on(), crs="px").skipped
    assert "touches" in skipped.reason


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda scene: Prompts.from_boxes([[0, 0, 1, 1], [0, np.nan, 1, 1]], scene, crs="px"), "row 1"),
        (lambda scene: Prompts.from_points([[1, 1], [np.inf, 1]], scene, crs="px"), "row 1"),
        (lambda scene: Prompts.from_boxes([1, 2, 3], scene), r"shape \(3,\)"),
        (lambda scene: Prompts.from_points("somewhere", scene), "somewhere"),
        (lambda scene: Prompts.from_points([[1, 1], [2, 2]], scene, labels=[1], crs="px"), "2 points with 1 labels"),
        (lambda scene: Prompts.from_points([1, 1], scene, crs="EPSG:0"), "EPSG:0"),
        (lambda scene: Prompts.from_points([1, 1], scene, labels=["maybe"], crs="px"), "'maybe' in row 0"),
        (lambda scene: Prompts.from_features(7, scene), "type int"),
        (lambda scene: Prompts.from_features("absent.gpkg", scene), "absent.gpkg does not exist"),
        (lambda scene: Prompts.from_masks(np.zeros((3, 3), np.int32), scene), r"shape \(3, 3\)"),
        (lambda scene: Prompts.from_masks(np.full(scene.shape, 0.5), scene), "whole numbers"),
    ],
)
def test_nonsense_is_refused_with_a_word_on_it(make, message):
    with pytest.raises(PromptError, match=message):
        make(scene_on())


def test_a_source_without_a_crs_is_the_scenes_if_it_reaches_the_scene():
    scene = scene_on()
    assert only(Prompts.from_features(shapely.Point(500_010, 4_999_990), scene)).points_px.tolist() == [[20, 20]]
    with pytest.raises(PromptError, match=r"without a CRS.*--prompts-crs"):
        Prompts.from_features(shapely.Point(9, 45), scene)


def test_a_file_with_several_layers_wants_one_named(tmp_path):
    path = tmp_path / "two.gpkg"
    for x, name in ((500_010, "wells"), (500_020, "trees")):
        gpd.GeoDataFrame(geometry=[shapely.Point(x, 4_999_990)], crs=UTM).to_file(path, layer=name)
    with pytest.raises(PromptError, match="wells, trees"):
        Prompts.from_features(path, scene_on())
    assert only(Prompts.from_features(path, scene_on(), layer="trees")).points_px.tolist() == [[40, 20]]


def test_a_table_with_coordinates_is_read(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("name,X,Y,label\na,500010,4999990,pos\nb,500012,4999990,neg\n")
    prompt = only(Prompts.from_features(path, scene_on()))
    assert (prompt.labels.tolist(), prompt.attributes) == ([1, 0], {"name": "a", "label": "pos"})
    path.write_text("name\na\n")
    with pytest.raises(PromptError, match=r"columns name.*lon and lat"):
        Prompts.from_features(path, scene_on())


def test_a_frame_without_geometries_is_refused():
    with pytest.raises(PromptError, match="without geometries"):
        Prompts.from_features(gpd.GeoDataFrame({"a": [1]}), scene_on())


def test_a_file_that_is_none_is_refused(tmp_path):
    path = tmp_path / "prompts.gpkg"
    path.write_text("nothing")
    with pytest.raises(PromptError, match="cannot be read"):
        Prompts.from_features(path, scene_on())


# --- what a geometry means


def test_a_c_shape_gets_points_inside_it_not_its_centroid():
    prompt = only(Prompts.from_features(C_SHAPE, scene_on(), crs="px"))
    assert not C_SHAPE.contains(C_SHAPE.centroid)
    assert len(prompt.points_px) == 3
    assert shapely.contains_xy(C_SHAPE, *prompt.points_px.T).all()
    assert shapely.distance(shapely.points(prompt.points_px), C_SHAPE.boundary).min() > 3
    assert prompt.polygon_px.equals(C_SHAPE)


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), min_size=4, max_size=9, unique=True))
@settings(max_examples=50, deadline=None)
def test_the_points_of_any_polygon_lie_inside_it(corners):
    outline = shapely.make_valid(shapely.Polygon(corners))
    prompts = Prompts.from_features(gpd.GeoSeries([outline]), scene_on(), crs="px")
    for prompt in prompts:
        if prompt.kind == "polygon":
            assert 1 <= len(prompt.points_px) <= 3
            assert shapely.contains_xy(prompt.polygon_px, *prompt.points_px.T).all()


def test_a_multipolygon_is_one_object_with_points_in_its_parts():
    two = shapely.MultiPolygon([shapely.box(10, 10, 30, 30), shapely.box(100, 10, 120, 30)])
    prompt = only(Prompts.from_features(two, scene_on(), crs="px"))
    assert prompt.box_px.tolist() == [10, 10, 120, 30]
    assert set((prompt.points_px[:, 0] > 60).tolist()) == {True, False}


def test_a_line_is_clicked_along():
    river = shapely.LineString([(100, 100), (100, 600), (400, 600)])
    prompt = only(Prompts.from_features(river, scene_on(), crs="px"))
    assert prompt.kind == "points"
    assert len(prompt.labels) == 5
    assert prompt.labels.all()
    assert shapely.distance(shapely.points(prompt.points_px), river).max() < 1e-9
    assert prompt.anchor_px == pytest.approx((100, 500))


def test_the_stump_of_a_road_is_one_click():
    assert len(only(Prompts.from_features(shapely.LineString([(5, 5), (25, 5)]), scene_on(), crs="px")).labels) == 1


# --- which clicks make an object


def test_each_positive_point_is_an_object():
    assert [prompt.id for prompt in Prompts.from_points([[1, 1], [2, 2], [3, 3]], scene_on(), crs="px")] == [0, 1, 2]


def test_points_of_one_group_are_one_object():
    frame = gpd.GeoDataFrame(
        {"object": [7, 8, 7, 7], "label": ["pos", "foreground", False, "Background"]},
        geometry=gpd.points_from_xy([10, 20, 30, 40], [10, 20, 30, 40]),
    )
    seven, eight = Prompts.from_features(frame, scene_on(), crs="px", group_column="object")
    assert (seven.id, seven.row, seven.points_px.tolist()) == (7, 0, [[10, 10], [30, 30], [40, 40]])
    assert seven.labels.tolist() == [1, 0, 0]
    assert (eight.id, eight.row, len(eight.labels)) == (8, 1, 1)


def test_a_lone_negative_point_refines_the_nearest_object():
    near, far = Prompts.from_points([[10, 10], [500, 500], [15, 10]], scene_on(), labels=[1, 1, 0], crs="px")
    assert near.labels.tolist() == [1, 0]
    assert far.labels.tolist() == [1]


def test_a_lone_negative_point_refines_the_nearest_outline_or_box():
    scene = scene_on()
    frame = gpd.GeoDataFrame(
        {"label": ["pos", "pos", "neg"]},
        geometry=[shapely.box(10, 10, 50, 50), shapely.Point(500, 500), shapely.Point(60, 30)],
    )
    outline, far = Prompts.from_features(frame, scene, crs="px")
    assert (outline.labels[-1], outline.points_px[-1].tolist()) == (0, [60, 30])
    assert far.labels.tolist() == [1]


def test_a_negative_polygon_is_clicked_inside():
    frame = gpd.GeoDataFrame(
        {"object": [1, 1], "inside": [True, False]}, geometry=[shapely.Point(20, 20), shapely.box(100, 100, 140, 140)]
    )
    prompt = only(Prompts.from_features(frame, scene_on(), crs="px", group_column="object", label_column="inside"))
    assert prompt.labels.tolist() == [1, 0]
    assert prompt.points_px[1] == pytest.approx((120, 120), abs=2)


def test_negative_points_alone_are_reported():
    prompts = Prompts.from_points([[10, 10], [20, 20]], scene_on(), labels=[0, 0], crs="px")
    assert len(prompts) == 0
    assert [row.row for row in prompts.skipped] == [0, 1]
    assert "negative" in prompts.skipped[0].reason


def test_objects_as_an_array_of_point_lists():
    one, two = Prompts.from_points([[[1, 1], [2, 2]], [[3, 3], [4, 4]]], scene_on(), labels=[[1, 0], [1, 1]], crs="px")
    assert (one.labels.tolist(), two.labels.tolist()) == ([1, 0], [1, 1])


def test_a_polygon_and_a_negative_point_of_one_group_are_one_prompt():
    frame = gpd.GeoDataFrame(
        {"id": [1, 1], "label": [None, 0]}, geometry=[shapely.box(10, 10, 50, 50), shapely.Point(30, 30)]
    )
    prompt = only(Prompts.from_features(frame, scene_on(), crs="px", id_column="id"))
    assert prompt.kind == "polygon"
    assert prompt.labels[-1] == 0
    assert prompt.points_px[-1].tolist() == [30, 30]


def test_a_label_column_with_class_names_is_an_attribute(caplog):
    frame = gpd.GeoDataFrame({"label": ["oak", "elm"]}, geometry=gpd.points_from_xy([1, 2], [1, 2]))
    prompts = Prompts.from_features(frame, scene_on(), crs="px")
    assert [prompt.attributes["label"] for prompt in prompts] == ["oak", "elm"]
    frame["label"] = ["pos", "elm"]
    assert len(Prompts.from_features(frame, scene_on(), crs="px")) == 2
    assert "'label' holds elm" in caplog.text
    with pytest.raises(PromptError, match=r"'elm' in row 1.*label_column=None.*--label-column none"):
        Prompts.from_features(frame, scene_on(), crs="px", label_column="label")
    assert len(Prompts.from_features(frame, scene_on(), crs="px", label_column=None)) == 2


def test_an_absent_column_is_named():
    frame = gpd.GeoDataFrame({"kind": [1]}, geometry=gpd.points_from_xy([1], [1]))
    for option in ("id_column", "group_column", "label_column"):
        with pytest.raises(PromptError, match=r"no column 'x'.*kind"):
            Prompts.from_features(frame, scene_on(), crs="px", **{option: "x"})


@given(st.permutations(range(8)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_does_not_matter(order):
    frame = gpd.GeoDataFrame(
        {"object": list("aabbbccd"), "label": [1, 0, 1, 1, 0, 1, 1, 1]},
        geometry=[shapely.Point(10 + 31 * i, 900 - 17 * i * i) for i in range(7)] + [C_SHAPE],
    )

    def described(frame: gpd.GeoDataFrame) -> dict:
        prompts = Prompts.from_features(frame, scene_on(), crs="px", group_column="object", label_column="label")
        return {prompt.id: (prompt.points_px.tolist(), prompt.labels.tolist(), prompt.extent_px) for prompt in prompts}

    assert described(frame.iloc[order]) == described(frame)


# --- ids and attributes


def test_ids_come_from_the_file_and_attributes_stay(tmp_path):
    frame = gpd.GeoDataFrame(
        {"height": [3.5, 7.0], "floors": [1, 2]}, geometry=[shapely.box(10, 10, 20, 20), shapely.box(30, 30, 40, 40)]
    )
    frame.geometry = frame.geometry.affine_transform([0.5, 0, 0, -0.5, 500_000, 5_000_000])
    frame.set_crs(UTM).to_file(tmp_path / "old.gpkg")
    prompts = Prompts.from_features(tmp_path / "old.gpkg", scene_on())
    assert [prompt.id for prompt in prompts] == [1, 2]  # a GeoPackage counts from 1
    assert prompts.attributes_frame().to_dict("list") == {"height": [3.5, 7.0], "floors": [1, 2]}
    assert prompts.attributes_frame().index.tolist() == [0, 1]


def test_a_column_of_unique_ids_is_taken_for_the_ids():
    frame = gpd.GeoDataFrame({"id": [31.0, 17.0]}, geometry=gpd.points_from_xy([1, 2], [1, 2]))
    assert [prompt.id for prompt in Prompts.from_features(frame, scene_on(), crs="px")] == [31, 17]


def test_shapely_geometries_may_come_as_a_list():
    prompts = Prompts.from_features([shapely.Point(1, 1), None, C_SHAPE], scene_on(), crs="px")
    assert [prompt.kind for prompt in prompts] == ["points", "polygon"]


def test_an_unset_id_column_of_a_fresh_layer_does_not_join_everything():
    frame = gpd.GeoDataFrame({"id": [0, 0]}, geometry=gpd.points_from_xy([1, 2], [1, 2]))
    assert [prompt.id for prompt in Prompts.from_features(frame, scene_on(), crs="px")] == [0, 1]


def test_joined_sources_count_on():
    clicks = Prompts.from_points([[1, 1], [-9, 1]], scene_on(), crs="px")
    boxes = Prompts.from_boxes([5, 5, 9, 9], scene_on(), crs="px")
    both = Prompts.join(clicks, boxes)
    assert [(prompt.row, prompt.kind) for prompt in both] == [(0, "points"), (2, "box")]
    assert [row.row for row in both.skipped] == [1]


def test_no_prompts_are_no_prompts():
    empty = gpd.GeoDataFrame({"a": []}, geometry=[], crs=UTM)
    for prompts in (Prompts.from_features(empty, scene_on()), Prompts.from_boxes([], scene_on()), Prompts()):
        assert (len(prompts), prompts.skipped, len(prompts.attributes_frame())) == (0, (), 0)


# --- masks


def label_array() -> np.ndarray:
    labels = np.zeros((1000, 1200), np.int32)
    labels[10:30, 10:50] = 5
    labels[15:25, 20:40] = 0
    labels[100:110, 100:110] = 70_000
    return labels


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "float64"])
def test_labels_become_outlines_along_the_pixels(dtype):
    five, other = Prompts.from_masks(label_array().astype(dtype), scene_on())
    assert (five.id, other.id) == (5, 70_000)
    assert five.polygon_px.area == (label_array() == 5).sum()
    assert other.box_px.tolist() == [100, 100, 110, 110]


def test_boolean_masks_may_overlap_and_an_empty_one_is_reported():
    masks = np.zeros((3, 1000, 1200), bool)
    masks[0, 10:30, 10:30] = masks[1, 20:40, 20:40] = True
    prompts = Prompts.from_masks(masks, scene_on())
    assert [prompt.box_px.tolist() for prompt in prompts] == [[10, 10, 30, 30], [20, 20, 40, 40]]
    assert [row.row for row in prompts.skipped] == [2]
    assert only(Prompts.from_masks(masks[0], scene_on())).polygon_px.area == 400


def test_a_label_raster_may_have_any_grid(tmp_path):
    path = tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "dtype": "int32", "count": 1, "height": 50, "width": 50, "nodata": -1}
    with rasterio.open(path, "w", crs=UTM, transform=from_origin(500_000, 5_000_000, 4, 4), **profile) as raster:
        raster.write(np.where(np.eye(50) > 0, 3, -1).astype(np.int32), 1)
    assert only(Prompts.from_masks(path, scene_on())).box_px == pytest.approx(np.array([0, 0, 400, 400]))


def test_a_label_raster_without_a_crs_must_have_the_scenes_grid(tmp_path):
    scene, path = scene_on(None, None), tmp_path / "labels.png"
    five = (label_array() == 5).astype(np.uint8)
    Image.fromarray(five).save(path)
    assert only(Prompts.from_masks(path, scene)).box_px.tolist() == [10, 10, 50, 30]
    Image.fromarray(five[:, :1100]).save(path)
    with pytest.raises(PromptError, match=r"shape \(1000, 1100\)"):
        Prompts.from_masks(path, scene)
    (tmp_path / "none.tif").write_text("nothing")
    with pytest.raises(PromptError, match="cannot be read"):
        Prompts.from_masks(tmp_path / "none.tif", scene)


def test_a_damaged_label_raster_is_said_once(tmp_path):
    path = tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "dtype": "int32", "count": 1, "height": 50, "width": 50, "compress": "deflate"}
    with rasterio.open(path, "w", crs=UTM, transform=from_origin(500_000, 5_000_000, 4, 4), **profile) as raster:
        raster.write(np.eye(50, dtype=np.int32), 1)
    with rasterio.open(path) as raster:
        start = int(raster.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1))
    stored = bytearray(path.read_bytes())
    stored[start : start + 20] = bytes(20)
    path.write_bytes(stored)
    with pytest.raises(PromptError, match="expected an undamaged raster of labels") as refused:
        Prompts.from_masks(path, scene_on())
    assert str(refused.value).count("cannot be read") == 1


# --- a prompt checks itself


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"points_px": np.zeros((1, 2)), "labels": np.zeros(1, np.int64)},
        {"points_px": np.zeros((1, 2)), "labels": np.full(1, 2)},
        {"points_px": np.full((1, 2), np.nan), "labels": np.ones(1, np.int64)},
        {"box_px": np.array([5.0, 0.0, 1.0, 1.0])},
    ],
)
def test_a_prompt_that_says_nothing_is_refused(fields):
    with pytest.raises(PromptError):
        Prompt(0, "a", **fields)


def test_two_prompts_of_one_row_are_refused():
    box = Prompt(0, "a", box_px=np.array([0.0, 0.0, 1.0, 1.0]))
    with pytest.raises(PromptError, match="same row"):
        Prompts((box, box))


# --- the command line


@pytest.mark.parametrize("text", ["1", "1,2,3,4", "a,b", "1,2,x", "", "nan,1", "1,,2", "1 2"])
def test_a_point_that_is_none(text):
    with pytest.raises(PromptError, match="point"):
        parse_point(text)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,1,4", "1,2,inf,4"])
def test_a_box_that_is_none(text):
    with pytest.raises(PromptError, match="box"):
        parse_box(text)


def test_points_and_boxes_as_typed():
    assert parse_point(" 1.5, -2e3 ") == (1.5, -2000.0, 1)
    assert parse_point("1,2,background") == (1.0, 2.0, 0)
    assert parse_box("3,4,1,2") == (1.0, 2.0, 3.0, 4.0)


def test_everything_is_as_stated_in_wkt_too():
    there = Prompts.from_points([500_010, 4_999_990], scene_on(), crs=CRS(UTM).to_wkt())
    assert only(there).points_px.tolist() == [[20, 20]]


# --- nothing silently wrong


def dots(**columns) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy([10, 20, 30], [10, 20, 30]))


def test_a_row_without_an_id_takes_no_other_rows_id():
    frame = dots(no=pd.array([None, 1, 0], dtype="Int64"))
    assert [prompt.id for prompt in Prompts.from_features(frame, scene_on(), crs="px", id_column="no")] == [2, 1, 0]
    frame = dots(no=["0", None, " "])
    assert [prompt.id for prompt in Prompts.from_features(frame, scene_on(), crs="px", id_column="no")] == ["0", 1, 2]


def test_ids_of_64_bits_stay_apart():
    cells = [631210968840000000 + 16 * k for k in range(3)]
    prompts = Prompts.from_features(dots(cell=cells), scene_on(), crs="px", id_column="cell")
    assert [prompt.id for prompt in prompts] == cells
    with pytest.raises(PromptError, match=r"'cell' with real numbers above 2\*\*53"):
        Prompts.from_features(dots(cell=np.array(cells, float)), scene_on(), crs="px", id_column="cell")


def test_attributes_keep_the_types_of_their_columns():
    frame = dots(
        whole=pd.array([1, None, 2**62 + 1], dtype="Int64"),
        flat=pd.array([True, None, False], dtype="boolean"),
        kind=pd.Categorical(["oak", "elm", None]),
        parts=[[1], [2, 3], None],
        seen=pd.to_datetime(["2024-06-01"] * 3).tz_localize("Europe/Berlin"),
    )
    kept = Prompts.from_features(frame, scene_on(), crs="px").attributes_frame()
    given = pd.DataFrame(frame.drop(columns="geometry"))
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), given)
    both = Prompts.join(
        Prompts.from_features(frame, scene_on(), crs="px"), Prompts.from_points([1, 1], scene_on(), crs="px")
    )
    assert both.attributes_frame().dtypes[["whole", "flat"]].tolist() == ["Int64", "boolean"]
    assert both.attributes_frame()["whole"].tolist()[2] == 2**62 + 1


def test_columns_and_indices_that_are_not_unique_lose_nothing():
    frame = pd.concat([pd.DataFrame({"id": [1, 2, 3]}), pd.DataFrame({"id": [7, 7, 7]}), dots()], axis=1)
    prompts = Prompts.from_features(gpd.GeoDataFrame(frame), scene_on(), crs="px")
    assert prompts.attributes_frame().to_dict("list") == {"id": [1, 2, 3], "id_2": [7, 7, 7]}
    doubled = dots(a=[1, 2, 3]).set_axis([0, 0, 1])
    assert [prompt.id for prompt in Prompts.from_features(doubled, scene_on(), crs="px")] == [0, 1, 2]
    named = dots(a=[1, 2, 3]).set_axis(pd.Index(["p", "p", "q"], name="parcel"))
    assert [prompt.id for prompt in Prompts.from_features(named, scene_on(), crs="px", id_column="parcel")] == [
        "p",
        "q",
    ]
    lists = dots(a=[[1], [1], [2]])
    assert len(Prompts.from_features(lists, scene_on(), crs="px", group_column="a")) == 2


def test_classes_in_a_label_column_are_attributes():
    prompts = Prompts.from_features(dots(label=[1, 2, 0]), scene_on(), crs="px")
    assert prompts.attributes_frame()["label"].tolist() == [1, 2, 0]


def test_degrees_that_are_none_are_refused_and_the_assumption_is_named(tmp_path):
    here = gpd.GeoSeries([shapely.box(500_010, 4_999_980, 500_020, 4_999_990)], crs=UTM)
    path = tmp_path / "metres.geojson"
    path.write_text(here.set_crs(4326, allow_override=True).to_json())
    with pytest.raises(PromptError, match=r"no degrees.*GeoJSON without a `crs`.*--prompts-crs"):
        Prompts.from_features(path, scene_on())
    assert only(Prompts.from_features(path, scene_on(), crs=UTM)).box_px.tolist() == [20, 20, 40, 40]
    far = gpd.GeoSeries([*here, shapely.Point(9.0, 45.1)], crs=4326)
    (bad, *_) = Prompts.from_features(far, scene_on()).skipped
    assert "no longitude and latitude" in bad.reason
    assert "--prompts-crs EPSG:32632" in bad.reason


def test_a_crs_that_is_asked_for_counts_more_than_the_files_own(tmp_path, caplog):
    place = gpd.GeoSeries([shapely.Point(500_010, 4_999_990)], crs=UTM).to_crs(4326)
    wrong = place.set_crs(UTM, allow_override=True)
    (skipped,) = Prompts.from_features(wrong, scene_on()).skipped
    assert "read as longitude and latitude" in skipped.reason
    assert only(Prompts.from_features(wrong, scene_on(), crs=4326)).points_px == pytest.approx(
        np.array([[20, 20]]), abs=0.01
    )
    assert "say EPSG:32632 are read as EPSG:4326" in caplog.text


def test_a_scribble_or_a_million_vertices_hold_nothing_up():
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 200_000, endpoint=False)
    disc = np.column_stack([500 + 300 * np.cos(angle), 500 + 300 * np.sin(angle)])
    scribble = shapely.Polygon(rng.random((3000, 2)) * 900)
    prompts = Prompts.from_features([scribble, shapely.Polygon(disc)], scene_on(), crs="px")
    assert "crosses itself" in prompts.skipped[0].reason
    (prompt,) = prompts
    assert shapely.get_num_coordinates(prompt.polygon_px) < 5000
    assert prompt.polygon_px.area == pytest.approx(np.pi * 300**2, rel=0.005)


def test_parts_that_lie_far_apart_are_asked_one_by_one():
    roofs = [shapely.box(0, 0, 9, 9), shapely.box(12, 0, 20, 9), shapely.box(90, 0, 99, 9)]
    (pair,) = Prompts.from_features(shapely.MultiPolygon(roofs), scene_on(), crs="px")
    parts, owners = apart([pair])
    assert [part.box_px.tolist() for part in parts] == [[0, 0, 20, 9], [90, 0, 99, 9]]
    assert dict(owners) == {1: 0, 2: 0}
    for part in parts:
        assert shapely.contains_xy(part.polygon_px, *part.points_px[part.labels == 1].T).all()
    near = Prompts.from_features(shapely.MultiPolygon(roofs[:2]), scene_on(), crs="px")
    assert apart(near) == (list(near), {})
