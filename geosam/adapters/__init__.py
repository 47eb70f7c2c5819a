"""Other families of Segment Anything behind the pipeline's port, over the `transformers` library.

Each family is a file with one class: which model of the library it wraps, what its image encoder gives, which published
checkpoints there are. `FAMILIES` lists them, a line each; that is all that a further family needs.

Models that understand words answer another port, and are listed in `TEXT_FAMILIES`: `clip` scores regions,
`grounding_dino` and `owlv2` find boxes, `sam3_concepts` finds masks; `vocabulary` reads what lies beside their weights.

`preprocess` says how a window lies on a network's input, `adapter` holds what all families share, `sources` finds
weights by name or path, `loading` loads them. The library is imported when a model is loaded, never before:
``pip install "geosam[transformers]"``.
"""

from geosam.adapters.adapter import Adapter
from geosam.adapters.family import Published
from geosam.adapters.loading import load
from geosam.adapters.sources import FAMILIES, Source, find_source, published, where
from geosam.adapters.texts import TEXT_FAMILIES, TextRow, load_text, text_models

__all__ = [
    "FAMILIES",
    "TEXT_FAMILIES",
    "Adapter",
    "Published",
    "Source",
    "TextRow",
    "find_source",
    "load",
    "load_text",
    "published",
    "text_models",
    "where",
]
