"""How words are measured, and how their lines are fitted."""

import csv

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from geosam.cli import app
from geosam.evaluation.words import ALL, HALF, Counted, at_pixels, evaluate_words, table
from geosam.recognition import KINDS
from geosam.training.kind_rows import WORLD
from geosam.training.words import FALSE, Told, fit_line
from geosam.training.world import render


def counted(right, wrong):
    score = np.array([*right, *wrong], np.float32)[None]
    true = np.arange(score.size)[None] < len(right)
    return Counted.of(score, true, np.ones_like(true))


def test_ground_is_counted_at_every_threshold():
    one = counted([0.9, 0.6, 0.3], [0.7, 0.1])
    assert one.above[:, HALF].tolist() == [2, 1]
    assert one.f1[HALF] == pytest.approx(2 * 2 / (3 + 3))
    assert one.f1[20] == pytest.approx(2 * 3 / (4 + 3))


def test_the_table_has_means_over_sources_and_false_ground_of_pictures_without_the_word():
    rows = table(
        {
            ("tree", "a"): [counted([0.9], [0.2])],
            ("tree", "b"): [counted([0.4, 0.6], [0.1]), counted([], [0.8, 0.1])],
        }
    )
    by_source = {row.source: row for row in rows}
    assert by_source["a"].f1 == 1
    assert np.isnan(by_source["a"].false_area)
    assert by_source["b"].recall == 0.5
    assert by_source["b"].false_area == 0.5
    assert by_source[ALL].f1 == pytest.approx((1 + by_source["b"].f1) / 2)
    assert by_source[ALL].best_f1 >= by_source[ALL].f1


def test_a_mask_on_another_grid_is_what_lies_at_its_pixels_centres():
    mask = np.array([[True, False], [False, True]])
    assert np.array_equal(at_pixels(mask, (4, 4)), mask.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(at_pixels(at_pixels(mask, (6, 6)), (2, 2)), mask)


def pictures(rng, middle):
    """Segments whose share of a kind is one where their probability exceeds a middle, but for some."""
    for number in range(6):
        n = 200
        p = rng.uniform(0, 0.98, n)
        share = ((p > middle) ^ (rng.random(n) < 0.05)).astype(float) * (number < 4)
        p = p if number < 4 else p * 0.5
        whole = [np.zeros((n, len(KINDS))) for _ in range(2)]
        whole[0][:, 3], whole[1][:, 3] = p, share
        yield Told(WORLD, whole[0], np.full(n, 50.0), whole[1], np.ones((n, len(KINDS))))


@pytest.mark.parametrize("middle", [0.3, 0.7])
def test_a_line_has_its_half_where_words_are_told_best_and_absent_words_stay_away(middle):
    told = list(pictures(np.random.default_rng(1), middle))
    line, facts = fit_line(told, 3)
    assert facts["false"] <= FALSE
    assert facts["threshold"] == pytest.approx(middle, abs=0.06)
    assert line(np.array([facts["threshold"]]))[0] == pytest.approx(0.5, abs=0.01)
    assert 0.3 <= line.slope <= 3
    assert line.presence >= 0.5


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled") / "suburb"
    folder.mkdir()
    world = render(1, 200, theme="suburb")
    houses = np.isin(world.labels, [n + 1 for n, name in enumerate(world.classes) if name == "building"])
    Image.fromarray(world.pixels.transpose(1, 2, 0)).save(folder / "a.png")
    Image.fromarray(np.where(houses, world.labels, 0).astype(np.uint16)).save(folder / "a_ids.png")
    return folder


def test_a_folder_of_labelled_pictures_is_scored_by_words(labelled, tmp_path):
    rows = evaluate_words(labelled, "house", absent="snow")
    assert [row.word for row in rows] == ["building", "snow"]
    assert rows[0].best_f1 >= rows[0].f1 > 0.3
    assert rows[1].false_area < 0.01
    out = tmp_path / "words.csv"
    done = CliRunner().invoke(app, ["evaluate", str(labelled), "--text", "house", "--csv", str(out), "-q"])
    assert done.exit_code == 0, done.output
    with out.open() as file:
        assert [row["word"] for row in csv.DictReader(file)] == ["building"]
