"""The two rules of the published processors, written anew, and pixels that are their own coordinates."""

import numpy as np
import pytest
import torch
from PIL import Image

from geosam.adapters.preprocess import Fit, normalise
from geosam.errors import ModelError

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHAPES = [(1024, 1024), (300, 1000), (1300, 400), (1, 40), (33, 1)]
RULES = [(1024, 256, False), (1024, 256, True), (1008, 288, True)]


def noise(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (3, *shape), dtype=np.uint8)


def prepared(fit: Fit, pixels: np.ndarray) -> np.ndarray:
    return fit.pad(normalise(fit.resize(pixels), MEAN, DEVIATION)).numpy()


def normal(pixels: np.ndarray) -> np.ndarray:
    mean, deviation = (np.array(each)[:, None, None] for each in (MEAN, DEVIATION))
    return (pixels / 255 - mean) / deviation


def tent(size: int, to: int) -> np.ndarray:
    """Weights of each of ``size`` cells in each of ``to``: a triangle, widened where cells shrink (Turkowski 1990)."""
    step = size / to
    centres = (np.arange(to) + 0.5) * step
    away = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(step, 1.0)
    weights = np.clip(1 - away, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_is_the_published_rule(shape):
    pixels, (h, w) = noise(shape), shape
    sh, sw = (int(px * 1024 / max(shape) + 0.5) or 1 for px in shape)
    small = Image.fromarray(pixels.transpose(1, 2, 0)).resize((sw, sh), Image.Resampling.BILINEAR)
    expected = np.zeros((3, 1024, 1024))
    expected[:, :sh, :sw] = normal(np.asarray(small).transpose(2, 0, 1))
    found = prepared(Fit.of((h, w), side=1024, cells=256, squash=False), pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if min(shape) > 1])
def test_padding_is_what_the_library_does_without_torchvision(shape, library):
    module = pytest.importorskip("transformers.models.sam.image_processing_pil_sam")
    pixels = noise(shape)
    expected = module.SamImageProcessorPil()(pixels.transpose(1, 2, 0), return_tensors="np")["pixel_values"][0]
    found = prepared(Fit.of(shape, side=1024, cells=256, squash=False), pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("side", [384, 1008])
def test_squashing_is_the_published_rule(shape, side):
    pixels = noise(shape)
    rows, columns = (tent(size, side) for size in shape)
    exact = rows @ pixels.astype(float) @ columns.T  # 3 side side
    found = prepared(Fit.of(shape, side=side, cells=side // 4, squash=True), pixels)
    decided = np.abs(exact % 1 - 0.5) > 0.04  # elsewhere weights in float32 may round to either side
    assert decided.mean() > 0.9
    np.testing.assert_allclose(found[decided], normal(np.round(exact))[decided], atol=1e-5)


def test_squashing_differs_from_whole_number_arithmetic_by_a_level_at_most():
    # what torchvision calls on processors with vector instructions for bytes
    pixels = noise((300, 1000))
    exact = torch.nn.functional.interpolate(torch.tensor(pixels)[None], (1024, 1024), mode="bilinear", antialias=True)
    found = Fit.of((300, 1000), side=1024, cells=256, squash=True).resize(pixels)
    assert (found - exact[0].float()).abs().max() <= 1


@pytest.mark.parametrize("shape", [(1024, 1024), (300, 1000), (1000, 300), (150, 700)])
@pytest.mark.parametrize("rule", RULES)
def test_pixels_land_where_prompts_do(shape, rule):
    h, w = shape
    side, cells, squash = rule
    fit = Fit.of(shape, side=side, cells=cells, squash=squash)
    y, x = np.mgrid[:h, :w] + 0.5
    pixels = np.stack([x * (255 / w), y * (255 / h), 0 * x]).round().astype(np.uint8)
    image = fit.resize(pixels).numpy()
    places = np.random.default_rng(0).uniform((20, 20), (w - 20, h - 20), (50, 2)).astype(np.float32)
    column, row = (fit.to_input(places).numpy() + 0.5).astype(int).T  # the library adds the half pixel
    for band, (place, length) in enumerate(zip(places.T, (w, h), strict=True)):
        assert np.abs(image[band, row, column] * (length / 255) - place).max() < 0.75 * length / 255 + 1


@pytest.mark.parametrize("shape", [(1024, 1024), (300, 1000), (1000, 300), (41, 57), (5, 900)])
@pytest.mark.parametrize("rule", RULES)
def test_logits_land_where_pixels_do(shape, rule):
    h, w = shape
    side, cells, squash = rule
    fit = Fit.of(shape, side=side, cells=cells, squash=squash)
    sx, sy = fit.scale
    y, x = (np.mgrid[:cells, :cells] + 0.5) * (side / cells)
    network = torch.tensor(np.stack([x / sx, y / sy]), dtype=torch.float32)  # each cell says its place in the window
    found = fit.crop(network[None]).numpy()[0]
    mh, mw = fit.logits
    assert found.shape == (2, mh, mw)
    assert mh <= h
    assert mw <= w
    for band, (length, count) in enumerate(((w, mw), (h, mh))):
        expected = (np.arange(count) + 0.5) * (length / count)
        rows = found[band] if band == 0 else found[band].T
        assert np.abs(rows - expected).max() < 0.51 * side / cells / (sx, sy)[band] + 1e-3  # at the border, else exact
        inner = slice(1, -1)
        assert np.abs(rows[:, inner] - expected[inner]).max(initial=0) < 1e-2


@pytest.mark.parametrize("shape", [(1024, 1024), (300, 1000), (1000, 300), (700, 500)])
@pytest.mark.parametrize("rule", RULES)
def test_masks_go_there_and_back(shape, rule):
    side, cells, squash = rule
    fit = Fit.of(shape, side=side, cells=cells, squash=squash)
    mh, mw = fit.logits
    y, x = ((np.arange(n) + 0.5) / n for n in (mh, mw))
    smooth = torch.tensor(6 * np.sin(5 * x) * np.cos(4 * y[:, None]), dtype=torch.float32)[None]
    placed = fit.place(smooth)
    assert placed.shape == (1, cells, cells)
    back = fit.crop(placed[None])[0]
    assert (back - smooth)[:, 2:-2, 2:-2].abs().max() < 0.1
    eh, ew = (int(np.ceil(cells)) for cells in fit.extent)
    assert (placed[:, eh:] < 0).all()
    assert (placed[:, :, ew:] < 0).all()


def test_a_window_of_the_inputs_size_is_not_resampled():
    pixels = noise((1024, 1024))
    fit = Fit.of((1024, 1024), side=1024, cells=256, squash=True)
    assert torch.equal(fit.resize(pixels), torch.tensor(pixels).float())
    logits = torch.randn(2, 3, 256, 256)
    assert torch.equal(fit.crop(logits), logits)
    assert torch.equal(fit.place(logits[:, 0]), logits[:, 0])


def test_a_window_without_pixels_is_refused():
    with pytest.raises(ModelError, match="at least one pixel"):
        Fit.of((0, 5), side=1024, cells=256, squash=True)
