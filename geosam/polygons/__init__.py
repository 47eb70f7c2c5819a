"""From objects to polygons: traced exactly, simplified with shared borders, measured, and put into a table.

===========  =====================================================================
module       responsibility
===========  =====================================================================
trace        borders of a label raster as rings on the pixel lattice
simplify     rings → polygons; shared borders simplified once, for both sides
strips       `polygonize`: a label raster, strip by strip
masks        `mask_polygons`: masks that may overlap
outline      `outline`: right-angled or smooth, by optional libraries
measure      `measure`: areas and perimeters on the ellipsoid
frame        `frame`, `instance_frame`: the documented table (`COLUMNS`)
hierarchy    `nest`: wholes and their parts from several views
===========  =====================================================================
"""

from geosam.polygons.frame import COLUMNS, frame, instance_frame
from geosam.polygons.hierarchy import HIERARCHY_COLUMNS, nest
from geosam.polygons.masks import mask_polygons
from geosam.polygons.measure import measure
from geosam.polygons.outline import Outline, outline
from geosam.polygons.simplify import simplify_each
from geosam.polygons.strips import polygonize

__all__ = [
    "COLUMNS",
    "HIERARCHY_COLUMNS",
    "Outline",
    "frame",
    "instance_frame",
    "mask_polygons",
    "measure",
    "nest",
    "outline",
    "polygonize",
    "simplify_each",
]
