"""The bricks against their plain definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from geosam.sam.blocks import Attention, Conv3x3, FourierPositions, LayerNorm2d
from geosam.sam.image_encoder import PositionedAttention, join_windows, split_windows
from geosam.sam.mask_decoder import MaskDecoder
from geosam.sam.prompt_encoder import PromptEncoder

sizes = st.integers(1, 20)


@given(h=sizes, w=sizes, window=st.integers(1, 9), images=st.integers(1, 2))
@settings(deadline=None)
def test_joined_windows_are_the_image(h, w, window, images):
    x = torch.arange(images * h * w * 3, dtype=torch.float32).reshape(images, h, w, 3)
    assert torch.equal(join_windows(split_windows(x, window), (h, w)), x)


@given(h=st.integers(1, 5), w=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_attention_with_positions_is_the_sum_it_claims_to_be(h, w):
    torch.manual_seed(h * 10 + w)
    layer = PositionedAttention(12, 3, side=max(h, w))
    # a table fits one side, so an image with fewer rows than columns uses the middle of its table
    layer.rel_pos_h, layer.rel_pos_w = (nn.Parameter(torch.randn(2 * n - 1, 4)) for n in (h, w))
    x = torch.randn(2, h, w, 12)
    q, k, v = layer.qkv(x).reshape(2, h * w, 3, 3, 4).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / 2
    for a in range(h * w):
        for b in range(h * w):
            down, across = a // w - b // w + h - 1, a % w - b % w + w - 1
            scores[..., a, b] += q[..., a, :] @ (layer.rel_pos_h[down] + layer.rel_pos_w[across])
    plain = layer.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(2, h, w, 12))
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-5)


def test_norm_of_pixels_is_layer_norm_over_channels():
    x = torch.randn(2, 6, 3, 4) * 5 + 2
    norm, plain = LayerNorm2d(6), nn.LayerNorm(6, eps=1e-6)
    with torch.no_grad():
        plain.weight.copy_(norm.weight.uniform_())
        plain.bias.copy_(norm.bias.uniform_())
        torch.testing.assert_close(norm(x), plain(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@given(absent=st.integers(0, 4))
@settings(max_examples=10, deadline=None)
def test_absent_keys_are_not_seen(absent):
    torch.manual_seed(absent)
    layer, q, k = Attention(8, 2, 4), torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    present = torch.arange(5)[None] < 5 - absent
    seen = layer(q, k, k, present)
    torch.testing.assert_close(seen, layer(q, k[:, : 5 - absent], k[:, : 5 - absent]))


def test_grid_holds_the_positions_of_cell_centres():
    pe = FourierPositions(16)
    grid = pe.grid(3, 5)
    y, x = 2, 4
    torch.testing.assert_close(grid[:, y, x], pe(torch.tensor([(x + 0.5) / 5, (y + 0.5) / 5])))


def test_positions_are_not_rounded_by_autocast():
    pe, xy = FourierPositions(32), torch.rand(50, 2)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = pe(xy)
    assert torch.equal(under_autocast, pe(xy))


def test_points_without_a_box_are_closed_and_a_box_brings_two_tokens():
    encoder = PromptEncoder(16)
    points, labels = torch.rand(4, 3, 2) * 64, torch.ones(4, 3, dtype=torch.int64)
    assert encoder(points, labels, side=64).sparse.shape == (4, 4, 16)
    boxes = torch.tensor([[1.0, 2, 30, 40]]).repeat(4, 1)
    assert encoder(points, labels, side=64, boxes=boxes).sparse.shape == (4, 5, 16)
    none = encoder(points[:, :0], labels[:, :0], side=64)
    assert none.sparse.shape == (4, 0, 16)


def test_decoder_sees_the_images_own_features():
    """Prompts come image by image: the second image's answers do not depend on the first image."""
    torch.manual_seed(1)
    decoder, encoder = MaskDecoder(32, heads=4, mlp=16, iou_hidden=8, fine_channels=(6, 4)), PromptEncoder(32)
    images, fine = torch.randn(2, 32, 4, 4), (torch.randn(2, 6, 8, 8), torch.randn(2, 4, 16, 16))
    sparse, present, dense = encoder(torch.rand(6, 1, 2) * 64, torch.ones(6, 1, dtype=torch.int64), side=64)
    pe = encoder.pe_layer.grid(4, 4)
    both, _ = decoder(images, pe, sparse, present=present, dense=dense, fine=fine)
    last = tuple(f[1:] for f in fine)
    alone, _ = decoder(images[1:], pe, sparse[3:], present=present[3:], dense=dense, fine=last)
    assert both.shape == (6, 4, 16, 16)
    torch.testing.assert_close(both[3:], alone)
    assert not torch.allclose(both[:3], alone, atol=1e-2)


@pytest.fixture
def one_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("channels", "out", "apart"), [(12, 16, 1), (48, 64, 1), (96, 96, 2)])
@pytest.mark.parametrize(("h", "w"), [(4, 4), (12, 8), (24, 7), (48, 48)])
def test_a_picture_alone_is_convolved_as_one_of_several(one_core, channels, out, apart, h, w, layout):
    torch.manual_seed(1)
    conv = Conv3x3(channels, out, apart)
    pictures = torch.randn(3, channels, h, w).contiguous(memory_format=layout)
    with torch.inference_mode():
        together = conv(pictures)
        alone = torch.cat([conv(each[None]) for each in pictures])
    torch.testing.assert_close(alone, together, rtol=0, atol=0)
