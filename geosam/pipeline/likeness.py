"""More like this: some polygons are marked as right or wrong, all others are ranked."""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from geopandas import GeoDataFrame, GeoSeries
from shapely.geometry.base import BaseGeometry

from geosam.errors import OptionError, PromptError
from geosam.execute import Progress
from geosam.pipeline.run import open_store
from geosam.recognition import Describer, Examples, RegionFeatures, rank
from geosam.scene import Scene, open_scene
from geosam.vectors import Purpose
from geosam.vectors.polygons import read_polygons

SEGMENTS = Purpose.bare(PromptError, "polygons")
COLUMN = "similarity"
"""Column of the result, in [0, 1]: 1 and 0 for the examples, and for others the more, the more they are like them."""

RIGHT, WRONG = ("1", "true", "right", "yes"), ("0", "false", "wrong", "no")
"""What a column of marks may say; an empty one says nothing."""


def similar(
    segments: Any,
    examples: Any,
    scenes: Any,
    *,
    wrong: Any = (),
    store: Any = "auto",
    progress: Progress | None = None,
) -> GeoDataFrame:
    """Rank polygons by how much they are like some of them.

    What each polygon looks like is found out once and kept in the store, so that the next examples take no more than
    reading it.

    Parameters
    ----------
    segments
        Polygons as `segment` or `segment_catalog` gives them: a GeoDataFrame, or the path of a vector file.
    examples
        What is looked for: labels of the table's index, points or polygons that lie in the right ones (a GeoSeries, or
        geometries in the segments' CRS), or the name of a column that holds 1 for right and 0 for wrong ones.
    scenes
        The scene, a `Scene` or whatever `open_scene` opens. For polygons of several scenes a list of them, or a mapping
        from their names in the column ``scene``.
    wrong
        What is not looked for, as `examples`; not together with a column.
    store
        Folder or `EmbeddingStore` of what is kept; ``"auto"`` for the cache folder, None to keep nothing.
    progress
        Shows how far the work is.

    Returns
    -------
    GeoDataFrame
        The segments with the column `similarity`, the most similar first; labels of rows stay.

    Raises
    ------
    OptionError
        If no example is right, one is both, lies in no polygon or is no label; if the scene of a polygon is not given.
    SceneError
        If a scene cannot be opened or read.

    Examples
    --------
    >>> import tempfile
    >>> import shapely
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(folder + "/xy.tif", (96, 96)))
    ...     boxes = shapely.box([0, 32, 64], 0, [32, 64, 96], 96)
    ...     segments = GeoDataFrame(geometry=scene.to_world(boxes), crs=scene.crs)
    ...     found = similar(segments, [0], scene, wrong=[2], store=None)
    >>> found.index.tolist(), found.similarity.iloc[0].item()
    ([0, 1, 2], 1.0)
    """
    table = read_segments(segments)
    marked = marks(table, examples, wrong)
    describer = Describer(store=open_store(store))
    features = described(table, by_name(scenes), describer, progress or Progress())
    scores = rank(features, marked)
    order = np.argsort(-scores, kind="stable")
    found = table.iloc[order].copy()
    found[COLUMN] = scores[order]
    return found


def read_segments(segments: Any) -> GeoDataFrame:
    """Polygons from a table or a file; the index of a file's rows is its own feature ids."""
    table = segments if isinstance(segments, GeoDataFrame) else read_polygons(segments, SEGMENTS)
    if not table.index.is_unique:
        raise OptionError("segments whose index repeats labels", expected="one label a row", hint="reset the index")
    if not len(table):
        raise OptionError("no segments", expected="at least one polygon")
    return table


def marks(table: GeoDataFrame, examples: Any, wrong: Any) -> Examples:
    """Rows that are marked."""
    if isinstance(examples, str):
        if len(wrong):
            raise OptionError(f"column {examples!r} together with wrong ones", expected="a column that says both")
        return marks_of_column(table, examples)
    return Examples(rows_of(table, examples), rows_of(table, wrong))


