"""The port of words: who tells how well a word describes a region, and who finds what a word names.

- `WordReader`: regions that somebody else drew × words → scores, as image and text towers do.
- `WordFinder`: a window × words → boxes or masks with scores, as open-vocabulary detectors and SAM 3 do.

Both say which words they know, and both give scores of which **one half is the threshold**: whoever implements the port
maps the family's own threshold there (`centred` does). Words come as they are to be understood by the model: singular,
lower case, without articles. Nothing above asks who a reader or a finder is.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from geosam.arrays import Labels, Pixels, Scores
from geosam.errors import ModelError, OptionError

WordScores = Float32[np.ndarray, "n w"]
"""How well each of ``w`` words describes each of ``n`` regions, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """What one word names in one window.

    Parameters
    ----------
    boxes
        ``xyxy`` in pixels of the window, ``n 4``. They are asked of a segmenter unless there are masks.
    scores
        Of each, in [0, 1]; one half is the threshold.
    masks
        The masks in their boxes, each ``h w`` of bool; then the boxes are whole numbers and as large as the masks.
        None where only boxes are known.

    Raises
    ------
    ModelError
        If the arrays do not fit together.

    Examples
    --------
    >>> found = Proposals(np.array([[2, 1, 5, 3]], np.float32), np.array([0.9], np.float32), (np.ones((2, 3), bool),))
    >>> len(found), len(Proposals.none())
    (1, 0)
    """

    boxes: Float32[np.ndarray, "n 4"]
    scores: Scores
    masks: tuple[np.ndarray, ...] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            given = f"boxes of {self.boxes.shape} for {len(self.scores)} scores"
            raise ModelError(given, expected="n 4 and n")
        if len(self.scores) and not (self.scores.min() >= 0 and self.scores.max() <= 1):  # NaN is neither
            raise ModelError("scores of proposals outside [0, 1]", expected="numbers from 0 to 1")
        if self.masks is not None:
            sizes = [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in self.boxes.tolist()]
            if [mask.shape for mask in self.masks] != sizes:
                raise ModelError("masks that do not fill their boxes", expected="one of each box's height and width")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> "Proposals":
        """Nothing."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@runtime_checkable
class WordReader(Protocol):
    """Tells how well words describe regions; derive from it.

    Attributes
    ----------
    name
        What users call it.
    key
        Identifies weights, prompts and calibration: the same key, the same scores.
    side
        Side in pixels of the windows that it likes to be shown.
    words
        The words that it knows; None if any may be asked.
    """

    name: str
    key: str
    side: int
    words: tuple[str, ...] | None = None

    @abstractmethod
    def score(self, pixels: Pixels, labels: Labels, words: Sequence[str]) -> WordScores:
        """Score the regions of a window.

        Parameters
        ----------
        pixels
            The window, ``3 h w``.
        labels
            Region of each pixel, 1 to n; 0 for none. Row *i* of the answer belongs to label *i + 1*; a label without a
            pixel gets zeros.
        words
            At least one. Scores of a region need not sum to one: all may be low.
        """


@runtime_checkable
class WordFinder(Protocol):
    """Finds what words name; derive from it.

    Attributes
    ----------
    name, key, words
        As of `WordReader`.
    side
        Side in pixels of the windows that it takes.
    """

    name: str
    key: str
    side: int
    words: tuple[str, ...] | None = None

    @abstractmethod
    def propose(self, pixels: Pixels, words: Sequence[str]) -> list[Proposals]:
        """Find what each of some words names in a window: one `Proposals` for each word, in their order.

        Proposals far below one half may be left out. A word that is not there gets none (`Proposals.none`).
        """


def centred(scores: Float64[np.ndarray, "..."], threshold: float) -> Float32[np.ndarray, "..."]:
    """Scores in [0, 1] on a scale on which one half is a family's threshold; their order stays.

    Odds are divided by the threshold's odds: 0 and 1 stay, and a calibrated score keeps its shape.

    Raises
    ------
    OptionError
        If the threshold does not lie between 0 and 1.

    Examples
    --------
    >>> centred(np.array([0.0, 0.25, 0.5, 1.0]), 0.25).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    if not 0 < threshold < 1:
        raise OptionError(f"threshold={threshold}", expected="a number between 0 and 1")
    found = np.clip(scores, 0.0, 1.0)
    over = found * (1 - threshold)
    return (over / (over + (1 - found) * threshold)).astype(np.float32)
