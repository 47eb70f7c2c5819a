"""Learn which nodes of the region tree are objects: `geosam.regions.scoring.ScoreHead`.

``python -m geosam.training.region_scores DATA OUT.npz`` learns from rendered worlds and from the openly licensed rows
of ``DATA/train``, measures on rows that it keeps from itself, and writes the head. Its seed decides everything.

A node's truth is the best IoU it has with an object. In a picture whose labels do not cover the ground, nodes that
lie on no label are left out: what is not labelled is not known.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int32, UInt8
from rasterio.windows import Window
from torch import nn
from torch.nn import functional

from geosam.embeddings import embed
from geosam.models import load_model
from geosam.regions import FineFeatures, ScoreHead, make_block, measure_nodes, measure_scale, merge
from geosam.regions.graph import AREA
from geosam.regions.measures import NAMES
from geosam.scene import Chip
from geosam.training.config import read_config
from geosam.training.real import RealImage, open_rows, read_images
from geosam.training.samples import degrade, draw_window, recolour, resize_labels, resize_pixels, turn
from geosam.training.world import render

log = logging.getLogger(__name__)

SIDE = 640
"""Side of a training window in pixels."""

SCALE = (0.5, 2.0)
"""How far pictures are shrunk or enlarged: objects of 15 to 400 px are seen at every size."""

LABELLED = 0.1
"""Least share of a node that must lie on labels where these do not cover the ground."""

LEAST_PX, LARGEST = 32, 0.8
"""Nodes of fewer pixels, or of more than this share of the window, are not learned from."""

SMALLEST_OBJECT_PX = 64
"""Smaller objects count as ground."""

HIDDEN, STEPS, BATCH, RATE = 64, 6000, 1024, 2e-3
"""Width of the layers, steps of AdamW, nodes in each, and the first learning rate, which falls as a half cosine."""

WORLDS, PICTURES, HELD_OUT = 90, 150, 40
"""Windows of rendered worlds and of real pictures that are learned from, and of pictures that are kept back."""

BINS = 10
"""Of the calibration error."""

DEGRADED = 0.15
"""Share of windows whose detail is taken away."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """Measures of nodes, the best IoU that each has with an object, and its weight."""

    measures: Float32[np.ndarray, "n m"]
    iou: Float32[np.ndarray, "n"]
    weight: Float32[np.ndarray, "n"]

    @classmethod
    def joined(cls, parts: list["Nodes"]) -> "Nodes":
        """All of them."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("measures", "iou", "weight")))


def node_ious(
    merges: Any, labels: Int32[np.ndarray, "h w"], truth: Int32[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "n k"], Float32[np.ndarray, "n"]]:
    """IoU of every node with each object 1 … k of a label raster, and the share of the node that lies on objects."""
    k = int(truth.max()) + 1
    inside = labels > 0
    pairs = (labels[inside].astype(np.int64) - 1) * k + truth[inside]
    shared = np.bincount(pairs, minlength=merges.leaves * k).reshape(-1, k).astype(np.float32)
    shared = merges.accumulate(shared)
    area = merges.sums[:, AREA : AREA + 1].astype(np.float32)
    objects = np.bincount(truth.ravel(), minlength=k).astype(np.float32)
    ious = shared / np.maximum(area + objects - shared, 1)
    return ious[:, 1:], shared[:, 1:].sum(1) / area[:, 0]


def observe(
    network: Any, pixels: UInt8[np.ndarray, "3 h w"], labels: Int32[np.ndarray, "h w"], *, covered: bool
) -> Nodes | None:
    """Grow the tree of a window and compare its nodes with the objects; None where there are none."""
    h, w = labels.shape
    labels = labels.copy()
    labels[(np.bincount(labels.ravel()) < SMALLEST_OBJECT_PX)[labels]] = 0
    labels = np.unique(labels, return_inverse=True)[1].reshape(h, w).astype(np.int32) if (labels == 0).any() else labels
    if labels.max() == 0:
        return None
    valid = np.ones((h, w), bool)
    window = Window(0, 0, w, h)  # pyright: ignore[reportCallIssue]  # attrs class without stubs
    chip = Chip(pixels, valid, window, None)  # pyright: ignore[reportArgumentType]  # a window of nowhere
    fine = FineFeatures.of(embed(chip, network), network)
    scale = measure_scale([(pixels, fine, valid)])
    block = make_block(pixels, valid, fine, scale)
    merges = merge(block.graph, scale.colour)
    ious, share = node_ious(merges, block.labels, labels)
    area = merges.sums[:, AREA]
    known = (area >= LEAST_PX) & (area <= LARGEST * h * w)
    if not covered:
        known &= share > LABELLED
    if not known.any():
        return None
    measures = measure_nodes(merges, scale.colour, np.flatnonzero(known))
    return Nodes(measures, ious.max(1)[known], np.full(known.sum(), max(known.sum(), 30) ** -0.5, np.float32))


