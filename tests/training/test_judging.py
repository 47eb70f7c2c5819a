"""The judge of masks, fitted to a network on labelled pictures."""

import numpy as np
import pytest

from geosam.embeddings import embed
from geosam.evaluation import looks
from geosam.evaluation.sets import list_pictures
from geosam.masks.everything import find_candidates
from geosam.models import load_model, to_predictor
from geosam.training import judging


@pytest.fixture
def network():
    """The built-in model, whose judge is replaced."""
    return load_model("nano").sam


@pytest.mark.slow
def test_the_rows_are_masks_on_objects_and_the_judge_is_asked_from_then_on(data, network):
    after = judging.with_judge(network, data)
    assert after.spec.judged
    assert not after.mask_judge.form.equal(network.mask_judge.form)
    model = to_predictor(after, "judging")
    seen = list(looks(list_pictures(data / "train")))
    rows = judging.rows_of(model, seen)
    assert set(rows) == {"fields", "roofs"}
    measures, reached = (np.concatenate(each) for each in zip(*rows.values(), strict=True))
    assert ((reached > judging.LEAST_IOU) & (reached <= 1)).all()
    assert abs(np.mean(model.score(measures) - reached)) < 0.05
    chip = seen[0].chip()
    found = find_candidates(embed(chip, model), model, chip.valid, model.recipe)
    assert found
    assert all(one.ranking_score == one.expected_iou for one in found)


def test_a_network_that_finds_nothing_of_what_is_drawn_gets_no_judge(data, network, monkeypatch):
    monkeypatch.setattr(judging, "LEAST_IOU", 1.0)
    after = judging.with_judge(network, data)
    assert after.mask_judge is None
    assert not after.spec.judged
