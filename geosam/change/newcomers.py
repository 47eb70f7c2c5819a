"""Objects that stand only on the date after: what looks like the known ones, where nothing did before.

What the known ones look like is learned on the spot: their recognition features before, against those of the ground
beside them. No labels are needed, and whatever the known objects are (houses, tents, greenhouses) is what is found.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float32, Float64
from scipy.optimize import minimize
from scipy.special import expit, logit

from geosam.change.status import free_of

LEAST_KNOWN = 8
"""Known objects from which on new ones are looked for."""

RIDGE = 20.0
"""Penalty on the weights of standardised features: there are more features than objects."""

PER_OBJECT = 2
"""Pieces of other ground for each known object."""

MOST_KNOWN = 1500
"""Known objects that are learned from, spread evenly over all of them."""

OVERLAP = 0.2
"""Share of a new object that a known one may cover: outlines are a pixel or two off."""

EDGE = 1e-4
"""Probabilities nearer to 0 and 1 say no more."""

SURE = 0.9
"""Probability from which a candidate counts. It is learned at even odds, and about one candidate in ten is new: at 0.9
it is then as likely as not."""

AREAS = (0.02, 0.98)
"""Quantiles of the known objects' areas between which, halved and doubled, new ones lie."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """How much something looks like the known objects.

    Attributes
    ----------
    centre, scale, weights, offset
        Logistic regression on standardised features.
    """

    centre: Float64[np.ndarray, "d"]
    scale: Float64[np.ndarray, "d"]
    weights: Float64[np.ndarray, "d"]
    offset: float

    def probability(self, features: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n"]:
        """Probability that each is one of them."""
        return expit(((features - self.centre) / self.scale) @ self.weights + self.offset)


def learn_likeness(known: Float32[np.ndarray, "n d"], other: Float32[np.ndarray, "m d"]) -> Likeness:
    """Learn what tells known objects from other ground, both counting the same.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known, other = (rng.normal(at, 1, (30, 4)).astype(np.float32) for at in (1, -1))
    >>> found = learn_likeness(known, other)
    >>> bool((found.probability(known) > 0.5).mean() > 0.9)
    True
    """
    x = np.concatenate([known, other]).astype(np.float64)
    y = np.concatenate([np.ones(len(known)), np.zeros(len(other))])
    each = np.where(y > 0, len(y) / 2 / len(known), len(y) / 2 / len(other))
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    z = (x - centre) / scale

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        score = z @ found[:-1] + found[-1]
        cost = float((each * (np.logaddexp(0, score) - y * score)).sum()) + RIDGE / 2 * float(found[:-1] @ found[:-1])
        away = each * (expit(score) - y)
        return cost, np.append(z.T @ away + RIDGE * found[:-1], away.sum())

    best = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return Likeness(centre, scale, best.x[:-1], float(best.x[-1]))


def arrived(now: Float64[np.ndarray, "n"], then: Float64[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Probability that something looks like the known objects after, and did not before.

    It is at most that of after. What looked a little like them before (new houses stand beside others, and bare plots
    look like roofs) may have arrived as well, if it looks so much more like them now: by both odds, the mean of their
    logarithms.

    Examples
    --------
    >>> arrived(np.array([0.9, 0.99, 0.9]), np.array([0.1, 0.4, 0.4])).round(2).tolist()
    [0.9, 0.92, 0.79]
    """
    now, then = (np.clip(each, EDGE, 1 - EDGE) for each in (now, then))
    return np.minimum(now, expit((logit(now) - logit(then)) / 2))


def ground_beside(known_px: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pieces of other ground of the known objects' own shapes, moved off all of them, `PER_OBJECT` for each at most."""
    tree = shapely.STRtree(known_px)
    frame = shapely.box(0, 0, shape[1], shape[0])
    found = []
    for each in known_px:
        x0, y0, x1, y1 = each.bounds
        w, h = x1 - x0 + 4, y1 - y0 + 4
        steps = [(w, 0), (-w, 0), (0, h), (0, -h), (2 * w, h), (-2 * w, -h), (w, -2 * h), (-w, 2 * h)]
        free = 0
        for step in steps:
            moved = shapely.transform(each, lambda xy, step=step: xy + step)
            if frame.contains(moved) and not len(tree.query(moved, predicate="intersects")):
                found.append(moved)
                free += 1
            if free == PER_OBJECT:
                break
    return np.array(found, object)


def spread(count: int, most: int = MOST_KNOWN) -> np.ndarray:
    """Numbers spread evenly over 0 … count - 1, at most so many.

    Examples
    --------
    >>> spread(10, 4).tolist()
    [0, 3, 6, 9]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)) if count else np.zeros(0, int)


def plausible(candidates_px: np.ndarray, known_px: np.ndarray) -> np.ndarray:
    """Which candidates are about as large as the known objects and lie beside them."""
    low, high = np.quantile(shapely.area(known_px), AREAS)
    area = shapely.area(candidates_px)
    right = (area >= low / 2) & (area <= high * 2)
    right[right] = free_of(candidates_px[right], known_px, most=OVERLAP)
    return right
