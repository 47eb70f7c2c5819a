"""What a sharpener is shown while it learns."""

import pytest
import torch

from geosam.sam.mask_sharpener import MaskSharpener
from geosam.sam.model.canvas import OUTSIDE
from geosam.training.looking import Lesson, look

SIDE = 128


@pytest.fixture(scope="module")
def sharpener():
    """One that changes something, in float32 wherever it can."""
    torch.manual_seed(0)
    sharpener = MaskSharpener(4, 6).eval().requires_grad_(requires_grad=False)
    torch.nn.init.normal_(sharpener.out.weight, std=0.2)
    return sharpener


@pytest.fixture
def lesson():
    """A small, a long, a large and an empty mask."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.full((4, SIDE, SIDE), -4.0)
    for row, (top, left, bottom, right) in enumerate(
        ((30, 30, 40, 44), (60, 5, 70, 80), (8, 8, 120, 120), (0, 0, 0, 0))
    ):
        logits[row, top:bottom, left:right] = 4
    return Lesson(
        pixels=255 * torch.rand(4, 3, SIDE, SIDE, generator=generator),
        fine=torch.rand(4, 4, SIDE // 2, SIDE // 2, generator=generator),
        coarse=torch.rand(4, 6, SIDE // 8, SIDE // 8, generator=generator),
        logits=logits,
        iou=torch.full((4,), 0.5),
        boxes=torch.tensor([[28.0, 28, 46, 42], [torch.nan] * 4, [torch.nan] * 4, [torch.nan] * 4]),
        points=torch.full((4, 1, 2), 36.0),
        labels=torch.ones(4, 1, dtype=torch.long),
        targets=(logits > 0).float(),
        shown=torch.ones(4, dtype=torch.bool),
        choice=torch.zeros(4, dtype=torch.bool),
    )


def test_answers_keep_their_order_and_are_seen_in_close_ups_only(sharpener, lesson):
    sharper, expected = look(sharpener, lesson, learns=False)
    assert sharper.shape == (4, SIDE, SIDE)
    assert expected.shape == (4,)
    for row in range(4):
        alone, iou = look(sharpener, lesson.part(slice(row, row + 1)), learns=False)
        torch.testing.assert_close(alone[0], sharper[row], atol=0.05, rtol=0.02)  # bfloat16, of another number of masks
        assert float(iou) == pytest.approx(float(expected[row]), abs=0.01)
    outside = sharper == OUTSIDE
    assert outside[0].float().mean() > 0.8
    assert not outside[0, 28:42, 28:46].any()
    assert not outside[2:].any()  # one fills the picture, of the other nothing is known


def test_what_lies_beyond_a_close_up_changes_nothing(sharpener, lesson):
    small = lesson.part(slice(0, 1))
    far = small.pixels.clone()
    far[..., 100:, 100:] = 0
    seen, hidden = (look(sharpener, each, learns=False)[0] for each in (small, small._replace(pixels=far)))
    assert seen.equal(hidden)
    near = small.pixels.clone()
    near[..., 30:40, 30:44] = 0
    assert not seen.equal(look(sharpener, small._replace(pixels=near), learns=False)[0])


def test_what_was_asked_moves_with_the_close_up(sharpener, lesson):
    moved = lesson.part(slice(0, 1))
    maps = {name: getattr(moved, name).roll((by, by), (-2, -1)) for name, by in
            (("pixels", 32), ("fine", 16), ("coarse", 4), ("logits", 32), ("targets", 32))}  # fmt: skip
    there = moved._replace(**maps, boxes=moved.boxes + 32, points=moved.points + 32)
    here, elsewhere = (look(sharpener, each, learns=False)[0] for each in (moved, there))
    torch.testing.assert_close(elsewhere, here.roll((32, 32), (1, 2)))


def test_only_lessons_have_gradients(sharpener, lesson):
    sharpener.requires_grad_()
    assert look(sharpener, lesson, learns=True)[0].requires_grad
    masks, expected = look(sharpener, lesson, learns=False)
    assert not masks.requires_grad
    assert expected.requires_grad
    sharpener.requires_grad_(requires_grad=False)
