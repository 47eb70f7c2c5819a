"""The recogniser's networks as they lie in the package."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import torch

from geosam.backbone import BACKBONE_FILE, STRIDES, Backbone, PreparedBackbone, quick_dtype, read_backbone
from geosam.errors import ModelError
from geosam.recognition.maps import FeatureMaps, grid, rounded

FOLDER = Path(__file__).parent / "weights"
"""Where the package keeps them."""

KEY_DIGITS = 12
"""Hexadecimal digits of a file's hash in a key."""


class Encoder:
    """The backbone, ready for windows; made by `load_backbone`.

    Attributes
    ----------
    key
        Identifies weights, phases and precision: the same key, the same features.
    """

    def __init__(self, backbone: Backbone, *, name: str, dtype: torch.dtype) -> None:
        self._network = PreparedBackbone(backbone, dtype)
        precision = str(dtype).removeprefix("torch.")
        self.key = f"{name}-{''.join(map(str, backbone.phases))}-{precision}"

    def encode(self, pixels: np.ndarray) -> FeatureMaps:
        """Features of a window.

        Parameters
        ----------
        pixels
            Display-ready red, green and blue, as a `Chip` holds them: ``3 h w`` of uint8, any shape.

        Raises
        ------
        ModelError
            If it is not three bands of bytes.
        """
        if pixels.ndim != 3 or pixels.shape[0] != 3 or pixels.dtype != np.uint8 or min(pixels.shape) < 1:
            given = f"pixels of {pixels.dtype} and shape {pixels.shape}"
            raise ModelError(given, expected="3 h w of uint8", hint="read them with Scene.read")
        h, w = pixels.shape[1:]
        rows, cols = (n * STRIDES[-1] for n in grid((h, w), STRIDES[-1]))
        whole = np.pad(pixels, ((0, 0), (0, rows - h), (0, cols - w)), mode="edge")  # 3 rows cols
        maps = self._network(torch.from_numpy(whole)[None])  # each 1 c rows/s cols/s
        arrays = []
        for found, stride in zip(maps, STRIDES, strict=True):
            gh, gw = grid((h, w), stride)
            arrays.append(rounded(np.ascontiguousarray(found[0, :, :gh, :gw].numpy())))
        return FeatureMaps(tuple(arrays), (h, w), self.key)


@cache
def load_backbone(dtype: str = "auto") -> Encoder:
    """Load the backbone of the package; kept for the next time.

    Parameters
    ----------
    dtype
        ``"float32"``, ``"bfloat16"``, or ``"auto"`` for what this processor computes quickly.

    Raises
    ------
    ModelError
        If there is no such precision.
    WeightsError
        If its file is absent or damaged.

    Examples
    --------
    >>> maps = load_backbone("float32").encode(np.zeros((3, 100, 64), np.uint8))
    >>> [each.shape for each in maps.arrays]
    [(24, 25, 16), (40, 13, 8), (112, 7, 4), (320, 4, 2)]
    """
    known = {"auto": quick_dtype(), "float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in known:
        raise ModelError(f"dtype={dtype!r}", expected=f"one of {', '.join(known)}")
    name = f"lite0-{hashlib.sha256(BACKBONE_FILE.read_bytes()).hexdigest()[:KEY_DIGITS]}"
    return Encoder(read_backbone(), name=name, dtype=known[dtype])
