"""SAM 3 as SAM 2 is used, by points, boxes and masks: its tracker on single images.

After Carion et al. 2025, "SAM 3: Segment Anything with Concepts" (https://arxiv.org/abs/2511.16719). Words as prompts
are another model of the library and no matter of this port.
"""

from geosam.adapters.family import Published
from geosam.adapters.sam2 import Sam2Adapter


class Sam3Adapter(Sam2Adapter):
    """SAM 3's tracker over `transformers.Sam3TrackerModel`: 1,008 pixels a side in patches of 14."""

    library = "Sam3TrackerModel"
    kinds = ("sam3_tracker", "sam3_tracker_video", "sam3_video")
    norm = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    published = (
        Published(
            "sam3",
            "facebook/sam3",
            458_260_369,
            "SAM License",
            "Meta AI, SAM 3 (Carion et al. 2025)",
            side=1008,
            needs="geosam[transformers], licence accepted",
            gated=True,
        ),
    )
    original = "detector."

    @classmethod
    def convert(cls, state: object) -> None:
        """There is no way from the authors' own files."""
        return
