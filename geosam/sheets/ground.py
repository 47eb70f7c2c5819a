"""Both pictures of a pair, small enough for a page."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from geosam.change.pair import Pair, tiles

TILE = 2048

UNSEEN = 205
"""Grey of what a date does not show, on paper."""


def pictures(pair: Pair, most: int) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"], float]:
    """Before and after as on the pair's grid, their longest side at most so many pixels, and pixels per grid pixel.

    They are read tile by tile and shrunk on the way, so that memory holds one tile and what is shown.
    """
    h, w = pair.shape
    step = max(1, int(np.ceil(max(h, w) / most)))
    size = (-(-h // step), -(-w // step))
    found = [np.full((*size, 3), UNSEEN, np.uint8) for _ in range(2)]
    side = TILE // step * step or step
    for window in tiles(pair.shape, side):
        both = pair.read(window)
        top, left = int(window.row_off) // step, int(window.col_off) // step
        for canvas, pixels in zip(found, (both.before, both.after), strict=True):
            shown = np.where(both.seen, pixels, UNSEEN).transpose(1, 2, 0).astype(np.uint8)
            rows, cols = -(-shown.shape[0] // step), -(-shown.shape[1] // step)
            small = (
                shown if step == 1 else np.asarray(Image.fromarray(shown).resize((cols, rows), Image.Resampling.BOX))
            )
            canvas[top : top + rows, left : left + cols] = small
    return found[0], found[1], 1 / step
