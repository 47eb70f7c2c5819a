"""A perfect network scores 1 on every layout of labelled folder, and a wrong answer gets the score it deserves."""

import csv
import json

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import geosam.pipeline.request
from geosam.cli import app
from geosam.errors import OptionError, SceneReadError
from geosam.evaluation import ObjectScore, evaluate, list_pictures, looks
from geosam.evaluation.asking import ask_clicks, correct
from geosam.evaluation.crops import Crop, iou
from geosam.evaluation.ground import WindowScore, achievable_accuracy, boundary_recall
from geosam.evaluation.looks import window_of
from geosam.evaluation.measures import boundary_f1, calibration_error, correlation
from geosam.evaluation.table import Evaluation
from geosam.evaluation.truth import find_objects
from geosam.segmenter import Answers, PromptBatch
from geosam.testing import TruthNetwork, blob_labels, label_scene, labels_to_pixels

NETWORK = TruthNetwork(side=512)


@pytest.fixture(scope="module")
def labels():
    return blob_labels((80, 100), count=8, large=0, seed=3).repeat(3, 0).repeat(3, 1)


def save_picture(path, labels):
    Image.fromarray(np.moveaxis(labels_to_pixels(labels), 0, -1)).save(path)


def outlines(labels):
    """Each label as pixel-exact polygons."""
    import rasterio.features

    shapes = rasterio.features.shapes(labels, mask=labels > 0)
    return [shapely.geometry.shape(shape) for shape, _ in shapes]


def counted(labels):
    return [each for each in find_objects(labels) if each.area >= 256 and not each.touches_edge]


def test_a_perfect_network_scores_one(tmp_path, labels):
    (tmp_path / "roofs").mkdir()
    save_picture(tmp_path / "roofs/a.png", labels)
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "roofs/a_ids.png")
    found = evaluate(tmp_path, model=NETWORK, spacing_px=8)
    assert [row.source for row in found.sources] == ["roofs"]
    assert found.mean.objects == len(counted(labels)) > 2
    measured = found.mean.numbers
    assert measured.pop("calibration_error") == 0
    unknown = ("correlation", "nested50", "nested75", "low50", "high50")  # of one window nothing is told of others
    assert np.isnan([measured.pop(name) for name in unknown]).all()
    assert measured.pop("seconds") > 0
    assert 0 < measured.pop("covered") < 1
    assert set(measured.values()) == {1.0}
    assert found.pooled.numbers["recall50"] == 1.0
    assert sum(row.objects for row in found.lengths) == found.mean.objects


def test_wholes_beside_parts_are_scored_if_asked(tmp_path, labels):
    """A roof and its halves cannot all be found where ground is laid out once."""
    halves = np.where(labels > 0, 2 * labels - (np.arange(labels.shape[1]) % 60 < 30), 0).astype(np.int32)
    save_picture(tmp_path / "a.png", halves)
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")
    once, both = (evaluate(tmp_path, model=NETWORK, spacing_px=8, hierarchy=each).mean for each in (False, True))
    assert np.isnan(once.nested50)
    assert both.recall50 == once.recall50
    assert 1 >= both.nested50 >= both.recall50
    assert both.nested50 >= both.nested75


@pytest.mark.parametrize("layout", ["ids", "mask", "vector", "coco", "world"])
def test_every_layout_gives_the_same_objects(tmp_path, labels, layout):
    picture = tmp_path / "a.png"
    if layout == "world":
        picture = label_scene(tmp_path / "a.tif", labels)
    else:
        save_picture(picture, labels)
    if layout == "ids":
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")
    elif layout == "mask":
        Image.fromarray((labels > 0).astype(np.uint8) * 255).save(tmp_path / "a_mask.png")
    elif layout == "coco":
        rings = [list(np.ravel(shape.exterior.coords)) for shape in outlines(labels)]
        notes = [{"image_id": 1, "segmentation": [ring]} for ring in rings]
        coco = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": notes}
        (tmp_path / "all.json").write_text(json.dumps(coco))
    elif layout == "vector":
        (tmp_path / "a.geojson").write_text(geopandas.GeoSeries(outlines(labels)).to_json())
    else:
        scene = geosam.open_scene(picture)
        world = geopandas.GeoDataFrame(geometry=list(scene.to_world(outlines(labels))), crs=scene.crs)
        world.to_crs(4326).to_file(tmp_path / "a.geojson")
    areas = sorted(each.truth.area for look in looks(list_pictures(tmp_path)) for each in look.targets)
    expected = sorted(each.area for each in counted(labels))
    assert len(areas) == len(expected)
    np.testing.assert_allclose(areas, expected, rtol=0.03 if layout == "world" else 0)


