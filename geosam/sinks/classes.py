"""Classes → a cloud-optimized GeoTIFF that opens in its colours, with the names of its classes beside it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import rasterio
import rasterio.shutil
from odc.geo.gcp import GCPGeoBox
from rasterio.crs import CRS
from rasterio.enums import Resampling

from geosam.arrays import Labels
from geosam.scene import Scene
from geosam.sinks.columns import to_json
from geosam.sinks.inputs import scene_files
from geosam.sinks.labels import EXTENSIONS, quiet
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

_BLOCK = 512

ClassRow = tuple[int, str, str]
"""Code, name and colour ``#rrggbb`` of a class."""


def write_classes(
    strips: Iterable[tuple[int, Labels]],
    path: str | os.PathLike[str],
    scene: Scene,
    classes: Sequence[ClassRow],
    *,
    nodata: int,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = True,
    outputs: Outputs | None = None,
) -> Path:
    """Write a map of classes.

    The file has one band, uint8 if all codes are below 256, else uint16; a colour table, *no data* transparent, and
    overviews by mode. The names lie beside it in ``.aux.xml``, as GDAL and QGIS keep them: as category names by
    position, and as an attribute table.

    Parameters
    ----------
    strips
        First row and codes of each strip, from top to bottom, over the whole scene.
    path
        ``.tif`` or ``.tiff``.
    scene
        The scene whose grid the codes have.
    classes
        Code, name and colour of each class.
    nodata
        The code that means no data.
    metadata
        Lies as JSON in the tag ``geosam``.
    overwrite, outputs
        As for `geosam.sinks.write`.

    Raises
    ------
    SinkError
        If the file cannot be written.
    """
    target = check_path(path, EXTENSIONS, overwrite=overwrite, inputs=scene_files(scene))
    wide = max(nodata, *(code for code, _, _ in classes)) > 255
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target), quiet():
        rows = place.part.with_name("classes.tif")
        with rasterio.open(rows, "w", **_profile(scene, "uint16" if wide else "uint8")) as file:
            file.write_colormap(1, _colours(classes, nodata))  # first, so that it lies in the file itself
            for top, codes in strips:
                window = ((top, top + len(codes)), (0, codes.shape[1]))
                file.write(codes.astype(file.dtypes[0]), 1, window=window)
        with rasterio.open(rows, "r+") as file:
            file.build_overviews(_factors(*scene.shape), Resampling.mode)
            file.nodata = nodata
            file.update_tags(**({"geosam": to_json(metadata)} if metadata else {}))
        rasterio.shutil.copy(rows, place.part, driver="COG", compress="deflate", blocksize=_BLOCK)
        Path(f"{place.part}.aux.xml").write_text(_names(classes), encoding="utf-8")
    return target


def _profile(scene: Scene, dtype: str) -> dict[str, Any]:
    box, crs = scene.geobox, scene.geobox.crs
    place: dict[str, Any] = {"crs": CRS.from_wkt(crs.to_wkt()) if crs is not None else None}
    place |= {"gcps": box.gcps()} if isinstance(box, GCPGeoBox) else {"transform": box.affine}
    h, w = scene.shape
    tiles = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "zlevel": 1}
    return {
        "driver": "GTiff",
        "width": w,
        "height": h,
        "count": 1,
        "dtype": dtype,
        "bigtiff": "if_safer",
        **tiles,
        **place,
    }


def _colours(classes: Sequence[ClassRow], nodata: int) -> dict[int, tuple[int, int, int, int]]:
    found = {code: (*_rgb(colour), 255) for code, _, colour in classes}
    return found | {nodata: (0, 0, 0, 0)}


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _factors(h: int, w: int) -> list[int]:
    """Powers of two down to an overview that is one block."""
    return [2**level for level in range(1, 32) if max(h, w) / 2 ** (level - 1) > _BLOCK]


_FIELDS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
"""Columns of the attribute table: name, type (0 whole number, 2 text) and what it is for, as GDAL numbers them."""


def _names(classes: Sequence[ClassRow]) -> str:
    """What GDAL keeps beside a raster: category names by position, and a raster attribute table."""
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    by_code = {code: name for code, name, _ in classes}
    listed = ElementTree.SubElement(band, "CategoryNames")
    for code in range(max(by_code) + 1):
        ElementTree.SubElement(listed, "Category").text = by_code.get(code, "")
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for number, (name, kind, usage) in enumerate(_FIELDS):
        defined = ElementTree.SubElement(table, "FieldDefn", index=str(number))
        for tag, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            ElementTree.SubElement(defined, tag).text = text
    for number, (code, name, colour) in enumerate(classes):
        row = ElementTree.SubElement(table, "Row", index=str(number))
        for text in (code, name, *_rgb(colour)):
            ElementTree.SubElement(row, "F").text = str(text)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
