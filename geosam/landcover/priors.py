"""How much of a scene each class has, found out from the scene, and probabilities that know it.

Samples are drawn class by class, so that what learns from them takes each class for as likely as any other. A scene
has much of some and little of others. Expectation maximisation (Saerens et al. 2002, *Neural Computation* 14:21–41)
finds shares that agree with the probabilities; here half of what is believed stays even, since a handful of samples
makes probabilities that are too sure to be followed all the way: rare classes would be lost.
"""

import math

import numpy as np
from jaxtyping import Float

EVEN = 0.5
"""What part of the belief in shares stays even; see `docs/experiments.md`, "How classes are learned from ten
samples"."""

ROUNDS = 50
"""Of expectation maximisation; shares have settled long before."""


def with_shares(
    chances: Float[np.ndarray, "n k"], area: Float[np.ndarray, "n"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "k"]]:
    """Probabilities of classes that are as frequent as they are in this scene.

    Parameters
    ----------
    chances
        Probabilities of each segment, if all classes were as likely; rows sum to 1.
    area
        Size of each segment, above 0.

    Returns
    -------
    The probabilities, and the shares that were taken for it; both sum to 1. The order of segments plays no part.

    Examples
    --------
    >>> found, shares = with_shares(np.array([[0.9, 0.1]] * 8 + [[0.45, 0.55]]), np.ones(9))
    >>> shares.round(2).tolist(), int(found[-1].argmax())
    ([0.71, 0.29], 0)
    """
    even = np.full(chances.shape[1], 1 / chances.shape[1])
    shares, weight = even, area / math.fsum(area)
    for _ in range(ROUNDS):
        told = _known(chances, shares)
        mean = np.array([math.fsum(column) for column in (told * weight[:, None]).T])
        shares = EVEN * even + (1 - EVEN) * mean
    return _known(chances, shares), shares


def _known(chances: np.ndarray, shares: np.ndarray) -> np.ndarray:
    found = chances * shares
    return found / found.sum(axis=1, keepdims=True)
