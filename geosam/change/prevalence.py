"""How many objects of a pair are damaged at all, found out from the pair, and probabilities that know it.

A model of damage has learned from labels of which so many were damaged; of another event's objects it may be a few or
nearly all. Expectation maximisation (Saerens et al. 2002, *Neural Computation* 14:21–41) finds the share that agrees
with the probabilities of a pair's objects. How the damaged ones are shared out among the levels stays the model's.

A share below that of the labels is not taken: where little is damaged, what shows damage weakly would be lost, and a
damaged building that is missed costs more than an intact one that is looked at in vain.
"""

import math

import numpy as np
from jaxtyping import Float64

from geosam.change.damage import OrdinalModel

WORTH = 3.0
"""Objects of a pair that the share of the model's labels is worth; see `docs/experiments.md`, "How many objects are
damaged"."""

ROUNDS = 100
"""Of expectation maximisation; the share has settled long before."""

LEAST = 1e-9
"""Probabilities nearer to 0 and 1 say no more."""


def with_prevalence(
    probabilities: Float64[np.ndarray, "n k"], model: OrdinalModel
) -> tuple[Float64[np.ndarray, "n k"], float]:
    """Probabilities of levels, by the share of damaged objects that the pair has, where it is larger than the labels'.

    Parameters
    ----------
    probabilities
        Of the levels of each object that was seen, as `OrdinalModel.probabilities` gives them; the first level is no
        damage.
    model
        The model; its origin says how many labels each level had. Where it does not, nothing changes.

    Returns
    -------
    The probabilities, rows sum to 1, and the share that was taken for it, at least that of the labels. The order of
    objects plays no part.

    Examples
    --------
    >>> model = OrdinalModel(("kept", "gone"), (), (), (), (), (0.0,), origin={"labels": {"kept": 90, "gone": 10}})
    >>> found, share = with_prevalence(np.array([[0.6, 0.4]] * 50), model)
    >>> found[0].round(2).tolist(), round(share, 2)
    ([0.01, 0.99], 0.94)
    """
    before = _labelled(model)
    if not len(probabilities) or not 0 < before < 1:
        return probabilities, before
    damaged = np.clip(probabilities[:, 1:].sum(axis=1), LEAST, 1 - LEAST)
    odds = damaged / (1 - damaged) / (before / (1 - before))
    share = before
    for _ in range(ROUNDS):
        share = (math.fsum(_at(odds, share)) + WORTH * before) / (len(odds) + WORTH)
    if share <= before:
        return probabilities, before
    found = probabilities.copy()
    told = _at(odds, share)
    found[:, 0] = 1 - told
    found[:, 1:] *= (told / damaged)[:, None]
    return found / found.sum(axis=1, keepdims=True), share


def _at(odds: np.ndarray, share: float) -> np.ndarray:
    """Probabilities from odds at even shares, where so many are damaged."""
    there = odds * (share / (1 - share))
    return there / (1 + there)


def _labelled(model: OrdinalModel) -> float:
    """The share of damaged objects among the labels of a model; 0 where it does not say."""
    labels = model.origin.get("labels")
    counts = [labels.get(level, 0) for level in model.levels] if isinstance(labels, dict) else []
    known = all(isinstance(count, int | float) and count >= 0 for count in counts)
    return float(sum(counts[1:]) / sum(counts)) if known and sum(counts) else 0.0
