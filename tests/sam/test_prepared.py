"""What is run equals what is read: folded, nested and shared computations against the readable modules."""

import copy
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from geosam.models import load_model, to_predictor
from geosam.nano.drawing import PreparedDrawing
from geosam.nano.network import NanoSam
from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Predictor, Sam
from geosam.sam.model.groups import RoiViews
from geosam.sam.prepared import PreparedDecoder, Question, exchange
from geosam.sam.prepared.memory import Growth, give_back, resident, scratch
from geosam.sam.prepared.precision import quick_dtype
from geosam.sam.prepared.vit import PreparedVit
from geosam.sam.prepared.workers import map_alone
from geosam.segmenter import Features, PromptBatch

INSIDE = torch.ones(3, 1, dtype=torch.long)
CLICKS = torch.tensor([[[16.0, 16.0]], [[40.0, 24.0]], [[33.3, 17.7]]])
BOXES = torch.tensor([[10.0, 10, 60, 90], [5.0, 0, 100, 40], [0, 0, 190, 250]])
PROMPTS = {
    "click": {"points": CLICKS, "labels": INSIDE},
    "click beyond the image": {"points": CLICKS + 112, "labels": INSIDE},
    "clicks": {
        "points": torch.cat([CLICKS, CLICKS + 30], 1),
        "labels": torch.tensor([[1, 0], [1, -1], [0, 0]]),
    },
    "box": {"points": CLICKS[:, :0], "labels": INSIDE[:, :0], "boxes": BOXES},
    "box and click": {"points": CLICKS, "labels": INSIDE, "boxes": BOXES},
    "mask": {"points": CLICKS, "labels": INSIDE, "masks": "mask"},
    "many clicks": {"points": torch.rand(3, 14, 2) * 60, "labels": INSIDE.expand(3, 14)},
}


@pytest.fixture(params=["tiny", "small"], scope="module")
def sam(request) -> Sam:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def features(sam) -> FeatureMaps:
    gh, gw = (16, 16) if sam.spec.resamples else (4, 8)
    draw = torch.Generator().manual_seed(3)
    fine = [] if sam.spec.resamples else [(8, 2 * gh, 2 * gw), (4, 4 * gh, 4 * gw)]
    coarse, *fine = (torch.randn(1, *shape, generator=draw) for shape in [(sam.spec.width, gh, gw), *fine])
    return FeatureMaps(coarse, tuple(fine))


def prepare(sam: Sam, dtype: torch.dtype = torch.float32) -> PreparedDecoder:
    drawing = PreparedDrawing(sam.prompt_map, sam.likeness_map, dtype) if isinstance(sam, NanoSam) else None
    side = sam.position_side
    return PreparedDecoder(sam.prompt_encoder, sam.mask_decoder, drawing=drawing, position_side=side, dtype=dtype)


