"""Words that users say, and what they mean here: kinds with synonyms, plurals and aliases in twelve languages.

The words are data (``words.json``). A text is split at commas; each part is one prompt, told apart from others without
regard to case, accents, hyphens and leading articles, and always as a whole: there is no car in a carpet.
"""

import difflib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files

from geosam.errors import OptionError
from geosam.recognition.kinds import KINDS

FILE = "words.json"
"""The words of the package."""

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "zh", "ja", "ar")
"""Those in which words have names."""

SEPARATORS = re.compile("[,;\n\uff0c\u3001\uff1b\u060c\u061b]")
"""What stands between two prompts: commas and semicolons, also those of Chinese, Japanese and Arabic."""

ACCENTS = re.compile("[\u0300-\u036f\u064b-\u0655\u0670]")
"""Marks above and below letters, of Latin, Cyrillic and Arabic; those of Japanese tell letters apart."""

STROKES = str.maketrans("\u0142", "l")
"""Letters whose mark is a part of them: the Polish l with a stroke."""

UMLAUTS = str.maketrans({"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue"})
"""How German is written where there are no umlauts."""

ARTICLE = re.compile("^\u0627\u0644(?=..)")
"""The Arabic article, which is written as one with its word."""

LIKE = 0.72
"""Least similarity (Ratcliff and Obershelp, as in `difflib`) of a word that is offered for an unknown one."""

OFFERED, LONGEST = 3, 200
"""Words that are offered at most; and characters of a prompt."""

INSTALL = 'any word at all takes a larger model: text_model=... (--text-model), with pip install "geosam[text]"'
"""What else may be done about an unknown word."""


@dataclass(frozen=True)
class Word:
    """A word that is known.

    Attributes
    ----------
    word
        What it is called in results: English, singular.
    kind
        Its kind among `geosam.recognition.KINDS`; empty for a word of a user's own.
    scale
        What to look at it with, a name of `geosam.scene.scale.SCALES`; empty for the scene's own pixel.
    spread
        Whether it covers ground without being told apart into objects, as water does: then neighbours are one.
    """

    word: str
    kind: str = ""
    scale: str = ""
    spread: bool = False


