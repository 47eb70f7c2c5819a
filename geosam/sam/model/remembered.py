"""What was made of arrays that are still there, so that it is made once and goes when they go."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values made of tuples of arrays, kept as long as the arrays live, and the latest few only.

    Arrays are known by what they are, not by what they hold; so only those are remembered that nobody can write to,
    such as `Predictor.encode` gives and `geosam.store` reads. Threads may share it: each step is one operation on a
    dictionary, and two threads that miss at once both make the same value.

    Parameters
    ----------
    most
        Values that are kept.

    Examples
    --------
    >>> arrays, made = (np.zeros(3),), Remembered[float](2)
    >>> arrays[0].setflags(write=False)
    >>> made.of(arrays, lambda: 1.0), made.of(arrays, lambda: 2.0), len(made)
    (1.0, 1.0, 1)
    >>> del arrays
    >>> len(made)
    0
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[tuple[int, ...], tuple[list[weakref.ref], Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, arrays: tuple[np.ndarray, ...], make: Callable[[], Value]) -> Value:
        """The value that was made of these very arrays, or what `make` gives, which is kept if it may be."""
        if any(array.flags.writeable for array in arrays):
            return make()
        key = tuple(id(array) for array in arrays)
        known = self._known.pop(key, None)
        if known is None or any(ref() is not array for ref, array in zip(known[0], arrays, strict=True)):
            known = [weakref.ref(array, lambda _: self._known.pop(key, None)) for array in arrays], make()
        self._known[key] = known  # the latest is last
        while len(self._known) > self.most:
            self._known.pop(next(iter(self._known)), None)
        return known[1]
