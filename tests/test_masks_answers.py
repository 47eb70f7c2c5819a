"""Clicks that correct an answer, and what they leave alone."""

from dataclasses import dataclass

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from odc.geo.geobox import GeoBox
from rasterio.windows import Window
from scipy import ndimage

from geosam.arrays import Patch
from geosam.embeddings import Embedding
from geosam.masks import segment_prompts
from geosam.masks.answers import _ask_lone, answer, answer_correction, answer_in_turn
from geosam.masks.corrections import REACH, Correction, is_wrong
from geosam.masks.second_answers import AGREED, FIRST, LESS, SECOND, expected_iou
from geosam.prompts import WindowPrompts
from geosam.testing import TruthNetwork, labels_to_pixels

LABELS = np.zeros((64, 80), np.int32)
LABELS[8:24, 8:24] = 1
LABELS[8:24, 40:56] = 2
OBJECT = LABELS == 1

grids = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([-2, -1, 1, 2])
)
shares = st.tuples(st.floats(0, 0.999), st.floats(0, 0.999))


@dataclass(frozen=True)
class Wild(TruthNetwork):
    """Knows the truth until it is asked with a mask: then an inside click gets the window, an outside one nothing."""

    sharpens: bool = True

    def __post_init__(self):
        object.__setattr__(self, "questions", [])

    def decode(self, arrays, shape, **asked):
        self.questions.append(asked)
        logits, iou = super().decode(arrays, shape, **asked)
        if asked.get("mask_logits") is not None:
            last = asked["labels"][:, -1]
            logits[:] = np.where(last == 1, np.float32(7), np.float32(-7))[:, None, None, None]
        return logits, iou

    def sharpen(self, arrays, shape, logits, iou, **asked):
        return [Patch.of(each) for each in logits], iou


class Torn(Wild):
    """Sees in a box only half of what it saw without, and is as sure of it."""

    def decode(self, arrays, shape, **asked):
        logits, iou = super().decode(arrays, shape, **asked)
        if asked.get("boxes") is not None:
            logits[..., :16, :] = -7
        return logits, iou


class Unsure(Wild):
    """Likes two objects at once best, by a little or by much, until it sees them sharp."""

    def __init__(self, best):
        super().__init__()
        object.__setattr__(self, "best", best)

    def decode(self, arrays, shape, **asked):
        logits, iou = super().decode(arrays, shape, **asked)
        if asked.get("multimask", True):
            logits[:, 1] = np.where(LABELS > 0, np.float32(7), np.float32(-7))
            iou[:] = [0.70, self.best, 0.1]
        return logits, iou

    def sharpen(self, arrays, shape, logits, iou, **asked):
        masks, _ = super().sharpen(arrays, shape, logits, iou, **asked)
        both = np.array([mask.logits[16, 48] > 0 for mask in masks])
        return masks, np.where(both, np.float32(0.3), np.float32(0.9))


class Timid(Wild):
    """Stops one row short of the object's end, where it is a little less sure than not, except in boxes of users."""

    def sharpen(self, arrays, shape, logits, iou, **asked):
        logits = logits.copy()
        logits[..., 23, :] = np.where(logits[..., 23, :] > 0, np.float32(-0.3), logits[..., 23, :])
        return super().sharpen(arrays, shape, logits, iou, **asked)


def embed(network, labels=LABELS):
    h, w = labels.shape
    geobox = GeoBox((h, w), Affine(1, 0, 0, 0, -1, 0), "EPSG:32631")
    return Embedding(network.encode(labels_to_pixels(labels)), (h, w), Window(0, 0, w, h), geobox, network.key)


def clicks(*places, labels=None):
    labels = [1] * len(places) if labels is None else labels
    return {"points": np.array([places], np.float32), "labels": np.array([labels], np.int64)}


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
        free = Correction.at(Patch.of(logits), (4 * h, 4 * w), point).free
        away = outline_distance(logits > 0)
        like_it = (logits > 0) == (logits[row, col] > 0)
        assert (free == (like_it & ((away < REACH * away[row, col]) | np.isinf(away)))).all()
        assert free[row, col]

    @given(grids, shares, st.integers(0, 100), st.sampled_from([1, 2]))
    @settings(deadline=None)
    def test_what_may_not_change_stays_and_all_else_is_new(self, logits, share, seed, finer):
        h, w = logits.shape
        point = np.array([share[0] * w, share[1] * h], np.float32)
        change = Correction.at(Patch.of(logits), (h, w), point)
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
        one, other = (Correction.at(seen, (20, 30), point) for seen in (whole, patch))
        assert (one.free == other.free).all()
        assert (one.keep(whole).logits == other.keep(patch).logits).all()
        for x, y in ((12, 7), (18, 7), (2, 2)):
            place = np.array([x + 0.5, y + 0.5], np.float32)
            assert is_wrong(whole, (20, 30), place, 1) == is_wrong(patch, (20, 30), place, 1) == (logits[y, x] < 0)
            assert is_wrong(patch, (20, 30), place, 0) == (logits[y, x] > 0)


