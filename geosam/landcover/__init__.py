"""Maps of classes: what each segment is, how right that is, and how much ground each class has.

=============  ====================================================================================
module         responsibility
=============  ====================================================================================
legend, qml    codes, names and colours of classes; known legends, and those in files
remap          from one legend to another
estimates      a proportion of an area, its standard error and interval
accuracy       overall, user's and producer's accuracy and areas, from a probability sample
samples        places of known class, and the segments that they name
learning       scikit-learn's estimators
validation     cross-validation by blocks of ground
priors         how much of a scene each class has, found out from the scene
forest, model  what was learned, on disk without pickle
classify       segments and samples → classes
suggest        which segment to label next
outputs        dissolved polygons, codes on the grid, areas
design         how many places to label in which class
rasters        a class raster as such a map
points         where they lie; which class the map has there
assessment     the accuracy of a map on disk
=============  ====================================================================================

Learning needs scikit-learn: ``pip install "geosam[landcover]"``.
"""

from geosam.landcover.accuracy import Accuracy, accuracy, accuracy_of_matrix
from geosam.landcover.assessment import AssessOptions, assess
from geosam.landcover.classify import Classification, ClassifyOptions, classify, with_classes
from geosam.landcover.design import DesignOptions, sample_design
from geosam.landcover.legend import LEGENDS, UNKNOWN, Legend
from geosam.landcover.model import LandcoverModel
from geosam.landcover.outputs import area_table, class_strips, dissolve
from geosam.landcover.points import class_areas, classes_at, draw_points
from geosam.landcover.remap import Remap
from geosam.landcover.suggest import suggest

__all__ = [
    "LEGENDS",
    "UNKNOWN",
    "Accuracy",
    "AssessOptions",
    "Classification",
    "ClassifyOptions",
    "DesignOptions",
    "LandcoverModel",
    "Legend",
    "Remap",
    "accuracy",
    "accuracy_of_matrix",
    "area_table",
    "assess",
    "class_areas",
    "class_strips",
    "classes_at",
    "classify",
    "dissolve",
    "draw_points",
    "sample_design",
    "suggest",
    "with_classes",
]
