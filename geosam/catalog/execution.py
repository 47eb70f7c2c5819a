"""Where the work on a catalog is done: in this process, on its threads, or on dask."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from geosam.catalog.folder import key_of
from geosam.catalog.job import Job
from geosam.catalog.manifest import FAILED, Row
from geosam.catalog.schedule import Agenda, Here, Pool, Threads, carry_out
from geosam.catalog.station import Station
from geosam.catalog.tasks import Task, failed
from geosam.errors import OptionError
from geosam.execute import Progress
from geosam.locks import Lock


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

    @classmethod
    def names(cls) -> set[str]:
        """What may be said of work that is not shared out: all but `split`."""
        return {each.name for each in fields(cls)} - {"split"}

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


@dataclass
class Settled:
    """What became of tasks, by name and in their order.

    Attributes
    ----------
    earlier, done
        Those whose result was there already, and those that were done now.
    failed
        Name → why.
    """

    earlier: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def do_missing(
    execution: Execution,
    job: Job,
    tasks: Sequence[Task],
    *,
    path_of: Callable[[Path, str], Path],
    name: str,
    unit: str,
    progress: Progress,
) -> Settled:
    """Do the tasks whose results are not there yet.

    Parameters
    ----------
    execution, job
        Where the work is done, and what it is.
    tasks
        Each writes one file, whose metadata hold the task's key.
    path_of
        The job's folder and a task's name → its file.
    name, unit, progress
        What is shown: the stage, what it counts, and where.

    Raises
    ------
    SinkError
        If another run is at work in the folder.
    ClusterError
        If the workers or the scheduler are lost.
    """
    found, reasons = Settled(), {}
    with Lock(job.folder / ".lock", str(job.folder)):
        found.earlier = [task.name for task in tasks if key_of(path_of(job.folder, task.name)) == task.key]
        todo = [task for task in tasks if task.name not in found.earlier]
        with (
            progress.stage(name, len(tasks), unit=unit, done=len(found.earlier)) as stage,
            closing(work_on(execution, job, todo)) as rows,
        ):
            for row in rows:
                if row.status == FAILED:
                    reasons[row.name] = row.reason
                stage.advance()
    found.done = [task.name for task in todo if task.name not in reasons]
    found.failed = {task.name: reasons[task.name] for task in todo if task.name in reasons}
    return found


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
