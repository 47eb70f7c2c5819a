"""Polygons: exact, the same for any strips, and simplified without gaps or overlaps."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize, shapes
from rasterio.windows import Window

from geosam.errors import OptionError
from geosam.instances import WindowInstances, assemble, stitch
from geosam.masks import MaskSet
from geosam.polygons import mask_polygons, polygonize, simplify_each
from geosam.testing import blob_labels, parcel_labels
from geosam.windows import WindowPlan

grids = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.int32, shape, elements=st.integers(0, 3))
)
labels = st.builds(lambda grid, scale: np.kron(grid, np.ones((scale, scale), np.int32)), grids, st.integers(1, 4))
heights = st.integers(1, 50)


def strips(raster, rows):
    return [(top, raster[top : top + rows]) for top in range(0, len(raster), rows)]


def polygons_of(raster, rows=None, tolerance_px=0, stops=None):
    batches = list(polygonize(strips(raster, rows or len(raster)), stops=stops, tolerance_px=tolerance_px))
    if not batches:
        return np.zeros(0, np.int64), np.zeros(0, object)
    ids, geometries = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    order = np.argsort(ids)
    return ids[order], geometries[order]


def burn(ids, geometries, shape):
    if len(ids) == 0:
        return np.zeros(shape, np.int32)
    return rasterize(zip(geometries, ids.tolist(), strict=True), out_shape=shape, dtype="int32")


@settings(max_examples=300, deadline=None)
@given(labels)
def test_polygons_rasterize_back_to_the_labels(raster):
    ids, geometries = polygons_of(raster)
    assert ids.tolist() == np.setdiff1d(raster, [0]).tolist()
    assert all(geometry.geom_type == "MultiPolygon" for geometry in geometries)
    assert shapely.is_valid(geometries).all()
    np.testing.assert_array_equal(shapely.area(geometries), np.bincount(raster.ravel())[ids])
    np.testing.assert_array_equal(burn(ids, geometries, raster.shape), raster)


@settings(max_examples=200, deadline=None)
@given(labels)
def test_polygons_are_those_of_gdal_vertex_for_vertex(raster):
    ids, geometries = polygons_of(raster)
    traced = [
        (int(value), shapely.to_wkb(shapely.normalize(part)))
        for value, shape in zip(ids, geometries, strict=True)
        for part in shape.geoms
    ]
    gdal = shapes(raster, mask=raster > 0, connectivity=4)
    expected = [(int(value), shapely.to_wkb(shapely.normalize(shapely.geometry.shape(part)))) for part, value in gdal]
    assert sorted(traced) == sorted(expected)


@settings(max_examples=300, deadline=None)
@given(labels, heights)
def test_the_height_of_strips_changes_no_byte(raster, rows):
    whole, cut = polygons_of(raster), polygons_of(raster, rows)
    np.testing.assert_array_equal(whole[0], cut[0])
    np.testing.assert_array_equal(shapely.to_wkb(whole[1]), shapely.to_wkb(cut[1]))


@settings(max_examples=300, deadline=None)
@given(labels, heights, st.sampled_from([0.5, 1, 1.5, 3]))
def test_simplified_borders_leave_no_gap_and_no_overlap(raster, rows, tolerance):
    ids, exact = polygons_of(raster)
    simple_ids, simple = polygons_of(raster, rows, tolerance)
    np.testing.assert_array_equal(ids, simple_ids)
    assert not shapely.is_empty(simple).any()
    assert shapely.is_valid(simple).all()
    assert shapely.coverage_is_valid(simple)
    assert shapely.area(simple).sum() == pytest.approx(shapely.union_all(simple).area)
    if (raster > 0).all():
        assert shapely.union_all(simple).area == pytest.approx(raster.size)
    moved = shapely.hausdorff_distance(shapely.boundary(exact), shapely.boundary(simple))
    assert (moved <= tolerance + 1e-9).all()


def test_parcels_get_far_fewer_vertices_and_keep_their_areas():
    raster = parcel_labels((400, 400), count=60, seed=1)
    _, exact = polygons_of(raster)
    _, simple = polygons_of(raster, 128, 1)
    assert shapely.coverage_is_valid(simple)
    assert shapely.get_num_coordinates(simple).sum() < 0.2 * shapely.get_num_coordinates(exact).sum()
    assert (np.abs(shapely.area(simple) / shapely.area(exact) - 1) < 0.05).all()
    assert shapely.union_all(simple).equals(shapely.box(0, 0, 400, 400))


def test_small_objects_never_vanish():
    raster = np.zeros((60, 60), np.int32)
    raster[::6, ::6] = np.arange(1, 101).reshape(10, 10)
    raster[3, 1:50] = 101  # one pixel wide
    ids, simple = polygons_of(raster, 16, 5)
    assert len(ids) == 101
    assert (shapely.area(simple) >= 0.75 * np.bincount(raster.ravel())[1:]).all()


def test_holes_stay_and_islands_fill_them():
    raster = np.ones((30, 30), np.int32)
    raster[5:15, 5:15], raster[8:12, 8:12], raster[20:25, 20:25] = 2, 3, 0
    for tolerance in (0, 1):
        _, (sea, island, lake) = polygons_of(raster, 7, tolerance)
        assert [len(shape.geoms[0].interiors) for shape in (sea, island, lake)] == [2, 1, 0]


def test_labels_beyond_the_precision_of_float32_survive():
    raster = np.array([[2**24 + 1, 2**24], [2**31 - 1, 0]], np.int32)
    assert polygons_of(raster)[0].tolist() == [2**24, 2**24 + 1, 2**31 - 1]


def test_objects_are_yielded_as_soon_as_they_are_complete():
    raster = np.zeros((40, 10), np.int32)
    raster[0:3], raster[4:30, :5], raster[12:14, 7:] = 1, 2, 3
    batches = polygonize(strips(raster, 10), stops=np.array([3, 30, 14]))
    assert [ids.tolist() for ids, _ in batches] == [[1], [3], [2]]


def test_nothing_gives_nothing():
    assert list(polygonize([])) == []
    assert list(polygonize(strips(np.zeros((9, 9), np.int32), 2), tolerance_px=1)) == []


@pytest.mark.parametrize("tolerance", [-1, np.nan, np.inf])
def test_a_tolerance_that_is_no_distance_is_refused(tolerance):
    with pytest.raises(OptionError, match="tolerance"):
        polygons_of(np.ones((4, 4), np.int32), tolerance_px=tolerance)


def test_windows_to_polygons_the_way_a_scene_goes():
    truth = blob_labels((200, 260), count=20, seed=5)
    plan = WindowPlan(truth.shape, size=64, overlap=16)

    def load(index):
        window = plan[index].window
        rows, cols = window.toslices()
        names, local = np.unique(truth[rows, cols], return_inverse=True)
        if names[0] != 0:
            local = local + 1
            names = np.concatenate([[0], names])
        scores = np.ones(len(names) - 1, np.float32)
        part = local.reshape(window.height, window.width).astype(np.int32)
        return WindowInstances(index, part, scores, scores, scores < 0)

    objects = stitch(plan, load)
    results = []
    for rows in (16, 100):
        batches = list(polygonize(assemble(plan, objects, load, rows=rows), stops=objects.stops))
        ids, shapes_px = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        order = np.argsort(ids)
        results.append(shapely.to_wkb(shapes_px[order]).tolist())
        assert ids[order].tolist() == list(range(1, truth.max() + 1))
    expected = shapely.to_wkb(polygons_of(truth)[1]).tolist()
    assert results[0] == results[1]
    assert sorted(results[0]) == sorted(expected)


def mask_set(crops, boxes):
    n = len(crops)
    scores = np.ones(n, np.float32)
    boxes = np.array(boxes, np.int32).reshape(-1, 4)
    return MaskSet(Window(100, 50, 64, 64), (64, 64), boxes, tuple(crops), scores, scores, np.arange(n), scores < 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12))
def test_masks_that_overlap_keep_their_own_polygons(seed, count):
    rng, crops, boxes = np.random.default_rng(seed), [], []
    for _ in range(count):
        h, w = rng.integers(1, 20, 2)
        x, y = rng.integers(0, 64 - w + 1), rng.integers(0, 64 - h + 1)
        crops.append(rng.random((h, w)) < rng.random())
        boxes.append((x, y, x + w, y + h))
    shapes_px = mask_polygons(mask_set(crops, boxes))
    assert len(shapes_px) == count
    for crop, (x0, y0, _, _), shape in zip(crops, boxes, shapes_px, strict=True):
        assert shape.geom_type == "MultiPolygon"
        assert shape.is_valid
        back = np.zeros((64, 64), np.int32)
        if not shape.is_empty:
            there = shapely.transform(shape, lambda points: points - (100, 50))
            back = rasterize([(there, 1)], out_shape=(64, 64), dtype="int32")
        mask = np.zeros((64, 64), np.int32)
        mask[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]] = crop
        np.testing.assert_array_equal(back, mask)


def test_masks_of_a_coarser_level_are_scaled_and_large_sets_need_several_atlases():
    crops = [np.ones((1500, 1500), bool), np.ones((900, 1900), bool), np.ones((3, 3000), bool)]
    boxes = [(0, 0, 1500, 1500), (5, 6, 1905, 906), (0, 1, 3000, 4)]
    masks = MaskSet(
        Window(10, 20, 3000, 3000),
        (3000, 3000),
        np.array(boxes, np.int32),
        tuple(crops),
        *[np.ones(3, np.float32)] * 2,
        np.arange(3),
        np.zeros(3, bool),
    )
    shapes_px = mask_polygons(masks, scale=(2, 4))
    assert shapely.bounds(shapes_px).tolist() == [
        [2 * (x0 + 10), 4 * (y0 + 20), 2 * (x1 + 10), 4 * (y1 + 20)] for x0, y0, x1, y1 in boxes
    ]


def test_simplifying_one_by_one_keeps_every_object():
    thin = shapely.MultiPolygon([shapely.segmentize(shapely.box(0, 0, 40, 1), 1)])
    stairs = polygons_of(np.tril(np.ones((30, 30), np.int32)))[1][0]
    simple = simplify_each(np.array([thin, stairs]), 2)
    assert (shapely.area(simple) > 0.75 * shapely.area([thin, stairs])).all()
    assert shapely.get_num_coordinates(simple[1]) < 10
    crops = [np.tril(np.ones((30, 30), bool))]
    (alone,) = mask_polygons(mask_set(crops, [(0, 0, 30, 30)]), tolerance_px=1)
    assert alone.geom_type == "MultiPolygon"
    assert shapely.get_num_coordinates(alone) < 10
