"""A forest of decision trees as plain arrays: what scikit-learn has grown, to be kept and asked without it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from geosam.errors import LandcoverError
from geosam.landcover.learning import GroupedTrees

_BLOCK = 1 << 20
"""Pairs of row and tree that are asked at a time."""

_ARRAYS = ("classes", "roots", "feature", "threshold", "children", "chances")


@dataclass(frozen=True, eq=False)
class Forest:
    """Decision trees, one after another; predicts what scikit-learn's forests predict.

    Attributes
    ----------
    classes
        The classes, ascending.
    roots
        First node of each tree.
    feature
        The feature that each node asks for; -1 in leaves.
    threshold
        What it is compared with: at most this leads to the first child.
    children
        Nodes further on; 0 in leaves.
    chances
        Share of each class in each node.

    Raises
    ------
    LandcoverError
        If the arrays do not fit together, or a node does not lead on to later ones.
    """

    classes: Int[np.ndarray, "k"]
    roots: Int[np.ndarray, "t"]
    feature: Int[np.ndarray, "n"]
    threshold: Float[np.ndarray, "n"]
    children: Int[np.ndarray, "n 2"]
    chances: Float[np.ndarray, "n k"]

    def __post_init__(self) -> None:
        n, k = len(self.feature), len(self.classes)
        shapes = self.threshold.shape == (n,) and self.children.shape == (n, 2) and self.chances.shape == (n, k)
        if not (shapes and n and len(self.roots) and k):
            raise LandcoverError("a forest of arrays that do not fit together", expected="a model that geosam saved")
        inner = self.feature >= 0
        onward = (self.children > np.arange(n)[:, None]) & (self.children < n)
        if not onward[inner].all() or self.roots.min() < 0 or self.roots.max() >= n:
            raise LandcoverError("a forest whose nodes lead nowhere", expected="a model that geosam saved")

    @property
    def classes_(self) -> np.ndarray:
        """The classes, under scikit-learn's name."""
        return self.classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean of the trees' chances for rows of features."""
        rows = np.asarray(X, np.float32)
        if rows.ndim != 2 or rows.shape[1] <= int(self.feature.max()):
            raise LandcoverError(
                f"features of shape {rows.shape}", expected=f"more than {int(self.feature.max())} columns"
            )
        step = max(1, _BLOCK // len(self.roots))
        parts = [self._mean(rows[first : first + step]) for first in range(0, len(rows), step)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)))

    def _mean(self, rows: np.ndarray) -> np.ndarray:
        """Chances of some rows, which go down all trees together."""
        total = np.zeros((len(rows), len(self.classes)))
        node = np.repeat(self.roots[:, None], len(rows), axis=1)  # t r
        going = np.flatnonzero(self.feature[node].ravel() >= 0)
        flat = node.ravel()
        while len(going):
            at = flat[going]
            right = rows[going % len(rows), self.feature[at]] > self.threshold[at]
            flat[going] = self.children[at, right.astype(np.int64)]
            going = going[self.feature[flat[going]] >= 0]
        for leaves in flat.reshape(node.shape):
            total += self.chances[leaves]
        return total / len(self.roots)

    @classmethod
    def join(cls, forests: Sequence["Forest"]) -> "Forest":
        """The trees of some forests of the same classes, one after another."""
        starts = np.cumsum([0, *(len(one.feature) for one in forests[:-1])])
        inner = [
            np.where(one.feature[:, None] >= 0, one.children + at, 0) for one, at in zip(forests, starts, strict=True)
        ]
        return cls(
            forests[0].classes,
            np.concatenate([one.roots + at for one, at in zip(forests, starts, strict=True)]),
            np.concatenate([one.feature for one in forests]),
            np.concatenate([one.threshold for one in forests]),
            np.concatenate(inner),
            np.concatenate([one.chances for one in forests]),
        )

    def over(self, columns: Sequence[int]) -> "Forest":
        """The same for rows of more features, of which these are the ones that it knows."""
        at = np.append(np.asarray(columns, np.int32), -1)  # the last is what leaves ask for: none
        return replace(self, feature=at[self.feature])

    @classmethod
    def of(cls, fitted: Any) -> "Forest":
        """The trees of a fitted forest of scikit-learn's."""
        trees = [one.tree_ for one in fitted.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        shifted = [np.column_stack([tree.children_left, tree.children_right]) for tree in trees]
        children = np.concatenate([np.where(one >= 0, one + root, 0) for one, root in zip(shifted, roots, strict=True)])
        values = np.concatenate([tree.value[:, 0, :] for tree in trees])
        return cls(
            np.asarray(fitted.classes_, np.int64),
            roots.astype(np.int64),
            np.concatenate([np.where(tree.children_left >= 0, tree.feature, -1) for tree in trees]).astype(np.int32),
            np.concatenate([tree.threshold for tree in trees]),
            children.astype(np.int64),
            values / values.sum(axis=1, keepdims=True),
        )

    def to_bytes(self) -> bytes:
        """The arrays as an .npz file."""
        held = io.BytesIO()
        np.savez(held, **{name: getattr(self, name) for name in _ARRAYS})
        return held.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Forest":
        """Read what `to_bytes` gave; nothing in it is run.

        Raises
        ------
        LandcoverError
            If it is damaged.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls(*(arrays[name] for name in _ARRAYS))
        except LandcoverError:
            raise
        except Exception as error:  # NumPy and zipfile raise several kinds without a common root
            raise LandcoverError(
                f"a forest that cannot be read ({error})", expected="a model that geosam saved"
            ) from None


def portable(fitted: Any) -> Any:
    """A fitted forest as a `Forest`; any other estimator as it is."""
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    if isinstance(fitted, GroupedTrees):
        return Forest.join(
            [Forest.of(one).over(group) for one, group in zip(fitted.forests_, fitted.groups, strict=True)]
        )
    return Forest.of(fitted) if type(fitted) in (ExtraTreesClassifier, RandomForestClassifier) else fitted
