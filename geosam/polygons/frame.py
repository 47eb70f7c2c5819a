"""Objects as a `GeoDataFrame` with documented columns."""

from collections.abc import Sequence
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from geosam.errors import OptionError
from geosam.instances import InstanceSet
from geosam.polygons.measure import measure
from geosam.scene import Scene

COLUMNS: dict[str, str] = {
    "object_id": "int64",
    "scene": "str",
    "score": "float32",
    "predicted_iou": "float32",
    "stability": "float32",
    "area_m2": "float64",
    "perimeter_m": "float64",
    "prompt_id": "Int64",
    "n_windows": "int32",
    "touches_edge": "bool",
    "touches_nodata": "bool",
    "model": "str",
}
"""Columns of every result with their types, in order; `geometry` follows, then the prompt's own attributes.

=================  =============================================================================================
column             meaning
=================  =============================================================================================
object_id          number of the object in its scene, also its value in the label raster
scene              name of the scene
score              predicted_iou times stability, in [0, 1]
predicted_iou      the IoU that the network expects of its mask, in [0, 1]
stability          IoU of the masks cut a little above and a little below the threshold, in [0, 1]
area_m2            area on the WGS 84 ellipsoid in square metres; NaN without a CRS
perimeter_m        length of all borders in metres; NaN without a CRS
prompt_id          the source's own id of the prompt, text if the ids are text; missing in everything mode
n_windows          number of windows that saw the object
touches_edge       whether the object reaches the scene's edge
touches_nodata     whether the object ends where the scene has no data
model              name of the model
=================  =============================================================================================
"""

_RESERVED = {*COLUMNS, "geometry", "geom", "fid", "ogc_fid"}


def frame(
    geometries_px: np.ndarray,
    scene: Scene,
    *,
    object_ids: np.ndarray,
    predicted_iou: np.ndarray,
    stability: np.ndarray,
    n_windows: np.ndarray | int = 1,
    touches_nodata: np.ndarray | bool = False,
    model: str = "",
    prompt_ids: Sequence[Any] | np.ndarray | None = None,
    attributes: pd.DataFrame | None = None,
) -> geopandas.GeoDataFrame:
    """The documented table of objects, in the scene's CRS.

    Parameters
    ----------
    geometries_px
        Object array of MultiPolygons in scene px.
    scene
        The scene that they lie on.
    object_ids, predicted_iou, stability, n_windows, touches_nodata, model
        As in `COLUMNS`; one value for each object, or one for all where the signature gives a default.
    prompt_ids
        Source id of each object's prompt; integers, or anything else as text. Batches of one layer should pass arrays
        of one type.
    attributes
        The prompts' own attributes, one row for each object, in order. A name that is taken gets the suffix
        ``_prompt``.

    Returns
    -------
    GeoDataFrame
        Geometry type MultiPolygon, columns and types as in `COLUMNS`, also if it is empty.

    Raises
    ------
    OptionError
        If the columns are not of one length.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (64, 64)))
    ...     scores = np.full(1, 0.9, np.float32)
    ...     square = np.array([shapely.MultiPolygon([shapely.box(0, 0, 4, 4)])])
    ...     table = frame(square, scene, object_ids=np.array([1]), predicted_iou=scores, stability=scores)
    >>> len(table), float(table.area_m2[0]) > 0, table.geometry[0].area == 16 * abs(scene.geobox.affine.determinant)
    (1, True, True)
    """
    count = len(geometries_px)
    given = {"object_ids": object_ids, "predicted_iou": predicted_iou, "stability": stability, "prompt_ids": prompt_ids}
    lengths = {name: len(column) for name, column in given.items() if column is not None}
    if attributes is not None:
        lengths["attributes"] = len(attributes)
    if set(lengths.values()) != {count}:
        raise OptionError(f"{count} geometries with {lengths}", expected="one value for each geometry")
    geometries = scene.to_world(geometries_px)
    area, perimeter = measure(geometries, scene.crs)
    columns = {
        "object_id": object_ids,
        "scene": np.full(count, scene.name, object),
        "score": np.clip(np.asarray(predicted_iou), 0, 1) * np.asarray(stability),
        "predicted_iou": predicted_iou,
        "stability": stability,
        "area_m2": area,
        "perimeter_m": perimeter,
        "prompt_id": _prompt_ids(prompt_ids, count),
        "n_windows": np.broadcast_to(n_windows, count),
        "touches_edge": _touches_edge(geometries_px, scene.shape),
        "touches_nodata": np.broadcast_to(touches_nodata, count),
        "model": np.full(count, model, object),
    }
    types = COLUMNS | {"prompt_id": columns["prompt_id"].dtype}
    table = pd.DataFrame({name: pd.Series(column).astype(types[name]) for name, column in columns.items()})
    table = geopandas.GeoDataFrame(table, geometry=geometries, crs=scene.crs)
    return table if attributes is None else _with_attributes(table, attributes)


def instance_frame(
    ids: np.ndarray, geometries_px: np.ndarray, scene: Scene, *, instances: InstanceSet, model: str = ""
) -> geopandas.GeoDataFrame:
    """The table of stitched objects, as `geosam.polygons.polygonize` yields them.

    Parameters
    ----------
    ids, geometries_px
        Object ids, and their MultiPolygons in scene px.
    scene, model
        As for `frame`.
    instances
        The scores of all objects.
    """
    at = np.asarray(ids, np.int64) - 1
    return frame(
        geometries_px,
        scene,
        object_ids=np.asarray(ids, np.int64),
        predicted_iou=instances.predicted_iou[at],
        stability=instances.stability[at],
        n_windows=instances.n_windows[at],
        touches_nodata=instances.touches_nodata[at],
        model=model,
    )


def _prompt_ids(prompt_ids: Sequence[Any] | np.ndarray | None, count: int) -> pd.Series:
    """Integers of 64 bits as nullable integers, anything else as text."""
    if prompt_ids is None:
        return pd.Series(pd.array([pd.NA] * count, dtype="Int64"))
    kind = pd.api.types.infer_dtype(prompt_ids, skipna=True)
    if kind in ("integer", "empty") or (count == 0 and np.asarray(prompt_ids).dtype.kind in "iuO"):
        whole = [None if pd.isna(one) else int(one) for one in prompt_ids]
        if all(one is None or -(2**63) <= one < 2**63 for one in whole):  # larger ones are text
            return pd.Series(pd.array(whole, dtype="Int64"))
    return pd.Series([None if pd.isna(one) else str(one) for one in prompt_ids], dtype="str")


def _touches_edge(geometries_px: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    h, w = shape
    x0, y0, x1, y1 = shapely.bounds(geometries_px).reshape(-1, 4).T
    return (x0 <= 0) | (y0 <= 0) | (x1 >= w) | (y1 >= h)


def _with_attributes(table: geopandas.GeoDataFrame, attributes: pd.DataFrame) -> geopandas.GeoDataFrame:
    """Append the prompts' attributes; formats tell names apart without regard to case, and so does this."""
    taken, names = set(_RESERVED), []
    for given in attributes.columns:
        name = str(given)
        while name.lower() in taken:
            name += "_prompt"
        taken.add(name.lower())
        names.append(name)
    own = attributes.set_axis(names, axis=1).reset_index(drop=True)
    return geopandas.GeoDataFrame(pd.concat([table, own], axis=1), geometry="geometry", crs=table.crs)
