"""Consequences in numbers, per administrative unit, per cell of a grid, or for all."""

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.change.damage import GRADES
from geosam.change.status import STATUSES
from geosam.errors import OptionError, PromptError
from geosam.polygons.measure import measure
from geosam.scene.reproject import parse_crs
from geosam.vectors import Purpose, read_vector

MOST_CELLS = 100_000
"""Cells of a grid at most; more are no summary."""


def summarise(
    change: gpd.GeoDataFrame, extent: gpd.GeoDataFrame | None, names: list[str], shapes: np.ndarray
) -> gpd.GeoDataFrame:
    """Count objects by status and grade, and sum extents, in each unit.

    Parameters
    ----------
    change
        Objects with ``status`` and ``grade``; each counts where its middle lies.
    extent
        Extents of the event; None for none.
    names, shapes
        The units, as `unit_shapes` gives them.

    Returns
    -------
    GeoDataFrame
        ``unit, objects, kept, …, none, …, affected_pct, extent_ha``; `affected_pct` is the share of changed and gone
        ones among those that were seen.
    """
    middle = shapely.point_on_surface(np.array(change.geometry.array, object))
    middle[shapely.is_missing(middle)] = shapely.Point()
    unit = _unit_of(middle, shapes)
    rows = []
    for number, (name, shape) in enumerate(zip(names, shapes, strict=True)):
        inside = change[unit == number]
        status, grade = (pd.Series(inside[name]).value_counts().to_dict() for name in ("status", "grade"))
        hurt = int(status.get("changed", 0) + status.get("gone", 0))
        seen = hurt + int(status.get("kept", 0))
        rows.append(
            {
                "unit": name,
                "objects": len(inside) - int(status.get("new", 0)),
                **{each: int(status.get(each, 0)) for each in STATUSES},
                **{f"grade_{each}": int(grade.get(each, 0)) for each in GRADES},
                "affected_pct": 100 * hurt / seen if seen else float("nan"),
                "extent_ha": _extent_ha(extent, shape),
            }
        )
    return gpd.GeoDataFrame(pd.DataFrame(rows), geometry=list(shapes), crs=change.crs)


def unit_shapes(units: Any, frame: Any, crs: Any, given_crs: Any = None) -> tuple[list[str], np.ndarray]:
    """Names and polygons of units, in the CRS of the frame.

    Parameters
    ----------
    units
        Polygons (a layer with a column ``name``, or its first text column), or the side of a grid's cells in CRS units;
        None for one unit.
    frame
        Polygon of the ground that both scenes show.
    crs
        Its CRS.
    given_crs
        CRS of the units where they say none.

    Raises
    ------
    OptionError
        If a cell's side is not positive, or there were too many of them.
    PromptError
        If the file of the units cannot be read.
    """
    if units is None:
        return ["all"], np.array([frame], object)
    if isinstance(units, int | float):
        return _cells(float(units), frame)
    layer = read_vector(units, purpose=Purpose.bare(PromptError, "units"), needs_crs=given_crs is None)
    if given_crs is not None:
        layer = layer.set_crs(parse_crs(given_crs), allow_override=True)
    layer = layer.to_crs(crs) if layer.crs is not None and crs is not None else layer
    layer = layer[layer.geometry.intersects(frame)]
    text = [name for name in layer.columns if pd.api.types.is_string_dtype(layer[name]) and name != layer.geometry.name]
    column = "name" if "name" in layer else (text[0] if text else None)
    names = layer[column].astype(str).tolist() if column else [str(number) for number in range(1, len(layer) + 1)]
    return [*names, "elsewhere"], np.array([*layer.geometry.array, shapely.Polygon()], object)


def _cells(side: float, frame: Any) -> tuple[list[str], np.ndarray]:
    """Cells on multiples of their side, named by row from the north and column from the west."""
    if not 0 < side < np.inf:
        raise OptionError(f"units={side}", expected="a positive side of cells in CRS units, or polygons")
    x0, y0, x1, y1 = frame.bounds
    left, top = np.floor(x0 / side), np.ceil(y1 / side)
    columns, rows = int(np.ceil(x1 / side) - left), int(top - np.floor(y0 / side))
    if columns * rows > MOST_CELLS:
        raise OptionError(f"{columns} x {rows} cells of {side:g}", expected=f"{MOST_CELLS:,} cells at most")
    cells = [
        (f"{row + 1}-{column + 1}", shapely.box(*_corners(left + column, top - row, side)))
        for row in range(rows)
        for column in range(columns)
    ]
    kept = [(name, cell) for name, cell in cells if cell.intersects(frame)]
    return [name for name, _ in kept], np.array([cell for _, cell in kept], object)


def _corners(column: float, row: float, side: float) -> tuple[float, float, float, float]:
    return column * side, (row - 1) * side, (column + 1) * side, row * side


def _unit_of(points: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """The first unit that holds each point, else the last."""
    found = np.full(len(points), len(shapes) - 1)
    tree = shapely.STRtree(shapes)
    point, unit = tree.query(points, predicate="intersects")
    for each, number in zip(point[::-1], unit[::-1], strict=True):
        found[each] = number if found[each] == len(shapes) - 1 else min(number, found[each])
    return found


def _extent_ha(extent: gpd.GeoDataFrame | None, shape: Any) -> float:
    if extent is None or not len(extent) or shape.is_empty:
        return 0.0
    near = extent[extent.geometry.intersects(shape)]
    cut = shapely.intersection(np.array(near.geometry.array, object), shape)
    flat = np.array([each for each in cut if shapely.get_dimensions(each) == 2], object)
    return float(np.nansum(measure(flat, extent.crs)[0])) / 1e4 if len(flat) else 0.0
