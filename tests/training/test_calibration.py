"""After calibration the predicted IoUs are right on average, and the masks are the same."""

import csv
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from geosam.sam.model import Predictor
from geosam.testing import blob_labels, labels_to_pixels
from geosam.training import trainer
from geosam.training.calibration import calibrated, gaps, held_out_pictures
from geosam.training.evaluation import looks
from geosam.training.real import HELD_OUT


@pytest.fixture
def data(tmp_path):
    """Two sources of two pictures each; of each source one picture is held out, by its name."""
    rows = []
    for source in ("fields", "roofs"):
        (tmp_path / "train" / source).mkdir(parents=True)
        names = [f"{source}/{number}.png" for number in range(200)]
        held = next(name for name in names if crc32(name.encode()) % HELD_OUT == 0)
        learned = next(name for name in names if crc32(name.encode()) % HELD_OUT)
        for seed, name in enumerate((held, learned)):
            labels = blob_labels((40, 40), count=5, large=0, seed=seed).repeat(4, 0).repeat(4, 1)
            Image.fromarray(labels_to_pixels(labels).transpose(1, 2, 0)).save(tmp_path / "train" / name)
            truth = name.replace(".png", "_ids.png")
            Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "train" / truth)
            rows.append(("train", name, truth, "ids", "open"))
    with (tmp_path / "train" / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("split", "file", "labels", "label_format", "terms"), *rows])
    return tmp_path


def test_only_pictures_that_training_never_saw_are_asked(data):
    pictures = held_out_pictures(data)
    assert [each.source for each in pictures] == ["fields", "roofs"]
    assert all(crc32(each.name.encode()) % HELD_OUT == 0 for each in pictures)


def test_predicted_ious_are_right_on_average_and_masks_stay(data, tiny):
    before = trainer.start(tiny).network
    after = calibrated(before, data)
    seen = list(looks(held_out_pictures(data)))
    assert abs(gaps(Predictor(before, "a"), seen)).max() > 0.01
    assert abs(gaps(Predictor(after, "b"), seen)).max() < 0.01
    changed = [name for name, value in after.state_dict().items() if not value.equal(before.state_dict()[name])]
    assert changed == ["mask_decoder.iou_prediction_head.layers.2.bias"]


def test_training_with_data_ends_with_it(data, tiny, tmp_path, monkeypatch):
    for step in ("calibrated", "with_judge"):
        monkeypatch.setattr(trainer, step, lambda network, folder, step=step: calls.append((step, folder)) or network)
    calls = []
    trainer.export(trainer.start(tiny), tmp_path)
    assert calls == []
    trainer.export(trainer.start(tiny), tmp_path, data)
    assert calls == [("calibrated", data), ("with_judge", data)]
