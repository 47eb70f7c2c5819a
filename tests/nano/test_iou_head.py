"""What IoU is expected of a sharper mask."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.nano.iou_head import MEASURES, IouHead


def seen(count, h=16, w=24):
    """What a head is shown of some masks."""
    generator = torch.Generator().manual_seed(3)
    sizes = (count, 8, h // 8, w // 8), (count, 5, h // 8, w // 8), (count, h, w), (count, h, w)
    maps = [4 * torch.randn(size, generator=generator) for size in sizes]
    return (*maps, torch.rand(count, 3, generator=generator))


@settings(max_examples=10, deadline=None)
@given(count=st.integers(2, 9), first=st.integers(0, 3))
def test_a_mask_is_judged_alike_whatever_is_judged_beside_it(count, first):
    torch.manual_seed(0)
    head = IouHead(8, 5).eval().requires_grad_(requires_grad=False)
    whole = seen(count + first)
    part = head(*(each[first:] for each in whole))
    assert part.numpy().tobytes() == head(*whole)[first:].numpy().tobytes()
    assert ((part > 0) & (part < 1)).all()


def test_masks_are_measured():
    before, after = torch.full((3, 8, 8), -4.0), torch.full((3, 8, 8), -4.0)
    before[0, :4] = after[0, :4] = 4  # certain, and as it was
    before[1, :4], after[1, :2], after[1, 2:4] = 4, 4, 0.5  # half of it is not certain
    before[2, :4], after[2, 4:] = 4, 4  # somewhere else
    stable, agreed, size = IouHead.measures(before, after).T.tolist()
    assert stable == [1, 0.5, 1]
    assert agreed == [1, 1, 0]
    assert len(set(size)) == 1


def test_an_empty_mask_has_measures_too():
    empty = torch.full((1, 8, 8), -4.0)
    measures = IouHead.measures(empty, empty)
    assert measures.shape == (1, MEASURES - 3)
    assert measures.isfinite().all()
