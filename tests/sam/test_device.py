"""A graphics card is another memory and another clock: nothing may mix memories, and the host should seldom wait.

No such card is needed to see either. `Away` is a device of this file's own, registered with PyTorch as any other: its
tensors compute on the processor, but whatever meets tensors of another device fails, as it does on a card, and each
time that the host needs a value of it is counted.
"""

from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from geopandas import GeoDataFrame
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

import geosam
from geosam.sam.model import Predictor, Sam
from geosam.sam.registry import load_model
from geosam.training.world import render

aten = torch.ops.aten

WHOLE = {"linear", "matmul"}
"""Operators made of others that may stay whole."""


SHUFFLED = {"scatter_add", "scatter_add_", "index_add", "index_add_", "index_put", "index_put_"}
"""Operators that add in any order, so that sums of fractions differ from run to run."""


class Backend(_DummyBackendModule):
    """What PyTorch asks of a device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend("away", backend_module=Backend())
AWAY = torch.device("away", 0)
AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")  # lasts as long as this name
AUTOCAST.fallback(torch.library.fallthrough_kernel)  # autocast changes nothing there; what is cast by hand is


class Away(torch.Tensor):
    """A tensor of the device; ``here`` is what it really holds."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> "Away":
        form = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, here.shape, device=AWAY, **form)

    def __init__(self, here: torch.Tensor) -> None:
        self.here = here

    def tolist(self) -> Any:
        counted["waits"] += 1
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, operator, _, args=(), kwargs=None):
        return compute(operator, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it lasts, tensors can be made away."""

    def __torch_dispatch__(self, operator, _, args=(), kwargs=None):
        return compute(operator, args, kwargs or {})


counted: Counter[str] = Counter()
"""``waits``: values of the device that the host needed; ``sends``: tensors that it was given."""


def compute(operator, args, kwargs):
    """Compute where the tensors are; count what goes over."""
    name = operator.overloadpacket.__name__
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), "CompositeImplicitAutograd")
    if composite and name not in WHOLE:
        with Device():
            result = operator.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    tensors = [each for each in pytree.tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    away = [isinstance(each, Away) for each in tensors]
    to_away = torch.device(kwargs["device"]).type == "away" if kwargs.get("device") is not None else any(away)
    if operator in (aten._to_copy.default, aten.copy_.default):
        goes, comes = (to_away, away[0]) if operator is aten._to_copy.default else away
        counted["sends"] += goes and not comes
        counted["waits"] += comes and not goes
    elif operator is aten._local_scalar_dense.default or operator is aten.nonzero.default:
        counted["waits"] += any(away)
    elif any(away) and any(each.ndim and not there for each, there in zip(tensors, away, strict=True)):
        if operator not in (aten.index.Tensor, aten.index_put_.default):  # of an index PyTorch brings what it needs
            raise RuntimeError(f"{operator} of tensors on two devices")
        counted["sends"] += 1
    if any(away) and name in SHUFFLED and tensors[0].is_floating_point():
        raise RuntimeError(f"{operator} of fractions: a graphics card adds them in any order")
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    given = pytree.tree_map_only(Away, lambda each: each.here, (args, kwargs))
    result = operator(*given[0], **given[1])
    if operator._schema.is_mutable and any(away) and isinstance(result, torch.Tensor):
        return args[0]
    if not to_away:
        return result
    with torch.inference_mode(mode=False):  # else a view of what is no inference tensor could not be one
        return pytree.tree_map_only(torch.Tensor, Away, result)


@contextmanager
def device():
    """Have the device for a while, on this thread."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(…, device=…)` is a copy like others
    try:
        with Device():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(before)


@contextmanager
def counting():
    """Have the device for a while, and count from nought."""
    counted.clear()
    with device():
        yield counted


@pytest.fixture(scope="module")
def nano() -> Predictor:
    return load_model("nano", device="cpu")


@pytest.fixture(scope="module")
def there(nano) -> Predictor:
    return moved(nano.copy_network(), nano.key)


def moved(sam: Sam, key: str, dtype: torch.dtype = torch.float32) -> Predictor:
    with counting():
        return Predictor(sam.to(AWAY), key, dtype=dtype)


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
    assert (nano.at_once, there.at_once) == (1, 4)
    with counting() as seen:
        found = there.encode_many(windows)
        few = seen["waits"] / len(found[0])
    assert few == 3  # 4 and 1 of 96 px, 2 of 128 px
    for pixels, arrays in zip(windows, found, strict=True):
        for a, b in zip(arrays, nano.encode(pixels), strict=True):
            np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("asked", [CLICKS, BOXES, PAIRS], ids=["clicks", "boxes", "pairs"])
@pytest.mark.parametrize("way", ["decode", "decode_near"])
def test_prompts_are_answered_alike(nano, there, arrays, asked, way):
    multimask = asked is CLICKS
    wanted = getattr(nano, way)(arrays, SHAPE, **asked, multimask=multimask)
    with counting():
        found = getattr(there, way)(arrays, SHAPE, **asked, multimask=multimask)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize("asked", [CLICKS, BOXES, PAIRS], ids=["clicks", "boxes", "pairs"])
def test_masks_are_sharpened_alike(nano, there, arrays, asked):
    logits, iou = nano.decode(arrays, SHAPE, **asked, multimask=False)
    wanted, expected = nano.sharpen(arrays, SHAPE, logits[:, 0], iou[:, 0], **asked)
    with counting():
        found, expects = there.sharpen(arrays, SHAPE, logits[:, 0], iou[:, 0], **asked)
    np.testing.assert_allclose(expects, expected, atol=1e-5)
    for a, b in zip(found, wanted, strict=True):
        assert (a.corner, a.shape) == (b.corner, b.shape)
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)


