"""The small encoder: shapes at any side, one image as if it were many, and no dependence on absolute place."""

import pytest
import torch

from geosam.errors import OptionError
from geosam.models import build, spec
from geosam.nano.encoder import ConvEncoder
from geosam.nano.likeness import Likeness, box_cells
from geosam.nano.prompt_map import PromptMap
from geosam.sam.model.canvas import SIDE_MULTIPLE

SIZES = {"widths": (8, 16, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (12, 6)}


@pytest.fixture
def encoder() -> ConvEncoder:
    torch.manual_seed(0)
    return ConvEncoder(24, **SIZES).eval()


@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (160, 32)])
@torch.no_grad()
def test_strides_are_16_8_and_4_at_any_side(encoder, shape):
    h, w = shape
    coarse, (eighth, quarter) = encoder(torch.randn(2, 3, h, w))
    assert coarse.shape == (2, 24, h // 16, w // 16)
    assert eighth.shape == (2, 12, h // 8, w // 8)
    assert quarter.shape == (2, 6, h // 4, w // 4)


@torch.no_grad()
def test_an_image_is_encoded_alone_as_in_a_batch(encoder):
    images = torch.randn(3, 3, 64, 64)
    together, alone = encoder(images), encoder(images[1:2])
    torch.testing.assert_close(alone.coarse, together.coarse[1:2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone.fine[1], together.fine[1][1:2], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_features_move_with_the_image(encoder):
    """Far from the border a shift by the largest stride shifts the features, so windows may lie anywhere."""
    image = torch.randn(1, 3, 704, 704)
    here = encoder(image[..., : 704 - SIDE_MULTIPLE, : 704 - SIDE_MULTIPLE]).coarse
    there = encoder(image[..., SIDE_MULTIPLE:, SIDE_MULTIPLE:]).coarse
    step, middle = SIDE_MULTIPLE // 16, slice(20, 22)
    moved = slice(20 + step, 22 + step)
    torch.testing.assert_close(there[..., middle, middle], here[..., moved, moved], rtol=1e-4, atol=1e-4)


def test_widths_for_fewer_strides_are_refused():
    with pytest.raises(OptionError, match="four of each"):
        ConvEncoder(8, widths=(8, 8), depths=(1, 1), fine_channels=(4, 4))


@torch.no_grad()
def test_a_drawn_prompt_depends_on_where_it_lies_only():
    torch.manual_seed(0)
    drawing = PromptMap(8).eval()
    points, boxes, labels = (
        torch.tensor([[[40.0, 72.0]]]),
        torch.tensor([[24.0, 40.0, 90.0, 100.0]]),
        torch.tensor([[1]]),
    )
    here = drawing(points, labels, grid=(8, 8), boxes=boxes)
    there = drawing(points + 16, labels, grid=(9, 9), boxes=boxes + 16)
    torch.testing.assert_close(there[..., 1:, 1:], here, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_points_draw_nothing():
    torch.manual_seed(0)
    drawing = PromptMap(8).eval()
    one = drawing(torch.tensor([[[40.0, 72.0]]]), torch.tensor([[1]]), grid=(8, 8))
    padded = drawing(torch.tensor([[[40.0, 72.0], [9.0, 9.0]]]), torch.tensor([[1, -1]]), grid=(8, 8))
    torch.testing.assert_close(padded, one)


@torch.no_grad()
def test_inside_and_outside_clicks_are_drawn_apart():
    torch.manual_seed(0)
    drawing, point = PromptMap(8).eval(), torch.tensor([[[40.0, 72.0]]])
    inside, outside = (drawing(point, torch.tensor([[label]]), grid=(8, 8)) for label in (1, 0))
    assert (inside - outside).abs().max() > 1e-3


def test_pixels_like_the_clicked_one_are_found():
    """Two regions of features: a click on either lights up that region and not the other."""
    embedding = torch.zeros(1, 6, 8, 8)
    embedding[..., 4:] = 3
    points = torch.tensor([[[4.0, 4.0]], [[28.0, 4.0]]])
    maps = Likeness()(embedding, points, torch.ones(2, 1, dtype=torch.long))
    assert (maps[0, 0, :, :4] == 1).all()
    assert (maps[0, 0, :, 4:] < 0.01).all()
    assert (maps[1, 0] == maps[0, 0].flip(-1)).all()
    assert (maps[:, 2:] == 0).all()  # no click outside, no box


def test_a_box_is_told_from_its_surroundings():
    embedding = torch.zeros(1, 6, 16, 16)
    embedding[..., 4:10, 4:10] = 3
    none = torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.long)
    maps = Likeness()(embedding, *none, boxes=torch.tensor([[16.0, 16.0, 40.0, 40.0]]))
    inside, around = maps[0, 4], maps[0, 6]
    assert (inside[4:10, 4:10] > 0.99).all()
    assert (inside[:4] < 0.01).all()
    assert (around[:4] > 0.99).all()
    assert (around[4:10, 4:10] < 0.01).all()


def test_even_the_smallest_box_has_a_middle():
    _, core, _ = box_cells(torch.tensor([[0.1, 0.1, 0.2, 0.2], [7.6, 7.6, 8.0, 8.0]]), 8, 8)
    assert core.flatten(1).any(1).all()


def test_prompts_of_several_images_are_compared_with_their_own():
    torch.manual_seed(0)
    embedding, points = torch.randn(2, 6, 8, 8), torch.rand(4, 2, 2) * 32
    labels, boxes = torch.tensor([[1, 0]] * 4), torch.tensor([[4.0, 4.0, 20.0, 24.0]] * 4)
    together = Likeness()(embedding, points, labels, boxes=boxes)
    alone = Likeness()(embedding[1:], points[2:], labels[2:], boxes=boxes[2:])
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-5)


def test_nano_is_small():
    with torch.device("meta"):
        count = sum(p.numel() for p in build(spec("nano")).parameters())
    assert count < 10_000_000
