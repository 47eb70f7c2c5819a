"""How classes are learned: scikit-learn's estimators, one by default, any by choice."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from geosam.errors import LandcoverError

TREES = 400
"""Trees of the default: probabilities vary by less than 0.02 from seed to seed; half as many vary by 0.03."""


@runtime_checkable
class Estimator(Protocol):
    """What learns classes, as scikit-learn has it."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learn from rows of features and their classes."""
        ...

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class for rows of features."""
        ...


def default_estimator() -> Any:
    """Extremely randomized trees (Geurts et al. 2006), classes weighted alike.

    Trees need no scaling, bear columns that say nothing, and learn from ten samples of a class; random cuts instead of
    the best ones make probabilities less sure of themselves, which is what a handful of samples deserves.

    Raises
    ------
    LandcoverError
        If scikit-learn is not installed.
    """
    require_sklearn()
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(TREES, class_weight="balanced", random_state=0)


def require_sklearn() -> None:
    """Find out whether scikit-learn and skops are there.

    Raises
    ------
    LandcoverError
        If not.
    """
    try:
        import sklearn  # noqa: F401 - only whether it is there
        import skops.io  # noqa: F401 - likewise
    except ImportError as absent:
        raise LandcoverError(
            f"{absent.name} is not installed", expected="scikit-learn and skops", hint='pip install "geosam[landcover]"'
        ) from None


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
