import tracemalloc
from dataclasses import astuple, dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.windows import Window
from scipy import ndimage

from geosam.arrays import Patch
from geosam.embeddings import Embedding
from geosam.errors import OptionError
from geosam.masks import MaskSet, segment_everything, segment_prompts
from geosam.masks.everything import ROW, grid_points
from geosam.masks.low_res import (
    DIAGONAL,
    LowResMask,
    keep_components,
    render,
    shared_area,
    stability,
    to_low_res,
)
from geosam.masks.suppression import Candidate, suppress, with_consensus, without_overlap
from geosam.nano.recipe import CLICKS, SECOND_PASS
from geosam.prompts import WindowPrompts
from geosam.segmenter import (
    Answers,
    Capabilities,
    Everything,
    PromptBatch,
    Recipe,
    Refined,
    Refinement,
    SecondPass,
    Suppression,
)
from geosam.testing import (
    StubNetwork,
    TruthNetwork,
    WatchedNetwork,
    blob_labels,
    labels_to_pixels,
    parcel_labels,
    pixels_to_labels,
)

REFINES = {"refinement": Refinement(enabled=True)}


def strict(*, again=False, overlap=1.0, consensus=False, refines=False, **changes):
    """Thresholds as published, wholes beside parts; with changes."""
    published = {"pred_iou_threshold": 0.88, "stability_threshold": 0.95, "passes": 1, "connected": False}
    return Recipe(
        everything=Everything(**{**published, **changes}),
        suppression=Suppression(overlap=overlap, consensus=consensus),
        second_pass=SecondPass(everything=again),
        refinement=Refinement(enabled=refines),
    )


LAX = {"spacing_px": 8, "pred_iou_threshold": 0.5, "stability_threshold": 0.5}
ALL = strict(**LAX)
TRUTH = TruthNetwork()
EVERYWHERE = np.ones((64, 80), bool)


def embedding_of(labels, network, at=(0, 0)):
    h, w = labels.shape
    return Embedding(network.encode(labels_to_pixels(labels)), Window(*at, w, h))


def everything(labels, options=ALL, network=TRUTH, valid=None, at=(0, 0)):
    valid = np.ones(labels.shape, bool) if valid is None else valid
    return segment_everything(embedding_of(labels, network, at), network, valid, options)


def prompted(labels, prompts, network=TRUTH, valid=None, refine=0):
    valid = np.ones(labels.shape, bool) if valid is None else valid
    return segment_prompts(embedding_of(labels, network), network, prompts, valid, refine=refine)


def paint(masks, position):
    """One mask of a set, on the whole window."""
    whole = np.zeros(masks.shape, bool)
    x0, y0, x1, y1 = masks.boxes[position]
    whole[y0:y1, x0:x1] = masks.crops[position]
    return whole


def equal(one, other):
    ours, theirs = one.to_arrays(), other.to_arrays()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def clicks(*points, labels=None, rows=None):
    points = np.array(points, np.float32).reshape(len(points), -1, 2)
    labels = np.ones(points.shape[:2], np.int64) if labels is None else np.array(labels, np.int64)
    return WindowPrompts(np.arange(len(points)) if rows is None else np.array(rows), PromptBatch(points, labels))


grids = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(-8192, 8192).map(lambda v: v / 1024),
)
factors = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 3), st.integers(0, 3))
truths = st.builds(
    lambda kind, seed, count: kind((64, 80), seed=seed, count=count),
    st.sampled_from([blob_labels, parcel_labels]),
    st.integers(0, 10_000),
    st.integers(1, 30),
)


