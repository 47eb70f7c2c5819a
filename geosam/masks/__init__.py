"""``Embedding × prompts → MaskSet``: ask a mask decoder, then filter, suppress and sharpen what it says.

- `MaskSet`: the masks of one window, each cut to its box.
- `segment_everything`: a grid of clicks, filters by quality and stability, each object once (`EverythingOptions`).
- `segment_prompts`: one mask for every prompt.
- `MaskDecoder`: what a network has to offer.

Everything before the last step happens at the decoder's own sampling, mostly a quarter of the window's, or at twice
that by a decoder that looks at masks once more; only masks that stay are brought to full resolution, each within its
own box. Memory is bounded by what is kept, never by prompts
× pixels.
"""

from geosam.masks.decoder import MaskDecoder
from geosam.masks.everything import EverythingOptions, segment_everything
from geosam.masks.mask_set import MaskSet
from geosam.masks.prompted import segment_prompts

__all__ = ["EverythingOptions", "MaskDecoder", "MaskSet", "segment_everything", "segment_prompts"]
