"""Accuracy and areas: the papers' worked examples, and what must hold for any sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.errors import LandcoverError
from geosam.landcover.accuracy import accuracy, accuracy_of_matrix

CLOSE = {"rel": 1e-4}


@pytest.fixture(scope="module")
def olofsson_2014():
    """Olofsson et al. 2014, table 8: deforestation, gain, stable forest, stable non-forest; pixels of 0.09 ha."""
    matrix = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    return accuracy_of_matrix(matrix, 0.09 * np.array([200000, 150000, 3200000, 6450000]))


@pytest.fixture(scope="module")
def olofsson_2013():
    return accuracy_of_matrix([[97, 0, 3], [3, 279, 18], [2, 1, 97]], [22353, 1122543, 610228], unit="px")


def test_overall_accuracy_of_the_example_of_2014(olofsson_2014):
    overall = olofsson_2014.overall
    assert (overall.value, 1.96 * overall.se) == (pytest.approx(0.946512, **CLOSE), pytest.approx(0.018476, rel=1e-3))


def test_users_and_producers_accuracy_of_the_example_of_2014(olofsson_2014):
    classes = olofsson_2014.classes
    assert classes.users.tolist() == pytest.approx([0.88, 0.733333, 0.927273, 0.963077], **CLOSE)
    assert (1.96 * classes.users_se).round(4).tolist() == [0.0740, 0.1008, 0.0397, 0.0205]
    assert classes.producers.round(4).tolist() == [0.7487, 0.8472, 0.9345, 0.9616]
    assert (1.96 * classes.producers_se).round(4).tolist() == [0.2133, 0.2544, 0.0343, 0.0184]


def test_areas_of_the_example_of_2014(olofsson_2014):
    classes = olofsson_2014.classes
    assert classes.area.tolist() == pytest.approx([21157.8, 11686.2, 285769.9, 581386.2], **CLOSE)
    assert (1.96 * classes.area_se).tolist() == pytest.approx([6157.6, 3755.8, 15509.8, 16281.7], **CLOSE)


def test_the_example_of_2013(olofsson_2013):
    classes = olofsson_2013.classes
    assert classes.area.tolist() == pytest.approx([45112, 1050067, 659944], **CLOSE)
    assert (1.96 * classes.area_se).tolist() == pytest.approx([21073, 34598, 36526], **CLOSE)
    assert olofsson_2013.overall.value == pytest.approx(0.9444, **CLOSE)
    assert round(1.96 * olofsson_2013.overall.se, 4) == 0.0219
    assert classes.users.tolist() == pytest.approx([0.97, 0.93, 0.97])
    assert classes.producers.round(4).tolist() == [0.4806, 0.9942, 0.8969]


def test_places_and_their_matrix_say_the_same():
    matrix = np.array([[8, 2], [1, 9]])
    mapped, reference = np.repeat([0, 0, 1, 1], matrix.ravel()), np.repeat([0, 1, 0, 1], matrix.ravel())
    one = accuracy(mapped, reference, {0: 3.0, 1: 7.0})
    other = accuracy_of_matrix(matrix, [3.0, 7.0], names=[0, 1])
    assert one.classes.equals(other.classes)


def test_strata_that_are_the_maps_classes_change_nothing():
    rng = np.random.default_rng(1)
    mapped, reference = rng.integers(0, 3, (2, 90))
    areas = {0: 10.0, 1: 20.0, 2: 70.0}
    one, other = (
        accuracy(mapped, reference, areas),
        accuracy(mapped, reference, areas, strata=mapped, strata_areas=areas),
    )
    assert one.classes.equals(other.classes)


def test_strata_that_are_not_the_maps_classes_are_unbiased():
    """Over many samples of a population the mean is the truth, and intervals hold it as often as they say."""
    rng = np.random.default_rng(7)
    sizes, draws = np.array([4000, 3000, 2000, 1000]), 30
    stratum = np.repeat(np.arange(4), sizes)
    truth = (rng.random(10000) < np.array([0.2, 0.5, 0.7, 0.9])[stratum]).astype(int)
    mapped = np.where(rng.random(10000) < 0.85, truth, 1 - truth)
    area, right = truth.mean(), (truth == mapped).mean()
    producers = ((truth == 1) & (mapped == 1)).sum() / (truth == 1).sum()
    held, found = np.zeros(3), []
    for _ in range(400):
        picked = np.concatenate([rng.choice(np.flatnonzero(stratum == h), draws, replace=False) for h in range(4)])
        share = {name: float((mapped == name).sum()) for name in (0, 1)}
        got = accuracy(
            mapped[picked],
            truth[picked],
            share,
            strata=stratum[picked],
            strata_areas=dict(enumerate(map(float, sizes))),
        )
        row = got.classes.loc[1]
        found.append((row.area / 10000, got.overall.value, row.producers))
        bounds = [(row.area_low / 10000, row.area_high / 10000), (got.overall.low, got.overall.high)]
        bounds.append((row.producers_low, row.producers_high))
        held += [low <= one <= high for (low, high), one in zip(bounds, (area, right, producers), strict=True)]
    assert np.abs(np.mean(found, axis=0) - (area, right, producers)).max() < 0.01
    assert (held / 400 > 0.91).all()


def test_simple_random_samples_have_intervals():
    got = accuracy(list("aabbbb" * 5), list("aabbba" * 5), {"a": 1.0, "b": 2.0}, design="simple")
    assert got.overall.se > 0
    assert (got.classes.area_high > got.classes.area_low).all()
    assert got.classes.area.sum() == pytest.approx(3.0)


def test_sorting_a_simple_sample_into_strata_afterwards_is_not_taken_for_a_stratified_one():
    rng = np.random.default_rng(3)
    mapped = rng.choice(2, 80, p=[0.1, 0.9])
    reference = np.where(rng.random(80) < 0.8, mapped, 1 - mapped)
    areas = {0: 0.1, 1: 0.9}
    before, after = (accuracy(mapped, reference, areas, design=one) for one in ("stratified", "poststratified"))
    assert after.classes.users.tolist() == before.classes.users.tolist()
    assert after.overall.value == pytest.approx(before.overall.value)
    assert after.overall.se != before.overall.se


def test_places_that_all_agree_are_no_certainty():
    got = accuracy(list("aaabbb"), list("aaabbb"), {"a": 1.0, "b": 1.0})
    assert (got.overall.interval, got.overall.high) == ("wilson", 1.0)
    assert got.overall.low < 0.7
    assert (got.classes.users_low < 0.6).all()
    assert (got.classes.area_high > got.classes.area_low).all()


@st.composite
def samples(draw):
    size = draw(st.integers(2, 5))
    matrix = np.array(
        draw(st.lists(st.lists(st.integers(0, 30), min_size=size, max_size=size), min_size=size, max_size=size))
    )
    matrix[np.arange(size), np.arange(size)] += 2
    return matrix, np.array(draw(st.lists(st.floats(0.01, 1e6), min_size=size, max_size=size)))


@settings(max_examples=40, deadline=None)
@given(samples())
def test_shares_and_areas_add_up(sample):
    matrix, areas = sample
    got = accuracy_of_matrix(matrix, areas)
    assert got.shares.to_numpy().sum() == pytest.approx(1)
    assert got.classes.area.sum() == pytest.approx(areas.sum())
    assert got.shares.sum(axis=1).to_numpy() * areas.sum() == pytest.approx(areas)
    for name in ("users", "producers", "area"):
        value, low, high = (got.classes[f"{name}{part}"] for part in ("", "_low", "_high"))
        assert ((low <= value + 1e-9) & (value <= high + 1e-9) & (low < high)).all()


@settings(max_examples=20, deadline=None)
@given(samples(), st.randoms())
def test_the_order_of_classes_plays_no_part(sample, random):
    matrix, areas = sample
    order = list(range(len(areas)))
    random.shuffle(order)
    one = accuracy_of_matrix(matrix, areas, names=range(len(areas)))
    other = accuracy_of_matrix(matrix[order][:, order], areas[order], names=order)
    assert one.classes.to_numpy() == pytest.approx(other.classes.loc[one.classes.index].to_numpy())


@pytest.mark.parametrize(
    ("mapped", "reference", "areas"),
    [
        ([], [], {"a": 1.0}),
        (["a"], ["a", "a"], {"a": 1.0}),
        (["a", "a", "c"], ["a", "a", "a"], {"a": 1.0}),
        (["a", "a", "b"], ["a", "a", "b"], {"a": 1.0, "b": 1.0}),
        (["a", "a"], ["a", "a"], {"a": 1.0, "b": 1.0}),
        (["a", "a"], ["a", None], {"a": 1.0}),
        (["a", "a"], ["a", "a"], {"a": -1.0}),
        (["a", "a"], ["a", "a"], {"a": 0.0}),
    ],
)
def test_what_allows_no_estimate_is_refused(mapped, reference, areas):
    with pytest.raises(LandcoverError):
        accuracy(mapped, reference, areas)


def test_no_half_width_of_the_table_is_zero_where_few_places_agree():
    table = accuracy_of_matrix([[20, 0], [0, 30]], [40, 60], names=["a", "b"]).table()
    assert (table[["± users", "± producers", "± ha"]] > 0).all(axis=None)
    mixed = accuracy_of_matrix([[16, 4], [3, 27]], [40, 60], names=["a", "b"])
    assert mixed.table()["± users"]["a"] == round(100 * 1.96 * mixed.classes.users_se["a"], 1)


def test_kappa_only_when_asked():
    matrix = [[8, 2], [1, 9]]
    assert accuracy_of_matrix(matrix, [1, 1]).kappa is None
    assert accuracy_of_matrix(matrix, [1, 1], kappa=True).kappa == pytest.approx(0.7)


def test_the_example_of_stehman_2014():
    """Four strata of a former map; the paper's numbers, as it prints them."""
    reference = list("AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB")
    mapped = list("AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD")
    strata, sizes = np.repeat([1, 2, 3, 4], 10), {1: 40000, 2: 30000, 3: 20000, 4: 10000}
    share = dict.fromkeys("ABCD", 25000)
    got = accuracy(mapped, reference, share, strata=strata, strata_areas=sizes)
    row = got.classes.loc["B"]
    assert [round(one, 3) for one in (got.overall.value, got.overall.se)] == [0.63, 0.085]
    assert [round(got.classes.loc["A", name] / 100000, 3) for name in ("area", "area_se")] == [0.35, 0.082]
    assert [round(one, 3) for one in (row.users, row.users_se)] == [0.574, 0.125]
    assert round(row.producers, 3) == 0.794
