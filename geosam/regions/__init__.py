"""The region tree of a scene and its cuts."""

from geosam.regions.block import Block, Place, make_block
from geosam.regions.features import FineFeatures
from geosam.regions.gradients import Scale, measure_scale
from geosam.regions.measures import measure_nodes
from geosam.regions.merging import MergeOptions, Merges, merge
from geosam.regions.scoring import ScoreHead, load_head

__all__ = [
    "Block",
    "FineFeatures",
    "MergeOptions",
    "Merges",
    "Place",
    "Scale",
    "ScoreHead",
    "load_head",
    "make_block",
    "measure_nodes",
    "measure_scale",
    "merge",
]
