"""What leaves a session: one file with the objects in the legend's colours, or in the layers of a schema of responders.

Objects of a class that is a grade of damage (``destroyed``, ``major``, ``minor``, ``none``, or xBD's and EMS's words
for them) are told as such in the schemas; others were not judged, and are never "no visible damage".
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd

import geosam
from geosam import sinks
from geosam.change.schemas import SCHEMAS, Judged, to_schema
from geosam.pipeline.publish import styles
from geosam.polygons import frame
from geosam.scene import Scene
from geosam.serve.layer import Layer
from geosam.serve.objects import Classes, MapObject
from geosam.serve.requests import NothingError, ServeError
from geosam.serve.session import NO_CLASS
from geosam.serve.shapes import multi
from geosam.sinks.categories import Category, categorized
from geosam.sinks.layers import write_layers

FORMATS = {"gpkg": ".gpkg", "geojson": ".geojson"}
PLAIN = "plain"

GRADES = {
    "none": ("none", "no damage", "no visible damage", "undamaged", "intact"),
    "minor": ("minor", "minor damage", "possibly damaged", "moderate damage"),
    "major": ("major", "major damage", "damaged", "severe damage"),
    "destroyed": ("destroyed", "collapsed"),
}
"""Grades of the Joint Damage Scale, and names of classes that mean them."""

BUILDINGS = ("building", "buildings", "built-up", "house", "houses", "roof", "roofs")
"""Names of classes whose objects OpenStreetMap's schema has, which knows only buildings."""

OPACITY = 0.45
"""Of fills: the scene is seen through them."""


class Exported(NamedTuple):
    """A file.

    Attributes
    ----------
    name
        Without a folder.
    content
        Its bytes.
    """

    name: str
    content: bytes


def objects_frame(layer: Layer, scene: Scene) -> gpd.GeoDataFrame:
    """The objects as a table in the scene's CRS: the documented columns, and ``class``, ``class_code``, ``origin``."""
    objects = [layer.objects[number] for number in sorted(layer.objects)]
    count = len(objects)
    names = {one.code: one.name for one in layer.classes}
    own = pd.DataFrame(
        {
            "class": pd.Series([_name(one, names) for one in objects], dtype="str"),
            "class_code": pd.Series(pd.array([one.class_code for one in objects], dtype="Int64")),
            "origin": pd.Series([one.origin for one in objects], dtype="str"),
        }
    )
    shapes = np.empty(count, object)
    shapes[:] = [multi(one.shape) for one in objects]
    return frame(
        shapes,
        scene,
        object_ids=np.array([one.id for one in objects], np.int64),
        predicted_iou=np.array([one.score for one in objects], np.float32),
        stability=np.ones(count, np.float32),
        model="session",
        attributes=own,
    )


def export(layer: Layer, scene: Scene, file_format: str, schema: str, *, date: str = "") -> Exported:
    """The objects as a file.

    Parameters
    ----------
    layer, scene
        The objects, and what they lie on.
    file_format
        One of `FORMATS`.
    schema
        ``plain``, or one of `geosam.change.schemas.SCHEMAS`, which are GeoPackages.
    date
        When the scene was taken, ISO 8601; schemas have a field for it.

    Raises
    ------
    ServeError
        If there is no such format or schema, or they do not go together.
    NothingError
        If there is nothing that the schema knows.
    SinkError
        If it cannot be written, as GeoJSON of a scene without a CRS.
    """
    if file_format not in FORMATS:
        raise ServeError(f"format {file_format!r}", expected=f"one of {', '.join(FORMATS)}")
    if schema not in (PLAIN, *SCHEMAS):
        raise ServeError(f"schema {schema!r}", expected=f"one of {', '.join((PLAIN, *SCHEMAS))}")
    if schema != PLAIN and file_format != "gpkg":
        raise ServeError(f"schema {schema!r} as {file_format}", expected="gpkg, since it has several layers")
    table = objects_frame(layer, scene)
    name = f"{scene.name}{'' if schema == PLAIN else f'_{schema}'}{FORMATS[file_format]}"
    facts = {"geosam": geosam.__version__, "scene": scene.name, "fingerprint": scene.fingerprint}
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder:
        path = Path(folder, f"export{FORMATS[file_format]}")
        if schema == PLAIN:
            style = legend_style(layer.classes) if layer.classes else True
            sinks.write(table, path, layer="objects", metadata=facts, style=style)
        else:
            layers = to_schema(judged(table, scene, schema, date=date), schema)
            write_layers(layers, path, styles=styles(layers), metadata=facts)
        return Exported(name, path.read_bytes())


def legend_style(classes: Classes) -> str:
    """How QGIS draws the layer: each class in its colour."""
    listed = [Category(one.name, one.name, one.color, OPACITY, outlined=True) for one in classes]
    return categorized("class", [*listed, Category("", "no class", NO_CLASS, OPACITY / 2, outlined=True)])


def judged(table: gpd.GeoDataFrame, scene: Scene, schema: str, *, date: str = "") -> Judged:
    """The objects as a schema asks for them: with what became of each, and when the scene was taken.

    Raises
    ------
    NothingError
        If the schema has no word for any of them.
    """
    names = [None if pd.isna(name) else str(name) for name in table["class"]]
    grades = [grade_of(name) for name in names]
    known = pd.Series(grades).notna().to_numpy(bool)
    wanted = known | np.array([_is_building(name) for name in names], bool) if schema == "osm" else known
    if schema == "ems":
        wanted = np.ones(len(table), bool)
    if not wanted.any():
        said = ", ".join(GRADES) + (", or building" if schema == "osm" else "")
        raise NothingError(f"no object that the schema {schema!r} knows", expected=f"classes named {said}")
    found = table.loc[wanted].reset_index(drop=True)
    told = [grade for grade, there in zip(grades, wanted, strict=True) if there]
    ungraded = "kept" if schema == "osm" else "unseen"
    status = [ungraded if grade is None else "kept" if grade == "none" else "changed" for grade in told]
    found["source_id"] = found["object_id"]
    found["status"] = status
    found["grade"] = pd.Series(["none" if one is None and schema == "osm" else one for one in told], dtype="object")
    found["grade_score"] = 1.0  # a person has said so
    gaps = gpd.GeoDataFrame({"reason": pd.Series([], dtype="str")}, geometry=gpd.GeoSeries([], crs=table.crs))
    metres = scene.resolution_m
    phases = ("Not applicable", "Post-event")
    source = pd.DataFrame(
        {
            "src_id": [1, 2],
            "name": [scene.name] * 2,
            "date": ["", date],
            "gsd_m": [metres if np.isfinite(metres) else 0.0] * 2,
            "phase": phases,
        }
    )
    return Judged(found, None, gaps, source)


def grade_of(name: str | None) -> str | None:
    """The grade of damage that a class is named after; None for no grade.

    Examples
    --------
    >>> grade_of("Major-damage"), grade_of("No visible damage"), grade_of("building")
    ('major', 'none', None)
    """
    plain = "" if name is None else " ".join(name.lower().replace("-", " ").replace("_", " ").split())
    return next((grade for grade, words in GRADES.items() if plain in words), None)


def _is_building(name: str | None) -> bool:
    return name is None or name.strip().lower() in BUILDINGS


def _name(one: MapObject, names: dict[int, str]) -> str | None:
    return None if one.class_code is None else names.get(one.class_code, str(one.class_code))
