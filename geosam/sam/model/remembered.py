"""What was made of features that are still there, so that it is made once and goes when they go."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from geosam.segmenter import Features

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values made of features, kept as long as these live, and the latest few only.

    Features are known by what they are, not by what they hold; nobody can write to them. Threads may share it: each
    step is one operation on a dictionary, and two threads that miss at once both make the same value.

    Parameters
    ----------
    most
        Values that are kept.

    Examples
    --------
    >>> import numpy as np
    >>> features, made = Features((np.zeros((1, 2, 2), np.float16),), (32, 32)), Remembered[float](2)
    >>> made.of(features, lambda: 1.0), made.of(features, lambda: 2.0), len(made)
    (1.0, 1.0, 1)
    >>> del features
    >>> len(made)
    0
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[int, tuple[weakref.ref[Features], Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, features: Features, make: Callable[[], Value]) -> Value:
        """The value that was made of these very features, or what `make` gives, which is kept."""
        key = id(features)
        known = self._known.pop(key, None)
        if known is None or known[0]() is not features:
            known = weakref.ref(features, lambda _: self._known.pop(key, None)), make()
        self._known[key] = known  # the latest is last
        while len(self._known) > self.most:
            self._known.pop(next(iter(self._known)), None)
        return known[1]
