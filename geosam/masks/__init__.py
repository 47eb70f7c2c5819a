"""``Embedding × prompts → MaskSet``: ask a model, then filter, suppress and refine what it answers.

- `MaskSet`: the masks of one window, each cut to its box.
- `segment_everything`: a grid of clicks, filters by quality and stability, each object once.
- `segment_prompts`: one mask for every prompt.

============  ===========================================================
module        step
============  ===========================================================
prompted      one mask for every prompt
clicks        single clicks, several clicks, their second pass
corrections   what a corrective click leaves alone
everything    the point grid, and the steps of everything mode
second_pass   refined before suppression, decoded again by boxes
suppression   NMS, layout without overlap, consensus
quality       re-ranking by a quality model
low_res       packed low-res masks, connected components
============  ===========================================================

The steps hold no tuned constant: how they are taken is the model's `geosam.segmenter.Recipe`. Everything before the
last step happens at the decoder's own sampling, mostly a quarter of the window's, or at twice that once masks are
refined; only masks that stay are brought to full resolution, each within its own box. Memory is bounded by what is
kept, never by prompts × pixels.
"""

from geosam.masks.everything import segment_everything
from geosam.masks.mask_set import MaskSet
from geosam.masks.prompted import segment_boxes, segment_prompts

__all__ = ["MaskSet", "segment_boxes", "segment_everything", "segment_prompts"]
