"""Words: what is understood, what is refused, and objects of which no two have the same ground."""

import json
import logging
import sqlite3
from contextlib import closing

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import geosam
from geosam.errors import OptionError, WeightsError
from geosam.pipeline.reading import read_words, suited
from geosam.pipeline.words import TEXT_COLUMNS
from geosam.recognition import KINDS, KindReader, load_vocabulary, read_text
from geosam.recognition.reading import LINES_FILE, Line
from geosam.recognition.vocabulary import LANGUAGES, Word, folded, names_in, split_text
from geosam.scene import open_scene
from geosam.segmenter import WordReader
from geosam.training.world import render

SIDE = 300
KNOWN = load_vocabulary()


def write_scene(path, pixels, size_m=0.5):
    how = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    place = rasterio.Affine(size_m, 0, 500000, 0, -size_m, 5500000)
    with rasterio.open(path, "w", width=pixels.shape[2], height=pixels.shape[1], transform=place, **how) as file:
        file.write(pixels)
    return path


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("words") / "town.tif", render(1, SIDE, theme="suburb").pixels)


@pytest.fixture(scope="session")
def found(town):
    return geosam.segment(town, text="Häuser, roads, snow")


class Reddish(WordReader):
    """Scores regions by their mean red, whatever the words; of pixels, so that windows cannot matter."""

    name, key, side, words = "reddish", "reddish", 64, None

    def score(self, pixels, labels, words):
        count = int(labels.max())
        area = np.maximum(np.bincount(labels.ravel(), minlength=count + 1)[1:], 1)
        red = np.bincount(labels.ravel(), np.full(labels.size, 204.0), count + 1)[1:] / area / 255
        return np.repeat(red[:, None], len(words), 1).astype(np.float32)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_of_a_word_finds_it_in_any_case(language):
    for word, names in names_in(language):
        for name in names:
            assert KNOWN.find(name) == KNOWN.find(name.upper()) == word
            assert len(names) == len(set(map(folded, names))) or language in ("de", "ru", "ar")


def test_no_name_means_two_words_whatever_the_language():
    meant: dict[str, Word] = {}
    for language in LANGUAGES:
        for word, names in names_in(language):
            for name in names:
                assert meant.setdefault(folded(name), word) == word, name


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Haeuser", "building"),
        ("Ueberschwemmungen", "water"),
        ("Strassen", "road"),
        ("laki", "grass"),
        ("skaly", "bare ground"),
        ("المباني", "building"),
        ("الألواح الشمسية", "solar panel"),
        ("الالواح الشمسية", "solar panel"),
        ("اشجار", "tree"),
    ],
)
def test_words_are_known_as_they_are_typed(text, word):
    """Without umlauts, strokes and hamzas, and with the article that is a part of the word."""
    assert read_text(text)[0].word.word == word


def test_each_kind_but_other_has_a_word():
    assert {word.kind for word in KNOWN.words} == set(KINDS) - {"other"}


@pytest.mark.parametrize(
    "text", ["carpet", "scar", "treeless", "watermelon", "roadrunner", "the", "building site office"]
)
def test_words_are_understood_as_wholes(text):
    assert KNOWN.find(text) is None
    with pytest.raises(OptionError, match="geosam words add"):
        read_text(text)


