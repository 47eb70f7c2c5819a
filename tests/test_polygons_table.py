"""Measures on the ellipsoid, the table's columns, and redrawn outlines."""

import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from geosam.errors import OptionError
from geosam.instances import InstanceSet
from geosam.polygons import COLUMNS, frame, instance_frame, measure, outline
from geosam.scene import open_scene
from geosam.testing import coordinate_scene

GEOD = Geod(ellps="WGS84")
BOXES = {
    32633: (500_000, 5_000_000, 600_000, 5_100_000),
    32601: (160_000, 6_000_000, 300_000, 6_005_000),  # across the antimeridian
    3857: (1_000_000, 8_000_000, 1_001_000, 8_001_000),
    4326: (10, 45, 10.1, 45.1),
    4267: (-100, 40, -99.99, 40.01),
    2263: (980_000, 190_000, 985_000, 195_000),  # feet
    3413: (-100_000, -100_000, 100_000, 100_000),  # around the north pole
    3031: (100_000, 100_000, 200_000, 200_000),  # beside the south pole
}


@pytest.mark.parametrize("crs", BOXES)
def test_areas_and_perimeters_are_those_of_the_geodesics(crs):
    polygon = shapely.box(*BOXES[crs])
    area, perimeter = measure(np.array([polygon]), CRS(crs))
    dense = shapely.segmentize(polygon, (polygon.bounds[2] - polygon.bounds[0]) / 5000)
    to_degrees = Transformer.from_crs(crs, 4326, always_xy=True)
    dense = shapely.transform(dense, to_degrees.transform, interleaved=False)
    expected = GEOD.geometry_area_perimeter(shapely.geometry.polygon.orient(dense))
    assert area[0] == pytest.approx(abs(expected[0]), rel=1e-6)
    assert perimeter[0] == pytest.approx(expected[1], rel=1e-6)


def test_holes_and_parts_count():
    square = shapely.box(500_000, 5e6, 501_000, 5_001_000)
    hole = shapely.box(500_200, 5_000_200, 500_300, 5_000_300)
    far = shapely.box(510_000, 5e6, 510_100, 5_000_100)
    geometries = np.array([square, hole, far, shapely.MultiPolygon([square - hole, far]), shapely.MultiPolygon()])
    area, perimeter = measure(geometries, CRS(32633))
    assert area[3] == pytest.approx(area[0] - area[1] + area[2], rel=1e-9)
    assert perimeter[3] == pytest.approx(perimeter[:3].sum(), rel=1e-9)
    assert (area[4], perimeter[4]) == (0, 0)


def test_a_polygon_measures_the_same_whatever_others_are_measured_beside_it(monkeypatch):
    rng = np.random.default_rng(0)
    middles = shapely.points(500_000 + 1000 * rng.random(50), 5e6 + 1000 * rng.random(50))
    polygons = np.append(shapely.buffer(middles, 1 + 50 * rng.random(50)), shapely.MultiPolygon())
    together = measure(polygons, CRS(32633))
    monkeypatch.setattr(sys.modules[measure.__module__], "_VERTICES", 100)
    np.testing.assert_array_equal(measure(polygons, CRS(32633)), together)


def test_without_a_crs_there_is_no_measure():
    assert np.isnan(measure(np.array([shapely.box(0, 0, 1, 1)]), None)).all()


@pytest.mark.parametrize(("unit", "metres"), [('UNIT["metre",1]', 1.0), ('UNIT["foot",0.3048]', 0.3048)])
def test_a_local_crs_is_a_plane_in_its_own_unit(unit, metres):
    (area,), (perimeter,) = measure(np.array([shapely.box(0, 0, 1, 2)]), CRS(f'LOCAL_CS["drawing",{unit}]'))
    assert (area, perimeter) == pytest.approx((2 * metres**2, 6 * metres))


def test_off_the_domain_of_the_projection_there_is_no_measure():
    area, perimeter = measure(np.array([shapely.box(0, 0, 1, 1), shapely.box(1e30, 1e30, 2e30, 2e30)]), CRS(32633))
    assert np.isfinite(area[0])
    assert np.isnan([area[1], perimeter[1]]).all()


@pytest.fixture
def scene(tmp_path):
    return open_scene(coordinate_scene(tmp_path / "scene.tif", (64, 96)))


def squares(*boxes):
    return np.array([shapely.MultiPolygon([shapely.box(*box)]) for box in boxes] + [None], object)[:-1]


def table_of(scene, geometries, **columns):
    n = len(geometries)
    scores = {"predicted_iou": np.full(n, 0.9, np.float32), "stability": np.full(n, 0.5, np.float32)}
    return frame(geometries, scene, **({"object_ids": np.arange(1, n + 1)} | scores | columns))


def test_the_columns_are_the_documented_ones_also_when_there_is_nothing(scene):
    some = table_of(scene, squares((0, 0, 4, 4), (10, 10, 20, 12)), model="nano")
    none = table_of(scene, squares(), model="nano")
    assert list(some.columns) == [*COLUMNS, "geometry"]
    assert {name: str(kind) for name, kind in some.dtypes.items() if name != "geometry"} == COLUMNS
    assert some.dtypes.equals(none.dtypes)
    assert some.crs == none.crs == scene.crs
    assert set(some.geom_type) == {"MultiPolygon"}


