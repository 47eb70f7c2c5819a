"""Ctrl-C and its like, held back while a library is at work that would turn them into errors of its own."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def held() -> Iterator[list[int]]:
    """Note signals instead of raising what their handlers raise, and call the handlers when the block is left.

    Only handlers of Python are held back, and only in the main thread, which alone runs them.

    Yields
    ------
    list of int
        The signals that have come, so that work in steps may end early.

    Examples
    --------
    >>> try:
    ...     with held() as come:
    ...         signal.raise_signal(signal.SIGINT)
    ...         noted = len(come)
    ... except KeyboardInterrupt:
    ...     print("interrupted, after", noted)
    interrupted, after 1
    """
    come: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield come
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, lambda which, _: come.append(which))
    try:
        yield come
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        for number in come[:1]:
            handlers[number](number, None)  # what the block itself raised meanwhile is only its consequence