def marks_of_column(table: GeoDataFrame, column: str) -> Examples:
    """Rows that a column marks."""
    if column not in table.columns:
        raise OptionError(f"column {column!r}", expected=f"one of {', '.join(map(str, table.columns))}")
    said = table[column].map(lambda value: "" if pd.isna(value) else str(value).strip().lower().removesuffix(".0"))
    unknown = sorted({*said} - {*RIGHT, *WRONG, ""})
    if unknown:
        raise OptionError(
            f"column {column!r} holds {unknown[0]!r}", expected="1 for right ones, 0 for wrong ones, or nothing"
        )
    right, wrong = (np.flatnonzero(said.isin(words)).astype(np.int64) for words in (RIGHT, WRONG))
    return Examples(right, wrong)


def rows_of(table: GeoDataFrame, examples: Any) -> np.ndarray:
    """Row numbers of labels, or of the polygons that hold points."""
    given = examples if isinstance(examples, GeoSeries | GeoDataFrame) else list(examples)
    if isinstance(given, list) and not (given and all(isinstance(one, BaseGeometry) for one in given)):
        return _rows_of_labels(table, given)
    places = given.geometry if not isinstance(given, list) else GeoSeries(given, crs=table.crs)
    if places.crs is not None and table.crs is not None and places.crs != table.crs:
        places = places.to_crs(table.crs)
    found = []
    for place in places:
        inner = place if place.geom_type == "Point" else place.representative_point()
        holding = np.flatnonzero(table.geometry.intersects(inner).to_numpy())
        if not len(holding):
            raise OptionError(
                f"example at {inner.x:g}, {inner.y:g} lies in no polygon", expected="a place in a segment"
            )
        found.append(holding[int(table.geometry.area.to_numpy()[holding].argmin())])  # the smallest, of several
    return np.unique(np.array(found, np.int64))


def _rows_of_labels(table: GeoDataFrame, labels: list[Any]) -> np.ndarray:
    rows = table.index.get_indexer(pd.Index(labels)) if labels else np.zeros(0, np.int64)
    absent = [label for label, row in zip(labels, rows, strict=True) if row < 0]
    if absent:
        raise OptionError(f"example {absent[0]!r}", expected="a label of the segments' index, or a place in one")
    return np.unique(np.asarray(rows, np.int64))


def by_name(scenes: Any) -> dict[str | None, Any]:
    """Scenes by their names; of a single one the name does not matter, and is None."""
    if isinstance(scenes, Mapping):
        return {str(name): scene for name, scene in scenes.items()}
    if isinstance(scenes, list | tuple):
        opened = [_opened(scene) for scene in scenes]
        return {scene.name: scene for scene in opened}
    return {None: scenes}


def described(
    table: GeoDataFrame, scenes: Mapping[str | None, Any], describer: Describer, progress: Progress
) -> RegionFeatures:
    """Features of all segments, each on its own scene."""
    single = None in scenes
    names = [None] * len(table) if single else _scene_names(table, scenes)
    parts: dict[str | None, np.ndarray] = {name: np.flatnonzero([one == name for one in names]) for name in set(names)}
    order = sorted(parts, key=str)
    found: list[RegionFeatures] = []
    with progress.stage("describe", len(order), unit="scenes") as stage:
        for name in order:
            found.append(describer.describe(table.iloc[parts[name]], _opened(scenes[name])))
            stage.advance()
    back = np.argsort(np.concatenate([parts[name] for name in order]), kind="stable")
    values, area = (np.concatenate([getattr(one, what) for one in found])[back] for what in ("values", "area_px"))
    return RegionFeatures(values, area, found[0].key)


def _scene_names(table: GeoDataFrame, scenes: Mapping[str | None, Any]) -> list[str]:
    if "scene" not in table.columns:
        raise OptionError("segments without the column scene", expected="one scene", hint="give the scene they are of")
    names = [str(name) for name in table["scene"]]
    absent = sorted(set(names) - set(map(str, scenes)))
    if absent:
        given = ", ".join(sorted(map(str, scenes)))
        raise OptionError(f"segments of scene {absent[0]!r}", expected=f"scenes among those given: {given}")
    return names


def _opened(scene: Any) -> Scene:
    if isinstance(scene, Scene):
        return scene
    return open_scene(Path(fspath(scene)) if isinstance(scene, PathLike) else scene)
