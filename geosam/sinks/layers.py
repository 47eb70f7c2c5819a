"""Several layers and tables as one GeoPackage, whole or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio

from geosam.errors import SinkError
from geosam.sinks.geopackage import check_name
from geosam.sinks.ogr import STAMP, fixed_date, write_geopackage
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed
from geosam.sinks.style import add_style
from geosam.sinks.table import spool


def write_layers(
    layers: Mapping[str, pd.DataFrame],
    path: str | os.PathLike[str],
    *,
    styles: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = True,
    inputs: Iterable[Any] = (),
    outputs: Outputs | None = None,
) -> Path:
    """Write layers of polygons, and tables without geometries, as one GeoPackage.

    Parameters
    ----------
    layers
        Name → GeoDataFrame of polygons, or DataFrame; in the order in which QGIS is to list them.
    path
        Output file, ``.gpkg``; one that exists is replaced whole.
    styles
        Name of a layer → QML document that QGIS draws it with.
    metadata
        What is worth knowing about all of it; lies with the first layer, see `geosam.sinks.read_metadata`.
    overwrite
        Whether an existing file may be replaced.
    inputs
        Files that were read; the output may be none of them.
    outputs
        Outputs that it is one of, and appears with.

    Raises
    ------
    SinkError
        If the file cannot be written, a name cannot be a layer's, or a geometry is no polygon.

    Examples
    --------
    >>> import tempfile, shapely
    >>> fields = gpd.GeoDataFrame({"no": [1]}, geometry=[shapely.box(0, 0, 10, 10)], crs="EPSG:32633")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_layers({"fields": fields, "notes": pd.DataFrame({"text": ["dry"]})}, f"{folder}/all.gpkg")
    ...     pyogrio.list_layers(path)[:, 0].tolist()
    ['fields', 'notes']
    """
    target = check_path(path, (".gpkg",), overwrite=overwrite, inputs=inputs)
    if not layers:
        raise SinkError(f"{path}: no layers", expected="at least one")
    for name in layers:
        check_name(name)
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target):
        for number, (name, frame) in enumerate(layers.items()):
            facts = dict(metadata or {}) if number == 0 else {}
            if isinstance(frame, gpd.GeoDataFrame):
                table = spool(frame, place.part.parent, output=target, crs=None)
                write_geopackage(table, place.part, facts, layer=name, style=False)
            else:
                with fixed_date():
                    pyogrio.write_dataframe(frame, place.part, layer=name, driver="GPKG")
        for name, qml in (styles or {}).items():
            if name in layers:
                add_style(place.part, name, stamp=STAMP, document=qml)
    return target
