"""Whether what came of a case is right; a list of what is not."""

import json
import re
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import rasterio
import shapely

from geosam.display import printable
from tests.fuzz.cases import Case
from tests.fuzz.child import Ended

MOST_BYTES = 2 << 30
"""Memory beyond which a command on a tiny input is found to take too much."""

LOGGED = re.compile(r"(WARNING|INFO) (geosam[\w.]*|GDAL): ")

TRACE = re.compile(r"Traceback \(most recent call last\)|^\s+File \"", re.MULTILINE)


def judge_end(case: Case, words: list[str], ended: Ended) -> list[str]:
    """Judge how a command ended and what it said."""
    if ended.code is None:
        return [f"hangs: ended after {ended.seconds:.0f} s"]
    found = []
    lines = [line for line in ended.complained.splitlines() if line.strip()]
    errors = [line for line in lines if not LOGGED.match(line)]
    failed = re.findall(r"^failed: .*", ended.said, re.MULTILINE)
    if ended.code not in (0, 1, 2):
        found.append(f"exit {ended.code}: {' / '.join(lines[-3:])[:600]}")
    elif TRACE.search(ended.complained + ended.said):
        found.append(f"traceback: {' / '.join(lines[-3:])[:600]}")
    elif ended.code == 0 and errors:
        found.append(f"noise on stderr: {' / '.join(errors)[:600]}")
    elif ended.code == 1:
        if len(errors) != (0 if failed else 1) or not all(line.startswith("error: ") for line in errors):
            found.append(f"{len(errors)} lines on stderr: {' / '.join(errors)[:600]}")
        elif not _names(case, words, " ".join([*errors, *failed])):
            found.append(f"names nothing of the input: {' / '.join([*errors, *failed])[:600]}")
    elif ended.code == 2 and "Error" not in ended.complained:
        found.append(f"exit 2 without usage: {' / '.join(lines)[:600]}")
    if any(sign in ended.complained + ended.said for sign in ("\x1b", "\x00", "\x9b")):
        found.append("a sign that a terminal obeys")
    if ended.peak_bytes > MOST_BYTES:
        found.append(f"{ended.peak_bytes / 2**30:.1f} GB of memory")
    if case.same is not None and ended.code:
        found.append(f"not made again: exit {ended.code}: {' / '.join(lines[-2:])[:600]}")
    return found


def _names(case: Case, words: list[str], text: str) -> bool:
    """Whether a message names something that was given: a file, an option, or a value."""
    files = [path.name for folder in (case.inputs, case.out) for path in folder.rglob("*")]
    given = [printable(word) for word in words[1:] if len(word) > 1]
    short = [word for word in words[1:] if len(word) == 1 and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    options = [word[2:].replace("-", "_") for word in words if word.startswith("--")]
    asked = [Path(word).stem for word in given if "/" in word]
    spoken = ["area of interest"] * ("--aoi" in words) + [" .:"] * ("" in words)  # a path of nothing is the folder
    return any(each and each in text for each in (*files, *given, *short, *options, *asked, *spoken))


def judge_outputs(case: Case) -> list[str]:
    """Judge the files that were written; each is valid, or not there."""
    found = []
    for path in case.layers:
        found += _tried(path, lambda path=path: _layer(case, path))
    for path in case.rasters:
        found += _tried(path, lambda path=path: _raster(path))
    for path in case.tables:
        found += _tried(path, lambda path=path: json.loads(path.read_text()) and [])
    return found


def _tried(path: Path, look) -> list[str]:
    if not path.exists():
        return [f"exit 0 without {path.name}"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [f"{path.name}: {wrong}" for wrong in look() or []]
    except Exception as error:
        return [f"{path.name} cannot be read: {type(error).__name__}: {str(error)[:300]}"]


def _read(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    return pyogrio.read_dataframe(path, layer=layers[0])


def _layer(case: Case, path: Path) -> list[str]:
    layer = _read(path)
    found = []
    if len(layer) and not (layer.is_valid & ~layer.is_empty).all():
        found.append("geometries that are invalid or empty")
    if len(layer) and not np.isfinite(layer.total_bounds).all():
        found.append("coordinates that are not finite")
    there = set(layer.columns)
    infinite = [name for name in {"area_m2", "perimeter_m"} & there if np.isinf(layer[name].astype(float)).any()]
    scores = {"predicted_iou", "stability"} & there
    beyond = [name for name in scores if not layer[name].dropna().between(0, 1).all()]
    found += [f"{name} that is infinite" for name in infinite] + [f"{name} beyond [0, 1]" for name in beyond]
    if "instance_id" in layer and layer.instance_id.duplicated().any():
        found.append("instance_id that is not unique")
    if case.scene is not None and path.suffix != ".geojson":
        found += _crs(case.scene, layer)
    if case.same is not None and not _equal(layer, _read(case.same)):
        found.append("differs from an undisturbed run")
    return found


def _crs(scene: Path, layer: geopandas.GeoDataFrame) -> list[str]:
    with rasterio.open(scene) as file:
        crs = file.crs or file.gcps[1]
    if layer.crs is None or not crs:  # a place that is none may be left out; what takes its place has a name
        return []
    return [] if layer.crs == crs else [f"CRS {layer.crs.name} of a scene in {crs.to_string()[:60]}"]


def _equal(one: geopandas.GeoDataFrame, other: geopandas.GeoDataFrame) -> bool:
    shapes = (np.sort(shapely.to_wkb(shapely.normalize(layer.geometry.to_numpy()))) for layer in (one, other))
    return np.array_equal(*shapes)


def _raster(path: Path) -> list[str]:
    with rasterio.open(path) as file:
        values = file.read()
    return [] if values.size else ["no pixels"]
