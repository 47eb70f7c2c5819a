"""What a region is: features of segments, kinds, and which segments are alike.

A backbone that has seen a million photographs looks at each window once; its maps, the colours and the texture are
summed over all regions at once, exactly, so that neither windows nor their order matter to the sums.

===================  ==========================================================
module               responsibility
===================  ==========================================================
backbone             EfficientNet-Lite0 as a feature pyramid, readable
prepared             the same, as it is run
loading              the package's weights; `Encoder`
maps                 `FeatureMaps`, what the backbone sees in a window
picture              colour and texture, in whole numbers
pooling              `RegionSums`: exact sums over the regions of a window
description          `RegionFeatures`: what each region looks like
layers               polygons as label rasters
scenes               `Describer`: regions of a whole scene, window by window
===================  ==========================================================
"""

from geosam.recognition.description import RegionFeatures, describe, names
from geosam.recognition.loading import Encoder, load_backbone
from geosam.recognition.maps import FeatureMaps
from geosam.recognition.pooling import RegionSums, pool
from geosam.recognition.scenes import Describer

__all__ = [
    "Describer",
    "Encoder",
    "FeatureMaps",
    "RegionFeatures",
    "RegionSums",
    "describe",
    "load_backbone",
    "names",
    "pool",
]
