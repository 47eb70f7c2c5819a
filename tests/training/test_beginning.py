"""What a run begins with."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from geosam.backbone import read_backbone
from geosam.errors import WeightsError
from geosam.models import read_sam, write_sam
from geosam.training import trainer
from geosam.training.beginning import read_weights, take_over
from geosam.training.config import TrainConfig, read_config
from geosam.training.sharpening import Course

SIZES = {"widths": (16, 16), "depths": (1, 1), "fine_channels": (16, 8)}


@pytest.fixture
def second(tiny) -> TrainConfig:
    """A run of the family's second encoder, which begins with weights of the first."""
    optimiser = replace(tiny.optimiser, backbone_rate=0.2)
    return replace(
        tiny, name="second", optimiser=optimiser, model=replace(tiny.model, encoder="lite0", encoder_sizes=SIZES)
    )


def test_the_backbone_begins_as_published_and_its_kernels_stay(second):
    for kernels in (False, True):
        options = replace(second.optimiser, backbone_kernels=kernels)
        run = trainer.start(replace(second, optimiser=options))
        backbone = run.network.image_encoder.backbone
        published = read_backbone().state_dict()
        assert all(torch.equal(value, published[name]) for name, value in backbone.state_dict().items())
        assert backbone.blocks[9].depthwise.conv.weight.requires_grad == kernels
        assert backbone.blocks[9].project.conv.weight.requires_grad
        moving = {id(p) for group in run.optimiser.param_groups for p in group["params"]}
        assert (id(backbone.stem.conv.weight) in moving) == kernels


def test_a_run_takes_over_what_fits_of_other_weights(tiny, second, tmp_path):
    first = trainer.train(tiny, tmp_path / "first", peek_minutes=0, workers=0)
    found = trainer.train(
        replace(second, optimiser=replace(second.optimiser, rate=1e-9)),
        tmp_path / "second",
        start_from=first,
        peek_minutes=0,
        workers=0,
    )
    before, after = read_sam(first).state_dict(), read_sam(found).state_dict()
    assert read_sam(found).spec.encoder == "lite0"
    for name in (
        "mask_decoder.mask_tokens.weight",
        "image_encoder.stages.1.0.widen.weight",
        "image_encoder.stem.weight",
    ):
        torch.testing.assert_close(after[name], before[name], atol=2e-3, rtol=2e-3)


def test_parameters_of_another_shape_or_name_stay(tiny):
    network = trainer.start(tiny).network
    kept = {name: p.detach().clone() for name, p in network.named_parameters()}
    some = "mask_decoder.mask_tokens.weight"
    left = take_over({some: torch.ones(1), "elsewhere": torch.ones(2)}, network)
    assert some in left
    assert all(torch.equal(p, kept[name]) for name, p in network.named_parameters())


def test_a_sharpener_goes_on_from_that_of_the_weights_before(tiny, options, tmp_path):
    network = trainer.start(tiny).network.eval()
    taught = Course.begin(network, tiny, options, {}).sharpener
    with torch.no_grad():
        taught.gain.fill_(3.0)
    network.mask_sharpener, network.spec = taught, replace(network.spec, sharpened=True)
    write_sam(network, tmp_path / "before.safetensors")
    course = Course.begin(network, tiny, options, read_weights(tmp_path / "before.safetensors"))
    assert course.sharpener.gain.tolist() == [3.0, 3.0]


def test_weights_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"none")
    with pytest.raises(WeightsError, match=r"w\.safetensors.*to begin with"):
        read_weights(tmp_path / "w.safetensors")


def test_the_file_of_nano2_is_read():
    config = read_config(Path(trainer.__file__).with_name("nano2.toml"))
    assert config.start == read_config()
    assert trainer.spec_of(config).encoder == "lite0"