@pytest.mark.parametrize("near", [False, True])
def test_a_window_is_surveyed_alike(nano, there, arrays, near):
    asked = grid(32)
    asked |= {"least_iou": 0.3, "local": np.full(len(asked["points"]), near)}
    wanted = nano.survey(arrays, SHAPE, **asked, look=lambda *seen: seen)
    with counting():
        found = there.survey(arrays, SHAPE, **asked, look=lambda *seen: seen)
    assert len(found) > 10
    assert [each[:2] for each in found] == [each[:2] for each in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a[2], b[2], atol=1e-5)
        np.testing.assert_allclose(a[3].logits, b[3].logits, atol=2e-4)


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_a_transformer_answers_alike(tiny, dtype, off):
    here, there = Predictor(tiny, "tiny"), moved(deepcopy(tiny), "tiny", dtype)
    pixels = render(4, 256).pixels
    asked = {"points": np.array([[[60.0, 90]], [[200, 30]]], np.float32), "labels": np.ones((2, 1), int)}
    arrays = here.encode(pixels)
    wanted = here.decode(arrays, (256, 256), **asked)
    with counting():
        again = there.encode(pixels)
        found = there.decode(arrays, (256, 256), **asked)
    for a, b in zip((again[0].astype(float), *found), (arrays[0].astype(float), *wanted), strict=True):
        assert np.linalg.norm(a - b) < off * np.linalg.norm(b)


def cost(work) -> dict[str, int]:
    with counting() as seen:
        work()
    return dict(seen)


def side_by_side(count: int) -> dict[str, np.ndarray]:
    """So many clicks that share their surroundings."""
    places = 100 + np.stack(np.meshgrid(*[np.arange(4, dtype=np.float32)] * 2), -1).reshape(-1, 1, 2)
    return {"points": places[:count], "labels": np.ones((count, 1), int)}


@pytest.mark.parametrize("way", ["decode", "decode_near"])
def test_the_host_waits_for_groups_of_prompts_not_for_each(there, arrays, way):
    one, every = (cost(lambda n=n: getattr(there, way)(arrays, SHAPE, **side_by_side(n))) for n in (1, 16))
    assert every == one
    assert one["waits"] <= 3  # predicted IoUs, masks, which are cut


@pytest.mark.parametrize("near", [False, True])
def test_of_a_survey_the_host_waits_for_scores_and_for_masks(there, arrays, near):
    def survey(count: int) -> None:
        asked = side_by_side(count) | {"local": np.full(count, near), "least_iou": 0.0}
        found.append(len(there.survey(arrays, SHAPE, **asked, look=lambda *seen: seen)))

    found = []
    one, every = (cost(lambda n=n: survey(n)) for n in (1, 16))
    assert every == one
    assert one["waits"] <= 3
    assert found[1] > 10 * found[0] > 0


def test_masks_of_a_size_are_sharpened_in_one_wait(nano, there, arrays):
    asked = side_by_side(8)
    logits, iou = (each[:, 0] for each in nano.decode(arrays, SHAPE, **asked, multimask=False))
    one, every = (
        cost(lambda n=n: there.sharpen(arrays, SHAPE, logits[:1].repeat(n, 0), iou[:n], **side_by_side(n)))
        for n in (1, 8)
    )
    assert every == one
    assert one["waits"] <= 2  # the masks and what they are expected to reach


class Card:
    """A network on the device, for threads that do not have it."""

    def __init__(self, network: Predictor) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._network, name)
        return self._having_it(found) if callable(found) else found

    def _having_it(self, call):
        def made(*given, **named):
            with device():
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


PARAMETERS = {"window": 192, "overlap": 32, "spacing_px": 32, "store": None}


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
