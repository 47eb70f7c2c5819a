"""Segment Anything put together.

`network`: `Sam` computes with tensors. `canvas`: how a window lies on its input.
`groups`: prompts that have been asked, and their masks. `remembered`: what was prepared of features.
`predictor`: `Predictor` is what the map code gets, numpy in and numpy out.
"""

from geosam.sam.model.canvas import Canvas
from geosam.sam.model.network import DEVIATION, MEAN, Sam, build
from geosam.sam.model.predictor import Predictor
from geosam.sam.spec import STRIDE, SamSpec

__all__ = ["DEVIATION", "MEAN", "STRIDE", "Canvas", "Predictor", "Sam", "SamSpec", "build"]
