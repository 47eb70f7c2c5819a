"""Clicks that correct an answer, and what they leave alone."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.windows import Window
from scipy import ndimage

from geosam.arrays import Patch
from geosam.embeddings import Embedding
from geosam.masks import segment_prompts
from geosam.masks.clicks import answer, answer_correction, answer_in_turn
from geosam.masks.corrections import Correction, is_wrong
from geosam.masks.second_pass import expected_iou
from geosam.nano.recipe import nano_recipe
from geosam.prompts import WindowPrompts
from geosam.segmenter import Answers, Capabilities, PromptBatch, Recipe, Refined, SecondPass
from geosam.testing import WatchedNetwork, labels_to_pixels

RECIPE = nano_recipe(refines=True, scores=False)
REACH, WEIGHTS = RECIPE.clicks.reach, RECIPE.second_pass.iou_weights

LABELS = np.zeros((64, 80), np.int32)
LABELS[8:24, 8:24] = 1
LABELS[8:24, 40:56] = 2
OBJECT = LABELS == 1

grids = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([-2, -1, 1, 2])
)
shares = st.tuples(st.floats(0, 0.999), st.floats(0, 0.999))


@dataclass(frozen=True)
class Wild(WatchedNetwork):
    """Knows the truth until it is asked with a mask: then an inside click gets the window, an outside one nothing."""

    recipe: Recipe = RECIPE
    capabilities: Capabilities = Capabilities(refines=True)

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        if prompts.mask_logits is not None:
            last = prompts.labels[:, -1]
            logits[:] = np.where(last == 1, np.float32(7), np.float32(-7))[:, None, None, None]
        return Answers(logits, iou)


class Torn(Wild):
    """Sees in a box only half of what it saw without, and is as sure of it."""

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        if prompts.boxes is not None:
            logits[..., :16, :] = -7
        return Answers(logits, iou)


class Unsure(Wild):
    """Likes two objects at once best, by a little or by much, until it sees them sharp."""

    def __init__(self, best):
        super().__init__(recipe=replace(RECIPE, second_pass=SecondPass()))
        object.__setattr__(self, "best", best)

    def decode(self, features, prompts, *, multimask=True):
        logits, iou = super().decode(features, prompts, multimask=multimask)
        if multimask:
            logits[:, 1] = np.where(LABELS > 0, np.float32(7), np.float32(-7))
            iou[:] = [0.70, self.best, 0.1]
        return Answers(logits, iou)

    def refine(self, features, prompts, iou, *, tight=False):
        masks, _ = super().refine(features, prompts, iou)
        both = np.array([mask.logits[16, 48] > 0 for mask in masks])
        return Refined(masks, np.where(both, np.float32(0.3), np.float32(0.9)))


class Timid(Wild):
    """Stops one row short of the object's end, where it is a little less sure than not, except in boxes of users."""

    def refine(self, features, prompts, iou, *, tight=False):
        logits = prompts.mask_logits.copy()
        logits[..., 23, :] = np.where(logits[..., 23, :] > 0, np.float32(-0.3), logits[..., 23, :])
        return super().refine(features, prompts.with_masks(logits), iou)


def embed(network, labels=LABELS):
    h, w = labels.shape
    return Embedding(network.encode(labels_to_pixels(labels)), Window(0, 0, w, h))


def clicks(*places, labels=None):
    labels = [1] * len(places) if labels is None else labels
    return PromptBatch(np.array([places], np.float32), np.array([labels], np.int64))


def outline_distance(inside):
    """How far each cell is from the nearest of the other kind; infinite if there is none."""
    cells = np.argwhere(np.ones(inside.shape, bool))
    kinds = inside.ravel()
    apart = np.sqrt(((cells[:, None] - cells) ** 2).sum(2))
    return np.where(kinds[:, None] != kinds, apart, np.inf).min(1).reshape(inside.shape)


