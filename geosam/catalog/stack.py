"""The scene of an item; several rasters of one grid are one, by a VRT whose bands they are."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from xml.sax.saxutils import escape

from rasterio.io import DatasetReader, MemoryFile

from geosam.catalog.folder import RunFolder
from geosam.catalog.items import Item
from geosam.catalog.job import View
from geosam.errors import SceneError, SinkError
from geosam.paths import is_remote
from geosam.scene import Scene
from geosam.scene.dataset import open_dataset
from geosam.scene.fingerprint import lasting
from geosam.scene.origin import TRUSTED

HELD = 1024
"""VRTs of remote rasters that a process holds."""

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


def open_item(item: Item, view: View, folder: Path) -> Scene:
    """The scene of an item under its name, cropped to the area of interest.

    Parameters
    ----------
    item, view
        The item, and how it is seen.
    folder
        Of the results; rasters that are bands of one scene are stacked there.

    Raises
    ------
    GeosamError
        What is wrong with the item, or with its raster.
    """
    if item.problem is not None:
        raise item.problem
    whole = open_whole(item, view, RunFolder(folder).stacks)
    return whole if view.aoi is None else whole.within(view.aoi, view.aoi_crs)


def open_whole(item: Item, view: View, stacks: Path) -> Scene:
    """The scene of an item under its name, with what lies outside the area of interest."""
    path = item.paths[0] if len(item.paths) == 1 else stack_bands(item.paths, stacks / f"{item.name}.vrt")
    return named(view.open(path), item.name)


def named(scene: Scene, name: str) -> Scene:
    """The scene under another name, which the column ``scene`` then holds; what it is does not change."""
    info = replace(scene.raster.info, name=name)
    return replace(scene, raster=replace(scene.raster, info=info))  # pyright: ignore[reportArgumentType]  # a raster is a dataclass


def stack_bands(paths: Sequence[str], target: Path) -> str:
    """Make a VRT whose bands are the first bands of some rasters, red, green and blue if they are three.

    Parameters
    ----------
    paths
        Rasters of one extent and CRS. The first says how large a pixel is; others may be coarser or finer, and are
        read at its pixels.
    target
        The VRT; written beside its place and moved there. That of remote rasters, whose addresses may hold secrets, is
        only held in memory.

    Returns
    -------
    str
        What opens it.

    Raises
    ------
    SceneError
        If a raster cannot be opened, or lies elsewhere than the first.
    """
    text = _describe(paths)
    if any(map(is_remote, paths)):
        return f"{TRUSTED}{_hold(text, tuple(map(lasting, paths)), target.name).name}"
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except (OSError, ValueError) as error:
        raise SinkError(f"{target} cannot be written ({error})", hint="see whether the disk is full") from error
    return str(target)


@lru_cache(maxsize=HELD)
def _hold(text: str, paths: tuple[str, ...], name: str) -> MemoryFile:
    """A VRT in memory, under a name that changes with its rasters but not with what is passing in their addresses."""
    return MemoryFile(text.encode(), dirname=sha256(repr(paths).encode()).hexdigest()[:32], filename=name)


def _describe(paths: Sequence[str]) -> str:
    """The VRT."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_dataset(path)) for path in paths]
        first = opened[0]
        for path, dataset in zip(paths, opened, strict=True):
            _check(path, dataset, first)
        bands = "".join(
            _band(number, dataset, first, colour=_COLOURS[number - 1] if len(paths) == 3 else "Gray")
            for number, dataset in enumerate(opened, 1)
        )
        return (
            f'<VRTDataset rasterXSize="{first.width}" rasterYSize="{first.height}">'
            f"<SRS>{escape(first.crs.to_wkt()) if first.crs else ''}</SRS>"
            f"<GeoTransform>{', '.join(repr(value) for value in first.transform.to_gdal())}</GeoTransform>"
            f"{bands}</VRTDataset>"
        )


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
