"""A class raster as a map: polygons with a class, named by what lies beside the raster or by a legend."""

import logging
from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geosam.errors import LandcoverError
from geosam.landcover.legend import Legend
from geosam.landcover.samples import class_text, spellings
from geosam.polygons import polygonize
from geosam.scene import open_scene
from geosam.scene.dataset import open_dataset
from geosam.vectors import Purpose
from geosam.vectors.polygons import read_polygons

log = logging.getLogger(__name__)

SUFFIXES = (".tif", ".tiff", ".vrt", ".img")
MAP = Purpose.bare(LandcoverError, "polygons of a map")

MOST_CLASSES = 256
"""A raster with more values holds measurements, not classes."""

_ROWS = 512


def read_map(source: str | PathLike[str], *, column: str = "class", legend: Legend | None = None) -> gpd.GeoDataFrame:
    """Read a map of classes: polygons from a vector file, or the classes of a raster as one polygon each.

    Parameters
    ----------
    source
        A vector file, or a raster (``.tif``, ``.vrt``, ``.img``) with one band of whole numbers. What it calls nodata
        is no class.
    column
        The column that holds the class of polygons; that of a raster's gets this name.
    legend
        Names of a raster's codes, and of polygons whose class is a code. None: the names that lie beside a raster
        (``.aux.xml``, as `write_classes` and GDAL write them); a code without a name is called by its number.

    Returns
    -------
    geopandas.GeoDataFrame
        The polygons; those of a raster with their code as well, in a column with ``_code`` behind its name.

    Raises
    ------
    LandcoverError
        If a raster does not hold classes, or has codes that the legend does not know.
    SceneError, VectorError
        If the file cannot be read.
    """
    if Path(source).suffix.lower() not in SUFFIXES:
        table = read_polygons(source, MAP)
        if column in table and legend is not None:
            called = [None if pd.isna(one) else legend.name_of(class_text(one)) for one in table[column]]
            table[column] = pd.Series(called, table.index, dtype=object).where(pd.notna(called), table[column])
        if column in table and (names := spellings(table[column])):
            log.warning("the map has the classes %s, which are told apart", ", ".join(map(repr, names)))
        return table
    with open_dataset(source) as dataset:
        _check(dataset, fspath(source))
        codes = np.unique(np.concatenate([np.unique(strip[there]) for _, strip, there in _strips(dataset)]))
        if not 0 < len(codes) <= MOST_CLASSES:
            raise LandcoverError(f"{source} has {len(codes)} values", expected=f"1 to {MOST_CLASSES} classes")
        names = _names_beside(Path(source)) if legend is None else dict(zip(legend.codes, legend.names, strict=True))
        if legend is not None and (odd := sorted(set(codes.tolist()) - set(names))):
            raise LandcoverError(f"{source} has the code {odd[0]}", expected=f"codes of the legend: {sorted(names)}")
        labels = ((top, _numbered(strip, there, codes)) for top, strip, there in _strips(dataset))
        found = [(ids, shapes) for ids, shapes in polygonize(labels, coverage=True)]
    scene = open_scene(source)
    ids, shapes = (np.concatenate([each[part] for each in found]) for part in (0, 1))
    code = codes[ids - 1]
    told = {column: [names.get(each) or str(each) for each in code.tolist()], f"{column}_code": code}
    return gpd.GeoDataFrame(told, geometry=list(scene.to_world(shapes)), crs=scene.crs)


def _check(dataset: DatasetReader, source: str) -> None:
    whole = np.issubdtype(np.dtype(dataset.dtypes[0]), np.integer)
    if dataset.count != 1 or not whole:
        given = f"{source} has {dataset.count} bands of {dataset.dtypes[0]}"
        hint = "`gdal_translate -b 1 -ot UInt16` makes it one, if its values are whole numbers"
        raise LandcoverError(given, expected="one band of whole numbers, a code for each class", hint=hint)


def _strips(dataset: DatasetReader) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """First row, codes, and where they are data, from top to bottom."""
    for top in range(0, dataset.height, _ROWS):
        window = Window(0, top, dataset.width, min(_ROWS, dataset.height - top))  # pyright: ignore[reportCallIssue]  # attrs class without stubs
        yield top, dataset.read(1, window=window).astype(np.int64), dataset.read_masks(1, window=window) > 0


def _numbered(strip: np.ndarray, there: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Place of each code among all, from 1; 0 where there is no data."""
    return np.where(there, np.searchsorted(codes, strip) + 1, 0).astype(np.int32)


def _names_beside(path: Path) -> dict[int, str]:
    """Code → name in the ``.aux.xml`` of a raster; empty if it has none."""
    try:
        root = ElementTree.parse(f"{path}.aux.xml").getroot()
    except (OSError, ElementTree.ParseError):
        return {}
    listed = root.findall("PAMRasterBand/CategoryNames/Category")
    return {code: name.text.strip() for code, name in enumerate(listed) if name.text and name.text.strip()}
