"""Models that understand words: each beside the library's own result, on small random networks, loaded from folders."""

import json
import shutil
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from geosam.adapters import load_text, sources, text_models
from geosam.adapters.detections import LEAST, LEAST_PX
from geosam.adapters.grounding_dino import parts
from geosam.adapters.reading import COMMON
from geosam.errors import ModelError
from geosam.pipeline import segment_to_file
from geosam.segmenter import WordFinder, WordReader, centred
from geosam.testing import TruthNetwork, blob_labels, label_scene
from tests.adapters.conftest import randomised
from tests.adapters.text_networks import PAIRS, PIECES, SETTINGS, model_of, tame, write_pairs, write_vocabulary

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (3, 80, 120), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS.transpose(1, 2, 0))
WORDS = ("roof", "car", "solar panel")


@pytest.fixture(scope="session")
def folders(library, tmp_path_factory) -> dict[str, Path]:
    """A folder of each family."""
    found = {}
    for kind in SETTINGS:
        torch.manual_seed(5)
        found[kind] = tmp_path_factory.mktemp("texts") / kind
        tame(randomised(model_of(kind))).save_pretrained(found[kind])
        write_vocabulary(kind, found[kind])
    return found


def test_each_folder_is_one_of_the_two_ports(folders):
    assert isinstance(load_text(folders["clip"]), WordReader)
    for kind in ("grounding-dino", "owlv2", "sam3"):
        assert isinstance(load_text(folders[kind]), WordFinder), kind


