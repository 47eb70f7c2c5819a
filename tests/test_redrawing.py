"""Segments drawn again by masks: laws of a block, and of a scene from the raster to the polygons."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from scipy import ndimage

import geosam
from geosam.embeddings import embed
from geosam.masks import segment_boxes, segment_prompts
from geosam.pipeline import redraw
from geosam.prompts import Prompt, WindowPrompts
from geosam.regions.redrawing import Redrawn, redraw_block
from geosam.scene import open_scene
from geosam.testing import TruthNetwork, blob_labels, label_scene

SHAPE = (170, 230)
NETWORK = TruthNetwork(side=128)


def block(seed, shape=(48, 60)):
    """Segments of a block, some of it without data, and masks near some of them."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros(shape, np.int32)
    places = rng.choice(shape[0] * shape[1], 14, replace=False)
    seeds.ravel()[places] = np.arange(1, 15)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    labels = seeds[tuple(nearest)]
    labels[:6, :9] = 0
    labels = np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.int32)
    masks = []
    for number in rng.choice(np.unique(labels[labels > 0]), 5, replace=False).tolist():
        (rows, cols), grown = ndimage.find_objects(labels)[number - 1], int(rng.integers(0, 4))
        y0, x0 = max(rows.start - grown, 0), max(cols.start - grown, 0)
        y1, x1 = min(rows.stop + grown, shape[0]), min(cols.stop + grown, shape[1])
        masks.append(Redrawn(number, (x0, y0, x1, y1), rng.random((y1 - y0, x1 - x0)) < rng.choice([0.5, 0.95, 1])))
    return labels, masks


@given(st.integers(0, 500))
@settings(max_examples=25)
def test_redrawn_segments_share_the_same_ground_in_one_piece_each(seed):
    labels, masks = block(seed)
    count = int(labels.max())
    found, pieces = redraw_block(labels, masks, least_px=5, first=count + 1)
    assert np.array_equal(found > 0, labels > 0)
    assert set(np.unique(found)) <= set(range(count + len(pieces) + 1))
    assert set(range(count + 1, count + len(pieces) + 1)) <= set(np.unique(found))
    inner = np.zeros(found.shape, bool)
    inner[1:-1, 1:-1] = True
    for number in np.unique(found[found > 0]).tolist():
        parts, many = ndimage.label(found == number)
        sizes = np.bincount(parts.ravel())[1:]
        at_edge = np.unique(parts[~inner & (parts > 0)])
        assert many - len(at_edge) <= 1
        assert all(size >= 5 or part in at_edge for part, size in enumerate(sizes, 1))


def test_the_best_mask_comes_last_and_what_it_leaves_is_a_segment():
    labels = np.repeat(np.array([[1, 2, 3]], np.int32), 6, axis=1).repeat(6, axis=0)
    low = Redrawn(1, (0, 0, 8, 6), np.ones((6, 8), bool))
    best = Redrawn(2, (7, 0, 11, 6), np.ones((6, 4), bool))
    found, pieces = redraw_block(labels, [low, best], least_px=6, first=4)
    assert found[0].tolist() == [1] * 7 + [2] * 4 + [4] + [3] * 6
    assert pieces.tolist() == [2]


def test_without_masks_nothing_changes():
    labels, _ = block(1)
    found, pieces = redraw_block(labels, [], least_px=5, first=99)
    assert found is labels
    assert not len(pieces)


@pytest.fixture(scope="module")
def truth():
    return blob_labels(SHAPE, count=14, large=1)


@pytest.fixture(scope="module")
def scene(tmp_path_factory, truth):
    return label_scene(tmp_path_factory.mktemp("redrawing") / "scene.tif", truth)


@pytest.fixture(scope="module")
def found(scene):
    return geosam.segment(scene, model=NETWORK, coverage=True, speed="best")


def test_a_redrawn_coverage_shares_all_ground(scene, found):
    shapes = found.geometry.to_numpy()
    assert shapely.coverage_is_valid(shapes)
    fast = geosam.segment(scene, model=NETWORK, coverage=True)
    assert shapely.union_all(shapes).symmetric_difference(shapely.union_all(fast.geometry.to_numpy())).area < 1e-6
    assert sorted(found.object_id) == list(range(1, len(found) + 1))


def test_an_interrupted_run_gives_the_same_however_strips_are_cut(scene, found, tmp_path, monkeypatch):
    again, calls = redraw.ask, []

    def failing(*arguments, **more):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return again(*arguments, **more)

    how = {"model": NETWORK, "coverage": True, "speed": "best"}
    monkeypatch.setattr("geosam.pipeline.redraw.ask", failing)
    with pytest.raises(KeyboardInterrupt):
        geosam.segment_to_file(scene, tmp_path / "out.gpkg", **how)
    monkeypatch.setattr("geosam.regions.coverage.STRIP_PX", 1000)
    geosam.segment_to_file(scene, tmp_path / "out.gpkg", **how)
    written = geopandas.read_file(tmp_path / "out.gpkg", layer="out").sort_values("object_id")
    whole = found.sort_values("object_id")
    assert written.geometry.to_wkb().tolist() == whole.geometry.to_wkb().tolist()
    assert written.predicted_iou.tolist() == whole.predicted_iou.tolist()


def test_redrawn_levels_are_nested(scene):
    found = geosam.segment(scene, model=NETWORK, coverage=True, speed="best", hierarchy=True)
    for level in (1, 2):
        rows = found[found.level == level]
        above = found.set_index("object_id").geometry[rows.parent_id.astype(int)].to_numpy()
        assert shapely.coverage_is_valid(rows.geometry.to_numpy())
        assert shapely.area(shapely.difference(rows.geometry.to_numpy(), above)).max() < 1e-6


def test_many_boxes_together_are_answered_as_each_alone(scene, truth):
    opened = open_scene(scene)
    chip = opened.read(Window(0, 0, 128, 128))
    embedding = embed(chip, NETWORK)
    objects = ndimage.find_objects(truth[:128, :128])
    boxes = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in objects if s]
    prompts = [Prompt(row, row, box_px=np.array(box, np.float64)) for row, box in enumerate(boxes)]
    shape = NETWORK.logits_shape(embedding.shape)
    (group,) = WindowPrompts.for_window(prompts, chip.window, logits_shape=shape)
    together, alone = (ask(embedding, NETWORK, group, chip.valid) for ask in (segment_boxes, segment_prompts))
    assert together.prompt_ids.tolist() == alone.prompt_ids.tolist()
    assert np.array_equal(together.boxes, alone.boxes)
    assert all(np.array_equal(one, other) for one, other in zip(together.crops, alone.crops, strict=True))
