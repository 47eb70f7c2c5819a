"""The session's file: on disk at once, whole at any moment, and what was shown byte for byte."""

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint

from geosam import sinks
from geosam.errors import OptionError, SinkError
from geosam.scene import open_scene
from geosam.serve import Layer, Session
from geosam.serve.exporting import export, objects_frame
from geosam.serve.objects import MapClass, MapObject, Step
from geosam.serve.package import connect, from_blob, srs_of, to_blob
from geosam.serve.shapes import canonical
from geosam.serve.start import read_objects, start
from geosam.testing import TruthNetwork, coordinate_scene

CLASSES = (MapClass(1, "building", "#dc2814"), MapClass(2, "water", "#0064c8"))
TURNED = Affine.translation(400_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(0.3, -0.3)
GCPS = [GroundControlPoint(y, x, 500_000 + x + y * y / 900, 5_000_000 - y) for x in (0, 30, 64) for y in (0, 30, 64)]


def written(folder: Path, kind: str = "plain") -> Path:
    """A scene on a plain grid, a rotated one, by control points, or nowhere."""
    path = coordinate_scene(
        folder / f"{kind}.tif", (64, 64), transform=TURNED if kind == "rotated" else Affine.scale(2, -2)
    )
    if kind == "gcps":
        with rasterio.open(path, "r+") as target:
            target.gcps = GCPS, rasterio.CRS.from_epsg(32631)
    if kind == "bare":
        with rasterio.open(path) as source:
            pixels = source.read()
        with rasterio.open(path, "w", driver="GTiff", width=64, height=64, count=3, dtype="uint8") as target:
            target.write(pixels)
    return path


def odd(number: int = 1, **how: object) -> MapObject:
    shape = shapely.difference(shapely.Polygon([(3, 3), (40.125, 7), (31, 50.1)]), shapely.box(20, 15, 24, 19))
    return MapObject(number, canonical(shape), **how)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["plain", "rotated", "gcps", "bare"])
def test_a_session_opens_again_as_it_was(tmp_path: Path, kind: str):
    scene, path = open_scene(written(tmp_path, kind)), tmp_path / "s.gpkg"
    with Session(path, scene) as session:
        layer = Layer(session)
        layer.do(Step("classes", classes=((), CLASSES)))
        layer.do(layer.adding([odd(layer.next_id(), class_code=1, prompts={"points": [[1, 2, 1]]})], "one"))
        layer.do(layer.adding([odd(layer.next_id(), score=0.25, origin="click")], "two"))
        layer.do(layer.changing({1: None}, "removed"))
        layer.undo()
        layer.do(Step("rejected", rejected=(shapely.box(0, 0, 1, 1),)))
        layer.keep(look={"at": [3, 4], "zoom": 1})
        objects, revision = dict(layer.objects), layer.revision
    with Session(path, scene) as session:
        again = Layer(session)
        assert again.objects == objects
        assert [shapely.to_wkb(one.shape) for one in again.objects.values()] == [
            shapely.to_wkb(one.shape) for one in objects.values()
        ]
        assert again.classes == CLASSES
        assert again.revision >= revision
        assert again.next_id() == 3
        assert session.content.facts["look"] == {"at": [3, 4], "zoom": 1}
        assert len(again.rejected) == 1
        again.undo()
        assert again.rejected == []
        while again.can_undo:
            again.undo()
        assert again.objects == {}
        assert again.classes == ()
    read = gpd.read_file(path, layer="objects")
    assert len(read) == 0


def test_the_layer_is_one_for_gis(tmp_path: Path):
    scene, path = open_scene(written(tmp_path, "rotated")), tmp_path / "s.gpkg"
    with Session(path, scene) as session:
        layer = Layer(session)
        layer.do(Step("classes", classes=((), CLASSES)))
        layer.do(layer.adding([odd(1, class_code=2), odd(2)], "two"))
    assert [name for name, kind in pyogrio.list_layers(path) if kind] == ["objects"]
    read = gpd.read_file(path, layer="objects", fid_as_index=True)
    assert read.index.tolist() == [1, 2]
    assert read["class"].tolist()[0] == "water"
    assert read.crs == scene.crs
    assert shapely.equals_exact(scene.to_px(read)[0], shapely.MultiPolygon([odd().shape]), 1e-6, normalize=True)
    found = gpd.read_file(path, layer="objects", bbox=tuple(read.total_bounds))  # by the spatial index
    assert len(found) == 2
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM rtree_objects_geom").fetchone() == (2,)
        assert database.execute("SELECT feature_count FROM gpkg_ogr_contents").fetchone() == (2,)
        style = database.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()[0]
    assert "water" in style
    assert "0,100,200" in style