def of_the_words(result: dict, rows: torch.Tensor, threshold: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Boxes within the picture and scores, by the word of each."""
    h, w = PIXELS.shape[1:]
    boxes, scores = result["boxes"].numpy().clip(0, [w, h, w, h]), centred(result["scores"].double().numpy(), threshold)
    return [(boxes[rows == row], scores[rows == row]) for row in range(len(WORDS))]


def by_grounding_dino(folder: Path, kind: type, library) -> list[tuple[np.ndarray, np.ndarray]]:
    """The library's own tokenizer, processor, forward pass and boxes; a word's tokens lie between two full stops."""
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    model = kind.from_pretrained(folder).eval()
    tokenizer = library.BertTokenizer.from_pretrained(folder)
    seen = GroundingDinoImageProcessorPil.from_pretrained(folder)(PICTURE, return_tensors="pt")
    text = tokenizer("roof. car. solar panel.", return_tensors="pt", return_token_type_ids=True)
    with torch.inference_mode():
        found = model(pixel_values=seen.pixel_values, **text)
    processor = library.GroundingDinoProcessor.__new__(library.GroundingDinoProcessor)
    processor.tokenizer = tokenizer
    post, sizes = processor.post_process_grounded_object_detection, [PIXELS.shape[1:]]
    result = post(found, text.input_ids, threshold=0.0, target_sizes=sizes)[0]  # so that all boxes come back
    stops = [at for at, each in enumerate(tokenizer.convert_ids_to_tokens(text.input_ids[0])) if each == "."]
    probabilities = found.logits[0].sigmoid()
    each = [probabilities[:, x + 1 : y].max(1).values for x, y in zip([0, *stops], stops, strict=False)]
    result["scores"], rows = torch.stack(each).max(0)
    return of_the_words(result, rows, 0.25)


def by_owlv2(folder: Path, library) -> list[tuple[np.ndarray, np.ndarray]]:
    """The library's own tokenizer, processor, forward pass and boxes."""
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    model = library.Owlv2ForObjectDetection.from_pretrained(folder).eval()
    tokenizer = library.CLIPTokenizer.from_pretrained(folder, pad_token="!")
    images = Owlv2ImageProcessorPil(size={"height": 96, "width": 96})
    said = [f"a photo of a {word}" for word in WORDS]
    text = tokenizer(said, return_tensors="pt", padding="max_length", max_length=24)
    with torch.inference_mode():
        found = model(pixel_values=images(PICTURE, return_tensors="pt").pixel_values, **text)
    result = images.post_process_object_detection(found, threshold=0.1, target_sizes=[PIXELS.shape[1:]])[0]
    return of_the_words(result, result["labels"], 0.1)


@pytest.mark.parametrize("kind", ["grounding-dino", "mm-grounding-dino"])
def test_grounding_dino_finds_what_the_library_finds(folders, library, kind):
    found = load_text(folders[kind]).propose(PIXELS, WORDS)
    expected = by_grounding_dino(folders[kind], getattr(library, SETTINGS[kind][0]), library)
    assert sum(len(each) for each in found) > 3
    for mine, (boxes, scores) in zip(found, expected, strict=True):
        rows = np.flatnonzero((scores >= LEAST) & (boxes[:, 2:] - boxes[:, :2] >= LEAST_PX).all(1))
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        np.testing.assert_allclose(mine.boxes, boxes[rows], atol=1e-3)
        np.testing.assert_allclose(mine.scores, scores[rows], atol=1e-4)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two boxes."""
    one, other = (shapely.box(*each) for each in (one, other))
    return shapely.area(one & other) / shapely.area(one | other)


def test_owlv2_finds_what_the_library_finds_without_repeats(folders, library):
    found = load_text(folders["owlv2"]).propose(PIXELS, WORDS)
    expected = by_owlv2(folders["owlv2"], library)
    assert sum(len(each) for each in found) > 0
    suppressed = 0
    for mine, (boxes, scores) in zip(found, expected, strict=True):
        for box, score in zip(mine.boxes, mine.scores, strict=True):
            row = int(np.abs(boxes - box).sum(1).argmin())
            np.testing.assert_allclose(box, boxes[row], atol=1e-3)
            np.testing.assert_allclose(score, scores[row], atol=1e-4)
        left = [row for row, box in enumerate(boxes) if not np.isclose(mine.boxes, box, atol=1e-3).all(1).any()]
        repeats = [row for row in left if any(overlap(boxes[row], other) > 0.3 for other in mine.boxes)]
        flat = [row for row in left if (boxes[row][2:] - boxes[row][:2] < LEAST_PX).any()]
        assert set(left) <= {*repeats, *flat}
        suppressed += len(repeats)
        assert all(overlap(one, other) <= 0.3 for at, one in enumerate(mine.boxes) for other in mine.boxes[:at])
    assert suppressed > 0


def test_sam3_finds_the_instances_of_the_librarys_forward_pass(folders, library):
    finder = load_text(folders["sam3"])
    found = finder.propose(PIXELS, WORDS)
    tokenizer = library.CLIPTokenizer.from_pretrained(folders["sam3"])
    assert sum(len(each) for each in found) > 2
    for word, mine in zip(WORDS, found, strict=True):
        text = tokenizer(word, return_tensors="pt", padding="max_length", max_length=32)
        with torch.inference_mode():
            theirs = finder.model(pixel_values=finder.image(PIXELS)[None], **text)
        score = (theirs.pred_logits.sigmoid() * theirs.presence_logits.sigmoid())[0].numpy()
        masks = torch.nn.functional.interpolate(theirs.pred_masks.sigmoid(), PIXELS.shape[1:], mode="bilinear")[0] > 0.5
        there = masks.flatten(1).any(1).numpy()
        order = np.argsort(-score, kind="stable")
        order = order[there[order] & (score[order] >= 0.1)]
        np.testing.assert_allclose(mine.scores, score[order], atol=1e-4)
        whole = np.zeros((len(mine), *PIXELS.shape[1:]), bool)
        for row, ((x0, y0, x1, y1), mask) in enumerate(zip(mine.boxes.astype(int).tolist(), mine.masks, strict=True)):
            whole[row, y0:y1, x0:x1] = mask
        assert (whole == masks.numpy()[order]).mean() > 0.999


def test_clip_reads_what_the_librarys_towers_say(folders, library):
    reader = load_text(folders["clip"])
    labels = np.zeros(PIXELS.shape[1:], np.int32)
    labels[10:50, 20:60], labels[60:70, 80:110] = 1, 3
    found = reader.score(PIXELS, labels, WORDS)
    assert found.shape == (3, 3)
    assert (found[1] == 0).all()
    from geosam.adapters.clip import SENTENCES, others, squares

    model = library.CLIPModel.from_pretrained(folders["clip"]).eval()
    tokenizer = library.CLIPTokenizer.from_pretrained(folders["clip"])
    images = library.CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    unit = torch.nn.functional.normalize
    crops = [Image.fromarray(PIXELS[:, y, x].transpose(1, 2, 0)) for y, x in squares(labels)]
    with torch.inference_mode():
        seen = unit(model.get_image_features(**images(crops, return_tensors="pt")).pooler_output, dim=1)
        for column, word in enumerate(WORDS):
            said = []
            for each in (word, *others(word)):
                sentences = [sentence.format(each) for sentence in SENTENCES]
                text = tokenizer(sentences, return_tensors="pt", padding="max_length", truncation=True, max_length=32)
                said.append(unit(unit(model.get_text_features(**text).pooler_output, dim=1).mean(0), dim=0))
            expected = (model.logit_scale.exp() * seen @ torch.stack(said).T).softmax(1)[:, 0].numpy()
            np.testing.assert_allclose(found[[0, 2], column], expected, atol=1e-4)
    assert found[[0, 2]].std() > 1e-3


@pytest.fixture(scope="session")
def scene(tmp_path_factory) -> Path:
    """Three windows of 96 pixels."""
    return label_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blob_labels((90, 250), count=8, large=0, seed=3))


def test_the_command_line_takes_a_folder(folders, scene, tmp_path):
    from typer.testing import CliRunner

    from geosam.cli import app

    given = ["--text", "roof", "--text-model", str(folders["owlv2"]), "--text-threshold", "0.05", "--window", "256"]
    found = CliRunner().invoke(app, ["segment", str(scene), "-o", str(tmp_path / "found.gpkg"), *given, "--quiet"])
    assert found.exit_code == 0, found.output
    assert (gpd.read_file(tmp_path / "found.gpkg", layer="found")["label"] == "roof").all()


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "mm-grounding-dino"])
def test_a_scene_goes_through_each_to_a_valid_layer(folders, scene, tmp_path, kind):
    how = {"text": "roof, car", "text_threshold": 0.05, "window": 96, "model": TruthNetwork(side=96)}
    report = segment_to_file(scene, tmp_path / "found.gpkg", text_model=str(folders[kind]), **how)
    layer = gpd.read_file(tmp_path / "found.gpkg", layer="found")
    assert len(layer) == report.objects > 0
    assert layer.geometry.is_valid.all()
    assert set(layer["prompt"]) <= {"roof", "car"}
    assert layer["score"].between(0.05, 1).all()
    assert layer.geometry.area.sum() == pytest.approx(layer.union_all().area)  # no pixel twice


class Code:
    """Runs when it is unpickled, if anybody lets it."""

    def __reduce__(self):
        return print, ("run",)


def written(folder: Path, settings: dict) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def refusal(name: object) -> str:
    with pytest.raises(ModelError) as caught:
        load_text(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_said_in_one_line(folders, tmp_path, monkeypatch):
    assert "clip_vit_b32" in refusal("clap")
    assert "'bert'" in refusal(written(tmp_path / "bert", {"model_type": "bert"}))
    for kind in ("clip", "grounding-dino"):
        bare = shutil.copytree(folders[kind], tmp_path / kind)
        for name in ("vocab.txt", "vocab.json"):
            (bare / name).unlink(missing_ok=True)
        assert "no vocabulary" in refusal(bare)
        (bare / "tokenizer.json").write_text("{}")
        assert "cannot be read" in refusal(bare)
    other = shutil.copytree(folders["owlv2"], tmp_path / "other")
    (other / "vocab.json").write_text(json.dumps(PAIRS | {"more": len(PAIRS)}))
    assert f"a vocabulary of {len(PAIRS) + 1} tokens" in refusal(other)
    torch.save({"nothing": Code()}, tmp_path / "code.pt")
    assert "pickle that holds code" in refusal(tmp_path / "code.pt")
    torch.save({"visual.layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "RemoteCLIP-RN50.pt")
    assert "names are not known" in refusal(tmp_path / "RemoteCLIP-RN50.pt")
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr(sources, "where", lambda _: None)
    for name in ("clip_vit_b32", "sam3", str(shutil.copytree(folders["owlv2"], tmp_path / "fresh"))):
        assert 'pip install "geosam[text]"' in refusal(name)


def test_a_gate_and_a_missing_connection_name_their_cure(library, monkeypatch):
    import huggingface_hub as hub

    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service not known\nand more")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    assert "accept the licence at https://huggingface.co/facebook/sam3" in refusal("sam3")
    assert "`hf download IDEA-Research/grounding-dino-tiny`" in refusal("grounding_dino_tiny")


def test_a_published_file_is_fetched_alone_with_the_vocabulary_that_all_share(folders, tmp_path, monkeypatch, library):
    import huggingface_hub as hub

    asked, fetched = [], []

    def fetch(repository: str, **how: object) -> str:
        if repository == COMMON:
            fetched.append(how.get("allow_patterns"))
            return str(folders["clip"])
        if how.get("local_files_only"):
            raise OSError("not there")
        asked.append(how["allow_patterns"])
        torch.save(open_clip_state(), tmp_path / "RemoteCLIP-ViT-B-32.pt")
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    found = load_text("remoteclip_vit_b32")
    assert asked == [["RemoteCLIP-ViT-B-32.pt"]]
    assert "tokenizer.json" in fetched[0]
    assert not any("safetensors" in pattern for pattern in fetched[0])
    assert (found.name, found.input_px) == ("remoteclip_vit_b32", 64)
    assert found.model.config.vision_config.hidden_act == "gelu"


def open_clip_state() -> dict[str, torch.Tensor]:
    """Parameters as open_clip names them, of a small model of random numbers."""
    torch.manual_seed(1)
    width, vocabulary = 64, len(PAIRS)
    block = {"attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,), "mlp.c_fc.bias": (96,)}
    block |= {"attn.out_proj.weight": (width, width), "attn.out_proj.bias": (width,), "mlp.c_fc.weight": (96, width)}
    block |= {"mlp.c_proj.weight": (width, 96), "mlp.c_proj.bias": (width,)}
    block |= {f"ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
    shapes = {
        f"{tower}resblocks.0.{name}": shape
        for tower in ("visual.transformer.", "transformer.")
        for name, shape in block.items()
    }
    shapes |= {
        f"{name}.{kind}": (width,)
        for name in ("visual.ln_pre", "visual.ln_post", "ln_final")
        for kind in ("weight", "bias")
    }
    shapes |= {"visual.conv1.weight": (width, 3, 16, 16), "visual.class_embedding": (width,), "logit_scale": ()}
    shapes |= {"visual.positional_embedding": (17, width), "visual.proj": (width, 24), "text_projection": (width, 24)}
    shapes |= {"token_embedding.weight": (vocabulary, width), "positional_embedding": (32, width)}
    return {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(("name", "quick"), [("RemoteCLIP-ViT-X.pt", False), ("RS5M_ViT-B-32.pt", True)])
def test_open_clips_files_hold_the_towers_that_their_formulas_say(tmp_path, library, name, quick):
    # written down anew from the papers: attention, then a layer of two, each on what is normalised and added to it
    state = open_clip_state()
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in state.items()}} if quick else state, tmp_path / name
    )
    write_pairs(tmp_path)
    reader = load_text(tmp_path / name)
    image = torch.randn(1, 3, 64, 64)
    patches = torch.nn.functional.conv2d(image, state["visual.conv1.weight"], stride=16).flatten(2).transpose(1, 2)
    tokens = torch.cat([state["visual.class_embedding"][None, None], patches], 1) + state["visual.positional_embedding"]
    seen = tower(normed(tokens, state, "visual.ln_pre"), state, "visual.transformer.resblocks.0", quick, None)
    expected = normed(seen[:, 0], state, "visual.ln_post") @ state["visual.proj"]
    with torch.inference_mode():
        found = reader.model.get_image_features(pixel_values=image).pooler_output
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    ids, there = (torch.from_numpy(each) for each in reader.reader.rows(["a car"], 32))
    ahead = torch.full((32, 32), -torch.inf).triu(1)
    text = state["token_embedding.weight"][ids] + state["positional_embedding"]
    read = normed(tower(text, state, "transformer.resblocks.0", quick, ahead), state, "ln_final")
    expected = read[:, int(there.sum()) - 1] @ state["text_projection"]
    with torch.inference_mode():
        found = reader.model.get_text_features(input_ids=ids, attention_mask=there).pooler_output
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def normed(x: torch.Tensor, state: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def tower(
    x: torch.Tensor, state: dict[str, torch.Tensor], name: str, quick: bool, ahead: torch.Tensor | None
) -> torch.Tensor:
    def linear(x: torch.Tensor, part: str) -> torch.Tensor:
        mark = "_" if part == "attn.in_proj" else "."
        return torch.nn.functional.linear(x, state[f"{name}.{part}{mark}weight"], state[f"{name}.{part}{mark}bias"])

    query, key, value = linear(normed(x, state, f"{name}.ln_1"), "attn.in_proj").chunk(3, -1)  # one head of 64
    scores = query @ key.transpose(1, 2) / 8 + (0 if ahead is None else ahead)
    x = x + linear(scores.softmax(-1) @ value, "attn.out_proj")
    hidden = linear(normed(x, state, f"{name}.ln_2"), "mlp.c_fc")
    hidden = hidden * torch.sigmoid(1.702 * hidden) if quick else torch.nn.functional.gelu(hidden)
    return x + linear(hidden, "mlp.c_proj")


def test_the_published_folder_of_sam3_holds_its_tracker_too(folders, tmp_path):
    both = shutil.copytree(folders["sam3"], tmp_path / "both")
    settings = json.loads((both / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": settings}))
    state = {f"detector_model.{name}": value for name, value in load_file(both / "model.safetensors").items()}
    save_file(state | {"tracker_neck.x": torch.zeros(1)}, both / "model.safetensors", metadata={"format": "pt"})
    alone, found = (load_text(each).propose(PIXELS, ["car"])[0] for each in (folders["sam3"], both))
    assert len(found) > 0
    assert np.array_equal(found.boxes, alone.boxes)


def test_many_words_are_asked_in_several_texts_and_a_part_of_a_word_is_no_word(folders):
    finder = load_text(folders["grounding-dino"])
    words = [f"{first}{second}" for first in "abcdefghij" for second in "klmn"]
    assert len(finder.texts(words)) > 1
    assert [word for some in finder.texts(words) for word in some] == words
    for unread in ("屋顶", "..."):
        with pytest.raises(ModelError, match="can read nothing"):
            finder.propose(PIXELS, ["roof", unread])
    tokens = finder.reader("carpet. car.")
    assert [[tokens.ids[at] for at in each] for each in parts(tokens, ["carpet", "car"])] == [
        [PIECES.index("car"), PIECES.index("##pet")],
        [PIECES.index("car")],
    ]


def test_regions_pooled_from_patches_are_told_apart_as_their_patches_are(folders):
    reader = load_text(folders["clip"])
    pooled, given = reader.by_patches(), []
    labels = np.zeros((64, 64), np.int32)
    labels[:, :32], labels[:32, 32:], labels[32:, 32:] = 1, 2, 4
    pixels = np.repeat(PIXELS[:, :1, :1], 64, 1).repeat(64, 2)
    pixels[:, :32, 32:] = PIXELS[:, 3:35, 5:37]
    last = reader.model.vision_model.encoder.layers[-1]
    hooks = [
        last.register_forward_pre_hook(lambda _, args: given.append(args[0])),
        last.layer_norm1.register_forward_pre_hook(lambda _, args: given.append(args[0])),
    ]
    found = pooled.score(pixels, labels, WORDS)
    for hook in hooks:
        hook.remove()
    assert torch.equal(given[0], given[2])  # what the last block is given is what its values are read from
    assert (found[2] == 0).all()
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert pooled.key != reader.key


def test_the_list_says_what_is_at_hand(library):
    from typer.testing import CliRunner

    from geosam.cli import app

    rows = {row.name: row for row in text_models()}
    assert {"clip_vit_b32", "remoteclip_vit_b32", "grounding_dino_tiny", "owlv2_base", "sam3"} <= rows.keys()
    assert all(row.needs.startswith("geosam[text]") and "(installed)" in row.needs for row in rows.values())
    shown = CliRunner().invoke(app, ["models"], env={"COLUMNS": "240"}).output
    assert all(name in shown for name in rows)
    assert "finds masks" in shown
