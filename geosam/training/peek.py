"""Held-out quality during a run: pictures and worlds that training never sees, asked with a box and with a click."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from geosam.nano.network import NanoSam
from geosam.training.answers import PromptTensors, answer, batch_to_truth, choose, is_ambiguous
from geosam.training.batches import Batch, held_out_pictures, stack
from geosam.training.config import TrainConfig
from geosam.training.losses import reached_iou
from geosam.training.samples import Sample, draw_sample
from geosam.training.world import render

WORLDS = 24
"""Rendered pictures in a peek."""

FIRST_SEED = 2**33
"""Seeds from here on are never drawn in training."""


def held_out(config: TrainConfig, data: Path | None, *, side: int = 256) -> dict[str, Batch]:
    """Make the held-out batches of each source, the same in every peek."""
    options = replace(config.data, background=0.0, parts=0.0, scale=(0.8, 1.25), minimum_px=256, prompts=8)
    rng = np.random.default_rng(config.seed)
    found: dict[str, list[Sample]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + WORLDS):
        world = render(seed, 2 * side)
        sample = draw_sample(rng, world.pixels, world.labels, parts=world.parts, side=side, options=options)
        _keep(found, "world", sample)
    for picture in held_out_pictures(data) if data is not None else []:
        for _ in range(2):
            sample = draw_sample(rng, picture.pixels, picture.labels, parts=None, side=side, options=options)
            _keep(found, picture.source, sample)
    return {source: stack(samples, np.zeros(len(samples), np.int64)) for source, samples in found.items()}


def _keep(found: dict[str, list[Sample]], source: str, sample: Sample | None) -> None:
    if sample is not None:
        found.setdefault(source, []).append(sample)


@torch.no_grad()
def peek(network: NanoSam, batches: dict[str, Batch]) -> dict[str, float]:
    """Measure the mean IoU from a box and from a click on each source, and the mean over real sources."""
    network.eval()
    scores: dict[str, float] = {}
    for source, batch in batches.items():
        truth = batch_to_truth(batch, torch.device("cpu"))
        features = network.encode_images(network.normalise(truth.images))
        points, none = truth.clicks[:, None], torch.full((len(truth.clicks), 1), -1)
        rows = slice(0, len(truth.clicks))
        for kind, boxes, labels in (("box", truth.boxes, none), ("click", None, -none)):
            asked = PromptTensors(features, points, labels, boxes, rows)
            logits, predicted = answer(network, asked)
            shown = choose(logits, predicted, is_ambiguous(asked))
            scores[f"{kind} {source}"] = float(reached_iou(shown[:, None], truth.targets).mean())
    network.train()
    for kind in ("box", "click"):
        real = [value for name, value in scores.items() if name.startswith(kind) and not name.endswith(" world")]
        scores[f"{kind} real"] = float(np.mean(real)) if real else float("nan")
    return scores
