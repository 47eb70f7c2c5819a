"""Threads that each compute alone: parts of the work side by side, instead of every operator on all cores.

Many small operators that each wait for all cores collapse beside a busy process, and leave cores idle between them.
Parts that go through all their operators on one core do not. PyTorch's number of threads belongs to the thread that
sets it (and, as a default, to threads that have not computed yet), so the threads that call are not changed.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = Lock()
_pools: dict[int, ThreadPoolExecutor] = {}

os.register_at_fork(after_in_child=_pools.clear)


def map_alone(function: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None = None) -> list[Result]:
    """Apply a function to every item, each on one core, and give the results in the items' order.

    Parameters
    ----------
    function
        Safe to call from several threads at once; must not call `map_alone` itself.
    items
        Independent pieces of work.
    threads
        How many at a time; by default as many as PyTorch computes with. 1 works in the calling thread.

    Raises
    ------
    Exception
        What `function` raises for the first item that fails; what has not begun is dropped.

    Examples
    --------
    >>> map_alone(lambda length: float(torch.ones(length).sum()), [3, 1, 2])
    [3.0, 1.0, 2.0]
    """
    threads = threads or torch.get_num_threads()
    if threads == 1:
        return [function(item) for item in items]
    inference = torch.is_inference_mode_enabled()  # belongs to the calling thread too

    def compute(item: Item) -> Result:
        with torch.inference_mode(inference):
            return function(item)

    running = [_pool(threads).submit(compute, item) for item in items]
    try:
        return [each.result() for each in running]
    finally:
        for each in running:
            each.cancel()


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that compute alone; made once, they wait for work until the process ends."""
    with _lock:
        if threads not in _pools:
            pool = ThreadPoolExecutor(threads, thread_name_prefix="geosam-alone")
            before, together = torch.get_num_threads(), Barrier(threads)
            for started in [pool.submit(_compute_alone, together) for _ in range(threads)]:
                started.result()
            torch.set_num_threads(before)  # also the default for threads to come
            _pools[threads] = pool
        return _pools[threads]


def _compute_alone(together: Barrier) -> None:
    torch.get_num_threads()  # else the first operator would take the default again
    torch.set_num_threads(1)
    together.wait()  # so that every thread of the pool has been here
