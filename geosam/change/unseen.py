"""What was not seen on one of the dates: no data, clouds, and whatever a user's masks cover.

Masks are polygons in any CRS, or rasters whose pixels other than zero and no data are not seen. What is not seen is
never taken for unchanged.
"""

from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from rasterio.features import shapes

from geosam.change.ground import area_m2
from geosam.change.pair import Pair, tiles
from geosam.errors import SceneError
from geosam.scene import open_scene
from geosam.scene.dataset import open_dataset
from geosam.vectors import Purpose, read_vector

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png")
"""Extensions of files that are read as rasters."""

TILE = 2048

COVER = Purpose.bare(SceneError, "clouds or other cover", together=True)

LEAST_GAP_PX = 4
"""Pixels of a patch that is not seen from which on it is drawn."""


def mask_polygons(source: Any) -> gpd.GeoDataFrame:
    """Polygons of a mask.

    Parameters
    ----------
    source
        A raster file (pixels other than 0 and no data are masked), a vector file, a GeoDataFrame or geometries.

    Raises
    ------
    SceneError
        If it cannot be read, or is a raster without a CRS.
    """
    if isinstance(source, str | PathLike) and Path(fspath(source)).suffix.lower() in RASTERS:
        return _raster_polygons(Path(fspath(source)))
    return read_vector(source, purpose=COVER)


def mask_pair(pair: Pair, masks: Iterable[Any], *, after: bool = False) -> Pair:
    """A pair in which nothing is seen inside some masks.

    Parameters
    ----------
    pair
        The pair.
    masks
        Each as for `mask_polygons`.
    after
        Whether they were drawn on the date after, so that the pair's shift holds for them.
    """
    for source in masks:
        frame = mask_polygons(source)
        geometries = np.array(frame.geometry.array, object)
        found = pair.from_after_px(geometries, frame.crs) if after else pair.before.to_px(geometries, frame.crs)
        pair = pair.masked(shapely.get_parts(shapely.make_valid(found)))
    return pair


def not_analysed(pair: Pair, *, least_px: int = 1) -> np.ndarray:
    """Polygons of what is not seen, in pixels of the grid, in the order in which they are met; small ones left out.

    Holes and pieces follow pixel sides exactly, also across tiles.
    """
    h, w = pair.shape
    unseen = np.zeros((h, w), np.uint8)
    for window in tiles(pair.shape, TILE):
        part = (
            slice(window.row_off, window.row_off + window.height),
            slice(window.col_off, window.col_off + window.width),
        )
        unseen[part] = ~pair.read(window).seen
    return mask_to_polygons(unseen, least_px=least_px)


def mask_to_polygons(mask: np.ndarray, *, least_px: int = 1) -> np.ndarray:
    """Polygons around the pixels of a mask, 4-connected, without those of fewer pixels than `least_px`.

    Examples
    --------
    >>> mask_to_polygons(np.array([[1, 1, 0], [0, 0, 1]], np.uint8), least_px=2)
    array([<POLYGON ((0 0, 0 1, 2 1, 2 0, 0 0))>], dtype=object)
    """
    found = [shapely.geometry.shape(each) for each, _ in shapes(mask.astype(np.uint8), mask=mask.astype(bool))]
    return np.array([each for each in found if each.area >= least_px], object)


def _raster_polygons(path: Path) -> gpd.GeoDataFrame:
    scene = open_scene(path)
    if scene.crs is None:
        raise SceneError(f"mask {path} has no CRS", expected="a georeferenced raster", hint="or give polygons")
    with open_dataset(path) as file:
        if file.count != 1:
            given = f"mask {path} has {file.count} bands"
            raise SceneError(given, expected="one band, 0 where the ground is seen", hint="`gdal_translate -b 1`")
        covered = (file.read(1) != 0) & (file.dataset_mask() > 0)
    return gpd.GeoDataFrame(geometry=list(scene.to_world(mask_to_polygons(covered))), crs=scene.crs)


def unseen_frame(pair: Pair) -> gpd.GeoDataFrame:
    """Ground that one of the dates does not show, as a table."""
    shapes = not_analysed(pair, least_px=LEAST_GAP_PX)
    world = pair.before.to_world(shapes) if len(shapes) else shapes
    table = {
        "reason": pd.Series(["no data, cloud or mask"] * len(world), dtype="str"),
        "area_ha": area_m2(world, pair.before.crs) / 1e4,
    }
    return gpd.GeoDataFrame(pd.DataFrame(table), geometry=list(world), crs=pair.before.crs)
