"""Sheets that people look at: charts, maps of classes, situation maps, and pages.

===========  =================================================================================
module       responsibility
===========  =================================================================================
charts       bars with intervals and matrices, as SVG
maps         a map of classes over the scene, and places of it, as PNG
landcover    one HTML page: map, matrix, areas, doubtful places
ground       a pair's pictures, small enough for a page
situation    the situation map: PDF or PNG, with all that responders expect around it
swipe        an HTML page on which before and after are compared
===========  =================================================================================
"""

from geosam.sheets.charts import area_chart, matrix_chart
from geosam.sheets.landcover import landcover_page
from geosam.sheets.maps import class_map
from geosam.sheets.situation import MAP_FORMATS, Titles, situation_map
from geosam.sheets.swipe import PAGE_FORMATS, swipe_page

__all__ = [
    "MAP_FORMATS",
    "PAGE_FORMATS",
    "Titles",
    "area_chart",
    "class_map",
    "landcover_page",
    "matrix_chart",
    "situation_map",
    "swipe_page",
]
