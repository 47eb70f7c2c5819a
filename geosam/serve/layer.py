"""The objects of a session as they are now: steps change them, and each can be undone and done again.

Whoever follows from afar asks for what changed since a revision. Every object that a step touches gets a revision of
its own, so that an answer may end between any two of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from geosam.serve.objects import Classes, MapClass, MapObject, Objects, Step
from geosam.serve.outside import step_of
from geosam.serve.requests import GoneError, NothingError, ServeError
from geosam.serve.session import MOST_STEPS, Session
from geosam.serve.shapes import to_json


@dataclass(frozen=True)
class Change:
    """What a request changed.

    Attributes
    ----------
    changed, removed
        Objects as they are now; ids of those that are no longer there.
    did
        What was done, for people.
    classes
        The classes, where they changed.
    """

    changed: tuple[MapObject, ...]
    removed: tuple[int, ...]
    did: str
    classes: Classes | None = None


class Layer:
    """The objects of a session, in memory and on disk.

    Parameters
    ----------
    session
        Where every step is written before it counts; None keeps nothing.
    objects, classes
        What there is to begin with; of a session, what its file holds.

    Examples
    --------
    >>> layer = Layer()
    >>> layer.do(layer.adding([MapObject(layer.next_id(), shapely.box(0, 0, 2, 2))], "accepted 1 object")).did
    'accepted 1 object'
    >>> layer.undo().removed, layer.redo().changed[0].id
    ((1,), 1)
    """

    def __init__(
        self, session: Session | None = None, objects: Iterable[MapObject] = (), classes: Classes = ()
    ) -> None:
        content = None if session is None else session.content
        self.session = session
        self.objects: dict[int, MapObject] = {one.id: one for one in objects}
        self.classes: Classes = classes
        self._steps: list[tuple[int, Step]] = []
        self._undone: list[tuple[int, Step]] = []
        self._next_id = max(self.objects, default=0) + 1
        facts: Mapping[str, Any] = {}
        if content is not None:
            self.objects, self.classes, facts = content.objects, content.classes, content.facts
            self._steps = [(number, step) for number, undone, step in content.steps if not undone]
            self._undone = [(number, step) for number, undone, step in reversed(content.steps) if undone]
            self._next_id = max(facts.get("next_id", 1), max(self.objects, default=0) + 1)
        self.revision = int(facts.get("revision", 0)) + len(self.objects)
        first = self.revision - len(self.objects) + 1
        self._stamps = {number: first + place for place, number in enumerate(sorted(self.objects))}
        self._gone: dict[int, int] = {}
        self._tree: tuple[int, shapely.STRtree, list[int]] | None = None

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._steps)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to do again."""
        return bool(self._undone)

    @property
    def rejected(self) -> list[BaseGeometry]:
        """Shapes that are not to be suggested."""
        return [shape for _, step in self._steps for shape in step.rejected]

    @property
    def counts(self) -> dict[str, int]:
        """How many objects each class has, by code as text; of those without a class under the empty text."""
        found = {str(one.code): 0 for one in self.classes} | {"": 0}
        for one in self.objects.values():
            name = "" if one.class_code is None else str(one.class_code)
            found[name] = found.get(name, 0) + 1
        return found

    def next_id(self) -> int:
        """A number that no object has or had."""
        self._next_id += 1
        return self._next_id - 1

    def reserve(self, number: int) -> None:
        """Give no number up to this one any more."""
        self._next_id = max(self._next_id, number + 1)

    def get(self, number: int) -> MapObject:
        """The object with an id.

        Raises
        ------
        GoneError
            If there is none, any more.
        """
        found = self.objects.get(number)
        if found is None:
            raise GoneError(f"object {number}", expected="an object that is there", hint="it may have been removed")
        return found

    def check_class(self, code: int | None) -> int | None:
        """The code of a class that there is, or None.

        Raises
        ------
        ServeError
            If there is no such class.
        """
        if code is not None and code not in {one.code for one in self.classes}:
            known = ", ".join(str(one.code) for one in self.classes[:20]) or "none yet"
            raise ServeError(f"class {code}", expected=f"one of the session's classes ({known})")
        return code

    def name_of(self, code: int | None) -> str:
        """What an object of a class is called."""
        return next((one.name for one in self.classes if one.code == code), "object")

    def adding(self, objects: Iterable[MapObject], did: str) -> Step:
        """The step that puts objects there, in the place of those with the same ids."""
        there = {one.id: one for one in objects}
        return Step(did, {number: self.objects.get(number) for number in there}, there)

    def changing(self, after: Objects, did: str) -> Step:
        """The step after which some objects are others, or not there."""
        return Step(did, {number: self.objects.get(number) for number in after}, dict(after))

    def begin(self, objects: Iterable[MapObject], classes: Classes) -> None:
        """Put objects and classes there that were brought along; that is no step, and cannot be undone."""
        there = {one.id: one for one in objects}
        self.reserve(max(there, default=0))
        step = Step("begun", dict.fromkeys(there), there, (self.classes, classes))
        self._write(step)
        self._apply(step)

    def catch_up(self) -> None:
        """Take the step that another program took by writing to the session's layer, if one did."""
        if self.session is None or not self.session.changed_outside():
            return
        step = step_of(self.objects, self.session.read().objects)
        if step is not None:
            self.reserve(max(step.after))
            self.do(step)

    def do(self, step: Step) -> Change:
        """Take a step; it is on disk when this returns, or nothing has changed."""
        number = (self._steps[-1][0] if self._steps else 0) + 1
        self._write(step, step=(number, step))
        self._steps = [*self._steps, (number, step)][-MOST_STEPS:]
        self._undone.clear()
        return self._apply(step)

    def undo(self) -> Change:
        """Undo the last step that is not undone.

        Raises
        ------
        NothingError
            If there is none.
        """
        if not self._steps:
            raise NothingError("nothing to undo")
        number, step = self._steps[-1]
        back = replace(step.reverse(), did=f"undid: {step.did}")
        self._write(back, undone=(number, True))
        self._undone.append(self._steps.pop())
        return self._apply(back)

    def redo(self) -> Change:
        """Do again what was undone last.

        Raises
        ------
        NothingError
            If nothing is undone.
        """
        if not self._undone:
            raise NothingError("nothing to do again")
        number, step = self._undone[-1]
        self._write(step, undone=(number, False))
        self._steps.append(self._undone.pop())
        return self._apply(replace(step, did=f"did again: {step.did}"))

    def keep(self, **facts: Any) -> None:
        """Write plain values that are no step, such as where the view was."""
        if self.session is not None:
            self.session.save({}, **facts)

    def since(
        self, revision: int, *, most: int, within: tuple[float, float, float, float] | None = None
    ) -> tuple[list[MapObject], list[int], int, bool]:
        """Objects that changed after a revision, ids of those removed since, how far that goes, if more follow.

        Parameters
        ----------
        revision
            0 for all that is there.
        most
            How many objects and ids at most.
        within
            Bounds ``xyxy``; objects elsewhere are left out.
        """
        here = None if within is None else self._within(within)
        news = sorted(
            (stamp, number)
            for stamps in (self._stamps, self._gone)
            for number, stamp in stamps.items()
            if stamp > revision and (here is None or number in here or stamps is self._gone)
        )
        part = news[:most]
        more = len(news) > most
        changed = [self.objects[number] for _, number in part if number in self.objects]
        removed = [number for _, number in part if number not in self.objects]
        return changed, removed, part[-1][0] if more else self.revision, more

    def near(self, shape: BaseGeometry) -> list[MapObject]:
        """Objects whose bounds meet those of a shape, by id."""
        return self.near_bounds(shape.bounds)

    def near_bounds(self, bounds: tuple[float, float, float, float]) -> list[MapObject]:
        """Objects whose bounds meet others, ``xyxy``, by id."""
        return [self.objects[number] for number in sorted(self._within(bounds))]

    def _within(self, bounds: tuple[float, float, float, float]) -> set[int]:
        if self._tree is None or self._tree[0] != self.revision:
            numbers = list(self.objects)
            self._tree = self.revision, shapely.STRtree([self.objects[number].shape for number in numbers]), numbers
        _, tree, numbers = self._tree
        return {numbers[row] for row in tree.query(shapely.box(*bounds)).tolist()}

    def _write(self, taken: Step, **history: Any) -> None:
        if self.session is not None:
            classes = None if taken.classes is None else taken.classes[1]
            facts = {"next_id": self._next_id, "revision": self.revision + len(taken.after)}
            self.session.save(taken.after, classes=classes, **history, **facts)

    def _apply(self, step: Step) -> Change:
        changed, removed = [], []
        for number, one in step.after.items():
            self.revision += 1
            if one is None:
                self.objects.pop(number, None)
                self._stamps.pop(number, None)
                self._gone[number] = self.revision
                removed.append(number)
            else:
                self.objects[number] = one
                self._stamps[number] = self.revision
                self._gone.pop(number, None)
                changed.append(one)
        if step.classes is not None:
            self.classes = step.classes[1]
        return Change(tuple(changed), tuple(removed), step.did, None if step.classes is None else self.classes)


def object_json(one: MapObject) -> dict[str, Any]:
    """An object as the protocol has it."""
    return {
        "id": one.id,
        "class": one.class_code,
        "score": round(float(one.score), 4),
        "shape": to_json(one.shape),
        "origin": one.origin,
    }


def class_json(one: MapClass, counts: Mapping[str, int]) -> dict[str, Any]:
    """A class as the protocol has it."""
    return one.to_dict() | {"count": counts.get(str(one.code), 0)}
