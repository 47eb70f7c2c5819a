"""Stitching: a perfect decoder gives back the truth, whatever the windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window
from scipy import ndimage

from geosam.errors import OptionError
from geosam.instances import (
    InstanceSet,
    WindowInstances,
    assemble,
    assemble_core,
    count_pixels,
    flatten,
    stitch,
    strip_rows,
)
from geosam.masks import MaskSet
from geosam.testing import blob_labels, parcel_labels
from geosam.windows import WindowPlan


def cut_windows(truth, plan, *, seed=0):
    """What a perfect decoder sees in each window, its local labels in a random order; None where it sees nothing."""
    rng, seen = np.random.default_rng(seed), {}
    for index in rng.permutation(len(plan)).tolist():
        window = plan[index].window
        part = truth[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]
        names = rng.permutation(np.setdiff1d(part, [0]))
        seen[index] = see(index, part, names) if len(names) else None
    return seen


def see(index, part, names):
    labels = np.zeros(part.shape, np.int32)
    for local, name in enumerate(names.tolist(), start=1):
        labels[part == name] = local
    scores = np.full(len(names), 0.75, np.float32)
    return WindowInstances(index, labels, scores, scores, np.zeros(len(names), bool))


def whole(plan, objects, load, rows=None):
    return np.concatenate([labels for _, labels in assemble(plan, objects, load, rows=rows)])


def canonical(truth):
    """The truth with its objects numbered by their first pixel."""
    names, first = np.unique(truth, return_index=True)
    names, first = names[names > 0], first[names > 0]
    lookup = np.zeros(truth.max() + 1, np.int32)
    lookup[names[np.argsort(first)]] = np.arange(1, len(names) + 1)
    return lookup[truth]


scenes = st.builds(
    lambda maker, h, w, count, seed: maker((h, w), count=count, seed=seed),
    st.sampled_from([blob_labels, parcel_labels]),
    st.integers(20, 90),
    st.integers(20, 90),
    st.integers(2, 25),
    st.integers(0, 10**6),
)
sizes = st.integers(12, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size * 2 // 3)))


@settings(max_examples=40, deadline=None)
@given(scenes, sizes, st.integers(1, 100), st.integers(0, 99))
def test_a_perfect_decoder_gives_back_the_truth_through_any_windows(truth, size, rows, seed):
    plan = WindowPlan(truth.shape, size=size[0], overlap=size[1])
    seen = cut_windows(truth, plan, seed=seed)
    objects = stitch(plan, seen.get)
    np.testing.assert_array_equal(whole(plan, objects, seen.get, rows), canonical(truth))
    assert len(objects) == len(np.setdiff1d(truth, [0]))
    np.testing.assert_array_equal(count_pixels(plan, objects, seen.get), np.bincount(canonical(truth).ravel())[1:])
    np.testing.assert_array_equal(objects.predicted_iou, np.float32(0.75))


@settings(max_examples=12, deadline=None)
@given(scenes, sizes)
def test_the_set_tells_in_how_many_windows_an_object_was_seen_and_where_it_stops(truth, size):
    plan = WindowPlan(truth.shape, size=size[0], overlap=size[1])
    seen = cut_windows(truth, plan)
    objects, named = stitch(plan, seen.get), canonical(truth)
    for number in range(1, len(objects) + 1):
        rows, cols = np.nonzero(named == number)
        count = sum(
            bool(
                (
                    (rows >= p.window.row_off)
                    & (rows < p.window.row_off + p.window.height)
                    & (cols >= p.window.col_off)
                    & (cols < p.window.col_off + p.window.width)
                ).any()
            )
            for p in plan
        )
        assert objects.n_windows[number - 1] == count
        assert objects.stops[number - 1] == rows.max() + 1


def test_objects_larger_than_a_window_join_and_touching_ones_stay_apart():
    truth = np.repeat(np.arange(1, 5, dtype=np.int32), 16)[:, None] * np.ones((1, 300), np.int32)
    plan = WindowPlan(truth.shape, size=40, overlap=8)
    seen = cut_windows(truth, plan)
    objects = stitch(plan, seen.get)
    np.testing.assert_array_equal(whole(plan, objects, seen.get), truth)


def test_noisy_masks_neither_split_nor_merge():
    truth = parcel_labels((512, 512), count=40, seed=3)
    plan = WindowPlan(truth.shape, size=200, overlap=64)
    seen = {p.index: see_noisily(truth, p, np.random.default_rng(p.index)) for p in plan}
    found = whole(plan, stitch(plan, seen.get), seen.get)
    large = [k for k in range(1, truth.max() + 1) if (truth == k).sum() > 400]
    owner = {k: np.bincount(found[truth == k]).argmax() for k in large}
    share = [(found[truth == k] == owner[k]).mean() for k in large]
    assert min(share) > 0.8
    assert len(set(owner.values())) == len(large)


def see_noisily(truth, planned, rng):
    """A window's truth with every border displaced by a smooth noise of its own, a few pixels at most."""
    w = planned.window
    noise = [3 * ndimage.gaussian_filter(rng.standard_normal((w.height, w.width)), 4) * 8 for _ in range(2)]
    rows, cols = np.mgrid[: w.height, : w.width] + np.clip(noise, -3, 3)
    rows = np.clip(np.rint(rows), 0, w.height - 1).astype(int) + w.row_off
    cols = np.clip(np.rint(cols), 0, w.width - 1).astype(int) + w.col_off
    part = truth[rows, cols]
    return see(planned.index, part, np.unique(part))


