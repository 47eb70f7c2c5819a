"""The numbers of the original implementation, for every kind of prompt; and its parameter names."""

import numpy as np
import pytest
import torch

from geosam.models import SPECS
from geosam.models.weights import shapes_of
from geosam.sam.model import Sam

from .conftest import REFERENCE

TOLERANCE = 1e-4
PROMPTS = ("points", "click_pair", "box", "box_click", "click_mask")


def picture(side: int) -> torch.Tensor:
    yy, xx = np.mgrid[0:side, 0:side]
    red, green = 127 + 100 * np.sin(xx / 37 + yy / 91), 127 + 100 * np.cos(xx / 53 - yy / 29)
    return torch.from_numpy(np.stack([red, green, (3 * xx + 5 * yy) % 256]).astype(np.float32))


def prompt(kind: str, s: int) -> dict[str, torch.Tensor]:
    """The reference's prompts; it counts from the centre of the first pixel, we from its corner."""

    def px(values: list) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32) * s + 0.5

    click, pair = px([[[0.25, 0.5]]]), px([[[0.25, 0.5], [0.4, 0.45]]])
    i, j = np.mgrid[0 : s // 4, 0 : s // 4]
    return {
        "points": {"points": px([[[0.25, 0.5]], [[0.7, 0.3]], [[0.5, 0.9]]]), "labels": torch.tensor([[1], [1], [1]])},
        "click_pair": {"points": pair, "labels": torch.tensor([[1, 0]])},
        "box": {
            "points": torch.empty(1, 0, 2),
            "labels": torch.empty(1, 0, dtype=torch.int64),
            "boxes": px([[0.2, 0.3, 0.6, 0.8]]),
        },
        "box_click": {"points": pair, "labels": torch.tensor([[1, 0]]), "boxes": px([[0.2, 0.3, 0.6, 0.8]])},
        "click_mask": {
            "points": click,
            "labels": torch.tensor([[1]]),
            "masks": torch.from_numpy(4 * np.sin((i + j) / 17)).float()[None],
        },
    }[kind]


def relative(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


def check_all(sam: Sam, name: str, step: int) -> None:
    side = sam.spec.side
    with np.load(REFERENCE / f"sam_{name}.npz") as expected, torch.inference_mode():
        features = sam.encode_images(sam.normalise(picture(side))[None])
        embedding = expected["embedding"]
        assert relative(features.coarse[..., ::step, ::step].reshape(embedding.shape), embedding) < TOLERANCE
        for kind in PROMPTS:
            for way in ("multi", "single"):
                logits, iou = sam.decode(features, **prompt(kind, side), multimask=way == "multi")
                wanted = expected[f"{kind}.{way}.logits"]
                assert logits[..., ::step, ::step].shape == wanted.shape
                assert relative(logits[..., ::step, ::step], wanted) < TOLERANCE, (kind, way)
                assert relative(iou, expected[f"{kind}.{way}.iou"]) < TOLERANCE, (kind, way)


def test_tiny_agrees_for_every_kind_of_prompt(tiny):
    check_all(tiny, "tiny", step=1)


def test_the_comparison_can_fail(tiny):
    """A half pixel must show, or the tolerance says nothing."""
    with np.load(REFERENCE / "sam_tiny.npz") as expected, torch.inference_mode():
        features = tiny.encode_images(tiny.normalise(picture(256))[None])
        shifted = prompt("points", 256)
        shifted["points"] = shifted["points"] - 0.5
        logits, _ = tiny.decode(features, **shifted)
        assert relative(logits, expected["points.multi.logits"]) > TOLERANCE


def test_all_four_masks_at_once_are_the_single_one_and_the_three(tiny):
    with torch.inference_mode():
        features = tiny.encode_images(tiny.normalise(picture(256))[None])
        answers = [tiny.decode(features, **prompt("click_pair", 256), multimask=way) for way in (None, False, True)]
    for part in (0, 1):
        every, one, three = (answer[part] for answer in answers)
        assert torch.equal(every, torch.cat([one, three], 1))


@pytest.mark.slow
def test_vit_b_agrees_for_every_kind_of_prompt(make_reference):
    check_all(make_reference("vit_b"), "vit_b", step=8)


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_layouts_are_ours(name, layouts):
    """Same names and shapes is what a strict load asks for; without storage, for vit_h takes 2.5 GB."""
    assert shapes_of(SPECS[name]) == {key: tuple(shape) for key, shape in layouts[name]["parameters"].items()}
    assert sum(np.prod(shape) for shape in shapes_of(SPECS[name]).values()) == layouts[name]["count"]


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_layouts_load_strictly(name, layouts):
    from geosam.sam.model import build

    with torch.device("meta"):
        sam = build(SPECS[name])
        state = {key: torch.empty(shape) for key, shape in layouts[name]["parameters"].items()}
        sam.load_state_dict(state, strict=True, assign=True)
