"""Kinds and likeness: told the same whoever else is asked, refused where they make no sense, reachable by all doors."""

import shutil

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import shapes
from typer.testing import CliRunner

import geosam
from geosam.cli import app
from geosam.errors import ModelError, OptionError, WeightsError
from geosam.recognition import KINDS, Describer, Examples, RegionFeatures, load_head, names, rank, recognise
from geosam.recognition.kinds import HEAD_FILE
from geosam.scene import open_scene
from geosam.sinks import read_layer, write
from geosam.store import EmbeddingStore
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.training.world import render

PLACE = rasterio.Affine(0.3, 0, 500000, 0, -0.3, 5500000)


def features_of(rng, count=20):
    values = rng.normal(size=(count, len(names()))).astype(np.float32)
    return RegionFeatures(values, np.ones(count, np.int64), load_head().backbone)


def write_world(path, world):
    h, w = world.labels.shape
    how = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "transform": PLACE}
    with rasterio.open(path, "w", width=w, height=h, **how) as file:
        file.write(world.pixels)
    drawn = [(shapely.geometry.shape(each), int(number)) for each, number in shapes(world.labels, transform=PLACE)]
    drawn = [(each, number) for each, number in drawn if number]
    table = {"object_id": [number for _, number in drawn], "true": [world.classes[number - 1] for _, number in drawn]}
    return geopandas.GeoDataFrame(table, geometry=[each for each, _ in drawn], crs="EPSG:32633")


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    table = write_world(folder / "town.tif", render(5, 512, theme="town", resolution_m=0.4))
    return folder / "town.tif", table[table.area > 8].reset_index(drop=True)


def test_probabilities_are_some_and_the_same_beside_any_others():
    features, head = features_of(np.random.default_rng(0)), load_head()
    found = head.probabilities(features)
    assert np.allclose(found.sum(1), 1)
    alone = head.probabilities(RegionFeatures(features.values[7:8], features.area_px[7:8], features.key))
    assert np.array_equal(alone[0], found[7])


def test_features_of_another_backbone_are_refused():
    features = features_of(np.random.default_rng(0))
    with pytest.raises(ModelError, match="describe the regions again"):
        load_head().probabilities(RegionFeatures(features.values, features.area_px, "another"))


def test_a_damaged_head_is_refused(tmp_path):
    damaged = tmp_path / "kinds.safetensors"
    damaged.write_bytes(HEAD_FILE.read_bytes()[:500])
    with pytest.raises(WeightsError, match="install geosam again"):
        load_head(damaged)


def test_houses_of_a_town_are_mostly_buildings_and_trees_trees(town):
    path, table = town
    found = recognise(table, open_scene(path))
    assert set(found.kind) <= set(KINDS)
    assert found.kind_score.between(1 / len(KINDS), 1).all()
    for kind, share in (("building", 0.8), ("tree", 0.4)):  # of 80 and of 17, where one more or less is rounding
        assert (found.kind[found.true == kind] == kind).mean() > share


def test_what_lies_outside_has_no_kind(town):
    path, table = town
    away = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9), table.geometry[0]], crs=table.crs)
    found = recognise(away, open_scene(path))
    assert found.kind.isna().tolist() == [True, False]
    assert np.isnan(found.kind_score[0])
    assert len(recognise(table.iloc[:0], open_scene(path))) == 0


def test_kinds_come_with_a_run_when_asked_for(tmp_path):
    path = label_scene(tmp_path / "scene.tif", blob_labels((200, 300), count=6, large=0))
    how = {"model": TruthNetwork(side=128), "spacing_px": 8}
    plain, named = geosam.segment(path, **how), geosam.segment(path, kinds=True, **how)
    assert "kind" not in plain
    assert set(named.kind) <= set(KINDS)
    assert plain.geometry.geom_equals(named.geometry).all()
    geosam.segment_to_file(path, tmp_path / "out.gpkg", kinds=True, **how)
    assert read_layer(tmp_path / "out.gpkg").kind.tolist() == named.kind.tolist()


