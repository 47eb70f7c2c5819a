"""What the IoU head promises, brought in line with what is reached on pictures that training never saw.

The head learns on crops, at the training distribution; on whole windows of other pictures it promises too little for
some of the alternatives and too much for others, and then the wrong one is chosen. Each of its outputs is moved by the
mean difference, which is a change of one bias: after Guo et al. 2017, "On Calibration of Modern Neural Networks", the
simplest member of the family.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from geosam.embeddings import Embedding, embed
from geosam.evaluation import Look, looks
from geosam.evaluation.asking import batches
from geosam.evaluation.crops import Crop, iou
from geosam.evaluation.looks import Target
from geosam.evaluation.sets import LabelledPicture, list_pictures
from geosam.masks.low_res import keep_components
from geosam.models import to_predictor
from geosam.nano.network import NanoSam
from geosam.sam.model import Predictor, Sam
from geosam.segmenter import PromptBatch
from geosam.training.real import SPLIT, open_rows

log = logging.getLogger(__name__)

OBJECTS = 60
"""Objects asked for of each source, at most."""


def calibrated(network: NanoSam, data: Path) -> NanoSam:
    """Give a copy of a network whose predicted IoUs are right on average.

    Parameters
    ----------
    network
        The network, on the CPU.
    data
        The data folder of the training, of which the pictures are asked that it held out.

    Returns
    -------
    NanoSam
        The same masks, other predicted IoUs; unchanged if nothing is held out.
    """
    network = deepcopy(network)
    difference = gaps(to_predictor(network, "in training"), looks(held_out_pictures(data), objects=OBJECTS))
    log.info("predicted IoUs moved by %s", difference.round(3).tolist())
    move_ious(network, difference)
    return network


@torch.no_grad()
def move_ious(network: Sam, difference: Float64[np.ndarray, "4"]) -> None:
    """Add a difference to every IoU that a network predicts; its masks stay."""
    bias = network.mask_decoder.iou_prediction_head.layers[-1].get_parameter("bias")  # k
    bias += torch.from_numpy(difference).to(bias)


def held_out_pictures(data: Path) -> list[LabelledPicture]:
    """List the pictures that may be learned from and were kept from training."""
    kept = {row.file for row in open_rows(data) if row.held_out}
    return [each for each in list_pictures(data / SPLIT) if each.file in kept]


def gaps(network: Predictor, seen: Iterable[Look]) -> Float64[np.ndarray, "4"]:
    """Measure by how much the IoU reached exceeds the one predicted: of the answer to a box, of a click's three.

    Mean of each source, then over sources, so that no source with many objects decides.
    """
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for look in seen:
        embedding = embed(look.chip(), network)
        found[look.source].append(gaps_of_each(embedding, network, [each for each in look.targets if each.exact]))
    means = [np.concatenate(each).mean(0) for each in found.values() if any(map(len, each))]
    return np.mean(means, 0) if means else np.zeros(4)


def gaps_of_each(embedding: Embedding, network: Predictor, targets: Sequence[Target]) -> Float64[np.ndarray, "n 4"]:
    """Measure the same for each object of a window."""
    found = [_gaps(embedding, network, few) for few in batches(targets)]
    return np.concatenate(found) if found else np.zeros((0, 4))


def _gaps(embedding: Embedding, network: Predictor, targets: Sequence[Target]) -> Float64[np.ndarray, "n 4"]:
    clicks = PromptBatch.of_clicks(np.stack([each.point for each in targets]))
    boxes = PromptBatch.of_boxes(np.stack([each.box for each in targets]))
    boxed, boxed_iou = network.decode(embedding.features, boxes, multimask=False)
    clicked, clicked_iou = network.decode_rois(embedding.features, clicks)  # as users get them answered
    found = np.concatenate([boxed_iou, clicked_iou], 1).astype(np.float64)  # n 4
    for row, target in enumerate(targets):
        click = clicks.points[row], clicks.labels[row]
        connected = [keep_components(each, embedding.shape, *click) for each in clicked[row]]
        reached = [iou(Crop.of_logits(each, embedding.shape), target.truth) for each in (boxed[row, 0], *connected)]
        found[row] = reached - found[row]
    return found
