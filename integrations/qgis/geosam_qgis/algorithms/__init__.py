"""Processing algorithms: each a form over one geosam command."""

from .landcover import LandCover
from .many import Catalog
from .pairs import Change
from .segments import Coverage, SegmentEverything, SegmentPrompts, SegmentWords
from .status import Status

ALGORITHMS = (Status, SegmentEverything, SegmentPrompts, SegmentWords, Coverage, LandCover, Change, Catalog)

__all__ = ["ALGORITHMS"]