def test_what_another_program_changed_counts(tmp_path: Path):
    scene, path = open_scene(written(tmp_path)), tmp_path / "s.gpkg"
    with Session(path, scene) as session:
        layer = Layer(session)
        layer.do(Step("classes", classes=((), CLASSES)))
        layer.do(layer.adding([odd(1, class_code=1), odd(2, class_code=1), odd(3)], "three"))
    table = gpd.read_file(path, layer="objects", fid_as_index=True)
    table.loc[1, "geometry"] = scene.to_world(shapely.MultiPolygon([shapely.box(1, 1, 5, 5)]))[0]
    table.loc[2, "class"] = "water"
    with sqlite3.connect(path) as database:  # as QGIS writes it
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            database.create_function(name, 1, lambda blob: 0 if from_blob(blob) else 1)
        blob = to_blob(table.geometry[1], srs_of(database))
        database.execute("UPDATE objects SET geom = ? WHERE fid = 1", (blob,))
        database.execute("UPDATE objects SET class = 'water' WHERE fid = 2")
        database.execute("DELETE FROM objects WHERE fid = 3")
    with Session(path, scene) as session:
        objects = Layer(session).objects
    assert objects[1].shape.equals(shapely.box(1, 1, 5, 5))
    assert objects[2].class_code == 2
    assert sorted(objects) == [1, 2]


def rewritten(path: Path, number: int, geometry: shapely.Geometry | None) -> None:
    """An object's geometry written, or the object removed, as another program does it beside the session."""
    with closing(connect(path)) as database:
        blob = None if geometry is None else to_blob(geometry, srs_of(database))
        if blob is None:
            database.execute("DELETE FROM objects WHERE fid = ?", (number,))
        else:
            row = (number, blob)
            conflict = "ON CONFLICT (fid) DO UPDATE SET geom = excluded.geom"
            database.execute(f"INSERT INTO objects (fid, geom) VALUES (?, ?) {conflict}", row)


@pytest.mark.parametrize("kind", ["plain", "rotated", "gcps"])
def test_what_another_program_saves_meanwhile_is_a_step(tmp_path: Path, kind: str):
    """As QGIS's vertex tool does with a topological edit: in the world, in both of two neighbours."""
    scene, path = open_scene(written(tmp_path, kind)), tmp_path / "s.gpkg"
    desk = start(scene, model=TruthNetwork(side=64), session=path, store=None)
    west, east = shapely.box(3, 3, 20.13, 50.07), shapely.box(20.13, 3, 41, 50.07)
    prompts = {"points": [[5, 5, 1]], "box": None, "outline": None}
    pair = [MapObject(n, canonical(shape), prompts=prompts) for n, shape in enumerate((west, east, odd().shape), 1)]
    desk.layer.do(desk.layer.adding(pair, "three"))
    before = desk.layer.objects
    assert desk.answer({"verb": "objects", "since": 0}).value["revision"] == desk.layer.revision
    assert desk.answer({"verb": "undo"}).value["did"] == "undid: three"  # nothing came between
    desk.answer({"verb": "redo"})
    before = dict(desk.layer.objects)

    corner, to = scene.frame.world_from_px(np.array([[20.13, 3.0], [24.5, 7.25]]))

    def move(xy: np.ndarray) -> np.ndarray:
        return np.where(np.isclose(xy, corner, 0, 1e-6).all(axis=1)[:, None], to, xy)

    for number in (1, 2):
        rewritten(path, number, shapely.transform(scene.to_world([before[number].shape])[0], move))
    rewritten(path, 3, None)
    rewritten(path, 9, scene.to_world([shapely.box(50, 52, 60, 60)])[0])
    found = desk.answer({"verb": "objects", "since": 0}).value
    assert {one["id"] for one in found["changed"]} == {1, 2, 9}
    rings = [{tuple(xy) for xy in one["shape"]["coordinates"][0]} for one in found["changed"] if one["id"] < 9]
    (new,) = (rings[0] & rings[1]) - {(20.13, 50.07)}  # the same place in both, the other corners as they were
    assert new == pytest.approx((24.5, 7.25), abs=1e-6)
    assert rings[0] - {new} == {(3, 3), (3, 50.07), (20.13, 50.07)}
    assert desk.answer({"verb": "reopen", "id": 1}).value["prompts"] is None
    both = desk.answer({"verb": "move_vertex", "from": list(new), "to": [22, 6]}).value
    assert {one["id"] for one in both["changed"]} == {1, 2}
    desk.answer({"verb": "undo"})
    assert "another program" in desk.answer({"verb": "undo"}).value["did"]
    assert desk.layer.objects == before
    assert desk.layer.next_id() > 9
    desk.close()
    with Session(path, scene) as session:
        assert Layer(session).objects == before