LEAST = 12
"""Outline along a core's border, in px, that may be there by chance."""


def see_unalike(truth, planned, seed):
    """A window's truth as a real network tells it: borders displaced, some objects missed, some told in two parts."""
    rng = np.random.default_rng([seed, planned.index])
    seen = see_noisily(truth, planned, rng)
    labels, count = seen.labels.copy(), len(seen)
    for label in range(1, count + 1):
        rows, cols = np.nonzero(labels == label)
        if len(rows) and rng.random() < 0.25:
            angle = rng.uniform(0.2, np.pi - 0.2)  # a cut along no window's edge
            beyond = (rows - rows.mean()) * np.cos(angle) + (cols - cols.mean()) * np.sin(angle + 0.7) > 0
            labels[rows[beyond], cols[beyond]] = count + label if rng.random() < 0.7 else 0
    names = np.setdiff1d(labels, [0])
    return see(planned.index, labels, names)


def straight_px(labels, x):
    """Pixels of outline along the line left of column x, in runs that are longer than chance makes them."""
    changes = np.concatenate([[0], labels[:, x - 1] != labels[:, x], [0]]).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(changes) == 1), np.flatnonzero(np.diff(changes) == -1)
    lengths = ends - begins
    return int(lengths[lengths > LEAST].sum())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([24, 40, 64]))
def test_no_outline_follows_a_core_whatever_the_windows_disagree_on(seed, overlap):
    truth = parcel_labels((240, 320), count=30, seed=seed)
    plan = WindowPlan(truth.shape, size=128, overlap=overlap)
    seen = {planned.index: see_unalike(truth, planned, seed) for planned in plan}
    found = whole(plan, stitch(plan, seen.get), seen.get)
    cores = {planned.core.col_off for planned in plan} - {0}
    rows = {planned.core.row_off for planned in plan} - {0}
    along = sum(straight_px(found, x) for x in cores) + sum(straight_px(found.T, y) for y in rows)
    assert along <= 0.05 * (len(cores) * truth.shape[0] + len(rows) * truth.shape[1])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([24, 40, 64]))
