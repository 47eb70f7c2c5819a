"""Work on a dask cluster: started here, or an existing one by its address."""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import spawn
from typing import Any
from uuid import uuid4

from dask import config
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, get_worker
from distributed.scheduler import NoValidWorkerError

from geosam.catalog.job import Job
from geosam.catalog.manifest import FAILED
from geosam.catalog.scheduler import check_answers
from geosam.catalog.station import Station
from geosam.catalog.tasks import Outcome, Suspect, Task, do, row_of
from geosam.display import shown
from geosam.errors import ClusterError

_log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""Seconds without any worker after which a cluster is given up."""

CONNECT_S = 10.0
"""Seconds in which a scheduler has to answer."""

STARTS = 3
"""Times that a cluster of this machine is started, where its workers die while they start."""

PAUSE_S = 1.0
"""Seconds after which workers are asked again, where one of them died."""

TALKERS = ("distributed", "tornado", "asyncio")
"""Loggers of dask and of what it runs on: what they say of a worker's end is said by a row, or by one error."""

SETTINGS = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.work-stealing": False,  # few tasks wait, and each is long
    "distributed.worker.profile.enabled": False,  # it looks at a worker's stack a hundred times a second
    "distributed.admin.low-level-log-length": 0,
}
"""A scene that has seen two workers die is tried alone at the end; if it takes two more with it, it is given up."""


