"""Where the work on a catalog is done: in this process, on its threads, or on dask."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from geosam.catalog.job import Job
from geosam.catalog.manifest import Row
from geosam.catalog.schedule import Agenda, Here, Pool, Threads, carry_out
from geosam.catalog.station import Station
from geosam.catalog.tasks import Task, failed
from geosam.errors import OptionError


@dataclass(frozen=True)
class Execution:
    """Where the work is done. Without any of these, scene by scene in this process.

    Attributes
    ----------
    workers
        Processes of a dask cluster that is started on this machine.
    scheduler
        Address of a dask scheduler, or a `distributed.Client`. Its workers must see the scenes and the run's folder
        under the same paths.
    threads
        Threads of this process.
    resources
        What a scene claims of a worker, such as ``{"GPU": 1}``. None: a graphics card, where workers offer any.
    retries
        How often a scene is begun again after a passing fault of the network or a file server.
    split
        Windows above which a scene is shared out among workers or threads, in everything mode; 0 for never.

    Raises
    ------
    OptionError
        If more than one place is named, or a number is negative.
    """

    workers: int = 0
    scheduler: Any = None
    threads: int = 0
    resources: Mapping[str, float] | None = None
    retries: int = 2
    split: int = 256

    def __post_init__(self) -> None:
        places = [name for name in ("workers", "scheduler", "threads") if getattr(self, name)]
        if len(places) > 1:
            raise OptionError(f"{' and '.join(places)} together", expected="one of them")
        if min(self.workers, self.threads, self.retries, self.split) < 0:
            raise OptionError("a negative number of workers, threads, retries or windows", expected="0 or more")

    @property
    def parallel(self) -> bool:
        """Whether more than one scene may be under way at a time."""
        return self.workers > 1 or self.threads > 1 or self.scheduler is not None


def work_on(execution: Execution, job: Job, todo: Sequence[Task]) -> Generator[Row]:
    """What becomes of each task: those that the catalog itself spoils first, then those that are worked on."""
    for task in todo:
        if task.problem is not None:
            yield failed(task, task.problem)
    if sound := [task for task in todo if task.problem is None]:
        with _pool(execution, job) as pool:
            yield from carry_out(Agenda(sound), pool)


@contextmanager
def _pool(execution: Execution, job: Job) -> Iterator[Pool]:
    """Whatever does the work."""
    if execution.workers or execution.scheduler is not None:
        from geosam.catalog.cluster import Workers, connect

        with (
            connect(execution.workers, execution.scheduler) as client,
            Workers(client, job, resources=execution.resources) as workers,
        ):
            yield workers
    elif execution.threads:
        with Threads(Station(job), execution.threads) as threads:
            yield threads
    else:
        yield Here(Station(job))
