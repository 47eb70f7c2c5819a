"""Classes by samples: right where features tell them apart, the same in any CRS and order."""

import json
import zipfile
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

pytest.importorskip("sklearn", reason="scikit-learn is an extra: geosam[landcover]")

from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from geosam.errors import LandcoverError
from geosam.landcover import ClassifyOptions, LandcoverModel, Legend, classify, suggest, with_classes
from geosam.landcover.forest import portable
from geosam.landcover.learning import default_estimator
from geosam.landcover.priors import with_shares
from geosam.landcover.samples import label_segments, read_samples
from geosam.landcover.validation import spatial_folds

SIDE, CELL = 20, 100.0


@pytest.fixture(scope="module")
def segments():
    """A chequered land: 400 squares, water in the west, fields and forest in the east."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(SIDE), np.arange(SIDE)))
    squares = shapely.box(500000 + CELL * x, 5e6 + CELL * y, 500000 + CELL * (x + 1), 5e6 + CELL * (y + 1))
    kind = np.where(x < 7, "water", np.where((x + y) % 2, "field", "forest"))
    return gpd.GeoDataFrame({"object_id": np.arange(1, 401), "kind": kind}, geometry=squares, crs="EPSG:32633")


@pytest.fixture(scope="module")
def features(segments):
    rng = np.random.default_rng(0)
    means = segments.kind.map({"water": 10.0, "field": 60.0, "forest": 40.0}).to_numpy()
    return pd.DataFrame(
        {"nir_mean": means + rng.normal(0, 3, 400), "red_mean": rng.normal(0, 1, 400)}, index=segments.index
    )


@pytest.fixture(scope="module")
def samples(segments):
    picked = segments.groupby("kind").sample(12, random_state=1)
    return gpd.GeoDataFrame({"class": picked.kind.to_numpy()}, geometry=picked.centroid.to_numpy(), crs=segments.crs)


@pytest.fixture(scope="module")
def found(segments, samples, features):
    return classify(segments, samples, features=features)


def test_segments_get_the_classes_of_the_samples_that_they_are_like(found, segments):
    table = found.segments
    sure = table["class"] != "unknown"
    assert (table["class"] == segments.kind)[sure].mean() > 0.97
    assert sure.mean() > 0.9
    assert table.sampled.sum() == 36


def test_classified_segments_have_the_documented_columns(found):
    from geosam.landcover.classify import COLUMNS

    assert {name: str(found.segments[name].dtype) for name in COLUMNS} == COLUMNS
    assert found.segments.probability.between(0, 1).all()
    assert (found.segments.margin <= found.segments.probability + 1e-6).all()


def test_samples_count_in_any_crs_and_order(found, segments, samples, features):
    other = classify(segments, samples.to_crs(4326).sample(frac=1, random_state=3), features=features)
    pd.testing.assert_frame_equal(
        pd.DataFrame(found.segments.drop(columns="geometry")), pd.DataFrame(other.segments.drop(columns="geometry"))
    )


def test_polygons_name_the_segments_that_they_cover(segments, features):
    west = shapely.box(500000, 5e6, 500000 + 3 * CELL, 5e6 + 3 * CELL)
    small = segments.geometry.iloc[[50, 110]].buffer(-30).to_numpy()
    given = gpd.GeoDataFrame({"class": ["water", "a", "b"]}, geometry=[west, *small], crs=segments.crs)
    labelled = label_segments(segments, given, "class")
    assert labelled.counts == {"water": 9, "a": 1, "b": 1}


def test_a_segment_with_samples_of_several_classes_teaches_none(segments, features):
    centre = segments.geometry.iloc[5].centroid
    given = gpd.GeoDataFrame(
        {"class": ["a", "b", "a", "b"]},
        geometry=[centre, centre, *segments.geometry.iloc[[7, 8]].centroid],
        crs=segments.crs,
    )
    labelled = label_segments(segments, given, "class")
    assert labelled.rows.tolist() == [7, 8]
    assert "several classes" in labelled.notes[0]


def test_weak_evidence_is_unknown(segments, samples, features):
    all_sure = classify(segments, samples, features=features, options=ClassifyOptions(min_margin=0))
    strict = classify(segments, samples, features=features, options=ClassifyOptions(min_margin=0.903))
    assert not (all_sure.segments["class"] == "unknown").any()
    doubtful = (strict.segments.margin < 0.903) & ~strict.segments.sampled
    assert (strict.segments["class"] == "unknown").equals(doubtful)


def test_segments_without_data_are_unknown(segments, samples, features):
    holed = features.copy()
    holed.iloc[399] = np.nan
    table = classify(segments, samples, features=holed).segments
    assert (table["class"].iloc[399], table.probability.iloc[399]) == ("unknown", 0)


def test_cross_validation_leaves_out_blocks_of_ground(found):
    checked = found.validation
    assert checked.matrix.to_numpy().sum() == 36
    assert checked.overall > 0.9
    assert checked.block == pytest.approx(SIDE * CELL / 5, rel=0.1)


def test_folds_are_whole_blocks():
    xy = np.random.default_rng(0).random((200, 2)) * 1000
    part, side = spatial_folds(xy, np.arange(200) % 3)
    cells = np.floor((xy - xy.min(axis=0)) / side).astype(int)
    assert pd.DataFrame({"cell": list(map(tuple, cells)), "part": part}).groupby("cell").part.nunique().max() == 1
    assert np.bincount(part).min() > 20


def test_a_model_that_was_saved_says_the_same(found, segments, features, tmp_path):
    path = found.model.save(tmp_path / "model.geosam")
    loaded = LandcoverModel.load(path)
    one, other = (with_classes(segments, features, model) for model in (found.model, loaded))
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other))
    assert loaded.legend == found.legend
    assert loaded.save(tmp_path / "again.geosam").read_bytes() == path.read_bytes()


def test_a_model_file_holds_no_pickle(found, tmp_path):
    path = found.model.save(tmp_path / "model.geosam")
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["forest.npz", "model.json"]
        assert json.loads(archive.read("model.json"))["columns"] == ["nir_mean", "red_mean"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "format"])
def test_a_damaged_model_is_refused(found, tmp_path, damage):
    path = found.model.save(tmp_path / "model.geosam")
    data = path.read_bytes()
    if damage == "format":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.json", '{"format": "other"}')
            archive.writestr("estimator.skops", "")
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "cut": data[: len(data) // 2]}[damage])
    with pytest.raises(LandcoverError):
        LandcoverModel.load(path)


def test_any_classifier_with_probabilities_is_accepted(segments, samples, features):
    table = classify(segments, samples, features=features, estimator=LogisticRegression(max_iter=1000)).segments
    assert (table["class"] == segments.kind).mean() > 0.9
    with pytest.raises(LandcoverError, match="predict_proba"):
        classify(segments, samples, features=features, estimator=LinearSVC())


def test_a_forest_says_what_the_one_that_was_grown_says(features, segments):
    X, y = features.to_numpy(), segments.kind.astype("category").cat.codes.to_numpy()
    for names in (["nir_mean", "red_mean"], ["s4_0", "red_mean"], ["s4_0", "s8_0"]):
        grown = default_estimator(names).fit(X, y)
        assert np.abs(portable(grown).predict_proba(X) - grown.predict_proba(X)).max() < 1e-9
        assert grown.feature_importances_.sum() == pytest.approx(1)


def test_what_the_network_sees_has_one_vote_however_many_columns_it_has(features, segments, samples):
    rng = np.random.default_rng(3)
    noise = pd.DataFrame(rng.normal(size=(len(features), 150)), index=features.index).add_prefix("s4_")
    table = pd.concat([features, noise], axis=1)
    options = ClassifyOptions(min_margin=0, validate=False)
    found = classify(segments, samples, features=table, options=options)
    together = classify(
        segments, samples, features=table, options=options, estimator=ExtraTreesClassifier(200, random_state=0)
    )
    right, less = ((each.segments["class"] == segments.kind).mean() for each in (found, together))
    assert right > 0.9
    assert right > less + 0.02
    assert found.importance["nir_mean"] > 10 * found.importance[noise.columns].max()


def test_a_forest_whose_nodes_go_in_circles_is_refused(found):
    forest = found.model.estimator
    circle = forest.children.copy()
    circle[np.flatnonzero(forest.feature >= 0)[0]] = 0
    with pytest.raises(LandcoverError):
        replace(forest, children=circle)


def test_other_estimators_are_saved_as_well(segments, samples, features, tmp_path):
    model = classify(segments, samples, features=features, estimator=LogisticRegression(max_iter=1000)).model
    loaded = LandcoverModel.load(model.save(tmp_path / "model.geosam"))
    assert np.array_equal(loaded.predict(features).probability, model.predict(features).probability)


def test_importance_is_shared_among_the_features(found):
    assert found.importance.sum() == pytest.approx(1)
    assert found.importance.index[0] == "nir_mean"


def test_suggestions_are_doubtful_and_not_labelled_yet(found):
    wanted = suggest(found, 5)
    assert len(wanted) == 5
    assert not wanted.sampled.any()
    assert wanted.doubt.mean() > (1 - found.segments.margin).mean()


def test_classes_of_a_known_legend_by_name_or_code(segments, samples, features):
    codes = samples.assign(**{"class": samples["class"].map({"water": 80, "field": 40, "forest": 10})})
    table = classify(segments, codes, features=features, legend="worldcover").segments
    assert set(table["class"]) - {"unknown"} == {"Permanent water bodies", "Cropland", "Tree cover"}
    assert set(table.class_code) - {255} == {80, 40, 10}
    with pytest.raises(LandcoverError, match="forest"):
        classify(segments, samples, features=features, legend="worldcover")


def test_samples_without_classes_or_places_are_left_out(tmp_path, samples):
    given = samples.copy()
    given.loc[0, "class"] = None
    given.loc[1, "class"] = " "
    given.to_file(tmp_path / "samples.gpkg")
    assert len(read_samples(tmp_path / "samples.gpkg", "class")) == len(samples) - 2


@pytest.mark.parametrize("wrong", ["column", "place", "one class", "no scene", "rows"])
def test_what_teaches_nothing_is_refused(segments, samples, features, wrong):
    given, label, table = samples, "class", features
    if wrong == "column":
        label = "klass"
    if wrong == "place":
        given = samples.set_geometry(samples.translate(1e6))
    if wrong == "one class":
        given = samples[samples["class"] == "water"]
    if wrong == "no scene":
        table = None
    if wrong == "rows":
        table = features.iloc[:10]
    with pytest.raises(LandcoverError):
        classify(segments, given, label, features=table)


def test_a_scene_without_the_bands_of_the_model_is_refused(found, features):
    with pytest.raises(LandcoverError, match="nir_mean"):
        found.model.predict(features[["red_mean"]])


def test_the_same_input_gives_the_same_classes(found, segments, samples, features):
    again = classify(segments, samples, features=features)
    assert again.segments.probability.equals(found.segments.probability)


def test_unknown_is_no_class_of_a_legend():
    with pytest.raises(LandcoverError):
        Legend.of_names(["water", "Unknown"])


def test_the_shares_of_a_scene_count_with_the_default_estimator_alone(segments, samples, features):
    options = ClassifyOptions(min_margin=0, validate=False)
    table = features.assign(log_area=np.linspace(3, 4, len(features)))
    found = classify(segments, samples, features=table, options=options)
    even = classify(segments, samples, features=table, options=replace(options, scene_shares=False))
    own = classify(segments, samples, features=table, options=options, estimator=default_estimator(table.columns))
    assert [each.model.scene_shares for each in (found, even, own)] == [True, False, False]
    assert np.array_equal(own.segments.probability, even.segments.probability)
    told, _ = with_shares(even.model.estimator.predict_proba(table.to_numpy()), 10.0 ** table.log_area.to_numpy())
    assert found.segments.probability.to_numpy() == pytest.approx(told.max(axis=1), abs=1e-6)
    assert not np.allclose(found.segments.probability, even.segments.probability)


def test_models_of_earlier_versions_take_all_classes_for_as_likely(found, tmp_path):
    path = found.model.save(tmp_path / "model.geosam")
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(content["model.json"])
    assert facts.pop("scene_shares") is True
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | {"model.json": json.dumps(facts)}).items():
            archive.writestr(name, data)
    assert LandcoverModel.load(path).scene_shares is False
