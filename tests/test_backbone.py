"""The backbone can be learned through: its quick gradients are those of PyTorch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from geosam.backbone import Backbone, PreparedBackbone
from geosam.backbone.depthwise import depthwise

SIDES = st.integers(7, 20)


@given(h=SIDES, w=SIDES, kernel=st.sampled_from([3, 5]), stride=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_gradients_of_a_depthwise_convolution_are_those_of_pytorch(h, w, kernel, stride, seed):
    dice = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 4, h, w, generator=dice, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, kernel, kernel, generator=dice, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, generator=dice, dtype=torch.float64, requires_grad=True)
    ours, theirs = depthwise(x, weight, bias, stride), functional.conv2d(x, weight, bias, stride, 0, 1, 4)
    torch.testing.assert_close(ours, theirs)
    wanted = torch.randn(ours.shape, generator=dice, dtype=torch.float64)
    for mine, right in zip(
        *(torch.autograd.grad((out * wanted).sum(), [x, weight, bias]) for out in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, right)


def test_all_of_a_backbone_can_be_learned():
    backbone = Backbone().train()
    sum(each.square().mean() for each in backbone(torch.randint(0, 256, (2, 3, 64, 64)))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize("shape", [(64, 64), (96, 160)])
def test_maps_of_a_scale_are_those_of_its_pixels(shape):
    backbone, pixels = Backbone().eval(), torch.randint(0, 256, (1, 3, *shape), dtype=torch.uint8)
    scaled = (pixels.float() - 127) / 128
    for one, other in zip(backbone(pixels), PreparedBackbone(backbone, torch.float32).maps(scaled), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
