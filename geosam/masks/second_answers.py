"""What IoU to expect of an answer that was asked for twice.

A network is too sure of what it sees in a box that it has drawn itself. How much its two answers agree tells the rest:
where the second is another object, one of them is wrong (as committees of networks tell by their disagreement what they
do not know, Seung et al. 1992, "Query by committee").
"""

import numpy as np
from jaxtyping import Float32

FIRST, SECOND, AGREED, LESS = 0.55, 0.41, 0.42, 0.33
"""What the IoUs predicted for both answers and the IoU between them count, and what is taken from the sum.

By least squares over 2,313 answers to one, two and three clicks on pictures that are not trained on
(`docs/experiments.md`, "Predicted IoU after a second pass")."""


def expected_iou(
    first: Float32[np.ndarray, "n"], second: Float32[np.ndarray, "n"], agreed: Float32[np.ndarray, "n"]
) -> Float32[np.ndarray, "n"]:
    """Give the IoU to expect of second answers, in [0, 1].

    Parameters
    ----------
    first, second
        What is predicted for each of the two, in [0, 1].
    agreed
        The IoU between the two, in [0, 1].

    Examples
    --------
    >>> once, twice = np.array([0.8, 0.8], np.float32), np.array([0.8, 0.8], np.float32)
    >>> expected_iou(once, twice, np.array([1, 0.5], np.float32)).round(2).tolist()
    [0.8600000143051147, 0.6499999761581421]
    """
    return (FIRST * first + SECOND * second + AGREED * agreed - LESS).clip(0, 1).astype(np.float32)
