"""Words that a user teaches: learned from few examples, kept in a file, known from then on."""

import json

import geopandas
import numpy as np
import pytest
import shapely
from safetensors.numpy import load, save_file
from typer.testing import CliRunner

import geosam
from geosam.cli import app
from geosam.errors import OptionError, SinkError, WeightsError
from geosam.pipeline.reading import own_words
from geosam.pipeline.teaching import checked_word, drawn, forget, keep, teach, word_path
from geosam.recognition import Examples, LearnedWord, RegionFeatures, load_backbone, names, read_word
from geosam.scene import open_scene
from tests.test_words import write_scene

N = 60


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GEOSAM_WORDS", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture(scope="session")
def checks(tmp_path_factory):
    """A scene of squares, every other one blue, and these as polygons."""
    rng = np.random.default_rng(0)
    blue = (np.add.outer(np.arange(8), np.arange(8)) % 3 == 0).repeat(32, 0).repeat(32, 1)
    pixels = np.where(blue, np.array([40, 60, 200])[:, None, None], np.array([120, 130, 90])[:, None, None])
    pixels = np.clip(pixels + rng.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)
    scene = open_scene(write_scene(tmp_path_factory.mktemp("checks") / "checks.tif", pixels))
    x, y = np.meshgrid(np.arange(8) * 32, np.arange(8) * 32)
    squares = shapely.box(x, y, x + 32, y + 32).ravel()
    world = geopandas.GeoSeries(scene.to_world(squares), crs=scene.crs)
    return scene, world, (np.add.outer(np.arange(8), np.arange(8)) % 3 == 0).ravel()


def made_up(seed=0):
    rng = np.random.default_rng(seed)
    values = rng.random((N, len(names()))).astype(np.float32)
    values[: N // 2, ::3] += 2
    return RegionFeatures(values, np.full(N, 99), load_backbone().key)


def learned(word="thing", **how):
    return LearnedWord.learn(word, made_up(), Examples(np.arange(5), np.arange(N // 2, N // 2 + 5)), **how)


def test_a_word_tells_what_is_like_its_examples(checks):
    scene, squares, blue = checks
    word = teach("blue square", scene, squares[blue][:5], wrong=squares[~blue][:5], store=None)
    keep(word)
    found = geosam.segment(scene, text="blue square, road")
    mine = found[found.label == "blue square"]
    true = shapely.union_all(squares[blue].to_numpy())
    drawn = shapely.union_all(mine.geometry.to_numpy())
    assert true.intersection(drawn).area / true.union(drawn).area > 0.9


def test_without_wrong_examples_the_ground_beside_them_stands_for_these(checks):
    scene, squares, blue = checks
    word = teach("blue square", scene, squares[blue][:5], store=None)
    assert word.facts["examples"] == [5, 8]


def test_a_word_comes_back_from_its_file_as_it_was(tmp_path):
    word = learned(scale="buildings", facts={"scene": "a"})
    path = keep(word, tmp_path / "thing.safetensors")
    again = read_word(path)
    assert again.key == word.key
    assert again.to_bytes() == word.to_bytes() == path.read_bytes()
    assert again.scale == "buildings"
    assert np.array_equal(again.score(made_up(1)), word.score(made_up(1)))
    with pytest.raises(SinkError):
        keep(word, path)


def test_a_number_that_was_changed_in_the_file_is_noticed(tmp_path, caplog):
    word = learned(scale="buildings")
    content, path = word.to_bytes(), tmp_path / "thing.safetensors"
    begin = 8 + int.from_bytes(content[:8], "little")  # where the numbers begin
    for at in (begin, begin + 2, (begin + len(content)) // 2, len(content) - 2):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(WeightsError, match=r"damaged or changed|expected n d"):
            read_word(path)
    path.write_bytes(content.replace(b'scale\\": \\"buildings', b'scale\\": \\"vehicles '))
    with pytest.raises(WeightsError, match="damaged or changed"):
        read_word(path)
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 10**400), ("word", ""), ("word", "\ud800"), ("word", "a\x1b[2J"), ("backbone", "x" * 999)],
)
def test_values_that_no_word_has_are_refused(tmp_path, name, value):
    said = json.loads(read_said(learned().to_bytes()))
    arrays, path = load(learned().to_bytes()), tmp_path / "thing.safetensors"
    save_file(arrays, path, metadata={"geosam": json.dumps({**said, name: value})})
    with pytest.raises(WeightsError, match="words add") as refused:
        read_word(path)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, '{"word": ' * 100_000])
def test_a_word_that_never_ends_is_refused(tmp_path, text):
    save_file(load(learned().to_bytes()), tmp_path / "thing.safetensors", metadata={"geosam": text})
    with pytest.raises(WeightsError, match="words add"):
        read_word(tmp_path / "thing.safetensors")


