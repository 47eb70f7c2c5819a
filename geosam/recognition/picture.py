"""What a picture shows by itself: colour and texture, as whole numbers for each pixel.

Whole numbers, so that sums over regions are exact whatever their order. Texture looks at most `REACH` pixels around, so
that a pixel that far inside a window has the same texture in every window that holds it.
"""

import numpy as np
from jaxtyping import Int32, UInt8

SIDES = (5, 15)
"""Sides of the squares with which a pixel's brightness is compared, in px: leaves and tiles, crowns and cars."""

REACH = SIDES[-1] // 2
"""Farthest pixel that plays a part in another's texture."""

NAMES = ("red", "green", "blue", "red²", "green²", "blue²", "edge", "edge²", *(f"rough{side}" for side in SIDES))
"""Layers, in order."""


def layers(pixels: UInt8[np.ndarray, "3 h w"]) -> Int32[np.ndarray, "10 h w"]:
    """Colour and its squares, strength of the local edge and its square, and how much a pixel stands out at each side.

    Examples
    --------
    >>> found = layers(np.full((3, 4, 6), 9, np.uint8))
    >>> dict(zip(NAMES, found[:, 0, 0].tolist()))["red²"], int(found[6:].max())
    (81, 0)
    """
    colour = pixels.astype(np.int32)  # 3 h w
    light = (2 * colour[0] + 5 * colour[1] + colour[2]) * 2  # h w: sixteenths of luma
    down, across = (np.abs(np.diff(light, axis=axis, append=np.take(light, [-1], axis))) for axis in (0, 1))
    edge = (down + across) >> 4  # h w
    rough = [np.abs(light - _mean(light, side)) >> 2 for side in SIDES]  # h w each, quarters
    return np.stack([*colour, *colour**2, edge, edge**2, *rough])


def _mean(light: Int32[np.ndarray, "h w"], side: int) -> Int32[np.ndarray, "h w"]:
    """Mean over squares, rounded down; from whole numbers, so that it is the same wherever the window begins."""
    sums, shape = light, light.shape
    for axis in (0, 1):
        half = side // 2
        edges = [(half + 1, half) if number == axis else (0, 0) for number in (0, 1)]
        running = np.cumsum(np.pad(sums, edges, mode="edge"), axis=axis, dtype=np.int32)
        sums = np.take(running, range(side, running.shape[axis]), axis) - np.take(running, range(shape[axis]), axis)
    return sums // (side * side)
