"""How badly each object is damaged: an ordinal, calibrated grade from measures of change.

Cumulative logits (McCullagh 1980): one score, a weighted sum of the measures, and three thresholds between the four
grades of the Joint Damage Scale (Gupta et al. 2019). No weight is below 0, since no measure of change speaks for less
damage; with few labels that keeps a model from learning the event instead of the damage. Score and thresholds are
brought to honest probabilities on objects that were left out of the fit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.optimize import minimize
from scipy.special import expit

from geosam.change.measures import MEASURES
from geosam.errors import ModelError, OptionError
from geosam.paths import check_regular

GRADES = ("none", "minor", "major", "destroyed")
"""The Joint Damage Scale, in order; a grade is its place here."""

FATES = ("kept", "changed", "gone")
"""What became of an object, in order of change."""

LEAST_LABELS = 20
"""Labelled objects from which on a model is fitted."""

RIDGE = 2.0
"""Strength of the penalty on weights: worth about as many objects as a measure needs to be believed."""

FOLDS = 5
"""Parts of the labels, each scored by a model fitted without it, on which probabilities are calibrated."""

CLIP = 5.0
"""Standard deviations beyond which a measure counts no more: one odd pixel is not more than destroyed."""

FORMAT = "geosam ordinal model 1"


@dataclass(frozen=True)
class OrdinalModel:
    """An ordinal model: levels in order, and how likely each is.

    Attributes
    ----------
    levels
        Their names, from no change to most.
    names
        Measures that it looks at, of `MEASURES`.
    centre, scale, weights
        One per measure: what is taken off, what is divided by, how much it counts (≥ 0).
    thresholds
        Scores at which P(level > k) is one half, ascending, one less than there are levels.
    slope
        How steeply probabilities follow the score.
    origin
        What it was fitted on, and how far to trust it, in words.

    Raises
    ------
    ModelError
        If the numbers make no model.
    """

    levels: tuple[str, ...]
    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    thresholds: tuple[float, ...]
    slope: float = 1.0
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.names), len(self.centre), len(self.scale), len(self.weights)}
        numbers = [*self.centre, *self.scale, *self.weights, *self.thresholds, self.slope]
        if lengths != {len(self.names)} or not all(math.isfinite(each) for each in numbers):
            raise ModelError("an ordinal model with columns of different lengths or numbers that are not finite")
        unknown = sorted(set(self.names) - set(MEASURES))
        if unknown or min(self.scale, default=1) <= 0 or min(self.weights, default=0) < 0 or self.slope <= 0:
            raise ModelError(
                f"an ordinal model of {unknown or 'scales, weights or a slope'} out of range",
                expected=f"measures of {', '.join(MEASURES)}, scales above 0, weights of 0 or more",
            )
        if list(self.thresholds) != sorted(self.thresholds) or len(self.thresholds) != len(self.levels) - 1:
            expected = "one less than there are levels, in ascending order"
            raise ModelError(f"thresholds={self.thresholds} of {self.levels}", expected=expected)

    def score(self, values: Float32[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """One number for each object, larger for more damage; what is not known of it counts as usual."""
        at = [MEASURES.index(name) for name in self.names]
        return standardised(values[:, at], self.centre, self.scale) @ np.asarray(self.weights)

    def probabilities(self, values: Float32[np.ndarray, "n m"]) -> Float64[np.ndarray, "n k"]:
        """Probability of each level for each object; rows sum to 1.

        Examples
        --------
        >>> model = OrdinalModel(GRADES, ("colour_change",), (0.0,), (0.1,), (1.0,), (1.0, 2.0, 3.0))
        >>> nothing = np.full((1, len(MEASURES)), np.nan, np.float32)
        >>> nothing[0, 0] = 0.3
        >>> model.probabilities(nothing).round(2).tolist()
        [[0.12, 0.15, 0.23, 0.5]]
        """
        return cumulative(self.score(values), self.thresholds, self.slope)

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the model as JSON."""
        target = Path(path)
        target.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")
        return target

    @classmethod
    def read(cls, path: str | PathLike[str]) -> "OrdinalModel":
        """Read a model that `write` wrote.

        Raises
        ------
        ModelError
            If the file is none.
        """
        place = check_regular(path, ModelError, f"a file of the format {FORMAT!r}")
        try:
            facts = json.loads(place.read_text(encoding="utf-8"))
            if facts.pop("format") != FORMAT:
                raise ModelError(f"{path}", expected=f"a file of the format {FORMAT!r}")
            lists = ("levels", "names", "centre", "scale", "weights", "thresholds")
            found: dict[str, Any] = {name: tuple(value) if name in lists else value for name, value in facts.items()}
            return cls(**found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                f"{path} is no ordinal model ({type(error).__name__})", expected="a JSON file of `geosam.change.fit`"
            ) from None


