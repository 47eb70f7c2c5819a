"""Models that understand words: each beside the library's own result, on small random networks, loaded from folders."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import torch
from PIL import Image

from geosam.adapters import load_text
from geosam.adapters.detections import LEAST, LEAST_PX
from geosam.pipeline import segment_to_file
from geosam.segmenter import WordFinder, WordReader, centred
from geosam.testing import TruthNetwork, blob_labels, label_scene
from tests.adapters.conftest import randomised
from tests.adapters.text_networks import SETTINGS, model_of, tame, write_vocabulary

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


def by_grounding_dino(folder: Path, library) -> list[tuple[np.ndarray, np.ndarray]]:
    """The library's own tokenizer, processor, forward pass and boxes; a word's tokens lie between two full stops."""
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    model = library.GroundingDinoForObjectDetection.from_pretrained(folder).eval()
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


def test_grounding_dino_finds_what_the_library_finds(folders, library):
    found = load_text(folders["grounding-dino"]).propose(PIXELS, WORDS)
    expected = by_grounding_dino(folders["grounding-dino"], library)
    assert sum(len(each) for each in found) > 3
    for mine, (boxes, scores) in zip(found, expected, strict=True):
        rows = np.flatnonzero((scores >= LEAST) & (boxes[:, 2:] - boxes[:, :2] >= LEAST_PX).all(1))
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        np.testing.assert_allclose(mine.boxes, boxes[rows], atol=1e-3)
        np.testing.assert_allclose(mine.scores, scores[rows], atol=1e-4)


def test_owlv2_finds_what_the_library_finds_without_repeats(folders, library):
    found = load_text(folders["owlv2"]).propose(PIXELS, WORDS)
    expected = by_owlv2(folders["owlv2"], library)
    assert sum(len(each) for each in found) > 0
    for mine, (boxes, scores) in zip(found, expected, strict=True):
        for box, score in zip(mine.boxes, mine.scores, strict=True):
            row = int(np.abs(boxes - box).sum(1).argmin())
            np.testing.assert_allclose(box, boxes[row], atol=1e-3)
            np.testing.assert_allclose(score, scores[row], atol=1e-4)
        if len(scores):
            assert mine.scores[0] == pytest.approx(scores.max(), abs=1e-4)


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
    """Three windows of 160 pixels."""
    return label_scene(tmp_path_factory.mktemp("scene") / "scene.tif", blob_labels((150, 420), count=14, seed=3))


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_scene_goes_through_each_to_a_valid_layer(folders, scene, tmp_path, kind):
    how = {"text": "roof, car", "text_threshold": 0.05, "window": 160, "model": TruthNetwork(side=160)}
    report = segment_to_file(scene, tmp_path / "found.gpkg", text_model=str(folders[kind]), **how)
    layer = gpd.read_file(tmp_path / "found.gpkg", layer="found")
    assert len(layer) == report.objects > 0
    assert layer.geometry.is_valid.all()
    assert set(layer["prompt"]) <= {"roof", "car"}
    assert layer["score"].between(0.05, 1).all()
    assert layer.geometry.area.sum() == pytest.approx(layer.union_all().area)  # no pixel twice
