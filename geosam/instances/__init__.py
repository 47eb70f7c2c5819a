"""From the masks of single windows to the objects of a scene.

`flatten` lays a window's masks flat, `stitch` finds which of the windows' instances are the same object and which has
the ground that several windows see, `assemble` paints the objects into one label raster, strip by strip, in memory that
does not grow with the scene.
"""

from geosam.instances.assemble import assemble, assemble_core, count_pixels, strip_rows
from geosam.instances.pieces import WindowInstances, flatten
from geosam.instances.stitch import InstanceSet, Load, stitch

__all__ = [
    "InstanceSet",
    "Load",
    "WindowInstances",
    "assemble",
    "assemble_core",
    "count_pixels",
    "flatten",
    "stitch",
    "strip_rows",
]
