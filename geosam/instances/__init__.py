"""From the masks of single windows to the objects of a scene.

`flatten` lays a window's masks flat, `stitch` finds which of the windows' instances are the same object, `assemble`
paints the objects into one label raster, strip by strip, in memory that does not grow with the scene.
"""

from geosam.instances.assemble import assemble, assemble_core, strip_rows
from geosam.instances.pieces import WindowInstances, flatten
from geosam.instances.stitch import InstanceSet, Load, stitch

__all__ = ["InstanceSet", "Load", "WindowInstances", "assemble", "assemble_core", "flatten", "stitch", "strip_rows"]
