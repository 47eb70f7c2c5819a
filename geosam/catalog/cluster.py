"""Work on a dask cluster: started here, or an existing one by its address."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from dask import config
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, get_worker
from distributed.scheduler import NoValidWorkerError

from geosam.catalog.job import Job
from geosam.catalog.manifest import FAILED, Row
from geosam.catalog.station import Station
from geosam.catalog.tasks import Outcome, Suspect, Task, do
from geosam.errors import ClusterError

_log = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""Seconds without any worker after which a cluster is given up."""

CONNECT_S = 10.0
"""Seconds in which a scheduler has to answer."""

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
        try:
            if scheduler is None:
                scheduler = stack.enter_context(_local(workers))
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_S, set_as_default=False))
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            where = f"workers={workers}" if scheduler is None or not isinstance(scheduler, str) else scheduler
            raise ClusterError(
                f"{where}: no cluster ({' '.join(str(error).split()) or type(error).__name__})",
                expected="the address of a running dask scheduler, or a number of workers",
            ) from error
        _log.info("dashboard: %s", client.dashboard_link)
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Hear only of dask's errors: what a worker's end means for a scene is said by its row."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _local(workers: int) -> LocalCluster:
    """A cluster on this machine: one scene at a time in each process, a graphics card each if there are any."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
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
        client.register_plugin(StationPlugin(job, local, slots), name=self._name)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._client.status == "running":
            with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
                self._client.cancel(list(self._under_way), force=True)
                self._client.unregister_worker_plugin(self._name)

    def submit(self, task: Task, told: Callable[[Any], None]) -> None:
        """See `Pool.submit`."""
        key = f"{self._name}-{task.item.name}-{task.piece}-{task.pieces}{'-alone' if task.alone else ''}"
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
        return Row(task.item.name, ", ".join(task.item.paths), task.key, FAILED, reason=reason)

    def check(self) -> None:
        """See `Pool.check`."""
        now = time.monotonic()
        if self._client.status == "running" and (slots := self._slots()):
            self._seen, self.limit = now, 2 * slots + 2  # workers may have joined
        elif now - self._seen > PATIENCE_S:
            offering = f" that offers {self._resources}" if self._resources else ""
            hint = "the same command again goes on from here"
            raise ClusterError(f"no worker{offering} for {PATIENCE_S:.0f} s", hint=hint)

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


def work(name: str, task: Task) -> Outcome:
    """Do a task in a worker, at the station that the plugin of that name has set up."""
    plugin: Any = get_worker().plugins[name]
    return do(plugin.station, task)


def lost(error: BaseException) -> ClusterError:
    """The error that a client meets when its scheduler has gone."""
    return ClusterError(
        f"the scheduler was lost ({' '.join(str(error).split())[:120] or type(error).__name__})",
        expected="a cluster that runs until all scenes are done",
        hint="the same command again goes on from what is done",
    )


def _first(task: Task) -> int:
    """Pieces and their putting together go before further scenes, so that few scenes are half-done."""
    return 1 if task.pieces else 0