class TestIslands:
    @given(grids, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.sampled_from([1, 1, 0, -1])), max_size=4))
    @settings(deadline=None, max_examples=200)
    def test_exactly_the_islands_of_the_inside_points_stay(self, logits, clicked):
        h, w = 4 * logits.shape[0], 4 * logits.shape[1]
        points = np.array([(x * (w - 0.01), y * (h - 0.01)) for x, y, _ in clicked], np.float32).reshape(-1, 2)
        labels = np.array([label for *_, label in clicked], np.int64)
        kept = keep_components(logits, (h, w), points, labels)
        before, count = ndimage.label(logits > 0, DIAGONAL)
        stays = set(np.unique(before[kept > 0]).tolist())
        asked = {
            int(before[int(y) // 4, int(x) // 4]) for (x, y), label in zip(points, labels, strict=True) if label == 1
        }
        assert (abs(kept) == abs(logits)).all()
        assert not ((kept > 0) & (logits <= 0)).any()
        assert asked - {0} <= stays
        assert (0 in asked) or stays == asked or not asked or not count
        assert len(stays) <= (labels == 1).sum() or stays == set(range(1, count + 1))
        assert (len(stays) > 0) == (count > 0)

    def test_an_inside_point_beside_all_islands_keeps_the_nearest(self):
        logits = np.array([[1, -1, -1, -1, 1]], np.float32)
        kept = keep_components(logits, (4, 20), np.array([[13.0, 2.0]], np.float32), np.array([1]))
        assert (kept > 0).tolist() == [[False, False, False, False, True]]

    def test_a_click_is_answered_by_one_connected_object_and_a_box_by_all_of_it(self):
        labels = np.zeros((64, 80), np.int32)
        labels[8:24, 8:24] = labels[40:56, 48:72] = 1  # two roofs that the network takes for one thing
        one = prompted(labels, clicks((12, 12)))
        assert paint(one, 0).sum() == 16 * 16
        assert paint(prompted(labels, clicks([(12, 12), (60, 50)])), 0).sum() == 16 * 16 + 16 * 24
        boxed = WindowPrompts(np.array([0]), PromptBatch.of_boxes(np.array([[8, 8, 72, 56]], np.float32)))
        assert paint(prompted(labels, boxed), 0).sum() == 16 * 16 + 16 * 24


class TestSketch:
    @given(grids, factors)
    @settings(deadline=None, max_examples=150)
    def test_render_gives_exactly_what_interpolating_everything_gives(self, logits, factors):
        shape = (logits.shape[0] * factors[0] + factors[2], logits.shape[1] * factors[1] + factors[3])
        box, crop = render(to_low_res(logits), shape)
        drawn = np.zeros(shape, bool)
        drawn[box[1] : box[3], box[0] : box[2]] = crop
        everything = torch.nn.functional.interpolate(torch.tensor(logits)[None, None], shape, mode="bilinear")[0, 0]
        sure = abs(everything.numpy()) > 1e-5  # torch rounds in another order
        assert (drawn == (everything.numpy() > 0))[sure].all()

    @given(grids, factors)
    @settings(deadline=None)
    def test_render_looks_only_at_the_outline(self, logits, factors):
        shape = (logits.shape[0] * factors[0] + factors[2], logits.shape[1] * factors[1] + factors[3])
        mask = to_low_res(logits)
        full = render(FullSketch(logits), shape)
        box, crop = render(mask, shape)
        drawn = np.zeros(shape, bool)
        drawn[box[1] : box[3], box[0] : box[2]] = crop
        x0, y0, x1, y1 = full[0]
        assert (drawn[y0:y1, x0:x1] == full[1]).all()
        assert drawn.sum() == full[1].sum()

    @given(grids, st.tuples(*[st.integers(0, 4)] * 4), st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)))
    @settings(deadline=None, max_examples=150)
    def test_a_patch_says_as_much_as_the_whole_window(self, logits, margins, click):
        left, top, right, bottom = margins
        meets = (left, logits[:, 0]), (top, logits[0]), (right, logits[:, -1]), (bottom, logits[-1])
        for beyond, edge in meets:
            edge[...] = -abs(edge) if beyond else edge
        window = np.pad(logits, ((top, bottom), (left, right)), constant_values=-8)
        patch, shape = Patch(logits, (left, top), window.shape), (4 * window.shape[0], 4 * window.shape[1])
        point = np.array(
            [[(left + click[0] * logits.shape[1]) * 4, (top + click[1] * logits.shape[0]) * 4]], np.float32
        )
        islands = [keep_components(seen, shape, point, np.ones(1, np.int64)) for seen in (patch, window)]
        assert (islands[0] == islands[1][top : top + len(logits), left : left + logits.shape[1]]).all()
        some, whole = (astuple(to_low_res(seen)) for seen in (patch._replace(logits=islands[0]), islands[1]))
        assert all(np.array_equal(one, other) for one, other in zip(some, whole, strict=True))

    def test_an_empty_mask_renders_empty(self):
        mask = to_low_res(np.full((4, 5), -1, np.float32))
        box, crop = render(mask, (16, 20))
        assert mask.area == 0
        assert crop.size == 0
        assert box[2] - box[0] == 0

    def test_at_full_sampling_the_mask_is_the_sign(self):
        logits = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
        box, crop = render(to_low_res(logits), (30, 40))
        assert (crop == (logits > 0)[box[1] : box[3], box[0] : box[2]]).all()

    def test_a_sketch_is_small(self):
        y, x = np.mgrid[:256, :256]
        logits = (110 - np.hypot(x - 128, y - 128)).astype(np.float32)
        mask = to_low_res(logits)
        assert mask.bits.nbytes + mask.rim.nbytes < logits.nbytes / 15

    @given(grids, st.data())
    @settings(deadline=None)
    def test_shared_area_counts_common_cells(self, logits, data):
        other = data.draw(
            hnp.arrays(np.float32, logits.shape, elements=st.integers(-8192, 8192).map(lambda v: v / 1024))
        )
        assert shared_area(to_low_res(logits), to_low_res(other)) == ((logits > 0) & (other > 0)).sum()

    def test_stability_is_the_iou_of_two_cuts(self):
        logits = np.array([[-3, -0.5, 0.5, 3, 3]], np.float32)
        assert stability(logits, 1.0) == pytest.approx(2 / 4)
        assert stability(logits, 0.0) == 1
        assert stability(np.full((2, 2), -9, np.float32), 1.0) == 0


