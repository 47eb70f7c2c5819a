"""A judge of masks: what it is told, what it decides, and that it travels with its weights."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.errors import ModelError, OptionError
from geosam.masks.low_res import to_low_res
from geosam.masks.quality import measure, scored
from geosam.masks.suppression import Candidate, without_overlap
from geosam.models import build, load_model, to_predictor
from geosam.models.weights import read_sam, write_sam
from geosam.nano.quality_model import MEASURES, QualityModel
from geosam.nano.spec import NanoSpec
from geosam.segmenter import Capabilities, Quality, Recipe, check_recipe
from geosam.testing import TruthNetwork
from geosam.training.judging import fit

SHAPE = (80, 160)
"""A window of twice the masks' sampling."""


@dataclass(frozen=True)
class LikesLarge(TruthNetwork):
    """The perfect network, and a judge that looks at nothing but the area."""

    capabilities: Capabilities = Capabilities(scores=True)

    def score(self, measures):
        return measures[:, 4] / 20


def rectangle(x, y, w, h, **scores):
    logits = np.full((40, 80), -3, np.float32)
    logits[y : y + h, x : x + w] = 3
    return Candidate(to_low_res(logits), **({"predicted_iou": 0.5, "stability": 0.5, "prompt_id": 0} | scores))


def test_a_rectangle_measures_what_it_is():
    one = rectangle(10, 4, 16, 8, predicted_iou=0.7, stability=0.9, choice=1, consensus=0.25, in_roi=True)
    rim = 2 * (16 + 8) - 4 + 2 * (16 + 8) + 4 - 4  # inside its outline, and outside without the corners
    expected = [0.7, 0.25, 0.5, 0.9, np.log2(16 * 8 * 4), np.log(2), 1, np.log(rim**2 / 128), 0, 1, 0, 1, 0]
    (found,) = measure([one], SHAPE)
    assert found[[*range(7), *range(8, MEASURES)]] == pytest.approx(expected[:7] + expected[8:])
    assert found[7] == pytest.approx(expected[7], abs=0.2)
    assert measure([rectangle(0, 4, 16, 8), rectangle(64, 4, 16, 8)], SHAPE)[:, -1].tolist() == [1, 1]


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_mask_measures_the_same_lying_and_standing_and_whatever_lies_beside(seed):
    w, h, x, y = (int(v) for v in np.random.default_rng(seed).integers((1, 1, 1, 1), (15, 15, 20, 20)))
    lying, standing = rectangle(x, y, w, h), rectangle(y, x, h, w)
    both = measure([lying, standing], SHAPE)
    assert both[0] == pytest.approx(both[1])
    assert np.array_equal(measure([lying], SHAPE)[0], both[0])


def test_what_the_judge_prefers_is_laid_out_first():
    part, whole = rectangle(10, 4, 8, 8, predicted_iou=0.9), rectangle(10, 4, 16, 8, predicted_iou=0.4)
    assert without_overlap([part, whole], 0.2) == [part]
    (kept,) = without_overlap(scored([part, whole], LikesLarge(), SHAPE), 0.2)
    assert kept == replace(whole, expected_iou=kept.expected_iou)
    assert scored([], LikesLarge(), SHAPE) == []


def test_a_network_without_a_judge_is_one_clear_error():
    with pytest.raises(ModelError, match="no quality model"):
        scored([rectangle(10, 4, 8, 8)], TruthNetwork(), SHAPE)
    with pytest.raises(OptionError, match=r"recipe\.quality with 'truth'"):
        check_recipe(Recipe(quality=Quality(enabled=True)), TruthNetwork())


@pytest.fixture
def measures():
    return np.random.default_rng(3).normal(size=(3000, MEASURES))


def test_a_judge_learns_what_makes_an_object_and_is_drawn_to_the_mean_where_it_cannot_know(measures):
    reached = 0.5 + 0.1 * measures[:, 0] - 0.1 * measures[:, 2] * measures[:, 3]
    learned, chance = fit({"a": (measures, reached)}), fit({"a": (measures, np.random.default_rng(4).random(3000))})
    assert np.corrcoef(learned.judge(measures), reached)[0, 1] > 0.98
    assert chance.judge(measures).std() < 0.1
    assert np.array_equal(learned.judge(measures)[7:9], learned.judge(measures[7:9]))


def test_a_constant_measure_and_many_rows_of_one_source_harm_nothing(measures):
    measures[:, 5] = 2.0
    few, many = (measures[:40], np.full(40, 0.9)), (measures[40:], np.full(2960, 0.1))
    found = fit({"few": few, "many": many}).judge(measures)
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx((40**0.5 * 0.9 + 2960**0.5 * 0.1) / (40**0.5 + 2960**0.5), abs=0.02)


def test_a_judge_travels_with_its_weights(tmp_path, measures):
    sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    spec = NanoSpec("small", "conv", sizes, side=128, width=32, decoder_sizes={"mlp": 32, "heads": 4, "iou_hidden": 16})
    without = to_predictor(build(spec), "small")
    assert not without.capabilities.scores
    with pytest.raises(ModelError, match="no quality model"):
        without.score(measures)
    sam = build(replace(spec, judged=True))
    sam.mask_judge = fit({"a": (measures, measures[:, 1])})
    write_sam(sam, tmp_path / "judging.safetensors")
    read = to_predictor(read_sam(tmp_path / "judging.safetensors"), "read")
    assert read.capabilities.scores
    assert np.array_equal(read.score(measures), sam.mask_judge.judge(measures))
    assert isinstance(QualityModel().judge(measures), np.ndarray)


def test_the_built_in_model_judges_its_masks():
    model = load_model("nano")
    assert model.capabilities.scores
    assert model.recipe.quality.enabled
