"""How good an answer is, and how well the model knows it."""

import numpy as np
from jaxtyping import Bool, Float64
from scipy import ndimage

from geosam.evaluation.crops import Crop, around

TOLERANCE_PX = 2.0
"""How far from the true outline an outline may lie and still count as right."""

BINS = 10
"""Bins of predicted IoU in `calibration_error`."""


def boundary_f1(answer: Crop, truth: Crop, tolerance_px: float | int = TOLERANCE_PX) -> float:
    """Compare outlines: the harmonic mean of how much of each lies near the other (Csurka et al. 2013).

    An outline is the pixels of a mask beside one outside it; near is within ``tolerance_px``. 0 if a mask is empty.

    Examples
    --------
    >>> square = Crop.of(np.ones((20, 20), bool))
    >>> boundary_f1(square, square), boundary_f1(square, Crop.of(np.ones((20, 20), bool), 1, 1))
    (1.0, 1.0)
    """
    if not answer.area or not truth.area:
        return 0.0
    box = around(answer, truth, margin=1)
    given, wanted = outline(answer.on(box)), outline(truth.on(box))
    precision = float((np.asarray(ndimage.distance_transform_edt(~wanted))[given] <= tolerance_px).mean())
    recall = float((np.asarray(ndimage.distance_transform_edt(~given))[wanted] <= tolerance_px).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels of a mask that have a neighbour outside it."""
    return mask & ~np.asarray(ndimage.binary_erosion(mask), bool)


def calibration_error(predicted: Float64[np.ndarray, "n"], reached: Float64[np.ndarray, "n"]) -> float:
    """Expected calibration error: mean distance of predicted and reached IoU over bins (Guo et al. 2017).

    Examples
    --------
    >>> calibration_error(np.array([0.5, 0.9]), np.array([0.6, 0.9]))
    0.05
    """
    if not len(predicted):
        return float("nan")
    place = np.minimum((predicted * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    gap = np.bincount(place, predicted, BINS) - np.bincount(place, reached, BINS)
    return float(np.round(np.abs(gap).sum() / count.sum(), 12))


def correlation(predicted: Float64[np.ndarray, "n"], reached: Float64[np.ndarray, "n"]) -> float:
    """Correlate predicted and reached IoU (Pearson); NaN for fewer than three, or where one does not vary."""
    if len(predicted) < 3 or predicted.std() == 0 or reached.std() == 0:
        return float("nan")
    return float(np.corrcoef(predicted, reached)[0, 1])
