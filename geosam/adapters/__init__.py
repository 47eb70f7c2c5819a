"""Other families of Segment Anything behind the pipeline's port, over the `transformers` library.

Each family is a file with one class: which model of the library it wraps, what its image encoder gives, which published
checkpoints there are. `FAMILIES` lists them, a line each; that is all that a further family needs.

`preprocess` says how a window lies on a network's input, `adapter` holds what all families share, `sources` finds
weights by name or path, `loading` loads them. The library is imported when a model is loaded, never before:
``pip install "geosam[transformers]"``.
"""

from geosam.adapters.adapter import Adapter
from geosam.adapters.family import Published
from geosam.adapters.loading import load
from geosam.adapters.sources import FAMILIES, Source, find_source, published, where

__all__ = ["FAMILIES", "Adapter", "Published", "Source", "find_source", "load", "published", "where"]