@dataclass(frozen=True)
class Prompt:
    """One prompt of a text.

    Attributes
    ----------
    prompt
        What was said.
    word
        What it means.
    """

    prompt: str
    word: Word


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words by what they may be called.

    Attributes
    ----------
    words
        All of them, in order.
    aliases
        What they may be called, folded.
    fillers
        Articles and the like, which say nothing at the beginning of a prompt.
    english
        Those of the aliases that are English.
    closest
        What is often looked for and not known, folded, and the word that comes closest to it.
    """

    words: tuple[Word, ...]
    aliases: Mapping[str, Word]
    fillers: frozenset[str]
    english: frozenset[str] = frozenset()
    closest: Mapping[str, str] = field(default_factory=dict)

    def find(self, prompt: str) -> Word | None:
        """The word that a prompt means; None if it is not known.

        Examples
        --------
        >>> known = load_vocabulary()
        >>> [known.find(text).word for text in ("Houses", "all the GEBÄUDE", "paneles solares", "山崩れ")]
        ['building', 'building', 'solar panel', 'landslide']
        >>> known.find("carpet") is None
        True
        """
        said = folded(prompt).split()
        return self._after_fillers(said) or self._after_fillers([ARTICLE.sub("", each) for each in said])

    def _after_fillers(self, said: list[str]) -> Word | None:
        for first in range(len(said)):
            found = self.aliases.get(" ".join(said[first:]))
            if found is not None:
                return found
            if said[first] not in self.fillers:
                return None
        return None

    def near(self, prompt: str) -> list[str]:
        """Known words that an unknown prompt may mean: those it contains, then those spelled like it.

        Examples
        --------
        >>> load_vocabulary().near("big red car"), load_vocabulary().near("bilding")
        (['vehicle'], ['building'])
        """
        said = folded(prompt)
        tokens = said.split()
        spans = (" ".join(tokens[i:j]) for i in range(len(tokens)) for j in range(len(tokens), i, -1))
        inside = [self.aliases[span].word for span in spans if span in self.aliases]
        alike = difflib.get_close_matches(said, self.aliases, n=2 * OFFERED, cutoff=LIKE)
        return list(dict.fromkeys([*inside, *(self.aliases[each].word for each in alike)]))[:OFFERED]

    def extended(self, words: Iterable[Word]) -> "Vocabulary":
        """With further words, which go before known ones of the same name."""
        own = tuple(words)
        names = {each.word for each in own}
        aliases = {folded(each.word): each for each in own}
        rest = (each for each in self.words if each.word not in names)
        return replace(self, words=(*own, *rest), aliases={**self.aliases, **aliases})


@cache
def load_vocabulary() -> Vocabulary:
    """The words of the package."""
    data = json.loads(files("geosam.recognition").joinpath(FILE).read_text(encoding="utf-8"))
    words, aliases = [], {}
    for row in data["words"]:
        word = Word(row["word"], row["kind"], row["scale"], row.get("spread", False))
        if word.kind not in KINDS:
            raise OptionError(f"{FILE}: kind {word.kind!r} of {word.word!r}", expected=", ".join(KINDS))
        words.append(word)
        aliases.update((folded(each), word) for language in LANGUAGES for each in row[language])
        aliases.update((folded(each.translate(UMLAUTS)), word) for each in row["de"])
    english = frozenset(folded(each) for row in data["words"] for each in row["en"])
    closest = {folded(each): word for word, others in data["closest"].items() for each in others}
    return Vocabulary(tuple(words), aliases, frozenset(map(folded, data["fillers"])), english, closest)


def names_in(language: str) -> list[tuple[Word, list[str]]]:
    """Each word of the package with its names in a language.

    Raises
    ------
    OptionError
        If there are none in that language.

    Examples
    --------
    >>> names_in("it")[0][1][:2]
    ['edificio', 'edifici']
    """
    if language not in LANGUAGES:
        raise OptionError(f"language {language!r}", expected=", ".join(LANGUAGES))
    data = json.loads(files("geosam.recognition").joinpath(FILE).read_text(encoding="utf-8"))
    known = {each.word: each for each in load_vocabulary().words}
    return [(known[row["word"]], list(row[language])) for row in data["words"]]


def folded(text: str) -> str:
    """A text without regard to case, accents, hyphens, apostrophes and space.

    Examples
    --------
    >>> folded("  Panneau-Photovoltaïque "), folded("Straße"), folded("Skała"), folded("プール")
    ('panneau photovoltaique', 'strasse', 'skala', 'プール')
    """
    bare = ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold().translate(STROKES)))
    return " ".join(re.sub("[-_'\u2019`]", " ", unicodedata.normalize("NFC", bare)).split())


def split_text(text: str | Iterable[str]) -> list[str]:
    """The prompts of a text, in order, each once.

    Raises
    ------
    OptionError
        If there is none, or one is endless.

    Examples
    --------
    >>> split_text("building, solar panel"), split_text(["a lake"]), split_text("湖、川")
    (['building', 'solar panel'], ['a lake'], ['湖', '川'])
    """
    given = [text] if isinstance(text, str) else list(text)
    parts = [" ".join(part.split()) for each in given for part in SEPARATORS.split(str(each))]
    prompts = list(dict.fromkeys(part for part in parts if part))
    if not prompts:
        raise OptionError(f"text={text!r}", expected='words, as in "building, solar panel"')
    if max(map(len, prompts)) > LONGEST:
        raise OptionError(f"text: a prompt of {max(map(len, prompts))} characters", expected=f"at most {LONGEST}")
    return prompts


def read_text(text: str | Iterable[str], vocabulary: Vocabulary | None = None) -> list[Prompt]:
    """The prompts of a text and what they mean.

    Raises
    ------
    OptionError
        If a word is not known, with those that it may mean; or two prompts mean the same.

    Examples
    --------
    >>> [(each.prompt, each.word.word) for each in read_text("Häuser, pv panels")]
    [('Häuser', 'building'), ('pv panels', 'solar panel')]
    >>> read_text("helipad")
    Traceback (most recent call last):
    geosam.errors.OptionError: text 'helipad': expected building, road, water, tree, crop, grass, bare ground, ...
    """
    known = vocabulary or load_vocabulary()
    found: dict[str, Prompt] = {}
    for prompt in split_text(text):
        word = known.find(prompt)
        if word is None:
            raise unknown(prompt, known)
        if word.word in found:
            given = f"text {prompt!r} beside {found[word.word].prompt!r}, which both mean {word.word!r}"
            raise OptionError(given, expected="different words", hint="leave one out")
        found[word.word] = Prompt(prompt, word)
    return list(found.values())


def unknown(prompt: str, known: Vocabulary) -> OptionError:
    """What is said of a word that is not known."""
    near, names = known.near(prompt), ", ".join(each.word for each in known.words)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    if (closest := known.closest.get(folded(prompt))) is not None:
        hint = f"what comes closest is {closest!r}, which is not the same; "
    own = 'teach it by examples: geosam words add "' + prompt[:40] + '" --examples …'
    return OptionError(f"text {prompt[:60]!r}", expected=names, hint=f"{hint}{own}; {INSTALL}")