class TestAnswers:
    @given(*[hnp.arrays(np.float32, 3, elements=st.floats(0, 1, width=32))] * 3)
    def test_answers_that_agree_and_are_sure_are_trusted_more(self, first, second, agreed):
        found = expected_iou(first, second, agreed)
        assert ((found >= 0) & (found <= 1)).all()
        more = [np.minimum(each + np.float32(0.1), 1) for each in (first, second, agreed)]
        for given_more in ((more[0], second, agreed), (first, more[1], agreed), (first, second, more[2])):
            assert (expected_iou(*given_more) >= found).all()

    def test_an_answer_unlike_the_first_is_trusted_less(self):
        seen = embed(Wild())
        first = answer(seen, Wild(), **clicks((16.5, 16.5)), connected=True)
        torn = answer(seen, Torn(), **clicks((16.5, 16.5)), connected=True)
        assert first.iou[0] == 1
        assert torn.iou[0] == pytest.approx(FIRST + SECOND + AGREED / 2 - LESS)

    @pytest.mark.parametrize(("best", "taken"), [(0.72, OBJECT), (0.9, LABELS > 0)])
    def test_a_click_in_doubt_is_looked_at_twice(self, best, taken, monkeypatch):
        monkeypatch.setattr("geosam.masks.answers.keep_islands", lambda mask, *_: mask.logits)
        network = Unsure(best)
        lone = clicks((16.5, 16.5))
        seen = _ask_lone(embed(network), network, lone["points"], lone["labels"])
        assert ((seen.masks[0].logits > 0) == taken).all()

    def test_what_is_asked_once_more_is_a_little_likelier(self):
        network = Timid()
        (found,) = answer(embed(network), network, **clicks((16, 16)), connected=True).masks
        assert np.array_equal(found.logits > 0, OBJECT)
        box = {"boxes": np.float32([[8, 8, 24, 24]]), "multimask": False}
        nothing = clicks((0, 0), labels=[-1])
        (found,) = answer(embed(network), network, **nothing, **box, connected=False).masks  # as it was sharpened
        assert (found.logits > 0).sum() == OBJECT.sum() - 16

    def test_an_inside_click_adds_no_more_than_its_distance_says(self):
        network = Wild()
        seen = embed(network)
        first = answer(seen, network, **clicks((12.5, 16.5)), connected=True)
        assert ((first.masks[0].logits > 0) == OBJECT).all()
        second = answer_correction(seen, network, first, **clicks((12.5, 16.5), (26.5, 16.5)))  # 3 cells beside it
        away = ndimage.distance_transform_edt(~OBJECT)
        assert ((second.masks[0].logits > 0) == (away < 3 * REACH)).all()
        assert not (second.masks[0].logits[:, 40:56] > 0).any()  # its neighbour stays out

    def test_an_outside_click_takes_away_no_more_than_its_distance_says(self):
        network = Wild()
        seen = embed(network)
        first = answer(seen, network, **clicks((12.5, 16.5)), connected=True)
        second = answer_correction(seen, network, first, **clicks((12.5, 16.5), (22.5, 16.5), labels=[1, 0]))
        away = ndimage.distance_transform_edt(OBJECT)
        assert ((second.masks[0].logits > 0) == (away >= 2 * REACH)).all()

    def test_where_nothing_is_wrong_nothing_is_kept_and_networks_that_do_not_sharpen_keep_nothing(self):
        for network, label in ((Wild(), -1), (Wild(sharpens=False), 1)):
            seen = embed(network)
            first = answer(seen, network, **clicks((12.5, 16.5)), connected=True)
            second = answer_correction(seen, network, first, **clicks((12.5, 16.5), (26.5, 16.5), labels=[1, label]))
            assert len(set((second.masks[0].logits > 0).ravel().tolist())) == 1

    def test_several_clicks_are_answered_as_if_given_one_after_another(self):
        network = Wild()
        seen = embed(network)
        places = (26.5, 16.5), (10.5, 10.5), (12.5, 16.5), (20.5, 20.5)
        together = answer_in_turn(seen, network, **clicks(*places, labels=[0, -1, 1, 1]))
        assert [asked["points"].shape[1] for asked in network.questions] == [
            1,
            1,
        ]  # once more in its box; none is wrong
        assert network.questions[1]["points"].tolist() == [[[12.5, 16.5]]]
        assert ((together.masks[0].logits > 0) == OBJECT).all()
        together = answer_in_turn(seen, network, **clicks((12.5, 16.5), (26.5, 16.5)))
        first = answer(seen, network, **clicks((12.5, 16.5)), connected=True)
        second = answer_correction(seen, network, first, **clicks((12.5, 16.5), (26.5, 16.5)))
        assert (together.masks[0].logits == second.masks[0].logits).all()

    def test_the_most_central_click_inside_is_answered_first(self):
        network = Wild()
        places = (9.5, 9.5), (16.5, 16.5), (22.5, 21.5), (70.5, 60.5)
        answer_in_turn(embed(network), network, **clicks(*places, labels=[1, 1, 1, 0]))
        assert network.questions[1]["points"].tolist() == [[[16.5, 16.5]]]

    @pytest.mark.parametrize("sharpens", [True, False])
    def test_prompts_of_several_clicks_are_answered_in_turn_by_networks_that_sharpen(self, sharpens):
        network = Wild(sharpens=sharpens)
        asked = clicks((12.5, 16.5), (26.5, 16.5))
        prompts = WindowPrompts(np.array([0]), asked["points"], asked["labels"])
        masks = segment_prompts(embed(network), network, prompts, np.ones(LABELS.shape, bool))
        questions = [(each["points"].shape[1], each.get("mask_logits") is not None) for each in network.questions]
        assert questions == ([(1, False), (1, False), (2, True), (2, True)] if sharpens else [(2, False)])
        assert masks.prompt_ids.tolist() == [0]
        assert masks.area_px[0] >= OBJECT.sum()
