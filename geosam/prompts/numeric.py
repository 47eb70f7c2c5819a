"""Prompts given as numbers and rasters: arrays of points, boxes and masks to rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy import ndarray
from rasterio import features
from rasterio.enums import ColorInterp
from shapely.geometry.base import BaseGeometry

from geosam.errors import PromptError, SceneError, SceneReadError
from geosam.prompts.placement import PIXELS
from geosam.prompts.source import Rows, id_from, label_from, read_features, rows_from_frame
from geosam.scene import Scene
from geosam.scene.dataset import RAISED, open_dataset, reason
from geosam.scene.header import check_single
from geosam.scene.place import place_of


def rows_from_points(xy: Any, crs: Any, *, labels: Any = None, groups: Any = None) -> Rows:
    """Rows of points: ``(x, y)``, ``n`` of them, or for each of ``n`` objects ``p`` of them."""
    points = _numbers(xy, "points", "(x, y), an n x 2 array, or an n x p x 2 array of objects with p points each")
    if points.ndim == 3 and groups is None:
        groups = np.repeat(np.arange(len(points)), points.shape[1])
    points = points.reshape(-1, 2)
    _finite(points, "point")
    count = len(points)
    given = [1] * count if labels is None else np.ravel(labels).tolist()
    owners = [None] * count if groups is None else np.ravel(groups).tolist()
    if len(given) != count or len(owners) != count:
        raise PromptError(
            f"{count} points with {len(given)} labels and {len(owners)} groups", expected="one each for every point"
        )
    signs = np.array([label_from(label, row) for row, label in enumerate(given)], np.int64)
    rows = Rows.plain(np.asarray(shapely.points(points), object), crs, labels=signs, groups=owners)
    ids = [row if owner is None else id_from(owner) for row, owner in enumerate(owners)]
    return replace(rows, ids=ids)


def rows_from_boxes(boxes: Any, crs: Any, *, layer: str | int | None = None, id_column: str | None = None) -> Rows:
    """Rows of boxes: one ``xyxy``, an ``n x 4`` array, or features whose bounds on the scene are meant."""
    if isinstance(boxes, gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry | str | Path) or _all_geometries(boxes):
        features = read_features(boxes, layer=layer, needs_crs=crs is None)
        rows = rows_from_frame(features, id_column=id_column, label_column=None)
        surfaces = shapely.get_dimensions(rows.geometries) == 2  # stay as they are: their bounds depend on the CRS
        outlines = np.where(surfaces, rows.geometries, shapely.envelope(rows.geometries))
        assumed = rows.assumed if crs is None else None
        rows = replace(rows, geometries=outlines, crs=rows.crs if crs is None else crs, assumed=assumed)
        return replace(rows, groups=[None] * len(rows))
    corners = _numbers(boxes, "boxes", "(xmin, ymin, xmax, ymax), an n x 4 array, or geometries", width=4).reshape(
        -1, 4
    )
    _finite(corners, "box")
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    return Rows.plain(np.asarray(shapely.box(*low.T, *high.T), object), crs)


def _all_geometries(source: Any) -> bool:
    return (
        isinstance(source, Sequence | ndarray)
        and len(source) > 0
        and all(isinstance(item, BaseGeometry) for item in source)
    )


def _numbers(values: Any, name: str, expected: str, *, width: int = 2) -> ndarray:
    """Values as a float array whose last axis has the asked width."""
    try:
        array = np.array(values, float)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{name} {values!r}", expected=expected) from error
    if array.size == 0:
        return np.empty((0, width))
    if array.ndim not in (1, 2, 3) or array.shape[-1] != width:
        raise PromptError(f"{name} of shape {array.shape}", expected=expected)
    return array


def _finite(values: ndarray, name: str) -> None:
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise PromptError(f"{name} {values[broken[0]].tolist()} in row {broken[0]}", expected="finite numbers")


def rows_from_masks(masks: Any, scene: Scene) -> Rows:
    """Rows of masks as polygons along the pixel edges.

    `masks` is an integer label array over the scene, a sequence of boolean masks over it, or a label raster file
    in any CRS and resolution. Label 0 and nodata mean no object; a label's number becomes the id.
    """
    if isinstance(masks, str | Path):
        return _rows_from_raster(str(masks), scene)
    array = np.asarray(masks)
    if array.dtype == bool:
        stack = array[None] if array.ndim == 2 else array
        _same_shape(stack.shape[1:], scene)
        outlines = [_outlines(mask.astype(np.int32), Affine.identity()) for mask in stack]
        geometries = np.array([polygons[0] if len(polygons) else None for polygons, _ in outlines], object)
        return Rows.plain(geometries, PIXELS)
    _same_shape(array.shape, scene)
    return _labelled(*_outlines(_int32(array), Affine.identity()), PIXELS)


def _same_shape(shape: tuple[int, ...], scene: Scene) -> None:
    if tuple(shape) != tuple(scene.shape):
        raise PromptError(
            f"masks of shape {shape}",
            expected=f"the scene's {scene.shape}",
            hint="a raster file may have any grid: give its path",
        )


def _rows_from_raster(path: str, scene: Scene) -> Rows:
    try:
        with open_dataset(path) as raster:
            check_single(path, raster)
            if sum(colour != ColorInterp.alpha for colour in raster.colorinterp) > 1:
                raise PromptError(f"{path!r} with {raster.count} bands", expected="one band of labels")
            labels = _int32(np.where(raster.read_masks(1) > 0, raster.read(1), 0))
            place = place_of(path, raster)
    except PromptError:
        raise
    except SceneReadError as error:
        raise PromptError(error.problem, expected="an undamaged raster of labels", hint=error.hint) from error
    except (SceneError, *RAISED) as error:
        raise PromptError(f"{path!r} cannot be read ({reason(error)})", expected="a raster of labels") from error
    if not place.wkt:
        _same_shape(labels.shape, scene)
        return _labelled(*_outlines(labels, Affine.identity()), PIXELS)
    if not isinstance(place.mapping, Affine):
        hint = "warp it first (`gdalwarp`)"
        raise PromptError(f"{path!r} is placed by control points or RPCs", expected="a transform", hint=hint)
    return _labelled(*_outlines(labels, place.mapping), place.wkt)


def _int32(labels: ndarray) -> ndarray:
    """Labels as the one integer type that GDAL polygonizes without loss."""
    whole = labels.astype(np.int32) if labels.dtype.kind in "iufb" else np.zeros(0, np.int32)
    if whole.shape != labels.shape or not (whole == labels).all():
        raise PromptError(
            f"masks of type {labels.dtype} with other values than labels", expected="whole numbers below 2**31"
        )
    return whole


def _outlines(labels: ndarray, transform: Affine) -> tuple[ndarray, ndarray]:
    """A multipolygon for each label, and the labels, ascending."""
    found = list(features.shapes(labels, mask=labels != 0, connectivity=4, transform=transform))
    values = np.array([value for _, value in found], np.int64)
    if not found:
        return np.empty(0, object), values
    pieces = np.array([shapely.Polygon(shape["coordinates"][0], shape["coordinates"][1:]) for shape, _ in found])
    ids, owner = np.unique(values, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    return np.asarray(shapely.multipolygons(pieces[order], indices=owner[order]), object), ids


def _labelled(geometries: ndarray, ids: ndarray, crs: Any) -> Rows:
    return replace(Rows.plain(geometries, crs), ids=ids.tolist())
