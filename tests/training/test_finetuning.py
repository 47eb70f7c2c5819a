"""Fine-tuning learns, never sees what it is scored on, and leaves a model that is asked for by its path."""

import json
from copy import deepcopy
from itertools import pairwise

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import geosam
from geosam.cli import app
from geosam.errors import ModelError, OptionError, PromptError
from geosam.execute import Progress
from geosam.models import build, load_model, write_sam
from geosam.nano.spec import NanoSpec
from geosam.sam.model import Predictor
from geosam.segmenter import Everything, Recipe
from geosam.testing import TruthNetwork
from geosam.training import finetuning
from geosam.training.checkpoints import Average
from geosam.training.finetuning import METADATA_KEY, finetune
from geosam.training.finetuning.lessons import POSITIONS, crop, draw_lesson, turned
from geosam.training.finetuning.loop import blend, calibrate, look_with, set_learning, weights_of
from geosam.training.finetuning.tiles import SMALLEST_PX, best_side, cut_tiles, hold_out, starts

SIDE = 256
RECIPE = Recipe(everything=Everything(pred_iou_threshold=0.3))


def tiny_spec(**changes) -> NanoSpec:
    sizes = {"widths": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "fine_channels": (16, 8)}
    decoder = {"heads": 2, "mlp": 32, "iou_hidden": 16}
    how = {"side": 128, "width": 32, "decoder_sizes": decoder, "drawn": True, "position_side": 64, **changes}
    return NanoSpec("tiny", "conv", sizes, recipe=RECIPE, **how)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_sam(build(tiny_spec()), path)
    return path


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A scene of bright roofs on dark ground, and its footprints in degrees."""
    folder = tmp_path_factory.mktemp("town")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (3, SIDE, SIDE)).astype(np.uint8)
    boxes = [(x, y, x + 20, y + 14) for y in range(6, SIDE - 20, 32) for x in range(6, SIDE - 24, 32)]
    for x0, y0, x1, y1 in boxes:
        pixels[:, y0:y1, x0:x1] += np.uint8(150)
    transform = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    with rasterio.open(folder / "town.tif", "w", crs="EPSG:32633", transform=transform, **profile) as file:
        file.write(pixels)
    shapes = [
        shapely.box(500_000 + a / 2, 5_000_000 - b / 2, 500_000 + c / 2, 5_000_000 - d / 2) for a, b, c, d in boxes
    ]
    geopandas.GeoDataFrame(geometry=shapes, crs=32633).to_crs(4326).to_file(folder / "roofs.gpkg")
    return folder / "town.tif", folder / "roofs.gpkg", len(boxes)


def tiles_of(town, **how):
    how = {"layer": None, "side": 128, "resamples": False, **how}
    return cut_tiles([geosam.open_scene(town[0])], town[1], **how)


@pytest.mark.slow
def test_it_learns_and_the_weights_say_how_much(town, weights, tmp_path, monkeypatch):
    before = weights.read_bytes()
    monkeypatch.setattr(finetuning.loop, "RATES", {"decoder": 5e-3, "all": 5e-3})  # from random weights,
    monkeypatch.setattr(finetuning.loop, "BLENDS", {"all": 1.0})  # of which none is worth keeping
    done = finetune(*town[:2], tmp_path / "my roofs.safetensors", model=weights, part="all", steps=75)
    assert done.after.value > done.before.value + 0.1
    assert done.trained_on + done.held_out == town[2]
    model = load_model(done.path)
    assert model.name == "my_roofs"
    assert model.recipe == RECIPE
    with safe_open(done.path, "pt") as file:
        story = json.loads(file.metadata()[METADATA_KEY])
    assert story["before"]["box"] == pytest.approx(done.before.box)
    assert story["after"]["clicks3"] == pytest.approx(done.after.clicks3)
    assert story["part"] == "all"
    assert weights.read_bytes() == before
    assert changed(load_model(weights), model) >= {"image_encoder", "mask_decoder"}


def changed(one, other):
    """The parts of a network that are not the same in both."""
    pairs = zip(one.sam.named_parameters(), other.sam.parameters(), strict=True)
    return {name.split(".")[0] for (name, mine), theirs in pairs if not torch.equal(mine, theirs)}


def test_the_encoder_stays_unless_all_is_to_learn(town, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.loop, "remember", lambda course, sam, *_: keep(course, sam))
    done = finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=3)
    parts = changed(load_model(weights), load_model(done.path))
    assert "image_encoder" not in parts
    assert "mask_decoder" in parts


@pytest.mark.slow
def test_where_masks_are_made_sharper_only_that_is_learned(town, tmp_path, monkeypatch):
    torch.manual_seed(0)
    weights = tmp_path / "sharp.safetensors"
    write_sam(build(tiny_spec(sharpened=True)), weights)
    monkeypatch.setattr(finetuning.loop, "LEAST_IOU", 0.0)  # weights are random, and so are answers
    monkeypatch.setattr(finetuning.loop, "remember", lambda course, sam, *_: keep(course, sam))
    one, other = (
        finetune(*town[:2], tmp_path / name, model=weights, steps=3) for name in ("a.safetensors", "b.safetensors")
    )
    assert changed(load_model(weights), load_model(one.path)) == {"mask_sharpener"}
    assert not changed(load_model(one.path), load_model(other.path))
    with safe_open(one.path, "np") as file:
        assert json.loads(file.metadata()[METADATA_KEY])["part"] == "sharpener"


@pytest.mark.parametrize("side", [16, 33, 64, 500])
def test_what_a_sharpener_learns_from_is_a_square_about_a_footprint(town, side):
    rng, tile = np.random.default_rng(side), tiles_of(town)[0]
    for _ in range(10):
        part = crop(rng, tile, side)
        assert part.ids.shape == part.pixels.shape[1:] == (min(side, len(tile.ids)),) * 2
        assert part.ids.any()
        assert ((part.pixels[0] > 100) == (part.ids > 0)).mean() > 0.97  # roofs are where they were
    batch = draw_lesson(rng, tile, 0, 2)
    assert batch.targets.shape[-2:] == (len(tile.ids) // 2,) * 2


def test_a_model_without_a_sharpener_has_none_to_teach(town, weights, tmp_path):
    with pytest.raises(OptionError, match="sharpener"):
        finetune(*town[:2], tmp_path / "a.safetensors", model=weights, part="sharpener")


def keep(course, sam):
    """Take the last weights for the best."""
    course.history.append((1, 0.0))
    course.best = finetuning.loop.weights_of(sam)


def test_what_was_learned_is_blended_with_the_start():
    begun, sam = build(tiny_spec()), build(tiny_spec())
    learned = deepcopy(sam)
    blend(sam, weights_of(begun), 0.25)
    for start, end, both in zip(begun.parameters(), learned.parameters(), sam.parameters(), strict=True):
        torch.testing.assert_close(both, 0.75 * start + 0.25 * end)


def test_what_is_looked_at_is_the_blend(town):
    begun, learned = build(tiny_spec()), build(tiny_spec())
    looked_at, _ = look_with(
        learned, Average(learned, 0.9), weights_of(begun), hold_out(tiles_of(town), 0.2, 0), None, share=0.0
    )
    assert all(torch.equal(a, b) for a, b in zip(begun.parameters(), looked_at.parameters(), strict=True))


def test_predicted_ious_are_right_on_average_and_masks_stay(town):
    tiles, sam = tiles_of(town), build(tiny_spec())
    masks = weights_of(sam)
    calibrate(sam, tiles)
    changed_names = [name for name, value in weights_of(sam).items() if not torch.equal(value, masks[name])]
    assert changed_names == ["mask_decoder.iou_prediction_head.layers.2.bias"]
    after = weights_of(sam)["mask_decoder.iou_prediction_head.layers.2.bias"]
    calibrate(sam, tiles)
    again = weights_of(sam)["mask_decoder.iou_prediction_head.layers.2.bias"]
    torch.testing.assert_close(again, after, atol=0.02, rtol=0.0)


def test_what_was_learned_is_calibrated_and_a_start_that_stays_the_best_is_not(town, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.loop, "calibrate", lambda *_: calls.append(True))
    calls = []
    monkeypatch.setattr(finetuning.loop, "RATES", {"decoder": 0.0, "all": 0.0})
    finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=1)
    assert calls == []
    monkeypatch.setattr(finetuning.loop, "look_with", lambda sam, *_, **__: (sam, 1.0))
    finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=1)
    assert calls == [True]


def test_the_same_call_gives_the_same_weights(town, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.loop, "remember", lambda course, sam, *_: keep(course, sam))
    one, other = (finetune(*town[:2], tmp_path / f"{name}.safetensors", model=weights, steps=3).path for name in "xy")
    assert changed(load_model(one), load_model(other)) == set()


def test_the_result_segments_a_scene(town, weights, tmp_path):
    path = finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=2).path
    boxes = geosam.Prompts.from_boxes([[4, 4, 30, 30]], geosam.open_scene(town[0]), crs="px")
    found = geosam.segment(town[0], prompts=boxes, model=path)
    assert set(found["model"]) <= {"a"}


def test_what_is_held_out_shares_no_pixel_with_what_is_learned_from(town):
    tiles = hold_out(tiles_of(town), 0.2, seed=0)
    places = [tuple(int(v) for v in tile.name.split("-")[1:]) for tile in tiles]
    side = tiles[0].ids.shape[0]
    for number, (x, y) in enumerate(places):
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) >= side or abs(y - other_y) >= side
    kept = sum(len(tile.labels) for tile in tiles if tile.held_out)
    assert 0.2 * town[2] <= kept < 0.6 * town[2]


def test_every_footprint_belongs_to_one_tile(town):
    assert sum(len(tile.labels) for tile in tiles_of(town)) == town[2]
    assert sum(len(tile.targets()) for tile in tiles_of(town)) == town[2]


def test_a_network_of_a_fixed_side_gets_tiles_of_it(town):
    tiles = tiles_of(town, side=256, resamples=True)
    assert {tile.pixels.shape for tile in tiles} == {(3, 256, 256)}
    assert len(tiles) > 1


def test_tiles_cover_most_of_a_scene():
    for shape in [(1024, 1024), (900, 900), (700, 3000), (512, 640)]:
        side = best_side(shape, 512)
        assert side % 32 == 0
        assert (shape[0] // side) * (shape[1] // side) * side**2 > 0.7 * shape[0] * shape[1]
        places = starts(shape[1], side)
        assert places[0] >= 0
        assert places[-1] + side <= shape[1]
        assert all(b - a >= side for a, b in pairwise(places))


def test_lessons_ask_for_what_is_there(town):
    tile = next(iter(tiles_of(town)))
    for position in range(POSITIONS):
        batch = draw_lesson(np.random.default_rng(position), tile, position)
        ids = turned(tile.ids, position)
        for box, click in zip(batch.boxes[0], batch.clicks[0], strict=True):
            assert ids[int(click[1]), int(click[0])] > 0
            x0, y0, x1, y1 = box.astype(int)
            assert (ids[y0:y1, x0:x1] > 0).sum() >= SMALLEST_PX


def test_training_stops_when_nothing_is_gained(town, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(finetuning.loop, "RATES", {"decoder": 0.0, "all": 0.0})
    monkeypatch.setattr(finetuning.loop, "EVERY", 1)
    monkeypatch.setattr(finetuning.loop, "PATIENCE", 3)
    done = finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=200)
    assert (done.best_step, done.steps) == (0, 3)
    assert done.after == done.before


def test_only_what_learns_has_gradients():
    sam = build(tiny_spec())
    learning = {id(p) for p in set_learning(sam, "decoder")}
    names = {name.split(".")[0] for name, p in sam.named_parameters() if id(p) in learning}
    assert "image_encoder" not in names
    assert {"mask_decoder", "prompt_encoder"} <= names


def test_an_interrupted_run_leaves_nothing(town, weights, tmp_path):
    class Stop(Progress):
        def stage(self, *_, **__):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(*town[:2], tmp_path / "a.safetensors", model=weights, steps=4, progress=Stop())
    assert list(tmp_path.iterdir()) == []


def test_wrong_input_is_one_clear_error(town, weights, tmp_path):
    out = tmp_path / "a.safetensors"
    with pytest.raises(OptionError, match="share=2"):
        finetune(*town[:2], out, model=weights, share=2.0)
    with pytest.raises(PromptError):
        finetune(town[0], tmp_path / "none.gpkg", out, model=weights)
    with pytest.raises(ModelError, match="TruthNetwork"):
        finetune(*town[:2], out, model=TruthNetwork())
    far = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 50, 50)], crs=32633)
    with pytest.raises(OptionError, match="polygons on the scenes"):
        finetune(town[0], far, out, model=weights)
    one = geopandas.GeoDataFrame(geometry=[shapely.box(500_003, 4_999_980, 500_013, 4_999_990)], crs=32633)
    with pytest.raises(OptionError, match="at least two"):
        finetune(town[0], one, out, model=weights)
    assert not out.exists()


def test_the_command_says_what_was_gained(town, weights, tmp_path):
    words = ["finetune", town[0], "--labels", town[1], "-o", tmp_path / "a.safetensors", "--model", weights]
    done = CliRunner().invoke(app, [str(word) for word in [*words, "--steps", 3]])
    assert done.exit_code == 0, done.output
    assert "before" in done.stdout
    assert "after" in done.stdout
    assert (tmp_path / "a.safetensors").exists()
    again = CliRunner().invoke(app, [str(word) for word in words])
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_a_predictor_can_be_given(town, weights, tmp_path):
    network = load_model(weights)
    assert isinstance(network, Predictor)
    assert finetune([str(town[0])], town[1], tmp_path / "a.safetensors", model=network, steps=1).model == network.key