def test_a_change_meets_what_another_program_has_saved(tmp_path: Path):
    scene, path = open_scene(written(tmp_path)), tmp_path / "s.gpkg"
    desk = start(scene, model=TruthNetwork(side=64), session=path, store=None)
    desk.layer.do(desk.layer.adding([odd(1)], "one"))
    rewritten(path, 1, None)
    found = desk.answer({"verb": "delete", "ids": [1]}).value
    assert (found["ok"], found["kind"]) == (False, "gone")
    desk.close()


def test_another_scene_another_process_and_other_files_are_refused(tmp_path: Path):
    scene, path = open_scene(written(tmp_path)), tmp_path / "s.gpkg"
    with Session(path, scene), pytest.raises(SinkError, match="is being written by process"):
        Session(path, scene)
    other = open_scene(coordinate_scene(tmp_path / "other.tif", (64, 65)))
    with pytest.raises(SinkError, match="belongs to another scene, 'plain'"):
        Session(path, other)
    Session(path, open_scene(scene, bands=1)).close()  # seen otherwise, it is the same scene
    fields = sinks.write(objects_frame(Layer(), scene), tmp_path / "layer.gpkg")
    for wrong, match in (
        (fields, "no session"),
        (tmp_path / "a.txt", "gpkg"),
        (tmp_path / "no" / "a.gpkg", "no folder"),
    ):
        before = wrong.read_bytes() if wrong.is_file() else None
        with pytest.raises(SinkError, match=match):
            Session(wrong, scene)
        assert before is None or wrong.read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_labels_are_read_with_their_ids_and_classes_and_never_written(tmp_path: Path):
    scene = open_scene(written(tmp_path))
    table = gpd.GeoDataFrame(
        {"object_id": [7, 9, 11], "class": ["water", None, "barn"], "score": [0.5, 2.0, 1.0]},
        geometry=scene.to_world(
            [shapely.box(0, 0, 9, 9), shapely.box(20, 20, 30, 30), shapely.box(900, 900, 901, 901)]
        ),
        crs=scene.crs,
    ).to_crs(4326)
    labels = sinks.write(table, tmp_path / "labels.gpkg")
    before = labels.read_bytes()
    objects, classes = read_objects(labels, scene, CLASSES)
    assert [(one.id, one.class_code, one.score) for one in objects] == [(7, 2, 0.5), (9, None, 1.0)]
    assert [one.name for one in classes] == ["building", "water", "barn"]
    how = {"model": TruthNetwork(side=64), "store": None}
    desk = start(scene, labels=labels, **how)
    assert sorted(desk.layer.objects) == [7, 9]
    assert desk.layer.next_id() == 10
    assert not desk.layer.can_undo
    assert desk.layer.session is not None
    desk.layer.do(desk.layer.changing({7: None}, "removed"))
    path = desk.layer.session.path
    desk.close()
    for again in ({"labels": labels}, {"labels": path}):  # it goes on, and nothing is brought along twice
        desk = start(scene, **again, **how)
        assert sorted(desk.layer.objects) == [9]
        desk.close()
    with pytest.raises(OptionError, match="is a session"):
        start(scene, labels=path, session=tmp_path / "b.gpkg", **how)
    assert labels.read_bytes() == before


