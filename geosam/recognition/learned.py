"""Words that users teach by a handful of examples, in a file that can be shared.

A word is what `geosam.recognition.similarity` knows of the examples: kernels around the right ones and the wrong ones
(Parzen 1962), in the spreads of the regions of the scene that they are of, and beside them kernels around regions of
that scene drawn evenly, which stand for all that nobody marked; and what kinds these all are said to be. Nothing is
fitted, so that five examples are enough.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from geosam.errors import OptionError, WeightsError
from geosam.paths import check_regular
from geosam.recognition.description import RegionFeatures
from geosam.recognition.kinds import KINDS, load_head
from geosam.recognition.similarity import Examples, spreads, squared_distances, told, weighted

log = logging.getLogger(__name__)

FORMAT = "geosam word 1"
"""What a file says of itself."""

SAID = "geosam"
"""Name of the metadata that hold plain values, as JSON."""

SUFFIX = ".safetensors"
"""Extension of files of words."""

LEAST_EXAMPLES = 3
"""Examples of a word at least, and of what it is not."""

BACKGROUND = 128
"""Regions at most that stand for all that is not marked."""

LONGEST_NAME = 200
"""Characters of a word, a backbone or a scale in a file."""

ARRAYS = ("right", "wrong", "rest", "middle", "spread")
"""Arrays of a file."""

SHARE = 0.3
"""How much what nobody marked counts against a word, beside what is marked as wrong."""

NARROW = 0.6
"""Squared width of the kernels, as a share of the median squared distance between the scene's regions and examples."""

FLOOR, KIND_FLOOR = 0.01, 0.02
"""Likeness of looks and of kinds that says nothing: what is unlike all examples is no example."""

SLOPE, MIDDLE = 2.0, 0.2
"""Log-odds of a score for each e-fold by which a region is more like the right ones; and the e-folds at which the F1 of
the ground is best, as a mean over sources of `train`, by words of five and five examples."""


