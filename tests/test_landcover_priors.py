"""Shares of classes in a scene, found out from the scene."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="scikit-learn is an extra: geosam[landcover]")

from geosam.landcover import priors
from geosam.landcover.priors import EVEN, with_shares


@st.composite
def told(draw):
    """Probabilities of segments, and their sizes."""
    n, k = draw(st.integers(1, 30)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.dirichlet(np.full(k, draw(st.sampled_from([0.1, 1.0, 10.0]))), n), rng.uniform(1, 1000, n)


@settings(deadline=None)
@given(told())
def test_probabilities_and_shares_sum_to_one_and_no_class_is_lost(given):
    chances, area = given
    found, shares = with_shares(chances, area)
    assert found.sum(axis=1) == pytest.approx(1)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= EVEN / len(shares) - 1e-12).all()


@settings(deadline=None)
@given(told(), st.integers(0, 2**32 - 1))
def test_the_order_and_the_unit_of_segments_play_no_part(given, seed):
    chances, area = given
    order = np.random.default_rng(seed).permutation(len(area))
    found, shares = with_shares(chances, area)
    shuffled, same = with_shares(chances[order], area[order])
    assert np.array_equal(shares, same)
    assert np.array_equal(shuffled, found[order])
    assert with_shares(chances, 1024 * area)[1] == pytest.approx(shares)


@settings(deadline=None)
@given(told())
def test_what_is_beyond_doubt_stays(given):
    chances, area = given
    sure = np.eye(chances.shape[1])[chances.argmax(axis=1)]
    assert np.array_equal(with_shares(sure, area)[0], sure)


@settings(deadline=None)
@given(told())
def test_shares_have_settled(given):
    chances, area = given
    shares = with_shares(chances, area)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(priors, "ROUNDS", 2 * priors.ROUNDS)
        assert with_shares(chances, area)[1] == pytest.approx(shares, abs=1e-6)


def test_a_doubtful_segment_goes_with_what_most_of_the_scene_is():
    rng = np.random.default_rng(1)
    truth = rng.random(4000) < 0.1
    score = rng.normal(np.where(truth, 1.0, -1.0), 1.0)
    chances = 1 / (1 + np.exp(-2 * score))  # right where both are as frequent
    even = np.stack([1 - chances, chances], axis=1)
    found, shares = with_shares(even, np.ones(4000))
    assert ((found.argmax(axis=1) == 1) == truth).mean() > ((even.argmax(axis=1) == 1) == truth).mean() + 0.04
    assert 0.1 < shares[1] < 0.4, "between what is there and even"