def test_boxes_are_scored_as_boxes_and_stay_out_of_the_mean(tmp_path, labels):
    save_picture(tmp_path / "a.png", labels)
    with (tmp_path / "a.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_path", "xmin", "ymin", "xmax", "ymax"])
        rows.writerows([["a.png", *each.box] for each in find_objects(labels)])
    found = evaluate(tmp_path, model=NETWORK, everything=0)
    (row,) = found.sources
    assert row.source.endswith("(boxes)")
    assert row.click == 1.0
    assert np.isnan(row.box)
    assert found.mean.objects == 0


def test_a_manifest_names_pictures_objects_and_sources(tmp_path, labels):
    for source in ("fields", "roofs"):
        (tmp_path / source).mkdir()
        save_picture(tmp_path / source / "a.png", labels)
        save_picture(tmp_path / source / "a_post_1.png", labels)
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / source / "a_ids.png")
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        names = [f"{source}/a{end}.png" for source in ("roofs", "fields") for end in ("", "_post_1")]
        rows = [[name, f"{name.split('/')[0]}/a_ids.png", "ids"] for name in names]
        csv.writer(file).writerows([["file", "labels", "label_format"], *rows])
    mine = counted(labels)[0]
    with (tmp_path / "objects.csv").open("w", newline="") as file:
        header = ["file", "xmin", "ymin", "xmax", "ymax", "point_x", "point_y", "area_px", "touches_edge"]
        place = [*mine.box, *(mine.point - 0.5), mine.area]
        rows = [["roofs/a.png", *place, 0], ["roofs/a.png", *place, 1], ["fields/a.png", *place, 0]]
        csv.writer(file).writerows([header, *rows])
    found = evaluate(tmp_path, model=NETWORK, everything=0)
    assert [(row.source, row.objects, row.clicks3) for row in found.sources] == [("fields", 1, 1.0), ("roofs", 1, 1.0)]
    assert [each.source for each in list_pictures(tmp_path, sources=["roofs"])] == ["roofs"]
    with pytest.raises(OptionError, match="fields, roofs"):
        list_pictures(tmp_path, sources=["cars"])


def test_limits_make_a_run_short(tmp_path, labels):
    for name in "abc":
        save_picture(tmp_path / f"{name}.png", labels)
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / f"{name}_ids.png")
    assert len(list_pictures(tmp_path, limit=2)) == 2
    assert sum(len(look.targets) for look in looks(list_pictures(tmp_path), objects=4)) == 4


def test_a_folder_without_truth_says_what_it_should_hold(tmp_path):
    with pytest.raises(OptionError, match="no labelled picture"):
        list_pictures(tmp_path)
    with pytest.raises(OptionError, match="a folder"):
        list_pictures(tmp_path / "none")


def test_labels_of_another_size_name_the_picture(tmp_path, labels):
    save_picture(tmp_path / "a.png", labels)
    Image.fromarray(labels[:50].astype(np.uint16)).save(tmp_path / "a_ids.png")
    with pytest.raises(SceneReadError, match=r"a\.png.*a_ids\.png.*240"):
        list(looks(list_pictures(tmp_path)))


def test_each_object_is_shown_in_one_window_near_its_middle(tmp_path):
    labels = np.zeros((600, 2500), np.int32)
    for number, x in enumerate(range(40, 2400, 300), start=1):
        labels[200:240, x : x + 60] = number
    save_picture(tmp_path / "a.png", labels)
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")
    shown = list(looks(list_pictures(tmp_path)))
    assert sum(len(look.targets) for look in shown) == 8
    for look in shown:
        assert look.chip().pixels.shape == (3, 600, 1024)
        assert look.alone().shape == (600, 1024)
        for each in look.targets:
            assert each.truth.area == 2400
            assert each.truth.box == tuple(each.box)