def test_the_row_says_what_the_polygon_is(scene):
    table = table_of(scene, squares((0, 8, 4, 12), (10, 10, 20, 12), (90, 60, 96, 64)), n_windows=2, model="nano")
    assert table.score.tolist() == pytest.approx([0.45] * 3)
    assert table.touches_edge.tolist() == [True, False, True]
    assert table.n_windows.tolist() == [2, 2, 2]
    assert table.prompt_id.isna().all()
    pixel = scene.resolution_m**2
    assert table.area_m2.tolist() == pytest.approx([16 * pixel, 20 * pixel, 24 * pixel], rel=1e-3)
    assert (table.scene == scene.name).all()


def test_a_scene_without_a_crs_has_no_measures(tmp_path):
    with rasterio.open(
        tmp_path / "plain.tif",
        "w",
        driver="GTiff",
        width=8,
        height=8,
        count=3,
        dtype="uint8",
        transform=Affine.scale(2),
    ) as target:
        target.write(np.ones((3, 8, 8), np.uint8))
    table = table_of(open_scene(tmp_path / "plain.tif"), squares((0, 0, 4, 4)))
    assert table.crs is None
    assert np.isnan(table.area_m2[0])


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ([7, 8], "Int64", [7, 8]),
        (np.array([7, 8], np.uint8), "Int64", [7, 8]),
        (["a", "7"], "str", ["a", "7"]),
        ([7, "b"], "str", ["7", "b"]),
        (np.array([1.5, 2]), "str", ["1.5", "2.0"]),
    ],
)
def test_prompt_ids_are_integers_or_text(scene, given, kind, expected):
    table = table_of(scene, squares((0, 0, 4, 4), (5, 5, 9, 9)), prompt_ids=given)
    assert str(table.prompt_id.dtype) == kind
    assert table.prompt_id.tolist() == expected


def test_the_prompts_attributes_follow_and_never_replace_a_column(scene):
    own = pd.DataFrame(
        {"name": ["a", "b"], "Score": [1, 2], "geometry": ["x", "y"], "score_prompt": [3, 4]}, index=[9, 4]
    )
    table = table_of(scene, squares((0, 0, 4, 4), (5, 5, 9, 9)), attributes=own)
    added = ["name", "Score_prompt", "geometry_prompt", "score_prompt_prompt"]
    assert list(table.columns) == [*COLUMNS, "geometry", *added]
    assert table["name"].tolist() == ["a", "b"]
    assert table["Score_prompt"].tolist() == [1, 2]
    assert table.geometry.name == "geometry"


def test_columns_of_different_lengths_are_refused(scene):
    with pytest.raises(OptionError, match="2 geometries"):
        table_of(scene, squares((0, 0, 4, 4), (5, 5, 9, 9)), prompt_ids=[1])


def test_stitched_objects_bring_their_scores(scene):
    scores = np.array([0.1, 0.2, 0.4], np.float32)
    objects = InstanceSet(
        np.array([0, 3]),
        np.arange(1, 4, dtype=np.int32),
        np.arange(1, 4, dtype=np.int32),
        scores,
        scores + 0.5,
        np.array([1, 2, 3], np.int32),
        scores > 0.15,
        np.array([4, 5, 6]),
    )
    table = instance_frame(np.array([3, 1]), squares((0, 0, 4, 4), (5, 5, 9, 9)), scene, instances=objects, model="m")
    assert table.object_id.tolist() == [3, 1]
    assert table.predicted_iou.tolist() == pytest.approx([0.4, 0.1])
    assert table.n_windows.tolist() == [3, 1]
    assert table.touches_nodata.tolist() == [True, False]


def test_an_exact_outline_is_left_alone_and_others_say_what_they_need(monkeypatch):
    shapes = squares((0, 0, 4, 4))
    assert outline(shapes, "exact") is shapes
    monkeypatch.setitem(sys.modules, "buildingregulariser", None)
    monkeypatch.setitem(sys.modules, "smoothify", None)
    for style in ("regular", "smooth"):
        with pytest.raises(OptionError, match=r"geosam\[outline\]"):
            outline(shapes, style)


def test_an_object_that_cannot_be_redrawn_keeps_its_outline(monkeypatch):
    library = ModuleType("buildingregulariser")
    # reorders the rows, drops one and empties one, as such libraries do
    library.regularize_geodataframe = lambda table, **_: table.assign(
        geometry=[
            shape.buffer(0.1) if row else shapely.Polygon()
            for row, shape in zip(table.row, table.geometry, strict=True)
        ]
    ).iloc[[2, 0]]
    monkeypatch.setitem(sys.modules, "buildingregulariser", library)
    shapes = squares((0, 0, 4, 4), (10, 0, 14, 4), (20, 0, 24, 4))
    drawn = outline(shapes, "regular")
    assert drawn[0].equals(shapes[0])
    assert drawn[1].equals(shapes[1])
    assert drawn[2].contains(shapes[2])
    assert {shape.geom_type for shape in drawn} == {"MultiPolygon"}


@pytest.mark.parametrize(("style", "library"), [("regular", "buildingregulariser"), ("smooth", "smoothify")])
def test_outlines_with_the_real_libraries(style, library):
    pytest.importorskip(library, reason=f"needs {library}: pip install geosam[outline]")
    stairs = shapely.union_all([shapely.box(k, k, k + 20, k + 10) for k in range(12)])
    shapes = np.array([shapely.MultiPolygon([stairs]), shapely.MultiPolygon([shapely.box(100, 0, 130, 20)])])
    drawn = outline(shapes, style)
    assert shapely.is_valid(drawn).all()
    assert shapely.area(shapely.intersection(drawn, shapes)) == pytest.approx(shapely.area(shapes), rel=0.2)
