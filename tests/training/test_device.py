"""On a graphics card as on a processor: what is learned from mixes no memories, and weighs the same.

`geosam.testing.device` stands in for the card; what it cannot do is go backwards.
"""

from dataclasses import replace

import pytest
import torch

from geosam.nano.roi_crop import SAMPLING
from geosam.testing.device import AWAY, counting
from geosam.training import sharpening, trainer
from geosam.training.answers import batch_to_truth
from geosam.training.batches import iterate

HERE = torch.device("cpu")


@pytest.fixture
def batch(tiny):
    return next(iter(iterate(tiny, None, first=0, last=1, workers=0)))


@pytest.mark.parametrize("dense", [0, 10])
def test_the_loss_of_a_batch(tiny, batch, dense):
    config = replace(tiny, optimiser=replace(tiny.optimiser, dense_steps=dense))

    @torch.no_grad()
    def loss(device: torch.device) -> tuple[float, dict[str, float]]:
        run = trainer.start(config, device=device)
        total, row = trainer.losses_of(run, batch_to_truth(batch, device), torch.Generator().manual_seed(1))
        return float(total), row

    total, row = loss(HERE)
    with counting():
        assert loss(AWAY) == (pytest.approx(total, rel=1e-4), pytest.approx(row, rel=1e-4))


@pytest.mark.parametrize("again", [False, True])
def test_the_loss_of_a_lesson(tiny, options, again):
    data = sharpening.data_of(tiny, options)
    batch = next(iter(iterate(data, None, first=0, last=1, workers=0, cell=SAMPLING)))

    @torch.no_grad()
    def loss(device: torch.device) -> float:
        network = trainer.start(tiny, device=device).network.eval()
        course = sharpening.Course.begin(network, tiny, options, {})
        lesson = sharpening.lesson_of(network, batch, torch.Generator().manual_seed(1), least_iou=0.0)
        return float(
            sharpening.judge_lesson(course.sharpener, lesson, torch.Generator().manual_seed(2), again=again)[0]
        )

    wanted = loss(HERE)
    with counting():
        assert loss(AWAY) == pytest.approx(wanted, rel=1e-2)  # there is no autocast there
