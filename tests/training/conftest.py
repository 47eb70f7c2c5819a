"""A configuration so small that a step takes a blink."""

from dataclasses import replace

import pytest

from geosam.training.config import TrainConfig, read_config


@pytest.fixture
def tiny() -> TrainConfig:
    whole = read_config()
    model = replace(
        whole.model,
        width=32,
        encoder_sizes={"widths": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "fine_channels": (16, 8)},
        decoder_sizes={"heads": 2, "mlp": 32, "iou_hidden": 16},
    )
    data = replace(
        whole.data,
        batch=2,
        prompts=3,
        sides=(64,),
        scale=(0.8, 1.2),
        render_side=96,
        render_uses=2,
        minimum_px=30,
        object_px=(12.0, 50.0),
    )
    optimiser = replace(whole.optimiser, steps=6, decay=1.0, warm_up=2, dense_steps=1, rate=3e-3, blend=1.0)
    return TrainConfig("tiny", 3, model, data, optimiser, whole.losses)
