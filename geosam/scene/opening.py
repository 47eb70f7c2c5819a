"""Opening a scene: from whatever the user has to a `Scene`."""

from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from geosam.errors import OptionError, SceneError
from geosam.scene.array import ArrayRaster
from geosam.scene.bands import BandsLike, choose_bands
from geosam.scene.file import FileRaster
from geosam.scene.grid import all_of
from geosam.scene.raster import IGNORE_NODATA, Nodata, Raster
from geosam.scene.scale import at_scale
from geosam.scene.stretch import Stretch, StretchLike, given, identity, measure
from geosam.scene.view import THUMBNAIL_PX, Scene


def open_scene(
    source: Any,
    *,
    bands: BandsLike | None = None,
    resolution: float | int | str | None = None,
    aoi: Any = None,
    aoi_crs: Any = None,
    stretch: StretchLike | Stretch = "auto",
    nodata: Nodata = None,
) -> Scene:
    """Open a raster as a scene.

    Parameters
    ----------
    source
        A path or URI that rasterio opens, an xarray DataArray (or a Dataset whose variables are bands), or a Scene to
        see otherwise.
    bands
        One band or three, by number from 1, name or colour: ``(4, 3, 2)``, ``"nir,red,green"``, ``"rgb"``, ``1``.
        None: red, green, blue if the raster says which these are, else its first three bands, else its first; never
        alpha.
    resolution
        Size of a working pixel in CRS units, or text as in ``"0.5 m"``; see `Scene.at`. Or what is looked for, a name
        of `geosam.scene.scale.SCALES` such as ``"buildings"``. None: the raster's own.
    aoi, aoi_crs
        Area of interest and its CRS; see `Scene.within`.
    stretch
        "auto": 8-bit values as they are, all others from the 2nd to the 98th percentile of each band, and made brighter
        by one exponent for all bands if their median is dark, as measurements of light are. "percentile", "minmax":
        linear; ``(low, high)``, each one number or one per band; or a `Stretch`. All are measured on a decimated read.
    nodata
        Value to be taken for no data, instead of the raster's own nodata, alpha and masks; "none" takes every pixel
        for data.

    Raises
    ------
    SceneError
        If the source cannot be opened, or is no image; or the area of interest does not meet it.
    OptionError
        If an argument makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray
    >>> from rasterio.windows import Window
    >>> scene = open_scene(xarray.DataArray(np.zeros((3, 40, 60), np.uint8), dims=("band", "y", "x")))
    >>> scene.shape, scene.read(Window(50, 0, 32, 32)).pixels.shape
    ((40, 60), (3, 32, 10))
    """
    if isinstance(source, Scene):
        scene = _see_otherwise(source, bands, stretch, nodata)
    else:
        raster = _open_raster(source, nodata)
        chosen, shape = choose_bands(raster.info, bands), raster.info.shape
        scene = Scene(raster, chosen, find_stretch(raster, chosen, stretch), shape, all_of(shape))
    if isinstance(resolution, str) and resolution.isalpha():
        scene = at_scale(scene, resolution)
    elif resolution is not None:
        scene = scene.at(resolution)
    return scene if aoi is None else scene.within(aoi, aoi_crs)


def find_stretch(raster: Raster, bands: tuple[int, ...], stretch: StretchLike | Stretch) -> Stretch:
    """The stretch that a word, numbers or a `Stretch` stand for, measured on the whole raster where it must be."""
    if isinstance(stretch, Stretch):
        return stretch
    if not isinstance(stretch, str):
        return given(stretch, len(bands))
    if stretch not in ("auto", "percentile", "minmax"):
        raise OptionError(f"stretch={stretch!r}", expected='"auto", "percentile", "minmax" or (low, high)')
    if stretch == "auto" and all(raster.info.dtypes[band - 1] == "uint8" for band in bands):
        tops = [raster.info.top(band) or 255.0 for band in bands]
        return identity(len(bands)) if min(tops) == 255 else given((0, tops), len(bands))
    values, valid = raster.thumbnail(bands, THUMBNAIL_PX)
    if stretch == "auto":
        return measure(values, valid, "percentile").brightened(values, valid)
    return measure(values, valid, stretch)


def _open_raster(source: Any, nodata: Nodata) -> Raster:
    if isinstance(nodata, str) and nodata != IGNORE_NODATA:
        raise OptionError(f"nodata={nodata!r}", expected=f'a number, or "{IGNORE_NODATA}" to take every pixel for data')
    if isinstance(source, str | PathLike):
        return FileRaster.open(fspath(source), nodata=nodata)
    if hasattr(source, "dims") and hasattr(source, "sizes"):
        return ArrayRaster.open(source, nodata=nodata)
    raise SceneError(f"a {type(source).__name__} as a scene", expected="a path, a URI, a DataArray or a Scene")


def _see_otherwise(scene: Scene, bands: BandsLike | None, stretch: StretchLike | Stretch, nodata: Nodata) -> Scene:
    """An open scene with other bands or another stretch."""
    if nodata is not None:
        raise OptionError("nodata of an open scene", expected="it to be given where the raster was opened")
    if bands is None and stretch == "auto":
        return scene
    chosen = scene.bands if bands is None else choose_bands(scene.raster.info, bands)
    return replace(scene, bands=chosen, stretch=find_stretch(scene.raster, chosen, stretch))
