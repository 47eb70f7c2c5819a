"""Adapters through windows, stitching and vectors, with a stand-in for the library whose answers are known."""

from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from shapely.geometry import box
from torch import Tensor, nn
from torch.nn import functional

import geosam
from geosam.adapters.sam import SamAdapter
from geosam.adapters.sam2 import Sam2Adapter
from geosam.prompts import Prompts
from geosam.segmenter import PromptBatch
from geosam.store import EmbeddingStore

CELLS = 64
SIDE = 256


class Echo(nn.Module):
    """Answers a click with the pixels of its colour, a box with itself, a mask prompt with the same mask.

    It speaks the library's language: pixels of the square input from the first one's centre, normalised colours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        prompts = SimpleNamespace(image_size=SIDE, patch_size=16, hidden_size=3)
        self.config = SimpleNamespace(
            prompt_encoder_config=prompts, mask_decoder_config=SimpleNamespace(num_multimask_outputs=3)
        )

    def get_image_embeddings(self, images: Tensor) -> list[Tensor]:
        return [images, functional.avg_pool2d(images, 4), functional.avg_pool2d(images, 16)]  # the finest first

    def forward(self, image_embeddings: list[Tensor], multimask_output: bool, **given: Any) -> SimpleNamespace:
        fine = image_embeddings[0][0]
        if "input_masks" in given:
            drawn = given["input_masks"][:, 0]  # n c c
        elif "input_boxes" in given:
            x0, y0, x1, y1 = ((given["input_boxes"][0] + 0.5) * (CELLS / SIDE)).T[..., None, None]
            y, x = torch.meshgrid(*[torch.arange(CELLS) + 0.5] * 2, indexing="ij")
            drawn = torch.stack([x - x0, x1 - x, y - y0, y1 - y]).amin(0) * 4
        else:
            column, row = (given["input_points"][0, :, 0] + 0.5).long().clip(0, SIDE - 1).T
            colours = fine[:, row, column].T  # n 3
            away = (fine[None] - colours[..., None, None]).abs().amax(1)  # n side side
            drawn = functional.avg_pool2d(torch.where(away < 0.05, 8.0, -8.0), SIDE // CELLS)
        k = 3 if multimask_output else 1
        masks = drawn[:, None, None].expand(-1, 1, k, -1, -1)
        return SimpleNamespace(pred_masks=masks, iou_scores=torch.full(masks.shape[:3], 0.95))


class SquashedEcho(Sam2Adapter):
    """SAM 2's windows."""


class PaddedEcho(SamAdapter):
    """SAM's windows, with the same maps kept."""

    embed = Sam2Adapter.embed
    unpack = Sam2Adapter.unpack


@pytest.fixture(params=[SquashedEcho, PaddedEcho])
def echo(request):
    return request.param(Echo(), name="echo", key="echo")


SHAPE = (150, 400)
"""Of the scene: at the network's full window not square, at smaller ones several windows."""