@contextmanager
def connect(workers: int = 0, scheduler: Any = None) -> Iterator[Client]:
    """A client of a cluster, closed at the end; a cluster that was started here goes with it.

    Parameters
    ----------
    workers
        Processes of a cluster on this machine, where there is no `scheduler`.
    scheduler
        Address of a scheduler such as ``tcp://host:8786``, or a `distributed.Client`, which stays open.

    Raises
    ------
    ClusterError
        If there is no cluster at the address, or none can be started.
    """
    if isinstance(scheduler, Client):
        yield scheduler
        return
    with ExitStack() as stack:
        stack.enter_context(config.set(SETTINGS))
        stack.enter_context(_quiet())
        if scheduler is None:
            stack.enter_context(_script_not_run_again())
            cluster = stack.enter_context(_start(workers))
        else:
            cluster = _asked(scheduler)
        try:
            client = stack.enter_context(Client(cluster, timeout=CONNECT_S, set_as_default=False))
        except Exception as error:  # dask raises several kinds, whatever the address or the network provokes
            raise _no_cluster(scheduler or f"workers={workers}", error) from error
        _log.info("dashboard: %s", client.dashboard_link)
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Hear nothing of dask: what a worker's end means for a scene is said by its row."""
    loggers = [logging.getLogger(name) for name in TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except KeyboardInterrupt:  # what was being started goes on talking until its process ends
        raise
    except BaseException:
        _hear(loggers, levels)
        raise
    _hear(loggers, levels)


def _hear(loggers: list[logging.Logger], levels: list[int]) -> None:
    gc.collect()  # asyncio complains of futures that nobody asked when they are collected: now
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@contextmanager
def _script_not_run_again() -> Iterator[None]:
    """Keep the processes of dask from running the user's script once more, as Python else does where it spawns them.

    So a script needs no main guard: a worker imports geosam, and dask sends by value what was defined in the script.
    """
    usual = spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        told = usual(name)
        ours = name.startswith("Dask")
        return {key: value for key, value in told.items() if not (ours and key.startswith("init_main"))}

    spawn.get_preparation_data = prepare
    try:
        yield
    finally:
        spawn.get_preparation_data = usual


def _start(workers: int) -> Any:
    """A cluster on this machine; begun again if a worker dies while it starts."""
    for left in reversed(range(STARTS)):
        try:
            return _local(workers)
        except Exception as error:  # whatever a worker's end provokes in dask
            if not left:
                raise ClusterError(
                    f"workers={workers}: no cluster, workers died while they started, {STARTS} times ({_told(error)})",
                    hint="see whether the machine has memory for them, or ask for fewer",
                ) from error
            _log.info("the workers are started again after: %s", error)
    raise AssertionError  # the last failure is raised


def _asked(scheduler: Any) -> Any:
    """The scheduler, if it is no address or one answers there."""
    if isinstance(scheduler, str):
        try:
            check_answers(scheduler, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise _no_cluster(scheduler, error) from error
    return scheduler


def _no_cluster(where: Any, error: BaseException) -> ClusterError:
    return ClusterError(
        f"{where}: no cluster ({_told(error)})",
        expected="the address of a running dask scheduler, or a number of workers",
    )


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _local(workers: int) -> LocalCluster:
    """A cluster on this machine: one scene at a time in each process, a graphics card each if there are any."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        resources={"GPU": 1} if graphics_cards() else None,
    )


def graphics_cards() -> int:
    """How many graphics cards this machine has."""
    import torch

    return torch.cuda.device_count()


@dataclass
class StationPlugin(WorkerPlugin):
    """Brings the job to each worker, also to one that joins later; the model is loaded at the first scene.

    Attributes
    ----------
    job
        What is done with every scene.
    local
        Whether the workers are all of this machine, which then divide its cores and graphics cards.
    slots
        How many scenes they all work on at a time.
    """

    job: Job
    local: bool
    slots: int

    def setup(self, worker: Any) -> None:
        """Called by dask in each worker."""
        logging.getLogger("geosam.prompts").setLevel(logging.ERROR)  # the manifest counts what is skipped
        threads = max(1, (os.cpu_count() or 1) // max(1, self.slots)) if self.local else 0
        cards = graphics_cards() if self.local else 0
        card = worker.name if isinstance(worker.name, int) else os.getpid()
        self.station = Station(self.job, torch_threads=threads, device=f"cuda:{card % cards}" if cards else "auto")


class Workers:
    """Does tasks on the workers of a cluster.

    Parameters
    ----------
    client
        Of the cluster.
    job
        What is done with every scene.
    resources
        What a task claims of a worker, such as ``{"GPU": 1}``. None: a graphics card, where workers offer any.

    Raises
    ------
    ClusterError
        If no worker comes.
    """

    def __init__(self, client: Client, job: Job, *, resources: Mapping[str, float] | None = None) -> None:
        self._client, self._name = client, f"geosam-{uuid4().hex[:12]}"
        local = isinstance(client.cluster, LocalCluster)
        self._own = client.cluster if local else None
        self._seen = time.monotonic()
        self._under_way: set[Any] = set()
        try:
            client.wait_for_workers(1, timeout=PATIENCE_S)
        except TimeoutError as error:
            raise ClusterError(f"no worker came in {PATIENCE_S:.0f} s", expected="a cluster with workers") from error
        offered = any(worker["resources"].get("GPU", 0) >= 1 for worker in self._workers())
        asked = resources if resources is not None else {"GPU": 1} if offered else {}
        self._resources = {name: amount for name, amount in asked.items() if amount > 0} or None
        slots = self._slots()
        self.limit = 2 * slots + 2
        _register(client, StationPlugin(job, local, slots), self._name)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._client.status == "running":
            with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
                self._client.cancel(list(self._under_way), force=True)
                self._client.unregister_worker_plugin(self._name)

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """See `Pool.submit`."""
        key = f"{self._name}-{task.name}-{task.piece}-{task.pieces}{'-alone' if task.alone else ''}"
        try:
            future = self._client.submit(
                work, self._name, task, key=key, pure=False, resources=self._resources, priority=_first(task)
            )
        except Exception as error:  # the client is closed, or its scheduler
            raise lost(error) from error
        self._under_way.add(future)
        future.add_done_callback(told)

    def outcome(self, task: Task, result: Any) -> Outcome:
        """See `Pool.outcome`."""
        try:
            return result.result()
        except KilledWorker:  # dask blames all tasks that a worker had, also those that it had not begun
            if not task.alone:
                return Suspect()
            reason = "the workers that had it died, again and again, perhaps out of memory"
        except NoValidWorkerError as error:
            raise ClusterError(f"no worker has {self._resources}", expected="resources that workers offer") from error
        except (CancelledError, OSError) as error:
            raise lost(error) from error
        except Exception as error:  # what `do` does not turn into a row: the worker itself is at fault
            reason = " ".join(f"unexpected {type(error).__name__}: {error}".split())
        finally:
            self._under_way.discard(result)
            result.release()
        return row_of(task, FAILED, reason=shown(reason))

    def check(self) -> None:
        """See `Pool.check`."""
        now = time.monotonic()
        if self._client.status == "running" and (slots := self._slots()):
            self._seen, self.limit = now, 2 * slots + 2  # workers may have joined
        elif now - self._seen > PATIENCE_S:
            offering = f" that offers {self._resources}" if self._resources else ""
            hint = "the same command again goes on from here"
            raise ClusterError(f"no worker{offering} for {PATIENCE_S:.0f} s", hint=hint)
        if self._own is not None and self._client.status == "running":
            self._own.scale(len(self._own.worker_spec))  # a worker that died while it was started again is replaced

    def _slots(self) -> int:
        """How many tasks the workers can do at a time, with the resources that each claims."""
        claims = (self._resources or {}).items()
        return sum(
            min([worker["nthreads"], *(int(worker["resources"].get(name, 0) // amount) for name, amount in claims)])
            for worker in self._workers()
        )

    def _workers(self) -> list[dict[str, Any]]:
        """What the scheduler knows of each worker."""
        try:
            return list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        except Exception as error:  # whatever the client raises when its scheduler is gone
            raise lost(error) from error


def _register(client: Any, plugin: WorkerPlugin, name: str) -> None:
    """Bring a plugin to all workers; again, if one died meanwhile: whatever takes its place has it from the start."""
    for left in reversed(range(STARTS)):
        try:
            client.register_plugin(plugin, name=name)
            return
        except Exception as error:  # dask raises what the worker's end provokes
            if not left:
                raise lost(error) from error
            time.sleep(PAUSE_S)


def work(name: str, task: Task) -> Outcome:
    """Do a task in a worker, at the station that the plugin of that name has set up."""
    plugin: Any = get_worker().plugins[name]
    return do(plugin.station, task)


def lost(error: BaseException) -> ClusterError:
    """The error that a client meets when its scheduler has gone."""
    return ClusterError(
        f"the scheduler was lost ({_told(error)})",
        expected="a cluster that runs until all scenes are done",
        hint="the same command again goes on from what is done",
    )


def _first(task: Task) -> int:
    """Pieces and their putting together go before further scenes, so that few scenes are half-done."""
    return 1 if task.pieces else 0