def cumulative(
    score: Float64[np.ndarray, "n"], thresholds: Sequence[float], slope: float
) -> Float64[np.ndarray, "n k"]:
    """Probabilities of the grades from scores and thresholds."""
    above = expit(slope * (np.asarray(score)[:, None] - np.asarray(thresholds)))  # n 3
    edges = np.concatenate([np.ones((len(above), 1)), above, np.zeros((len(above), 1))], axis=1)
    return edges[:, :-1] - edges[:, 1:]


def level_of(probabilities: Float64[np.ndarray, "n k"]) -> Int64[np.ndarray, "n"]:
    """The middle of each row's distribution: the grade above and below which less than half of it lies.

    Examples
    --------
    >>> level_of(np.array([[0.4, 0.2, 0.2, 0.2], [0.6, 0.0, 0.0, 0.4]])).tolist()
    [1, 0]
    """
    return (np.cumsum(probabilities, axis=1)[:, :-1] < 0.5).sum(axis=1)


def fit_ordinal(
    values: Float32[np.ndarray, "n m"],
    grades: Int64[np.ndarray, "n"],
    levels: Sequence[str] = GRADES,
    *,
    names: Sequence[str] = MEASURES,
    origin: Mapping[str, Any] | None = None,
) -> OrdinalModel:
    """Fit a model to labelled objects.

    Parameters
    ----------
    values
        Their measures, see `MEASURES`; objects of which nothing is known are left out.
    grades
        The level of each, by its place in `levels`; below 0 for none.
    levels
        Names of the levels, in order.
    names
        Measures to use; those that are known of no object are left out.
    origin
        What is to be remembered of the labels.

    Raises
    ------
    OptionError
        If there are fewer than 20 labelled objects of which something was seen, or they have one grade only.
    """
    usable = np.isfinite(values).any(axis=1) & (grades >= 0)
    values, grades = values[usable], grades[usable]
    if len(grades) < LEAST_LABELS or len(np.unique(grades)) < 2:
        raise OptionError(
            f"{len(grades)} labelled objects of {len(np.unique(grades))} grades",
            expected=f"at least {LEAST_LABELS} that both dates show, of two grades or more",
            hint="label some more, damaged ones and intact ones",
        )
    if grades.max() >= len(levels):
        raise OptionError(f"level {int(grades.max())}", expected=f"0 to {len(levels) - 1} ({', '.join(levels)})")
    names = [name for name in names if np.isfinite(values[:, MEASURES.index(name)]).any()]
    part = values[:, [MEASURES.index(name) for name in names]]
    centre, scale = np.nanmean(part, axis=0), np.nanstd(part, axis=0)
    centre, scale = np.nan_to_num(centre), np.where(np.nan_to_num(scale) > 1e-6, np.nan_to_num(scale), 1.0)
    z = standardised(part, centre, scale)
    weights, thresholds = _fit(z, grades, len(levels) - 1)
    left_out = np.zeros(len(grades))
    fold = _folds(grades)
    for number in range(FOLDS):
        own, _ = _fit(z[fold != number], grades[fold != number], len(levels) - 1)
        left_out[fold == number] = z[fold == number] @ own
    slope, thresholds = _calibrated(left_out, grades, thresholds)
    counts = np.bincount(grades, minlength=len(levels)).tolist()
    said = {"labels": dict(zip(levels, counts, strict=True)), **(origin or {})}
    return OrdinalModel(
        levels=tuple(levels),
        names=tuple(names),
        centre=_plain(centre),
        scale=_plain(scale),
        weights=_plain(weights),
        thresholds=thresholds,
        slope=slope,
        origin=said,
    )