def test_the_nearest_window_is_chosen():
    assert window_of(np.array([0, 0, 10, 10], np.float32), (3000, 3000)) == (0, 0)
    assert window_of(np.array([2990, 1500, 3000, 1510], np.float32), (3000, 3000)) == (1024, 1976)


class Stubborn(TruthNetwork):
    """Answers a lone click with the left half only, and learns from a second click."""

    def decode(self, features, prompts, *, multimask=True):
        without = PromptBatch(prompts.points, prompts.labels, prompts.boxes)
        logits, scores = super().decode(features, without, multimask=multimask)
        if multimask and prompts.boxes is None:
            for row, (x, _) in enumerate(prompts.points[:, 0]):
                logits[row, :, :, round(float(x)) :] = -10
        return Answers(logits, scores)


def test_the_second_click_repairs_what_the_first_missed(tmp_path, labels):
    save_picture(tmp_path / "a.png", labels)
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")
    found = evaluate(tmp_path, model=Stubborn(side=512), everything=0).mean
    assert 0.3 < found.click < 0.7
    assert found.box == found.clicks3 == 1.0


def test_clicks_fall_in_the_largest_wrong_region():
    truth = np.zeros((40, 40), bool)
    truth[5:25, 5:25] = True
    answer = np.zeros((40, 40), bool)
    answer[5:25, 5:10] = True  # 300 pixels are missing
    answer[30:36, 30:36] = True  # 36 too many
    x, y, label = correct(Crop.of(answer), Crop.of(truth))
    assert label == 1
    assert 10 < x < 25
    assert 5 < y < 25
    assert correct(Crop.of(truth), Crop.of(truth))[2] == -1
    assert correct(Crop.of(np.zeros((40, 40), bool)), Crop.of(truth))[2] == 1


def test_iou_and_outlines():
    square = np.zeros((60, 60), bool)
    square[10:40, 10:40] = True
    moved = np.roll(square, 10, 1)
    one, other = Crop.of(square), Crop.of(moved)
    assert iou(one, other) == (square & moved).sum() / (square | moved).sum()
    assert iou(one, Crop.of(np.zeros((60, 60), bool))) == 0
    assert boundary_f1(one, Crop.of(np.roll(square, 1, 1))) == 1.0
    assert boundary_f1(one, other) < 0.6
    assert boundary_f1(one, other, tolerance_px=60) == 1.0
    assert boundary_f1(one, Crop.of(np.zeros((60, 60), bool))) == 0


def test_calibration():
    reached = np.linspace(0, 1, 50)
    assert calibration_error(reached, reached) == 0
    assert calibration_error(np.full(50, 0.9), np.full(50, 0.4)) == pytest.approx(0.5)
    assert correlation(reached, reached**2) > 0.9
    assert np.isnan(correlation(np.ones(5), reached[:5]))


def test_the_mean_counts_every_source_once():
    scores = [ObjectScore("a", "x", exact=True, box=1.0)] * 9 + [ObjectScore("b", "y", exact=True, box=0.0)]
    assert Evaluation("m", "s", scores).mean.box == 0.5


def seen_in(source: str, window: int, reached: list[float], length: float = 50.0) -> list[ObjectScore]:
    """Objects of a window that everything mode gets at these IoUs."""
    told = WindowScore(f"{source} {window}", 1.0 + window, 5, 0.5, 0.9, 0.8)
    return [ObjectScore(source, "x", exact=True, length=length, window=told, everything=each) for each in reached]


def test_all_objects_count_once_beside_the_mean_over_sources():
    scores = [*seen_in("a", 0, [0.9] * 8), *seen_in("b", 0, [0.2, 0.6]), *seen_in("b", 1, [0.1, 0.8], length=300.0)]
    found = Evaluation("m", "s", scores)
    assert (found.mean.recall50, found.pooled.recall50) == (0.75, pytest.approx(10 / 12))
    assert [(row.source, row.objects, row.windows) for row in found.sources] == [("a", 8, 1), ("b", 4, 2)]
    assert (found.mean.windows, found.pooled.windows) == (3, 3)
    assert found.pooled.seconds == pytest.approx((1 + 1 + 2) / 3)
    assert [(row.source, row.objects) for row in found.lengths] == [
        ("objects 30 to 60 px long", 10),
        ("objects from 240 px long", 2),
    ]


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=2, max_size=6))
def test_the_interval_holds_the_share_and_nothing_beyond_the_windows(windows):
    scores = [score for number, reached in enumerate(windows) for score in seen_in("a", number, reached)]
    (row,) = Evaluation("m", "s", scores).sources
    shares = [np.mean(np.array(reached) >= 0.5) for reached in windows]
    assert min(shares) - 1e-12 <= row.low50 <= row.high50 <= max(shares) + 1e-12
    if len(set(shares)) == 1:
        assert row.low50 == pytest.approx(row.recall50) == pytest.approx(row.high50)


