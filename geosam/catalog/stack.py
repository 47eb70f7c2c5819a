"""Several rasters of one grid as one raster: a VRT whose bands they are."""

import os
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from geosam.errors import SceneError

_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
_COLOURS = ("Red", "Green", "Blue")


def stack_bands(paths: Sequence[str], target: Path) -> Path:
    """Write a VRT whose bands are the first bands of some rasters, red, green and blue if they are three.

    Parameters
    ----------
    paths
        Rasters of one extent and CRS. The first says how large a pixel is; others may be coarser or finer, and are
        read at its pixels.
    target
        The VRT; written beside its place and moved there.

    Raises
    ------
    SceneError
        If a raster cannot be opened, or lies elsewhere than the first.
    """
    opened = [_open(path) for path in paths]
    try:
        first = opened[0]
        for path, dataset in zip(paths, opened, strict=True):
            _check(path, dataset, first)
        bands = "".join(
            _band(number, dataset, first, colour=_COLOURS[number - 1] if len(paths) == 3 else "Gray")
            for number, dataset in enumerate(opened, 1)
        )
        text = (
            f'<VRTDataset rasterXSize="{first.width}" rasterYSize="{first.height}">'
            f"<SRS>{escape(first.crs.to_wkt()) if first.crs else ''}</SRS>"
            f"<GeoTransform>{', '.join(repr(value) for value in first.transform.to_gdal())}</GeoTransform>"
            f"{bands}</VRTDataset>"
        )
    finally:
        for dataset in opened:
            dataset.close()
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, target)
    return target


def _open(path: str) -> DatasetReader:
    try:
        return rasterio.open(path)
    except (RasterioError, OSError) as error:
        raise SceneError(f"{path} cannot be opened ({error})", expected="a raster that GDAL reads") from error


def _check(path: str, dataset: DatasetReader, first: DatasetReader) -> None:
    tolerance = max(abs(first.transform.a), abs(first.transform.e)) / 2
    apart = [abs(one - other) for one, other in zip(dataset.bounds, first.bounds, strict=True)]
    if dataset.crs != first.crs or max(apart) > tolerance:
        raise SceneError(
            f"{path} lies at {tuple(dataset.bounds)}",
            expected=f"the place of the other bands, {tuple(first.bounds)} in {first.crs}",
            hint="choose assets of one grid",
        )


def _band(number: int, dataset: DatasetReader, first: DatasetReader, *, colour: str) -> str:
    kind = _TYPES.get(str(dataset.dtypes[0]))
    if kind is None:
        raise SceneError(f"{dataset.name} has pixels of type {dataset.dtypes[0]}", expected="real numbers")
    nodata = "" if dataset.nodata is None else f"<NoDataValue>{dataset.nodata!r}</NoDataValue>"
    source = escape((dataset.files or [dataset.name])[0])
    return (
        f'<VRTRasterBand dataType="{kind}" band="{number}"><ColorInterp>{colour}</ColorInterp>{nodata}<SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        f'<SrcRect xOff="0" yOff="0" xSize="{dataset.width}" ySize="{dataset.height}"/>'
        f'<DstRect xOff="0" yOff="0" xSize="{first.width}" ySize="{first.height}"/></SimpleSource></VRTRasterBand>'
    )
