"""How far the work is: said by a bar, or not at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

Item = TypeVar("Item")

_RATE_OVER_SECONDS = 120.0


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


def progress_bar(*, quiet: bool = False, console: Console | None = None) -> Progress:
    """A `Bar` where somebody watches; a silent `Progress` if `quiet`, or if the output is not a terminal.

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
    console = console or Console(stderr=True)
    return Bar(console) if console.is_terminal and not quiet else Progress()


class _BarStage(Stage):
    """A stage that a bar shows."""

    def __init__(self, rich: RichProgress, task: TaskID, done: int) -> None:
        self._rich, self.task, self.done = rich, task, done

    def advance(self, count: int = 1) -> None:
        self.done += count
        self._rich.advance(self.task, count)


class _RateColumn(ProgressColumn):
    """Items per second, or seconds per item where they are slow."""

    def render(self, task: Task) -> Text:
        rate, unit = task.finished_speed or task.speed, task.fields["unit"]
        if not rate:
            return Text("")
        return Text(f"{rate:.3g} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s per {unit.removesuffix('s')}")
