"""Names and axes of every array that crosses a module border.

Each alias is a `jaxtyping` annotation: element type, then the axes in order. They cost nothing at run time; the test
suite checks every annotated call against them. Axes with the same name within one call have the same length.

======  =====================================================
axis    meaning
======  =====================================================
n       objects, masks or prompts
p       points of one prompt
k       alternative masks of one prompt
h w     rows and columns of pixels
b       bands of the source
======  =====================================================
"""

from typing import NamedTuple

from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

Pixels = UInt8[ndarray, "3 h w"]
"""Display-ready pixels of a window, red green blue."""

AnyPixels = UInt8[ndarray, "3 _ _"]
"""The same of one of several windows, which need not have one shape."""

Bands = Float32[ndarray, "b h w"]
"""Source values before the stretch."""

Valid = Bool[ndarray, "h w"]
"""True where there is data."""

Mask = Bool[ndarray, "h w"]
"""True inside the object."""

Labels = Int32[ndarray, "h w"]
"""Object id per pixel, 0 for none."""

Boxes = Float32[ndarray, "n 4"]
"""``xyxy`` boxes in pixels."""

PixelBoxes = Int32[ndarray, "n 4"]
"""``xyxy`` boxes in whole pixels, half open."""

Points = Float32[ndarray, "n p 2"]
"""``(x, y)`` points in pixels, for each prompt."""

PointLabels = Int64[ndarray, "n p"]
"""1 inside, 0 outside, -1 padding."""

Logits = Float32[ndarray, "n k mh mw"]
"""Mask logits before any threshold, in the decoder's own sampling of the window."""


class Patch(NamedTuple):
    """Logits of one mask in a box of the window's, whose edge the mask meets only where the window ends as well.

    Attributes
    ----------
    logits
        Those in the box, ``h w``.
    corner
        ``(x, y)`` of the first of them among the window's logits.
    shape
        ``(mh, mw)`` of the window's logits.
    """

    logits: Float32[ndarray, "h w"]
    corner: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def of(cls, logits: Float32[ndarray, "mh mw"]) -> "Patch":
        """All logits of a window."""
        return cls(logits, (0, 0), (logits.shape[0], logits.shape[1]))


MaskLogits = Float32[ndarray, "n mh mw"]
"""Mask logits given as a prompt."""

Scores = Float32[ndarray, "n"]
"""A score in [0, 1] for each object."""

MaskScores = Float32[ndarray, "n k"]
"""A score for each alternative mask of each prompt."""

Ids = Int64[ndarray, "n"]
"""Ids or row numbers of objects."""

Flags = Bool[ndarray, "n"]
"""A yes or no for each object."""

Coordinates = Float64[ndarray, "p 2"]
"""``(x, y)`` coordinates at full precision."""
