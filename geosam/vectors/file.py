"""Vector files → features, by GDAL: one layer, every value exact, what cannot be built named."""

import json
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyogrio.raw
from pyproj import CRS
from pyproj.exceptions import CRSError

from geosam.gdal import gdal_options
from geosam.paths import for_gdal
from geosam.vectors import columns
from geosam.vectors.geometry import geometries_from_wkb
from geosam.vectors.purpose import Purpose
from geosam.vectors.signature import HEAD, json_crs

log = logging.getLogger(__name__)

Bounds = tuple[float, float, float, float]
"""``xmin, ymin, xmax, ymax`` in the CRS of a layer."""

OPENING = {"ESRI Shapefile": {"ADJUST_TYPE": "YES"}, "GeoJSON": {"DATE_AS_STRING": "YES"}}
"""How drivers are opened, so that they change nothing: neither long whole numbers, nor text that looks like a date."""

CALM = {"GML_DOWNLOAD_SCHEMA": "NO", "GML_DOWNLOAD_WFS_SCHEMA": "NO"}
"""What GDAL is told while a local file is read: to fetch nothing."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Features of one layer.

    Attributes
    ----------
    frame
        Their attributes; indexed by the file's own feature ids, if these tell them apart.
    geometries
        Object array of n geometries or None; None for a layer without geometries.
    crs
        Their CRS, None if the file does not say it.
    reasons
        Why some have no geometry, by position.
    assumed
        Whether the CRS is a convention, such as GeoJSON's.
    """

    frame: pd.DataFrame
    geometries: np.ndarray | None
    crs: Any = None
    reasons: Mapping[int, str] = field(default_factory=dict)
    assumed: bool = False


@dataclass(frozen=True)
class FileRequest:
    """What is asked of a file: its name as the user knows it, which layer, which part, and whether its CRS counts."""

    where: str
    purpose: Purpose
    layer: str | int | None = None
    bounds: Callable[[Any], Bounds | None] | None = None
    needs_crs: bool = True


def read_layer(name: str, asked: FileRequest) -> Layer:
    """The layer of a source that GDAL opens under `name`.

    Raises
    ------
    GeosamError
        Of the purpose's kind, if it cannot be read, or has several layers and none is named.
    """
    with _errors(name, asked):
        layer, has_geometries = _choose(name, asked)
        info = pyogrio.read_info(name, layer=layer)
        bounds = asked.bounds(_stated(info["crs"])) if asked.bounds and has_geometries else None
        how: dict[str, Any] = {"layer": layer, "bbox": bounds, "return_fids": True, **OPENING.get(info["driver"], {})}
        meta, table = pyogrio.raw.read_arrow(name, read_geometry=False, datetime_as_string=True, **how)
        frame = _attributes(meta, table)
        if not has_geometries:
            return Layer(frame, None)
        wkb_meta, _, wkb, _ = pyogrio.raw.read(name, columns=[], **how)
        if len(wkb) != len(frame):
            raise ValueError(f"{len(frame)} rows with {len(wkb)} geometries")
        geometries, reasons = geometries_from_wkb(wkb)
        return Layer(frame, geometries, _stated(wkb_meta["crs"]), reasons)


def read_json(place: Path, asked: FileRequest) -> Layer:
    """The features of a GeoJSON file, with what GDAL does not read of it: CRS by name, whole numbers of any length."""
    says, crs = json_crs(place, asked.purpose, needed=asked.needs_crs)  # before GDAL, which would follow a link
    with for_gdal(place) as name:
        found = read_layer(name, asked)
    own = {name: columns.moments_in_text(series) for name, series in found.frame.items()}
    for column in [str(name) for name, series in own.items() if columns.lossy(series)]:
        given = _json_values(place, column)
        if len(given) == len(found.frame):
            own[column] = columns.exact_integers(own[column], given)
    frame = found.frame.assign(**{str(name): series for name, series in own.items()})
    if not says or found.geometries is None:
        return Layer(frame, found.geometries, found.crs, found.reasons, assumed=not says)
    return Layer(frame, found.geometries, crs and _known(crs, found.crs, asked), found.reasons)


def _known(crs: str, found: Any, asked: FileRequest) -> Any:
    """The CRS that a GeoJSON file names, as GDAL gives it if it has understood the name."""
    try:
        named = CRS.from_user_input(crs)
        return found if found and named.equals(CRS.from_user_input(found), ignore_axis_order=True) else named
    except CRSError:
        if not asked.needs_crs:
            return None
        raise asked.purpose.error(
            f"{asked.where} in the CRS {crs!r}",
            expected="one that PROJ knows, as EPSG:32633",
            hint=f"say it yourself: {asked.purpose.crs}",
        ) from None


