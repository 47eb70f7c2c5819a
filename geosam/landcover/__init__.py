"""Maps of classes: what each segment is, how right that is, and how much ground each class has.

=============  ====================================================================================
module         responsibility
=============  ====================================================================================
legend, qml    codes, names and colours of classes; known legends, and those in files
remap          from one legend to another
estimates      a proportion of an area, its standard error and interval
accuracy       overall, user's and producer's accuracy and areas, from a probability sample
design         how many points to label in which class
points         where they lie; which class the map has there
=============  ====================================================================================
"""

from geosam.landcover.accuracy import Accuracy, accuracy, accuracy_of_matrix
from geosam.landcover.legend import LEGENDS, UNKNOWN, Legend
from geosam.landcover.remap import Remap

__all__ = ["LEGENDS", "UNKNOWN", "Accuracy", "Legend", "Remap", "accuracy", "accuracy_of_matrix"]
