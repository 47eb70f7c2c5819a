"""Words that a user teaches: a few examples on a scene become a file that reads any scene."""

import logging
import re
from collections.abc import Sequence
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from geopandas import GeoDataFrame, GeoSeries
from jaxtyping import Int64

from geosam.errors import OptionError, PromptError
from geosam.pipeline.reading import own_words, words_folder
from geosam.pipeline.run import open_store
from geosam.recognition import Describer, Examples, LearnedWord
from geosam.recognition.learned import SUFFIX
from geosam.recognition.scenes import WINDOW
from geosam.recognition.vocabulary import SEPARATORS, folded
from geosam.scene import Scene, open_scene
from geosam.scene.scale import SCALES
from geosam.sinks.places import check_path
from geosam.sinks.staging import named_errors, staged
from geosam.vectors import Purpose, read_vector

SQUARE_PX, SQUARES = 32, 512
"""Side of the squares that show what ground there is around the examples, and how many there are at most."""

log = logging.getLogger(__name__)

EXAMPLES = Purpose.bare(PromptError, "examples")
WRONG = 8
"""Squares that are taken for wrong examples where none are given."""

SAME = 0.5
"""Share of the smaller of two examples from which on they are the same ground."""

LONGEST = 60
"""Characters of a word."""


def teach(
    word: str,
    scene: Any,
    examples: Any,
    *,
    wrong: Any = None,
    scale: str = "",
    store: Any = "auto",
) -> LearnedWord:
    """Learn a word from a few examples on a scene.

    Parameters
    ----------
    word
        What it is called from now on.
    scene
        What the examples lie on: a `Scene`, or whatever `geosam.open_scene` opens.
    examples
        What the word names: polygons, or points and boxes, of which the built-in model draws polygons. A vector file,
        a GeoDataFrame or geometries in any CRS; five are enough.
    wrong
        What it does not name, likewise; None for squares of ground beside the examples.
    scale
        What it is to be looked at with, a name of `geosam.scene.scale.SCALES`; empty for a scene's own pixel.
    store
        Where what the backbone sees of windows is kept, as for `geosam.segment`: the next examples take no encoder.

    Returns
    -------
    LearnedWord
        The word; `keep` writes it.

    Raises
    ------
    OptionError
        If the word or the scale is none, there are fewer than three examples of either sort, or one is of both.
    PromptError, SceneError
        If the examples or the scene cannot be used.
    """
    name = checked_word(word)
    if scale and scale not in SCALES:
        raise OptionError(f"scale {scale!r}", expected=f"one of {', '.join(SCALES)}")
    opened = scene if isinstance(scene, Scene) else open_scene(scene, resolution=scale or None)
    right = drawn(examples, opened)
    if not len(right):
        raise OptionError(f"examples of {name!r} without an outline", expected="at least three places on the scene")
    others = np.array([], object) if wrong is None else drawn(wrong, opened)
    _check_contradiction(right, others)
    squares = around(opened, np.concatenate([right, others]))
    apart = ~_meets(squares, right)
    given = len(others) or min(WRONG, int(apart.sum()))
    regions = np.concatenate([right, others, squares])
    features = Describer(store=open_store(store)).describe(GeoSeries(opened.to_world(regions), crs=opened.crs), opened)
    n = len(right)
    rows = np.arange(n, n + len(others)) if len(others) else n + _spread(np.flatnonzero(apart), given)
    facts = {"scene": opened.name, "resolution_m": _finite(opened.resolution_m), "examples": [n, len(rows)]}
    return LearnedWord.learn(name, features, Examples(np.arange(n), rows), scale=scale, facts=facts)


def checked_word(word: str) -> str:
    """A word that can be asked for later.

    Raises
    ------
    OptionError
        If it is empty, endless, or would be split into several.

    Examples
    --------
    >>> checked_word("  green   house ")
    'green house'
    """
    name = " ".join(str(word).split())
    if not folded(name) or len(name) > LONGEST or SEPARATORS.search(name) or not name.isprintable():
        raise OptionError(f"word {word!r}", expected=f"1 to {LONGEST} characters without commas and semicolons")
    return name


