"""What a mask measures, and how good the network's judge expects it to be by these measures.

A click has several answers and a spot many clicks, so everything mode finds wholes, their parts and neither. Predicted
IoU alone chooses badly among them (Kirillov et al. 2023 leave the choice to the user); the measures below cost nothing,
for all of them are at hand once masks have been sketched.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from geosam.errors import OptionError
from geosam.masks.candidates import Candidate
from geosam.masks.decoder import JudgingDecoder, MaskDecoder

CHOICES = 3
"""A decoder's alternatives that are told apart."""


def judged(candidates: Sequence[Candidate], decoder: MaskDecoder, shape: tuple[int, int]) -> list[Candidate]:
    """Give each mask the IoU that the decoder's judge expects of it.

    Parameters
    ----------
    candidates
        Masks of one window, none empty, with their support.
    decoder
        Who found them.
    shape
        ``(h, w)`` of the window in pixels.

    Raises
    ------
    OptionError
        If the decoder has no judge.
    """
    if not isinstance(decoder, JudgingDecoder) or not decoder.judges:
        raise OptionError("judged=True", expected="a network that judges masks, as nano does", hint="leave it out")
    if not candidates:
        return []
    expected = decoder.judge(measure(candidates, shape)).tolist()
    return [replace(one, expected_iou=value) for one, value in zip(candidates, expected, strict=True)]


def measure(candidates: Sequence[Candidate], shape: tuple[int, int]) -> Float64[np.ndarray, "n m"]:
    """Measure masks of a window of ``shape`` ``(h, w)`` pixels.

    Returns
    -------
    For each, in this order: predicted IoU; support, and its root; stability; binary logarithm of the area in pixels;
    logarithm of how much longer its box is than wide, or wider than long; share of the box that it fills; logarithm of
    its outline's square over its area, least for a disc; three that tell which alternative it is; whether it was
    answered in its surroundings only; whether it touches the window's edge.
    """
    return np.array([_measure(one, shape) for one in candidates], np.float64)


def _measure(one: Candidate, shape: tuple[int, int]) -> list[float]:
    mask, support = one.mask, max(one.support or 0.0, 0.0)
    x0, y0, x1, y1 = mask.box
    mh, mw = mask.shape
    area_px = mask.area * (shape[0] * shape[1]) / (mh * mw)
    return [
        one.predicted_iou,
        support,
        support**0.5,
        one.stability,
        float(np.log2(area_px)),
        float(abs(np.log((y1 - y0) / (x1 - x0)))),
        mask.area / ((y1 - y0) * (x1 - x0)),
        float(np.log(max(len(mask.rim), 1) ** 2 / mask.area)),
        *(float(one.choice == choice) for choice in range(CHOICES)),
        float(one.local),
        float(x0 == 0 or y0 == 0 or x1 == mw or y1 == mh),
    ]
