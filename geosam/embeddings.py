"""``Chip → Embedding``: what a model makes of a window, once, for however many prompts follow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from geosam.errors import ModelError
from geosam.scene import Chip
from geosam.segmenter import Features, Segmenter


@dataclass(frozen=True, eq=False)
class Embedding:
    """One window as the model remembers it.

    Parameters
    ----------
    features
        What it made of the pixels.
    window
        Where the window lies on the working pixel grid.

    Raises
    ------
    ModelError
        If the features are not ``float16``, or the window has another shape.
    """

    features: Features
    window: Window

    def __post_init__(self) -> None:
        kinds = {str(array.dtype) for array in self.arrays}
        if kinds != {"float16"}:
            raise ModelError(f"features of {', '.join(sorted(kinds))}", expected="all float16")
        if self.shape != (self.window.height, self.window.width):
            raise ModelError(f"features of {self.shape} pixels", expected=f"the shape of {self.window}")

    @property
    def shape(self) -> tuple[int, int]:
        """``(h, w)`` of the window in pixels."""
        return self.features.shape

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order in which a store keeps them."""
        return self.features.arrays


def embed(chip: Chip, segmenter: Segmenter) -> Embedding:
    """Encode a window; parameters and errors are those of `embed_many`."""
    return embed_many([chip], segmenter)[0]


def embed_many(chips: Sequence[Chip], segmenter: Segmenter) -> list[Embedding]:
    """Encode windows together.

    Parameters
    ----------
    chips
        The windows' pixels and places.
    segmenter
        The model.

    Raises
    ------
    ModelError
        If the features are not finite, as after an overflow of half precision.
    """
    if len(chips) == 1:
        found = [segmenter.encode(chips[0].pixels)]
    else:
        found = segmenter.encode_many([chip.pixels for chip in chips])
    return [_checked(chip, features, segmenter) for chip, features in zip(chips, found, strict=True)]


def _checked(chip: Chip, features: Features, segmenter: Segmenter) -> Embedding:
    if not all(np.isfinite(array).all() for array in features):
        raise ModelError(
            f"{segmenter.key} gave features that are not finite at {chip.window}",
            expected="finite numbers",
            hint="load the model with dtype='float32' (--dtype float32)",
        )
    return Embedding(features, chip.window)


def recall(chip: Chip, arrays: tuple[np.ndarray, ...], segmenter: Segmenter) -> Embedding:
    """Make the embedding of a window from arrays that `geosam.store.EmbeddingStore` kept of the same model."""
    h, w = chip.valid.shape
    return Embedding(Features.of(arrays, (h, w), picture=segmenter.capabilities.picture), chip.window)