@given(st.integers(0, 1000))
def test_finer_segments_never_mix_more_or_miss_more_borders(seed):
    rng = np.random.default_rng(seed)
    truth, coarse = (blob_labels((40, 50), count=5, large=0, seed=int(n)) for n in rng.integers(0, 999, 2))
    fine = np.unique(coarse * 3 + rng.integers(0, 3, coarse.shape), return_inverse=True)[1].reshape(coarse.shape)
    fine = fine.astype(np.int32)
    assert achievable_accuracy(fine, truth) >= achievable_accuracy(coarse, truth)
    assert not boundary_recall(fine, truth) < boundary_recall(coarse, truth)
    assert achievable_accuracy(truth, truth) == 1.0


def test_all_rounds_answer_all_objects(tmp_path, labels):
    save_picture(tmp_path / "a.png", labels)
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")
    (look,) = looks(list_pictures(tmp_path))
    from geosam.embeddings import embed

    rounds = ask_clicks(embed(look.chip(), NETWORK), NETWORK, look.targets, rounds=4)
    assert [len(answers) for answers in rounds] == [len(look.targets)] * 4


class TestCommand:
    @pytest.fixture(autouse=True)
    def perfect(self, monkeypatch, tmp_path, labels):
        monkeypatch.setattr(geosam.pipeline.request, "load_model", lambda name, **how: NETWORK)
        save_picture(tmp_path / "a.png", labels)
        Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "a_ids.png")

    def test_prints_and_writes_the_table(self, tmp_path):
        words = ["evaluate", tmp_path, "--spacing", 16, "--json", tmp_path / "out.json", "--csv", tmp_path / "out.csv"]
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        assert "mean over sources" in done.output
        assert "all objects" in done.output
        assert "s CPU" in done.output
        assert "px long" in done.output
        assert "nested@" not in done.output
        whole = json.loads((tmp_path / "out.json").read_text())
        assert whole["mean"]["box"] == 1.0
        assert whole["mean"]["correlation"] is None
        with (tmp_path / "out.csv").open() as file:
            first = [row["source"] for row in csv.DictReader(file)][:3]
        assert first == [tmp_path.name, "mean over sources", "all objects"]

    def test_a_speed_is_scored_that_is_asked_for(self, tmp_path):
        words = ["evaluate", tmp_path, "--coverage", "--json", tmp_path / "out.json"]
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        assert json.loads((tmp_path / "out.json").read_text())["pooled"]["covered"] == 1.0

    def test_an_interrupted_run_shows_what_it_has(self, tmp_path, monkeypatch):
        from geosam import evaluation

        def two(*_, **__):
            yield ObjectScore("roofs", "a", exact=True, box=0.25)
            raise KeyboardInterrupt

        monkeypatch.setattr(evaluation, "score_pictures", two)
        done = CliRunner().invoke(app, ["evaluate", str(tmp_path), "--json", str(tmp_path / "out.json")])
        assert done.exit_code == 130
        assert "0.250" in done.output
        assert not (tmp_path / "out.json").exists()

    def test_a_wrong_folder_is_one_line(self, tmp_path):
        done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "none")])
        assert done.exit_code == 1
        assert done.stderr.startswith("error: set ")


def test_the_dev_set_is_understood(dev_data):
    pictures = list_pictures(dev_data)
    sources = {each.source for each in pictures}
    assert {"xbd-subset", "agoro-fields", "argha-buildings", "deepforest"} <= sources
    assert not any("_post_" in each.name for each in pictures)
    chosen = ["xbd-subset", "cosmiq-solaris", "deepforest", "antillia-Flood"]
    shown = list(looks(list_pictures(dev_data, sources=chosen, limit=1)))
    assert {look.source for look in shown} == set(chosen)
    assert all(each.truth.area for look in shown for each in look.targets)
