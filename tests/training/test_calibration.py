"""After calibration the predicted IoUs are right on average, and the masks are the same."""

from zlib import crc32

from geosam.evaluation import looks
from geosam.models import to_predictor
from geosam.training import trainer
from geosam.training.calibration import calibrated, gaps, held_out_pictures
from geosam.training.real import HELD_OUT


def test_only_pictures_that_training_never_saw_are_asked(data):
    pictures = held_out_pictures(data)
    assert [each.source for each in pictures] == ["fields", "roofs"]
    assert all(crc32(each.name.encode()) % HELD_OUT == 0 for each in pictures)


def test_predicted_ious_are_right_on_average_and_masks_stay(data, tiny):
    before = trainer.start(tiny).network
    after = calibrated(before, data)
    seen = list(looks(held_out_pictures(data)))
    assert abs(gaps(to_predictor(before, "a"), seen)).max() > 0.01
    assert abs(gaps(to_predictor(after, "b"), seen)).max() < 0.01
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