def picture(shape: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """Rectangles, each of a colour of its own, on grey ground."""
    pixels = np.full((3, *shape), 128, np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(places.astype(int)):
        pixels[:, y0:y1, x0:x1] = np.array([40 + 30 * number, 250 - 35 * number, 20 + 60 * (number % 4)])[:, None, None]
    return pixels


def rectangles(shape: tuple[int, int]) -> np.ndarray:
    """Five rectangles ``xyxy`` in pixels, apart from each other."""
    h, w = shape
    x, y = np.array([0.05, 0.3, 0.55, 0.8, 0.1]) * w, np.array([0.1, 0.55, 0.12, 0.6, 0.6]) * h
    return np.stack([x, y, x + 0.15 * w, y + 0.25 * h], axis=1).round().astype(np.float32)


def covered(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Logits that cover a window, at its own sampling."""
    whole = functional.interpolate(torch.tensor(logits)[:, None], shape, mode="bilinear")[:, 0]
    return whole.numpy() > 0


def overlap(mask: np.ndarray, place: np.ndarray) -> float:
    truth = np.zeros_like(mask)
    x0, y0, x1, y1 = place.astype(int)
    truth[y0:y1, x0:x1] = True
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("shape", [(300, 1000), (1000, 300), (256, 256), (150, 120)])
def test_clicks_boxes_and_masks_land_where_they_should(echo, shape):
    places = rectangles(shape)
    arrays, none = echo.encode(picture(shape, places)), np.zeros((5, 0), np.int64)
    middles = ((places[:, :2] + places[:, 2:]) / 2)[:, None]
    clicked, _ = echo.decode(arrays, PromptBatch(points=middles, labels=np.ones((5, 1), np.int64)))
    boxed, _ = echo.decode(
        arrays, PromptBatch(points=np.zeros((5, 0, 2), np.float32), labels=none, boxes=places), multimask=False
    )
    again, _ = echo.decode(
        arrays,
        PromptBatch(points=np.zeros((5, 0, 2), np.float32), labels=none, mask_logits=boxed[:, 0]),
        multimask=False,
    )
    step = max(shape) / CELLS  # a cell in window pixels
    least = 1 - 2 * step / min(0.15 * shape[1], 0.25 * shape[0])
    for logits in (clicked, boxed, again):
        masks = covered(logits[:, 0], shape)
        assert min(overlap(mask, place) for mask, place in zip(masks, places, strict=True)) > max(least, 0.5)
        centres = [np.argwhere(mask).mean(axis=0)[::-1] + 0.5 for mask in masks]
        assert np.abs(np.array(centres) - middles[:, 0]).max() < 0.5 * step  # no shift


@pytest.fixture
def scene(tmp_path):
    """A raster of rectangles, half a metre a pixel, and their outlines in the world."""
    places, path = rectangles(SHAPE), tmp_path / "scene.tif"
    transform = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32631", "transform": transform}
    with rasterio.open(path, "w", height=SHAPE[0], width=SHAPE[1], **profile) as file:
        file.write(picture(SHAPE, places))
    world = [box(*(transform @ (x0, y1)), *(transform @ (x1, y0))) for x0, y0, x1, y1 in places.tolist()]
    return path, gpd.GeoDataFrame(geometry=world, crs="EPSG:32631")


def check(layer: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, least: float) -> None:
    assert layer.geometry.is_valid.all()
    assert layer.crs == truth.crs
    assert (layer["model"] == "echo").all()
    for one in truth.geometry:
        iou = shapely.area(shapely.intersection(layer.geometry, one)) / shapely.area(shapely.union(layer.geometry, one))
        assert iou.max() > least


@pytest.mark.parametrize("window", [None, 160])
def test_everything_is_found_over_all_windows(echo, scene, window):
    path, truth = scene
    opened = geosam.open_scene(path, stretch=(0, 255))
    layer = geosam.segment(opened, model=echo, window=window, spacing_px=24)
    check(layer, truth, 0.75)
    assert len(layer) >= len(truth)


def test_prompts_in_the_world_are_answered(echo, scene):
    path, truth = scene
    opened = geosam.open_scene(path, stretch=(0, 255))
    layer = geosam.segment(opened, model=echo, prompts=Prompts.from_features(truth, opened))
    check(layer, truth, 0.75)
    assert len(layer) == len(truth)


def test_stored_embeddings_give_the_same_layer(echo, scene, tmp_path):
    path, _ = scene
    opened, store = geosam.open_scene(path, stretch=(0, 255)), EmbeddingStore(tmp_path / "store")
    geosam.encode(opened, store=store, model=echo, window=160)
    fresh, stored = (
        geosam.segment(opened, model=echo, window=160, spacing_px=32, **how) for how in ({}, {"store": store})
    )
    assert store.stats().entries > 0
    assert fresh.equals(stored)
