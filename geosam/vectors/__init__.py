"""Vectors: the one way in for features, whatever they come in and whatever they are for.

::

    text, file      delimited text; all that GDAL reads
    columns         their attributes, exact
    geometry        their geometries, each by itself
    table           tables whose columns say where the rows are
    signature       whether a file is what its name says

What is said of features beside the table itself is in its `attrs`, under `NOTES`.
"""

import json
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from shapely.geometry.base import BaseGeometry

from geosam.display import shown
from geosam.paths import check_regular, is_address, is_remote
from geosam.vectors import columns, text
from geosam.vectors.file import Bounds, FileRequest, Layer, layer_to_frame, named_for_gdal, read_json, read_layer
from geosam.vectors.purpose import AREA as AREA
from geosam.vectors.purpose import PROMPTS as PROMPTS
from geosam.vectors.purpose import SCENES as SCENES
from geosam.vectors.purpose import Purpose as Purpose
from geosam.vectors.repair import endless
from geosam.vectors.signature import KINDS, check_signature
from geosam.vectors.table import table_to_features

log = logging.getLogger(__name__)

NOTES = "geosam"
"""Key of `attrs`: ``reasons`` (label of a row → why it has no geometry), ``assumed`` (what the CRS rests on)."""

NAMED = 5
"""Rows that are named, of those that are left out."""

PARQUET = (".parquet", ".geoparquet")
_JSON = tuple(suffix for suffix, (what, _) in KINDS.items() if what == "JSON")
_LAYER = re.compile(r"\|(?:layername|layer)=(.+)$")

GEOJSON_SAYS = "GeoJSON without a `crs` means longitude and latitude (EPSG:4326)"


def read_vector(
    source: Any,
    *,
    purpose: Purpose = PROMPTS,
    layer: str | int | None = None,
    bounds: Callable[[Any], Bounds | None] | None = None,
    needs_crs: bool = True,
    plain: bool = False,
) -> Any:
    r"""Features from a frame, a series, shapely geometries or any vector file, with every value as it is given.

    Parameters
    ----------
    source
        A GeoDataFrame, a GeoSeries, geometries, or a path: a vector file that GDAL reads, GeoParquet, or delimited text
        with outlines (WKT, WKB, GeoJSON) or coordinates. ``path|layername=name`` names a layer, as in QGIS.
    purpose
        What they are for: decides which error is raised.
    layer
        Name or number of a layer, where a file has several.
    bounds
        Tells for a file's CRS (None if it has none) ``xmin, ymin, xmax, ymax`` in it, or None; what does not meet them
            is not read.
    needs_crs
        Whether it matters what the file says of its CRS.
    plain
        Whether a table without geometries may be given back as it is.

    Returns
    -------
    GeoDataFrame
        Whole numbers with gaps are nullable integers, moments keep their instant, text stays text. Index: the file's
        own feature ids. With `plain` a DataFrame, where there are no geometries.

    Raises
    ------
    GeosamError
        Of the purpose's kind: if the file cannot be read, is not what its name says, has several layers and none is
        named, or no geometries; or if the rows count together and one of them cannot be built.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "wells.csv")
    ...     _ = path.write_text("well,x,y\n007,500010,4999990\n")
    ...     wells = read_vector(path)
    >>> wells["well"].tolist(), wells.geometry.iloc[0]
    (['007'], <POINT (500010 4999990)>)
    """
    if isinstance(source, str | PathLike):
        path, named = split_layer(fspath(source))
        asked = FileRequest(path, purpose, named if layer is None else layer, bounds, needs_crs)
        return _usable(_read_path(path, asked, plain=plain), purpose, path)
    return _usable(_read_objects(source, purpose, plain=plain), purpose)


def split_layer(path: str) -> tuple[str, str | None]:
    """A path and the layer that follows it, if one does.

    Examples
    --------
    >>> split_layer("plots.gpkg|layername=fields"), split_layer("plots.gpkg")
    (('plots.gpkg', 'fields'), ('plots.gpkg', None))
    """
    found = _LAYER.search(path)
    if not found or Path(path).exists():
        return path, None
    return path[: found.start()], found[1]


def notes(frame: pd.DataFrame) -> Mapping[str, Any]:
    """What was noted of features when they were read."""
    found = frame.attrs.get(NOTES)
    return found if isinstance(found, Mapping) else {}


def _usable(frame: Any, purpose: Purpose, path: str = "") -> Any:
    """Features without outlines that nothing can be done with; rows that have no geometry for a reason are told.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if the rows count together and one cannot be used.
    """
    if not isinstance(frame, gpd.GeoDataFrame) or frame.active_geometry_name is None:
        return frame
    if found := endless(np.asarray(frame.geometry.array, object)):
        known, assumed = notes(frame).get("reasons", {}), notes(frame).get("assumed")
        frame = _noted(frame.copy(), found, assumed)
        frame.attrs[NOTES]["reasons"] |= known
    reasons = notes(frame).get("reasons", {})
    if reasons and purpose.together:
        raise purpose.error(
            f"{' '.join(filter(None, (purpose.what, shown(path))))}: {next(iter(reasons.values()))}",
            expected="an outline",
            hint="draw it anew",
        )
    if reasons and purpose is not PROMPTS:  # each prompt that gives nothing is told by its id
        told = "; ".join(f"row {label}: {reason}" for label, reason in list(reasons.items())[:NAMED])
        log.warning("%d of %d %s are left out (%s)", len(reasons), len(frame), purpose.what, told)
    return frame


