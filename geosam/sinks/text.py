"""Tables, pages and points: small outputs, whole or not at all like all others."""

import os
from collections.abc import Iterable
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from geosam.errors import SinkError
from geosam.paths import for_gdal
from geosam.sinks.geopackage import layer_of
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

TABLE_FORMATS = (".csv", ".html", ".svg")
"""Extensions of tables, pages and charts."""

POINT_FORMATS = (".gpkg", ".geojson", ".csv")
"""Extensions of points."""


def write_text(
    text: str,
    path: str | os.PathLike[str],
    *,
    formats: tuple[str, ...] = TABLE_FORMATS,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
    outputs: Outputs | None = None,
) -> Path:
    """Write a text, UTF-8.

    Raises
    ------
    SinkError
        If the extension is not one of `formats`, or the file cannot be written.
    """
    target = check_path(path, formats, overwrite=overwrite, inputs=inputs)
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target):
        place.part.write_bytes(text.encode())
    return target


def write_points(
    points: gpd.GeoDataFrame,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Write points with their attributes: ``.gpkg``, ``.geojson``, or ``.csv`` with columns LON and LAT alone.

    Raises
    ------
    SinkError
        If the extension is another one, the file cannot be written, or GeoJSON is asked for of points without a CRS.
    """
    target = check_path(path, POINT_FORMATS, overwrite=overwrite, inputs=inputs)
    if target.suffix.lower() == ".geojson" and points.crs is None:
        wanted = "a CRS, since GeoJSON is longitude and latitude"
        raise SinkError(f"{path}: the points have no CRS", expected=wanted, hint="write .gpkg or .csv")
    if target.suffix.lower() == ".csv":
        table = pd.DataFrame(points.drop(columns=points.geometry.name))
        return write_text(
            table.to_csv(index=False, lineterminator="\n"), target, formats=POINT_FORMATS, overwrite=overwrite
        )
    with placed(target, None, overwrite=overwrite) as place, named_errors(target), for_gdal(place.part) as name:
        frame = points.to_crs(4326) if target.suffix.lower() == ".geojson" else points
        pyogrio.write_dataframe(frame, name, layer=layer_of(target, None))
    return target
