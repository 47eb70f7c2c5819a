"""geosam: segment maps with Segment Anything.

A scene goes in, georeferenced polygons come out::

    import geosam

    fields = geosam.segment("scene.tif")
    fields.to_file("fields.gpkg")

The public names are loaded when they are first used, so that ``import geosam`` stays quick and loads no networks.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "GeosamError": "geosam.errors",
    "Prompts": "geosam.prompts",
    "SegmentOptions": "geosam.pipeline",
    "click": "geosam.serve.widget",
    "compare": "geosam.pipeline.compare",
    "compare_to_file": "geosam.pipeline.publish",
    "encode": "geosam.pipeline",
    "encode_catalog": "geosam.catalog",
    "load_model": "geosam.models",
    "open_scene": "geosam.scene",
    "plan": "geosam.pipeline",
    "segment": "geosam.pipeline",
    "segment_catalog": "geosam.catalog",
    "segment_to_file": "geosam.pipeline",
    "similar": "geosam.pipeline",
    "view": "geosam.serve.widget",
    "write": "geosam.sinks",
}

if TYPE_CHECKING:
    from geosam.catalog import encode_catalog as encode_catalog
    from geosam.catalog import segment_catalog as segment_catalog
    from geosam.errors import GeosamError as GeosamError
    from geosam.models import load_model as load_model
    from geosam.pipeline import SegmentOptions as SegmentOptions
    from geosam.pipeline import encode as encode
    from geosam.pipeline import plan as plan
    from geosam.pipeline import segment as segment
    from geosam.pipeline import segment_to_file as segment_to_file
    from geosam.pipeline import similar as similar
    from geosam.pipeline.compare import compare as compare
    from geosam.pipeline.publish import compare_to_file as compare_to_file
    from geosam.prompts import Prompts as Prompts
    from geosam.scene import open_scene as open_scene
    from geosam.serve.widget import click as click
    from geosam.serve.widget import view as view
    from geosam.sinks import write as write


def __getattr__(name: str) -> object:
    """Load a public name, or a submodule, from its home when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if not name.startswith("_"):
        try:
            return import_module(f"geosam.{name}")
        except ModuleNotFoundError as absent:
            if absent.name != f"geosam.{name}":
                raise
    raise AttributeError(f"module 'geosam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *_HOMES])