class FullSketch(LowResMask):
    """What a sketch would be that keeps every logit of the window."""

    def __init__(self, logits):
        window = (0, 0, logits.shape[1], logits.shape[0])
        super().__init__(logits.shape, window, np.packbits(logits > 0), logits, int((logits > 0).sum()))

    def logits(self):
        return self.rim


class TestLayout:
    """Masks laid out once, as on a map, the best supported first."""

    @given(st.integers(0, 10_000), st.floats(0, 1))
    @settings(deadline=None, max_examples=30)
    def test_every_mask_that_stays_lies_mostly_on_open_ground_and_no_other_would(self, seed, overlap):
        rng = np.random.default_rng(seed)
        found = []
        for i in range(25):
            logits = np.full((30, 40), -3, np.float32)
            y, x, h, w = (int(v) for v in rng.integers((0, 0, 2, 2), (28, 38, 15, 20)))
            logits[y : y + h, x : x + w] = 3
            found.append(Candidate(to_low_res(logits), float(rng.choice([0.4, 0.6, 0.8])), 1.0, i))
        kept = without_overlap(found, overlap)
        shuffled = without_overlap([found[i] for i in rng.permutation(25)], overlap)
        assert [one.prompt_id for one in kept] == [one.prompt_id for one in shuffled]
        ground = np.zeros((30, 40), bool)
        for one in sorted(found, key=lambda one: one.rank):
            x0, y0, x1, y1 = one.mask.outer
            covered = np.count_nonzero(ground[y0:y1, x0:x1] & one.mask.inside())
            assert (one in kept) == (covered <= overlap * one.mask.area)
            if one in kept:
                ground[y0:y1, x0:x1] |= one.mask.inside()

    @given(truths)
    @settings(deadline=None, max_examples=20)
    def test_the_perfect_network_supports_all_its_objects_and_nothing_is_lost(self, labels):
        options = strict(spacing_px=8, overlap=0.2, consensus=True, connected=True, pred_iou_threshold=0)
        assert equal(everything(labels, options), everything(labels))

    def test_what_is_found_from_all_over_it_comes_before_what_a_single_point_says(self):
        whole, part = np.full((40, 40), -3, np.float32), np.full((40, 40), -3, np.float32)
        whole[4:36, 4:36], part[4:14, 4:36] = 3, 3
        points = [(8.0, 8.0), (30.0, 8.0), (8.0, 30.0), (30.0, 30.0)]
        found = [Candidate(to_low_res(whole), 0.5, 0.1, i, point=point) for i, point in enumerate(points)]
        found.append(Candidate(to_low_res(part), 0.6, 0.9, 0, 1, points[0]))
        ranked = sorted(with_consensus(found, (40, 40)), key=lambda one: one.rank)
        assert [one.consensus for one in ranked] == pytest.approx([1, 1, 1, 1, (1 + 10 / 32) / 2])
        assert without_overlap(ranked, 0.2) == ranked[:1]
        assert with_consensus([], (40, 40)) == []
        assert without_overlap([], 0.2) == []


