"""Regions and words → scores of which one half is the threshold, by the head of kinds and by words that users taught.

The head's probabilities are of kinds that exclude one another; what a word needs is where to stop. For each word a line
through the log-odds of its probability (Platt 1999, "Probabilistic outputs for support vector machines") puts the
threshold that serves proposals best at one half: whole objects, parts, and unions with what lies beside them, in
pictures that the head had not seen. `geosam.training.words` fits the lines.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from geosam.errors import OptionError, WeightsError
from geosam.recognition.description import RegionFeatures
from geosam.recognition.kinds import KINDS, KindHead, load_head
from geosam.recognition.learned import LearnedWord
from geosam.recognition.loading import FOLDER
from geosam.recognition.vocabulary import Vocabulary, Word, load_vocabulary

LINES_FILE = FOLDER / "words.json"
"""A line for each kind, made by `geosam.training.words`."""

HALF = 0.5
"""The threshold of every word."""

LEAST = 1e-6
"""Probabilities nearer to 0 and 1 say no more."""


@dataclass(frozen=True)
class Line:
    """Log-odds of a probability → log-odds of a score: ``slope * (x - middle)``.

    Attributes
    ----------
    slope
        How sharply; above 0, so that the order of regions stays.
    middle
        The log-odds that become one half.
    presence
        Score that one region of a scene must have, if the word is to be there at all; one half asks for nothing more.

    Raises
    ------
    WeightsError
        If the slope does not ascend.
    """

    slope: float = 1.0
    middle: float = 0.0
    presence: float = HALF

    def __post_init__(self) -> None:
        if not (0 < self.slope < float("inf") and abs(self.middle) < float("inf") and HALF <= self.presence <= 1):
            given = f"slope={self.slope}, middle={self.middle}, presence={self.presence}"
            raise WeightsError(given, expected="finite numbers, slope above 0, presence from 0.5 to 1")

    def __call__(self, probability: Float64[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
        """Scores in [0, 1].

        Examples
        --------
        >>> Line(2.0, 0.0)(np.array([0.0, 0.5, 0.9])).astype(float).round(3).tolist()
        [0.0, 0.5, 0.988]
        """
        p = np.clip(probability, LEAST, 1 - LEAST)
        odds = np.log(p / (1 - p))
        return (1 / (1 + np.exp(-self.slope * (odds - self.middle)))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class KindReader:
    """The reader that comes with geosam: kinds, and words of users.

    Attributes
    ----------
    head
        Tells kinds apart.
    lines
        For each kind by name.
    learned
        Words that users taught, by name.
    name, key
        What it is called, and what identifies it.
    """

    head: KindHead
    lines: Mapping[str, Line]
    learned: Mapping[str, LearnedWord]
    name: str
    key: str

    @classmethod
    def of(cls, learned: Sequence[LearnedWord] = ()) -> "KindReader":
        """The package's head and lines, with further words.

        Raises
        ------
        WeightsError
            If a file of the package is absent or damaged.

        Examples
        --------
        >>> KindReader.of().vocabulary.find("Dächer").word
        'building'
        """
        head, lines = load_head(), load_lines()
        said = repr(sorted((name, line.slope, line.middle, line.presence) for name, line in lines.items()))
        digest = hashlib.sha256(said.encode() + head.weight.tobytes() + head.bias.tobytes())
        for each in learned:
            digest.update(each.key.encode())
        return cls(head, lines, {each.word: each for each in learned}, "kinds", f"kinds-{digest.hexdigest()[:12]}")

    @property
    def vocabulary(self) -> Vocabulary:
        """All words that it knows."""
        own = [Word(each.word, scale=each.scale) for each in self.learned.values()]
        return load_vocabulary().extended(own) if own else load_vocabulary()

    def read(self, features: RegionFeatures, words: Sequence[Word]) -> Float32[np.ndarray, "n w"]:
        """Score regions by words; 0 for a region without pixels.

        Raises
        ------
        OptionError
            If a word is not known.
        ModelError
            If the features are another backbone's.
        """
        kinds = self.head.probabilities(features)  # n k
        found = np.zeros((len(features), len(words)), np.float32)
        for column, word in enumerate(words):
            if word.word in self.learned:
                found[:, column] = self.learned[word.word].score(features)
            elif word.kind in KINDS:
                found[:, column] = self.lines.get(word.kind, Line())(kinds[:, KINDS.index(word.kind)])
            else:
                raise OptionError(f"word {word.word!r}", expected="one of the reader's vocabulary")
        found[features.area_px == 0] = 0
        return found

    def settle(self, scores: Float32[np.ndarray, "n w"], words: Sequence[Word]) -> Float32[np.ndarray, "n w"]:
        """Scores of all regions of a scene: of a word that no region is sure enough of, half of what it was.

        So a word that is not in the scene gives nothing at a threshold of one half, and its order stays.
        """
        found = scores.copy()
        for column, word in enumerate(words):
            line = self.lines.get(word.kind, Line()) if word.word not in self.learned else Line()
            if line.presence > HALF and scores[:, column].max(initial=0) < line.presence:
                found[:, column] /= 2
        return found


@cache
def load_lines(path: Path = LINES_FILE) -> dict[str, Line]:
    """The lines of the package.

    Raises
    ------
    WeightsError
        If the file is absent or damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names = ("slope", "middle", "presence")
        return {str(kind): Line(*(float(row[name]) for name in names)) for kind, row in data["lines"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path.name} ({error})", expected="a line for each kind", hint="install geosam again"
        ) from error
