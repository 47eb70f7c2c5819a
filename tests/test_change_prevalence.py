"""How many objects of a pair are damaged, found out from the pair."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.change import prevalence
from geosam.change.damage import FATES, GRADES, OrdinalModel, cumulative, default_fates, default_grades
from geosam.change.measures import MEASURES, Measured
from geosam.change.prevalence import with_prevalence
from geosam.change.status import probabilities_of, tell_fates

COUNTS = dict(zip(GRADES, (70, 5, 5, 20), strict=True))


def model(levels=GRADES, labels=None):
    thresholds = tuple(float(k) for k in range(1, len(levels)))
    return OrdinalModel(
        tuple(levels), ("colour_change",), (0.0,), (0.1,), (2.0,), thresholds, origin={"labels": labels}
    )


@st.composite
def told(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.dirichlet(np.full(4, draw(st.sampled_from([0.05, 1.0, 5.0]))), draw(st.integers(1, 60)))


@settings(deadline=None)
@given(told())
def test_rows_sum_to_one_and_the_share_lies_between_the_labels_and_the_pair(chances):
    found, share = with_prevalence(chances, model(labels=COUNTS))
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found >= 0).all()
    n, worth = len(chances), prevalence.WORTH
    assert 0.3 <= share <= (n + worth * 0.3) / (n + worth)
    if share > 0.3:
        agreed = (found[:, 1:].sum() + worth * 0.3) / (n + worth)
        assert share == pytest.approx(agreed, abs=1e-3), "it agrees with itself"
    else:
        assert found is chances


@settings(deadline=None)
@given(told(), st.integers(0, 2**32 - 1))
def test_the_order_of_objects_plays_no_part(chances, seed):
    order = np.random.default_rng(seed).permutation(len(chances))
    found, share = with_prevalence(chances, model(labels=COUNTS))
    shuffled, same = with_prevalence(chances[order], model(labels=COUNTS))
    assert share == same
    assert np.array_equal(shuffled, found[order])


@settings(deadline=None)
@given(told())
def test_objects_keep_their_order_and_levels_their_proportions(chances):
    found, _ = with_prevalence(chances, model(labels=COUNTS))
    before, after = (each[:, 1:].sum(axis=1) for each in (chances, found))
    order = np.argsort(before)
    assert (np.diff(after[order]) >= -1e-9).all()
    sure = before > 1e-3
    assert found[sure, 3] / after[sure] == pytest.approx(chances[sure, 3] / before[sure], abs=1e-6)


def test_a_larger_share_than_that_of_the_labels_is_found():
    rng = np.random.default_rng(4)
    for share in (0.05, 0.5, 0.9):
        truth = rng.random(500) < share
        score = rng.normal(np.where(truth, 1.5, -1.5), 1.0)
        odds = np.exp(3 * score) * 0.3 / 0.7  # honest where three in ten are damaged
        chances = np.stack([1 / (1 + odds), *[odds / (1 + odds) / 3] * 3], axis=1)
        found, told_share = with_prevalence(chances, model(labels=COUNTS))
        assert told_share == pytest.approx(max(share, 0.3), abs=0.05), "a smaller one is not taken"
        assert ((found[:, 0] < 0.5) == truth).mean() >= ((chances[:, 0] < 0.5) == truth).mean()


def test_one_object_says_little():
    chances = np.array([[0.4, 0.2, 0.2, 0.2]])
    found, share = with_prevalence(chances, model(labels=COUNTS))
    assert 0.3 < share <= 0.41
    assert 0.28 < found[0, 0] < 0.4


@pytest.mark.parametrize("labels", [None, {}, dict.fromkeys(GRADES, 0), {"none": 9}, {"destroyed": 9}, "many"])
def test_a_model_that_does_not_say_how_many_were_damaged_changes_nothing(labels):
    chances = np.array([[0.4, 0.2, 0.2, 0.2]] * 9)
    assert with_prevalence(chances, model(labels=labels))[0] is chances


def test_no_objects_have_no_share():
    assert with_prevalence(np.zeros((0, 4)), model(labels=COUNTS))[0].shape == (0, 4)


def test_objects_that_were_not_seen_do_not_count():
    values = np.full((40, len(MEASURES)), np.nan, np.float32)
    values[:, 0] = np.linspace(0, 0.4, 40)
    seen = np.arange(40) < 30
    fates = replace(model(FATES, {"kept": 80, "changed": 15, "gone": 5}))
    part = probabilities_of(values[seen], np.ones(30, bool), fates)
    whole = probabilities_of(values, seen, fates)
    assert np.array_equal(whole[seen], part)
    assert np.array_equal(whole[~seen], cumulative(fates.score(values[~seen]), fates.thresholds, fates.slope))
    told = tell_fates(Measured(values, np.where(seen, 0, 1).astype(np.float32)), fates)
    assert (told.status[~seen] == "unseen").all()


def test_the_packages_models_say_how_many_were_damaged():
    for each in (default_grades(), default_fates()):
        assert 0 < with_prevalence(np.full((3, len(each.levels)), 1 / len(each.levels)), each)[1] < 1
