"""The numpy face: how windows lie on the network's input, and what may not change an answer."""

import weakref
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import shapely
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

import geosam
from geosam.embeddings import embed
from geosam.errors import ModelError
from geosam.models import to_predictor
from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Canvas
from geosam.sam.model.remembered import Remembered
from geosam.sam.prepared import View
from geosam.scene import open_scene
from geosam.segmenter import Features, PromptBatch, Segmenter
from geosam.testing import blob_labels, coordinate_scene, label_scene

shared_model = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
lengths = st.integers(1, 300)


def pixels(h: int, w: int) -> np.ndarray:
    return np.random.default_rng(h * 1000 + w).integers(0, 256, (3, h, w), dtype=np.uint8)


def clicks(shape: tuple[int, int], n: int, p: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(seed).uniform(0, 1, (n, p, 2)) * shape[::-1]
    return points.astype(np.float32), np.ones((n, p), dtype=np.int64)


@pytest.fixture(scope="module")
def encoded(predictor):
    shape = (90, 128)
    return predictor.encode(pixels(*shape)), shape


@given(h=lengths, w=lengths, resamples=st.booleans())
@settings(deadline=None)
def test_canvas_holds_the_window(h, w, resamples):
    canvas = Canvas.of((h, w), resamples=resamples, side=128)
    for axis in (0, 1):
        assert 0 < canvas.scaled[axis] <= canvas.padded[axis] <= 128
        assert canvas.logits[axis] <= canvas.shape[axis]
        assert canvas.padded[axis] % 32 == 0
    if resamples:
        assert canvas.padded == (128, 128)
        assert max(canvas.scaled) == 128
    elif max(h, w) <= 128:
        assert canvas.scaled == (h, w)


@given(h=st.integers(8, 300), w=st.integers(8, 300), resamples=st.booleans())
@settings(deadline=None)
def test_cropped_logits_lie_where_the_window_lies(h, w, resamples):
    """Logits that hold the coordinates of the network's input, cropped, hold the coordinates of the window."""
    canvas = Canvas.of((h, w), resamples=resamples, side=128)
    ph, pw = canvas.padded[0] // 4, canvas.padded[1] // 4
    y, x = torch.meshgrid(torch.arange(ph) + 0.5, torch.arange(pw) + 0.5, indexing="ij")
    cropped = canvas.crop(torch.stack([x, y])[None] * 4)[0]
    mh, mw = cropped.shape[1:]
    expected_x = (torch.arange(mw) + 0.5) * w / mw * canvas.scale[0]
    expected_y = (torch.arange(mh) + 0.5) * h / mh * canvas.scale[1]
    inner_x, inner_y = expected_x.clamp(2, 4 * pw - 2), expected_y.clamp(2, 4 * ph - 2)
    torch.testing.assert_close(cropped[0], inner_x[None].expand(mh, mw), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(cropped[1], inner_y[:, None].expand(mh, mw), rtol=1e-4, atol=1e-3)


@given(h=st.integers(16, 300), w=st.integers(16, 300), resamples=st.booleans(), finer=st.integers(1, 3))
@settings(deadline=None)
def test_a_mask_prompt_lies_where_the_window_lies(h, w, resamples, finer):
    """Crop undoes place for logits that bend nowhere; around the window there is nothing."""
    canvas = Canvas.of((h, w), resamples=resamples, side=128)
    mh, mw = (length * finer for length in canvas.logits)
    y, x = torch.meshgrid((torch.arange(mh) + 0.5) / mh, (torch.arange(mw) + 0.5) / mw, indexing="ij")
    placed = canvas.place((3 * x - 2 * y)[None])
    assert placed.shape[1:] == (canvas.padded[0] // 4, canvas.padded[1] // 4)
    back = canvas.crop(placed[:, None])[0, 0]
    ys, xs = ((torch.arange(n) + 0.5) / n for n in back.shape)
    wanted = 3 * xs[None] - 2 * ys[:, None]
    inner = (slice(2, -2), slice(2, -2))
    torch.testing.assert_close(back[inner], wanted[inner], rtol=0, atol=1e-3)
    assert (placed[0, -(-canvas.scaled[0] // 4) :] < -7).all()
    assert (placed[0, :, -(-canvas.scaled[1] // 4) :] < -7).all()


def test_a_window_without_pixels_is_refused():
    with pytest.raises(ModelError, match="0 by 5 pixels"):
        Canvas.of((0, 5), resamples=False, side=128)


@pytest.mark.parametrize("shape", [(128, 128), (33, 90), (300, 200), (1, 1)])
def test_any_window_can_be_encoded_and_asked(predictor, shape):
    arrays = predictor.encode(pixels(*shape))
    assert {array.dtype for array in arrays} == {np.dtype(np.float16)}
    points, labels = clicks(shape, 2)
    logits, iou = predictor.decode(arrays, PromptBatch(points=points, labels=labels))
    assert logits.shape == (2, 3, *predictor.logits_shape(shape))
    assert logits.dtype == iou.dtype == np.float32
    assert iou.shape == (2, 3)
    assert np.isfinite(logits).all()


def test_same_input_same_bytes(predictor):
    shape = (64, 100)
    first, second = predictor.encode(pixels(*shape)), predictor.encode(pixels(*shape))
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]


def test_pixels_that_may_not_be_written_are_only_read(predictor):
    window = pixels(64, 64)
    window.setflags(write=False)
    predictor.encode(window)


@given(order=st.permutations(range(5)))
@shared_model
def test_prompts_do_not_see_each_other(predictor, encoded, order):
    arrays, shape = encoded
    points, labels = clicks(shape, 5, p=2)
    logits, iou = predictor.decode(arrays, PromptBatch(points=points, labels=labels))
    turned, turned_iou = predictor.decode(arrays, PromptBatch(points=points[order], labels=labels[order]))
    np.testing.assert_allclose(turned, logits[order], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(turned_iou, iou[order], rtol=1e-3, atol=1e-4)


@given(padding=st.integers(1, 4), box=st.booleans(), where=st.floats(-50, 500))
@shared_model
def test_padding_changes_nothing(predictor, encoded, padding, box, where):
    """Prompts with few and with many points may share a batch: a padded point is as good as no point."""
    arrays, shape = encoded
    points, labels = clicks(shape, 3, p=2)
    boxes = np.array([[10, 10, 60, 50]] * 3, dtype=np.float32) if box else None
    plain = predictor.decode(arrays, PromptBatch(points=points, labels=labels, boxes=boxes))
    points = np.concatenate([points, np.full((3, padding, 2), where, np.float32)], 1)
    labels = np.concatenate([labels, np.full((3, padding), -1)], 1)
    padded = predictor.decode(arrays, PromptBatch(points=points, labels=labels, boxes=boxes))
    for a, b in zip(plain, padded, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_many_prompts_equal_few(predictor, encoded):
    """Prompts are decoded in parts; a prompt's place in its part does not show."""
    arrays, shape = encoded
    points, labels = clicks(shape, 37)
    logits, _ = predictor.decode(arrays, PromptBatch(points=points, labels=labels))
    last, _ = predictor.decode(arrays, PromptBatch(points=points[-1:], labels=labels[-1:]))
    assert len(logits) == 37
    np.testing.assert_allclose(logits[-1:], last, rtol=1e-3, atol=1e-4)


def test_no_prompts_no_masks(predictor, encoded):
    arrays, shape = encoded
    points, labels = clicks(shape, 0)
    logits, iou = predictor.decode(arrays, PromptBatch(points=points, labels=labels), multimask=False)
    assert logits.shape == (0, 1, *predictor.logits_shape(shape))
    assert iou.shape == (0, 1)


@pytest.mark.parametrize("multimask", [True, False])
def test_every_kind_of_prompt_changes_the_answer(predictor, encoded, multimask):
    arrays, shape = encoded
    points, labels = clicks(shape, 2)
    boxes = np.array([[5, 5, 40, 60], [50, 20, 120, 80]], dtype=np.float32)
    masks = np.linspace(-4, 4, 2 * np.prod(predictor.logits_shape(shape)), dtype=np.float32)
    masks = masks.reshape(2, *predictor.logits_shape(shape))
    plain = {"points": points, "labels": labels}
    variants = [
        plain,
        plain | {"labels": 1 - labels},
        plain | {"points": points + 9},
        plain | {"boxes": boxes},
        plain | {"mask_logits": masks},
        plain | {"boxes": boxes, "mask_logits": masks},
        {"points": points[:, :0], "labels": labels[:, :0], "boxes": boxes},
    ]
    answers = [predictor.decode(arrays, PromptBatch(**variant), multimask=multimask)[0] for variant in variants]
    for i, answer in enumerate(answers):
        assert answer.shape[1] == (3 if multimask else 1)
        assert all(not np.allclose(answer, other, atol=1e-3) for other in answers[:i])


def test_a_transformer_sees_a_window_by_its_extent_not_its_pixels(tiny):
    """The same place in the same picture gives the same answer, however many pixels the picture came in."""
    predictor = to_predictor(tiny, "tiny")
    arrays = predictor.encode(pixels(128, 128))
    points, labels = clicks((128, 128), 1)
    box = np.array([[20, 30, 70, 90]], dtype=np.float32)
    coarse, _ = predictor.decode(Features.of(arrays, (128, 128)), PromptBatch(points=points, labels=labels, boxes=box))
    fine, _ = predictor.decode(
        Features.of(arrays, (256, 256)), PromptBatch(points=points * 2, labels=labels, boxes=box * 2)
    )
    np.testing.assert_allclose(coarse, fine, rtol=1e-4, atol=1e-4)


def test_pixels_are_averaged_where_a_window_shrinks(predictor):
    """Fine stripes, made four times smaller, are grey; looked up instead of averaged they would be white."""
    side = 4 * predictor.side
    stripes = np.isin(np.arange(side) % 4, (1, 2)) * np.uint8(254)
    striped = np.broadcast_to(stripes, (3, side, side)).astype(np.uint8)
    grey = np.full((3, side, side), 127, dtype=np.uint8)
    for a, b in zip(predictor.encode(striped), predictor.encode(grey), strict=True):
        assert np.linalg.norm(a.astype(np.float64) - b) < 0.1 * np.linalg.norm(b.astype(np.float64))


def test_threads_share_a_predictor(predictor):
    shapes = [(64, 64), (96, 128), (128, 32), (50, 70)] * 2
    windows = [pixels(*shape) for shape in shapes]
    alone = [predictor.encode(window) for window in windows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(predictor.encode, windows))
    for a, b in zip(alone, together, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_mask_prompt_may_come_at_any_sampling(predictor, encoded):
    arrays, shape = encoded
    points, labels = clicks(shape, 1)
    x = np.linspace(-6, 6, shape[1], dtype=np.float32)
    fine = np.broadcast_to(np.sin(x / 2) * 5, (1, *shape)).astype(np.float32)
    mh, mw = predictor.logits_shape(shape)
    rows, cols = (np.arange(mh) * shape[0]) // mh, (np.arange(mw) * shape[1]) // mw
    coarse = np.ascontiguousarray(fine[:, rows][:, :, cols + shape[1] // mw // 2])
    a, _ = predictor.decode(arrays, PromptBatch(points=points, labels=labels, mask_logits=fine))
    b, _ = predictor.decode(arrays, PromptBatch(points=points, labels=labels, mask_logits=coarse))
    none, _ = predictor.decode(arrays, PromptBatch(points=points, labels=labels))
    assert np.linalg.norm(a - b) < 0.3 * np.linalg.norm(a - none)


def test_the_predictor_is_what_the_map_code_asks_for(small, tmp_path):
    """Through the protocols of `embeddings` and `masks`, from a scene to masks."""
    predictor = to_predictor(small, "small")
    assert isinstance(predictor, Segmenter)
    scene = open_scene(coordinate_scene(tmp_path / "scene.tif", (64, 96)))
    embedding = embed(scene.read(Window(0, 0, 96, 64)), predictor)
    points, labels = clicks((64, 96), 3)
    logits, _ = predictor.decode(embedding.features, PromptBatch(points=points, labels=labels))
    assert logits.shape == (3, 3, 16, 24)


def test_an_embedding_of_another_window_is_refused(small):
    predictor = to_predictor(small, "small")
    arrays = predictor.encode(pixels(128, 128))
    points, labels = clicks((32, 32), 1)
    with pytest.raises(ModelError, match=r"\(32, 8, 8\) for a window of \(32, 32\) pixels"):
        predictor.decode(Features.of(arrays, (32, 32)), PromptBatch(points=points, labels=labels))


def test_precision_is_part_of_the_key(small):
    half = to_predictor(small, "small-0123456789ab", dtype=torch.bfloat16)
    full = to_predictor(small, "small-0123456789ab")
    assert half.key == "small-0123456789ab-bfloat16"
    window = pixels(64, 64)
    rounded, exact = half.encode(window)[0].astype(np.float32), full.encode(window)[0].astype(np.float32)
    difference = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert 0 < difference < 0.1


@given(h=st.integers(1, 128), w=st.integers(1, 128))
@shared_model
def test_small_models_take_any_window_as_it_is(small, h, w):
    assume(h * w > 1)
    predictor = to_predictor(small, "small")
    canvas = predictor.canvas((h, w))
    assert canvas.scaled == (h, w)
    assert predictor.encode(pixels(h, w))[0].shape[1:] == canvas.grid


def test_a_window_is_prepared_for_prompts_once_and_forgotten_with_its_features(predictor, monkeypatch):
    fresh, shape = to_predictor(predictor.sam, "fresh"), (90, 128)
    points, labels = clicks(shape, 3)
    look, looks = fresh._decoder.look, []

    def count(features: FeatureMaps) -> View:
        looks.append(features)
        return look(features)

    monkeypatch.setattr(fresh._decoder, "look", count)
    arrays = fresh.encode(pixels(*shape))
    first, again = (fresh.decode(arrays, PromptBatch(points=points, labels=labels)) for _ in range(2))
    assert len(looks) == 1
    others = [
        Features.of(arrays, shape) for _ in range(2)
    ]  # features are known by what they are, not by what they hold
    anew = [fresh.decode(other, PromptBatch(points=points, labels=labels)) for other in others]
    assert len(looks) == 3
    for other in (again, *anew):
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    del arrays, others
    assert not len(fresh._views)


def test_other_features_at_the_same_place_in_memory_are_other_features():
    remembered, seen = Remembered[float](2), []
    for number in range(50):
        features = Features((np.full(8, number, np.float16),), (8, 8))
        seen.append(remembered.of(features, lambda features=features: float(features[0][0])))
        del features
    assert seen == list(range(50))


def test_only_the_latest_windows_stay_prepared():
    remembered, arrays = Remembered[int](2), [Features((np.zeros(1, np.float16),), (8, 8)) for _ in range(3)]
    for number, each in enumerate(arrays):
        remembered.of(each, lambda number=number: number)
    assert len(remembered) == 2
    assert [remembered.of(each, lambda: 9) for each in reversed(arrays)] == [2, 1, 9]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_of_what_is_laid_out_for_the_machine_memory_holds_nothing_twice(tiny, dtype):
    window, plain = pixels(90, 128), to_predictor(tiny, "tiny", dtype=dtype)
    wanted = plain.encode(window)
    assert plain.copy_network() is not plain.sam
    mine = deepcopy(tiny)
    held = weakref.ref(mine.image_encoder.blocks[0].attn.qkv.weight)
    lean = to_predictor(mine, "tiny", dtype=dtype, again=lambda: deepcopy(tiny))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lean.encode, [window] * 4))
    assert all(np.array_equal(one, other) for each in found for one, other in zip(each, wanted, strict=True))
    assert held() is None
    whole = lean.copy_network().state_dict()
    assert all(value.equal(whole[name]) for name, value in tiny.state_dict().items())


def test_a_coverage_stands_on_published_and_built_in_encoders_alike(tmp_path, predictor):
    shape = (150, 230)
    scene = geosam.open_scene(label_scene(tmp_path / "scene.tif", blob_labels(shape, count=6, large=1)))
    found = geosam.segment(scene, model=predictor, coverage=True, store=None)
    shapes = scene.to_px(found.geometry)
    assert len(found) > 3
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(shape[0] * shape[1])
    assert found.score.between(0, 1).all()
    again = geosam.segment(scene, model=predictor, coverage=True, store=None)
    assert np.array_equal(shapely.to_wkb(found.geometry), shapely.to_wkb(again.geometry))
