"""The box in which a mask is asked for once more: a little larger than the mask.

A click says little about the object on which it stands; the box of the mask that came of it says where to look and how
far. So the second answer has the better outline, as a cascade of detectors has (Cai and Vasconcelos 2018, "Cascade
R-CNN"). Masks that came of points are too small more often than too large; in a box of their own size they could not
grow.
"""

import numpy as np
from jaxtyping import Float32

from geosam.masks.sketch import Sketch

GROWN = 0.08
"""How far the box reaches beyond the mask to every side, as a share of the mask's box."""

LIKELIER = 0.5
"""Logits by which a mask that was asked for in such a box is made likelier; as much as masks get in
boxes of users (`geosam.sam.box_sides`)."""


def grown_box(mask: Sketch, shape: tuple[int, int]) -> Float32[np.ndarray, "4"]:
    """Lay a box about a mask, ``xyxy`` in pixels of a window of ``shape`` ``(h, w)``, as far as the window goes.

    Examples
    --------
    >>> from geosam.masks.sketch import sketch
    >>> logits = np.full((8, 8), -2, np.float32)
    >>> logits[1:5, 2:8] = 2
    >>> grown_box(sketch(logits), (800, 800)).tolist()
    [152.0, 68.0, 800.0, 532.0]
    """
    x0, y0, x1, y1 = mask.box
    (h, w), (mh, mw) = shape, mask.shape
    across, down = GROWN * (x1 - x0), GROWN * (y1 - y0)
    box = np.array([max(x0 - across, 0), max(y0 - down, 0), min(x1 + across, mw), min(y1 + down, mh)])
    return (box * ([w / mw, h / mh] * 2)).astype(np.float32)