def test_texts_are_split_at_commas_of_any_script_and_articles_say_nothing():
    assert split_text("all the lakes\uff0c屋顶\u3001 tree ; car") == ["all the lakes", "屋顶", "tree", "car"]
    assert [each.word.word for each in read_text("all the lakes\uff0c屋顶")] == ["water", "building"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bilding", "did you mean 'building'"),
        ("big red car", "did you mean 'vehicle'"),
        ("house, building", "both mean 'building'"),
        (" , ", "expected words"),
        ("x" * 300, "300 characters"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(text, said):
    with pytest.raises(OptionError, match=said) as refused:
        read_text(text)
    assert "\n" not in str(refused.value)


def test_a_line_keeps_the_order_and_puts_its_middle_at_one_half():
    p = np.linspace(0, 1, 101)
    scores = Line(0.8, float(np.log(0.3 / 0.7)))(p)
    assert scores[30] == pytest.approx(0.5)
    assert (np.diff(scores) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1
    with pytest.raises(WeightsError, match="slope"):
        Line(-1.0, 0.0)


def test_a_word_that_no_region_is_sure_enough_of_is_not_there():
    reader = KindReader(KindReader.of().head, {"snow": Line(1.0, 0.0, 0.8)}, {}, "kinds", "key")
    words = [KNOWN.find("snow"), KNOWN.find("tree")]
    unsure, sure = np.array([[0.7, 0.7], [0.2, 0.3]], np.float32), np.array([[0.9, 0.2], [0.6, 0.1]], np.float32)
    assert np.allclose(reader.settle(unsure, words), [[0.35, 0.7], [0.1, 0.3]])
    assert np.array_equal(reader.settle(sure, words), sure)


def test_every_kind_that_has_a_word_has_a_line():
    lines = json.loads(LINES_FILE.read_text(encoding="utf-8"))["lines"]
    assert set(lines) == {word.kind for word in KNOWN.words}


def test_words_compete_for_the_ground_and_keep_the_documented_columns(found):
    assert set(found.label) == {"building", "road"}
    assert set(found.loc[found.label == "building", "prompt"]) == {"Häuser"}
    assert list(found.columns)[-3:] == [*TEXT_COLUMNS, "geometry"]
    assert (found.score >= 0.5).all()
    shapes = found.geometry.to_numpy()
    assert shapely.area(shapes).sum() == pytest.approx(shapely.area(shapely.union_all(shapes)), rel=1e-9)
    assert found.object_id.tolist() == list(range(1, len(found) + 1))


def test_a_word_that_is_not_there_gives_a_layer_of_the_same_columns(town, found, tmp_path):
    report = geosam.segment_to_file(town, tmp_path / "snow.gpkg", text="snow", labels=tmp_path / "snow.tif")
    none = geopandas.read_file(tmp_path / "snow.gpkg", layer="snow")
    assert report.objects == len(none) == 0
    assert set(found.columns) == set(none.columns)
    with rasterio.open(tmp_path / "snow.tif") as labels:
        assert not labels.read(1).any()


def test_the_layer_is_drawn_by_word_and_the_label_raster_holds_its_objects(town, tmp_path):
    geosam.segment_to_file(town, tmp_path / "a.gpkg", text="road", labels=tmp_path / "a.tif", min_area=20)
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as package:
        (style,) = package.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()
    assert 'attr="label"' in style
    assert 'value="road"' in style
    rows = geopandas.read_file(tmp_path / "a.gpkg", layer="a").set_index("object_id")
    assert len(rows)
    assert rows.area.min() >= 20
    with rasterio.open(tmp_path / "a.tif") as labels:
        ids, pixels = np.unique(labels.read(1), return_counts=True)
    assert dict(zip(ids[1:].tolist(), (pixels[1:] * 0.25).tolist(), strict=True)) == rows.area.round(6).to_dict()


def test_a_reader_of_windows_scores_segments_across_them(tmp_path):
    flat = np.full((3, 150, 170), 204, np.uint8)
    flat[:, :60, :60] = 90
    path = write_scene(tmp_path / "flat.tif", flat)
    found = geosam.segment(path, text="anything at all", text_model=Reddish(), text_threshold=0.7)
    assert found.score.to_numpy() == pytest.approx(0.8)
    assert found.area.sum() == pytest.approx(150 * 170 * 0.25)
    assert set(found.label) == {"anything at all"}


def test_what_does_not_go_with_words_is_refused(town):
    point = [shapely.Point(500020, 5499980)]
    prompts = geopandas.GeoSeries(point, crs="EPSG:32633")
    with pytest.raises(OptionError, match="text together with prompts"):
        geosam.segment(town, prompts, text="tree")
    for how in ({"coverage": True}, {"hierarchy": True}, {"speed": "clicks"}, {"text_threshold": 0}):
        with pytest.raises(OptionError):
            geosam.segment(town, text="tree", **how)
    for how in ({"words": ("a.safetensors",)}, {"text_model": "clip_vit_b32"}):
        with pytest.raises(OptionError, match="without text"):
            geosam.segment(town, **how)
    with pytest.raises(WeightsError, match=r"no\.safetensors"):
        geosam.segment(town, text="tree", words=("no.safetensors",))


def test_a_word_suggests_its_pixel_unless_it_is_near_or_the_user_set_one(tmp_path, caplog):
    fine = open_scene(write_scene(tmp_path / "fine.tif", np.full((3, 96, 96), 99, np.uint8), size_m=0.1))
    houses, fields = read_text("house"), read_text("fields")
    with caplog.at_level(logging.INFO):
        assert suited(fine, houses).resolution_m == pytest.approx(0.42, rel=0.05)
    assert "as suits the text" in caplog.text
    assert suited(fine, [*houses, *fields]).resolution_m == suited(fine, houses).resolution_m
    near = open_scene(write_scene(tmp_path / "near.tif", np.full((3, 96, 96), 99, np.uint8), size_m=0.5))
    assert suited(near, houses) is near
    assert geosam.segment(fine, text="house").attrs["geosam"]["resolution_m"] == pytest.approx(0.1, rel=0.01)


def test_threshold_and_reader_are_part_of_what_a_run_depends_on(town):
    one, other = (
        geosam.pipeline.request.Request.of(town, None, model="nano", options=None, changes=how).key
        for how in ({"text": "tree"}, {"text": "tree", "text_threshold": 0.6})
    )
    assert one != other
    assert (
        one["reader"] == KindReader.of().key == read_words(geosam.SegmentOptions(text="tree"), has_prompts=False)[1].key
    )


def test_a_catalog_is_asked_in_words_and_each_scene_at_the_pixel_that_suits(tmp_path):
    (tmp_path / "scenes").mkdir()
    for name, size_m in (("a", 0.5), ("b", 0.1)):
        pixels = render(1, SIDE, theme="suburb").pixels
        write_scene(tmp_path / "scenes" / f"{name}.tif", pixels, size_m)
    report = geosam.segment_catalog(tmp_path / "scenes", tmp_path / "run", text="Häuser, roads")
    assert report.done == 2
    found = [geopandas.read_parquet(tmp_path / "run" / "parts" / f"{name}.parquet") for name in "ab"]
    alone = geosam.segment(tmp_path / "scenes" / "b.tif", text="Häuser, roads")
    assert found[1].geometry.geom_equals(alone.geometry).all()
    assert set(found[0].label) == {"building", "road"}
    with pytest.raises(OptionError, match="geosam words add"):
        geosam.segment_catalog(tmp_path / "scenes", tmp_path / "other", text="zeppelin")


@pytest.mark.slow
def test_an_extent_is_what_a_word_names_after_and_not_before(tmp_path):
    flood = render(2, 256, theme="waterside").pixels
    dry = np.full_like(flood, 120)
    dry[:, ::2, ::3] = 90
    paths = [write_scene(tmp_path / f"{name}.tif", pixels) for name, pixels in (("before", dry), ("after", flood))]
    roof = geopandas.GeoSeries([shapely.box(500010, 5499980, 500020, 5499990)], crs="EPSG:32633")
    how = geosam.change.ExtentOptions("word", "flood", word="water")
    asked = {"extent": how, "correct": False, "decode": False, "find_new": False}
    extent = geosam.compare(*paths, roof, **asked).extent
    water = geosam.segment(paths[1], text="water").geometry.union_all()
    assert set(extent["method"]) == {"word"}
    assert extent.geometry.union_all().intersection(water).area / water.area > 0.9
    with pytest.raises(OptionError, match="without a word"):
        geosam.change.ExtentOptions("word")


@pytest.mark.parametrize(
    ("prompt", "closest"),
    [("parking lots", "road"), ("Parkplatz", "road"), ("greenhouse", "building"), ("Boats", "vehicle")],
)
def test_what_was_not_taught_is_refused_with_what_comes_closest(prompt, closest):
    with pytest.raises(OptionError, match=f"what comes closest is '{closest}', which is not the same"):
        read_text(prompt)


def test_what_comes_closest_is_a_word_and_is_none_itself():
    known = load_vocabulary()
    assert set(known.closest.values()) <= {word.word for word in known.words}
    assert not set(known.closest) & set(known.aliases)
