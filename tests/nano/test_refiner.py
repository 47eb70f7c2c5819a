"""The sharpener of masks, and what it is shown of a window."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.errors import ModelError
from geosam.masks.low_res import bounds, render, to_low_res
from geosam.models import build, spec, to_predictor
from geosam.nano.recipe import BOXES, REFINEMENT
from geosam.nano.refiner import MULTIPLE, MaskRefiner, colour_odds, flow
from geosam.nano.roi_crop import SAMPLING, RoiCrop, keep_picture, window_cells
from geosam.sam.model import Predictor
from geosam.sam.model.canvas import Canvas
from geosam.segmenter import Features, PromptBatch

MARGIN, BEYOND = REFINEMENT.margin, REFINEMENT.edge

sides = st.integers(33, 700)


def half(canvas, axis):
    """Middles, in pixels of the input, of the cells along an axis of what is kept of a picture."""
    return (torch.arange(canvas.padded[axis] // SAMPLING) + 0.5) * SAMPLING


def ramp(canvas):
    """What is kept of a picture whose pixels are their own coordinates: red ``x``, green ``y``, in pixels."""
    y, x = torch.meshgrid(half(canvas, 0), half(canvas, 1), indexing="ij")
    return torch.stack([x, y, 0 * x]).half().numpy()


class TestCloseUps:
    @settings(max_examples=60, deadline=None)
    @given(h=sides, w=sides, data=st.data())
    def test_what_is_cut_out_knows_where_it_lies(self, h, w, data):
        canvas = Canvas.of((h, w), resamples=False, side=1024)
        x0, y0 = data.draw(st.integers(0, w - 2)), data.draw(st.integers(0, h - 2))
        x1, y1 = data.draw(st.integers(x0 + 1, w)), data.draw(st.integers(y0 + 1, h))
        close = RoiCrop.around((x0, y0, x1, y1), canvas, MARGIN)
        picture = torch.from_numpy(close.picture(ramp(canvas)))
        assert picture.shape[1] % MULTIPLE == picture.shape[2] % MULTIPLE == 0
        for cut, stride, coarser in ((close.fine, 4, 2), (close.coarse, 16, 8)):
            seen = cut(np.zeros((5, *(-(-side // stride) for side in canvas.padded)), np.float16))
            assert seen.shape[1:] == tuple(side // coarser for side in picture.shape[1:])
        middles = close.place(picture[:2].permute(1, 2, 0))  # in cells: each lies half a cell beyond its own number
        inside = (picture[0] < canvas.padded[1] - close.cell) & (picture[1] < canvas.padded[0] - close.cell)
        rows, cols = torch.meshgrid(*(torch.arange(n) + 0.5 for n in picture.shape[1:]), indexing="ij")
        assert torch.allclose(middles[inside], torch.stack([cols, rows], -1)[inside])
        corners = close.place(torch.tensor([[x0, y0], [x1, y1]], dtype=torch.float32))
        assert (corners >= 0).all()
        assert (corners <= torch.tensor(picture.shape[:0:-1])).all()

    @settings(max_examples=60, deadline=None)
    @given(h=sides, w=sides, data=st.data())
    def test_what_is_put_back_lies_where_it_was(self, h, w, data):
        canvas = Canvas.of((h, w), resamples=False, side=1024)
        x0, y0 = data.draw(st.integers(0, w - 9)), data.draw(st.integers(0, h - 9))
        close = RoiCrop.around((x0, y0, x0 + 8, y0 + 8), canvas, MARGIN)
        across, down = torch.from_numpy(close.picture(ramp(canvas)))[:2]
        for axis, drawn in ((1, across), (0, down)):
            patch = close.patch(drawn - 1e4, BEYOND)  # far below the greatest logit that an edge may have
            assert patch.shape == window_cells(canvas)
            cells = np.arange(patch.logits.shape[axis]) + patch.corner[1 - axis] + 0.5
            wanted = cells * ((h, w)[axis] / patch.shape[axis])
            found = np.moveaxis(patch.logits, axis, 0)[:, 0] + 1e4
            most = float(drawn.max())
            within = (wanted > float(drawn.min())) & (wanted < most)
            assert np.abs(found - wanted)[within].max() < 0.01

    @pytest.mark.parametrize("side", [399, 400, 401, 433])
    def test_a_mask_does_not_end_where_the_window_goes_on(self, side):
        canvas = Canvas.of((side, side), resamples=False, side=1024)
        close = RoiCrop.around((0, 150, 60, 200), canvas, MARGIN)
        patch = close.patch(torch.ones(close.rows[1], close.cols[1]), BEYOND)
        to_low_res(patch)  # whose box and one logit around it lie in the patch
        assert (patch.logits[[0, -1]] == BEYOND).all()
        assert (patch.logits[:, -1] == BEYOND).all()
        assert (patch.logits[1:-1, 0] == 1).all()

    def test_large_masks_are_looked_at_twice_as_coarsely(self):
        canvas = Canvas.of((1024, 1024), resamples=False, side=1024)
        assert RoiCrop.around((300, 300, 460, 400), canvas, MARGIN).cell == 2
        assert RoiCrop.around((300, 300, 480, 400), canvas, MARGIN).cell == 4

    @settings(max_examples=30, deadline=None)
    @given(h=sides, w=sides, seed=st.integers(0, 1000))
    def test_logits_of_the_window_are_sampled_where_they_lie(self, h, w, seed):
        canvas = Canvas.of((h, w), resamples=False, side=1024)
        mh, mw = canvas.logits
        rng = np.random.default_rng(seed)
        y, x = int(rng.integers(0, mh - 3)), int(rng.integers(0, mw - 3))
        logits = np.full((mh, mw), -4, np.float32)
        logits[y : y + 3, x : x + 3] = 4
        close = RoiCrop.of_mask(logits, canvas, MARGIN)
        again = close.patch(close.logits(torch.from_numpy(logits)), BEYOND)
        ends = []
        for mask in (to_low_res(logits), to_low_res(again)):
            (left, top, *_), crop = render(mask, (h, w))
            x0, y0, x1, y1 = bounds(crop)
            ends.append((left + x0, top + y0, left + x1, top + y1))
        assert np.abs(np.subtract(*ends)).max() <= 1

    def test_an_empty_mask_has_no_surroundings(self):
        canvas = Canvas.of((64, 64), resamples=False, side=1024)
        assert RoiCrop.of_mask(np.full((16, 16), -1, np.float32), canvas, MARGIN) is None

    def test_what_is_kept_of_a_picture_goes_on_beyond_its_edge(self):
        canvas = Canvas.of((40, 50), resamples=False, side=1024)
        kept = keep_picture(torch.full((3, 40, 50), 7.0), canvas)
        assert kept.shape[1:] == tuple(side // SAMPLING for side in canvas.padded)
        assert (kept == 7).all()


class TestEvidence:
    def test_a_mask_flows_to_the_edge_between_two_colours_and_not_across(self):
        picture = torch.where(torch.arange(24) < 13, 1.0, -1.0).expand(1, 3, 24, 24)
        mask = torch.where(torch.arange(24) < 10, 1.0, -0.4).expand(1, 24, 24)
        flowed = flow(picture, mask)[0, 12]
        assert (flowed[:12] > 0).all()
        assert (flowed[13:] < 0).all()

    def test_flowing_changes_nothing_that_is_even(self):
        assert torch.allclose(flow(torch.randn(2, 3, 16, 16), torch.full((2, 16, 16), 0.7)), torch.tensor(0.7))

    @settings(max_examples=20, deadline=None)
    @given(h=st.integers(1, 20), w=st.integers(1, 20), turned=st.sampled_from([(1,), (2,), (1, 2)]))
    def test_no_direction_is_preferred_when_a_mask_flows(self, h, w, turned):
        generator = torch.Generator().manual_seed(h * 100 + w)
        picture, mask = torch.randn(2, 3, h, w, generator=generator), torch.randn(2, h, w, generator=generator)
        there = flow(picture.flip([axis + 1 for axis in turned]), mask.flip(turned)).flip(turned)
        assert torch.allclose(there, flow(picture, mask), atol=1e-5)

    def test_colours_that_are_mostly_inside_speak_for_the_inside(self):
        inside = torch.zeros(1, 16, 16)
        inside[0, 4:12, 4:12] = 1
        colours = (2 * inside - 1)[:, None].expand(1, 3, 16, 16)
        odds = colour_odds(colours, inside * 0.8 + 0.1)
        assert (odds[inside == 1] > 0.5).all()
        assert (odds[inside == 0] < -0.5).all()


@pytest.fixture(scope="module")
def sharp() -> Predictor:
    """A network with random weights that sharpens its masks."""
    torch.manual_seed(0)
    sam = build(replace(spec("nano"), sharpened=True))
    for last in (sam.mask_sharpener.out, sam.mask_sharpener.context[-1]):
        for parameter in last.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return to_predictor(sam.requires_grad_(requires_grad=False), "sharp")


@pytest.fixture(scope="module")
def window(sharp):
    """Features of a window, masks in it with their prompts, and their IoUs."""
    rng = np.random.default_rng(5)
    shape = (150, 214)
    features = sharp.encode(rng.integers(0, 256, (3, *shape)).astype(np.uint8))
    boxes = np.array([[10, 20, 60, 80], [100, 40, 200, 140], [3, 3, 20, 20]], np.float32)
    y, x = np.mgrid[: sharp.logits_shape(shape)[0], : sharp.logits_shape(shape)[1]] * 4 + 2
    logits = np.stack([np.where((x > a) & (x < c) & (y > b) & (y < d), 3, -3) for a, b, c, d in boxes])
    prompts = PromptBatch.of_boxes(boxes).with_masks(logits.astype(np.float32))
    return features, prompts, np.float32([0.9, 0.8, 0.7])


class TestSharpening:
    def test_the_picture_is_kept_with_the_features(self, sharp, window):
        features, *_ = window
        assert features.picture.shape == (3, *(side // SAMPLING for side in sharp.canvas(features.shape).padded))
        assert len(sharp.feature_maps(features).fine) == len(features.maps) - 1
        unlike = to_predictor(build(replace(spec("nano"), sharpened=False)), "plain")
        assert unlike.encode(np.zeros((3, 32, 32), np.uint8)).picture is None

    def test_a_mask_is_sharpened_alike_whatever_is_asked_beside_it(self, sharp, window):
        features, prompts, before = window
        several = np.array([0, 1, 2, 0, 0, 1, 0, 2, 0, 0])
        masks, iou = sharp.refine(features, prompts[several], before[several], tight=True)
        for row, number in enumerate(several):
            one = slice(number, number + 1)
            (alone,), (expected,) = sharp.refine(features, prompts[one], before[one], tight=True)
            assert alone.corner == masks[row].corner
            assert alone.logits.tobytes() == masks[row].logits.tobytes()
            assert expected == iou[row]

    def test_answers_to_boxes_are_looked_at_twice_unless_once_is_enough(self, sharp, window, monkeypatch):
        draw, looks = MaskRefiner.draw, []

        def count(self, pixels, *given, **rest):
            looks.append(len(pixels))
            return draw(self, pixels, *given, **rest)

        monkeypatch.setattr(MaskRefiner, "draw", count)
        twice = sharp.refine(*window, tight=True).masks
        seen = sum(looks)
        once = sharp.refine(*window).masks
        assert sum(looks) == seen + seen / 2
        assert all(np.abs(a.logits - b.logits).max() > 0.01 for a, b in zip(once, twice, strict=True))

    def test_the_users_boxes_draw_masks_to_their_sides_and_inferred_ones_do_not(self):
        sharpen = MaskRefiner(4, 6).eval()
        logits = torch.full((2, 16, 24), -0.6)
        logits[:, 4:12, 4:14] = 3
        around = {"pixels": torch.full((2, 3, 16, 24), 90.0), "fine": torch.zeros(2, 4, 8, 12)}
        around |= {"coarse": torch.zeros(2, 6, 2, 3), "logits": logits, "iou": torch.ones(2)}
        asked = {"points": torch.zeros(2, 0, 2), "labels": torch.zeros(2, 0, dtype=torch.long)}
        asked["boxes"] = torch.tensor([[4.0, 4, 20, 12], [torch.nan] * 4])
        with torch.inference_mode():
            how = {"passes": 2, "prior": BOXES}, {}
            drawn, inferred = (sharpen.refine(**around, **asked, **each)[0] > 0 for each in how)
        assert drawn[0, 8, 15:19].all()
        assert not inferred[0, 8, 15:19].any()
        assert torch.equal(drawn[1], inferred[1])

    def test_it_lies_about_the_mask_at_twice_its_sampling(self, sharp, window):
        for seen, mask in zip(sharp.refine(*window).masks, window[1].mask_logits, strict=True):
            assert seen.shape == (75, 107)
            rows, cols = (np.flatnonzero((mask > 0).any(axis)) for axis in (1, 0))
            (left, top), (h, w) = seen.corner, seen.logits.shape
            assert left <= 2 * cols[0]
            assert top <= 2 * rows[0]
            assert left + w >= 2 * cols[-1]
            assert top + h >= 2 * rows[-1]

    def test_a_mask_that_outgrows_what_is_looked_at_stays_as_it_was(self, sharp, window, monkeypatch):
        features, prompts, _ = window

        def everywhere(self, pixels, fine, coarse, logits, iou, **rest):
            return torch.full_like(logits, 5.0), torch.full_like(iou, 0.6)

        monkeypatch.setattr(MaskRefiner, "refine", everywhere)
        masks, iou = sharp.refine(features, prompts, np.float32([0.9, 0.4, 0.7]))
        for seen, mask in zip(masks, prompts.mask_logits, strict=True):
            after, before = (render(to_low_res(each), features.shape)[1].sum() for each in (seen, mask))
            assert after == pytest.approx(before, rel=0.1)
        assert iou == pytest.approx([0.6, 0.4, 0.6])

    def test_an_empty_mask_stays_empty(self, sharp, window):
        features, prompts, iou = window
        first = prompts[:1].with_masks(np.full_like(prompts.mask_logits[:1], -1))
        (seen,), (expected,) = sharp.refine(features, first, iou[:1])
        assert to_low_res(seen).area == 0
        assert expected == 0

    def test_what_the_sharpener_starts_with_is_the_mask_itself(self):
        sharpen = MaskRefiner(4, 6).eval()
        picture = torch.full((1, 3, 16, 16), 90.0)
        logits = torch.full((1, 16, 16), -5.0)
        logits[:, 5:11, 4:12] = 5
        none = {"points": torch.zeros(1, 0, 2), "labels": torch.zeros(1, 0, dtype=torch.long)}
        around = {"pixels": picture, "fine": torch.zeros(1, 4, 8, 8), "coarse": torch.zeros(1, 6, 2, 2)}
        given = {"logits": logits, "iou": torch.ones(1), "boxes": torch.full((1, 4), torch.nan), **none}
        seen, expected = sharpen(**around, **given)
        assert 0 < expected < 1
        assert (seen[:, 6:10, 5:11] > 0).all()
        assert (seen[:, [0, 1, -2, -1]] < 0).all()

    def test_weights_without_a_refiner_say_so(self, sharp, window):
        features, prompts, iou = window
        plain = to_predictor(build(replace(spec("nano"), sharpened=False)), "plain")
        assert not plain.capabilities.refines
        with pytest.raises(ModelError, match="no mask refiner"):
            plain.refine(Features(features.maps, features.shape), prompts, iou)
        with pytest.raises(ModelError, match="without a picture"):
            sharp.refine(Features(features.maps, features.shape), prompts, iou)
