"""The port through which masks are asked for."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from geosam.arrays import Boxes, Logits, MaskScores, PointLabels, Points

MaskPrompts = Float32[np.ndarray, "n _ _"]
"""Mask logits that cover the window at any sampling, also another than the answer's."""


@runtime_checkable
class MaskDecoder(Protocol):
    """Whatever answers prompts on an embedded window.

    `geosam.sam.model.Predictor` is one; `geosam.testing.TruthDecoder` is a perfect one.
    """

    def decode(
        self,
        arrays: tuple[np.ndarray, ...],
        shape: tuple[int, int],
        *,
        points: Points,
        labels: PointLabels,
        boxes: Boxes | None = None,
        mask_logits: MaskPrompts | None = None,
        multimask: bool = True,
    ) -> tuple[Logits, MaskScores]:
        """Answer ``n`` prompts.

        Parameters
        ----------
        arrays
            What the image encoder made of the window.
        shape
            ``(h, w)`` of the window in pixels.
        points, labels
            Clicks in window pixels, ``(x, y)`` from the corner of the first pixel, and what they mean: 1 inside, 0
            outside, -1 padding.
        boxes
            ``xyxy`` in window pixels.
        mask_logits
            Earlier logits, or a mask as logits, that cover the window at any sampling.
        multimask
            True for the alternatives of an ambiguous prompt (mostly three), False for one answer.

        Returns
        -------
        logits, iou
            Mask logits that cover exactly the window, at its own or a coarser sampling, and the IoU that each mask is
            predicted to have.
        """
        ...
