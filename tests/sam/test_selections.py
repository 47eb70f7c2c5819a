"""None, one, some and all of anything: whatever number of masks passes, as many are looked at."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

import geosam
from geosam.errors import ModelError
from geosam.models import to_predictor
from geosam.sam.model import Predictor
from geosam.segmenter import PromptBatch
from geosam.segmenter.prompts import check_pixels, check_prompts


@pytest.fixture(scope="module")
def near(small) -> Predictor:
    """A network that answers clicks in their surroundings."""
    sam = copy.copy(small)
    sam.spec = replace(small.spec, focus_px=(32, 64))
    return to_predictor(sam, "near-000000000000")


@settings(max_examples=8)
@given(st.integers(1, 96), st.integers(1, 300), st.integers(1, 6), st.booleans(), st.integers(0, 9))
def test_as_many_masks_are_looked_at_as_pass(near, h, w, count, local, seed):
    rng = np.random.default_rng(seed)
    arrays = near.encode(rng.integers(0, 255, (3, h, w)).astype(np.uint8))
    points = (rng.uniform(0, 1, (count, 1, 2)) * [w, h]).astype(np.float32)
    asked = {"points": points, "labels": np.ones((count, 1), np.int64)}
    flags = np.full(count, local)
    every = near.decode_filtered(arrays, PromptBatch(**asked), lambda *seen: seen[:3], least_iou=-1e9, rois=flags)
    scores = sorted((score for *_, score in every), reverse=True)
    if not local:
        assert len(every) == 3 * count
    bounds = [2e9, *(float(np.mean(pair)) for pair in itertools.pairwise(scores[:4])), -1e9]  # none, 1, 2, 3, all
    for least in bounds:
        seen = near.decode_filtered(arrays, PromptBatch(**asked), lambda *seen: seen, least_iou=least, rois=flags)
        assert len(seen) == sum(score >= least for score in scores)
        assert [each[:2] for each in seen] == [each[:2] for each in every if each[2] >= least]
        assert all(each[3].shape == near.logits_shape((h, w)) for each in seen)


@pytest.fixture(scope="module")
def nano():
    return geosam.load_model("nano")


@settings(max_examples=6)
@given(
    st.integers(1, 40),
    st.one_of(st.integers(1, 40), st.integers(100, 600)),
    st.booleans(),
    st.sampled_from([0, 0.3, 0.5, 0.85, 0.96, 1]),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([16, 64, 5000]),
)
def test_every_size_and_threshold_gives_a_layer(nano, tmp_path_factory, h, w, turned, quality, stability, spacing):
    """What broke was one good mask in a group; also a scene of one pixel, and a grid coarser than it, have a layer."""
    shape = (w, h) if turned else (h, w)
    path = tmp_path_factory.mktemp("scene") / "a.tif"
    pixels = np.random.default_rng(h * w).integers(0, 255, (3, *shape)).astype(np.uint8)
    place = {"crs": "EPSG:32633", "transform": from_origin(5e5, 5e6, 0.5, 0.5)}
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="uint8", **place
    ) as file:
        file.write(pixels)
    thresholds = {"pred_iou_threshold": quality, "stability_threshold": stability}
    found = geosam.segment(path, model=nano, store=None, spacing_px=spacing, **thresholds)
    assert found.is_valid.all()
    assert found.predicted_iou.between(0, 1).all()
    assert found.area_m2.sum() <= h * w * 0.25 * 1.01


WRONG_PIXELS = [
    np.zeros((3, 4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), [[[0]]],
    np.zeros((3, 0, 4), np.uint8), np.zeros((1, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint16), None,
]  # fmt: skip


@pytest.mark.parametrize("pixels", WRONG_PIXELS)
def test_pixels_that_could_mean_something_else_are_refused(pixels):
    with pytest.raises(ModelError, match=r"pixels: .*expected uint8 of shape \(3, h, w\)"):
        check_pixels(pixels)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points", np.zeros((2, 2), np.float32)),
        ("points", np.full((2, 1, 2), np.nan, np.float32)),
        ("points", [[[0, 0]]]),
        ("points", np.zeros((2, 1, 3), np.float32)),
        ("labels", np.ones((2, 2), np.int64)),
        ("labels", np.ones((2, 1), np.float32)),
        ("labels", np.full((2, 1), 2)),
        ("boxes", np.zeros((1, 4), np.float32)),
        ("boxes", np.array([[0, 0, np.inf, 1]] * 2)),
        ("mask_logits", np.zeros((2, 4), np.float32)),
        ("mask_logits", np.zeros((2, 0, 4), np.float32)),
    ],
)
def test_prompts_that_do_not_fit_are_named(name, value):
    sound = {"points": np.zeros((2, 1, 2), np.float32), "labels": np.ones((2, 1), np.int64)}
    asked = {"boxes": None, "mask_logits": None, **sound, name: value}
    with pytest.raises(ModelError, match=f"^{name}: "):
        check_prompts(asked["points"], asked["labels"], asked["boxes"], asked["mask_logits"])


def test_no_prompts_at_all_have_no_masks(near):
    arrays = near.encode(np.zeros((3, 20, 30), np.uint8))
    logits, iou = near.decode(
        arrays, PromptBatch(points=np.zeros((0, 1, 2), np.float32), labels=np.zeros((0, 1), np.int64))
    )
    assert logits.shape == (0, 3, *near.logits_shape((20, 30)))
    assert iou.shape == (0, 3)
