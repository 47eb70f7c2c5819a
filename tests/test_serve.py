"""The desk: from a click to an object and back, edits with shared borders, and undo of anything."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from hypothesis import given

from geosam.scene import open_scene
from geosam.segmenter import Recipe, SecondPass
from geosam.serve import Desk, Layer
from geosam.serve.editing import added_vertex, divided, merged, moved_vertex, removed_vertex
from geosam.serve.objects import MapClass, MapObject, Step
from geosam.serve.preview import Asked
from geosam.serve.requests import ServeError
from geosam.serve.session import Session
from geosam.serve.shapes import canonical, to_json
from geosam.serve.start import start
from geosam.serve.warm import Warmth
from geosam.testing import TruthNetwork, label_scene

HOUSE, LAKE, BARN = 1, 2, 3
TWICE = Recipe(second_pass=SecondPass(clicks=True))
CLASSES = (MapClass(1, "building", "#dc2814"), MapClass(2, "water", "#0064c8"))


def labels() -> np.ndarray:
    """A house, a lake that is larger than a window, and a barn on the edge between two windows."""
    found = np.zeros((256, 384), np.int32)
    found[20:40, 30:60] = HOUSE
    found[60:250, 100:370] = LAKE
    found[20:40, 120:136] = BARN
    return found


@pytest.fixture(scope="session")
def scene_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return label_scene(tmp_path_factory.mktemp("serve") / "scene.tif", labels(), valid=labels() < 4)


@pytest.fixture
def desk(scene_path: Path, tmp_path: Path) -> Iterator[Desk]:
    desk = start(
        open_scene(scene_path), model=TruthNetwork(side=128), session=tmp_path / "s.gpkg", store=None, classes=None
    )
    desk.layer.do(Step("classes", classes=((), CLASSES)))
    yield desk
    desk.close()


def ask(desk: Desk, verb: str, **fields: Any) -> dict[str, Any]:
    return desk.answer({"verb": verb, **fields}).value


def exact(desk: Desk, **prompts: Any) -> dict[str, Any]:
    """The exact preview of some prompts, asked for as a front end does."""
    for _ in range(20_000):
        found = ask(desk, "preview", **prompts)
        if not found["ok"] or found["exact"]:
            return found
        time.sleep(found["again_ms"] / 10_000)
    raise AssertionError("no exact answer")


def area(found: dict[str, Any]) -> float:
    return shapely.geometry.shape(found["shape"]).area


def test_what_was_shown_is_what_is_saved(desk: Desk, tmp_path: Path, scene_path: Path):
    found = exact(desk, points=[[45.5, 30.5, 1]])
    assert area(found) == 20 * 30
    done = ask(desk, "accept", keys=[found["key"]], **{"class": 1})
    assert done["changed"][0]["shape"] == found["shape"]
    desk.close()
    with Session(tmp_path / "s.gpkg", open_scene(scene_path)) as session:
        kept = session.content.objects[done["changed"][0]["id"]]
        assert to_json(kept.shape) == found["shape"]
        row = session._database.execute("SELECT shape_px FROM geosam_objects").fetchone()
        assert row[0] == shapely.to_wkb(canonical(shapely.geometry.shape(found["shape"])))
        assert kept.class_code == 1
        assert kept.prompts == {"points": [[45.5, 30.5, 1]], "box": None, "outline": None}


def test_an_object_larger_than_a_window_is_found_whole_and_one_on_an_edge_is_not_cut(desk: Desk):
    assert area(exact(desk, points=[[200.5, 150.5, 1]])) == pytest.approx(190 * 270, rel=0.05)  # on a coarser view
    assert area(exact(desk, points=[[127.5, 30.5, 1]])) == 20 * 16
    assert area(exact(desk, box=[110, 10, 140, 50])) == 20 * 16


@pytest.mark.parametrize("first", [[45.5, 30.5, 1], [200.5, 150.5, 1], [127.5, 30.5, 1]])
def test_an_exact_answer_does_not_depend_on_what_is_warm(scene_path: Path, first: list[float]):
    clicks = [[45.5, 30.5, 1], [200.5, 150.5, 1], [127.5, 30.5, 1]]
    scene = open_scene(scene_path)
    shapes = []
    for order in (clicks, [first, *clicks]):
        desk = Desk(scene, Layer(), Warmth(scene, TruthNetwork(side=128), memory=1))  # few windows are kept
        shapes.append([exact(desk, points=[click])["shape"] for click in order][-3:])
        desk.close()
    assert shapes[0] == shapes[1]


def test_a_cold_click_is_answered_at_once_and_exactly_later(desk: Desk):
    found = ask(desk, "preview", points=[[45.5, 30.5, 1]], seq=7)
    assert found["seq"] == 7
    assert found["exact"] or found["again_ms"] > 0
    assert area(found) == 600


def test_a_place_that_the_hand_moves_over_is_answered_roughly_and_exactly_if_it_rests(scene_path: Path):
    scene = open_scene(scene_path)
    desk = Desk(scene, Layer(), Warmth(scene, TruthNetwork(side=128, recipe=TWICE)))
    known = exact(desk, points=[[45.5, 30.5, 1]])
    assert ask(desk, "preview", points=[[45.5, 30.5, 1]], hover="moves")["exact"]  # it is known
    for _ in range(2):  # also when it comes back
        assert not ask(desk, "preview", points=[[46.5, 30.5, 1]], hover="moves")["exact"]
    rests = ask(desk, "preview", points=[[46.5, 30.5, 1]], hover="rests")
    assert (rests["exact"], rests["shape"]) == (True, known["shape"])
    assert ask(desk, "preview", points=[[46.5, 30.5, 1]], hover="moves")["exact"]  # now it is known
    desk.close()


@pytest.mark.parametrize("hover", ["rests", ""])
def test_only_a_hover_that_has_moved_on_is_not_answered_to_its_end(scene_path: Path, hover: str):
    """The hand goes on while the model is at its first answer of two; a click is answered all the same."""
    scene, begun, go_on = open_scene(scene_path), threading.Event(), threading.Event()

    class Slow(TruthNetwork):
        def decode(self, *args: Any, **how: Any) -> Any:
            begun.set()
            assert go_on.wait(60)
            return super().decode(*args, **how)

    slow = Slow(side=128, recipe=TWICE)
    desk = Desk(scene, Layer(), Warmth(scene, slow))
    go_on.set()
    exact(desk, points=[[45.5, 30.5, 1]])
    begun.clear()
    go_on.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ask, desk, "preview", points=[[46.5, 30.5, 1]], hover=hover)
        assert begun.wait(60)
        second = threads.submit(ask, desk, "preview", points=[[47.5, 30.5, 1]], hover="moves")
        while desk.work.model()[1].latest != Asked(((47.5, 30.5, 1),)):
            time.sleep(0.001)
        go_on.set()
        left, came = first.result(60), second.result(60)
    assert (left["ok"], left.get("kind")) == ((False, "busy") if hover else (True, None))
    assert area(came) == 600
    desk.close()


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        ({"verb": "preview", "points": [[-1, 5, 1]]}, "outside"),
        ({"verb": "preview", "points": [[5, 5, 0]]}, "input"),
        ({"verb": "preview", "points": [[float("nan"), 5, 1]]}, "input"),
        ({"verb": "preview", "points": "x"}, "input"),
        ({"verb": "preview", "points": [[5, 5, 1]], "hover": "flies"}, "input"),
        ({"verb": "preview", "outline": [[0, 0], [9, 9], [9, 0], [0, 9]]}, "input"),
        ({"verb": "accept", "keys": ["p99"]}, "gone"),
        ({"verb": "accept", "keys": []}, "input"),
        ({"verb": "delete", "ids": [77]}, "gone"),
        ({"verb": "delete", "ids": [True]}, "input"),
        ({"verb": "classify", "ids": [1], "class": 9}, "input"),
        ({"verb": "tile", "level": 0, "col": 99, "row": 0}, "outside"),
        ({"verb": "tile", "level": 2**30, "col": 0, "row": 0}, "outside"),
        ({"verb": "tile", "picture": "../../etc/passwd", "level": 0, "col": 0, "row": 0}, "input"),
        ({"verb": "tile", "level": 0, "col": 0, "row": 0, "bands": [9]}, "input"),
        ({"verb": "move_vertex", "from": [5, 5], "to": [9e9, 5]}, "outside"),
        ({"verb": "export", "format": "exe"}, "input"),
        ({"verb": "export", "format": "gpkg", "schema": "unosat"}, "nothing"),
        ({"verb": "undo", "more": {}}, None),
        ({"verb": "redo"}, "nothing"),
        ({"verb": "__class__"}, "input"),
        ({}, "input"),
        ([], "input"),
        ("hello", "input"),
        (None, "input"),
    ],
)
def test_what_cannot_be_answered_is_one_line_with_a_kind(desk: Desk, request_: Any, kind: str | None):
    found = desk.answer(request_).value
    if kind is None:
        assert found["ok"]
        return
    assert not found["ok"]
    assert found["kind"] == kind
    assert "\n" not in found["error"]


def test_a_click_on_no_data_says_so(tmp_path: Path):
    valid = labels() < 4
    valid[:, 300:] = False
    scene = open_scene(label_scene(tmp_path / "holes.tif", labels(), valid=valid))
    desk = Desk(scene, Layer(), Warmth(scene, TruthNetwork(side=128)))
    assert ask(desk, "preview", points=[[350, 100, 1]])["kind"] == "outside"
    desk.close()


def test_a_correction_goes_on_from_the_prompts_and_replaces_the_object(desk: Desk):
    first = ask(desk, "accept", keys=[exact(desk, points=[[45.5, 30.5, 1]])["key"]], **{"class": 2})["changed"][0]
    again = ask(desk, "reopen", id=first["id"])
    assert again["prompts"]["points"] == [[45.5, 30.5, 1]]
    found = exact(desk, points=[[127.5, 30.5, 1]], object=first["id"])
    done = ask(desk, "accept", keys=[found["key"]], object=first["id"])
    assert [(one["id"], one["class"]) for one in done["changed"]] == [(first["id"], 2)]
    assert ask(desk, "undo")["changed"][0]["shape"] == first["shape"]


def test_objects_are_told_since_a_revision_in_parts(desk: Desk):
    boxes = [MapObject(desk.layer.next_id(), canonical(shapely.box(x, 0, x + 1, 1))) for x in range(20)]
    desk.layer.do(desk.layer.adding(boxes, "some"))
    known, since = {}, 0
    for _ in range(10):
        changed, removed, since, more = desk.layer.since(since, most=3)
        known |= {one.id: one for one in changed}
    assert sorted(known) == [one.id for one in boxes]
    ask(desk, "delete", ids=[boxes[3].id])
    assert desk.layer.since(since, most=3)[1] == [boxes[3].id]
    assert not more or removed == []


def test_classes_are_counted_renamed_and_kept_while_in_use(desk: Desk):
    ask(desk, "accept", keys=[exact(desk, points=[[45.5, 30.5, 1]])["key"]], **{"class": 1})
    found = ask(desk, "classes", classes=[{"code": 2, "name": "lake", "color": "#0000FF"}])
    assert [(one["name"], one["count"]) for one in found["classes"]] == [("lake", 0), ("building", 1)]
    assert ask(desk, "undo")["classes"][1]["name"] == "water"
    twice = ask(desk, "classes", classes=[{"code": 2, "name": "building", "color": "#0000ff"}])
    assert twice["kind"] == "input"


def parcels(rows: int = 3, cols: int = 3, side: float = 8.0) -> list[MapObject]:
    """Squares that share their borders."""
    return [
        MapObject(1 + row * cols + col, canonical(shapely.box(*np.array([col, row, col + 1, row + 1]) * side)))
        for row in range(rows)
        for col in range(cols)
    ]


def applied(objects: list[MapObject], edited: dict[int, MapObject | None]) -> list[MapObject]:
    found = {one.id: one for one in objects} | edited
    return [one for one in found.values() if one is not None]


def ground(objects: list[MapObject]) -> tuple[float, float]:
    """Area of the union, and sum of areas: equal where nothing overlaps."""
    shapes = np.array([one.shape for one in objects], object)
    return round(shapely.union_all(shapes).area, 6), round(float(shapely.area(shapes).sum()), 6)


near = st.tuples(st.sampled_from([8.0, 16.0]), st.sampled_from([8.0, 16.0]))
step = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


@given(near, step)
def test_a_moved_vertex_leaves_no_gap_and_no_overlap(start: tuple[float, float], by: tuple[int, int]):
    end = start[0] + by[0], start[1] + by[1]
    found = applied(parcels(), moved_vertex(parcels(), start, end))
    assert ground(found) == (576.0, 576.0)
    assert shapely.coverage_is_valid(np.array([one.shape for one in found], object))


@given(near, step)
def test_a_vertex_on_a_straight_border_of_a_neighbour_moves_that_border_too(
    start: tuple[float, float], by: tuple[int, int]
):
    """Two squares meet the straight side of a long one."""
    one, two = canonical(shapely.box(0, 0, 8, 8)), canonical(shapely.box(8, 0, 16, 8))
    three = [MapObject(1, one), MapObject(2, two), MapObject(3, canonical(shapely.box(0, 8, 16, 16)))]
    found = applied(three, moved_vertex(three, (8.0, 8.0), (8.0 + by[0], 8.0 + by[1])))
    assert ground(found) == (256.0, 256.0)


@given(st.integers(1, 7), step)
def test_an_added_vertex_bends_both_sides_and_can_be_removed(at: int, by: tuple[int, int]):
    here = float(at), 8.0 + by[1]
    found = applied(parcels(), added_vertex(parcels(), here, ((0.0, 8.0), (8.0, 8.0))))
    assert ground(found) == (576.0, 576.0)
    back = applied(found, removed_vertex(found, here))
    assert {one.id: one.shape for one in back} == {one.id: one.shape for one in parcels()}


@given(st.floats(0.5, 7.5), st.floats(0.5, 7.5))
def test_a_split_loses_nothing_and_neighbours_share_the_cut(left: float, right: float):
    objects = parcels()
    edited, count = divided(objects[4], [(7.0, 8 + left), (17.0, 8 + right)], objects, iter(range(10, 20)).__next__)
    found = applied(objects, edited)
    assert count == 2
    assert len(found) == 10
    assert ground(found) == (576.0, 576.0)
    assert ground(applied(found, merged([one for one in found if one.id in (5, 10)]))) == (576.0, 576.0)


def test_edits_that_cannot_be_are_refused():
    objects = parcels()
    for refused in (
        lambda: moved_vertex(objects, (8.0, 8.0), (23.0, 23.0)),
        lambda: moved_vertex(objects, (1.5, 1.5), (2.0, 2.0)),
        lambda: removed_vertex(objects, (4.0, 4.0)),
        lambda: added_vertex(objects, (4.0, 4.0), ((0.0, 0.0), (16.0, 0.0))),
        lambda: merged(objects[:1]),
        lambda: divided(objects[0], [(1.0, 1.0), (2.0, 2.0)], objects, lambda: 99),
    ):
        with pytest.raises(ServeError):
            refused()


def edits(layer: Layer, draw: Callable[[Any], Any]) -> Step | None:
    """One of the edits, on some objects that are there."""
    numbers = sorted(layer.objects)
    kind = draw(st.sampled_from(["add", "delete", "merge", "split", "move", "classify"]))
    if kind == "add" or len(numbers) < 2:
        x, y = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        return layer.adding([MapObject(layer.next_id(), canonical(shapely.box(x, y, x + 4, y + 3)))], "added")
    some = draw(st.lists(st.sampled_from(numbers), min_size=2, max_size=3, unique=True))
    objects = [layer.get(number) for number in some]
    if kind == "delete":
        return layer.changing(dict.fromkeys(some), "removed")
    if kind == "classify":
        changed = {one.id: MapObject(one.id, one.shape, draw(st.sampled_from([1, 2, None]))) for one in objects}
        return layer.changing(changed, "classified")
    with suppress(ServeError):
        return layer.changing(outline_edit(layer, kind, objects), kind)
    return None


def outline_edit(layer: Layer, kind: str, objects: list[MapObject]) -> dict[int, MapObject | None]:
    if kind == "merge":
        return merged(objects)
    if kind == "split":
        x0, y0, x1, y1 = objects[0].shape.bounds
        line = [(x0 - 1, (y0 + y1) / 2), (x1 + 1, (y0 + y1) / 2)]
        return divided(objects[0], line, layer.near(objects[0].shape), layer.next_id)[0]
    x, y = shapely.get_coordinates(objects[0].shape)[0].tolist()
    return moved_vertex(objects, (x, y), (x + 0.5, y + 0.25))


@given(st.data())
def test_undo_of_anything_gives_what_was_there_and_redo_what_came_of_it(data: st.DataObject):
    layer = Layer(classes=CLASSES)
    states = [dict(layer.objects)]
    for _ in range(data.draw(st.integers(1, 8))):
        taken = edits(layer, data.draw)
        if taken is not None:
            layer.do(taken)
            states.append(dict(layer.objects))
    for before in reversed(states[:-1]):
        layer.undo()
        assert layer.objects == before
    for after in states[1:]:
        layer.redo()
        assert layer.objects == after
    assert not layer.can_redo
    ids = {number for state in states for number in state}
    assert layer.next_id() not in ids
