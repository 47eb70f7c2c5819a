"""How classes are learned: scikit-learn's estimators, one by default, any by choice."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np

from geosam.errors import LandcoverError
from geosam.features import RECOGNITION

NEEDED = {"scikit-learn": "sklearn", "skops": "skops"}
"""Packages of the extra ``landcover``, and how they are imported."""

TREES = 200
"""Trees of the default: another seed moves a probability by 0.013 (standard deviation, 60 samples of six classes);
twice as many trees, and twice the time, would make that 0.009."""


@runtime_checkable
class Estimator(Protocol):
    """What learns classes, as scikit-learn has it."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from rows of features and their classes."""
        ...

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for rows of features."""
        ...


class GroupedTrees:
    """Extremely randomized trees (Geurts et al. 2006), a forest for each group of columns; each forest has one vote.

    Trees need no scaling, bear columns that say nothing, and learn from ten samples of a class; random cuts instead of
    the best ones make probabilities less sure of themselves, which is what a handful of samples deserves. With a vote
    for each group, a few columns that tell classes apart are not drowned by many of another kind.

    Parameters
    ----------
    groups
        Numbers of the columns of each group.
    trees
        Trees of all forests together.

    Attributes
    ----------
    groups, trees
        As they were given.
    forests_, classes_
        What was grown, and the classes that it knows.
    """

    def __init__(self, groups: Sequence[Sequence[int]], trees: int = TREES) -> None:
        self.groups, self.trees = tuple(tuple(group) for group in groups), trees

    def __sklearn_clone__(self) -> "GroupedTrees":
        """An unfitted copy, for scikit-learn."""
        return GroupedTrees(self.groups, self.trees)

    def fit(self, X: Any, y: Any) -> Any:
        """Grow the forests, classes weighted alike.

        Raises
        ------
        LandcoverError
            If scikit-learn is not installed.
        """
        require_sklearn()
        from sklearn.ensemble import ExtraTreesClassifier

        rows, each = np.asarray(X), self.trees // len(self.groups)
        blank = [ExtraTreesClassifier(each, class_weight="balanced", random_state=0) for _ in self.groups]
        self.forests_ = [one.fit(rows[:, group], y) for one, group in zip(blank, self.groups, strict=True)]
        self.classes_ = self.forests_[0].classes_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean of the forests' probabilities."""
        rows = np.asarray(X)
        told = [one.predict_proba(rows[:, group]) for one, group in zip(self.forests_, self.groups, strict=True)]
        return np.mean(told, axis=0)

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much each column matters; they sum to 1."""
        found = np.zeros(1 + max(max(group) for group in self.groups))
        for one, group in zip(self.forests_, self.groups, strict=True):
            found[list(group)] += one.feature_importances_ / len(self.groups)
        return found


def default_estimator(columns: Sequence[str]) -> GroupedTrees:
    """What learns classes by default: trees on what the recognition network sees, and trees on all other columns.

    Parameters
    ----------
    columns
        Names of the features.

    Examples
    --------
    >>> default_estimator(["red_mean", "s4_0", "s4_1", "width"]).groups
    ((0, 3), (1, 2))
    """
    seen = [name.startswith(RECOGNITION) for name in columns]
    groups = [[k for k, one in enumerate(seen) if one == kind] for kind in (False, True)]
    return GroupedTrees([group for group in groups if group])


def require_sklearn() -> None:
    """Find out whether scikit-learn and skops are there.

    Raises
    ------
    LandcoverError
        If not.
    """
    absent = [package for package, name in NEEDED.items() if find_spec(name) is None]
    if absent:
        hint = 'pip install "geosam[landcover]"'
        raise LandcoverError(f"{' and '.join(absent)} cannot be found", expected="what learns classes", hint=hint)


def fresh(estimator: Any) -> Any:
    """An unfitted copy of an estimator.

    Raises
    ------
    LandcoverError
        If it is none that gives probabilities.
    """
    require_sklearn()
    from sklearn.base import clone

    if not hasattr(estimator, "predict_proba"):
        raise LandcoverError(
            f"estimator {type(estimator).__name__}",
            expected="a scikit-learn classifier with predict_proba",
            hint="CalibratedClassifierCV gives probabilities to those that have none",
        )
    return clone(estimator)


def importance_of(estimator: Any, columns: tuple[str, ...], X: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How much each column matters, largest first; they sum to 1.

    Trees say it themselves (mean decrease of impurity); of other estimators it is how much worse they get when a column
    is shuffled.
    """
    own = getattr(estimator, "feature_importances_", None)
    if own is None:
        from sklearn.inspection import permutation_importance

        shuffled: Any = permutation_importance(estimator, X, y, n_repeats=3, random_state=0)
        own = shuffled.importances_mean.clip(0)
    total = float(np.sum(own)) or 1.0
    order = np.argsort(-np.asarray(own), kind="stable")
    return {columns[k]: float(own[k]) / total for k in order}
