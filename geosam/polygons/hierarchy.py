"""Wholes and their parts: objects of several views of one scene as one table, each with what it is a part of."""

from collections.abc import Sequence

import geopandas
import numpy as np
import pandas as pd
import shapely
from jaxtyping import Float64, Int64

SAME = 0.6
"""IoU from which two objects of different views are the same object, and the one with the better score stays."""

INSIDE = 0.8
"""Share of an object that must lie in a larger one for it to be a part of that."""

HIERARCHY_COLUMNS = {"level": "int32", "parent_id": "Int64"}
"""Columns of a hierarchy: 0 for a whole, 1 for a part of a whole …; and the `object_id` of what it is a part of."""


def nest(views: Sequence[geopandas.GeoDataFrame]) -> geopandas.GeoDataFrame:
    """Join the objects of several views of a scene to one table of wholes and parts.

    Objects of one view must not overlap, as `geosam.segment` gives them. What two views found alike is kept once, by
    the better score. An object's parent is the smallest larger object that holds at least `INSIDE` of it.

    Parameters
    ----------
    views
        Tables with `geosam.polygons.COLUMNS`, all in one CRS.

    Returns
    -------
    GeoDataFrame
        Wholes first, then their parts, then the parts of parts; within a level in the order of the views. `object_id`
        counts anew from 1; `level` and `parent_id` follow the documented columns.

    Examples
    --------
    >>> def view(*boxes):
    ...     shapes = [shapely.box(*box) for box in boxes]
    ...     return geopandas.GeoDataFrame({"object_id": range(1, len(boxes) + 1), "score": 0.5}, geometry=shapes)
    >>> roofs, block = view((0, 0, 4, 4), (5, 0, 9, 4)), view((0, 0, 10, 5))
    >>> found = nest([roofs, block])
    >>> found.level.tolist(), found.parent_id.fillna(0).tolist()
    ([0, 1, 1], [0, 1, 1])
    """
    full = [view for view in views if len(view)] or [views[0]]
    table = pd.concat(full, ignore_index=True) if len(full) > 1 else full[0].reset_index(drop=True)
    number = np.repeat(np.arange(len(full)), [len(view) for view in full])
    areas = shapely.area(table.geometry.to_numpy())
    inner, outer, shared = _overlaps(table.geometry.to_numpy(), number, areas)
    kept = _once(table.score.to_numpy(float), areas, inner, outer, shared)
    parent = _parents(kept, areas, inner, outer, shared)
    depth = _depths(parent)
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(depth[rows], kind="stable")]
    ids = np.zeros(len(table) + 1, np.int64)
    ids[rows] = np.arange(1, len(rows) + 1)
    of = ids[parent[rows]]  # the last entry, 0, where there is no parent
    found = table.iloc[rows].reset_index(drop=True)
    found["object_id"] = ids[rows]
    at = found.columns.get_loc("geometry")
    found.insert(at, "level", depth[rows].astype(np.int32))
    found.insert(at + 1, "parent_id", pd.Series(pd.array(of, dtype="Int64")).mask(of == 0))
    return geopandas.GeoDataFrame(found, geometry="geometry", crs=views[0].crs)


def _overlaps(
    shapes: np.ndarray, number: Int64[np.ndarray, "n"], areas: Float64[np.ndarray, "n"]
) -> tuple[Int64[np.ndarray, "p"], Int64[np.ndarray, "p"], Float64[np.ndarray, "p"]]:
    """Pairs of objects of different views that share ground: the smaller, the larger, and the area they share."""
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    first = (areas[one] < areas[other]) | ((areas[one] == areas[other]) & (one < other))
    pairs = first & (number[one] != number[other])
    one, other = one[pairs], other[pairs]
    order = np.lexsort((other, one))
    one, other = one[order].astype(np.int64), other[order].astype(np.int64)
    return one, other, shapely.area(shapely.intersection(shapes[one], shapes[other]))


def _once(score: np.ndarray, areas: np.ndarray, inner: np.ndarray, outer: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Which objects stay when those that are the same are kept once, the best first; among equals the earlier one."""
    same = shared >= SAME * (areas[inner] + areas[outer] - shared)
    alike: dict[int, list[int]] = {}
    for a, b in zip(inner[same].tolist(), outer[same].tolist(), strict=True):
        alike.setdefault(a, []).append(b)
        alike.setdefault(b, []).append(a)
    kept = np.ones(len(areas), bool)
    for row in np.lexsort((np.arange(len(score)), -score)).tolist():
        if kept[row]:
            kept[alike.get(row, [])] = False
    return kept


def _parents(
    kept: np.ndarray, areas: np.ndarray, inner: np.ndarray, outer: np.ndarray, shared: np.ndarray
) -> Int64[np.ndarray, "n"]:
    """Row of each object's parent; one past the last row where there is none."""
    parent = np.full(len(areas), len(areas), np.int64)
    holds = kept[inner] & kept[outer] & (shared >= INSIDE * areas[inner])
    inner, outer = inner[holds], outer[holds]
    order = np.lexsort((outer, areas[outer], inner))  # the smallest first
    rows, first = np.unique(inner[order], return_index=True)
    parent[rows] = outer[order][first]
    return parent


def _depths(parent: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """How many objects each is a part of; a parent is always larger, so that the chains end."""
    depth, above = np.zeros(len(parent), np.int64), np.append(parent, len(parent))
    at = above[:-1]
    while (at < len(parent)).any():
        depth += at < len(parent)
        at = above[at]
    return depth