def _json_values(place: Path, column: str) -> list[Any]:
    """What the features of a FeatureCollection hold in one column; nothing if it is none."""
    try:
        features = json.loads(place.read_bytes())["features"]
        return [(feature.get("properties") or {}).get(column) for feature in features]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


@contextmanager
def named_for_gdal(place: Path) -> Iterator[str]:
    """A name for GDAL: plain, and for XML in a folder of its own, since GDAL leaves files beside GML."""
    with place.open("rb") if place.is_file() else open(os.devnull, "rb") as file:
        is_xml = file.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    if not is_xml or sys.platform == "win32":
        with for_gdal(place) as name:
            yield name
        return
    with tempfile.TemporaryDirectory(prefix="geosam-") as folder:
        for beside in (place, place.with_suffix(".xsd")):
            if beside.is_file():
                os.symlink(beside, Path(folder, "named" + beside.suffix))
        yield str(Path(folder, "named" + place.suffix))


def _choose(name: str, asked: FileRequest) -> tuple[str, bool]:
    """The layer that is asked for, else the only one with features that have geometries; and whether it has them.

    Raises
    ------
    GeosamError
        Of the purpose's kind.
    """
    layers = {str(layer): kind is not None for layer, kind in pyogrio.list_layers(name)}
    if asked.layer is not None:
        names = list(layers)
        number = int(asked.layer) if str(asked.layer).isdecimal() and str(asked.layer) not in layers else None
        if number is not None and number < len(names):
            return names[number], layers[names[number]]
        if str(asked.layer) not in layers:
            raise _layers_error(asked, f"no layer {str(asked.layer)!r} in {asked.where!r}", names)
        return str(asked.layer), layers[str(asked.layer)]
    spatial = [layer for layer, has_geometries in layers.items() if has_geometries]
    if len(spatial) > 1:
        spatial = [layer for layer in spatial if _has_features(name, layer)] or spatial[:1]
    if len(spatial) > 1 or (not spatial and len(layers) > 1):
        several = spatial or list(layers)
        raise _layers_error(asked, f"{asked.where!r} with layers {', '.join(several)}", several)
    if not layers:
        raise asked.purpose.unreadable(asked.where, "it has no layer")
    return (spatial or list(layers))[0], bool(spatial)


def _layers_error(asked: FileRequest, problem: str, names: list[str]) -> Exception:
    shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    return asked.purpose.error(problem, expected=f"one of {shown}", hint=f"name it: {asked.purpose.layer}")


def _has_features(name: str, layer: str) -> bool:
    return pyogrio.read_info(name, layer=layer, force_feature_count=True)["features"] != 0


def _attributes(meta: Mapping[str, Any], table: Any) -> pd.DataFrame:
    """The attributes by feature id; by position where the file's ids do not tell the features apart."""
    names, kinds = list(meta["fields"]), list(map(str, meta["dtypes"]))
    offset = table.num_columns - len(names)  # the feature ids come first
    fids = table.column(0) if offset else None
    frame = columns.table_to_frame(table.select(range(offset, table.num_columns)), names, kinds)
    if fids is not None and not fids.null_count:
        index = pd.Index(fids.to_numpy(), name=str(meta.get("fid_column") or "") or "fid")
        if index.is_unique:
            frame.index = index
    return frame


def _stated(crs: str | None) -> str | None:
    """A CRS, unless it only says that there is none, as GeoPackage does by its SRS -1 and 0."""
    return None if crs is None or re.match(r'\w+\["(Undefined|Unknown)', crs, re.IGNORECASE) else crs


@contextmanager
def _errors(name: str, asked: FileRequest) -> Iterator[None]:
    """Errors of GDAL as those of the purpose, its warnings as log, neither with names that the user has not given."""
    with gdal_options(CALM), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            yield
        except asked.purpose.error:
            raise
        except Exception as error:  # pyogrio and pyarrow raise several kinds without a common root
            raise asked.purpose.unreadable(asked.where, str(error).replace(name, Path(asked.where).name)) from None
    for text in dict.fromkeys(str(one.message) for one in said if issubclass(one.category, RuntimeWarning)):
        log.warning("%s: %s", asked.where, text.replace(name, Path(asked.where).name))


def layer_to_frame(layer: Layer, asked: FileRequest) -> gpd.GeoDataFrame:
    """A layer with geometries as a GeoDataFrame, whose geometry column takes no attribute's name."""
    active = "geometry"
    while active in layer.frame.columns:
        active += "_"
    try:
        geometries = gpd.GeoSeries(layer.geometries, index=layer.frame.index, crs=layer.crs)
    except CRSError as error:
        raise asked.purpose.unreadable(asked.where, str(error)) from None
    return gpd.GeoDataFrame(layer.frame.assign(**{active: geometries}), geometry=active)
