"""What a region is: features of segments, kinds, and which segments are alike.

A backbone that has seen a million photographs (`geosam.backbone`) looks at each window once; its maps, the colours and
the texture are summed over all regions at once, exactly, so that neither windows nor their order matter to the sums.

===================  ==========================================================
module               responsibility
===================  ==========================================================
loading              `Encoder`: the backbone, ready for windows
maps                 `FeatureMaps`, what the backbone sees in a window
picture              colour and texture, in whole numbers
pooling              `RegionSums`: exact sums over the regions of a window
description          `RegionFeatures`: what each region looks like
layers               polygons as label rasters
scenes               `Describer`: regions of a whole scene, window by window
kinds                `KindHead`: which of fourteen kinds a region is
columns              `recognise`: polygons with their kinds
similarity           `rank`: which regions are like some that are shown
vocabulary           words that users say, and what they mean here
learned              `LearnedWord`: words that users teach by examples
reading              `KindReader`: regions and words → scores
===================  ==========================================================
"""

from geosam.recognition.columns import recognise
from geosam.recognition.description import RegionFeatures, describe, names
from geosam.recognition.kinds import KINDS, KindHead, kinds_of, load_head
from geosam.recognition.learned import LearnedWord, read_word
from geosam.recognition.loading import Encoder, load_backbone
from geosam.recognition.maps import FeatureMaps
from geosam.recognition.pooling import RegionSums, pool
from geosam.recognition.reading import KindReader
from geosam.recognition.scenes import Describer
from geosam.recognition.similarity import Examples, rank
from geosam.recognition.vocabulary import Prompt, Vocabulary, Word, load_vocabulary, read_text

__all__ = [
    "KINDS",
    "Describer",
    "Encoder",
    "Examples",
    "FeatureMaps",
    "KindHead",
    "KindReader",
    "LearnedWord",
    "Prompt",
    "RegionFeatures",
    "RegionSums",
    "Vocabulary",
    "Word",
    "describe",
    "kinds_of",
    "load_backbone",
    "load_head",
    "load_vocabulary",
    "names",
    "pool",
    "rank",
    "read_text",
    "read_word",
    "recognise",
]
