"""Which words are asked, who reads them, and the working pixel that suits them."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from platformdirs import user_data_path

from geosam.errors import ModelError, OptionError
from geosam.pipeline.options import SegmentOptions
from geosam.recognition import KindReader, LearnedWord, Prompt, Vocabulary, Word, load_vocabulary, read_text, read_word
from geosam.recognition.learned import SUFFIX
from geosam.recognition.vocabulary import folded, split_text
from geosam.scene import Scene
from geosam.scene.scale import OBJECT_PX, SCALES, at_scale
from geosam.segmenter import WordFinder, WordReader

log = logging.getLogger(__name__)

NEAR = 4.0
"""A working pixel within this factor of the one that suits a word is left as it is: on drone pictures of .13 m
(`train`) more houses are segments, and more ground is right, in their own pixels than in those of .42 m."""

Reader = KindReader | WordReader | WordFinder
"""Who reads words."""


def words_folder() -> Path:
    """The folder of the user's own words: ``GEOSAM_WORDS`` of the environment, or one among the user's data."""
    chosen = os.environ.get("GEOSAM_WORDS")
    return Path(os.path.expanduser(chosen)) if chosen else user_data_path("geosam") / "words"


def own_words(files: Sequence[str | os.PathLike[str]] = ()) -> dict[str, tuple[LearnedWord, Path]]:
    """Words of users by name, and where they lie: those of the user's folder, and before them those of some files.

    Raises
    ------
    WeightsError
        If a file that is named is no word; one of the folder that is none is left out, with a warning.
    """
    found: dict[str, tuple[LearnedWord, Path]] = {}
    for path in sorted(words_folder().glob(f"*{SUFFIX}")):
        try:
            word = read_word(path)
        except ModelError as error:
            log.warning("%s", error)
            continue
        found[word.word] = word, path
    for file in files:
        word = read_word(file)
        found[word.word] = word, Path(file)
    return found


def read_words(options: SegmentOptions, *, has_prompts: bool) -> tuple[tuple[Prompt, ...], Reader | None]:
    """The words that are asked and who reads them; none without a text.

    Raises
    ------
    OptionError
        If there are prompts as well, or a word is not known to the reader.
    ModelError
        If the larger model cannot be had.
    """
    if options.text is None:
        return (), None
    if has_prompts:
        hint = "find by words first, then correct single objects by points or boxes in a second run"
        raise OptionError("text together with prompts", expected="one of them", hint=hint)
    if options.text_model is None:
        reader = KindReader.of([word for word, _ in own_words(options.words).values()])
        return tuple(read_text(options.text, reader.vocabulary)), reader
    if options.words:
        raise OptionError("words together with text_model", expected="one of them: words are the built-in reader's")
    larger = load_reader(options.text_model)
    return tuple(read_open(options.text, larger)), larger


def load_reader(model: Any) -> WordReader | WordFinder:
    """The larger model itself, or the one that a name or a path stands for.

    Raises
    ------
    ModelError
        If it is none, or cannot be had.
    """
    if isinstance(model, WordReader | WordFinder):
        return model
    if not isinstance(model, str | os.PathLike):
        raise ModelError(f"a {type(model).__name__} as text_model", expected="a name, a path, or a reader of words")
    from geosam.adapters import load_text

    return load_text(model, device="cuda" if torch.cuda.is_available() else "cpu")


def read_open(text: Any, reader: WordReader | WordFinder) -> list[Prompt]:
    """Prompts for a reader that takes any words, or some: as they are said, known ones of other languages in English.

    Raises
    ------
    OptionError
        If the reader does not know one.
    """
    known: Vocabulary = load_vocabulary()
    found: dict[str, Prompt] = {}
    for prompt in split_text(text):
        word = known.find(prompt)
        one = word or Word(prompt.lower())
        if word is not None and folded(prompt) in known.english:
            one = replace(word, word=prompt.lower())
        if reader.words is not None and one.word not in reader.words:
            raise OptionError(f"text {prompt[:60]!r}", expected=f"one of {', '.join(reader.words)}")
        found.setdefault(one.word, Prompt(prompt, one))
    return list(found.values())


def suited(scene: Scene, prompts: Sequence[Prompt]) -> Scene:
    """See a scene at the working pixel that suits what is looked for, the finest if these differ; said in the log.

    A scene without metres stays as it is, and one whose pixel is within `NEAR` of that.
    """
    known = [SCALES[each.word.scale] for each in prompts if each.word.scale in SCALES]
    if not known or not np.isfinite(scene.resolution_m):
        return scene
    wanted = min(known) / OBJECT_PX
    if wanted / NEAR <= scene.resolution_m <= wanted * NEAR:
        return scene
    name = next(name for name, length in SCALES.items() if length == min(known))
    seen = at_scale(scene, name)
    log.info("looked at in pixels of %.2g m (%s), as suits the text", seen.resolution_m, name)
    return seen
