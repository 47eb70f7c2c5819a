"""Segment Anything as the library has it: a check of the adapter beside `geosam.sam`, and for folders of its own.

After Kirillov et al. 2023, "Segment Anything" (https://arxiv.org/abs/2304.02643).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from geosam.adapters.adapter import Adapter


class SamAdapter(Adapter):
    """Segment Anything over `transformers.SamModel`; `geosam.sam` is quicker, and holds its published checkpoints."""

    library = "SamModel"
    kinds = ("sam",)
    squash = False

    def embed(self, images: Tensor) -> Sequence[Tensor]:
        """The image embedding alone."""
        return (self.model.get_image_embeddings(images),)

    def unpack(self, features: Sequence[Tensor]) -> Mapping[str, Any]:
        """See `Adapter.unpack`."""
        return {"image_embeddings": features[0]}