class TestCorrections:
    @given(grids, shares)
    @settings(deadline=None, max_examples=200)
    def test_a_mask_may_change_within_a_multiple_of_the_clicks_distance_from_its_outline(self, logits, share):
        h, w = logits.shape
        row, col = int(share[1] * h), int(share[0] * w)
        point = np.array([(col + 0.5) * 4, (row + 0.5) * 4], np.float32)
        free = Correction.at(Patch.of(logits), (4 * h, 4 * w), point, REACH).free
        away = outline_distance(logits > 0)
        like_it = (logits > 0) == (logits[row, col] > 0)
        assert (free == (like_it & ((away < REACH * away[row, col]) | np.isinf(away)))).all()
        assert free[row, col]

    @given(grids, shares, st.integers(0, 100), st.sampled_from([1, 2]))
    @settings(deadline=None)
    def test_what_may_not_change_stays_and_all_else_is_new(self, logits, share, seed, finer):
        h, w = logits.shape
        point = np.array([share[0] * w, share[1] * h], np.float32)
        change = Correction.at(Patch.of(logits), (h, w), point, REACH)
        shape = (finer * h, finer * w)
        new = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        kept = change.keep(Patch.of(new))
        free = change.free.repeat(finer, 0).repeat(finer, 1)
        assert kept.shape == shape
        assert (kept.logits == np.where(free, new, logits.repeat(finer, 0).repeat(finer, 1))).all()

    def test_patches_say_as_much_as_the_whole_window(self):
        logits = np.full((20, 30), -8, np.float32)
        logits[5:9, 10:16] = 3
        whole, patch = Patch.of(logits), Patch(logits[4:10, 9:17], (9, 4), (20, 30))
        point = np.array([18.5, 7.5], np.float32)
        one, other = (Correction.at(seen, (20, 30), point, REACH) for seen in (whole, patch))
        assert (one.free == other.free).all()
        assert (one.keep(whole).logits == other.keep(patch).logits).all()
        for x, y in ((12, 7), (18, 7), (2, 2)):
            place = np.array([x + 0.5, y + 0.5], np.float32)
            assert is_wrong(whole, (20, 30), place, 1) == is_wrong(patch, (20, 30), place, 1) == (logits[y, x] < 0)
            assert is_wrong(patch, (20, 30), place, 0) == (logits[y, x] > 0)


