"""Memory that is used again, and memory that is free, given back to the system.

The C library keeps what is freed for later, and between blocks in use it may keep it for ever: after a vision
transformer was laid out anew, as much as its weights. What lies at the end of its heap it gives back at once, and large
tensors that come and go at that end cost a page fault for every 4 kB, each time.
"""

import ctypes
import os
import threading
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SPARE_BYTES = 200 << 20
"""What a process may grow by before free memory is given back; with less, the same pages are soon asked for anew."""


def give_back() -> None:
    """Give freed memory back to the system, if the C library knows how to (glibc does, by ``malloc_trim``)."""
    trim = _trim()
    if trim is not None:
        trim(0)


class Growth:
    """Gives freed memory back whenever the process has grown by so much since the last time.

    The C library keeps what is free for each thread by itself, and the longer a process runs, the more threads have
    once needed much. Where the system doesn't tell what a process holds (Linux does), nothing is given back.

    Parameters
    ----------
    spare
        Bytes by which it may grow.

    Examples
    --------
    >>> growth = Growth(200 << 20)
    >>> growth.bound()
    >>> growth.held > 0 or not Path("/proc").exists()
    True
    """

    def __init__(self, spare: int) -> None:
        self.spare = spare
        self.held = 0  # bytes, after the last time

    def bound(self) -> None:
        """Give back what is free if it is time to."""
        held = resident()
        if held > self.held + self.spare:
            give_back()
            held = self.held = resident()
        self.held = min(self.held, held)


growth = Growth(SPARE_BYTES)
"""Of this process."""


def resident() -> int:
    """Bytes of memory that the process holds; 0 where the system doesn't tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # a system on which a program is no library
        return None


class _Scratch(threading.local):
    """Memory that one thread writes to over and over: flat tensors by what they are for."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, torch.dtype], Tensor] = {}


_scratch = _Scratch()


def scratch(name: str, like: Tensor) -> Tensor:
    """A tensor of one's own to write to, of the shape and kind of another; its values are whatever was there.

    On a processor it is the memory that this thread got by this name the time before: it may be read until the next
    call and is not to be handed out.

    Examples
    --------
    >>> first = scratch("sum", torch.ones(2, 3))
    >>> scratch("sum", torch.ones(4)).data_ptr() == first.data_ptr()
    True
    """
    if like.device.type != "cpu":
        return torch.empty_like(like, memory_format=torch.contiguous_format)  # PyTorch keeps a card's memory itself
    key, size = (name, like.dtype), like.numel()
    kept = _scratch.kept.get(key)
    if kept is None or len(kept) < size:
        kept = _scratch.kept[key] = torch.empty(size, dtype=like.dtype)
    return kept[:size].view(like.shape)
