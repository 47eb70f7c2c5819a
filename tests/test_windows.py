"""Laws of the window plan."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geosam.errors import OptionError
from geosam.windows import WindowPlan


@st.composite
def plans(draw) -> WindowPlan:
    size = draw(st.integers(1, 40))
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    return WindowPlan(shape, size=size, overlap=draw(st.integers(0, size - 1)))


def _slices(window):
    return tuple(slice(start, stop) for start, stop in window.toranges())


@given(plans())
def test_cores_partition_the_grid(plan):
    owners = np.zeros(plan.shape, int)
    for planned in plan:
        owners[_slices(planned.core)] += 1
    assert (owners == 1).all()


@given(plans())
def test_windows_are_full_size_lie_on_the_grid_and_hold_their_core(plan):
    for planned in plan:
        (top, bottom), (left, right) = planned.window.toranges()
        assert (bottom - top, right - left) == (min(plan.size, plan.shape[0]), min(plan.size, plan.shape[1]))
        assert 0 <= top < bottom <= plan.shape[0]
        assert 0 <= left < right <= plan.shape[1]
        (core_top, core_bottom), (core_left, core_right) = planned.core.toranges()
        assert top <= core_top < core_bottom <= bottom
        assert left <= core_left < core_right <= right


@given(plans())
def test_asked_are_the_core_and_half_the_overlap_around_it_as_far_as_the_window_goes(plan):
    for planned in plan:
        near = np.zeros(plan.shape, bool)
        (top, bottom), (left, right) = planned.core.toranges()
        half = (plan.overlap + 1) // 2
        near[max(top - half, 0) : bottom + half, max(left - half, 0) : right + half] = True
        seen, asked = np.zeros(plan.shape, bool), np.zeros(plan.shape, bool)
        seen[_slices(planned.window)], asked[_slices(planned.asked)] = True, True
        assert np.array_equal(asked, near & seen)


@given(plans())
def test_neighbours_share_at_least_the_overlap(plan):
    assume(len(plan) < 2_000)  # as many pairs of them take minutes where other programs compute beside
    for i, j, strip in plan.neighbours():
        assert i < j
        if plan[i].row == plan[j].row:
            assert strip.width >= min(plan.overlap, plan.shape[1])
        if plan[i].col == plan[j].col:
            assert strip.height >= min(plan.overlap, plan.shape[0])


@given(plans(), st.data())
def test_the_best_window_shows_as_much_of_a_box_as_any(plan, data):
    x0, x1 = sorted(data.draw(st.tuples(st.floats(0, plan.shape[1]), st.floats(0, plan.shape[1]))))
    y0, y1 = sorted(data.draw(st.tuples(st.floats(0, plan.shape[0]), st.floats(0, plan.shape[0]))))

    def seen(planned):
        (top, bottom), (left, right) = planned.window.toranges()
        return max(0.0, min(right, x1) - max(left, x0)) * max(0.0, min(bottom, y1) - max(top, y0))

    best = plan[plan.best((x0, y0, x1, y1))]
    assert seen(best) == pytest.approx(max(seen(planned) for planned in plan))


def test_a_scene_of_2048_needs_nine_windows_of_1024():
    assert len(WindowPlan((2048, 2048), size=1024, overlap=128)) == 9


@pytest.mark.parametrize("overlap", [-1, 64, 65])
def test_a_senseless_overlap_is_refused(overlap):
    with pytest.raises(OptionError, match="overlap"):
        WindowPlan((100, 100), size=64, overlap=overlap)


@given(plans(), st.floats(-9, 160), st.floats(0, 160))
def test_windows_lie_where_evenly_spaced_numbers_are_rounded_to(plan, low, length):
    """What is computed one by one is what laying all of them out gives."""
    for n, axis in zip(plan.shape, plan._axes, strict=True):
        starts = np.round(np.linspace(0, n - axis.size, axis.count)).astype(int)
        assert [axis.start(position) for position in range(axis.count)] == starts.tolist()
        ends = starts + axis.size
        assert list(axis.meeting(low, low + length)) == np.flatnonzero((ends > low) & (starts <= low + length)).tolist()
        seen = np.minimum(ends, low + length) - np.maximum(starts, low)
        best = axis.best(low, low + length)
        assert seen[best] == seen.max()


def test_a_plan_of_any_size_is_counted_and_asked_without_laying_it_out():
    plan = WindowPlan((2**31, 2**31))
    assert plan.count == 2_396_745**2
    index = plan.best((2.0**30, 2.0**31 - 9, 2.0**30 + 9, 2.0**31))
    assert plan[index].row == 2_396_744
    assert [planned.index for planned in plan.meeting(plan[index].core)][4:5] == [index]


def test_an_empty_grid_is_refused():
    with pytest.raises(OptionError, match="at least one row"):
        WindowPlan((0, 5))
