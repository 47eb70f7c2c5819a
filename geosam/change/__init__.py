"""What became of things between two dates: kept, changed, gone, new; how badly damaged; how far an event reached.

The whole flow is `geosam.compare`; here are its parts.

=============  ===================================================================================
module         responsibility
=============  ===================================================================================
pair           two scenes on one grid: `Pair`
registration   how far the dates lie beside each other, window by window
radiometry     bringing the colours of one date to those of the other
unseen         no data, clouds, masks: what nobody saw
ground         ground that has changed; shares of it in and around objects
measures       how each object looks on both dates, in numbers that carry over
outlines       outlines decoded on both dates
objects        known objects, each id once
status         kept, changed, gone, new, unseen
damage         ordinal, calibrated grades, fitted on labels of one's own or the package's
prevalence     how many objects of a pair are damaged at all
newcomers      what stands on the date after only, learned from the known objects
growing        an extent that grows from outlines
indices        spectral indices and their thresholds
extents        how far water, fire or a slide reached
summary        consequences per unit
result         `Comparison`: the tables and how they came about
schemas        layers, fields and words of EMS, UNOSAT, OpenStreetMap
legend         colours
options        what a comparison is asked for
=============  ===================================================================================
"""

from geosam.change.damage import FATES, GRADES, OrdinalModel
from geosam.change.fitting import fit
from geosam.change.objects import Objects, read_objects
from geosam.change.options import CompareOptions, ExtentOptions
from geosam.change.pair import Pair, open_pair
from geosam.change.radiometry import Radiometry, match
from geosam.change.registration import Registration, register
from geosam.change.result import Comparison
from geosam.change.schemas import SCHEMAS, problems, to_schema
from geosam.change.status import STATUSES

__all__ = [
    "FATES",
    "GRADES",
    "SCHEMAS",
    "STATUSES",
    "CompareOptions",
    "Comparison",
    "ExtentOptions",
    "Objects",
    "OrdinalModel",
    "Pair",
    "Radiometry",
    "Registration",
    "fit",
    "match",
    "open_pair",
    "problems",
    "read_objects",
    "register",
    "to_schema",
]
