"""Laws of features that agree from window to window, with a network that tells where its windows end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosam.execute import Journal
from geosam.pipeline.looks import Looks
from geosam.pipeline.regions import scene_scale
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.regions import FineFeatures, Margin, Patch, TileGrid, agree, measure_scale
from geosam.segmenter import Features
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.windows import WindowPlan

REACH = 4
"""Cells beyond a block on which its window has a say, where windows of 128 px share 32."""


class Edgy(TruthNetwork):
    """Features of a window tell how far its edges are, as padding does, and otherwise its pixels, stride by stride."""

    def encode(self, pixels):
        _, h, w = pixels.shape
        means = pixels.reshape(3, h // 4, 4, w // 4, 4).mean((2, 4))
        y, x = np.mgrid[: h // 4, : w // 4]
        edge = 60 * np.exp(-y / 6) - 50 * np.exp(-x / 6) + 40 * np.exp((x - w // 4) / 9)
        return Features(((means + edge).astype(np.float16),), (h, w))

    def logits_shape(self, shape):
        return shape[0] // 4, shape[1] // 4


def looks_of(scene, journal, *, network, size, overlap=32):
    """All windows of a scene, and the blocks in their order."""
    run = Run(Request.of(scene, None, model=network, options=None, changes={"coverage": True}), journal)
    grid = TileGrid(WindowPlan(run.scene.shape, size=size, overlap=overlap))
    spots = list(grid.blocks())
    return Looks(run, grid, set(spots)), spots


def field_of(looks, spots, found):
    """Features of all blocks side by side."""
    h, w = looks.run.scene.shape
    field = np.full((3, h // 4, w // 4), np.nan, np.float32)
    for spot, look in zip(spots, found, strict=True):
        place = looks.grid.place(spot)
        rows, cols = (
            slice(first // 4, (first + n) // 4) for first, n in zip((place.top, place.left), place.shape, strict=True)
        )
        at = np.s_[
            :, place.row // 4 : (place.row + place.shape[0]) // 4, place.col // 4 : (place.col + place.shape[1]) // 4
        ]
        field[at] = look.fine.values[:, rows, cols]
    return field


def steps(field):
    return max(np.abs(np.diff(field, axis=axis)).max() for axis in (1, 2))


@pytest.fixture(scope="module")
def even(tmp_path_factory):
    """A scene in which nothing is to be seen; windows of 128 px start at multiples of 96."""
    return label_scene(tmp_path_factory.mktemp("margins") / "even.tif", np.zeros((320, 416), np.int32))


def test_features_do_not_jump_where_blocks_meet(even, tmp_path):
    with Journal(tmp_path / "journal", "") as journal:
        looks, spots = looks_of(even, journal, network=Edgy(side=128), size=128)
        jumping, agreeing = (field_of(looks, spots, found) for found in (looks.each(spots), looks.agreed(spots)))
    assert np.isfinite(agreeing).all()
    alone = steps(next(looks.each(spots[:1])).fine.values.astype(np.float32))
    assert steps(jumping) > 4 * alone
    assert steps(agreeing) <= alone + steps(jumping) / REACH
    beyond = np.s_[:, 32:52, 32:52]  # of the window at (96, 96), where no earlier one has a say
    assert np.array_equal(agreeing[beyond], jumping[beyond])


@given(st.integers(70, 200), st.integers(70, 200), st.integers(40, 64))
@settings(max_examples=10, deadline=None)
def test_what_all_windows_see_alike_stays_as_it_is(tmp_path_factory, h, w, size):
    path = tmp_path_factory.mktemp("alike") / "scene.tif"
    label_scene(path, blob_labels((h, w), count=5, large=0, seed=h))
    with Journal(path.parent / "journal", "") as journal:
        looks, spots = looks_of(path, journal, network=TruthNetwork(side=64), size=size, overlap=12)
        for one, other in zip(looks.each(spots), looks.agreed(spots), strict=True):
            assert np.array_equal(one.fine.values, other.fine.values)


def test_what_was_lost_of_earlier_windows_is_seen_again(even, tmp_path):
    with Journal(tmp_path / "journal", "") as journal:
        looks, spots = looks_of(even, journal, network=Edgy(side=128), size=128)
        *_, last = looks.agreed(spots)
        for name in journal.names():
            (tmp_path / "journal" / f"{name}.npz").unlink()
        (again,) = looks.agreed(spots[-1:])
    assert np.array_equal(last.fine.values, again.fine.values)


def test_blocks_without_data_have_no_say(even, tmp_path):
    with Journal(tmp_path / "journal", "") as journal:
        looks, spots = looks_of(even, journal, network=Edgy(side=128), size=128)
        looks.full = {spots[-1]}
        (seen,), (agreed,) = looks.each(spots[-1:]), looks.agreed(spots[-1:])
        assert np.array_equal(seen.fine.values, agreed.fine.values)
        assert journal.names() == []


def test_a_window_agrees_with_an_earlier_one_in_its_block_and_is_itself_beyond_its_reach():
    plan = WindowPlan((64, 112), size=64, overlap=16)
    first, second = (Margin.of(planned, (64, 112)) for planned in plan)
    assert (first.core[3], first.reach[3], second.reach[1]) == (56, 64, 48)
    ones, zeros = (FineFeatures(np.full((2, 16, 16), each, np.float16), (16.0, 16.0)) for each in (1, 0))
    patch = Patch.of(ones, plan[0].window).cut(first.shared(second))
    assert patch.values.shape == (2, 16, 4)
    found = agree(zeros, plan[1].window, second, [(first, patch)]).values.astype(float)
    assert np.allclose(found[:, :, :2], 1, atol=1e-3)  # 48 to 56: the first one's block
    assert found[0, :, 2:5].tolist() == [[0.75, 0.25, 0]] * 16
    assert not found[:, :, 4:].any()


def test_the_scale_counts_every_pixel_once(tmp_path):
    path = label_scene(tmp_path / "scene.tif", blob_labels((112, 160), count=9, large=1))
    with Journal(tmp_path / "journal", "") as journal:
        looks, spots = looks_of(path, journal, network=TruthNetwork(side=64), size=64, overlap=16)
        assert len(spots) == 6
        found = scene_scale(looks.run, looks)
    with Journal(tmp_path / "whole", "") as journal:
        looks, spots = looks_of(path, journal, network=TruthNetwork(side=256), size=256)
        (look,) = looks.each(spots)
    whole = measure_scale([(look.pixels, look.fine, look.valid)])
    assert found.picture == pytest.approx(whole.picture)
    assert found.features == pytest.approx(whole.features)
    assert found.colour == pytest.approx(whole.colour)
