"""A run learns, goes on after a break as if there had been none, and leaves weights that load."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geosam.errors import WeightsError
from geosam.models import read_sam
from geosam.training import trainer
from geosam.training.answers import ask, batch_to_truth, judge
from geosam.training.batches import Batch, iterate, make_batch
from geosam.training.checkpoints import NAME
from geosam.training.config import read_config
from geosam.training.curves import draw_curves, write_csv

QUIET = {"workers": 0, "peek_minutes": 0.0}


def blobs(count: int = 2, side: int = 64) -> Batch:
    """Bright rectangles on dark ground, the easiest picture there is; one image is clicked, one boxed."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (count, 3, side, side)).astype(np.uint8)
    targets = np.zeros((count, 2, side // 4, side // 4), np.uint8)
    boxes = np.zeros((count, 2, 4), np.float32)
    for image in range(count):
        for k, (x0, y0, x1, y1) in enumerate([(4, 8, 28, 24), (32, 28, 60, 56)]):
            pixels[image, :, y0:y1, x0:x1] += np.uint8(120 + 60 * k)
            targets[image, k, y0 // 4 : y1 // 4, x0 // 4 : x1 // 4] = 255
            boxes[image, k] = (x0, y0, x1, y1)
    quiet = np.zeros((count, side // 4, side // 4), np.uint8)
    clicks = (boxes[..., :2] + boxes[..., 2:]) / 2
    return Batch(
        pixels, targets, boxes, boxes.copy(), clicks, np.ones((count, 2), bool), quiet, np.ones(count, bool),
        np.arange(count, dtype=np.int64),
    )  # fmt: skip


@pytest.mark.slow
def test_a_batch_is_overfitted_in_seconds(tiny):
    config = replace(tiny, optimiser=replace(tiny.optimiser, steps=10_000, dense_steps=0))
    run, batch = trainer.start(config), blobs()
    rows = []
    for _ in range(160):
        rows.append(trainer.run_step(run, batch))
        run.progress.step += 1
    assert np.mean([row["iou_first"] for row in rows[:5]]) < 0.5
    assert np.mean([row["iou_corrected"] for row in rows[-5:]]) > 0.9


def test_a_run_goes_on_as_if_it_had_not_stopped(tiny, tmp_path):
    whole = trainer.train(tiny, tmp_path / "whole", **QUIET)
    part = tmp_path / "part"
    run = trainer.start(tiny)
    for batch in iterate(tiny, None, first=0, last=3, workers=0):
        trainer.run_step(run, batch)
        run.progress.step += 1
    part.mkdir()
    trainer.save(part / NAME, parts=run.parts, progress=run.progress, digest=tiny.digest)
    assert trainer.train(tiny, part, **QUIET).read_bytes() == whole.read_bytes()


def test_the_exported_weights_load_by_their_path(tiny, tmp_path):
    path = trainer.train(replace(tiny, optimiser=replace(tiny.optimiser, steps=2)), tmp_path, **QUIET)
    sam = read_sam(path)
    assert sam.spec.name == "tiny"
    assert all(p.isfinite().all() for p in sam.parameters())


def test_a_checkpoint_of_another_configuration_is_refused(tiny, tmp_path):
    short = replace(tiny, optimiser=replace(tiny.optimiser, steps=1))
    trainer.train(short, tmp_path, **QUIET)
    with pytest.raises(WeightsError, match="configuration"):
        trainer.train(replace(short, seed=4), tmp_path, **QUIET)


def test_a_run_that_starts_from_another_carries_that_one_out_first_and_only_once(tiny, tmp_path):
    first = replace(tiny, optimiser=replace(tiny.optimiser, steps=2))
    second = replace(tiny, seed=5, optimiser=replace(tiny.optimiser, steps=2, rate=1e-9), start=first)
    weights = read_sam(trainer.train(second, tmp_path / "both", **QUIET)).state_dict()
    begun = read_sam(trainer.train(first, tmp_path / "alone", **QUIET)).state_dict()
    assert all(torch.allclose(weights[name], begun[name], atol=2e-3) for name in begun)
    when = (tmp_path / "both" / "start" / NAME).stat().st_mtime_ns
    trainer.train(second, tmp_path / "both", **QUIET)
    assert (tmp_path / "both" / "start" / NAME).stat().st_mtime_ns == when
    assert second.digest != replace(second, start=None).digest


def test_a_blend_lies_between_start_and_end(tiny, tmp_path):
    first = replace(tiny, optimiser=replace(tiny.optimiser, steps=2))
    found = {}
    for blend in (1.0, 0.25):
        config = replace(tiny, seed=5, optimiser=replace(tiny.optimiser, steps=4, blend=blend), start=first)
        found[blend] = read_sam(trainer.train(config, tmp_path / str(blend), **QUIET)).state_dict()
    begun = read_sam(tmp_path / "1.0" / "start" / "tiny.safetensors").state_dict()
    for name, end in found[1.0].items():
        mixed = begun[name] + 0.25 * (end - begun[name])
        torch.testing.assert_close(found[0.25][name], mixed, atol=2e-3, rtol=2e-3)


def test_a_damaged_checkpoint_is_said(tiny, tmp_path):
    (tmp_path / NAME).write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="whole checkpoint"):
        trainer.train(tiny, tmp_path, **QUIET)


def test_a_batch_depends_on_seed_and_step_only(tiny):
    one, again, other = (make_batch(tiny, None, step) for step in (4, 4, 5))
    assert (one.pixels == again.pixels).all()
    assert (one.prompts == again.prompts).all()
    assert one.pixels.shape != other.pixels.shape or (one.pixels != other.pixels).any()


def test_workers_give_the_same_batches_in_order(tiny):
    here = list(iterate(tiny, None, first=1, last=4, workers=0))
    there = list(iterate(tiny, None, first=1, last=4, workers=1))
    assert len(here) == len(there) == 3
    assert all((a.pixels == b.pixels).all() for a, b in zip(here, there, strict=True))


def test_groups_hold_every_prompt_once_and_boxes_only_where_asked(tiny):
    run = trainer.start(tiny)
    for kinds in ([0, 1], [0, 0], [1, 2]):
        truth = batch_to_truth(replace(blobs(), kinds=np.array(kinds)), torch.device("cpu"))
        features = run.network.encode_images(run.network.normalise(truth.images))
        groups = ask(features, truth)
        rows = np.concatenate([np.arange(4)[group.rows] for group in groups])
        assert rows.tolist() == [0, 1, 2, 3]
        bare = [group.boxes is None for group in groups for _ in range(len(group.points) // 2)]
        assert bare == [kind == 0 for kind in kinds]
        for group in groups:
            masks, ious, reached = judge(
                run.network, group, truth, rounds=1, late=False, generator=torch.Generator().manual_seed(0)
            )
            assert masks.isfinite()
            assert ious.isfinite()
            assert len(reached) == 2


def test_the_rate_rises_then_falls_to_nothing():
    config = read_config()
    steps = config.optimiser.steps
    rates = [trainer.rate_at(config, step) for step in (0, steps // 4, steps // 2, steps - 50, steps)]
    assert max(rates[0], rates[3]) < rates[1] == rates[2]
    assert rates[4] == 0


def test_a_run_may_be_made_longer_while_the_rate_is_constant():
    config = read_config()
    longer = replace(config, optimiser=replace(config.optimiser, steps=2 * config.optimiser.steps))
    assert longer.digest == config.digest
    half = config.optimiser.steps // 2
    assert trainer.rate_at(longer, half) == trainer.rate_at(config, half)


def test_curves_are_written_and_drawn(tmp_path):
    rows = [{"minutes": float(i), "step": float(i), "box": i / 10} for i in range(5)] + [{"minutes": 5.0, "click": 0.4}]
    write_csv(tmp_path / "curves.csv", rows)
    draw_curves(tmp_path / "curves.png", rows, ["box", "click"])
    assert (tmp_path / "curves.csv").read_text().splitlines()[0] == "minutes,step,box,click"
    assert (tmp_path / "curves.png").stat().st_size > 500