def answers(
    decoder: PreparedDecoder, features: FeatureMaps, asked: dict, size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and predicted IoUs of all masks, asked for `size` prompts at a time."""
    view, question = decoder.look(features), Question(**asked)
    logits, iou = [], []
    for start in range(0, 3, size):
        found = decoder.ask(view, question.part(range(start, start + size)))
        iou.append(found.iou)
        logits += [decoder.draw(view, found, row, slice(None)) for row in range(len(found.iou))]
    return torch.stack(logits), torch.cat(iou)


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("kind", PROMPTS)
def test_the_prepared_decoder_computes_the_readable_function(sam, features, kind, size):
    gh, gw = features.coarse.shape[-2:]
    asked = dict(PROMPTS[kind])
    if "masks" in asked:
        asked["masks"] = torch.linspace(-4, 4, 3 * 16 * gh * gw).reshape(3, 4 * gh, 4 * gw)
    with torch.inference_mode():
        wanted = sam.decode(features, **asked, multimask=None)
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 5e-2)):
            found = answers(prepare(sam, dtype), features, asked, size)
            assert error(found[0], wanted[0]) < tolerance
            assert error(found[1], wanted[1]) < tolerance


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_of_pixels_make_no_difference(sam, features, bands, monkeypatch):
    """Also where they do not come out even."""
    (_, c, gh, gw), asked = features.coarse.shape, PROMPTS["click"]
    monkeypatch.setattr(exchange, "BAND_VALUES", -(-gh * gw // bands) * c)
    with torch.inference_mode():
        wanted = sam.decode(features, **asked, multimask=None)
        found = answers(prepare(sam), features, asked, 3)
        assert error(found[0], wanted[0]) < 1e-5
        assert error(found[1], wanted[1]) < 1e-5


def test_only_the_masks_that_are_wanted(sam, features):
    decoder = prepare(sam)
    with torch.inference_mode():
        view = decoder.look(features)
        asked = decoder.ask(view, Question(CLICKS, INSIDE))
        every = decoder.draw(view, asked, 1, slice(None))
        some = decoder.draw(view, asked, 1, [3, 1])
    torch.testing.assert_close(some, every[[3, 1]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 8e-2)])
def test_the_prepared_transformer_computes_the_readable_function(tiny, dtype, tolerance):
    """Also the number of threads does not show. (Distances weigh far more in these weights than in trained ones.)"""
    images = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(5))
    threads = torch.get_num_threads()
    with torch.inference_mode():
        wanted, prepared = tiny.encode_images(images).coarse, PreparedVit(tiny.image_encoder, dtype)
        found = prepared(images).coarse
        try:
            torch.set_num_threads(3 - min(threads, 2))
            assert torch.equal(prepared(images).coarse, found)
        finally:
            torch.set_num_threads(threads)
    assert error(found, wanted) < tolerance


def test_a_predictor_in_half_precision_encodes_alike_on_any_number_of_threads(tiny):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 200, 256), np.uint8)
    threads, found = torch.get_num_threads(), []
    for count in (1, 2):
        try:
            torch.set_num_threads(count)
            found.append(to_predictor(tiny, "tiny", dtype=torch.bfloat16).encode(pixels)[0].astype(np.float32))
        finally:
            torch.set_num_threads(threads)
    assert np.array_equal(*found)
    wanted = to_predictor(tiny, "tiny").encode(pixels)[0].astype(np.float32)
    assert 0 < np.linalg.norm(found[0] - wanted) < 8e-2 * np.linalg.norm(wanted)


@pytest.mark.parametrize("shape", [(512, 512), (700, 500), (1024, 96)])
def test_the_built_in_model_encodes_alike_on_any_number_of_threads(shape):
    pixels = np.random.default_rng(2).integers(0, 256, (3, *shape), np.uint8)
    predictor, threads, found = load_model("nano"), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            found.append(predictor.encode(pixels))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(np.array_equal(one, again) for one, again in zip(found[0], other, strict=True))


def test_precision_is_chosen_by_what_the_machine_has(monkeypatch):
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda: False, raising=False)
    assert quick_dtype(torch.device("cpu")) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert quick_dtype(torch.device("cpu")) == torch.bfloat16
    assert quick_dtype(torch.device("meta")) == torch.float32


@pytest.fixture(scope="module")
def window(sam) -> tuple[Predictor, tuple, tuple[int, int], np.ndarray]:
    predictor, shape = to_predictor(sam, "test"), (90, 128)
    arrays = predictor.encode(np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8))
    points = np.stack(np.meshgrid(np.arange(8, 128, 16), np.arange(8, 90, 16)), -1).reshape(-1, 1, 2)
    return predictor, arrays, shape, points.astype(np.float32)


def test_a_survey_sees_what_decode_gives(window):
    predictor, arrays, _, points = window
    labels = np.ones((len(points), 1), np.int64)
    logits, iou = predictor.decode(arrays, PromptBatch(points=points, labels=labels))
    least = float(np.median(iou))
    seen = predictor.decode_filtered(
        arrays, PromptBatch(points=points, labels=labels), lambda *each: each, least_iou=least
    )
    assert [(row, choice) for row, choice, *_ in seen] == [tuple(place) for place in np.argwhere(iou >= least).tolist()]
    for row, choice, predicted, patch in seen:
        assert predicted == iou[row, choice]
        assert (patch.corner, patch.shape) == ((0, 0), patch.logits.shape)
        np.testing.assert_allclose(patch.logits, logits[row, choice], rtol=1e-4, atol=1e-4)


def test_a_local_answer_is_that_of_the_surroundings_alone(small):
    """Cutting the embedding itself gives the same masks, wherever the surroundings lie; those that are cut are gone."""
    sam = copy.copy(small)
    sam.spec = replace(small.spec, focus_px=(64,))
    predictor, shape = to_predictor(sam, "test"), (120, 128)
    arrays = predictor.encode(np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8))
    points = np.stack(np.meshgrid(np.arange(8, 128, 24), np.arange(8, 120, 24)), -1).reshape(-1, 1, 2).astype("float32")
    labels = np.ones((len(points), 1), np.int64)
    local = np.arange(len(points)) % 3 > 0
    asked = {"points": points, "labels": labels}
    whole, _ = predictor.decode(arrays, PromptBatch(**asked))
    seen = predictor.decode_filtered(arrays, PromptBatch(**asked), lambda *each: each, least_iou=-9.0, rois=local)
    rows = np.array([row for row, *_ in seen])
    assert np.bincount(rows, minlength=len(points))[~local].tolist() == [3] * int((~local).sum())
    shown = 0
    gh, gw = arrays[0].shape[1:]
    parts = RoiViews(predictor._decoder.look(predictor.feature_maps(arrays)))
    for row, choice, iou, patch in seen:
        if not local[row]:
            np.testing.assert_allclose(patch.logits, whole[row, choice], rtol=1e-4, atol=1e-4)
            continue
        x0, y0, x1, y1 = parts.around(torch.tensor(points[row]), 4)
        assert (x1 - x0, y1 - y0) == (4, 4)
        assert x0 * 16 <= points[row, 0, 0] < x1 * 16
        assert y0 * 16 <= points[row, 0, 1] < y1 * 16
        part = [a[:, y0 * f : y1 * f, x0 * f : x1 * f] for a in arrays for f in [a.shape[1] // gh]]
        there = {"points": points[row : row + 1] - np.float32([x0 * 16, y0 * 16]), "labels": labels[:1]}
        expected, expected_iou = predictor.decode(
            Features.of(tuple(map(np.ascontiguousarray, part)), (64, 64)), PromptBatch(**there)
        )
        assert iou == pytest.approx(expected_iou[0, choice], abs=1e-4)
        assert (patch.corner, patch.shape) == ((x0 * 4, y0 * 4), whole.shape[2:])
        inside = patch.logits
        np.testing.assert_allclose(
            inside, expected[0, choice][: inside.shape[0], : inside.shape[1]], rtol=1e-3, atol=1e-3
        )
        inner = ((x0, inside[:, 0]), (y0, inside[0]), (gw - x1, inside[:, -1]), (gh - y1, inside[-1]))
        assert not any((edge > 0).any() for beyond, edge in inner if beyond)
        shown += 1
    assert shown


@pytest.mark.parametrize("boxed", [False, True])
def test_prompts_asked_together_get_the_answers_that_each_gets_alone(small, boxed):
    sam = copy.copy(small)
    sam.spec = replace(small.spec, focus_px=(64, 96))
    predictor, shape = to_predictor(sam, "test"), (200, 240)
    arrays = predictor.encode(np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8))
    points = np.stack(np.meshgrid(np.arange(8, 240, 16), np.arange(8, 200, 16)), -1).reshape(-1, 1, 2).astype("float32")
    labels = np.ones((len(points), 1), np.int64)
    asked = {"points": points, "labels": labels}
    if boxed:
        corners = points - 7, points + np.array([9, 16])
        asked |= {"labels": -labels, "boxes": np.concatenate(corners, 2)[:, 0].astype("float32")}
    given = RoiViews(predictor._decoder.look(predictor.feature_maps(arrays))).batches
    question = predictor._to_input(PromptBatch(**asked), predictor.canvas(shape))
    lots = given(question, np.full(len(points), 64), predictor._decoder, together=True)
    assert sorted(row for lot in lots for row in lot.rows) == list(range(len(points)))
    assert max(len(lot.rows) for lot in lots) > 4
    alone, together = (predictor.decode_rois(arrays, PromptBatch(**asked), batched=each) for each in (False, True))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    again = predictor.decode_rois(arrays, PromptBatch(**asked), batched=True)
    assert all(np.array_equal(one, other) for one, other in zip(together, again, strict=True))


def test_number_of_threads_and_company_change_no_bit(window):
    predictor, arrays, _, points = window
    labels = np.ones((len(points), 1), np.int64)
    asked = {"points": points, "labels": labels}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = predictor.decode(arrays, PromptBatch(**asked))
        torch.set_num_threads(2)
        together = predictor.decode(arrays, PromptBatch(**asked))
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_workers_compute_alone_and_leave_the_caller_as_it_was():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert map_alone(lambda _: torch.get_num_threads(), range(5), threads=2) == [1] * 5
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as fresh:
            assert fresh.submit(torch.get_num_threads).result(60) == 2
    finally:
        torch.set_num_threads(threads)


def test_workers_raise_what_goes_wrong_first():
    def refuse(number: int) -> int:
        if number % 2:
            raise ValueError(str(number))
        return number

    with pytest.raises(ValueError, match="1"):
        map_alone(refuse, range(4), threads=2)
    assert map_alone(refuse, [], threads=2) == []


def resident_mb():
    return resident() / 1e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is known to give memory back when asked")
def test_memory_that_is_free_is_given_back():
    blocks = [np.ones(8000) for _ in range(2000)]  # 128 MB in blocks that the C library keeps
    kept = blocks[::100]  # scattered among them
    blocks.clear()
    before = resident_mb()
    give_back()
    assert resident_mb() < before - 80
    assert all(block.all() for block in kept)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is known to give memory back when asked")
def test_memory_is_given_back_once_a_process_has_grown():
    growth = Growth(50 << 20)
    growth.bound()
    blocks = [np.ones(8000) for _ in range(2000)]  # 128 MB
    kept = blocks[::100]
    growth.bound()
    full = resident_mb()
    blocks.clear()
    growth.bound()
    assert resident_mb() > full - 10, "it has hardly grown since the last time"
    Growth(50 << 20).bound()
    assert resident_mb() < full - 30
    assert all(block.all() for block in kept)


def test_scratch_is_a_threads_own():
    like = torch.ones(2, 3)
    mine = scratch("test", like)
    assert (mine.shape, mine.dtype) == (like.shape, like.dtype)
    assert scratch("test", torch.ones(6)).data_ptr() == mine.data_ptr()
    assert scratch("test", like.double()).dtype == torch.float64
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(scratch, "test", like).result().data_ptr() != mine.data_ptr()
    assert scratch("test", torch.ones(100)).shape == (100,)
