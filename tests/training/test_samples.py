"""Samples obey the laws of prompts: clicks lie inside, boxes contain, targets are areas; corrections fall on errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.training.config import read_config
from geosam.training.corrections import draw_corrections
from geosam.training.samples import (
    box_of,
    cover,
    degrade,
    draw_click,
    draw_sample,
    draw_window_around,
    jitter_boxes,
    resize_labels,
    turn,
)

OPTIONS = replace(read_config().data, prompts=5, background=0.0, parts=0.0, minimum_px=30)


def labelled(seed: int, side: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A picture with three coloured blobs and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    for number in (1, 2, 3):
        y, x = rng.integers(0, side - 50, 2)
        h, w = rng.integers(14, 50, 2)
        labels[y : y + h, x : x + w] = number
    colours = rng.integers(0, 255, (4, 3)).astype(np.uint8)
    return np.moveaxis(colours[labels], -1, 0).copy(), labels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_clicks_lie_inside_and_boxes_contain(seed):
    pixels, labels = labelled(seed)
    sample = draw_sample(np.random.default_rng(seed), pixels, labels, parts=None, side=64, options=OPTIONS)
    if sample is None:  # the crop shows no object large enough
        return
    for target, box, click in zip(sample.targets, sample.boxes, sample.clicks, strict=True):
        rows, columns = np.nonzero(target)
        assert box[0] <= 4 * columns.min() + 4
        assert box[2] >= 4 * columns.max()
        assert box[1] <= 4 * rows.min() + 4
        assert box[3] >= 4 * rows.max()
        x, y = click
        assert box[0] <= x <= box[2]
        assert box[1] <= y <= box[3]
        assert target[int(y) // 4, int(x) // 4] > 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_click_is_inside_its_mask(seed):
    _, labels = labelled(seed)
    mask = labels == labels.max()
    x, y = draw_click(np.random.default_rng(seed), mask)
    assert mask[int(y), int(x)]


def test_targets_are_areas():
    mask = np.zeros((8, 8), bool)
    mask[:4, :2] = True
    assert cover(mask).tolist() == [[128, 0], [0, 0]]


def test_a_box_fits_tightly():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 3:8] = True
    assert box_of(mask).tolist() == [3, 2, 8, 4]


@given(seed=st.integers(0, 1000))
def test_jittered_boxes_stay_boxes_in_the_image(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (20, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 14, (20, 2))], 1).astype(np.float32)
    moved = jitter_boxes(rng, boxes, 64)
    assert (moved >= 0).all()
    assert (moved <= 64).all()
    assert (moved[:, 2:] > moved[:, :2]).all()
    assert np.abs(moved - boxes).max() <= 20


def test_turning_keeps_pixels_and_labels_together():
    _, labels = labelled(3)
    pixels = np.repeat(labels[None], 3, 0).astype(np.uint8)
    for seed in range(8):
        image, (turned,) = turn(np.random.default_rng(seed), pixels, [labels])
        assert (image[0] == turned).all()


def test_resized_labels_invent_no_label():
    _, labels = labelled(5)
    assert set(np.unique(resize_labels(labels, (64, 64)))) <= set(np.unique(labels))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), least=st.sampled_from([10.0, 24.0, 40.0]))
def test_a_centred_crop_shows_one_object_whole_at_a_length_in_the_range(seed, least):
    _, labels = labelled(seed)
    options = replace(OPTIONS, object_px=(least, 1.5 * least))
    rows, cols = draw_window_around(np.random.default_rng(seed), labels, side=64, options=options)
    extent = rows.stop - rows.start
    assert extent == cols.stop - cols.start
    assert min(rows.start, cols.start) >= 0
    assert max(rows.stop, cols.stop) <= labels.shape[0]
    whole = []
    for label in np.unique(labels[labels > 0]):
        x0, y0, x1, y1 = box_of(labels == label)
        if rows.start <= y0 and y1 <= rows.stop and cols.start <= x0 and x1 <= cols.stop:
            whole.append(max(x1 - x0, y1 - y0) * 64 / extent)
    at_limit = extent in (48, labels.shape[0])  # the picture is no larger, or the crop no smaller
    assert any(0.9 * least <= length <= 1.65 * least for length in whole) or (at_limit and whole)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_degraded_picture_shows_the_same_in_less_detail(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (3, 64, 64), np.uint8)
    grey = np.repeat(noise[:1], 3, 0)
    worse = degrade(np.random.default_rng(seed), grey)
    assert worse.shape == grey.shape
    assert worse.dtype == np.uint8
    assert not np.array_equal(worse, grey)
    assert np.corrcoef(worse[0].ravel(), grey[0].ravel())[0, 1] > 0.2
    assert abs(worse.mean() - grey.mean()) < 4
    assert np.array_equal(worse, degrade(np.random.default_rng(seed), grey))


def test_a_degraded_sample_asks_for_the_same():
    pixels, labels = labelled(1)
    given = {"parts": None, "side": 64}
    never, always = (
        draw_sample(np.random.default_rng(4), pixels, labels, **given, options=replace(OPTIONS, degraded=share))
        for share in (0.0, 1.0)
    )
    assert not np.array_equal(never.pixels, always.pixels)
    assert np.array_equal(never.targets, always.targets)


def test_the_same_seed_gives_the_same_sample():
    pixels, labels = labelled(1)
    one, two = (
        draw_sample(np.random.default_rng(4), pixels, labels, parts=None, side=64, options=OPTIONS) for _ in range(2)
    )
    assert one is not None
    assert two is not None
    assert (one.pixels == two.pixels).all()
    assert (one.prompts == two.prompts).all()


def test_a_picture_without_objects_gives_no_sample():
    empty = np.zeros((96, 96), np.int32)
    pixels = np.zeros((3, 96, 96), np.uint8)
    assert draw_sample(np.random.default_rng(0), pixels, empty, parts=None, side=64, options=OPTIONS) is None


@pytest.mark.parametrize("seed", range(5))
def test_corrections_fall_on_errors_and_are_labelled_by_the_truth(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(6, 16, 16, generator=generator) > 0.5).float()
    truth[:, 4:12, 4:12] = 1
    logits = torch.where(torch.rand(6, 16, 16, generator=generator) > 0.2, truth * 2 - 1, 1 - truth * 2)
    points, labels = draw_corrections(logits, truth, generator, stride=4)
    cells = (points / 4).long()
    for mask, wanted, (x, y), label in zip(logits > 0, truth > 0.5, cells, labels, strict=True):
        assert mask[y, x] != wanted[y, x]
        assert bool(wanted[y, x]) == bool(label)


def test_a_right_answer_is_confirmed_by_a_click_on_the_object():
    truth = torch.zeros(3, 16, 16)
    truth[:, 2:9, 3:8] = 1
    points, labels = draw_corrections(truth * 20 - 10, truth, torch.Generator().manual_seed(0), stride=4)
    assert labels.tolist() == [1, 1, 1]
    cells = (points / 4).long()
    assert all(truth[i, y, x] for i, (x, y) in enumerate(cells))