def drawn(places: Any, scene: Scene) -> np.ndarray:
    """Examples as polygons in pixels of the scene: polygons as they are, points and boxes as the model answers them."""
    table = places if isinstance(places, GeoDataFrame | GeoSeries) else read_vector(places, purpose=EXAMPLES)
    flat = shapely.get_dimensions(np.asarray(table.geometry.array, object)) == 2
    found = [scene.to_px(table.geometry[flat])]
    if not flat.all():
        from geosam.pipeline import segment

        answered = segment(scene, geopandas.GeoSeries(table.geometry[~flat], crs=table.crs))
        found.append(scene.to_px(answered.geometry))
        lost = int((~flat).sum()) - len(answered)
        if lost:
            log.warning("%d of %d examples name nothing that could be outlined: draw polygons there", lost, len(flat))
    return np.concatenate([np.asarray(each, object) for each in found])


def around(scene: Scene, examples_px: np.ndarray) -> np.ndarray:
    """Squares of ground in the windows that the examples lie in, at most `SQUARES`, drawn evenly."""
    height, width = scene.shape
    size = (-(-height // WINDOW), -(-width // WINDOW))
    cells = set()
    for x0, y0, x1, y1 in shapely.bounds(examples_px).reshape(-1, 4):
        rows = range(max(int(y0 // WINDOW), 0), min(int(y1 // WINDOW) + 1, size[0]))
        cells |= {(row, col) for row in rows for col in range(max(int(x0 // WINDOW), 0), int(x1 // WINDOW) + 1)}
    corners = [
        (x, y)
        for row, col in sorted(cells)
        for y in range(row * WINDOW, min((row + 1) * WINDOW, height) - SQUARE_PX // 2, SQUARE_PX)
        for x in range(col * WINDOW, min((col + 1) * WINDOW, width) - SQUARE_PX // 2, SQUARE_PX)
    ]
    chosen = np.array(corners, np.float64).reshape(-1, 2)
    x, y = chosen[_spread(np.arange(len(chosen)), SQUARES)].T
    return shapely.box(x, y, np.minimum(x + SQUARE_PX, width), np.minimum(y + SQUARE_PX, height))


def _check_contradiction(right: np.ndarray, wrong: np.ndarray) -> None:
    """Refuse examples of both sorts that are mostly the same ground."""
    one, other = shapely.STRtree(wrong).query(right, "intersects")
    shared = shapely.area(shapely.intersection(right[one], wrong[other]))
    least = np.minimum(shapely.area(right[one]), shapely.area(wrong[other]))
    same = np.flatnonzero(shared > SAME * least)
    if len(same):
        given = f"right example {one[same[0]]} and wrong example {other[same[0]]}, which are the same ground"
        raise OptionError(given, expected="places of one sort or the other")


def _meets(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    found = np.zeros(len(shapes), bool)
    found[shapely.STRtree(shapes).query(others, "intersects")[1]] = True
    return found


def _spread(rows: np.ndarray, count: int) -> Int64[np.ndarray, "n"]:
    """At most so many of some rows, evenly."""
    if not len(rows) or not count:
        return np.zeros(0, np.int64)
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))].astype(np.int64)


def _finite(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def word_path(word: str) -> Path:
    """Where a word lies in the user's own folder; a file of its own for each.

    Examples
    --------
    >>> word_path("green house").name, word_path("Green-House").name, word_path("green/house").name
    ('green-house.safetensors', 'green-house.safetensors', 'green-house-761b61.safetensors')
    """
    name = folded(word)
    plain = re.sub(r"[^\w]+", "-", name).strip("-")
    if plain.replace("-", " ") != name:
        plain = "-".join(filter(None, (plain, sha256(name.encode()).hexdigest()[:6])))
    return words_folder() / f"{plain}{SUFFIX}"


def keep(word: LearnedWord, path: str | PathLike[str] | None = None, *, overwrite: bool = False) -> Path:
    """Write a word to a file, by default in the user's own folder, where every later run finds it.

    Raises
    ------
    SinkError
        If the file exists and may not be replaced, or cannot be written.
    """
    place = word_path(word.word) if path is None else Path(path)
    if path is None:
        place.parent.mkdir(parents=True, exist_ok=True)
    target = check_path(place, (SUFFIX,), overwrite=overwrite)
    with staged(target, overwrite=overwrite) as part, named_errors(target):
        part.write_bytes(word.to_bytes())
    return target


def forget(word: str) -> Path:
    """Remove a word from the user's own folder.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    _, path = find_word(word)
    path.unlink()
    return path


def find_word(word: str, files: Sequence[str | PathLike[str]] = ()) -> tuple[LearnedWord, Path]:
    """A user's own word by its name, and where it lies.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    known = own_words(files)
    for name, found in known.items():
        if folded(name) == folded(word):
            return found
    raise OptionError(f"word {word!r}", expected=f"one of your own: {', '.join(known) or 'there is none yet'}")
