"""Prompts and windows: each prompt to one window, each window's prompts as arrays."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import features
from rasterio.windows import Window

from geosam.errors import PromptError
from geosam.prompts import Prompt, WindowPrompts, assign
from geosam.prompts.rendering import INSIDE, OUTSIDE, render
from geosam.windows import WindowPlan

LOGITS = (16, 16)
IRREGULAR = st.integers(-10_000, 40_000).map(
    lambda number: number / 1000 + 1 / 7919
)  # no edge through a sample's centre


def click(row: int, *xy: tuple[float, float], labels: list[int] | None = None) -> Prompt:
    return Prompt(row, row, np.array(xy, float), np.array(labels or [1] * len(xy)))


def box(row: int, *corners: float) -> Prompt:
    return Prompt(row, row, box_px=np.array(corners, float))


def outline(row: int, polygon: shapely.Geometry) -> Prompt:
    inside = shapely.get_coordinates(polygon.representative_point())
    return Prompt(row, row, inside, np.ones(1, np.int64), polygon_px=polygon)


def plans_for(shape: tuple[int, int], size: int, overlap: int, levels: int = 3) -> list[WindowPlan]:
    return [WindowPlan((-(-shape[0] // 2**level), -(-shape[1] // 2**level)), size, overlap) for level in range(levels)]


@st.composite
def cases(draw) -> tuple[list[Prompt], list[WindowPlan]]:
    shape = draw(st.tuples(st.integers(20, 400), st.integers(20, 400)))
    plans = plans_for(
        shape, size := draw(st.integers(16, 128)), draw(st.integers(0, size // 2)), draw(st.integers(1, 3))
    )
    x, y = st.floats(0, shape[1]), st.floats(0, shape[0])
    prompts = []
    for row in range(draw(st.integers(1, 12))):
        xs, ys = sorted([draw(x), draw(x)]), sorted([draw(y), draw(y)])
        kind = draw(st.sampled_from(["click", "clicks", "box", "outline"]))
        if kind == "click":
            prompts.append(click(row, (xs[0], ys[0])))
        elif kind == "clicks":
            prompts.append(click(row, (xs[0], ys[0]), (xs[1], ys[1]), (xs[0], ys[1]), labels=[1, 1, 0]))
        elif kind == "outline" and xs[1] - xs[0] > 1 and ys[1] - ys[0] > 1:
            prompts.append(outline(row, shapely.box(xs[0], ys[0], xs[1], ys[1])))
        else:
            prompts.append(box(row, xs[0], ys[0], xs[1], ys[1]))
    return prompts, plans


@given(cases())
@settings(deadline=None)
def test_each_prompt_goes_to_one_window_that_contains_its_anchor(case):
    prompts, plans = case
    assigned = assign(prompts, plans)
    assert sorted(prompt.row for group in assigned.values() for prompt in group) == list(range(len(prompts)))
    for (level, index), group in assigned.items():
        window = plans[level][index].window
        for prompt in group:
            x, y = (value / 2**level for value in prompt.anchor_px)
            assert window.col_off <= x <= window.col_off + window.width
            assert window.row_off <= y <= window.row_off + window.height


@given(cases(), st.integers(1, 5))
@settings(deadline=None)
def test_the_groups_of_a_window_hold_every_prompt_once(case, batch):
    prompts, plans = case
    for (level, index), group in assign(prompts, plans).items():
        window = plans[level][index].window
        arrays = list(WindowPrompts.for_window(group, window, scale=0.5**level, logits_shape=LOGITS, batch=batch))
        assert sorted(np.concatenate([part.rows for part in arrays]).tolist()) == [prompt.row for prompt in group]
        for part in arrays:
            assert 1 <= len(part) <= batch
            extent = np.array([window.width, window.height])
            assert ((part.batch.points >= 0) & (part.batch.points < extent)).all()
            assert part.batch.boxes is not None or (part.batch.labels == 1).any(axis=1).all()
            if part.batch.boxes is not None:
                assert (part.batch.boxes[:, :2] <= part.batch.boxes[:, 2:]).all()
                assert ((part.batch.boxes >= 0) & (part.batch.boxes <= np.tile(extent, 2))).all()


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_prompts_does_not_matter(case, random):
    prompts, plans = case
    shuffled = random.sample(prompts, len(prompts))
    one, other = assign(prompts, plans), assign(shuffled, plans)
    assert list(one) == list(other)
    assert [[prompt.row for prompt in group] for group in one.values()] == [[p.row for p in g] for g in other.values()]


def test_the_finest_level_that_shows_the_whole_object_is_chosen():
    plans = plans_for((1024, 1024), 256, 64)
    assigned = assign([box(0, 300, 300, 340, 340), box(1, 300, 300, 600, 340), box(2, 10, 10, 1000, 1000)], plans)
    assert {prompt.row: level for (level, _), group in assigned.items() for prompt in group} == {0: 0, 1: 1, 2: 2}


def test_levels_below_the_first_are_left_out():
    plans = plans_for((1024, 1024), 256, 64)
    assert list(assign([click(0, (10, 10))], plans, first=1)) == [(1, 0)]
    with pytest.raises(PromptError, match="level 3"):
        assign([click(0, (10, 10))], plans, first=3)


def test_a_box_as_wide_as_the_window_needs_no_context_beyond_the_scene():
    assert list(assign([box(0, 0, 0, 256, 200)], plans_for((256, 256), 256, 64))) == [(0, 0)]


def test_a_window_beside_a_seam_is_chosen_by_what_it_shows():
    plan = WindowPlan((256, 1000), 256, 64)
    ((_, index),) = assign([box(0, 250, 100, 300, 140)], [plan])
    window = plan[index].window
    assert window.col_off < 250 - 10
    assert window.col_off + window.width > 300 + 10


def test_far_negative_points_do_not_push_an_object_to_a_coarser_level():
    prompt = click(0, (10, 10), (900, 900), labels=[1, 0])
    plans = plans_for((1024, 1024), 256, 64)
    assert list(assign([prompt], plans)) == [(0, 0)]
    (group,) = WindowPrompts.for_window([prompt], plans[0][0].window, logits_shape=LOGITS)
    assert group.batch.labels.tolist() == [[1]]


def test_without_a_plan_there_is_an_error():
    with pytest.raises(PromptError, match="no window plan"):
        assign([click(0, (1, 1))], [])


# --- arrays


def test_coordinates_are_those_of_the_window_on_its_level():
    prompts, window = [click(0, (100, 60)), box(1, 100, 60, 120, 80)], Window(40, 20, 64, 64)
    boxed, clicked = WindowPrompts.for_window(prompts, window, scale=0.5, logits_shape=LOGITS)
    assert clicked.batch.points.tolist() == [[[10, 10]]]
    assert boxed.batch.boxes.tolist() == [[10, 10, 20, 20]]
    assert boxed.batch.points.shape == (1, 0, 2)


def test_prompts_are_grouped_by_kind_and_number_of_points_so_that_nothing_is_padded():
    prompts = [
        click(0, (1, 1)),
        box(1, 1, 1, 5, 5),
        click(2, (2, 2), (3, 3)),
        outline(3, shapely.box(1, 1, 9, 9)),
        click(4, (4, 4)),
    ]
    groups = list(WindowPrompts.for_window(prompts, Window(0, 0, 64, 64), logits_shape=LOGITS))
    assert sorted(group.rows.tolist() for group in groups) == [[0, 4], [1], [2], [3]]
    assert all((group.batch.labels >= 0).all() for group in groups)
    assert [group.batch.mask_logits is not None for group in groups if group.rows[0] == 3] == [True]


def test_a_polygon_cut_by_its_window_is_shown_as_far_as_it_goes():
    large = Prompt(0, 0, np.array([[300.0, 50.0]]), np.ones(1, np.int64), polygon_px=shapely.box(-100, 20, 400, 80))
    (group,) = WindowPrompts.for_window([large], Window(0, 0, 64, 100), logits_shape=(50, 32))
    assert group.batch.boxes.tolist() == [[0, 20, 64, 80]]
    assert shapely.contains_xy(shapely.box(0, 20, 64, 80), *group.batch.points[0].T).all()
    assert (group.batch.mask_logits[0] > 0).sum() == 32 * 30


def test_a_prompt_outside_the_window_is_refused():
    for prompt in (click(0, (100, 1)), box(0, 100, 1, 110, 9), outline(0, shapely.box(100, 1, 110, 9))):
        with pytest.raises(PromptError, match="outside window"):
            list(WindowPrompts.for_window([prompt], Window(0, 0, 64, 64), logits_shape=LOGITS))


# --- rendering


@given(st.lists(st.tuples(IRREGULAR, IRREGULAR), min_size=4, max_size=9, unique=True))
@settings(max_examples=60, deadline=None)
def test_rendered_polygons_agree_with_gdal(corners):
    parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(corners)))
    polygon = shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])
    exact = np.zeros((32, 32), np.uint8)
    if not polygon.is_empty:
        exact = features.rasterize([(polygon, 1)], out_shape=(32, 32), dtype="uint8")
    covered = exact.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    logits = render(np.array([polygon]), (32, 32), (16, 16))[0]
    assert (logits == OUTSIDE + covered * (INSIDE - OUTSIDE)).all()


def test_a_hole_stays_a_hole():
    ring = shapely.box(8, 8, 56, 56) - shapely.box(24, 24, 40, 40)
    logits = render(np.array([ring]), (64, 64), LOGITS)[0]
    assert logits[8, 8] == OUTSIDE
    assert (logits > 0).sum() == 12 * 12 - 4 * 4


def test_a_polygon_smaller_than_a_sample_does_not_vanish():
    tiny = outline(0, shapely.box(33.1, 17.1, 33.4, 17.4))
    (group,) = WindowPrompts.for_window([tiny], Window(0, 0, 64, 64), logits_shape=LOGITS)
    assert group.batch.mask_logits[0, 4, 8] == INSIDE
    assert (group.batch.mask_logits > 0).sum() == 1


# --- many


@pytest.mark.parametrize("make", ["click", "box"])
def test_thousands_of_prompts_are_answered_once_each(make):
    places = np.random.default_rng(0).uniform(0, 8000, (2000, 2))
    if make == "click":
        prompts = [click(row, (x, y)) for row, (x, y) in enumerate(places.tolist())]
    else:
        prompts = [box(row, x, y, x + 20, y + 20) for row, (x, y) in enumerate(places.tolist())]
    plans = plans_for((8192, 8192), 1024, 128)
    assigned = assign(prompts, plans)
    count = 0
    for (level, index), group in assigned.items():
        for part in WindowPrompts.for_window(
            group, plans[level][index].window, scale=0.5**level, logits_shape=(256, 256)
        ):
            count += len(part)
    assert count == 2000
    assert len(assigned) <= sum(len(plan) for plan in plans)
