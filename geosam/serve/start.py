"""From a scene to a desk: the session opened or made, objects and classes brought along, the model loaded."""

import logging
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geosam.errors import OptionError, PromptError
from geosam.landcover import Legend
from geosam.pipeline.request import to_network
from geosam.pipeline.run import open_store
from geosam.scene import Scene
from geosam.serve.desk import Desk, session_path
from geosam.serve.layer import Layer
from geosam.serve.objects import Classes, MapClass, MapObject, Step
from geosam.serve.package import is_session
from geosam.serve.session import Session
from geosam.serve.shapes import areas, canonical
from geosam.serve.warm import Warmth
from geosam.vectors import Purpose, read_vector

_log = logging.getLogger(__name__)

OBJECTS = Purpose.bare(PromptError, "objects")
CLASS_COLUMNS = ("class_code", "class", "kind", "label")
"""Columns that say what an object is, the first that there is."""

LARGEST_ID = 2**40
"""Larger ids of a file are not kept: JavaScript counts exactly to 2^53 only, and further objects need numbers too."""


def needs(extra: str, *modules: str) -> None:
    """Refuse what cannot be done without some packages.

    Raises
    ------
    OptionError
        If one is absent; says what to install.

    Examples
    --------
    >>> needs("serve", "no_such_module")
    Traceback (most recent call last):
    geosam.errors.OptionError: no_such_module is not installed: expected pip install "geosam[serve]"
    """
    absent = [name for name in modules if find_spec(name) is None]
    if absent:
        raise OptionError(
            f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed",
            expected=f'pip install "geosam[{extra}]"',
        )


def start(
    scene: Scene,
    *,
    model: Any = "nano",
    session: str | PathLike[str] | None = None,
    labels: Any = None,
    classes: Any = None,
    date: str = "",
    memory: int = 1 << 30,
    store: Any = "auto",
) -> Desk:
    """A desk with its session.

    Parameters
    ----------
    scene
        The scene.
    model
        Name, path or network.
    session
        The session's file; None for the one beside the scene, or the one that `labels` is.
    labels
        Polygons to begin with: a file, a GeoDataFrame, or a session of this scene, which then goes on.
    classes
        A legend: name, file or `Legend`; its classes are added to those that the session has.
    date
        When the scene was taken, ISO 8601; exports in a schema say it.
    memory
        Bytes of encoded windows that are kept.
    store
        Embeddings on disk, as for `geosam.segment`.

    Raises
    ------
    SceneError, ModelError, SinkError, LandcoverError, OptionError
        If one of them cannot be used.
    """
    check_moment(date)
    network = to_network(model)
    goes_on, path = _goes_on(labels), session_of(scene, session, labels)
    given = () if classes is None else _classes(classes)
    found = None if labels is None or goes_on else read_objects(labels, scene, given)
    opened = Session(path, scene)
    try:
        layer = Layer(opened)
        fresh = not layer.objects and not layer.can_undo and not layer.can_redo
        if found is not None and fresh:
            layer.begin(found[0], _united(layer.classes, found[1]))
        elif given:
            _add_classes(layer, given)
        if found is not None and not fresh:
            _log.warning("%s has begun and goes on: the labels are not read again", path)
        desk = Desk(scene, layer, Warmth(scene, network, memory=memory, store=open_store(store)), date=date)
        desk.prepare()
        return desk
    except BaseException:
        opened.close()
        raise


def check_moment(text: str) -> None:
    """Refuse what is no day and no moment; nothing is one.

    Raises
    ------
    OptionError
        If it is not ISO 8601.

    Examples
    --------
    >>> check_moment("2024-06-30T10:15:00Z")
    >>> check_moment("30.6.2024")
    Traceback (most recent call last):
    geosam.errors.OptionError: date '30.6.2024': expected ISO 8601, as 2024-06-30 or 2024-06-30T10:15:00Z
    """
    try:
        datetime.fromisoformat(text or "2000-01-01")
    except ValueError:
        raise OptionError(f"date {text!r}", expected="ISO 8601, as 2024-06-30 or 2024-06-30T10:15:00Z") from None


def session_of(scene: Scene, session: str | PathLike[str] | None, labels: Any) -> Path:
    """The file of a session: the one that labels are, the one that is named, or the one beside the scene.

    Raises
    ------
    OptionError
        If labels are another session than the one that is named.
    """
    if not _goes_on(labels):
        return session_path(scene) if session is None else Path(session)
    if session is not None and Path(session).absolute() != Path(labels).absolute():
        raise OptionError(f"labels={fspath(labels)!r} is a session", expected="that one alone", hint="leave one out")
    return Path(labels)


def _goes_on(labels: Any) -> bool:
    """Whether labels are a session."""
    return isinstance(labels, str | PathLike) and is_session(Path(labels))


