"""The sharpener of masks, trained on what a fixed network answers."""

from dataclasses import replace

import pytest
import torch

from geosam.errors import WeightsError
from geosam.models import read_sam
from geosam.training import sharpening, trainer
from geosam.training.answers import batch_to_truth
from geosam.training.checkpoints import NAME
from geosam.training.losses import reached_iou

QUIET = {"workers": 0, "peek_minutes": 0.0}


@pytest.mark.slow
def test_it_learns_to_undo_what_it_is_shown(tiny, options, tmp_path):
    network = trainer.start(tiny).network.eval().requires_grad_(requires_grad=False)
    course = sharpening.Course.begin(network, tiny, replace(options, steps=10_000), {})
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    targets = ((x > 15) & (x < 45) & (y > 20) & (y < 50)).float()[None].repeat(2, 1, 1)
    shifted = 6 * targets.roll((3, -3), (1, 2)) - 3
    lesson = sharpening.Lesson(
        pixels=60 + 120 * targets[:, None].expand(-1, 3, -1, -1),
        fine=torch.zeros(2, 8, 32, 32),
        coarse=torch.zeros(2, tiny.model.width, 8, 8),
        logits=shifted,
        iou=torch.full((2,), 0.6),
        boxes=torch.full((2, 4), torch.nan),
        points=torch.full((2, 1, 2), 30.0),
        labels=torch.ones(2, 1, dtype=torch.long),
        targets=targets,
        shown=torch.ones(2, dtype=torch.bool),
        choice=torch.zeros(2, dtype=torch.bool),
    )
    before = after = 0.0
    for step in range(50):
        course.progress.step = step
        before, after = sharpening.take_step(course, lesson, torch.Generator().manual_seed(step))
    assert before < 0.75
    assert after > 0.95
    given = lesson._asdict()
    reached = reached_iou(shifted[:, None], given.pop("targets"))[:, 0]
    del given["shown"], given["choice"]
    assert course.sharpener(**given)[1].detach() == pytest.approx(float(after), abs=0.1)
    assert reached.max() < 0.75  # so that this is not what the mask had before


def test_alternatives_of_a_click_are_compared_and_one_of_them_is_the_lesson(tiny, options):
    network = trainer.start(tiny).network.eval().requires_grad_(requires_grad=False)
    asks = sharpening.data_of(tiny, replace(options, kinds=(0.5, 0.5, 0.0)))
    batch = next(iter(sharpening.iterate(asks, None, first=0, last=1, workers=0, cell=sharpening.SAMPLING)))
    truth = batch_to_truth(batch, torch.device("cpu"))
    seen = [list(sharpening.lessons(network, truth, torch.Generator().manual_seed(seed))) for seed in range(6)]
    clicked = next(lesson for each in seen for lesson in each if lesson.choice.any())
    for alike in (clicked.targets, clicked.points, clicked.pixels):
        first, *others = alike.unflatten(0, (-1, 3)).unbind(1)
        assert all(first.equal(other) for other in others)
    assert (clicked.shown.unflatten(0, (-1, 3)).sum(1) == 1).all()
    boxed = next(lesson for lesson in seen[0] if not lesson.boxes.isnan().any())
    assert boxed.shown.all()
    assert not boxed.choice.any()


def test_a_course_goes_on_as_if_it_had_not_stopped(tiny, options, tmp_path):
    network = trainer.start(tiny).network
    given = {"data": None, "workers": 0}
    whole = sharpening.with_sharpener(network, tiny, options, folder=tmp_path, **given)
    part = tmp_path / "part"
    part.mkdir()
    fixed = network.eval().requires_grad_(requires_grad=False)
    course = sharpening.Course.begin(fixed, tiny, options, {})
    whole_course, course.options = course.options, replace(options, steps=4)
    batches = sharpening.iterate(
        sharpening.data_of(tiny, options), None, first=0, last=2, workers=0, cell=sharpening.SAMPLING
    )
    for step, batch in enumerate(batches):
        generator = torch.Generator().manual_seed(whole_course.seed * 1_000_003 + step)
        sharpening.follow(course, fixed, batch, generator)
        course.progress.step += 1
    course.save(part / sharpening.NAME)
    again = sharpening.with_sharpener(network, tiny, options, folder=part, **given)
    ours, theirs = (each.mask_sharpener.state_dict() for each in (whole, again))
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_a_run_exports_weights_that_sharpen(tiny, options, tmp_path):
    config = replace(tiny, optimiser=replace(tiny.optimiser, steps=2), sharpener=options)
    path = trainer.train(config, tmp_path, **QUIET)
    sam = read_sam(path)
    assert sam.spec.sharpened
    assert (tmp_path / sharpening.NAME).is_file()
    without = trainer.train(replace(config, sharpener=None), tmp_path / "without", **QUIET)
    assert read_sam(without).mask_sharpener is None
    plain = read_sam(without).state_dict()
    assert all(value.equal(sam.state_dict()[name]) for name, value in plain.items())


def test_a_course_of_another_configuration_is_refused(tiny, options, tmp_path):
    network = trainer.start(tiny).network
    given = {"folder": tmp_path, "data": None, "workers": 0}
    sharpening.with_sharpener(network, tiny, options, **given)
    with pytest.raises(WeightsError, match="configuration"):
        sharpening.with_sharpener(network, replace(tiny, seed=9), options, **given)


def test_the_sharpener_does_not_change_what_a_run_goes_on_from(tiny, options, tmp_path):
    assert replace(tiny, sharpener=options).digest == tiny.digest
    assert NAME != sharpening.NAME
