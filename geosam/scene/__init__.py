"""A scene: a georeferenced raster on its own pixel grid, read window by window as pixels that a network can see.

`open_scene` takes anything that rasterio opens, or a DataArray. A `Scene` never warps: its working grid is the
raster's own, at most scaled by one factor (`Scene.at`) and cropped in whole pixels (`Scene.within`). Bands are chosen
once, and one stretch per band is measured once for the whole raster, so that neither windows nor extents change what
the network sees.

===============  ============================================================
module           responsibility
===============  ============================================================
raster           the facts about a raster, and what a scene needs of it
origin           what a raster's name asks for: drivers, files, a network or none
dataset          GDAL's datasets, opened so
fingerprint      the identity of a raster's content
file, header     rasters that rasterio opens
place, rpc       where a raster lies: transform, control points, RPCs; a CRS alone is not a place
stored           what a file's numbers are: palette, min-is-white, bits, no data of each band
overviews        whether overviews show what the pixels show
array            DataArrays and Datasets as rasters
coordinates      where an array lies
cache            how many decoded blocks GDAL keeps meanwhile
bands, stretch   which bands, and how their values become 8-bit pixels
resample         scaling to the working grid
frame            pixel ↔ world for points and geometries
reproject        geometries between CRSs, densified
control_points   scenes with ground control points instead of a transform
grid             whole pixels: windows, spans, strips
area             areas of interest
view, chip       `Scene`, and what it gives of a window: `Chip`
opening          `open_scene`
look, facts      collars that nothing marks; what was understood of a scene, for `geosam info`
scale            working pixels for what is looked for: `buildings`, `fields` …
===============  ============================================================
"""

from geosam.scene.cache import bounded_cache
from geosam.scene.chip import Chip
from geosam.scene.opening import open_scene
from geosam.scene.stretch import Stretch
from geosam.scene.view import Scene

__all__ = ["Chip", "Scene", "Stretch", "bounded_cache", "open_scene"]