@dataclass(frozen=True, eq=False)
class LearnedWord:
    """A word of a user's own.

    Attributes
    ----------
    word
        What it is called.
    right, wrong, rest
        What the examples look like, those of what it is not, and other regions of the scene: rows of
        `geosam.recognition.similarity.told`.
    middle, spread
        Of the scene's regions, by which all are taken.
    width
        Squared distance at which a kernel has fallen to 1/e.
    backbone
        Key of the features.
    scale
        What to look at it with; empty for the scene's own pixel.
    facts
        How it came to be.

    Raises
    ------
    WeightsError
        If the arrays do not fit together.
    """

    word: str
    right: Float32[np.ndarray, "r d"]
    wrong: Float32[np.ndarray, "w d"]
    rest: Float32[np.ndarray, "b d"]
    middle: Float32[np.ndarray, "d"]
    spread: Float32[np.ndarray, "d"]
    width: float
    backbone: str
    scale: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = [getattr(self, name).shape for name in ARRAYS]
        d = self.middle.shape[0] if self.middle.ndim == 1 else -1
        fits = all(len(shape) == 2 and shape[1] == d for shape in shapes[:3]) and shapes[4] == (d,)
        finite = all(np.isfinite(getattr(self, name)).all() for name in ARRAYS[:4]) and not np.isnan(self.spread).any()
        if not (fits and finite and len(self.right) and 0 < self.width < float("inf") and (self.spread > 0).all()):
            raise WeightsError(f"word {self.word!r} of shapes {shapes}", expected="n d three times, d twice; finite")

    @classmethod
    def learn(
        cls, word: str, features: RegionFeatures, examples: Examples, *, scale: str = "", facts: Any = None
    ) -> "LearnedWord":
        """Learn a word.

        Parameters
        ----------
        word
            What it is called.
        features
            Of the regions of a scene, the examples among them.
        examples
            Which are right and which wrong.
        scale
            What to look at it with.
        facts
            What else is kept of how it came to be.

        Raises
        ------
        OptionError
            If there are fewer than `LEAST_EXAMPLES` of either sort, or one holds no pixel.
        """
        for name, rows in (("right", examples.right), ("wrong", examples.wrong)):
            if len(rows) < LEAST_EXAMPLES:
                raise OptionError(
                    f"{len(rows)} {name} examples of {word!r}", expected=f"at least {LEAST_EXAMPLES}, better five"
                )
            if not (features.area_px[rows] > 0).all():
                raise OptionError(f"a {name} example of {word!r} without any pixel", expected="examples on the scene")
        seen = np.flatnonzero(features.area_px > 0)
        x = told(features, load_head())
        middle, spread = (each.astype(np.float32).astype(np.float64) for each in spreads(x[seen]))  # as they are kept
        free = np.setdiff1d(seen, np.concatenate([examples.right, examples.wrong]))
        rest = free[np.unique(np.linspace(0, len(free) - 1, min(BACKGROUND, len(free))).round().astype(int))]
        right, wrong, others = (x[rows].astype(np.float32) for rows in (examples.right, examples.wrong, rest))
        z = [weighted(each.astype(np.float64), middle, spread) for each in (right, np.concatenate([wrong, others]))]
        marked = np.concatenate([z[0], z[1][: len(wrong)]])
        width = NARROW * float(np.median(squared_distances(np.concatenate(z), marked))) or 1.0
        key = features.key
        kept = middle.astype(np.float32), spread.astype(np.float32)
        return cls(word, right, wrong, others, *kept, width, key, scale, dict(facts or {}))

    @property
    def key(self) -> str:
        """Identity of the word: what it is called and all that it looks at."""
        found = hashlib.sha256(json.dumps([self.word, self.width, self.backbone, self.scale]).encode())
        for name in ARRAYS:
            found.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return found.hexdigest()

    def score(self, features: RegionFeatures) -> Float32[np.ndarray, "n"]:
        """Say how well the word describes regions, in [0, 1]; one half is the threshold.

        Raises
        ------
        OptionError
            If the features are another backbone's.
        """
        if features.key != self.backbone:
            raise OptionError(
                f"word {self.word!r} of {self.backbone!r}", expected=f"one of {features.key!r}", hint="add it again"
            )
        seen = told(features, load_head())
        x = self._standard(seen)
        right, wrong, rest = (self._likeness(x, name) for name in ARRAYS[:3])
        odds = np.log(right + FLOOR) - np.log(wrong + SHARE * rest + FLOOR) + self._of_kind(seen)
        return (1 / (1 + np.exp(-SLOPE * (odds - MIDDLE)))).astype(np.float32)

    def _of_kind(self, seen: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n"]:
        """How much more the kinds of regions are those of the right ones, than those of all others, in e-folds."""
        kinds = np.exp(seen[:, -len(KINDS) :])  # n k
        same, other = (
            np.exp(each[:, -len(KINDS) :].astype(np.float64)).mean(0)
            for each in (self.right, np.concatenate([self.wrong, self.rest]))
        )
        # einsum without BLAS, whose sums depend on how many rows there are
        alike, unlike = (np.einsum("nk,k->n", kinds, each, optimize=False) for each in (same, other))
        return np.log(alike + KIND_FLOOR) - np.log(unlike + KIND_FLOOR)

    def _likeness(self, x: Float64[np.ndarray, "n d"], name: str) -> Float64[np.ndarray, "n"]:
        """Mean of the kernels around some examples; 0 if there are none."""
        marked = getattr(self, name).astype(np.float64)
        if not len(marked):
            return np.zeros(len(x))
        return np.exp(-squared_distances(x, self._standard(marked)) / self.width).mean(1)

    def _standard(self, x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
        return weighted(x, self.middle.astype(np.float64), self.spread.astype(np.float64))

    def to_bytes(self) -> bytes:
        """The file's content: arrays and plain values, the same for the same word."""
        arrays = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in ARRAYS}
        said = {
            "word": self.word,
            "width": self.width,
            "backbone": self.backbone,
            "scale": self.scale,
            "format": FORMAT,
            "digest": self.key,
        }
        text = json.dumps({**said, "facts": dict(self.facts)}, sort_keys=True, ensure_ascii=False)
        return save(arrays, metadata={SAID: text})  # one entry: several would come in any order


def read_word(path: str | PathLike[str]) -> LearnedWord:
    """Read a word that was kept.

    A file of a first version has no digest: the word is used, and a warning says that it cannot be checked.

    Raises
    ------
    WeightsError
        If the file is absent, damaged, changed or another one.
    """
    expected = "a file that `geosam words add` wrote"
    where = check_regular(path, WeightsError, expected)
    try:
        with safe_open(where, "np") as file:
            told_of = json.loads((file.metadata() or {}).get(SAID, "{}"))
            if not isinstance(told_of, dict) or told_of.get("format") != FORMAT:
                raise WeightsError(f"{where.name} is no word of geosam's", expected=expected)
            right, wrong, rest, middle, spread = (np.asarray(file.get_tensor(name), np.float32) for name in ARRAYS)
        texts = [told_of[name] for name in ("word", "backbone", "scale")]
        if not texts[0] or not all(map(_is_name, texts)) or not isinstance(told_of["facts"], dict):
            raise ValueError("a name that is no text of a line")
        width, facts = float(told_of["width"]), told_of["facts"]
        word = LearnedWord(texts[0], right, wrong, rest, middle, spread, width, texts[1], texts[2], facts)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{str(where)!r} ({' '.join(str(error).split())})", expected=expected) from error
    if "digest" not in told_of:
        log.warning("%s has no digest, so that damage would not be noticed: teach %r again", where.name, word.word)
    elif told_of["digest"] != word.key:
        raise WeightsError(f"{str(where)!r} was damaged or changed", expected=expected, hint="teach the word again")
    return word


def _is_name(given: object) -> bool:
    return isinstance(given, str) and given.isprintable() and len(given) <= LONGEST_NAME
