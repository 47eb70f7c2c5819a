"""The judge of masks, fitted: which of the masks on one spot agree with an object that people drew.

Everything mode looks at labelled pictures; each of its masks that has something in common with a true object is a row:
what it measures, and the IoU that it reached. The rows are few and their sources differ, so the form is fitted by ridge
regression (Hoerl and Kennard 1970, "Ridge regression: biased estimation for nonorthogonal problems"), strongly drawn to
nothing.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from geosam.embeddings import embed
from geosam.evaluation import Look, looks
from geosam.evaluation.crops import Crop, iou
from geosam.evaluation.looks import Target
from geosam.evaluation.sets import list_pictures
from geosam.masks.everything import find_candidates
from geosam.masks.low_res import render
from geosam.masks.quality import measure
from geosam.masks.suppression import Candidate
from geosam.models import to_predictor
from geosam.nano.network import NanoSam
from geosam.nano.quality_model import MEASURES, QualityModel
from geosam.nano.spec import NanoSpec
from geosam.sam.model import Predictor
from geosam.training.real import SPLIT, open_rows

log = logging.getLogger(__name__)

WINDOWS = 26
"""Windows looked at of each source, at most."""

LEAST_IOU = 0.1
"""A mask that has less in common with every true object says nothing: perhaps nobody drew what it shows."""

RIDGE = 0.15
"""Strength of the ridge, as a share of the number of rows."""

Rows = tuple[Float64[np.ndarray, "_ m"], Float64[np.ndarray, "_"]]
"""What masks measure, and the IoU that each reached."""


def with_judge(network: NanoSam, data: Path) -> NanoSam:
    """Give a copy of a network that holds a judge of its masks.

    Parameters
    ----------
    network
        The network, on the CPU.
    data
        The data folder of the training; all its pictures that may be learned from are looked at.

    Returns
    -------
    NanoSam
        The same network and its judge; without one if everything mode finds nothing of what is drawn there.
    """
    network = deepcopy(network)
    network.mask_judge, network.spec = None, _asking(network.spec, judged=False)
    allowed = {row.file for row in open_rows(data)}
    pictures = [each for each in list_pictures(data / SPLIT) if each.file in allowed]
    rows = rows_of(to_predictor(network, "in training"), looks(pictures))
    if rows:
        network.mask_judge = fit(rows)
        network.spec = _asking(network.spec, judged=True)
    return network


def _asking(spec: NanoSpec, *, judged: bool) -> NanoSpec:
    """Give a spec by which everything mode asks the judge, or does not."""
    quality = replace(spec.recipe.quality, enabled=judged)
    return replace(spec, judged=judged, recipe=replace(spec.recipe, quality=quality))


def rows_of(network: Predictor, seen: Iterable[Look]) -> dict[str, Rows]:
    """Collect the rows of each source that has any."""
    windows = Counter[str]()
    found: dict[str, list[Rows]] = defaultdict(list)
    for look in seen:
        windows[look.source] += 1
        if windows[look.source] <= WINDOWS:
            found[look.source].append(rows_of_window(network, look))
    joined = {source: _joined(each) for source, each in found.items()}
    return {source: rows for source, rows in joined.items() if len(rows[1])}


def _joined(several: list[Rows]) -> Rows:
    measures, reached = zip(*several, strict=True)
    return np.concatenate(measures), np.concatenate(reached)


def rows_of_window(network: Predictor, look: Look) -> Rows:
    """Give the rows of one window."""
    chip = look.chip()
    embedding = embed(chip, network)
    recipe = replace(network.recipe, suppression=replace(network.recipe.suppression, consensus=True))
    found = find_candidates(embedding, network, chip.valid, recipe)
    targets = [each for each in look.targets if each.exact]
    reached = np.array([_best_iou(one, targets, embedding.shape) for one in found], np.float64)
    counted = [one for one, best in zip(found, reached.tolist(), strict=True) if best > LEAST_IOU]
    measures = measure(counted, embedding.shape) if counted else np.zeros((0, MEASURES))
    log.info("%s: %d of %d masks lie on objects", look.name, len(counted), len(found))
    return measures, reached[reached > LEAST_IOU]


def _best_iou(one: Candidate, targets: list[Target], shape: tuple[int, int]) -> float:
    """Give the greatest IoU of a mask with an object."""
    crop = Crop(*render(one.mask, shape))
    return max((iou(crop, each.truth) for each in targets), default=0.0)


def fit(rows: dict[str, Rows]) -> QualityModel:
    """Fit the judge; a source counts as the root of its rows, so that none decides alone.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> measures = rng.normal(size=(4000, 13))
    >>> judge = fit({"a source": (measures, 0.5 + 0.1 * measures[:, 0] * measures[:, 1])})
    >>> probe = np.zeros((2, 13))
    >>> probe[0, :2] = 1
    >>> (judge.judge(probe) > 0.5).tolist()
    [True, False]
    """
    measures, reached = _joined(list(rows.values()))
    weight = np.concatenate([np.full(len(each[1]), len(each[1]) ** -0.5) for each in rows.values()])  # n
    weight /= weight.sum()
    judge = QualityModel()
    centre, scale = measures.mean(0), _deviation(measures)
    lifted = np.pad((measures - centre) / scale, ((0, 0), (1, 0)), constant_values=1.0)  # n m+1
    first, second = (each[1:] for each in np.triu_indices(lifted.shape[1]))  # without the constant alone
    pairs = lifted[:, first] * lifted[:, second]  # n p
    middle, spread = weight @ pairs, _deviation(pairs)
    standard = (pairs - middle) / spread
    system = (standard * weight[:, None]).T @ standard + RIDGE * np.eye(len(first))
    found = np.linalg.solve(system, (standard * weight[:, None]).T @ (reached - weight @ reached)) / spread
    form = np.zeros((lifted.shape[1],) * 2)
    form[first, second] = found
    form[0, 0] = weight @ reached - middle @ found
    for name, value in (("centre", centre), ("scale", scale), ("form", form)):
        judge.get_buffer(name).copy_(torch.from_numpy(value))
    return judge


def _deviation(values: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "k"]:
    """Standard deviation of each column; 1 for one that is constant."""
    deviation = values.std(0)
    return np.where(deviation > 1e-9, deviation, 1.0)
