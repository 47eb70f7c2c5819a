"""What a network is asked in training: a tile, turned or mirrored, and some of its footprints, each prompted once.

The encoder's features of a tile in one of its eight positions are computed once and kept in a temporary folder.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from geosam.sam.blocks import FeatureMaps
from geosam.sam.model import Predictor
from geosam.segmenter import Features
from geosam.training.batches import Batch
from geosam.training.finetuning.tiles import Tile
from geosam.training.samples import STRIDE, box_of, cover, draw_click, jitter_boxes

PROMPTS = 8
"""Footprints asked for in one step."""

KINDS = (0.5, 0.32, 0.18)
"""Shares of clicks, boxes, and both."""

POSITIONS = 8
"""Quarter turns, each as it is and mirrored."""


def turned(array: np.ndarray, position: int) -> np.ndarray:
    """Turn the last two axes by quarters, and mirror them.

    >>> turned(np.array([[1, 2], [3, 4]]), 1).tolist(), turned(np.array([[1, 2], [3, 4]]), 4).tolist()
    ([[2, 4], [1, 3]], [[2, 1], [4, 3]])
    """
    moved = np.rot90(array, position % 4, (-2, -1))
    return np.ascontiguousarray(moved[..., ::-1] if position >= 4 else moved)


def crop(rng: np.random.Generator, tile: Tile, side: int) -> Tile:
    """Cut a square about one of a tile's footprints, as far as the tile goes."""
    ids, whole = tile.ids, len(tile.ids)
    side = min(side, whole)
    rows, cols = np.nonzero(ids == rng.choice(tile.labels))
    top, left = (
        int(np.clip((at.min() + at.max()) / 2 + rng.uniform(-0.75, -0.25) * side, 0, whole - side))
        for at in (rows, cols)
    )
    part = slice(top, top + side), slice(left, left + side)
    return replace(tile, pixels=tile.pixels[:, *part], ids=ids[part])


def draw_lesson(rng: np.random.Generator, tile: Tile, position: int, cell: int = STRIDE) -> Batch:
    """Ask for some of a tile's footprints: a batch of one image, whose targets have cells of so many pixels."""
    labels, ids = tile.labels, turned(tile.ids, position)
    chosen = rng.choice(labels, PROMPTS, replace=len(labels) < PROMPTS)
    masks = [ids == label for label in chosen]
    boxes = np.stack([box_of(mask) for mask in masks])
    side = ids.shape[0]
    cells = side // cell
    return Batch(
        pixels=turned(tile.pixels, position)[None],
        targets=np.stack([cover(mask, cell) for mask in masks])[None],
        boxes=boxes[None],
        prompts=jitter_boxes(rng, boxes, side)[None],
        clicks=np.stack([draw_click(rng, mask) for mask in masks])[None],
        real_object=np.ones((1, PROMPTS), bool),
        edges=np.zeros((1, cells, cells), np.uint8),
        edges_known=np.zeros(1, bool),
        kinds=rng.choice(len(KINDS), 1, p=np.array(KINDS)).astype(np.int64),
    )


class Kept:
    """FeatureMaps of tiles, computed when they are first asked for and read from a folder ever after."""

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder = predictor, folder

    def encoded(self, name: str, pixels: UInt8[np.ndarray, "3 s s"]) -> Features:
        """Features as `Predictor.encode` gives them."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            np.savez(path, *self.predictor.encode(pixels))
        with np.load(path) as file:
            arrays = [file[key] for key in file.files]
        _, h, w = pixels.shape
        return Features.of(arrays, (h, w), picture=self.predictor.capabilities.picture)

    def features(self, name: str, pixels: UInt8[np.ndarray, "3 s s"]) -> FeatureMaps:
        """The same as tensors for a batch of one image."""
        return self.predictor.feature_maps(self.encoded(name, pixels))