def test_objects_that_are_left_out_are_told_and_any_column_may_be_called_score(tmp_path: Path, caplog):
    scene = open_scene(written(tmp_path))
    shapes = [
        shapely.box(0, 0, 9, 9),
        shapely.Point(3, 3),
        shapely.box(900, 900, 901, 901),
        shapely.box(20, 20, 30, 30),
    ]
    table = gpd.GeoDataFrame({"score": ["good", "1", "1", None]}, geometry=scene.to_world(shapes), crs=scene.crs)
    objects, _ = read_objects(table, scene)
    assert [one.score for one in objects] == [1.0, 1.0]
    assert "2 of 4 objects are left out: no areas on the scene" in caplog.text


@pytest.mark.parametrize("schema", ["plain", "ems", "unosat", "osm"])
def test_exports_have_the_legend_or_the_words_of_a_schema(tmp_path: Path, schema: str):
    from geosam.change.schemas import problems

    scene = open_scene(written(tmp_path))
    layer = Layer(classes=(MapClass(1, "building", "#dc2814"), MapClass(5, "Destroyed", "#000000")))
    layer.do(layer.adding([odd(1, class_code=1), odd(2, class_code=5), odd(3)], "some"))
    path = tmp_path / "out.gpkg"
    path.write_bytes(export(layer, scene, "gpkg", schema, date="2024-06-30T10:15:00Z").content)
    names = [name for name, _ in pyogrio.list_layers(path) if name != "layer_styles"]
    layers = {name: gpd.read_file(path, layer=name) for name in names}
    if schema == "plain":
        assert layers["objects"]["class"].tolist()[:2] == ["building", "Destroyed"]
        return
    assert problems(layers, schema) == []
    date = {
        "ems": ("source", "src_date"),
        "unosat": ("damage_sites", "SensorDate"),
        "osm": ("buildings", "source:date"),
    }
    said = layers[date[schema][0]][date[schema][1]].iloc[-1]
    assert said == ("30/06/2024" if schema == "ems" else "2024-06-30T10:15:00Z")
    first = layers[names[0]]
    told = {"ems": "damage_gra", "unosat": "Main_Damage_Site_Class", "osm": "building"}[schema]
    assert (
        first[told].tolist()
        == {
            "ems": ["Not Analysed", "Destroyed", "Not Analysed"],
            "unosat": [1],
            "osm": ["yes", "collapsed", "yes"],
        }[schema]
    )


def accept_for_ever(scene: Path, path: Path, pipe: int) -> None:
    """Accept objects, undo and redo now and then, and promise each object when that is done."""
    layer = Layer(Session(path, open_scene(scene)))
    while True:
        number = layer.next_id()
        layer.do(layer.adding([MapObject(number, canonical(shapely.box(0, 0, 4, number)))], "one"))
        os.write(pipe, f"{number}\n".encode())
        if number % 5 == 0:
            layer.do(layer.changing({number: MapObject(number, canonical(shapely.box(0, 0, 1, 1)))}, "reshaped"))
            layer.undo()


def kill_while_accepting(scene: Path, path: Path, seconds: float) -> int:
    """Kill a process so long after its first promise, and give its last one."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        try:
            accept_for_ever(scene, path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = [pipe.readline()]
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        said += pipe.read().split()
    return int(said[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_killed_at_any_moment_it_has_all_that_was_promised(tmp_path: Path):
    scene = written(tmp_path)
    for moment in (0.013, 0.071, 0.139):
        path = tmp_path / f"{moment}.gpkg"
        promised = kill_while_accepting(scene, path, moment)
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        with Session(path, open_scene(scene)) as session:
            there = sorted(Layer(session).objects)
        assert there in (list(range(1, promised + 1)), list(range(1, promised + 2)))  # one may be in hand
        assert len(gpd.read_file(path, layer="objects")) == len(there)
