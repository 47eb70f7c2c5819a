"""The order of the work: tasks out, rows in, only a few under way at a time, and suspects one by one at the end."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol, runtime_checkable

from geosam.catalog.manifest import Row
from geosam.catalog.station import Station
from geosam.catalog.tasks import Filled, Outcome, Split, Suspect, Task, do

WAIT_S = 2.0
"""Seconds without a result after which the pool is asked whether any is still to come."""


class Agenda:
    """Tasks still to be begun, the pieces of large scenes first, so that few scenes are in pieces at a time.

    Parameters
    ----------
    tasks
        One for each scene; taken one after another.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._scenes = iter(tasks)
        self._pieces: deque[Task] = deque()
        self._suspects: deque[Task] = deque()
        self._left: dict[str, int] = {}

    def take(self, *, idle: bool = True) -> Task | None:
        """The next task; None if there is none now. `idle` says that nothing is under way, as a suspect needs it."""
        task = self._pieces.popleft() if self._pieces else next(self._scenes, None)
        if task is None and idle and self._suspects:
            return replace(self._suspects.popleft(), alone=True)
        return task

    def settle(self, task: Task, outcome: Outcome) -> Row | None:
        """Take note of an outcome; a row if it settles the scene."""
        name = task.name
        if isinstance(outcome, Split):
            self._left[name] = outcome.pieces
            whole = replace(task, pieces=outcome.pieces, alone=False)
            self._pieces.extend(replace(whole, piece=piece) for piece in range(outcome.pieces))
        elif isinstance(outcome, Suspect):
            if task.piece is None or name in self._left:  # else the scene is settled already
                self._suspects.append(task)
        elif isinstance(outcome, Filled):
            if name in self._left:
                self._left[name] -= 1
                if self._left[name] == 0:
                    del self._left[name]
                    self._pieces.appendleft(replace(task, piece=None, alone=False))
        elif task.piece is None:
            return outcome
        elif self._left.pop(name, None) is not None:  # the first piece that fails settles the scene
            self._pieces, self._suspects = (
                deque(other for other in tasks if other.name != name) for tasks in (self._pieces, self._suspects)
            )
            return outcome
        return None


@runtime_checkable
class Pool(Protocol):
    """Whatever does tasks."""

    limit: int
    """Tasks that may be under way at a time."""

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """Begin a task; `told` is called with whatever `outcome` understands when it is done."""
        ...

    def outcome(self, task: Task, result: Any) -> Outcome:
        """The outcome of a task."""
        ...

    def check(self) -> None:
        """Raise if no outcome will come any more."""
        ...


def carry_out(agenda: Agenda, pool: Pool) -> Iterator[Row]:
    """Do all tasks, at most `Pool.limit` of them at a time, and yield the scenes' rows as they come in."""
    told: SimpleQueue[tuple[Task, Any]] = SimpleQueue()
    under_way = 0
    while True:
        while under_way < pool.limit and (task := agenda.take(idle=under_way == 0)) is not None:
            pool.submit(task, lambda result, task=task: told.put((task, result)))
            under_way += 1
        if under_way == 0:
            return
        try:
            task, result = told.get(timeout=WAIT_S)
        except Empty:
            pool.check()
            continue
        under_way -= 1
        row = agenda.settle(task, pool.outcome(task, result))
        if row is not None:
            yield row


class Here:
    """Does each task at once, in the calling thread."""

    limit = 1

    def __init__(self, station: Station) -> None:
        self._station = station

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """See `Pool.submit`."""
        told(do(self._station, task))

    def outcome(self, task: Task, result: Any) -> Outcome:
        """See `Pool.outcome`."""
        return result

    def check(self) -> None:
        """See `Pool.check`."""


class Threads:
    """Does tasks on threads of this process, which share one model.

    Parameters
    ----------
    station
        Where they work.
    threads
        How many there are.
    """

    def __init__(self, station: Station, threads: int) -> None:
        self._station, self.limit = station, threads + 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="geosam-catalog")

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the tasks under way, or have them end at their next window if something went wrong."""
        if kind is not None:
            self._station.progress.halted.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """See `Pool.submit`."""
        self._pool.submit(do, self._station, task).add_done_callback(told)

    def outcome(self, task: Task, result: "Future[Outcome]") -> Outcome:
        """See `Pool.outcome`."""
        return result.result()

    def check(self) -> None:
        """See `Pool.check`."""