def test_more_like_this_finds_the_other_houses(town, tmp_path):
    path, table = town
    house, other = (np.flatnonzero(table.true == what)[:5] for what in ("building", "tree"))
    store = EmbeddingStore(tmp_path)
    found = geosam.similar(table, table.index[house], path, wrong=table.index[other], store=store)
    assert found.similarity.is_monotonic_decreasing
    assert sorted(found.index) == sorted(table.index)
    rest = found.drop(table.index[np.concatenate([house, other])])
    rest = rest[rest.true.isin(["building", "tree"])]
    assert (rest.true[: (rest.true == "building").sum()] == "building").mean() > 0.9
    again = geosam.similar(table, table.index[house], path, wrong=table.index[other], store=EmbeddingStore(tmp_path))
    assert found.equals(again)


def test_examples_may_be_places_or_a_column(town):
    path, table = town
    places = table.geometry.iloc[[0, 1]].representative_point()
    table = table.assign(mark=["1", "yes", "wrong", *[None] * (len(table) - 3)])
    by_place = geosam.similar(table, places, path, wrong=[2], store=None)
    by_column = geosam.similar(table, "mark", path, store=None)
    assert by_place.similarity.equals(by_column.similarity)
    with pytest.raises(OptionError, match="column 'mark' holds '2': expected 1 for right"):
        geosam.similar(table.assign(mark=[1, 0, 2, *[None] * (len(table) - 3)]), "mark", path, store=None)


def test_segments_of_several_scenes_are_ranked_together(town, tmp_path):
    path, table = town
    shutil.copy(path, tmp_path / "other.tif")  # the same place under another name: the same ranks
    some = table.iloc[:30]
    both = geopandas.pd.concat([some.assign(scene="other"), some.assign(scene="town")], ignore_index=True)
    found = geosam.similar(both, [0, 30], [path, tmp_path / "other.tif"], wrong=[7, 37], store=None).sort_index()
    assert np.allclose(found.similarity[:30], found.similarity[30:])
    with pytest.raises(OptionError, match="'other'"):
        geosam.similar(both, [0], [path], store=None)


@pytest.mark.parametrize(
    ("examples", "wrong", "message"),
    [
        ([], [], "no example"),
        ([0], [0], "as right and as wrong"),
        (["nobody"], [], "label of the segments' index"),
        ([shapely.Point(0, 0)], [], "lies in no polygon"),
        ("nothing", [], "column 'nothing'"),
    ],
)
def test_examples_that_make_no_sense_are_refused(town, examples, wrong, message):
    path, table = town
    with pytest.raises(OptionError, match=message):
        geosam.similar(table, examples, path, wrong=wrong, store=None)


def test_ranks_do_not_depend_on_the_order_of_rows():
    features = features_of(np.random.default_rng(1), 40)
    order = np.random.default_rng(2).permutation(40)
    moved = RegionFeatures(features.values[order], features.area_px, features.key)
    place = np.argsort(order)
    one = rank(features, Examples(np.array([3, 4]), np.array([9])))
    other = rank(moved, Examples(place[[3, 4]], place[[9]]))
    assert np.allclose(one[order], other, atol=1e-6)


def test_the_command_ranks_and_writes(town, tmp_path):
    path, table = town
    layer = write(table.assign(scene="town"), tmp_path / "segments.gpkg")
    inner = table.geometry.iloc[0].representative_point()
    place = f"{inner.x},{inner.y}"
    asked = ["similar", str(layer), str(path), "-o", str(tmp_path / "out.gpkg"), "--store", "none", "-q"]
    done = CliRunner().invoke(app, [*asked, "--right", place])
    assert done.exit_code == 0, done.output
    assert read_layer(tmp_path / "out.gpkg").similarity.iloc[0] == 1
    refused = CliRunner().invoke(app, [*asked, "--overwrite"])
    assert refused.exit_code != 0


def test_a_describer_without_pixels_says_so(town):
    path, table = town
    features = Describer().describe(table.iloc[:0], open_scene(path))
    assert len(features) == 0
    with pytest.raises(OptionError, match="rows from 0"):
        rank(features, Examples(np.array([0]), np.zeros(0, np.int64)))