def read_said(content):
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["geosam"]


def test_a_word_of_the_first_version_is_used_and_it_is_said_that_nothing_checks_it(tmp_path, caplog):
    word, path = learned(), tmp_path / "thing.safetensors"
    arrays = {name: np.asarray(getattr(word, name)) for name in ("right", "wrong", "rest", "middle", "spread")}
    said = {"word": "thing", "width": word.width, "backbone": word.backbone, "scale": "", "facts": {}}
    save_file(arrays, path, metadata={"geosam": json.dumps({**said, "format": "geosam word 1"})})
    assert read_word(path).key == word.key
    assert "thing.safetensors has no digest" in caplog.text


def test_scores_are_of_each_region_alone():
    word, features = learned(), made_up(2)
    whole = word.score(features)
    alone = [
        word.score(RegionFeatures(features.values[n : n + 1], features.area_px[n : n + 1], features.key))[0]
        for n in range(N)
    ]
    assert np.array_equal(whole, alone)
    assert whole[: N // 2].min() > whole[N // 2 :].max()


def test_what_makes_no_word_is_refused(tmp_path):
    with pytest.raises(OptionError, match="at least 3"):
        LearnedWord.learn("few", made_up(), Examples(np.arange(2), np.arange(5, 10)))
    for text in ("", "a, b", "x" * 99, "a\nb"):
        if "\n" not in text:
            with pytest.raises(OptionError):
                checked_word(text)
    for content in (b"", b"no safetensors at all", learned().to_bytes()[:200]):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with pytest.raises(WeightsError, match="words add"):
            read_word(tmp_path / "bad.safetensors")
    with pytest.raises(OptionError, match="expected one of"):
        learned().score(RegionFeatures(made_up().values, made_up().area_px, "another-backbone"))


def test_an_example_of_both_sorts_is_refused(checks):
    scene, squares, blue = checks
    with pytest.raises(OptionError, match="right example 1 and wrong example 0, which are the same ground"):
        teach("blue square", scene, squares[blue][:5], wrong=squares[blue][1:4], store=None)


def test_examples_that_name_nothing_are_told(checks, caplog, monkeypatch):
    scene, squares, blue = checks
    found = geopandas.GeoDataFrame(geometry=squares[blue][:3], crs=squares.crs)
    monkeypatch.setattr("geosam.pipeline.segment", lambda *_, **__: found)
    assert len(drawn(squares[blue][:5].representative_point(), scene)) == 3
    assert "2 of 5 examples name nothing that could be outlined" in caplog.text


def test_a_word_that_is_also_built_in_is_told(checks, tmp_path):
    scene, squares, blue = checks
    squares[blue][:5].to_file(tmp_path / "right.gpkg")
    add = ["words", "add", "house", "--examples", str(tmp_path / "right.gpkg"), "--scene", scene.source]
    said = CliRunner().invoke(app, [*add, "--store", "none"]).output
    assert "'house' is also built in, as 'building': yours goes first" in said
    assert str(own_words()["house"][1]).endswith("house.safetensors")


def test_each_word_has_a_file_of_its_own(own_folder):
    for word in ("a/b", "a-b", "a.b", "..", "...", "プール"):
        keep(learned(word))
    with pytest.raises(SinkError, match="exists"):
        keep(learned("A b"))
    assert set(own_words()) == {"a/b", "a-b", "a.b", "..", "...", "プール"}
    assert len(list(own_folder.iterdir())) == 6
    forget("a.b")
    assert "a/b" in own_words()


def test_a_damaged_file_in_the_own_folder_is_passed_over(own_folder, caplog):
    keep(learned())
    (own_folder / "bad.safetensors").write_bytes(b"?")
    assert set(own_words()) == {"thing"}
    assert "bad.safetensors" in caplog.text
    forget("Thing")
    assert not word_path("thing").exists()


def test_the_command_line_teaches_lists_shows_and_forgets(checks, tmp_path):
    scene, squares, blue = checks
    squares[blue][:5].to_file(tmp_path / "right.gpkg")
    run = CliRunner()
    add = ["words", "add", "blue roof", "--examples", str(tmp_path / "right.gpkg"), "--scene", scene.source]
    done = run.invoke(app, [*add, "--store", "none"])
    assert done.exit_code == 0, done.output
    assert run.invoke(app, [*add, "--store", "none"]).exit_code != 0
    assert "blue roof" in run.invoke(app, ["words", "list", "--language", "de"]).output
    assert "5 examples" in run.invoke(app, ["words", "show", "blue roof"]).output
    assert "Gebäude".lower() in run.invoke(app, ["words", "show", "house"]).output
    assert run.invoke(app, ["words", "remove", "blue roof"]).exit_code == 0
    assert "blue roof" not in run.invoke(app, ["words", "list"]).output
