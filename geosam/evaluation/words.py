"""How well words are read: the ground that each word has, at the threshold of one half and at the best one.

Measured is ground, pixel by pixel, as words name lakes and forests as well as houses: precision, recall and F1 of what
a word is given when it is asked alone. Of pictures that a word is surely absent from, it is the share of their ground
that it is given nevertheless.
"""

import csv
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64
from rasterio.features import rasterize

from geosam.errors import OptionError
from geosam.evaluation.sets import LabelledPicture, list_pictures
from geosam.evaluation.truth import read_truth
from geosam.execute import Journal, Progress
from geosam.pipeline import segment
from geosam.pipeline.reading import suited
from geosam.pipeline.regions import cover_scene
from geosam.pipeline.request import Request
from geosam.pipeline.run import Run
from geosam.pipeline.words import Reading
from geosam.scene import Scene, open_scene
from geosam.segmenter import WordFinder
from geosam.sinks.places import check_path
from geosam.sinks.staging import named_errors, staged

STEPS = 100
"""Steps in which scores are counted: thresholds are multiples of 1/100."""

HALF = STEPS // 2
"""The step of the default threshold."""

LEAST = 0.01
"""Score from which what a finder finds is counted."""

ALL = "mean over sources"


@dataclass(frozen=True)
class WordScore:
    """How well one word is read in the pictures of one source; the columns of the table. NaN where there is nothing.

    Attributes
    ----------
    word, source
        Which; a row `ALL` is the mean over a word's sources.
    pictures
        How many there are.
    precision, recall, f1
        Of the ground, at a threshold of one half.
    best_f1, best_threshold
        The best F1 of all thresholds, and the threshold.
    false_area
        Share of the ground of pictures without the word that it is given at one half.
    """

    word: str
    source: str
    pictures: int
    precision: float
    recall: float
    f1: float
    best_f1: float
    best_threshold: float
    false_area: float


@dataclass(frozen=True, eq=False)
class Counted:
    """Pixels of a picture by the score that one word gives them, in `STEPS` steps.

    Attributes
    ----------
    inside, outside
        Pixels of what the word names, and other pixels of which it is known that they are not.
    """

    inside: Int64[np.ndarray, "s"]
    outside: Int64[np.ndarray, "s"]

    @classmethod
    def of(
        cls, score: Float32[np.ndarray, "h w"], true: Bool[np.ndarray, "h w"], known: Bool[np.ndarray, "h w"]
    ) -> "Counted":
        """Count a picture's pixels.

        Examples
        --------
        >>> score, true = np.array([[0.2, 0.7]], np.float32), np.array([[False, True]])
        >>> counted = Counted.of(score, true, np.ones((1, 2), bool))
        >>> counted.above[:, 50].tolist(), float(counted.f1[50])
        ([1, 0], 1.0)
        """
        step = np.minimum((score * STEPS + 1e-4).astype(np.int64), STEPS - 1)
        inside = np.bincount(step[true & known], minlength=STEPS)
        return cls(inside, np.bincount(step[~true & known], minlength=STEPS))

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.inside + other.inside, self.outside + other.outside)

    @property
    def above(self) -> Int64[np.ndarray, "2 s"]:
        """Pixels inside and outside whose score reaches each step."""
        return np.cumsum(np.stack([self.inside, self.outside])[:, ::-1], axis=1)[:, ::-1]

    @property
    def f1(self) -> np.ndarray:
        """F1 at each threshold."""
        hit, wrong = self.above
        return 2 * hit / np.maximum(hit + wrong + self.inside.sum(), 1)


def evaluate_words(
    folder: str | os.PathLike[str],
    text: str,
    *,
    absent: str | None = None,
    sources: Iterable[str] = (),
    limit: int = 0,
    text_model: Any = None,
    words: Sequence[str] = (),
    model: Any = "nano",
    progress: Progress | None = None,
) -> list[WordScore]:
    """Score a word on a folder of labelled pictures, whose objects all are what it names.

    Parameters
    ----------
    folder, sources, limit, model, progress
        As for `geosam.evaluation.evaluate`.
    text
        The word that names the objects.
    absent
        Words that name nothing in these pictures.
    text_model, words
        As of `geosam.SegmentOptions`.

    Returns
    -------
    A row for each word and source, and one for each word's mean over sources.

    Raises
    ------
    OptionError
        If the folder holds no labelled picture, or a word is not known.
    """
    pictures = list_pictures(Path(folder), sources=sources, limit=limit)
    counted: dict[tuple[str, str], list[Counted]] = defaultdict(list)
    told = {"text_model": text_model, "words": tuple(words)}
    for picture in (progress or Progress()).track(pictures, "evaluate", unit="pictures"):
        for word, here in _score_picture(picture, text, absent, model=model, told=told):
            counted[word, picture.source].append(here)
    if not counted:
        raise OptionError(f"{folder} without masks", expected="pictures whose objects are drawn")
    return table(counted)


