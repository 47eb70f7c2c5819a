"""Each adapter beside the library's own forward pass, on small random networks."""

import numpy as np
import pytest
import shapely
import torch
from rasterio.windows import Window

import geosam
from geosam.adapters.sam_hq import SamHqAdapter
from geosam.errors import ModelError
from geosam.segmenter import Features, PromptBatch, Segmenter
from geosam.store import EmbeddingStore
from geosam.testing import blob_labels, label_scene

RNG = np.random.default_rng(11)
POINTS = RNG.uniform(8, 100, (5, 2, 2)).astype(np.float32)
LABELS = np.array([[1, 0], [1, 1], [0, 1], [1, 1], [1, 0]])
BOXES = np.sort(RNG.uniform(8, 100, (5, 2, 2)), axis=1).reshape(5, 4).astype(np.float32)
NONE = {"points": np.zeros((5, 0, 2), np.float32), "labels": np.zeros((5, 0), np.int64)}
CLICKS = {"points": POINTS, "labels": LABELS}


@pytest.fixture(scope="module")
def pixels(adapter) -> np.ndarray:
    return RNG.integers(0, 256, (3, adapter.side, adapter.side), dtype=np.uint8)


@pytest.fixture(scope="module")
def arrays(adapter, pixels) -> tuple[np.ndarray, ...]:
    return adapter.encode(pixels)


def masks(adapter) -> np.ndarray:
    cells = adapter.logits_shape((adapter.side, adapter.side))
    return np.random.default_rng(5).normal(0, 4, (5, *cells)).astype(np.float32)


def asked(name: str, adapter) -> dict:
    return {
        "points": CLICKS,
        "boxes": NONE | {"boxes": BOXES},
        "both": CLICKS | {"boxes": BOXES},
        "masks": NONE | {"mask_logits": masks(adapter)},
        "all": CLICKS | {"boxes": BOXES, "mask_logits": masks(adapter)},
    }[name]


def by_the_library(adapter, prompts: dict, multimask: bool, **image: object) -> tuple[np.ndarray, np.ndarray]:
    """The library's own forward pass, one prompt at a time, in its own coordinates."""
    logits, scores = [], []
    for row in range(5):
        given = {}
        if prompts["points"].shape[1]:
            given["input_points"] = torch.tensor(prompts["points"][row] - 0.5)[None, None]
            given["input_labels"] = torch.tensor(prompts["labels"][row])[None, None]
        if "boxes" in prompts:
            given["input_boxes"] = torch.tensor(prompts["boxes"][row] - 0.5)[None, None]
        if "mask_logits" in prompts:
            given["input_masks"] = torch.tensor(prompts["mask_logits"][row])[None, None]
        with torch.inference_mode():
            found = adapter.model(**image, **given, multimask_output=multimask)
        logits.append(found.pred_masks[0, 0].numpy())
        scores.append(found.iou_scores[0, 0].numpy())
    return np.stack(logits), np.stack(scores)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("name", ["points", "boxes", "both", "masks", "all"])
def test_answers_are_the_librarys(adapter, pixels, name, multimask, monkeypatch):
    prompts, image = asked(name, adapter), adapter.image(pixels)[None]
    expected = by_the_library(adapter, prompts, multimask, pixel_values=image)
    monkeypatch.setattr(torch.Tensor, "half", lambda tensor: tensor.float())  # not rounded as in the store
    exact = adapter.encode(pixels)
    found = adapter.decode(
        Features.of(exact, (adapter.side, adapter.side)), PromptBatch(**prompts), multimask=multimask
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, atol=1e-4 * max(1.0, np.abs(theirs).max()))
    assert found[0].std() > 0.05  # or there would be nothing to compare


def test_rounding_to_half_precision_changes_little(adapter, pixels, arrays):
    image = adapter.image(pixels)[None]
    expected, _ = by_the_library(adapter, CLICKS, multimask=True, pixel_values=image)
    found, _ = adapter.decode(arrays, PromptBatch(**CLICKS))
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_embeddings_are_half_precision_fixed_and_the_same_from_a_store(adapter, arrays, tmp_path):
    assert all(array.dtype == np.float16 and not array.flags.writeable for array in arrays)
    assert [len(array.shape) for array in arrays] == [3] * len(arrays)
    assert list(arrays[0].shape[1:]) == [8, 8]
    store = EmbeddingStore(tmp_path)
    key = store.key("scene", Window(0, 0, 128, 128), model_key=adapter.key)
    store.put(key, arrays)
    back = store.get(key)
    assert back is not None
    assert all(np.array_equal(one, other) for one, other in zip(arrays, back, strict=True))
    fresh, stored = (
        adapter.decode(Features.of(each, (adapter.side, adapter.side)), PromptBatch(**CLICKS))[0]
        for each in (arrays, back)
    )
    assert np.array_equal(fresh, stored)


