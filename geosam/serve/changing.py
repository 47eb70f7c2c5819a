"""Verbs that change objects by hand, and undo."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from geosam.serve import editing
from geosam.serve.layer import Layer
from geosam.serve.objects import MapClass, MapObject, Step
from geosam.serve.requests import Fields, OutsideError, ServeError
from geosam.serve.shapes import from_json
from geosam.serve.workplace import Workplace

MOST_CLASSES = 1_000


def delete(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Remove objects."""
    return _some(work, fields, lambda some: (dict.fromkeys([one.id for one in some]), "removed"))


def classify(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Give objects a class, or take it off."""
    code = work.class_in(fields, None)
    how = "class taken off" if code is None else f"classified as {work.layer.name_of(code)}"
    return _some(work, fields, lambda some: ({one.id: replace(one, class_code=code) for one in some}, how))


def merge(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Make one object of several."""
    return _some(work, fields, lambda some: (editing.merged(some), "merged"))


def split(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Cut an object along a line."""
    number, line = fields.whole("id", least=1), fields.points("line", least=2, most=1000)

    def change(layer: Layer) -> tuple[editing.Edited, str]:
        one = layer.get(number)
        edited, count = editing.divided(one, line, layer.near(one.shape), layer.next_id)
        return edited, f"split {layer.name_of(one.class_code)} {one.id} into {count}"

    return work.change(change)


def reshape(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Give an object another outline."""
    number, shape = fields.whole("id", least=1), from_json(fields, "shape")
    h, w = work.scene.shape
    x0, y0, x1, y1 = shape.bounds
    if x0 < 0 or y0 < 0 or x1 > w or y1 > h:
        raise OutsideError("a shape that reaches beyond the scene", expected=f"a shape within {w} x {h} px")

    def change(layer: Layer) -> tuple[editing.Edited, str]:
        one = layer.get(number)
        return {one.id: replace(one, shape=shape, origin="edit", prompts=None)}, f"reshaped object {one.id}"

    return work.change(change)


def move_vertex(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Move a vertex in every object that has it."""
    start, end = fields.point("from"), work.place(fields, "to")
    return work.change(lambda layer: (editing.moved_vertex(_at(layer, start), start, end), "moved a vertex"))


def add_vertex(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Add a vertex in every object that has an edge."""
    at, ends = work.place(fields, "at"), fields.points("between", least=2, most=2)
    between = ends[0], ends[1]
    return work.change(lambda layer: (editing.added_vertex(_at(layer, *ends), at, between), "added a vertex"))


def remove_vertex(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Remove a vertex from every object that has it."""
    at = fields.point("at")
    return work.change(lambda layer: (editing.removed_vertex(_at(layer, at), at), "removed a vertex"))


def undo(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Undo the last step."""
    with work.changing:
        return work.done(work.layer.undo())


def redo(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Do again what was undone last."""
    with work.changing:
        return work.done(work.layer.redo())


def classes(work: Workplace, fields: Fields) -> dict[str, Any]:
    """Put other classes in the place of those that are there; what is in use stays."""
    given = fields.given.get("classes")
    fine = isinstance(given, list) and 0 < len(given) <= MOST_CLASSES and all(isinstance(one, dict) for one in given)
    if not isinstance(given, list) or not fine:
        raise fields.wrong("classes", "a list of classes {code, name, color}")
    each = [Fields({**one, "verb": "classes"}) for one in given]
    wanted = tuple(MapClass(one.whole("code"), one.text("name").strip(), one.text("color").lower()) for one in each)
    with work.changing:
        layer = work.layer
        used = {one.class_code for one in layer.objects.values()} - {one.code for one in wanted}
        after = (*wanted, *(one for one in layer.classes if one.code in used))
        if len({one.code for one in after}) < len(after) or len({one.name for one in after}) < len(after):
            raise ServeError("classes with one code or one name twice", expected="each code and each name once")
        return work.done(layer.do(Step("changed the classes", classes=(layer.classes, after))))


def _some(
    work: Workplace, fields: Fields, change: Callable[[list[MapObject]], tuple[editing.Edited, str]]
) -> dict[str, Any]:
    """Change some objects that are named by their ids."""
    ids = fields.ids("ids")

    def change_all(layer: Layer) -> tuple[editing.Edited, str]:
        edited, how = change([layer.get(number) for number in ids])
        return edited, f"{how}: {len(ids)} object{'s' if len(ids) > 1 else ''}"

    return work.change(change_all)


def _at(layer: Layer, *places: tuple[float, float]) -> list[MapObject]:
    """Objects whose bounds hold some places, or touch them."""
    xy = np.array(places)
    x0, y0 = (xy.min(axis=0) - editing.ON_LINE).tolist()
    x1, y1 = (xy.max(axis=0) + editing.ON_LINE).tolist()
    return layer.near_bounds((x0, y0, x1, y1))