def _plain(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def standardised(values: np.ndarray, centre: Any, scale: Any) -> Float64[np.ndarray, "n k"]:
    """Measures less their centre, over their scale, cut at `CLIP`; 0 for what is not known."""
    found = (values.astype(np.float64) - np.asarray(centre)) / np.asarray(scale)
    return np.clip(np.nan_to_num(found, nan=0.0), -CLIP, CLIP)


def _fit(z: Float64[np.ndarray, "n k"], grades: Int64[np.ndarray, "n"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights ≥ 0 and thresholds of greatest penalised likelihood."""
    k = z.shape[1]

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        weights, steps = found[:k], found[k:]
        cost, by_score, by_threshold, _ = _likelihood(z @ weights, grades, _ascending(steps), 1.0)
        rest = np.cumsum(by_threshold[::-1])[::-1]
        slopes = np.concatenate([[rest[0]], rest[1:] * np.exp(steps[1:])])
        slack = 1e-3 * steps[1:]  # keeps thresholds of grades that nobody has from running off
        slopes[1:] += slack
        return (
            cost + RIDGE / 2 * float(weights @ weights) + float(steps[1:] @ slack) / 2,
            np.concatenate([z.T @ by_score + RIDGE * weights, slopes]),
        )

    start = np.concatenate([np.full(k, 0.1), [_prior(grades)], np.zeros(count - 1)])
    bounds = [(0, None)] * k + [(None, None)] + [(-6, 3)] * (count - 1)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return best.x[:k], _ascending(best.x[k:])


def _ascending(steps: np.ndarray) -> np.ndarray:
    """Thresholds from the first of them and the logarithms of the distances between them."""
    return np.cumsum(np.concatenate([[steps[0]], np.exp(steps[1:])]))


def _prior(grades: np.ndarray) -> float:
    share = (np.sum(grades > 0) + 1) / (len(grades) + 2)
    return float(np.log((1 - share) / share))


def _likelihood(
    score: np.ndarray, grades: np.ndarray, thresholds: np.ndarray, slope: float
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """Negative log likelihood, and its slopes by the scores, the thresholds and the slope."""
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    low, high = edges[grades], edges[grades + 1]
    above, below = expit(slope * (score - low)), expit(slope * (score - high))
    p = np.maximum(above - below, 1e-12)
    d_low, d_high = above * (1 - above) / p, below * (1 - below) / p
    by_score = -slope * (d_low - d_high)
    by_threshold = np.array(
        [slope * (d_low[grades == k + 1].sum() - d_high[grades == k].sum()) for k in range(len(thresholds))]
    )
    far_low, far_high = (np.where(np.isfinite(edge), score - edge, 0) for edge in (low, high))
    by_slope = -float((d_low * far_low - d_high * far_high).sum())
    return -float(np.log(p).sum()), by_score, by_threshold, by_slope


def _folds(grades: np.ndarray) -> np.ndarray:
    """A fold for each label, the grades spread evenly; the same whatever machine and order of equal grades."""
    order = np.argsort(grades, kind="stable")
    fold = np.empty(len(grades), np.int64)
    fold[order] = np.arange(len(grades)) % FOLDS
    return fold


def _calibrated(score: np.ndarray, grades: np.ndarray, thresholds: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Slope and thresholds that make probabilities honest on scores of objects that the fit had not seen."""

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        slope, steps = np.exp(found[0]), found[1:]
        cost, _, by_threshold, by_slope = _likelihood(score, grades, _ascending(steps), slope)
        rest = np.cumsum(by_threshold[::-1])[::-1]
        slopes = np.concatenate([[by_slope * slope, rest[0]], rest[1:] * np.exp(steps[1:])])
        away = found - start
        return cost + 0.5 * float(away @ away), slopes + away

    gaps = np.log(np.maximum(np.diff(thresholds), 1e-3))
    start = np.concatenate([[0.0, thresholds[0]], gaps])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    found = _ascending(best.x[1:])
    return float(np.exp(best.x[0])), tuple(float(each) for each in found)


@cache
def default_grades() -> OrdinalModel:
    """The package's model of damage grades, fitted on rendered pairs of places before and after disasters.

    Examples
    --------
    >>> default_grades().origin["fitted on"]
    'rendered pairs'
    """
    return OrdinalModel.read(str(files("geosam.change") / "grades.json"))


@cache
def default_fates() -> OrdinalModel:
    """The package's model of what became of objects, fitted on the same pairs."""
    return OrdinalModel.read(str(files("geosam.change") / "fates.json"))
