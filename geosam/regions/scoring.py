"""Which nodes of the tree are objects: a small calibrated model of their measures.

Two layers of 64 units, in numpy. Learned by `geosam.training.region_scores` from rendered worlds and openly licensed
pictures; the file says how, with which seed, and what it reached on pictures that it never saw.
"""

import itertools
import json
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from os import PathLike

import numpy as np
from jaxtyping import Float32

from geosam.errors import ModelError, WeightsError
from geosam.regions.measures import NAMES

FILE = "scores.npz"
"""The head that comes with the package."""

BOUND = 5.0
"""Standardised measures are clipped to so many standard deviations: what is odder was never seen."""


@dataclass(frozen=True, eq=False)
class ScoreHead:
    """A node's chance to agree with an object at an IoU of at least 0.5, and of at least 0.75.

    Attributes
    ----------
    mean, spread
        Of the measures, ``m``.
    layers
        Weights (``in out``) and biases, in turn.
    facts
        How it came to be.

    Raises
    ------
    ModelError
        If the layers do not fit one another or the measures.
    """

    mean: Float32[np.ndarray, "m"]
    spread: Float32[np.ndarray, "m"]
    layers: tuple[np.ndarray, ...]
    facts: dict

    def __post_init__(self) -> None:
        widths = [len(self.mean), *(len(bias) for bias in self.layers[1::2])]
        given = [weight.shape for weight in self.layers[::2]]
        if widths[0] != len(NAMES) or given != list(itertools.pairwise(widths)) or widths[-1] != 2:
            raise ModelError(
                f"a head of {given} for {widths[0]} measures", expected=f"{len(NAMES)} measures, 2 chances"
            )

    def score(self, measures: Float32[np.ndarray, "n m"]) -> Float32[np.ndarray, "n 2"]:
        """Chances of nodes, in [0, 1]."""
        x = np.clip((measures - self.mean) / self.spread, -BOUND, BOUND)
        *hidden, last = zip(self.layers[::2], self.layers[1::2], strict=True)
        for weight, bias in hidden:
            x = np.maximum(x @ weight + bias, 0)
        return (1 / (1 + np.exp(-(x @ last[0] + last[1])))).astype(np.float32)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the head as ``.npz``, without pickles."""
        arrays = {f"layer{number}": layer.astype(np.float32) for number, layer in enumerate(self.layers)}
        arrays |= {
            "mean": self.mean,
            "spread": self.spread,
            "facts": np.frombuffer(json.dumps(self.facts).encode(), np.uint8),
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(
                    zipfile.ZipInfo(f"{name}.npy"), "w"
                ) as member:  # of no date: the same bytes each time
                    np.lib.format.write_array(member, array, allow_pickle=False)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> "ScoreHead":
        """Read a head that `write` wrote.

        Raises
        ------
        WeightsError
            If the file is absent, damaged or another one.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                layers = tuple(file[f"layer{number}"] for number in range(len(file.files) - 3))
                return cls(file["mean"], file["spread"], layers, json.loads(file["facts"].tobytes()))
        except ModelError:
            raise
        except Exception as error:  # a damaged file raises almost anything
            raise WeightsError(
                f"{path}: {error}", expected="a head of region scores", hint="install geosam anew"
            ) from error


@lru_cache(maxsize=1)
def load_head() -> ScoreHead:
    """The head that comes with the package."""
    return ScoreHead.read(str(files("geosam.regions") / FILE))
