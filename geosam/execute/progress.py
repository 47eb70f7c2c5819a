"""How far the work is: said by a bar, by lines for another program, or not at all."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOBase
from types import TracebackType
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

Item = TypeVar("Item")

_RATE_OVER_SECONDS = 120.0

LINES = "GEOSAM_PROGRESS"
"""Variable of the environment; with ``lines`` in it a program that started geosam, as QGIS does, can follow it."""


class Stage:
    """One stage of the work, of which nothing is shown."""

    def advance(self, count: int = 1) -> None:
        """Tell that `count` further items are done."""


class Progress:
    """Shows nothing: what library calls use, unless they are given a `Bar`.

    Examples
    --------
    >>> with Progress() as progress, progress.stage("segment", 2, unit="windows") as stage:
    ...     stage.advance()
    >>> list(Progress().track([1, 2], "read"))
    [1, 2]
    """

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = "windows", done: int = 0) -> Iterator[Stage]:
        """Begin a stage of the work.

        Parameters
        ----------
        name
            What is being done, one or two words.
        total
            Number of items, None if it is not known.
        unit
            What an item is, in the plural.
        done
            Items that an earlier run has done; they do not count for the rate.
        """
        yield Stage()

    def track(
        self, items: Iterable[Item], name: str, *, total: int | None = None, unit: str = "windows"
    ) -> Iterator[Item]:
        """Yield `items` and count them as done when the next one is asked for.

        Parameters
        ----------
        items
            Anything iterable; its length is the total if it has one.
        name, total, unit
            See `stage`.
        """
        if total is None and hasattr(items, "__len__"):
            total = len(items)  # pyright: ignore[reportArgumentType]  # the line above has asked for it
        with self.stage(name, total, unit=unit) as stage:
            for item in items:
                yield item
                stage.advance()


class Bar(Progress):
    """Draws a bar for each stage on the standard error: share done, items, items per second, time left.

    Parameters
    ----------
    console
        Where to draw.

    Examples
    --------
    >>> import io
    >>> console = Console(file=io.StringIO(), force_terminal=True, width=80)
    >>> with Bar(console) as progress, progress.stage("segment", 2) as stage:
    ...     stage.advance(2)
    >>> "2/2" in console.file.getvalue()
    True
    """

    def __init__(self, console: Console | None = None) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            speed_estimate_period=_RATE_OVER_SECONDS,
        )

    def __enter__(self) -> "Bar":
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = "windows", done: int = 0) -> Iterator[Stage]:
        """Begin a stage of the work; see `Progress.stage`."""
        stage = _BarStage(self._rich, self._rich.add_task(name, total=total, completed=done, unit=unit), done)
        yield stage
        if total is None:
            self._rich.update(stage.task, total=stage.done)


class Lines(Progress):
    """Writes ``progress 3/9 windows: segment`` to the standard error whenever another hundredth of a stage is done.

    Parameters
    ----------
    out
        Where to write; the standard error if not given.

    Examples
    --------
    >>> with Lines(sys.stdout) as progress, progress.stage("segment", 2) as stage:
    ...     stage.advance(2)
    progress 0/2 windows: segment
    progress 2/2 windows: segment
    """

    def __init__(self, out: TextIO | TextIOBase | None = None) -> None:
        self._out = out

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = "windows", done: int = 0) -> Iterator[Stage]:
        """Begin a stage of the work; see `Progress.stage`."""
        yield _LinesStage(self._out or sys.stderr, f"{'?' if total is None else total} {unit}: {name}", total, done)


def progress_bar(*, quiet: bool = False, console: Console | None = None) -> Progress:
    """A `Bar` where somebody watches; a silent `Progress` if `quiet`, or if the output is not a terminal.

    Where ``GEOSAM_PROGRESS=lines`` is set, `Lines` tell it to the program that set it.

    Parameters
    ----------
    quiet
        Whether to show nothing.
    console
        Where to draw; the standard error if not given.

    Examples
    --------
    >>> type(progress_bar(quiet=True)).__name__
    'Progress'
    """
    if os.environ.get(LINES) == "lines" and not quiet:
        return Lines()
    console = console or Console(stderr=True)
    return Bar(console) if console.is_terminal and not quiet else Progress()


class _BarStage(Stage):
    """A stage that a bar shows."""

    def __init__(self, rich: RichProgress, task: TaskID, done: int) -> None:
        self._rich, self.task, self.done = rich, task, done

    def advance(self, count: int = 1) -> None:
        self.done += count
        self._rich.advance(self.task, count)


class _LinesStage(Stage):
    """A stage that is told in lines."""

    def __init__(self, out: TextIO | TextIOBase, told: str, total: int | None, done: int) -> None:
        self._out, self._told, self._total, self._done, self._percent = out, told, total, done, -1
        self.advance(0)

    def advance(self, count: int = 1) -> None:
        self._done += count
        percent = 100 * self._done // self._total if self._total else 0
        if percent > self._percent:
            self._percent = percent
            with suppress(OSError):  # whoever reads it may be gone
                self._out.write(f"progress {self._done}/{self._told}\n")
                self._out.flush()


class _RateColumn(ProgressColumn):
    """Items per second, or seconds per item where they are slow."""

    def render(self, task: Task) -> Text:
        rate, unit = task.finished_speed or task.speed, task.fields["unit"]
        if not rate:
            return Text("")
        return Text(f"{rate:.3g} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s per {unit.removesuffix('s')}")
