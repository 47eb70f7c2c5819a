"""On a graphics card as on a processor: nothing mixes memories, and the host waits for groups of prompts, not for each.

No card is needed to see it: `geosam.testing.device` stands in.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from geopandas import GeoDataFrame

import geosam
from geosam.models import load_model, to_predictor
from geosam.sam.model import Predictor, Sam
from geosam.segmenter import PromptBatch
from geosam.testing.device import AWAY, counting, on_device
from geosam.training.world import render


@pytest.fixture(scope="module")
def nano() -> Predictor:
    return load_model("nano", device="cpu")


@pytest.fixture(scope="module")
def there(nano) -> Predictor:
    return moved(nano.copy_network(), nano.key)


def moved(sam: Sam, key: str, dtype: torch.dtype = torch.float32) -> Predictor:
    with counting():
        return to_predictor(sam.to(AWAY), key, dtype=dtype)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return render(3, 320).pixels


@pytest.fixture(scope="module")
def arrays(nano, pixels) -> tuple[np.ndarray, ...]:
    return nano.encode(pixels)


SHAPE = (320, 320)


def grid(step: int, *, first: int = 8) -> dict[str, np.ndarray]:
    places = np.arange(first, 320, step, dtype=np.float32)
    points = np.stack(np.meshgrid(places, places), -1).reshape(-1, 1, 2)
    return {"points": points, "labels": np.ones((len(points), 1), int)}


CLICKS = grid(90, first=40)
BOXES = {
    "points": np.zeros((3, 0, 2), np.float32),
    "labels": np.zeros((3, 0), int),
    "boxes": np.array([[20.0, 30, 90, 80], [150, 10, 310, 200], [200, 220, 240, 260]], np.float32),
}
PAIRS = {
    "points": np.array([[[60.0, 60], [200, 90]], [[250, 250], [0, 0]], [[30, 30], [40, 44]]], np.float32),
    "labels": np.array([[1, 0], [1, -1], [1, 1]]),
}


def test_two_devices_do_not_mix():
    with counting() as seen:
        here = torch.ones(3)
        away = here.to(AWAY)
        with pytest.raises(RuntimeError, match="two devices"):
            here + away
        assert away.device == AWAY
        assert (away + away).cpu().tolist() == [2, 2, 2]
        assert seen == {"sends": 1, "waits": 1}
        assert bool((away > 0).all())
    assert seen == {"sends": 1, "waits": 2}


def test_a_window_is_embedded_alike(there, arrays, pixels):
    with counting():
        found = there.encode(pixels)
    for a, b in zip(found, arrays, strict=True):
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=2e-3, atol=2e-3)


def test_windows_of_a_shape_are_embedded_together(nano, there):
    """In their order, whatever lies between."""
    windows = [render(seed, side).pixels for seed, side in enumerate((96, 128, 96, 96, 128, 96, 96))]
    assert (nano.capabilities.max_windows, there.capabilities.max_windows) == (1, 4)
    with counting():
        found = there.encode_many(windows)
    waits = cost(lambda: there.encode_many(windows))["waits"]
    assert waits == 3 * len(found[0])  # 4 and 1 of 96 px, 2 of 128 px
    for pixels, arrays in zip(windows, found, strict=True):
        for a, b in zip(arrays, nano.encode(pixels), strict=True):
            np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("asked", [CLICKS, BOXES, PAIRS], ids=["clicks", "boxes", "pairs"])
@pytest.mark.parametrize("way", ["decode", "decode_rois"])
def test_prompts_are_answered_alike(nano, there, arrays, asked, way):
    multimask = asked is CLICKS
    wanted = getattr(nano, way)(arrays, PromptBatch(**asked), multimask=multimask)
    with counting():
        found = getattr(there, way)(arrays, PromptBatch(**asked), multimask=multimask)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("asked", [CLICKS, BOXES, PAIRS], ids=["clicks", "boxes", "pairs"])
def test_masks_are_sharpened_alike(nano, there, arrays, asked):
    logits, iou = nano.decode(arrays, PromptBatch(**asked), multimask=False)
    prompts = PromptBatch(**asked).with_masks(logits[:, 0])
    wanted, expected = nano.refine(arrays, prompts, iou[:, 0], tight=True)
    with counting():
        found, expects = there.refine(arrays, prompts, iou[:, 0], tight=True)
    np.testing.assert_allclose(expects, expected, atol=1e-5)
    for a, b in zip(found, wanted, strict=True):
        assert (a.corner, a.shape) == (b.corner, b.shape)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)


@pytest.mark.parametrize("near", [False, True])
def test_a_window_is_surveyed_alike(nano, there, arrays, near):
    prompts = PromptBatch(**grid(32))
    how = {"least_iou": 0.3, "rois": np.full(len(prompts), near)}
    wanted = nano.decode_filtered(arrays, prompts, lambda *seen: seen, **how)
    with counting():
        found = there.decode_filtered(arrays, prompts, lambda *seen: seen, **how)
    assert len(found) > 10
    assert [each[:2] for each in found] == [each[:2] for each in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a[2], b[2], atol=1e-5)
        np.testing.assert_allclose(a[3].logits, b[3].logits, atol=2e-4)


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_a_transformer_answers_alike(tiny, dtype, off):
    here, there = to_predictor(tiny, "tiny"), moved(deepcopy(tiny), "tiny", dtype)
    pixels = render(4, 256).pixels
    asked = {"points": np.array([[[60.0, 90]], [[200, 30]]], np.float32), "labels": np.ones((2, 1), int)}
    arrays = here.encode(pixels)
    wanted = here.decode(arrays, PromptBatch(**asked))
    with counting():
        again = there.encode(pixels)
        found = there.decode(arrays, PromptBatch(**asked))
    for a, b in zip((again[0].astype(float), *found), (arrays[0].astype(float), *wanted), strict=True):
        assert np.linalg.norm(a - b) < off * np.linalg.norm(b)


def cost(work) -> dict[str, int]:
    """What goes over when it is done again: the first time weights and drawings are laid out."""
    with counting():
        work()
    with counting() as seen:
        work()
    return dict(seen)


def side_by_side(count: int) -> dict[str, np.ndarray]:
    """So many clicks that share their surroundings."""
    places = 100 + np.stack(np.meshgrid(*[np.arange(4, dtype=np.float32)] * 2), -1).reshape(-1, 1, 2)
    return {"points": places[:count], "labels": np.ones((count, 1), int)}


@pytest.mark.parametrize("way", ["decode", "decode_rois"])
def test_the_host_waits_for_groups_of_prompts_not_for_each(there, arrays, way):
    one, every = (cost(lambda n=n: getattr(there, way)(arrays, PromptBatch(**side_by_side(n)))) for n in (1, 16))
    assert every == one
    assert one["waits"] <= 3  # predicted IoUs, masks, which are cut


@pytest.mark.parametrize("near", [False, True])
def test_of_a_survey_the_host_waits_for_scores_and_for_masks(there, arrays, near):
    def survey(count: int) -> None:
        how = {"rois": np.full(count, near), "least_iou": 0.0}
        prompts = PromptBatch(**side_by_side(count))
        found.append(len(there.decode_filtered(arrays, prompts, lambda *seen: seen, **how)))

    found = []
    one, every = (cost(lambda n=n: survey(n)) for n in (1, 16))
    assert every == one
    assert one["waits"] <= 3
    assert found[-1] > 10 * found[0] > 0


def test_masks_of_a_size_are_sharpened_in_one_wait(nano, there, arrays):
    asked = side_by_side(8)
    logits, iou = (each[:, 0] for each in nano.decode(arrays, PromptBatch(**asked), multimask=False))
    several = {n: PromptBatch(**side_by_side(n)).with_masks(logits[:1].repeat(n, 0)) for n in (1, 8)}
    one, every = (cost(lambda n=n: there.refine(arrays, several[n], iou[:n])) for n in (1, 8))
    assert every == one
    assert one["waits"] <= 2  # the masks and what they are expected to reach


PARAMETERS = {"window": 192, "overlap": 32, "spacing_px": 32, "store": None}


class Card:
    """A network on the device, for threads that do not have it."""

    def __init__(self, network: Predictor) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._network, name)
        return self._having_it(found) if callable(found) else found

    def _having_it(self, call):
        def made(*given, **named):
            with on_device():
                return call(*given, **named)

        return made


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "village.tif"
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    with rasterio.open(path, "w", driver="GTiff", width=320, height=256, count=3, dtype="uint8", **place) as file:
        file.write(render(3, 320).pixels[:, :256])
    return path


@pytest.fixture(scope="module")
def objects(nano, scene) -> GeoDataFrame:
    return geosam.segment(scene, model=nano, **PARAMETERS)


@pytest.mark.slow
def test_a_scene_has_the_same_objects(there, scene, objects):
    """Four windows, embedded together and segmented two at a time."""
    with counting():
        found = geosam.segment(scene, model=Card(there), **PARAMETERS)
    assert len(found) == len(objects) > 20
    assert found.geometry.area.sum() == pytest.approx(objects.geometry.area.sum(), rel=1e-3)
    alike = found.geometry.intersection(objects.geometry).area / found.geometry.union(objects.geometry).area
    assert (alike > 0.97).mean() > 0.95


@pytest.mark.parametrize("kind", ["clicks", "boxes"])
def test_prompts_of_a_scene_have_the_same_answers(nano, there, scene, objects, kind):
    some = objects.geometry.iloc[:6]
    prompts = some.representative_point() if kind == "clicks" else some.envelope
    wanted = geosam.segment(scene, prompts, model=nano, store=None)
    with counting():
        found = geosam.segment(scene, prompts, model=Card(there), store=None)
    assert len(found) == len(wanted) == 6
    alike = found.geometry.intersection(wanted.geometry).area / found.geometry.union(wanted.geometry).area
    assert (alike > 0.97).all()
