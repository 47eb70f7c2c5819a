"""What a region is: one of fourteen kinds, and how sure that is."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from safetensors import SafetensorError, safe_open

from geosam.backbone.network import CHANNELS
from geosam.errors import ModelError, WeightsError
from geosam.recognition.description import RegionFeatures, names
from geosam.recognition.loading import FOLDER

KINDS = (
    "building",
    "road",
    "water",
    "tree",
    "crop",
    "grass",
    "bare ground",
    "solar panel",
    "vehicle",
    "landslide",
    "pool",
    "shadow",
    "snow",
    "other",
)
"""The kinds, in the order of the head's outputs: ``tree`` is a crown or a forest, ``crop`` a field in any state."""

HEAD_FILE = FOLDER / "kinds.safetensors"
"""The head, made by `geosam.training.kinds`."""

LIMIT = 6.0
"""Standard deviations beyond which a feature counts no more: what is so far from all that was learned says little."""


@dataclass(frozen=True, eq=False)
class KindHead:
    """A linear classifier of region features whose probabilities are calibrated.

    Parameters
    ----------
    centre, scale
        Of each feature: what is taken off, and what it is divided by. A feature that the head does not use has an
        infinite scale.
    weight, bias
        Of each kind; the temperature (Guo et al. 2017, "On calibration of modern neural networks") is in them.
    backbone
        Beginning of the keys of features that it was fitted on.

    Raises
    ------
    ModelError
        If the shapes do not fit `KINDS` and the features.
    """

    centre: Float32[np.ndarray, "d"]
    scale: Float32[np.ndarray, "d"]
    weight: Float32[np.ndarray, "k d"]
    bias: Float32[np.ndarray, "k"]
    backbone: str

    def __post_init__(self) -> None:
        k, d = len(KINDS), len(names())
        shapes = tuple(each.shape for each in (self.centre, self.scale, self.weight, self.bias))
        if shapes != ((d,), (d,), (k, d), (k,)):
            raise ModelError(f"a head of shapes {shapes}", expected=f"{k} kinds of {d} features", hint="fit it again")

    def probabilities(self, features: RegionFeatures) -> Float64[np.ndarray, "n k"]:
        """Probability of each kind for each region; the same for a region however many are asked with it.

        Raises
        ------
        ModelError
            If the features are another backbone's.
        """
        if not features.key.startswith(self.backbone):
            given = f"features of {features.key!r}"
            raise ModelError(given, expected=f"those of {self.backbone!r}", hint="describe the regions again")
        logits = self.logits(features.values)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    def logits(self, values: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n k"]:
        """Logits of rows of features."""
        standard = np.clip((levelled(values) - self.centre) / self.scale, -LIMIT, LIMIT)  # n d
        # einsum without BLAS, whose sums depend on how many rows there are
        return np.einsum("nd,kd->nk", standard, self.weight.astype(np.float64), optimize=False) + self.bias


def levelled(values: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Features as the head takes them: those of each stride by their length, so that contrast says nothing.

    Pictures of a source that the head has not seen differ from others by haze, sharpness and contrast first of all.

    Examples
    --------
    >>> bright = levelled(np.full((1, len(names())), 4, np.float32))
    >>> float(np.linalg.norm(bright[0, :CHANNELS[0]]).round(6)), float(bright[0, -1])
    (1.0, 4.0)
    """
    found, first = values.astype(np.float64), 0
    for count in CHANNELS:
        part = found[:, first : first + count]
        part /= np.sqrt((part**2).sum(1, keepdims=True)) + 1e-6
        first += count
    return found


@cache
def load_head(path: Path = HEAD_FILE) -> KindHead:
    """Load the head of the package; kept for the next time.

    Raises
    ------
    WeightsError
        If its file is absent or damaged.
    """
    try:
        with safe_open(path, "np") as file:
            said = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in ("centre", "scale", "weight", "bias")}
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{str(path)!r} ({error})", expected="the head of kinds", hint="install geosam again"
        ) from error
    if said.get("kinds") != ",".join(KINDS):
        raise WeightsError(
            f"{path.name} tells {said.get('kinds')} apart", expected=",".join(KINDS), hint="fit it again"
        )
    return KindHead(**arrays, backbone=said["backbone"])


def kinds_of(features: RegionFeatures, head: KindHead | None = None) -> tuple[list[str], Float32[np.ndarray, "n"]]:
    """Name the likeliest kind of each region, and its probability.

    Examples
    --------
    >>> from geosam.recognition.loading import load_backbone
    >>> nothing = RegionFeatures(np.zeros((0, len(names())), np.float32), np.zeros(0, np.int64), load_backbone().key)
    >>> kinds_of(nothing)[0]
    []
    """
    found = (head or load_head()).probabilities(features)  # n k
    best = found.argmax(1)
    return [KINDS[each] for each in best], found[np.arange(len(best)), best].astype(np.float32)