class TestAnswers:
    @given(*[hnp.arrays(np.float32, 3, elements=st.floats(0, 1, width=32))] * 3)
    def test_answers_that_agree_and_are_sure_are_trusted_more(self, first, second, agreed):
        found = expected_iou(first, second, agreed, WEIGHTS)
        assert ((found >= 0) & (found <= 1)).all()
        more = [np.minimum(each + np.float32(0.1), 1) for each in (first, second, agreed)]
        for given_more in ((more[0], second, agreed), (first, more[1], agreed), (first, second, more[2])):
            assert (expected_iou(*given_more, WEIGHTS) >= found).all()

    def test_an_answer_unlike_the_first_is_trusted_less(self):
        seen = embed(Wild())
        first = answer(seen, Wild(), clicks((16.5, 16.5)), connected=True)
        torn = answer(seen, Torn(), clicks((16.5, 16.5)), connected=True)
        assert first.iou[0] == 1
        assert torn.iou[0] == pytest.approx(WEIGHTS[0] + WEIGHTS[1] + WEIGHTS[2] / 2 - WEIGHTS[3])

    @pytest.mark.parametrize(("best", "taken"), [(0.72, OBJECT), (0.9, LABELS > 0)])
    def test_a_click_in_doubt_is_looked_at_twice(self, best, taken, monkeypatch):
        monkeypatch.setattr("geosam.masks.clicks.keep_components", lambda mask, *_: mask.logits)
        network = Unsure(best)
        seen = answer(embed(network), network, clicks((16.5, 16.5)), connected=True)
        assert ((seen.masks[0].logits > 0) == taken).all()

    def test_what_is_asked_once_more_is_a_little_likelier(self):
        network = Timid()
        (found,) = answer(embed(network), network, clicks((16, 16)), connected=True).masks
        assert np.array_equal(found.logits > 0, OBJECT)
        box = PromptBatch.of_boxes(np.float32([[8, 8, 24, 24]]))
        (found,) = answer(embed(network), network, box, connected=False, multimask=False).masks  # as it was refined
        assert (found.logits > 0).sum() == OBJECT.sum() - 16

    def test_an_inside_click_adds_no_more_than_its_distance_says(self):
        network = Wild()
        seen = embed(network)
        first = answer(seen, network, clicks((12.5, 16.5)), connected=True)
        assert ((first.masks[0].logits > 0) == OBJECT).all()
        second = answer_correction(seen, network, first, clicks((12.5, 16.5), (26.5, 16.5)))  # 3 cells beside it
        away = ndimage.distance_transform_edt(~OBJECT)
        assert ((second.masks[0].logits > 0) == (away < 3 * REACH)).all()
        assert not (second.masks[0].logits[:, 40:56] > 0).any()  # its neighbour stays out

    def test_an_outside_click_takes_away_no_more_than_its_distance_says(self):
        network = Wild()
        seen = embed(network)
        first = answer(seen, network, clicks((12.5, 16.5)), connected=True)
        second = answer_correction(seen, network, first, clicks((12.5, 16.5), (22.5, 16.5), labels=[1, 0]))
        away = ndimage.distance_transform_edt(OBJECT)
        assert ((second.masks[0].logits > 0) == (away >= 2 * REACH)).all()

    def test_where_nothing_is_wrong_nothing_is_kept_and_recipes_without_a_reach_keep_nothing(self):
        for network, label in ((Wild(), -1), (Wild(recipe=Recipe()), 1)):
            seen = embed(network)
            first = answer(seen, network, clicks((12.5, 16.5)), connected=True)
            second = answer_correction(seen, network, first, clicks((12.5, 16.5), (26.5, 16.5), labels=[1, label]))
            assert len(set((second.masks[0].logits > 0).ravel().tolist())) == 1

    def test_several_clicks_are_answered_as_if_given_one_after_another(self):
        network = Wild()
        seen = embed(network)
        places = (26.5, 16.5), (10.5, 10.5), (12.5, 16.5), (20.5, 20.5)
        together = answer_in_turn(seen, network, clicks(*places, labels=[0, -1, 1, 1]))
        assert [asked.points.shape[1] for asked, _ in network.asked] == [
            1,
            1,
        ]  # once more in its box; none is wrong
        assert network.asked[1][0].points.tolist() == [[[12.5, 16.5]]]
        assert ((together.masks[0].logits > 0) == OBJECT).all()
        together = answer_in_turn(seen, network, clicks((12.5, 16.5), (26.5, 16.5)))
        first = answer(seen, network, clicks((12.5, 16.5)), connected=True)
        second = answer_correction(seen, network, first, clicks((12.5, 16.5), (26.5, 16.5)))
        assert (together.masks[0].logits == second.masks[0].logits).all()

    def test_the_most_central_click_inside_is_answered_first(self):
        network = Wild()
        places = (9.5, 9.5), (16.5, 16.5), (22.5, 21.5), (70.5, 60.5)
        answer_in_turn(embed(network), network, clicks(*places, labels=[1, 1, 1, 0]))
        assert network.asked[1][0].points.tolist() == [[[16.5, 16.5]]]

    @pytest.mark.parametrize("in_turn", [True, False])
    def test_prompts_of_several_clicks_are_answered_in_turn_where_the_recipe_says_so(self, in_turn):
        network = Wild(recipe=RECIPE if in_turn else Recipe())
        prompts = WindowPrompts(np.array([0]), clicks((12.5, 16.5), (26.5, 16.5)))
        masks = segment_prompts(embed(network), network, prompts, np.ones(LABELS.shape, bool))
        questions = [(each.points.shape[1], each.mask_logits is not None) for each, _ in network.asked]
        assert questions == ([(1, False), (1, False), (2, True), (2, True)] if in_turn else [(2, False)])
        assert masks.prompt_ids.tolist() == [0]
        assert masks.area_px[0] >= OBJECT.sum()
