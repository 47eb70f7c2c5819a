"""Many scenes: find, schedule, resume, report, merge.

`segment_catalog` works on all scenes of a catalog, in this process or on a dask cluster, and keeps account of them in
the folder of the run; `encode_catalog` fills an embedding store in the same way.

==========  ===========================================================================
module      responsibility
==========  ===========================================================================
items       one scene of a catalog: its name, its rasters, what is known of it
selection   which scenes are meant, and which of their assets
stac        STAC items, from files, objects and APIs
tables      indexes of rasters, and stac-geoparquet
sources     `find_items`: whatever names scenes
job         what is done with every scene, as plain values that travel
folder      where the results of a run lie
manifest    what became of each scene
footprints  where a scene has data
stack       several rasters as the bands of one
station     what one process needs: the model and the store, opened once
pieces      scenes too large for one process at a time
tasks       work on one scene, and what to do when it fails
schedule    tasks out, rows in; in this process or on threads
cluster     the same on dask
run         `segment_catalog`, `encode_catalog`
parts       the parts of a run as one table
overlaps    objects that two overlapping scenes both found, found once
merge       `merge`: the parts of a run as one layer
report      `report`: what became of each scene, with a map
==========  ===========================================================================
"""

from geosam.catalog.folder import RunFolder
from geosam.catalog.items import Item
from geosam.catalog.job import View
from geosam.catalog.manifest import Manifest, Row
from geosam.catalog.merge import Merged, merge
from geosam.catalog.report import Summary, report
from geosam.catalog.run import CatalogReport, Execution, encode_catalog, segment_catalog
from geosam.catalog.selection import Selection
from geosam.catalog.sources import find_items

__all__ = [
    "CatalogReport",
    "Execution",
    "Item",
    "Manifest",
    "Merged",
    "Row",
    "RunFolder",
    "Selection",
    "Summary",
    "View",
    "encode_catalog",
    "find_items",
    "merge",
    "report",
    "segment_catalog",
]
