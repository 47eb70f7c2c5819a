"""Outlines redrawn for the eye: right-angled buildings, smooth lakes. Optional, by two small libraries of their own.

Each object is redrawn by itself, so that neighbours that shared a border no longer do: never use this where objects
cover the ground without gaps.
"""

import warnings
from importlib import import_module
from itertools import pairwise
from typing import Any, Literal

import geopandas
import numpy as np
import shapely

from geosam.errors import OptionError

Outline = Literal["exact", "regular", "smooth"]
"""How outlines are drawn: along the pixels, with right angles, or smooth."""


def outline(geometries_px: np.ndarray, style: Outline, *, tolerance_px: float | int = 1) -> np.ndarray:
    """Redraw the outline of each object.

    Parameters
    ----------
    geometries_px
        Object array of MultiPolygons in scene px, exact on the pixel grid.
    style
        "regular" for edges at right angles or 45° to the main direction (`buildingregulariser`), "smooth" for curves
        that keep the area (`smoothify`), "exact" for no change.
    tolerance_px
        The farthest that "regular" may simplify before it turns the edges.

    Returns
    -------
    Object array of valid MultiPolygons in the same order. An object that cannot be redrawn keeps its outline.

    Raises
    ------
    OptionError
        If the style is not known, or its library is not installed.

    Examples
    --------
    >>> square = np.array([shapely.MultiPolygon([shapely.box(0, 0, 4, 4)])])
    >>> outline(square, "exact") is square
    True
    """
    if style not in ("exact", "regular", "smooth"):
        raise OptionError(f"outline={style!r}", expected="'exact', 'regular' or 'smooth'")
    if style == "exact" or len(geometries_px) == 0:
        return geometries_px
    parts, owner = shapely.get_parts(geometries_px, return_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn of each polygon that they leave as it is
        redrawn = _regularize(parts, tolerance_px) if style == "regular" else _smooth(parts)
    before, after = shapely.area(parts), shapely.area(redrawn)
    unfit = shapely.is_missing(redrawn) | ~shapely.is_valid(redrawn) | ~(np.abs(after - before) <= before / 2)
    redrawn = np.where(unfit, parts, redrawn)
    bounds = np.searchsorted(owner, np.arange(len(geometries_px) + 1))
    drawn = [_gather(redrawn[begin:end]) for begin, end in pairwise(bounds)]
    return np.array(drawn, object)


def _regularize(parts: np.ndarray, tolerance_px: float | int) -> np.ndarray:
    """Polygons with right angles; None where the library gives up."""
    library = _load("buildingregulariser", "regular")
    table = geopandas.GeoDataFrame({"row": np.arange(len(parts))}, geometry=parts)
    table = library.regularize_geodataframe(table, simplify_tolerance=tolerance_px, num_cores=1)
    redrawn = np.full(len(parts), None, object)
    redrawn[table["row"].to_numpy()] = table.geometry.to_numpy()
    return redrawn


def _smooth(parts: np.ndarray) -> np.ndarray:
    """Polygons with smooth borders."""
    library = _load("smoothify", "smooth")
    return np.array([library.smoothify(part, segment_length=1.0, num_cores=1) for part in parts], object)


def _load(name: str, style: str) -> Any:
    try:
        return import_module(name)
    except ImportError as absent:
        raise OptionError(
            f"outline={style!r} needs {name}, which is not installed", hint='pip install "geosam[outline]"'
        ) from absent


def _gather(parts: np.ndarray) -> shapely.MultiPolygon:
    """Parts as one valid MultiPolygon; parts that were drawn over one another are joined."""
    together = shapely.MultiPolygon(list(parts))
    if not together.is_valid:
        together = shapely.MultiPolygon(list(shapely.get_parts(shapely.union_all(parts))))
    return shapely.normalize(together)
