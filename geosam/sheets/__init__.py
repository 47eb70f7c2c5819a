"""Sheets that people look at: charts, maps of classes, and the page about a land-cover map.

===========  =================================================================
module       responsibility
===========  =================================================================
charts       bars with intervals and matrices, as SVG
maps         a map of classes over the scene, and places of it, as PNG
landcover    one HTML page: map, matrix, areas, doubtful places
===========  =================================================================
"""

from geosam.sheets.charts import area_chart, matrix_chart
from geosam.sheets.landcover import landcover_page
from geosam.sheets.maps import class_map

__all__ = ["area_chart", "class_map", "landcover_page", "matrix_chart"]
