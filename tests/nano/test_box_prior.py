"""Masks that are drawn to the sides of their boxes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.nano.box_prior import reach_sides
from geosam.nano.recipe import BOXES

H, W = 24, 32
BOX = torch.tensor([[4.0, 3, 28, 21]])
seeds = st.integers(0, 10_000)
MORE = BOXES.bias


def drawn(logits, boxes):
    """What the built-in model makes of masks in boxes."""
    return reach_sides(logits, boxes, BOXES)


def within(box):
    """Cells in a box."""
    x0, y0, x1, y1 = (int(v) for v in box[0])
    cells = torch.zeros(1, H, W, dtype=torch.bool)
    cells[:, max(y0, 0) : y1, max(x0, 0) : x1] = True
    return cells


def bar(x0, y0, x1, y1, *, around=-1.0):
    """A rectangle whose outline is in doubt: 4 inside, ``around`` about it."""
    logits = torch.full((1, H, W), around)
    logits[:, y0:y1, x0:x1] = 4
    return logits


class TestReaching:
    def test_a_mask_that_reaches_all_sides_is_a_little_likelier_in_its_box_and_less_beyond(self):
        mask, box = bar(4, 3, 28, 21), within(BOX)
        change = drawn(mask, BOX) - mask
        assert (change[box] == MORE).all()
        assert (change[~box] < MORE).all()
        assert (change[0, 12, 28:].diff() <= 0).all()

    def test_a_side_that_is_not_reached_draws_the_mask_and_the_others_do_not(self):
        short = bar(4, 3, 22, 21)  # a quarter of the box is missing to the right
        inside = drawn(short, BOX)[0] > 0
        assert inside[12, :28].sum() == 24
        assert not inside[:, :4].any()
        assert not inside[:3].any()

    def test_what_the_picture_rules_out_stays_out(self):
        short = bar(4, 3, 22, 21, around=-8.0)
        assert torch.equal(drawn(short, BOX) > 0, short > 0)

    def test_a_box_that_is_loose_on_all_sides_draws_to_none(self):
        small = bar(8, 6, 24, 18)  # a sixth of the box away from each side
        change = (drawn(small, BOX) - small)[within(BOX)]
        assert torch.allclose(change, change[0].expand_as(change))
        assert change.max() < 0

    def test_a_side_beyond_the_edge_counts_as_reached(self):
        for mask, sides in ((bar(4, 3, W, 21), [4.0, 3, W + 30, 21]), (bar(0, 3, 28, 21), [-30.0, 3, 28, 21])):
            box = torch.tensor([sides])
            assert ((drawn(mask, box) - mask)[within(box)] == MORE).all()

    def test_without_a_box_or_a_mask_in_it_nothing_changes(self):
        mask, empty = bar(8, 6, 20, 18), torch.full((1, H, W), -3.0)
        assert torch.equal(drawn(mask, torch.full((1, 4), torch.nan)), mask)
        assert torch.equal(drawn(empty, BOX), empty)
        assert torch.equal(drawn(mask, torch.tensor([[25.0, 3, 28, 21]])), mask)
        assert torch.equal(drawn(mask, torch.tensor([[9.0, 9, 9, 9]])), mask)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_a_mirrored_or_turned_picture_has_the_mirrored_or_turned_answer(seed):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, H, W, generator=draw)
    low = torch.rand(3, 2, generator=draw) * torch.tensor([W / 2, H / 2])
    boxes = torch.cat([low, low + 2 + torch.rand(3, 2, generator=draw) * torch.tensor([W / 2, H / 2])], 1)
    found = drawn(logits, boxes)
    x0, y0, x1, y1 = boxes.T
    mirrored = drawn(logits.flip(2), torch.stack([W - x1, y0, W - x0, y1], 1))
    turned = drawn(logits.transpose(1, 2), torch.stack([y0, x0, y1, x1], 1))
    assert torch.allclose(mirrored.flip(2), found, atol=1e-3)
    assert torch.allclose(turned.transpose(1, 2), found, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.integers(1, 5))
def test_each_mask_is_answered_as_if_it_were_alone(seed, count):
    draw = torch.Generator().manual_seed(seed)
    logits, boxes = (
        torch.randn(count, H, W, generator=draw),
        BOX.repeat(count, 1) + torch.rand(count, 4, generator=draw),
    )
    found = drawn(logits, boxes)
    for row in range(count):
        assert torch.equal(drawn(logits[row : row + 1], boxes[row : row + 1])[0], found[row])