def _read_objects(source: Any, purpose: Purpose, *, plain: bool) -> Any:
    """Features that are in memory."""
    if isinstance(source, gpd.GeoDataFrame):
        if source.active_geometry_name is None and not plain:
            raise purpose.error("a GeoDataFrame without geometries", expected="one with an active geometry column")
        return source
    if isinstance(source, gpd.GeoSeries):
        return gpd.GeoDataFrame(geometry=source)
    if isinstance(source, BaseGeometry):
        return gpd.GeoDataFrame(geometry=[source])
    if isinstance(source, Sequence | np.ndarray) and all(
        one is None or isinstance(one, BaseGeometry) for one in source
    ):
        return gpd.GeoDataFrame(geometry=list(source))
    raise purpose.error(
        f"{purpose.what} of type {type(source).__name__}",
        expected="a vector file, a GeoDataFrame, a GeoSeries or shapely geometries",
        hint="for numbers use Prompts.from_points or Prompts.from_boxes, for arrays Prompts.from_masks"
        if purpose is PROMPTS
        else "",
    )


def _read_path(path: str, asked: FileRequest, *, plain: bool) -> Any:
    """Features of a file, or of an address that GDAL understands."""
    suffix = Path(path.partition("?")[0]).suffix.lower()
    if is_address(path):
        if suffix in PARQUET:
            return _read_parquet(path, asked, plain=plain)
        _check_archive(path, asked.purpose)
        return _features(read_layer(path, asked), asked, plain=plain)
    place = check_regular(path, asked.purpose.error, f"a vector file with {asked.purpose.what}")
    if suffix in text.SUFFIXES and place.is_file():
        table, reasons = text.read_text(place, asked.purpose)
        return _recognized(_from_table(table, asked, reasons, plain=plain))
    check_signature(place, asked.purpose)
    if suffix in PARQUET:
        return _read_parquet(str(place), asked, plain=plain)
    if suffix in _JSON:
        return _features(read_json(place, asked), asked, plain=plain)
    with named_for_gdal(place) as name:
        return _features(read_layer(name, asked), asked, plain=plain)


def _check_archive(path: str, purpose: Purpose) -> None:
    """Look into a local archive that is named in GDAL's way, as into one that is named in the usual way."""
    found = re.match(r"(?:/vsizip/|zip://)(.+?\.(?:zip|kmz|shz))(?:[/!]|$)", path, re.IGNORECASE)
    if found and not is_remote(path) and Path(found[1]).is_file():
        check_signature(Path(found[1]), purpose)


def _features(layer: Layer, asked: FileRequest, *, plain: bool) -> Any:
    """A layer as a frame with its notes."""
    if layer.geometries is None:
        return _from_table(layer.frame, asked, {}, plain=plain)
    frame = layer_to_frame(layer, asked)
    return _noted(frame, layer.reasons, GEOJSON_SAYS if layer.assumed else None)


def _from_table(table: pd.DataFrame, asked: FileRequest, reasons: Mapping[int, str], *, plain: bool) -> Any:
    """A table whose columns say where the rows are; as it is, if none does and that will do."""
    if plain:
        return table
    frame, more = table_to_features(table, asked.where, asked.purpose)
    return _noted(frame, {**more, **reasons}, None)


def _recognized(table: Any) -> Any:
    """A table whose text is numbers where that loses nothing."""
    texts = [name for name in table.columns if isinstance(table[name].dtype, pd.StringDtype)]
    return table.assign(**{name: text.recognized(table[name]) for name in texts}) if texts else table


def _noted(frame: gpd.GeoDataFrame, reasons: Mapping[int, str], assumed: str | None) -> gpd.GeoDataFrame:
    """Features with notes of them; a row that does not fit has no geometry."""
    if reasons:
        frame.loc[frame.index[list(reasons)], frame.geometry.name] = None
    frame.attrs[NOTES] = {
        "reasons": {frame.index[row]: reason for row, reason in reasons.items()},
        "assumed": assumed,
    }
    return frame


def _read_parquet(path: str, asked: FileRequest, *, plain: bool) -> Any:
    """GeoParquet, or Parquet with outlines or coordinates in its columns."""
    local = not is_address(path)
    try:
        told = (pq.read_schema(path).metadata or {}).get(b"geo") if local else None
        is_geo = not local or told is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*spherical edges")  # said below
            frame = gpd.read_parquet(path) if is_geo else pq.read_table(path).to_pandas()
        exact = _exact(frame, path) if local else frame
    except Exception as error:  # pyarrow and geopandas raise several kinds without a common root
        raise asked.purpose.unreadable(asked.where, str(error)) from None
    if not isinstance(exact, gpd.GeoDataFrame):
        return _from_table(exact, asked, {}, plain=plain)
    _say_what_is_not_honoured(told, asked.where)
    return exact


def _say_what_is_not_honoured(told: bytes | None, where: str) -> None:
    """What GeoParquet says of its geometries and nothing here goes by: edges on a sphere, and a coordinate epoch."""
    facts = json.loads(told) if told else {}
    column = facts.get("columns", {}).get(facts.get("primary_column"), {})
    if column.get("edges", "planar") != "planar":
        log.warning("%s: its edges are %s, and are taken for straight ones in its CRS", where, column["edges"])
    if column.get("epoch") is not None:
        log.warning("%s: its coordinates are of epoch %s, and are taken as they are", where, column["epoch"])


def _exact(frame: Any, path: str) -> Any:
    """A frame of a Parquet file with the columns that pandas has rounded, since they have gaps, put right."""
    schema = pq.read_schema(path)
    for name in frame.columns:
        kind = schema.field(name).type if name in schema.names else None
        if kind is not None and str(kind).startswith(("int", "uint", "bool")) and frame[name].dtype.kind in "fO":
            exact = columns.array_to_series(pq.read_table(path, columns=[name]).column(name))
            frame[name] = exact.set_axis(frame.index)
    return frame
