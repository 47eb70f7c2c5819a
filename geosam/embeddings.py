"""``Chip → Embedding``: what the image encoder makes of a window, once, for however many prompts follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from odc.geo.gcp import GCPGeoBox
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from geosam.arrays import AnyPixels, Pixels
from geosam.errors import ModelError
from geosam.scene import Chip


@runtime_checkable
class ImageEncoder(Protocol):
    """Whatever turns the pixels of a window into features.

    `geosam.sam.model.Predictor` is one; `geosam.testing.TruthEncoder` is a perfect one.
    """

    @property
    def side(self) -> int:
        """Longest side in pixels of a window that it takes without making it smaller."""
        ...

    @property
    def key(self) -> str:
        """Identifies the weights: the same key, the same features."""
        ...

    def encode(self, pixels: Pixels) -> tuple[np.ndarray, ...]:
        """Features of a window as ``float16``: coarse ones (``c gh gw``) first, then finer ones if there are any."""
        ...


@runtime_checkable
class ManyEncoder(ImageEncoder, Protocol):
    """An image encoder that may be quicker with several windows than with one after the other: a graphics card's."""

    @property
    def at_once(self) -> int:
        """Windows that are best given to it together."""
        ...

    def encode_many(self, windows: Sequence[AnyPixels]) -> list[tuple[np.ndarray, ...]]:
        """Features of windows, in their order: of each what `encode` gives, up to rounding."""
        ...


@dataclass(frozen=True, eq=False)
class Embedding:
    """One window as the network remembers it.

    Parameters
    ----------
    arrays
        The features as ``float16``, coarse ones first: rounded once, so that a stored embedding gives the same masks
        as a fresh one.
    shape
        ``(h, w)`` of the window in pixels.
    window
        Where the window lies on the working pixel grid.
    geobox
        Where the window lies in the world.
    model_key
        The encoder's key.

    Raises
    ------
    ModelError
        If there are no features, they are not ``float16``, or the window has another shape.
    """

    arrays: tuple[np.ndarray, ...]
    shape: tuple[int, int]
    window: Window
    geobox: GeoBox | GCPGeoBox
    model_key: str

    def __post_init__(self) -> None:
        kinds = [str(getattr(array, "dtype", type(array).__name__)) for array in self.arrays]
        if not kinds or set(kinds) != {"float16"}:
            given = ", ".join(kinds) or "none"
            raise ModelError(f"features of {self.model_key}: {given}", expected="at least one array, all float16")
        if self.shape != (self.window.height, self.window.width):
            raise ModelError(f"features of {self.shape} pixels", expected=f"the shape of {self.window}")

    @property
    def features(self) -> np.ndarray:
        """The coarse features (``c gh gw``)."""
        return self.arrays[0]


def at_once(encoder: ImageEncoder) -> int:
    """Tell how many windows are best given to an encoder together."""
    return encoder.at_once if isinstance(encoder, ManyEncoder) else 1


def embed(chip: Chip, encoder: ImageEncoder) -> Embedding:
    """Encode a window; parameters and errors are those of `embed_many`."""
    return _checked(chip, encoder.encode(chip.pixels), encoder)


def embed_many(chips: Sequence[Chip], encoder: ImageEncoder) -> list[Embedding]:
    """Encode windows, together if the encoder knows how to.

    Parameters
    ----------
    chips
        The windows' pixels and places.
    encoder
        The network.

    Raises
    ------
    ModelError
        If the features are not finite, as after an overflow of half precision.
    """
    if len(chips) < 2 or not isinstance(encoder, ManyEncoder):
        return [embed(chip, encoder) for chip in chips]
    found = encoder.encode_many([chip.pixels for chip in chips])
    return [_checked(chip, arrays, encoder) for chip, arrays in zip(chips, found, strict=True)]


def _checked(chip: Chip, arrays: tuple[np.ndarray, ...], encoder: ImageEncoder) -> Embedding:
    embedding = recall(chip, arrays, encoder.key)
    if not all(np.isfinite(array).all() for array in arrays):
        raise ModelError(
            f"{encoder.key} gave features that are not finite at {chip.window}",
            expected="finite numbers",
            hint="load the model with dtype='float32' (--dtype float32)",
        )
    return embedding


def recall(chip: Chip, arrays: tuple[np.ndarray, ...], model_key: str) -> Embedding:
    """Make the embedding of a window from features computed before, as `geosam.store.EmbeddingStore` keeps them."""
    h, w = chip.valid.shape
    return Embedding(arrays, (h, w), chip.window, chip.geobox, model_key)
