"""What a larger model finds by words, with a perfect one on scenes whose truth is known to the pixel."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

import geosam
from geosam.errors import OptionError
from geosam.masks import MaskSet
from geosam.pipeline import segment_to_file
from geosam.pipeline.concepts import lay_by_score
from geosam.testing import TruthFinder, TruthNetwork, WatchedNetwork, blob_labels, label_scene

SHAPE = (150, 420)
LABELS = blob_labels(SHAPE, count=14, large=1, seed=3)
EVERY = tuple(int(one) for one in np.unique(LABELS) if one)
ODD, EVEN = (tuple(one for one in EVERY if one % 2 == rest) for rest in (1, 0))
NAMED = {"building": ODD, "tree": EVEN}


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    return label_scene(tmp_path_factory.mktemp("concepts") / "scene.tif", LABELS)


def painted(table, scene) -> np.ndarray:
    """The word of each pixel: 1 for the first of `NAMED`, 2 for the second."""
    with rasterio.open(scene) as file:
        shapes = zip(table.geometry, [1 + list(NAMED).index(label) for label in table["label"]], strict=True)
        return rasterio.features.rasterize(shapes, file.shape, transform=file.transform, fill=0)


def find(scene, finder, text="building, tree", **how):
    return geosam.segment(scene, text=text, text_model=finder, model=TruthNetwork(side=160), **how)


@pytest.mark.parametrize("draws", [False, True])
def test_every_object_has_its_word_its_place_and_no_pixel_twice(scene, draws):
    table = find(scene, TruthFinder(NAMED, draws=draws), window=160)
    truth = np.where(np.isin(LABELS, ODD), 1, np.where(np.isin(LABELS, EVEN), 2, 0))
    assert (painted(table, scene) == truth).mean() > 0.999
    assert table.geometry.area.sum() == pytest.approx(table.union_all().area)
    assert len(table) == len(EVERY)
    assert set(table["label"]) == set(table["prompt"]) == set(NAMED)
    assert np.allclose(table["score"], 0.9)
    assert set(table["model"]) == {"truth finder" if draws else "truth"}


def test_windows_change_nothing(scene):
    whole, cut = (find(scene, TruthFinder(NAMED), window=window) for window in (512, 160))
    assert (painted(whole, scene) == painted(cut, scene)).mean() > 0.999
    assert (whole["n_windows"] == 1).all()
    assert cut["n_windows"].max() > 1


def test_words_compete_for_an_object_and_the_better_score_has_it(scene):
    both = {"building": EVERY, "tree": EVERY}
    finder = TruthFinder(both, scores={("tree", one): 0.95 if one in EVEN else 0.6 for one in EVERY})
    table = find(scene, finder, window=160)
    truth = np.where(np.isin(LABELS, ODD), 1, np.where(np.isin(LABELS, EVEN), 2, 0))
    assert (painted(table, scene) == truth).mean() > 0.999
    assert len(table) == len(EVERY)


def test_a_word_that_is_not_there_gives_an_empty_layer_with_all_columns(scene):
    full, none = find(scene, TruthFinder(NAMED)), find(scene, TruthFinder(NAMED), text="swimming pool")
    assert len(none) == 0
    assert list(none.columns) == list(full.columns)
    assert none.dtypes.equals(full.dtypes)


def test_the_threshold_is_the_scores(scene):
    finder = TruthFinder(NAMED, scores={("building", ODD[0]): 0.4})
    assert len(find(scene, finder)) == len(EVERY) - 1
    assert len(find(scene, finder, text_threshold=0.3)) == len(EVERY)


def test_nothing_is_encoded_where_nothing_is_found(scene):
    network, small = WatchedNetwork(side=160), min(EVERY, key=lambda one: np.count_nonzero(one == LABELS))
    geosam.segment(scene, text="tree", text_model=TruthFinder({"tree": (small,)}), model=network, window=160)
    assert 0 < len(network.windows) < 3


def test_an_interrupted_run_goes_on_to_the_same_file(scene, tmp_path):
    finder, how = TruthFinder(NAMED), {"text": "building, tree", "window": 160}
    segment_to_file(scene, tmp_path / "once.gpkg", text_model=finder, model=TruthNetwork(side=160), **how)
    with pytest.raises(KeyboardInterrupt):
        segment_to_file(
            scene, tmp_path / "twice.gpkg", text_model=finder, model=WatchedNetwork(side=160, stop_after=1), **how
        )
    report = segment_to_file(scene, tmp_path / "twice.gpkg", text_model=finder, model=TruthNetwork(side=160), **how)
    assert report.resumed == 1
    once, twice = (gpd.read_file(tmp_path / f"{name}.gpkg", layer=name) for name in ("once", "twice"))
    assert once.geometry.to_wkb().equals(twice.geometry.to_wkb())
    assert once["label"].equals(twice["label"])


def test_what_lies_mostly_on_better_ground_repeats_it():
    boxes = np.array([[0, 0, 10, 4], [6, 0, 16, 4], [4, 4, 14, 8], [0, 4, 10, 8]], np.int32)
    ones, crops = np.ones(4, np.float32), tuple(np.ones((4, 10), bool) for _ in boxes)
    masks = MaskSet(Window(0, 0, 16, 8), (8, 16), boxes, crops, ones, ones, np.arange(4), np.zeros(4, bool))
    seen, kept = lay_by_score(masks, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0)
    assert kept.tolist() == [0, 1, 2]  # of the second 6 of 10 columns are left, of the last 4 of 10
    assert [(seen.labels == label).sum() for label in (1, 2, 3)] == [40, 24, 40]


def test_words_with_prompts_are_refused(scene):
    with pytest.raises(OptionError, match="text together with prompts"):
        geosam.segment(scene, LABELS, text="tree", text_model=TruthFinder(NAMED), model=TruthNetwork())