def test_a_whole_instance_is_painted_whole_but_for_what_better_ones_hold(seed, overlap):
    truth = blob_labels((200, 260), count=30, seed=seed)
    plan = WindowPlan(truth.shape, size=112, overlap=overlap)
    seen = {planned.index: see_unalike(truth, planned, seed) for planned in plan}
    objects = stitch(plan, seen.get)
    found = whole(plan, objects, seen.get)
    best = np.zeros(truth.shape, np.int32)
    for planned in plan:
        rows, cols = planned.window.toslices()
        np.maximum(
            best[rows, cols], objects.rank_lookup(planned.index)[seen[planned.index].labels], out=best[rows, cols]
        )
    np.testing.assert_array_equal(found, objects.ids_by_rank()[best])
    alone = [
        (planned, label)
        for planned in plan
        for label in range(1, len(seen[planned.index]) + 1)
        if is_home_alone(plan, planned, seen, label)
    ]
    for planned, label in alone:
        name = objects.lookup(planned.index)[label]
        mine = np.zeros(truth.shape, bool)
        mine[planned.window.toslices()] = seen[planned.index].labels == label
        assert name > 0
        np.testing.assert_array_equal(found == name, mine)


def is_home_alone(plan, planned, seen, label):
    """Whether an instance lies where its window alone looks: whatever the others say, it must come out as it is."""
    mine = np.zeros(plan.shape, bool)
    mine[planned.window.toslices()] = seen[planned.index].labels == label
    return mine.any() and not any(mine[each.window.toslices()].any() for each in plan if each.index != planned.index)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([24, 80]))
def test_strips_cores_and_areas_agree_with_the_whole(seed, rows, overlap):
    truth = parcel_labels((90, 130), count=14, seed=seed)
    plan = WindowPlan(truth.shape, size=96, overlap=overlap)
    seen = {planned.index: see_unalike(truth, planned, seed) for planned in plan}
    objects = stitch(plan, seen.get)
    found = whole(plan, objects, seen.get, rows)
    np.testing.assert_array_equal(found, whole(plan, objects, seen.get))
    for planned in plan:
        core = assemble_core(plan, objects, seen.get, planned.index)
        np.testing.assert_array_equal(core, found[planned.core.toslices()])
    areas = count_pixels(plan, objects, seen.get)
    np.testing.assert_array_equal(areas, np.bincount(found.ravel(), minlength=len(objects) + 1)[1:])
    for number in np.flatnonzero(areas):
        assert np.nonzero(found == number + 1)[0].max() < objects.stops[number]


def rectangles(index, shape, *boxes, score=1.0):
    """What a window sees: rectangles, ``xyxy`` in window px, later ones on top."""
    labels = np.zeros(shape, np.int32)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = number
    scores = np.full(len(boxes), score, np.float32)
    return WindowInstances(index, labels, scores, scores, scores < 0)


def test_a_whole_object_wins_over_one_that_its_window_cuts():
    plan = WindowPlan((20, 36), size=20, overlap=4)  # windows at 0 and 16
    seen = {0: rectangles(0, (20, 20), (2, 2, 19, 18)), 1: rectangles(1, (20, 20), (0, 4, 20, 8))}
    objects = stitch(plan, seen.get)
    found = whole(plan, objects, seen.get)
    expected = np.zeros(plan.shape, np.int32)
    expected[4:8, 16:36], expected[2:18, 2:19] = 2, 1
    np.testing.assert_array_equal(found, expected)


def test_of_two_whole_objects_the_one_at_home_wins_and_the_covered_one_is_dropped():
    plan = WindowPlan((20, 30), size=20, overlap=10)  # windows at 0 and 10, cores meet at 15
    seen = {0: rectangles(0, (20, 20), (11, 2, 18, 12)), 1: rectangles(1, (20, 20), (4, 2, 12, 4), score=0.5)}
    objects = stitch(plan, seen.get)
    found = whole(plan, objects, seen.get)
    assert len(objects) == 2
    assert (found == 2).sum() == 8 * 2  # mostly at home in the right window: in front of the left one's
    seen[0] = rectangles(0, (20, 20), (10, 2, 15, 12))
    seen[1] = rectangles(1, (20, 20), (1, 2, 7, 5))
    objects = stitch(plan, seen.get)
    assert len(objects) == 1  # 12 of its 18 px lie under the left one's
    assert (whole(plan, objects, seen.get) > 0).sum() == 50


