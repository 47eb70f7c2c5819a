"""Memory that is free, given back to the system.

The C library keeps what is freed for later, and between blocks in use it may keep it for ever: after a vision
transformer was laid out anew, as much as its weights.
"""

import ctypes
from functools import cache


def give_back() -> None:
    """Give freed memory back to the system, if the C library knows how to (glibc does, by ``malloc_trim``)."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # a system on which a program is no library
        return None