def read_objects(labels: Any, scene: Scene, classes: Classes = ()) -> tuple[list[MapObject], Classes]:
    """Objects of a table or a file, on the scene's pixel grid, and their classes.

    Ids stay where they are whole numbers that differ. Rows that are no areas, or do not meet the scene, are left out,
    which is said; a score that is no number from 0 to 1 is brought there, or 1.

    Parameters
    ----------
    labels
        A GeoDataFrame, or a vector file.
    scene
        The scene.
    classes
        Those that are known; others in the table are added.
    """
    table = labels if isinstance(labels, gpd.GeoDataFrame) else read_vector(labels, purpose=OBJECTS)
    h, w = scene.shape
    shapes = shapely.make_valid(scene.to_px(table))
    shapes = shapely.intersection(shapes, shapely.box(0, 0, w, h))
    rows = [row for row, shape in enumerate(shapes) if len(areas(shape))]
    if len(rows) < len(table):
        _log.warning("%d of %d objects are left out: no areas on the scene", len(table) - len(rows), len(table))
    codes, known = _codes(table, classes)
    ids = _ids(table, rows)
    given: Any = pd.to_numeric(table["score"], errors="coerce") if "score" in table.columns else np.ones(len(table))
    scores = np.nan_to_num(np.asarray(given, float), nan=1.0).clip(0.0, 1.0)
    found = [
        MapObject(number, canonical(shapes[row]), codes[row], float(scores[row]), "file")
        for row, number in zip(rows, ids, strict=True)
    ]
    return found, known


def read_classes(path: str | Path) -> Classes:
    """The classes of a legend: a file (``.csv``, ``.qml``), or a name such as ``worldcover``.

    Raises
    ------
    LandcoverError
        If there is no such legend.

    Examples
    --------
    >>> read_classes("worldcover")[0]
    MapClass(code=10, name='Tree cover', color='#006400')
    """
    legend = Legend.of(path)
    rows = zip(legend.codes, legend.names, legend.colours, strict=True)
    return tuple(MapClass(code, name, colour) for code, name, colour in rows)


def _add_classes(layer: Layer, given: Classes) -> None:
    after = _united(layer.classes, given)
    if after != layer.classes:
        layer.do(Step("added classes", classes=(layer.classes, after)))


def _united(there: Classes, given: Classes) -> Classes:
    """Classes that are there, and those given beside them; a code that both have is called as given."""
    codes = {one.code for one in given}
    names = {one.name for one in given}
    return (*given, *(one for one in there if one.code not in codes and one.name not in names))


def _classes(given: Any) -> Classes:
    if isinstance(given, Legend):
        rows = zip(given.codes, given.names, given.colours, strict=True)
        return tuple(MapClass(code, name, colour) for code, name, colour in rows)
    return read_classes(given)


def _codes(table: gpd.GeoDataFrame, classes: Classes) -> tuple[list[int | None], Classes]:
    """The class of each row, and all classes with those that only the table has."""
    column = next((name for name in CLASS_COLUMNS if name in table.columns), None)
    if column is None:
        return [None] * len(table), classes
    names = table["class"] if column == "class_code" and "class" in table.columns else table[column]
    said = [None if pd.isna(one) or not str(one).strip() else str(one).strip()[:100] for one in names]
    numbers = table["class_code"] if "class_code" in table.columns else [None] * len(table)
    own = {name: int(code) for name, code in zip(said, numbers, strict=True) if name and not pd.isna(code)}
    by_name: dict[str, int] = {one.name: one.code for one in classes}
    new = [name for name in dict.fromkeys(said) if name and name not in by_name]
    for name in new:
        taken = set(by_name.values())
        wanted = own.get(name, 0)
        by_name[name] = wanted if wanted > 0 and wanted not in taken else max(taken, default=0) + 1
    colours = _colours(new)
    added = tuple(MapClass(by_name[name], name, colours[name]) for name in new)
    return [None if name is None else by_name[name] for name in said], (*classes, *added)


def _colours(names: list[str]) -> Mapping[str, str]:
    usable = [name for name in names if name.lower() != "unknown"]
    legend = Legend.of_names(usable) if usable else None
    return {name: "#9e9e9e" if legend is None else legend.colour(name) for name in names}


def _ids(table: gpd.GeoDataFrame, rows: list[int]) -> list[int]:
    """Ids of some rows: the table's own if they are positive whole numbers that differ, else from 1 up."""
    for column in ("object_id", "id", "fid"):
        if column in table.columns:
            given = np.asarray(pd.to_numeric(table[column].iloc[rows], errors="coerce"), np.float64)
            whole = bool((given == np.round(given)).all() and ((given >= 1) & (given <= LARGEST_ID)).all())
            if whole and len(np.unique(given)) == len(given):
                return given.astype(np.int64).tolist()
    return list(range(1, len(rows) + 1))
