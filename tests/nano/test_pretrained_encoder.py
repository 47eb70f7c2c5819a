"""The encoder with a pretrained backbone: any side, one function however it is laid out."""

import numpy as np
import pytest
import torch

from geosam.errors import OptionError
from geosam.models import build, to_predictor
from geosam.nano.pretrained_encoder import PretrainedEncoder, on_its_scale
from geosam.nano.spec import NanoSpec
from geosam.sam.blocks import FeatureMaps
from geosam.segmenter import PromptBatch

SIZES = {"widths": (8, 8), "depths": (1, 1), "fine_channels": (8, 4)}


@pytest.fixture(scope="session")
def spec() -> NanoSpec:
    return NanoSpec(
        "tiny2", "lite0", SIZES, width=32, decoder_sizes={"heads": 2, "mlp": 32}, drawn=True, focus_px=(64,)
    )


def flat(maps: FeatureMaps) -> list[torch.Tensor]:
    return [maps.coarse, *maps.fine]


def test_laid_out_it_is_the_same_function():
    encoder, image = PretrainedEncoder(16, **SIZES).eval(), torch.randn(1, 3, 96, 64)
    with torch.inference_mode():
        for one, other in zip(flat(encoder(image)), flat(encoder.prepared(torch.float32)(image)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_the_backbone_sees_the_pixels_as_it_learned_to(spec):
    pixels = torch.randint(0, 256, (1, 3, 32, 32)).float()
    torch.testing.assert_close(on_its_scale(build(spec).normalise(pixels)), (pixels - 127) / 128)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_answers_prompts_behind_the_port(spec, dtype):
    predictor = to_predictor(build(spec), "tiny2-0", dtype=dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 100, 72), np.uint8)
    features = predictor.encode(pixels)
    logits, iou = predictor.decode(features, PromptBatch.of_clicks(np.array([[30, 50]], np.float32)))
    assert logits.shape == (1, 3, *predictor.logits_shape((100, 72)))
    assert np.isfinite(logits).all()
    assert iou.shape == (1, 3)


@pytest.mark.parametrize("wrong", [{"widths": (8, 8, 8)}, {"depths": (1, 1, 1, 1)}])
def test_sizes_of_another_encoder_are_refused(wrong):
    with pytest.raises(OptionError, match="two of each"):
        PretrainedEncoder(16, **{**SIZES, **wrong})