def test_padding_of_prompts_is_no_point(adapter, arrays):
    labels = np.array([[1, -1], [-1, 1], [1, 0], [-1, -1], [1, 1]])
    together, scores = adapter.decode(arrays, PromptBatch(points=POINTS, labels=labels, boxes=BOXES))
    for row in range(5):
        real = labels[row] >= 0
        alone = {"points": POINTS[row : row + 1, real], "labels": labels[row : row + 1, real]}
        logits, iou = adapter.decode(arrays, PromptBatch(**alone, boxes=BOXES[row : row + 1]))
        np.testing.assert_allclose(together[row], logits[0], atol=1e-3)
        np.testing.assert_allclose(scores[row], iou[0], atol=1e-4)


def test_many_prompts_are_answered_as_few(adapter, arrays):
    shape = (adapter.side, adapter.side)
    points, labels = np.tile(POINTS, (8, 1, 1)), np.tile(LABELS, (8, 1))
    logits, _ = adapter.decode(arrays, PromptBatch(points=points, labels=labels), multimask=False)
    few, _ = adapter.decode(arrays, PromptBatch(**CLICKS), multimask=False)
    np.testing.assert_allclose(logits, np.tile(few, (8, 1, 1, 1)), atol=1e-3)
    logits, iou = adapter.decode(arrays, PromptBatch(points=points[:0], labels=labels[:0]))
    assert logits.shape == (0, 3, *adapter.logits_shape(shape))
    assert iou.shape == (0, 3)


@pytest.mark.parametrize("shape", [(128, 128), (40, 120), (120, 40), (300, 90), (3, 3)])
def test_windows_of_any_shape_are_covered(adapter, shape):
    pixels = RNG.integers(0, 256, (3, *shape), dtype=np.uint8)
    logits, iou = adapter.decode(adapter.encode(pixels), PromptBatch(points=POINTS % 40, labels=LABELS))
    assert logits.shape == (5, 3, *adapter.logits_shape(shape))
    assert iou.shape == (5, 3)
    assert np.isfinite(logits).all()


def test_it_is_the_port_and_refuses_what_is_not_its_own(adapter, arrays):
    assert isinstance(adapter, Segmenter)
    assert adapter.key in repr(adapter)
    with pytest.raises(ModelError, match="encode the window with the same model"):
        adapter.decode(Features.of((arrays[0][:, :4],), (64, 64)), PromptBatch(**CLICKS))


def test_reduced_precision_is_part_of_the_key(adapter, pixels, arrays):
    reduced = type(adapter)(adapter.model, name=adapter.name, key=adapter.key, dtype=torch.bfloat16)
    assert reduced.key == f"{adapter.key}-bfloat16"
    found = reduced.encode(pixels)
    scale = np.abs(arrays[0]).max()
    assert 0 < np.abs(found[0].astype(float) - arrays[0]).max() < 0.2 * scale


def test_high_quality_masks_are_drawn_on_what_the_transformer_leaves(make_model):
    # not on what went into it, as the library's own decoder does (seen in 5.24)
    model = make_model("SamHQModel")
    adapter = SamHqAdapter(model, name="sam_hq", key="sam_hq")
    pixels = RNG.integers(0, 256, (3, 128, 128), dtype=np.uint8)
    arrays = adapter.encode(pixels)
    decoder, seen = model.mask_decoder, []
    decoder.transformer.register_forward_hook(lambda _module, _given, found: seen.append(found[1]))
    decoder.upscale_conv1.register_forward_hook(lambda _module, given, _found: seen.append(given[0]))
    adapter.decode(arrays, PromptBatch(points=POINTS[:1], labels=LABELS[:1]))
    left, drawn = seen
    assert torch.equal(left[0, 0].T.reshape(drawn.shape[1:]), drawn[0])


def test_a_coverage_stands_on_the_features_of_every_family(tmp_path, adapter):
    shape = (150, 230)
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", blob_labels(shape, count=6, large=1)))
    found = geosam.segment(scene, model=adapter, coverage=True, store=None)
    shapes = scene.to_px(found.geometry)
    assert len(found) > 3
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(shape[0] * shape[1])
    assert found.score.between(0, 1).all()
    again = geosam.segment(scene, model=adapter, coverage=True, store=None)
    assert np.array_equal(shapely.to_wkb(found.geometry), shapely.to_wkb(again.geometry))