def _score_picture(
    picture: LabelledPicture, text: str, absent: str | None, *, model: Any, told: dict[str, Any]
) -> Iterator[tuple[str, Counted]]:
    scene = open_scene(picture.file)
    asked = Request.of(scene, None, model=model, options=None, changes={"text": text, **told}).asked
    if len(asked) != 1:
        raise OptionError(f"text {text!r}", expected="the one word that names the objects of the pictures")
    ids = read_truth(picture, scene).ids
    if ids is None:
        return
    seen = suited(scene, asked)
    true = at_pixels(ids > 0, seen.shape)
    both = text if not absent else f"{text}, {absent}"
    for number, (word, score) in enumerate(score_rasters(seen, both, model=model, **told)):
        valid = np.ones(true.shape, bool)
        yield word, Counted.of(score, true if number == 0 else np.zeros_like(true), valid)


def at_pixels(mask: Bool[np.ndarray, "_ _"], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask on the pixels of another grid over the same ground: what lies at their centres.

    Examples
    --------
    >>> at_pixels(np.array([[True, False]]), (2, 4)).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0]]
    """
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * of / n).astype(int), of - 1) for n, of in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, cols)]


def score_rasters(
    scene: Scene, text: str, *, model: Any = "nano", **told: Any
) -> Iterator[tuple[str, Float32[np.ndarray, "h w"]]]:
    """Each word of a text with the score that it gives every pixel of a scene when it is asked alone."""
    request = Request.of(scene, None, model=model, options=None, changes={"text": text, **told})
    if isinstance(request.reader, WordFinder):
        for each in request.asked:
            found = segment(scene, model=model, text=each.prompt, text_threshold=LEAST, **told)
            shapes = zip(scene.to_px(found.geometry), found.score.tolist(), strict=True)
            drawn = [(shape, score) for shape, score in shapes if not shape.is_empty]
            blank = np.zeros(scene.shape, np.float32)
            yield each.word.word, rasterize(drawn, out=blank) if drawn else blank
        return
    with tempfile.TemporaryDirectory(prefix="geosam-words-") as folder, Journal(folder, "evaluate") as journal:
        run = Run(request, journal)
        coverage = cover_scene(run)
        scores, _ = Reading(run, coverage).all()
        labels = np.concatenate([rows for _, rows in coverage.strips()])
    for column, each in enumerate(request.asked):
        yield each.word.word, np.concatenate([np.zeros(1, np.float32), scores[:, column]])[labels]


def table(counted: dict[tuple[str, str], list[Counted]]) -> list[WordScore]:
    """A row for each word and source, and one for each word's mean over sources."""
    rows = []
    for word in dict.fromkeys(word for word, _ in counted):
        mine = {source: pictures for (each, source), pictures in counted.items() if each == word}
        of_word = [_row(word, source, pictures) for source, pictures in mine.items()]
        rows += of_word
        if len(of_word) > 1:
            rows.append(_mean(word, of_word, [sum(pictures[1:], pictures[0]) for pictures in _present(mine)]))
    return rows


def _present(mine: dict[str, list[Counted]]) -> list[list[Counted]]:
    present = ([each for each in pictures if each.inside.sum()] for pictures in mine.values())
    return [pictures for pictures in present if pictures]


def _row(word: str, source: str, pictures: list[Counted]) -> WordScore:
    there = [each for each in pictures if each.inside.sum()]
    absent = [each for each in pictures if not each.inside.sum()]
    nan = float("nan")
    false = float(np.mean([each.above[1, HALF] / max(each.outside.sum(), 1) for each in absent])) if absent else nan
    if not there:
        return WordScore(word, source, len(pictures), nan, nan, nan, nan, nan, false)
    whole = sum(there[1:], there[0])
    hit, wrong = whole.above[:, HALF]
    best = int(whole.f1.argmax())
    precision, recall = hit / max(hit + wrong, 1), hit / whole.inside.sum()
    return WordScore(
        word,
        source,
        len(pictures),
        float(precision),
        float(recall),
        float(whole.f1[HALF]),
        float(whole.f1[best]),
        best / STEPS,
        false,
    )


def _mean(word: str, rows: list[WordScore], present: list[Counted]) -> WordScore:
    """Means over the sources; the best threshold is one for all of them."""

    def mean(name: str) -> float:
        known = [value for value in (getattr(row, name) for row in rows) if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    precision, recall, f1, false = (mean(name) for name in ("precision", "recall", "f1", "false_area"))
    curve = np.mean([each.f1 for each in present], axis=0) if present else np.full(STEPS, np.nan)
    best = int(np.argmax(np.nan_to_num(curve, nan=-1.0)))
    at = best / STEPS if present else float("nan")
    count = sum(row.pictures for row in rows)
    return WordScore(word, ALL, count, precision, recall, f1, float(curve[best]), at, false)


def write_scores(rows: Sequence[WordScore], path: str | os.PathLike[str]) -> Path:
    """Write the table as ``.csv``; an existing file is replaced.

    Raises
    ------
    SinkError
        If it cannot be written.
    """
    target = check_path(path, (".csv",), overwrite=True)
    with staged(target) as file, named_errors(target), file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, [each.name for each in fields(WordScore)])
        writer.writeheader()
        for row in rows:
            numbers = {name: value for name, value in asdict(row).items() if isinstance(value, float)}
            plain = {name: "" if np.isnan(value) else round(value, 4) for name, value in numbers.items()}
            writer.writerow(asdict(row) | plain)
    return target
