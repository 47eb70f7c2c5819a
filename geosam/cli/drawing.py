"""The picture of a layer that was written."""

from pathlib import Path
from typing import Any


def draw(scene: Any, layer: Path, path: Path) -> Path:
    """Draw a scene with the polygons of a layer that was written."""
    from geosam.sinks import picture

    return picture(scene, read_layer(layer), path)


def read_layer(path: Path) -> Any:
    """The one layer of polygons in an output; a GeoPackage has another table for its styles."""
    import geopandas
    import pyogrio

    if path.suffix.lower() == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer=next(name for name, kind in pyogrio.list_layers(path) if kind is not None))
