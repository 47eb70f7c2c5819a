"""Which regions are like some that are shown: a handful marked as right, a handful as wrong, all others ranked.

All regions at hand say how features vary: each is taken in their spreads, and each group of features (a stride, colour
and texture, shape, what the head of kinds says) counts as one however many it has. Then a region is like the right ones
as far as it lies closer to them than to the wrong ones, by kernels around each (Parzen 1962, "On estimation of a
probability density function and mode"): five examples are too few to learn more from.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from geosam.arrays import Scores
from geosam.backbone.network import CHANNELS, STRIDES
from geosam.errors import OptionError
from geosam.recognition.description import COLOUR, SHAPE, TEXTURE, RegionFeatures
from geosam.recognition.kinds import KINDS, KindHead, load_head

GROUPS = (
    *((f"stride {stride}", count) for stride, count in zip(STRIDES, CHANNELS, strict=True)),
    ("looks", len(COLOUR) + len(TEXTURE)),
    ("shape", len(SHAPE)),
    ("kinds", len(KINDS)),
)
"""Groups of features and how many each has, in order."""

WEIGHTS = {
    "stride 4": 1.5,
    "stride 8": 1.0,
    "stride 16": 1.0,
    "stride 32": 0.5,
    "looks": 1.5,
    "shape": 0.5,
    "kinds": 1.0,
}
"""Weight of each group. Fine strides and colour tell regions of one picture apart; a cell of 32 px sees several."""

LIMIT = 4.0
"""Standard deviations beyond which a feature counts no more."""

ROWS = 512
"""Regions that are compared at a time, for the memory's sake."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of regions that are marked.

    Parameters
    ----------
    right, wrong
        Row numbers; at least one is right.

    Raises
    ------
    OptionError
        If none is right, or a row is both.
    """

    right: Int64[np.ndarray, "r"]
    wrong: Int64[np.ndarray, "w"]

    def __post_init__(self) -> None:
        both = np.intersect1d(self.right, self.wrong)
        if not len(self.right):
            raise OptionError("no example that is right", expected="at least one polygon of what is looked for")
        if len(both):
            raise OptionError(f"row {both[0]} marked as right and as wrong", expected="one of both")


def rank(features: RegionFeatures, examples: Examples, head: KindHead | None = None) -> Scores:
    """Say how much each region is like the right examples and unlike the wrong ones.

    Parameters
    ----------
    features
        Of all regions.
    examples
        Those that are marked.
    head
        Tells kinds apart; by default the package's.

    Returns
    -------
    Scores
        In [0, 1]; with wrong examples, above one half for what is closer to the right ones. 1 and 0 for the examples
        themselves, 0 for regions without any pixel. The order is what is meant: these are no probabilities.

    Raises
    ------
    OptionError
        If an example is no region, or has no pixel.
    """
    n = len(features)
    marked = np.concatenate([examples.right, examples.wrong])
    if not (marked.min() >= 0 and marked.max() < n):
        raise OptionError(f"examples from row {marked.min()} to {marked.max()}", expected=f"rows from 0 to {n - 1}")
    seen = features.area_px > 0
    unseen = marked[~seen[marked]]
    if len(unseen):
        raise OptionError(f"example {unseen[0]} holds no pixel of the scene", expected="examples on the scene's data")
    x = standard(features, seen, head or load_head())  # n d
    to_right, to_wrong = squared_distances(x, x[examples.right]), squared_distances(x, x[examples.wrong])
    scale = float(np.median(np.concatenate([to_right[seen], to_wrong[seen]], axis=1))) or 1.0
    like = np.exp(-to_right / scale).mean(1)
    unlike = np.exp(-to_wrong / scale).mean(1) if len(examples.wrong) else np.zeros(n)
    found = (1 + like - unlike) / 2 if len(examples.wrong) else like
    found[examples.right], found[examples.wrong], found[~seen] = 1.0, 0.0, 0.0
    return found.astype(np.float32)


def standard(features: RegionFeatures, seen: Bool[np.ndarray, "n"], head: KindHead) -> Float64[np.ndarray, "n d"]:
    """Features and logarithms of the kinds' probabilities, less their medians, by their spreads, weighted by groups."""
    x = told(features, head)
    return weighted(x, *spreads(x[seen])) if seen.any() else np.zeros_like(x)


def told(features: RegionFeatures, head: KindHead) -> Float64[np.ndarray, "n d"]:
    """Features and logarithms of the kinds' probabilities, as they are."""
    kinds = np.log(np.maximum(head.probabilities(features), 1e-6))
    return np.concatenate([features.values, kinds], axis=1)  # n d, double


def spreads(x: Float64[np.ndarray, "n d"]) -> tuple[Float64[np.ndarray, "d"], Float64[np.ndarray, "d"]]:
    """Median and spread of each column; an infinite one where there is none."""
    spread = x.std(0)
    return np.median(x, axis=0), np.where(spread > 1e-6, spread, np.inf)


def weighted(
    x: Float64[np.ndarray, "n d"], middle: Float64[np.ndarray, "d"], spread: Float64[np.ndarray, "d"]
) -> Float64[np.ndarray, "n d"]:
    """Columns less their medians, by their spreads, each group of them as one."""
    weight = np.concatenate([np.full(count, WEIGHTS[name] / count**0.5) for name, count in GROUPS])
    return np.clip((x - middle) / spread, -LIMIT, LIMIT) * weight


def squared_distances(x: Float64[np.ndarray, "n d"], marked: Float64[np.ndarray, "k d"]) -> Float64[np.ndarray, "n k"]:
    """Squared distance of each row to each that is marked; each by itself, so that it is the same beside any others."""
    found = np.zeros((len(x), len(marked)))
    for first in range(0, len(x), ROWS):
        part = x[first : first + ROWS]
        for column, each in enumerate(marked):
            found[first : first + ROWS, column] = ((part - each) ** 2).sum(1)
    return found
