"""A judge of masks: the IoU with an object that a mask is expected to have, told from a few of its measures.

The IoU head says how well a mask fits whatever was clicked, a whole or a part. Which of the masks on one spot people
would call an object shows as much in how large, full and ragged it is, and in how many other clicks lead to it. So the
judge is a quadratic form of such measures, each standardised; `geosam.training.judging` fits it.
"""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

MEASURES = 13
"""How many measures it looks at; `geosam.masks.quality` takes them."""


class QualityModel(nn.Module):
    """Constants of the quadratic form; zeros until they are fitted, or read from a file."""

    centre: Tensor
    scale: Tensor
    form: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(MEASURES))
        self.register_buffer("scale", torch.ones(MEASURES))
        self.register_buffer("form", torch.zeros(MEASURES + 1, MEASURES + 1))

    def judge(self, measures: Float64[np.ndarray, "n m"]) -> Float64[np.ndarray, "n"]:
        """Give the IoU that each mask is expected to have; row by row, so that it depends on no other row.

        Examples
        --------
        >>> judge = QualityModel()
        >>> judge.form[0, 0], judge.form[0, 1] = 0.5, 0.25
        >>> judge.judge(np.eye(2, MEASURES)).tolist()
        [0.75, 0.5]
        """
        centre, scale, form = (each.cpu().double().numpy() for each in (self.centre, self.scale, self.form))
        lifted = np.pad((measures - centre) / scale, ((0, 0), (1, 0)), constant_values=1.0)  # n m+1
        return np.einsum("ni,ij,nj->n", lifted, form, lifted, optimize=False)