def test_within_an_object_the_whole_instance_gives_the_outline():
    plan = WindowPlan((20, 30), size=20, overlap=10)
    seen = {0: rectangles(0, (20, 20), (4, 4, 17, 16)), 1: rectangles(1, (20, 20), (0, 3, 8, 17))}
    objects = stitch(plan, seen.get)
    assert objects.n_windows.tolist() == [2]
    assert (whole(plan, objects, seen.get) > 0).sum() == 13 * 12


def test_exactly_half_is_no_match_so_that_one_cannot_join_two():
    plan = WindowPlan((4, 6), size=4, overlap=2)
    both = np.ones((4, 4), np.int32)
    halves = np.repeat([1, 1, 2, 2], 4).reshape(4, 4).astype(np.int32)
    one, two = np.ones(1, np.float32), np.ones(2, np.float32)
    seen = {
        0: WindowInstances(0, both, one, one, one > 1),
        1: WindowInstances(1, halves, two, two, two > 1),
    }
    assert len(stitch(plan, seen.get)) == 3


def test_a_whole_object_that_its_owner_missed_is_painted_by_its_neighbour_and_a_fragment_is_not():
    truth = np.zeros((20, 40), np.int32)
    truth[5:15, 10:19] = 1  # inside the core of the left window
    cut = WindowPlan(truth.shape, size=24, overlap=8)  # whose neighbour sees three columns of it
    wide = WindowPlan(truth.shape, size=32, overlap=24)  # or all of it
    for plan, expected in ((cut, np.zeros_like(truth)), (wide, truth)):
        seen = cut_windows(truth, plan)
        assert seen[0] is not None
        seen[0] = None
        objects = stitch(plan, seen.get)
        assert len(objects) == expected.max()
        np.testing.assert_array_equal(whole(plan, objects, seen.get), expected)


def test_an_owner_that_saw_something_else_is_not_overpainted_by_a_fragment():
    plan = WindowPlan((10, 16), size=10, overlap=4)
    one = np.ones(1, np.float32)
    full, thin = np.ones((10, 10), np.int32), np.ones((10, 10), np.int32)
    full[:, 9] = 0
    thin[:, 2:] = 0
    seen = {0: WindowInstances(0, full, one, one, one > 1), 1: WindowInstances(1, thin, one, one, one > 1)}
    objects = stitch(plan, seen.get)
    assert set(np.unique(whole(plan, objects, seen.get)[:, :8])) == {1}


def test_scores_are_weighted_by_pixels_and_flags_add_up():
    plan = WindowPlan((4, 6), size=4, overlap=2)
    first, second = np.zeros((4, 4), np.int32), np.zeros((4, 4), np.int32)
    first[0, 1:], second[0, :2] = 1, 1
    scores = [np.array([value], np.float32) for value in (0.5, 1.0)]
    seen = {
        0: WindowInstances(0, first, scores[0], scores[1], np.zeros(1, bool)),
        1: WindowInstances(1, second, scores[1], scores[0], np.ones(1, bool)),
    }
    objects = stitch(plan, seen.get)
    assert objects.predicted_iou.tolist() == pytest.approx([(3 * 0.5 + 2 * 1) / 5])
    assert objects.stability.tolist() == pytest.approx([(3 * 1 + 2 * 0.5) / 5])
    assert objects.touches_nodata.tolist() == [True]
    assert objects.n_windows.tolist() == [2]


def test_objects_that_are_not_kept_leave_their_pixels_empty_and_the_numbers_stay():
    truth = canonical(parcel_labels((60, 70), count=9, seed=2))
    plan = WindowPlan(truth.shape, size=32, overlap=8)
    seen = cut_windows(truth, plan)
    objects = stitch(plan, seen.get)
    kept = np.arange(len(objects)) % 2 == 0
    found = whole(plan, objects.keep(kept), seen.get)
    np.testing.assert_array_equal(found, np.where(truth % 2 == 1, truth, 0))


