"""EdgeTAM: SAM 2 with a small convolutional encoder, for phones.

After Zhou et al. 2025, "EdgeTAM: On-Device Track Anything Model" (https://arxiv.org/abs/2501.07256).
"""

from geosam.adapters.family import Published
from geosam.adapters.sam2 import Sam2Adapter


class EdgeTamAdapter(Sam2Adapter):
    """EdgeTAM over `transformers.EdgeTamModel`, whose encoder is one of `timm`, which needs `torchvision`."""

    library = "EdgeTamModel"
    kinds = ("edgetam", "edgetam_video")
    published = (
        Published(
            "edgetam",
            "yonigozlan/EdgeTAM-hf",
            0,
            "Apache-2.0",
            "Meta AI, EdgeTAM (Zhou et al. 2025)",
            needs="geosam[transformers], timm, torchvision",
        ),
    )
    original = "image_encoder.trunk.body."

    @classmethod
    def convert(cls, state: object) -> None:
        """There is no way from the authors' own files: `timm` names its layers otherwise."""
        return
