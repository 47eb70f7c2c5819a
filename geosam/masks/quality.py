"""Re-ranking: what a mask measures, and the IoU that a model's quality model expects of it by these measures.

A click has several answers and a spot many clicks, so everything mode finds wholes, their parts and neither. Predicted
IoU alone chooses badly among them (Kirillov et al. 2023 leave the choice to the user); the measures below cost nothing,
for all of them are at hand once masks are packed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from geosam.masks.suppression import Candidate
from geosam.segmenter import Segmenter

CHOICES = 3
"""A decoder's alternatives that are told apart."""


def scored(candidates: Sequence[Candidate], segmenter: Segmenter, shape: tuple[int, int]) -> list[Candidate]:
    """Give each mask the IoU that the quality model expects of it.

    Parameters
    ----------
    candidates
        Masks of one window, none empty, with their consensus.
    segmenter
        The model.
    shape
        ``(h, w)`` of the window in pixels.

    Raises
    ------
    ModelError
        If it has no quality model.
    """
    expected = segmenter.score(measure(candidates, shape)).tolist() if candidates else []
    return [replace(one, expected_iou=value) for one, value in zip(candidates, expected, strict=True)]


def measure(candidates: Sequence[Candidate], shape: tuple[int, int]) -> Float64[np.ndarray, "n m"]:
    """Measure masks of a window of ``shape`` ``(h, w)`` pixels.

    Returns
    -------
    For each, in this order: predicted IoU; consensus, and its root; stability; binary logarithm of the area in pixels;
    logarithm of how much longer its box is than wide, or wider than long; share of the box that it fills; logarithm of
    its outline's square over its area, least for a disc; three that tell which alternative it is; whether it was
    decoded in a RoI crop; whether it touches the window's edge.
    """
    return np.array([_measure(one, shape) for one in candidates], np.float64)


def _measure(one: Candidate, shape: tuple[int, int]) -> list[float]:
    mask, consensus = one.mask, max(one.consensus or 0.0, 0.0)
    x0, y0, x1, y1 = mask.box
    mh, mw = mask.shape
    area_px = mask.area * (shape[0] * shape[1]) / (mh * mw)
    return [
        one.predicted_iou,
        consensus,
        consensus**0.5,
        one.stability,
        float(np.log2(area_px)),
        float(abs(np.log((y1 - y0) / (x1 - x0)))),
        mask.area / ((y1 - y0) * (x1 - x0)),
        float(np.log(max(len(mask.rim), 1) ** 2 / mask.area)),
        *(float(one.choice == choice) for choice in range(CHOICES)),
        float(one.in_roi),
        float(x0 == 0 or y0 == 0 or x1 == mw or y1 == mh),
    ]
