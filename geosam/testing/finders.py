"""A finder of words that needs no weights, for scenes that spell their truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from geosam.arrays import Pixels
from geosam.segmenter import Proposals, WordFinder
from geosam.testing.scenes import pixels_to_labels

WORDS: Mapping[str, tuple[int, ...]] = {}
"""No words."""


@dataclass(frozen=True)
class TruthFinder(WordFinder):
    """A perfect finder for a scene whose colours spell its labels (`geosam.testing.labels_to_pixels`).

    Parameters
    ----------
    named
        The labels that each word names.
    scores
        The score of a label; those that are not given have `score`.
    score
        See `scores`.
    draws
        Whether it gives masks, and not boxes alone.
    side
        Side in pixels of the windows that it likes.
    name, key
        As of any `WordFinder`.

    Examples
    --------
    >>> from geosam.testing import labels_to_pixels
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:4, 1:6] = 7
    >>> found, = TruthFinder({"roof": (7,)}).propose(labels_to_pixels(labels), ["roof"])
    >>> found.boxes.tolist()
    [[1.0, 2.0, 6.0, 4.0]]
    """

    named: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: WORDS)
    scores: Mapping[tuple[str, int], float] = field(default_factory=dict)
    score: float | int = 0.9
    draws: bool = False
    side: int = 1024
    name: str = "truth finder"
    key: str = "truth-finder"

    def propose(self, pixels: Pixels, words: Sequence[str]) -> list[Proposals]:
        """See `WordFinder.propose`."""
        truth = pixels_to_labels(pixels)
        places = ndimage.find_objects(truth)
        return [self._of_word(word, truth, places) for word in words]

    def _of_word(self, word: str, truth: np.ndarray, places: Sequence[tuple[slice, slice] | None]) -> Proposals:
        there = [(one, places[one - 1]) for one in self.named.get(word, ()) if one <= len(places)]
        found = [(one, place) for one, place in there if place is not None]
        if not found:
            return Proposals.none()
        boxes = np.array([[x.start, y.start, x.stop, y.stop] for _, (y, x) in found], np.float32)
        scores = np.array([self.scores.get((word, one), self.score) for one, _ in found], np.float32)
        masks = tuple(truth[place] == one for one, place in found) if self.draws else None
        return Proposals(boxes, scores, masks)
