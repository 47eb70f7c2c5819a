"""The order of a catalog's work: what has seen a worker die waits until it can be tried alone."""

from collections.abc import Callable
from typing import Any

from geosam.catalog import Item, Row
from geosam.catalog.schedule import Agenda, Pool, carry_out
from geosam.catalog.tasks import Filled, Outcome, Split, Suspect, Task


class Mortal:
    """A pool of two workers which die of some scenes, and then blame whatever is under way beside these."""

    limit = 4

    def __init__(self, *deadly: str, pieces: int = 0) -> None:
        self.deadly, self.pieces = deadly, pieces
        self.under_way: dict[Task, Callable[[Any], None]] = {}
        self.seen: list[Task] = []

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """Begin a task; each is done when the pool is full or nothing more comes."""
        self.under_way[task] = told
        self.seen.append(task)
        told(task)

    def outcome(self, task: Task, result: Any) -> Outcome:
        """Death, if a deadly scene is under way."""
        beside = list(self.under_way)
        del self.under_way[task]
        if any(other.item.name in self.deadly for other in beside):
            assert not task.alone or len(beside) == 1
            return row(task, "failed") if task.alone else Suspect()
        if task.piece is not None:
            return Filled()
        return row(task, "done") if task.pieces or not self.pieces else Split(self.pieces)

    def check(self) -> None:
        """All is well."""


def row(task: Task, status: str) -> Row:
    return Row(task.item.name, "", task.key, status)


def tasks(names: str) -> list[Task]:
    return [Task(Item(name, (f"{name}.tif",)), name) for name in names]


def statuses(pool: Pool, names: str) -> dict[str, str]:
    found = list(carry_out(Agenda(tasks(names)), pool))
    assert len(found) == len(names)
    return {row.name: row.status for row in found}


def test_only_the_scene_that_kills_is_given_up():
    pool = Mortal("b")
    assert statuses(pool, "abcdefgh") == dict.fromkeys("acdefgh", "done") | {"b": "failed"}
    assert [task.item.name for task in pool.seen if task.alone and task.item.name == "b"] == ["b"]


def test_scenes_in_pieces_are_each_settled_once():
    pool = Mortal("c", pieces=3)
    assert statuses(pool, "abcde") == dict.fromkeys("abde", "done") | {"c": "failed"}


def test_suspects_come_last_and_alone():
    agenda = Agenda(tasks("ab"))
    first = agenda.take(idle=True)
    assert first is not None
    assert agenda.settle(first, Suspect()) is None
    assert getattr(agenda.take(idle=False), "item", None).name == "b"
    assert agenda.take(idle=False) is None
    again = agenda.take(idle=True)
    assert again is not None
    assert (again.item.name, again.alone) == ("a", True)


def test_a_piece_that_is_blamed_after_its_scene_failed_is_forgotten():
    agenda = Agenda(tasks("a"))
    scene = agenda.take()
    assert scene is not None
    agenda.settle(scene, Split(2))
    one, two = agenda.take(), agenda.take()
    assert one is not None
    assert two is not None
    assert agenda.settle(one, row(one, "failed")) is not None
    assert agenda.settle(two, Suspect()) is None
    assert agenda.take() is None