class TestGrid:
    @given(st.integers(0, 500), st.integers(0, 500), st.integers(20, 90), st.integers(20, 90), st.floats(1.5, 20))
    def test_windows_that_overlap_ask_at_the_same_places(self, x, y, w, h, spacing):
        asked = {}
        for off_x, off_y in ((x, y), (x + 7, y + 5)):
            points, ids = grid_points(Window(off_x, off_y, w, h), np.ones((h, w), bool), spacing)
            places = (points + np.array([off_x, off_y])).tolist()
            asked[off_x] = dict(zip(ids.tolist(), places, strict=True))
        shared = asked[x].keys() & asked[x + 7].keys()
        inside = {i for i, (px, py) in asked[x].items() if px >= x + 7 + 0.01 and py >= y + 5 + 0.01}
        assert inside <= shared
        for i in shared:
            assert asked[x][i] == pytest.approx(asked[x + 7][i], abs=1e-3)
            assert asked[x][i] == pytest.approx(((i % ROW + 0.5) * spacing, (i // ROW + 0.5) * spacing), abs=1e-3)

    def test_points_without_data_are_not_asked(self):
        valid = np.zeros((64, 64), bool)
        valid[:, 40:] = True
        points, _ = grid_points(Window(0, 0, 64, 64), valid, 16)
        assert sorted(set(points[:, 0].tolist())) == [40, 56]

    @pytest.mark.parametrize(("window", "points"), [((0, 0, 5, 40), [[2.5, 16]]), ((17, 17, 3, 3), [[1.5, 1.5]])])
    def test_a_window_between_the_points_is_asked_in_the_middle(self, window, points):
        found, ids = grid_points(Window(*window), np.ones((window[3], window[2]), bool), 32)
        assert found.tolist() == points
        assert ids.tolist() == [0]


class TestEverything:
    @given(truths, st.integers(5, 20), st.tuples(st.integers(0, 99), st.integers(0, 99)))
    @settings(deadline=None, max_examples=30)
    def test_a_perfect_decoder_gives_exactly_the_labels_under_the_points(self, labels, spacing, at):
        options = strict(spacing_px=spacing)
        masks = everything(labels, options, at=at)
        points, _ = grid_points(Window(*at, 80, 64), EVERYWHERE, spacing)
        hit = {labels[int(y), int(x)] for x, y in points.tolist()} - {0}
        found = {labels[paint(masks, i)][0]: paint(masks, i) for i in range(len(masks))}
        assert len(masks) == len(found)
        assert found.keys() == hit
        assert all((found[label] == (labels == label)).all() for label in hit)
        assert (masks.score == 1).all()
        assert not masks.touches_nodata.any()

    @given(truths, st.integers(0, 1000))
    @settings(deadline=None, max_examples=20)
    def test_the_order_of_the_points_changes_nothing(self, labels, seed):
        rng = np.random.default_rng(seed)
        scores = rng.choice([0.5, 0.6, 0.7], 40)
        masks = [to_low_res(np.where(labels == label, 4, -4).astype(np.float32)) for label in rng.integers(1, 30, 40)]
        found = [Candidate(mask, scores[i], 1.0, i) for i, mask in enumerate(masks) if mask.area]
        kept = suppress(found, 0.7)
        shuffled = suppress([found[i] for i in rng.permutation(len(found))], 0.7)
        assert [one.prompt_id for one in kept] == [one.prompt_id for one in shuffled]
        assert [one.rank for one in kept] == sorted(one.rank for one in kept)

    @given(truths, st.integers(0, 1000))
    @settings(deadline=None, max_examples=20)
    def test_masks_never_cover_invalid_pixels(self, labels, seed):
        valid = blob_labels((64, 80), count=12, large=1, seed=seed) == 0
        for network in (TruthNetwork(), TruthNetwork(stride=4)):
            masks = everything(labels, network=network, valid=valid)
            for i in range(len(masks)):
                whole = paint(masks, i)
                assert whole.any()
                assert not (whole & ~valid).any()
                _, top, right, _ = masks.boxes[i]
                assert whole[top, :].any()
                assert whole[:, right - 1].any()

    def test_masks_beside_invalid_pixels_are_marked(self):
        labels = np.zeros((40, 40), np.int32)
        labels[5:15, 5:15], labels[20:30, 5:15], labels[5:15, 22:30] = 1, 2, 3
        valid = np.ones((40, 40), bool)
        valid[:, 15:20] = False  # beside 1 and 2, two pixels from 3
        valid[20:22, 5:15] = False  # cuts 2
        masks = everything(labels, valid=valid)
        found = {labels[paint(masks, i)][0]: i for i in range(3)}
        assert [masks.touches_nodata[found[label]] for label in (1, 2, 3)] == [True, True, False]
        assert masks.area_px[found[2]] == 80

    def test_no_data_no_masks(self):
        masks = everything(parcel_labels((64, 80)), valid=~EVERYWHERE)
        assert len(masks) == 0
        assert masks.shape == (64, 80)

    def test_unsure_masks_and_empty_ones_go(self):
        labels = parcel_labels((64, 80), count=5)
        parts = TruthNetwork(parts=True)
        assert len(everything(labels, strict(spacing_px=8), parts)) == 5
        assert len(everything(labels, strict(spacing_px=8, pred_iou_threshold=0.2), parts)) > 5
        assert len(everything(np.zeros((64, 80), np.int32), strict(pred_iou_threshold=0))) == 0

    def test_unstable_masks_go(self):
        labels = np.zeros((64, 64), np.int32)
        labels[:31, :31] = 1  # at stride 2 its rim has logits of 0: stability (15 / 16) ** 2
        lax, firm = (strict(stability_threshold=threshold) for threshold in (0.87, 0.89))
        network = TruthNetwork(stride=2)
        assert len(everything(labels, lax, network)) == 1
        assert len(everything(labels, firm, network)) == 0

    def test_a_frame_and_what_it_frames_are_two_objects(self):
        labels = np.zeros((64, 64), np.int32)
        labels[4:60, 4:60] = 1
        labels[6:58, 6:58] = 2  # their boxes have an IoU of .86
        masks = everything(labels, strict(spacing_px=2))
        assert sorted(masks.area_px.tolist()) == [56**2 - 52**2, 52**2]

    def test_near_duplicates_go_even_where_their_boxes_differ(self):
        plain = np.full((64, 64), -5, np.float32)
        plain[20:40, 20:40] = 5
        tailed, other = plain.copy(), np.full((64, 64), -5, np.float32)
        tailed[30, :] = 5  # box IoU .31, mask IoU .90
        other[20:40, 41:60] = 5
        drawn = [(plain, 0.9), (tailed, 0.8), (other, 0.7)]
        found = [Candidate(to_low_res(mask), score, 1.0, i) for i, (mask, score) in enumerate(drawn)]
        assert [one.prompt_id for one in suppress(found, 0.7)] == [0, 2]
        assert [one.prompt_id for one in suppress(found, 0.95)] == [0, 1, 2]

    def test_later_passes_take_weaker_masks_on_open_ground_only(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        network = Doubtful(unsure=3)
        first = everything(labels, strict(spacing_px=8), network)
        relaxed = everything(labels, strict(spacing_px=8, passes=2), network)
        assert len(first) == 5
        assert len(relaxed) == 6
        assert equal(relaxed.select(range(5)), first)
        assert (labels[paint(relaxed, 5)] == 3).all()

    @settings(max_examples=20, deadline=None)
    @given(seed=st.integers(0, 10_000))
    def test_redrawn_masks_have_the_outlines_that_boxes_give(self, seed):
        labels = parcel_labels((64, 80), count=6, seed=seed)
        sloppy = everything(labels, ALL, Sloppy())
        again = everything(labels, strict(**LAX, again=True), Sloppy())
        assert sloppy.prompt_ids.tolist() == again.prompt_ids.tolist()
        for position in range(len(again)):
            found, redrawn = paint(sloppy, position), paint(again, position)
            assert (found & ~redrawn).sum() == 0
            label = labels[found][0]
            assert (redrawn == (labels == label)).all() or not (labels == label)[1:-1, 1:-1].any()
            assert found.sum() < redrawn.sum()

    def test_a_mask_in_whose_box_nothing_is_seen_stays(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        blind = Sloppy(blind=True)
        assert equal(everything(labels, strict(**LAX, again=True), blind), everything(labels, ALL, blind))

    def test_a_mask_that_would_spill_onto_others_stays(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        spilling = Sloppy(spilling=25)
        assert equal(everything(labels, strict(**LAX, again=True), spilling), everything(labels, ALL, spilling))

    def test_redrawn_masks_are_as_sharp_as_the_network_can_make_them(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        masks = everything(labels, strict(**LAX, again=True, refines=True, connected=True), Sharp())
        assert len(masks) == 6
        for position in range(6):
            mask = paint(masks, position)
            assert (mask == (labels == labels[mask][0])).all()
        blurred = everything(labels, strict(**LAX, again=True, connected=True), Sharp())
        assert not equal(masks, blurred)

    def test_masks_that_are_worse_when_looked_at_again_give_way_to_better_ones(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        masks = everything(labels, strict(**LAX, overlap=0.2, refines=True, connected=True), Second())
        assert len(masks) == 6
        for position in range(6):
            mask = paint(masks, position)
            assert (mask == (labels == labels[mask][0])).all()
        assert masks.predicted_iou == pytest.approx(0.95)

    def test_masks_that_stay_as_they_were_found_are_made_sharper_too(self):
        labels = parcel_labels((64, 80), count=6, seed=2)
        masks = everything(labels, strict(**LAX, again=True, refines=True), BlindToBoxes())
        for position in range(len(masks)):
            mask = paint(masks, position)
            assert (mask == (labels == labels[mask][0])).all()

    def test_memory_is_bounded_by_what_is_kept(self):
        labels = np.zeros((512, 512), np.int32)
        network = StubNetwork()
        embedding, valid = embedding_of(labels, network), np.ones(labels.shape, bool)
        options = strict(spacing_px=32)
        tracemalloc.start()
        masks = segment_everything(embedding, network, valid, options)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(masks) == 64
        assert peak < 20e6  # 64 masks at full size would be 17 MB, the logits of all points 50 MB


@dataclass(frozen=True)
class Sloppy(TruthNetwork):
    """Loses the rim of what is clicked, but outlines what is boxed; unless it is blind there."""

    blind: bool = False
    spilling: int = 1

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        if prompts.boxes is None:
            logits = ndimage.grey_erosion(logits, (1, 1, 3, 3), mode="constant", cval=-9)
        elif self.spilling > 1:
            logits = ndimage.grey_dilation(logits, (1, 1, self.spilling, self.spilling))
        return Answers(-np.abs(logits) if self.blind and prompts.boxes is not None else logits, iou)


@dataclass(frozen=True)
class Sharp(TruthNetwork):
    """Draws at a quarter of the pixels, and knows the pixels when it refines."""

    stride: int = 4
    capabilities: Capabilities = Capabilities(refines=True)

    def refine(self, features, prompts, iou, *, tight=False):
        truth, (h, w) = pixels_to_labels(features.maps[0]), features.shape
        seen = []
        for row in prompts.mask_logits > 0:
            meant = truth[row.repeat(4, 0).repeat(4, 1)[:h, :w]]
            label = np.bincount(meant).argmax() if len(meant) else -1
            seen.append(Patch.of(np.where(truth == label, np.float32(5), np.float32(-5))))
        return Refined(seen, iou)


class Second(Sharp):
    """Likes two objects as one best, until it refines."""

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        logits[:, 2:] = logits[:, 0].max(0)  # whatever is asked
        return Answers(logits, np.tile(np.float32([0.7, 0.6, 0.9])[: iou.shape[1]], (len(iou), 1)))

    def refine(self, features, prompts, iou, *, tight=False):
        masks, _ = super().refine(features, prompts, iou)
        h, w = features.shape
        seen = [Patch.of(row.repeat(4, 0).repeat(4, 1)[:h, :w]) for row in prompts.mask_logits]
        wrong = iou > 0.8
        masks = [other if bad else mask for mask, other, bad in zip(masks, seen, wrong.tolist(), strict=True)]
        return Refined(masks, np.where(wrong, np.float32(0.3), np.float32(0.95)))


class BlindToBoxes(Sharp):
    """Sees nothing in a box."""

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        return Answers(logits if prompts.boxes is None else -np.abs(logits), iou)


class Doubtful(TruthNetwork):
    """Knows the truth, but is less sure of one label, and of a patch that it sees all over the window."""

    def __init__(self, unsure):
        super().__init__()
        object.__setattr__(self, "unsure", unsure)

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        points = prompts.points[:, 0].astype(int)
        on_unsure = pixels_to_labels(features.maps[0])[points[:, 1], points[:, 0]] == self.unsure
        iou = np.where(on_unsure[:, None], np.float32(0.8), iou)
        logits[~on_unsure, 2] = np.where(np.arange(features.shape[1]) % 16 < 8, np.float32(10), np.float32(-10))
        iou[~on_unsure, 2] = 0.8
        return Answers(logits, iou)


TWICE = Recipe(clicks=CLICKS, second_pass=SECOND_PASS, **REFINES)
"""Clicks in turn, jittered, refined, with a second pass."""


class TestPrompts:
    labels = np.zeros((40, 48), np.int32)
    labels[5:15, 5:25] = 1
    labels[20:39, 30:33] = 2

    def test_answers_are_as_sharp_as_the_network_can_make_them(self):
        recipes = TWICE, Recipe()
        sharp, blurred = (prompted(self.labels, clicks([6, 6]), Sharp(recipe=each)) for each in recipes)
        assert (paint(sharp, 0) == (self.labels == 1)).all()
        assert not (paint(blurred, 0) == (self.labels == 1)).all()

    def test_sharper_answers_to_clicks_are_asked_for_once_more_in_a_box_that_is_a_little_larger(self):
        labels, network = np.zeros((40, 60), np.int32), Shy()
        labels[5:25, 5:45] = 1
        masks = prompted(labels, clicks([20, 14]), network)
        assert (paint(masks, 0) == (labels == 1)).all()  # a click alone gets less
        (first, ambiguous), (second, again) = network.asked
        assert (ambiguous, again) == (True, False)
        assert (second.points == first.points).all()
        shown = [side * SECOND_PASS.expand for side in (38, 18)]
        x0, y0, x1, y1 = 6, 6, 44, 24  # without its rim
        assert second.boxes[0] == pytest.approx([x0 - shown[0], y0 - shown[1], x1 + shown[0], y1 + shown[1]])

    def test_boxes_and_clicks_of_plain_models_are_asked_for_once(self):
        boxed = WindowPrompts(np.array([0]), PromptBatch.of_boxes(np.array([[4, 4, 26, 16]], np.float32)))
        for prompts, network in ((boxed, Shy()), (clicks([10, 10]), Shy(recipe=Recipe()))):
            prompted(self.labels, prompts, network)
            assert len(network.asked) == 1

    def test_an_answer_in_whose_box_nothing_is_seen_stays(self):
        masks = prompted(self.labels, clicks([6, 6], [1, 1]), BlindToBoxes(recipe=TWICE))
        assert (paint(masks, 0) == (self.labels == 1)).all()
        assert masks.area_px.tolist() == [200, 0]

    def test_an_answer_is_worth_what_a_second_look_says(self):
        masks = prompted(self.labels, clicks([6, 6]), Second(recipe=TWICE))
        assert (
            0.5 < masks.predicted_iou[0] < 0.6
        )  # not 0.9: it took both objects for one, saw 0.3 in it and 0.95 in a box

    def test_every_prompt_gives_its_mask_in_order(self):
        masks = prompted(self.labels, clicks([31, 30], [1, 1], [6, 6], rows=[7, 3, 5]))
        assert masks.prompt_ids.tolist() == [7, 3, 5]
        assert (paint(masks, 0) == (self.labels == 2)).all()
        assert (paint(masks, 2) == (self.labels == 1)).all()
        assert masks.boxes.tolist() == [[30, 20, 33, 39], [0, 0, 0, 0], [5, 5, 25, 15]]
        assert masks.area_px.tolist() == [57, 0, 200]
        assert masks.score.tolist() == [1, 0, 1]

    def test_a_lone_click_takes_the_best_of_the_alternatives(self):
        masks = prompted(self.labels, clicks([6, 6]), TruthNetwork(parts=True))
        assert (paint(masks, 0) == (self.labels == 1)).all()

    def test_lone_clicks_ask_for_alternatives_and_nothing_else_does(self):
        network = WatchedNetwork()
        prompts = clicks([[6, 6], [0, 0]], [[6, 6], [31, 30]], [[6, 6], [31, 30]], labels=[[1, -1], [1, 0], [1, 1]])
        masks = prompted(self.labels, prompts, network)
        boxed = WindowPrompts(np.array([0]), PromptBatch.of_boxes(np.array([[4, 4, 26, 16]], np.float32)))
        prompted(self.labels, boxed, network)
        calls = [(multimask, len(prompts)) for prompts, multimask in network.asked]
        assert calls == [(True, 1), (False, 2), (False, 1)]
        assert masks.area_px.tolist() == [200, 200, 200]

    def test_boxes_and_masks_reach_the_decoder(self):
        rough = np.full((2, 10, 12), -5, np.float32)
        rough[0, 5:10, 7:9] = rough[1, 1:4, 1:6] = 5
        boxes = np.array([[29, 19, 34, 40], [4, 4, 26, 16]], np.float32)
        nothing = np.zeros((2, 0, 2), np.float32), np.zeros((2, 0), np.int64)
        for extra in ({"boxes": boxes}, {"mask_logits": rough}, {"boxes": boxes, "mask_logits": rough}):
            masks = prompted(self.labels, WindowPrompts(np.array([0, 1]), PromptBatch(*nothing, **extra)))
            assert masks.area_px.tolist() == [57, 200]

    def test_refinement_feeds_the_answer_back(self):
        network = WatchedNetwork()
        masks = prompted(self.labels, clicks([6, 6]), network, refine=2)
        assert [multimask for _, multimask in network.asked] == [True, False, False]
        assert ((network.asked[1][0].mask_logits[0] > 0) == (self.labels == 1)).all()
        assert (paint(masks, 0) == (self.labels == 1)).all()

    def test_masks_are_cut_to_the_data_and_an_empty_one_stays(self):
        valid = np.ones(self.labels.shape, bool)
        valid[:10] = valid[18:] = False
        masks = prompted(self.labels, clicks([6, 12], [31, 30]), valid=valid)
        assert masks.area_px.tolist() == [100, 0]
        assert masks.boxes.tolist() == [[5, 10, 25, 15], [0, 0, 0, 0]]
        assert masks.touches_nodata.tolist() == [True, True]

    def test_no_prompts_no_masks(self):
        nothing = PromptBatch(np.zeros((0, 1, 2), np.float32), np.zeros((0, 1), np.int64))
        prompts = WindowPrompts(np.zeros(0, np.int64), nothing)
        assert len(prompted(self.labels, prompts)) == 0

    @given(truths, st.integers(0, 10_000), st.integers(0, 20))
    @settings(deadline=None, max_examples=20)
    def test_what_a_prompt_gives_does_not_depend_on_its_company(self, labels, seed, alone):
        points = np.random.default_rng(seed).uniform(0, 64, (21, 1, 2))
        together = prompted(labels, clicks(*points))
        single = prompted(labels, clicks(points[alone], rows=[alone]))
        assert equal(together.select([alone]), single)


class Shy(Sloppy, WatchedNetwork):
    """Loses the rim of what is clicked but outlines what is boxed, keeps what it is asked, and may refine."""

    def __init__(self, recipe=TWICE):
        WatchedNetwork.__init__(self, recipe=recipe, capabilities=Capabilities(refines=True))


class TestMaskSet:
    @given(truths)
    @settings(deadline=None, max_examples=20)
    def test_arrays_and_back(self, labels):
        masks = everything(labels, at=(30, 40))
        back = MaskSet.from_arrays(masks.to_arrays())
        assert equal(masks, back)
        assert back.window == masks.window
        assert all((one == other).all() for one, other in zip(masks.crops, back.crops, strict=True))

    def test_select_and_concatenate_undo_each_other(self):
        masks = everything(parcel_labels((64, 80), count=9))
        parts = [masks.select([i]) for i in range(len(masks))]
        assert equal(MaskSet.concatenate(parts), masks)
        assert equal(masks.select(masks.area_px > 0), masks)
        assert masks.select([2, 0]).prompt_ids.tolist() == masks.prompt_ids[[2, 0]].tolist()
        assert equal(masks.select([]), MaskSet.empty(masks.window))

    def test_sets_of_different_windows_do_not_join(self):
        sets = [MaskSet.empty(Window(x, 0, 8, 8)) for x in (0, 8)]
        with pytest.raises(OptionError, match="one window"):
            MaskSet.concatenate(sets)
        with pytest.raises(OptionError, match="at least one"):
            MaskSet.concatenate([])

    @pytest.mark.parametrize(
        ("box", "crop", "scores", "message"),
        [
            ((0, 0, 9, 2), (2, 9), 1, "beyond the window"),
            ((-1, 0, 2, 2), (2, 3), 1, "beyond the window"),
            ((0, 0, 2, 2), (2, 3), 1, "as its box says"),
            ((0, 0, 2, 2), (2, 2), 2, "one length"),
        ],
    )
    def test_parts_that_do_not_fit_are_refused(self, box, crop, scores, message):
        score, flag = np.ones(scores, np.float32), np.zeros(scores, bool)
        # where the axes' names are checked, the lengths are caught before
        with pytest.raises((OptionError, TypeError), match=f"{message}|Type-check"):
            MaskSet(
                Window(0, 0, 8, 8),
                (8, 8),
                np.array([box], np.int32),
                (np.ones(crop, bool),),
                score,
                score,
                np.zeros(scores, np.int64),
                flag,
            )
