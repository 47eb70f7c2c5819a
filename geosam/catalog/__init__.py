"""Many scenes: find, schedule, resume, report, merge.

`segment_catalog` works on all scenes of a catalog, in this process or on a dask cluster, and keeps account of them in
the folder of the run; `encode_catalog` fills an embedding store in the same way.

==========  ===========================================================================
module      responsibility
==========  ===========================================================================
items       one scene of a catalog: its name, its rasters, what is known of it
selection   which scenes are meant, and which of their assets
stac        STAC items, from files, objects and APIs
soundness   what is wrong with an item, if anything
tables      indexes of rasters, and stac-geoparquet
sources     `find_items`: whatever names scenes
job         what is done with every scene, as plain values that travel
folder      where the results of a run lie
manifest    what became of each scene
footprints  where a scene has data
stack       several rasters as the bands of one
station     what one process needs: the model and the store, opened once
pieces      scenes too large for one process at a time
pairs       pairs of scenes, one from before an event and one from after it
tasks       work on one scene or pair, and what to do when it fails
schedule    tasks out, rows in; in this process or on threads
scheduler   whether a scheduler answers at an address
cluster     the same on dask
execution   where the work is done: here, on threads, on dask
run         `segment_catalog`, `encode_catalog`
parts       the parts of a run as one table
overlaps    objects that two overlapping scenes both found, found once
layer       `merge`: the parts of a run as one layer
maps        footprints coloured by status
page        the page about a run
summary     `report`: what became of each scene
landcover   land-cover maps of all scenes by one model
change      pairs of dates: what became of known objects at every date after an event
==========  ===========================================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosam.catalog.change import ChangeRun as ChangeRun
    from geosam.catalog.change import change_catalog as change_catalog
    from geosam.catalog.execution import Execution as Execution
    from geosam.catalog.folder import RunFolder as RunFolder
    from geosam.catalog.items import Item as Item
    from geosam.catalog.job import View as View
    from geosam.catalog.landcover import LandcoverRun as LandcoverRun
    from geosam.catalog.landcover import landcover_catalog as landcover_catalog
    from geosam.catalog.layer import Merged as Merged
    from geosam.catalog.layer import merge as merge
    from geosam.catalog.manifest import Manifest as Manifest
    from geosam.catalog.manifest import Row as Row
    from geosam.catalog.run import CatalogReport as CatalogReport
    from geosam.catalog.run import encode_catalog as encode_catalog
    from geosam.catalog.run import segment_catalog as segment_catalog
    from geosam.catalog.selection import Selection as Selection
    from geosam.catalog.sources import find_items as find_items
    from geosam.catalog.summary import Summary as Summary
    from geosam.catalog.summary import report as report

_HOMES = {
    "CatalogReport": "run",
    "ChangeRun": "change",
    "Execution": "execution",
    "Item": "items",
    "LandcoverRun": "landcover",
    "Manifest": "manifest",
    "Merged": "layer",
    "Row": "manifest",
    "RunFolder": "folder",
    "Selection": "selection",
    "Summary": "summary",
    "View": "job",
    "change_catalog": "change",
    "encode_catalog": "run",
    "find_items": "sources",
    "landcover_catalog": "landcover",
    "merge": "layer",
    "report": "summary",
    "segment_catalog": "run",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for: merging and reporting need no networks."""
    if name in _HOMES:
        return getattr(import_module(f"geosam.catalog.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'geosam.catalog' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_HOMES)
