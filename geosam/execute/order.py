"""Items in, results out: in the same order, whatever the number of threads, and only a few of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from geosam.errors import OptionError

Item = TypeVar("Item")
Result = TypeVar("Result")

_END: Any = object()


def run_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1, ahead: int = 2
) -> Iterator[Result]:
    """Apply a function to each item on threads, and yield the results in the order of the items.

    At most ``threads + ahead`` items are under way or wait for the consumer, so memory does not depend on their number.
    The results do not depend on `threads`.

    Parameters
    ----------
    function
        Called with one item; must be safe to call from `threads` threads at once.
    items
        Taken one after another, as places become free.
    threads
        Number of threads; 0 does the work in the calling thread, when each result is asked for.
    ahead
        Number of results that may wait for the consumer.

    Yields
    ------
    Result
        ``function(item)``, in the order of `items`.

    Raises
    ------
    OptionError
        If `threads` or `ahead` is negative.
    Exception
        What `function` raises, as soon as its turn comes, with a note that names the item; what has not begun is
        cancelled. So it is on Ctrl-C, which does not wait for the items under way.

    Examples
    --------
    >>> list(run_in_order(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    if threads < 0 or ahead < 0:
        raise OptionError(f"threads={threads}, ahead={ahead}", expected="numbers that are not negative")
    named = _Named(function)
    if threads == 0:
        yield from map(named, items)
        return
    with _workers(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(named, item))
            if len(pending) == threads + ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def prefetch(iterable: Iterable[Item], *, ahead: int = 2) -> Iterator[Item]:
    """Take items from an iterable on a thread of its own, up to `ahead` of them before they are asked for.

    Parameters
    ----------
    iterable
        Read by one thread only, such as a generator that reads windows from a dataset of its own.
    ahead
        Number of items that may wait for the consumer; 0 reads each item when it is asked for.

    Yields
    ------
    Item
        The items in their order; what the iterable raises is raised where its item would have come.

    Raises
    ------
    OptionError
        If `ahead` is negative.

    Examples
    --------
    >>> list(prefetch(range(4), ahead=2))
    [0, 1, 2, 3]
    """
    if ahead < 0:
        raise OptionError(f"ahead={ahead}", expected="a number that is not negative")
    iterator = iter(iterable)
    if ahead == 0:
        yield from iterator
        return
    with _workers(1) as pool:
        pending = deque(pool.submit(next, iterator, _END) for _ in range(ahead))
        while (item := pending.popleft().result()) is not _END:
            pending.append(pool.submit(next, iterator, _END))
            yield item


class _Named:
    """A function whose errors carry a note that names the item."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, item: Any) -> Any:
        try:
            return self._function(item)
        except Exception as error:
            error.add_note(f"while working on {item!r}")
            raise


@contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops what has not begun when the block is left; on Ctrl-C it does not wait for what has."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="geosam")
    wait = True
    try:
        yield pool
    except KeyboardInterrupt:
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
