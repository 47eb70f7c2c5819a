"""EfficientNet-Lite0, learned from ImageNet: what recognition and the built-in model's encoder see with.

`network`: the network as a feature pyramid, readable. `prepared`: the same, as it is run on a processor. `weights`:
its weights, as they lie in the package.
"""

from geosam.backbone.network import CENTRED, CHANNELS, PUBLISHED, STRIDES, Backbone
from geosam.backbone.prepared import PreparedBackbone, quick_dtype
from geosam.backbone.weights import BACKBONE_FILE, read_backbone

__all__ = [
    "BACKBONE_FILE",
    "CENTRED",
    "CHANNELS",
    "PUBLISHED",
    "STRIDES",
    "Backbone",
    "PreparedBackbone",
    "quick_dtype",
    "read_backbone",
]
