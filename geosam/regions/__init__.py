"""The region tree of a scene and its cuts: every pixel in a segment, in memory that does not grow with the scene.

===========  ==================================================================================
module       responsibility
===========  ==================================================================================
features     the encoder's finest features, and how they lie over a window
margins      features of neighbouring windows brought to agree
gradients    boundary strength, in units of the whole scene
leaves       basins of the boundary strength, by steepest descent; grains
graph        regions and their neighbours, as sums that add up
merging      neighbours become one region, in rounds of reciprocal nearest neighbours
nodes        nodes of trees with their kin, also beyond a tile's edge
measures     what tells an object from other nodes
scoring      the chance of a node to be an object
cuts         the cut that promises most, by dynamic programming; levels
block        a block of a scene: its grains and its edges
tiles        blocks put together, without seams
tree         one step up: the regions of a tile merged
scene_tree   the tree of a scene, tile by tile
choice       which nodes are taken: scored from the top down, weighed from the bottom up
segments     what is known of the segments of a cut
redrawing    masks in the place of segments
coverage     the cut as a partition of the valid pixels; the mapping unit
===========  ==================================================================================
"""

from geosam.regions.block import Block, Place, empty_block, make_block, window_strength
from geosam.regions.choice import Growth
from geosam.regions.coverage import Coverage, cover
from geosam.regions.cuts import DETAILS, CutOptions
from geosam.regions.features import FineFeatures
from geosam.regions.gradients import Scale, measure_scale
from geosam.regions.margins import Margin, Patch, agree
from geosam.regions.measures import measure_nodes
from geosam.regions.merging import MergeOptions, Merges, merge
from geosam.regions.scene_tree import TileGrid, grow_kept, grow_scene
from geosam.regions.scoring import ScoreHead, load_head
from geosam.regions.segments import Extents, Segments
from geosam.regions.tiles import Spot, Tile

__all__ = [
    "DETAILS",
    "Block",
    "Coverage",
    "CutOptions",
    "Extents",
    "FineFeatures",
    "Growth",
    "Margin",
    "MergeOptions",
    "Merges",
    "Patch",
    "Place",
    "Scale",
    "ScoreHead",
    "Segments",
    "Spot",
    "Tile",
    "TileGrid",
    "agree",
    "cover",
    "empty_block",
    "grow_kept",
    "grow_scene",
    "load_head",
    "make_block",
    "measure_nodes",
    "measure_scale",
    "merge",
    "window_strength",
]
