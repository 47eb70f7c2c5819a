"""The session on disk: every object as soon as it is accepted, and all that is needed to go on where one stopped.

The layer's geometries are in the scene's CRS; beside them lie the shapes in pixels, which are what was accepted, byte
for byte. If another program changed the layer meanwhile, its geometries and classes count.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isnan
from pathlib import Path
from typing import Any

import shapely

from geosam.errors import SinkError
from geosam.locks import LockedFolder
from geosam.paths import beside
from geosam.polygons import measure
from geosam.scene import Scene
from geosam.serve.objects import Classes, MapClass, MapObject, Objects, Step
from geosam.serve.package import LAYER, connect, from_blob, make_package, srs_of, to_blob
from geosam.serve.shapes import areas, canonical
from geosam.sinks.categories import Category, categorized
from geosam.sinks.style import add_style

FORMAT = 1
"""Version of the tables."""

NO_CLASS = "#ffdd33"
"""Colour of objects without a class in QGIS: the yellow of `geosam.sinks.style`."""

MOST_STEPS = 1_000
"""Steps that can be undone; older ones are forgotten, their objects stay."""


@dataclass
class Content:
    """What a session holds.

    Attributes
    ----------
    objects
        By id.
    classes
        In the legend's order.
    rejected
        Shapes that are not to be suggested, with the number of the step that rejected them.
    steps
        Number of each step, whether it is undone, and the step.
    facts
        Plain values by name: ``next_id``, ``revision``, ``look`` (where the view was), and others of the caller.
    """

    objects: dict[int, MapObject] = field(default_factory=dict)
    classes: Classes = ()
    steps: list[tuple[int, bool, Step]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def grid_key(scene: Scene) -> str:
    """Identity of a scene's pixel grid: the raster's content and the working grid, however bands are shown."""
    crop = (round(scene.crop.col_off), round(scene.crop.row_off), *scene.shape)
    return blake2b(repr((scene.raster.info.fingerprint, scene.whole, crop)).encode(), digest_size=16).hexdigest()


class Session:
    """The file of a session, which one process at a time has.

    Parameters
    ----------
    path
        A GeoPackage; made if it is not there.
    scene
        The scene that the objects lie on.

    Attributes
    ----------
    content
        What the file held when it was opened.

    Raises
    ------
    SinkError
        If the file is another scene's or no session, if another process has it, or it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = open_scene(coordinate_scene(f"{folder}/xy.tif", (64, 64)))
    ...     with Session(Path(folder, "xy.geosam.gpkg"), scene) as session:
    ...         session.save({1: MapObject(1, canonical(shapely.box(0, 0, 4, 4)))}, next_id=2)
    ...     with Session(Path(folder, "xy.geosam.gpkg"), scene) as session:
    ...         session.content.objects[1].shape.area
    16.0
    """

    def __init__(self, path: Path, scene: Scene) -> None:
        self.path, self.scene = path.absolute(), scene
        _check_place(self.path)
        with _named(self.path):
            hint = "close it there, or choose another session (--session)"
            self._lock = LockedFolder(beside(self.path, "session"), self.path.name, hint=hint)
        try:
            with _named(self.path):
                if not self.path.exists():
                    make_package(self.path, scene.crs)
                self._database = connect(self.path)
                self._srs = srs_of(self._database)
                self._check_scene()
                self.content = self.read()
                self._version = self._data_version()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others have the file."""
        database = getattr(self, "_database", None)
        if database is not None:
            database.close()
        self._lock.remove()

    def save(
        self,
        objects: Objects,
        *,
        step: tuple[int, Step] | None = None,
        undone: tuple[int, bool] | None = None,
        classes: Classes | None = None,
        **facts: Any,
    ) -> None:
        """Write changes; they are on the disk, all of them, when this returns.

        Parameters
        ----------
        objects
            What the objects with these ids are now.
        step
            A new step with its number; steps from that number on are forgotten.
        undone
            Number of a step, and whether it is undone now.
        classes
            The classes, where they changed.
        facts
            Plain values that changed.

        Raises
        ------
        SinkError
            If it cannot be written; then nothing is.
        """
        with _named(self.path), self._transaction() as database:
            self._write_objects(database, objects)
            if step is not None:
                number, content = step
                old = (number, number - MOST_STEPS)
                database.execute("DELETE FROM geosam_history WHERE step >= ? OR step <= ?", old)
                row = (number, json.dumps(content.to_dict(), separators=(",", ":")))
                database.execute("INSERT INTO geosam_history VALUES (?, 0, ?)", row)
            if undone is not None:
                database.execute("UPDATE geosam_history SET undone = ? WHERE step = ?", (undone[1], undone[0]))
            if classes is not None:
                facts["classes"] = [one.to_dict() for one in classes]
                self._rename(database, classes)
            self._write_facts(database, facts)
        if classes is not None:
            self._style(classes)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _write_objects(self, database: sqlite3.Connection, objects: Objects) -> None:
        gone = [(number,) for number, one in objects.items() if one is None]
        there = [one for one in objects.values() if one is not None]
        database.executemany("DELETE FROM objects WHERE fid = ?", gone)
        database.executemany("DELETE FROM geosam_objects WHERE fid = ?", gone)
        if not there:
            return
        world = self.scene.to_world([one.shape for one in there])
        area, _ = measure(world, self.scene.crs)
        names = {one.code: one.name for one in self.classes_of(database)}
        rows, pixels = [], []
        for one, geometry, m2 in zip(there, world, area.tolist(), strict=True):
            blob = to_blob(geometry, self._srs)
            name = None if one.class_code is None else names.get(one.class_code, str(one.class_code))
            rows.append((one.id, blob, name, one.class_code, one.score, one.origin, None if isnan(m2) else m2))
            prompts = None if one.prompts is None else json.dumps(one.prompts, separators=(",", ":"))
            pixels.append((one.id, shapely.to_wkb(one.shape), _hash(blob), one.class_code, prompts))
        database.executemany(_UPSERT, rows)
        database.executemany("INSERT OR REPLACE INTO geosam_objects VALUES (?, ?, ?, ?, ?)", pixels)
        x0, y0, x1, y1 = shapely.total_bounds(world).tolist()
        database.execute(_EXTENT, {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "layer": LAYER})

    def classes_of(self, database: sqlite3.Connection | None = None) -> Classes:
        """The classes that the file has."""
        query = "SELECT value FROM geosam_session WHERE name = 'classes'"
        row = (database or self._database).execute(query).fetchone()
        return tuple(map(MapClass.from_dict, json.loads(row[0]))) if row else ()

    def _rename(self, database: sqlite3.Connection, classes: Classes) -> None:
        """Give objects the new name of their class."""
        database.executemany(
            "UPDATE objects SET class = ? WHERE class_code = ? AND class IS NOT ?",
            [(one.name, one.code, one.name) for one in classes],
        )

    def _write_facts(self, database: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        database.executemany("INSERT OR REPLACE INTO geosam_session VALUES (?, ?)", rows)

    def _check_scene(self) -> None:
        facts = self._facts()
        if not facts:
            told = {"format": FORMAT, "grid": grid_key(self.scene), "scene": self.scene.name}
            with self._transaction() as database:
                self._write_facts(database, told)
            return
        if facts.get("format") != FORMAT:
            raise SinkError(f"{self.path} has format {facts.get('format')}", hint="open it with a newer geosam")
        if facts.get("grid") != grid_key(self.scene):
            raise SinkError(
                f"{self.path} belongs to another scene, {facts.get('scene')!r}, or to this one before it changed",
                expected=f"a session of {self.scene.name!r}",
                hint="choose another file (--session)",
            )

    def _facts(self) -> dict[str, Any]:
        rows = self._database.execute("SELECT name, value FROM geosam_session").fetchall()
        return {name: json.loads(value) for name, value in rows}

    def changed_outside(self) -> bool:
        """Whether another program has written to the file since it was opened, or since this was asked last."""
        with _named(self.path):
            before, self._version = self._version, self._data_version()
        return before != self._version

    def _data_version(self) -> int:
        return self._database.execute("PRAGMA data_version").fetchone()[0]

    def read(self) -> Content:
        """What the file holds."""
        facts, classes = self._facts(), self.classes_of()
        kept = {row[0]: row for row in self._database.execute("SELECT * FROM geosam_objects")}
        found: dict[int, MapObject] = {}
        for number, blob, name, code, score, origin in self._database.execute(_SELECT):
            one = kept.pop(number, None)
            pixels = one[1] if one is not None and _hash(blob) == one[2] else None
            shape = self._from_world(blob) if pixels is None else shapely.from_wkb(pixels)
            if shape is None:
                continue
            come = origin if pixels is not None else "file" if one is None else "edit"
            prompts = json.loads(one[4]) if one is not None and pixels is not None and one[4] is not None else None
            chosen = _class_of(code, name, None if one is None else one[3], classes)
            found[number] = MapObject(number, shape, chosen, 1.0 if score is None else score, come or "file", prompts)
        steps = self._database.execute("SELECT step, undone, content FROM geosam_history ORDER BY step").fetchall()
        known = [(number, bool(undone), Step.from_dict(json.loads(content))) for number, undone, content in steps]
        return Content(found, classes, known, facts)

    def _from_world(self, blob: bytes | None) -> shapely.geometry.base.BaseGeometry | None:
        """The shape of a geometry that another program wrote; None if it has no area."""
        if blob is None:
            return None
        shape = shapely.make_valid(self.scene.to_px([from_blob(blob)])[0])
        return canonical(shape) if len(areas(shape)) else None

    def _style(self, classes: Classes) -> None:
        """Let QGIS open the layer in the colours of the classes."""
        listed = [Category(one.name, one.name, one.color, 0.35, outlined=True) for one in classes]
        document = categorized("class", [*listed, Category("", "no class", NO_CLASS, 0.2, outlined=True)])
        add_style(self.path, LAYER, stamp="1970-01-01T00:00:00.000Z", document=document)


def _class_of(code: int | None, name: str | None, kept: int | None, classes: Classes) -> int | None:
    """The class of a row: as it was kept, unless another program gave it another code or another name."""
    if code != kept:
        return code
    by_name = {one.name: one.code for one in classes}
    return by_name.get(name, code) if name is not None else code


def _hash(blob: bytes | None) -> str:
    return blake2b(blob or b"", digest_size=16).hexdigest()


def _check_place(path: Path) -> None:
    if path.suffix.lower() != ".gpkg":
        raise SinkError(f"{path}", expected="a session whose name ends in .gpkg", hint="name it so (--session)")
    if not path.parent.is_dir():
        raise SinkError(f"{path}: there is no folder {path.parent}", hint="make it, or choose another (--session)")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into an error that names the file."""
    try:
        yield
    except SinkError:
        raise
    except (sqlite3.Error, OSError) as error:
        hint = "close it in other programs, make room, or choose another file (--session)"
        raise SinkError(f"{path} cannot be written ({error})", hint=hint) from error


_UPSERT = """
INSERT INTO objects (fid, geom, class, class_code, score, origin, area_m2) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (fid) DO UPDATE SET geom = excluded.geom, class = excluded.class, class_code = excluded.class_code,
    score = excluded.score, origin = excluded.origin, area_m2 = excluded.area_m2
"""

_SELECT = "SELECT fid, geom, class, class_code, score, origin FROM objects ORDER BY fid"

_EXTENT = """
UPDATE gpkg_contents SET min_x = min(ifnull(min_x, :x0), :x0), min_y = min(ifnull(min_y, :y0), :y0),
    max_x = max(ifnull(max_x, :x1), :x1), max_y = max(ifnull(max_y, :y1), :y1),
    last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
WHERE table_name = :layer
"""
