"""Where instances of neighbouring windows meet: what they share in the strip that both windows see."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array

from geosam.arrays import Flags, Ids


class Meetings(NamedTuple):
    """Pairs of instances of two neighbouring windows that share pixels, each pair once.

    Attributes
    ----------
    one, other
        Positions of the two among all instances.
    shared
        Pixels that both have.
    one_px, other_px
        Pixels that each has inside the strip.
    """

    one: Ids
    other: Ids
    shared: Ids
    one_px: Ids
    other_px: Ids

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray, *, starts: tuple[int, int]) -> "Meetings":
        """The pairs in one strip.

        Parameters
        ----------
        first, second
            What the two windows see there, ``h w``, 0 for none.
        starts
            Number of instances before each window's first.

        Examples
        --------
        >>> strip = np.array([[1, 1, 2]])
        >>> Meetings.of(strip, np.array([[1, 1, 1]]), starts=(0, 2)).is_same.tolist()
        [True, False]
        """
        rows, cols = first.ravel().astype(np.int32), second.ravel().astype(np.int32)
        shape = (int(rows.max(initial=0)) + 1, int(cols.max(initial=0)) + 1)
        counted = coo_array((np.ones(len(rows), np.int64), (rows, cols)), shape=shape).tocsr()
        sizes = np.asarray(counted.sum(axis=1)).ravel(), np.asarray(counted.sum(axis=0)).ravel()
        table = counted.tocoo()
        both = (table.row > 0) & (table.col > 0)
        one, other = table.row[both].astype(np.int64), table.col[both].astype(np.int64)
        positions = one + (starts[0] - 1), other + (starts[1] - 1)
        return cls(*positions, table.data[both].astype(np.int64), sizes[0][one], sizes[1][other])

    @classmethod
    def concatenate(cls, parts: "list[Meetings]") -> "Meetings":
        """The pairs of several strips."""
        none = cls(*np.zeros((5, 0), np.int64))
        return cls(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))

    @property
    def is_same(self) -> Flags:
        """Whether the IoU inside the strip exceeds one half: the two are one object."""
        return 3 * self.shared > self.one_px + self.other_px

    def select(self, kept: Flags) -> "Meetings":
        """Some of the pairs."""
        return Meetings(*(column[kept] for column in self))

    def both_ways(self) -> "Meetings":
        """Each pair twice, either one first."""
        turned = Meetings(self.other, self.one, self.shared, self.other_px, self.one_px)
        return Meetings.concatenate([self, turned])
