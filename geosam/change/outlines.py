"""Outlines that were decoded on both dates: `Outlines`."""

import numpy as np
import shapely


class Outlines:
    """Outlines of objects on both dates in pixels of the grid, empty where none was found, and their scores."""

    def __init__(self, before: np.ndarray, scores: np.ndarray, after: np.ndarray, scores_after: np.ndarray) -> None:
        self.before, self.scores, self.after, self.scores_after = before, scores, after, scores_after

    @classmethod
    def nothing(cls, count: int) -> "Outlines":
        """Of none."""
        empty = np.full(count, None, object)
        empty[:] = shapely.Polygon()
        return cls(empty, np.full(count, np.nan), empty.copy(), np.full(count, np.nan))

    def with_new(self, after: np.ndarray) -> "Outlines":
        """With objects that have an outline after only."""
        more = Outlines.nothing(len(after))
        joined = [np.concatenate(each) for each in ((self.before, more.before), (self.scores, more.scores))]
        last = [np.concatenate(each) for each in ((self.after, after), (self.scores_after, more.scores_after))]
        return Outlines(*joined, *last)