def test_a_scene_without_objects_gives_an_empty_set_and_empty_strips():
    plan = WindowPlan((30, 40), size=16, overlap=4)
    objects = stitch(plan, lambda _: None)
    assert isinstance(objects, InstanceSet)
    assert len(objects) == 0
    assert not whole(plan, objects, lambda _: None).any()


def test_each_window_is_loaded_once_to_stitch_and_once_to_assemble():
    truth = parcel_labels((100, 90), count=12)
    plan = WindowPlan(truth.shape, size=32, overlap=8)
    seen, loads = cut_windows(truth, plan), []

    def load(index):
        loads.append(index)
        return seen[index]

    objects = stitch(plan, load)
    assert loads == list(range(len(plan)))
    loads.clear()
    whole(plan, objects, load, rows=7)
    assert sorted(loads) == list(range(len(plan)))


def test_strips_hold_a_bounded_number_of_pixels():
    assert all(strip_rows(width) * width <= 2**21 for width in (4096, 16384, 32768, 100_000))
    with pytest.raises(OptionError, match="at least one row"):
        assemble(
            WindowPlan((4, 4), size=4, overlap=1),
            stitch(WindowPlan((4, 4), 4, 1), lambda _: None),
            lambda _: None,
            rows=0,
        )


def mask_set(shape, *boxes, scores=None):
    n = len(boxes)
    scores = np.ones(n, np.float32) if scores is None else np.array(scores, np.float32)
    crops = tuple(np.ones((y1 - y0, x1 - x0), bool) for x0, y0, x1, y1 in boxes)
    boxes = np.array(boxes, np.int32).reshape(-1, 4)
    window = Window(0, 0, shape[1], shape[0])
    return MaskSet(window, shape, boxes, crops, scores, np.ones(n, np.float32), np.arange(n), np.arange(n) == 0)


def test_flatten_puts_small_masks_on_large_ones_and_keeps_the_order():
    flat = flatten(mask_set((8, 8), (2, 2, 4, 4), (0, 0, 8, 8), scores=(0.25, 0.5)), 3)
    assert flat.index == 3
    assert np.bincount(flat.labels.ravel()).tolist() == [0, 4, 60]
    assert flat.predicted_iou.tolist() == [0.25, 0.5]
    assert flat.touches_nodata.tolist() == [True, False]


def test_flatten_drops_a_whole_that_its_parts_have_replaced():
    parts = [(0, 0, 10, 5), (0, 5, 10, 9)]
    flat = flatten(mask_set((10, 10), (0, 0, 10, 9), *parts), 0)
    assert np.bincount(flat.labels.ravel()).tolist() == [10, 50, 40]
    assert len(flatten(mask_set((10, 10), (0, 0, 10, 10), *parts), 0, min_visible=0.5)) == 2
    assert len(flatten(mask_set((10, 10), (0, 0, 10, 10), *parts), 0, min_visible=0)) == 3


def test_of_two_equal_masks_the_better_one_stays():
    flat = flatten(mask_set((4, 4), (0, 0, 2, 2), (0, 0, 2, 2), scores=(0.9, 0.4)), 0)
    assert flat.predicted_iou.tolist() == pytest.approx([0.9])


@pytest.mark.parametrize("count", [0, 3, 300, 70_000])
def test_window_instances_survive_the_journal(count):
    labels = np.arange(count + 1, dtype=np.int32).reshape(1, -1)
    scores = np.linspace(0, 1, count, dtype=np.float32)
    before = WindowInstances(5, labels, scores, 1 - scores, scores > 0.5)
    after = WindowInstances.from_arrays(5, before.to_arrays())
    for name in ("labels", "predicted_iou", "stability", "touches_nodata"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == getattr(before, name).dtype


def test_labels_beyond_the_scores_are_refused():
    with pytest.raises(OptionError, match="labels up to 2"):
        WindowInstances(0, np.full((2, 2), 2, np.int32), *[np.ones(1, np.float32)] * 2, np.zeros(1, bool))
