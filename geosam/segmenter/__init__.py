"""The port of every model: how a window is embedded, how it is asked, and how answers become masks.

- `Segmenter`: a model of two verbs, ``encode: pixels → Features`` and ``decode: Features × PromptBatch → Answers``.
- `Capabilities`: what a model can do beyond them, as data.
- `Recipe`: how clicks, boxes and grids become masks with it, as data; it travels with the weights.
- `WordReader`, `WordFinder`: who scores regions by words, and who finds what a word names.

Nothing here knows any model, and nothing above asks which one it is.
"""

from geosam.segmenter.port import Capabilities, Features, Refined, Segmenter, batches, check_recipe
from geosam.segmenter.prompts import Answers, PromptBatch, check_pixels
from geosam.segmenter.recipe import (
    Boxes,
    Clicks,
    Everything,
    Quality,
    Recipe,
    Refinement,
    SecondPass,
    Suppression,
)
from geosam.segmenter.words import Proposals, WordFinder, WordReader, centred

__all__ = [
    "Answers",
    "Boxes",
    "Capabilities",
    "Clicks",
    "Everything",
    "Features",
    "PromptBatch",
    "Proposals",
    "Quality",
    "Recipe",
    "Refined",
    "Refinement",
    "SecondPass",
    "Segmenter",
    "Suppression",
    "WordFinder",
    "WordReader",
    "batches",
    "centred",
    "check_pixels",
    "check_recipe",
]