def windows(
    data: Path | None, count: tuple[int, int], seed: int, *, held_out: bool
) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Training windows: pixels, labels, and whether these cover the ground; `count` worlds and real pictures."""
    options = replace(read_config().data, scale=SCALE)
    pictures = _by_source(data, held_out=held_out) if data else {}
    rng = np.random.default_rng([seed, int(held_out)])
    for number in range(count[0] + (count[1] if pictures else 0)):
        world = number < count[0]
        shown = render(int(rng.integers(1 << 30)), SIDE) if world else _draw(rng, pictures)
        at = draw_window(rng, shown.labels, side=SIDE, options=options)
        extent = min(SIDE, 2 * (at[0].stop - at[0].start))
        size = (extent, extent)
        image, (labels,) = turn(
            rng, resize_pixels(shown.pixels[(slice(None), *at)], size), [resize_labels(shown.labels[at], size)]
        )
        if rng.random() < DEGRADED:
            image = degrade(rng, image)
        yield recolour(rng, image), labels, world


def _by_source(data: Path, *, held_out: bool) -> dict[str, list[RealImage]]:
    pictures: dict[str, list[RealImage]] = {}
    for image in read_images([row for row in open_rows(data) if row.held_out == held_out]):
        pictures.setdefault(image.source, []).append(image)
    return pictures


def _draw(rng: np.random.Generator, pictures: dict[str, list[RealImage]]) -> RealImage:
    """A source, a larger one more often, though not in proportion; then one of its pictures."""
    names = sorted(pictures)
    weights = np.sqrt([len(pictures[name]) for name in names])
    source = pictures[names[rng.choice(len(names), p=weights / weights.sum())]]
    return source[rng.integers(len(source))]


def gather(network: Any, data: Path | None, count: tuple[int, int], seed: int, *, held_out: bool = False) -> Nodes:
    """Nodes of so many rendered and real windows."""
    parts = []
    for number, (pixels, labels, covered) in enumerate(windows(data, count, seed, held_out=held_out)):
        found = observe(network, pixels, labels, covered=covered)
        if found is not None:
            parts.append(found)
        if number % 20 == 0:
            log.info("%d windows", number)
    return Nodes.joined(parts)


def fit(nodes: Nodes, seed: int, steps: int = STEPS) -> ScoreHead:
    """Learn a head from nodes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = nodes.measures.mean(0)
    spread = nodes.measures.std(0) + np.float32(1e-6)
    x = torch.from_numpy(np.clip((nodes.measures - mean) / spread, -5, 5).astype(np.float32))
    y = torch.from_numpy(np.stack([nodes.iou >= 0.5, nodes.iou >= 0.75], 1).astype(np.float32))
    net = nn.Sequential(
        nn.Linear(len(NAMES), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)
    )
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    chance = (nodes.weight / nodes.weight.sum()).cumsum()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        rows = torch.from_numpy(np.searchsorted(chance, rng.random(BATCH)).clip(0, len(x) - 1))
        loss = functional.binary_cross_entropy_with_logits(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    layers = tuple(
        np.ascontiguousarray(part.detach().numpy().T)
        for layer in net
        if isinstance(layer, nn.Linear)
        for part in (layer.weight, layer.bias)
    )
    return ScoreHead(mean, spread, layers, {})


def reached(head: ScoreHead, nodes: Nodes) -> dict[str, float]:
    """What a head reaches on nodes: calibration error and correlation, each window counting as when learned from."""
    weight = nodes.weight / nodes.weight.sum()
    found = {}
    for column, least in enumerate((0.5, 0.75)):
        chance, true = head.score(nodes.measures)[:, column].astype(float), (nodes.iou >= least).astype(float)
        place = np.minimum((chance * BINS).astype(int), BINS - 1)
        error = sum(abs((weight * (chance - true))[place == k].sum()) for k in range(BINS))
        one, other = chance - (weight * chance).sum(), true - (weight * true).sum()
        together = (weight * one * other).sum() / np.sqrt((weight * one**2).sum() * (weight * other**2).sum())
        found |= {f"calibration_error_{least}": float(error), f"correlation_{least}": float(together)}
    return found


def main() -> None:
    """Learn the head of the package."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path, help="folder with train/manifest.csv")
    parser.add_argument("out", type=Path, help=".npz to write")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    network = load_model("nano")
    nodes = gather(network, asked.data, (WORLDS, PICTURES), asked.seed)
    head = fit(nodes, asked.seed)
    held = reached(head, gather(network, asked.data, (0, HELD_OUT), asked.seed, held_out=True))
    sources = sorted({row.source for row in open_rows(asked.data)})
    facts = {"seed": asked.seed, "encoder": network.key, "nodes": len(nodes.iou), "sources": sources, "held_out": held}
    replace(head, facts=facts).write(asked.out)
    log.info("%s: %s", asked.out, facts)


if __name__ == "__main__":
    main()
