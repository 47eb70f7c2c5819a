"""Processing algorithms: each a form over one geosam command."""

from .landcover import LandCover
from .many import Catalog
from .pairs import Change
from .segments import Coverage, SegmentEverything, SegmentPrompts
from .status import Status

ALGORITHMS = (Status, SegmentEverything, SegmentPrompts, Coverage, LandCover, Change, Catalog)

__all__ = ["ALGORITHMS"]
