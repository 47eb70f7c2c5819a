"""The address of a scheduler: whether one answers there, asked before dask waits for it, which it may do for ever."""

import socket
import sys
from urllib.parse import urlsplit

from distributed.comm import registry

MOST_GREETING = 1 << 24
"""Bytes of the longest greeting that is taken for a scheduler's."""

PROBED = {"tcp", "tls", "ws", "wss"}
"""Schemes of addresses with a host and a port."""


def check_answers(address: str, *, timeout: float) -> None:
    """Check that a scheduler answers at an address.

    Parameters
    ----------
    address
        Such as ``tcp://host:8786``.
    timeout
        Seconds that it has for it.

    Raises
    ------
    ValueError
        If it is no address, or what answers there is no scheduler.
    OSError
        If nothing answers.

    Examples
    --------
    >>> check_answers("http://host", timeout=1.0)
    Traceback (most recent call last):
    ValueError: an address is such as tcp://host:8786
    """
    if address.partition("://")[0] in registry.backends.keys() - PROBED:
        return
    scheme, host, port = _split(address)
    with socket.create_connection((host, port), timeout=timeout) as peer:
        greeting = peer.recv(8) if scheme == "tcp" else b""  # a scheduler speaks first: the length of its greeting
    if scheme == "tcp" and not 0 < int.from_bytes(greeting, sys.byteorder) < MOST_GREETING:
        raise ValueError("what answers there is no dask scheduler")


def _split(address: str) -> tuple[str, str, int]:
    """Scheme, host and port of a scheduler's address."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in PROBED or not parts.hostname or not parts.port:
        raise ValueError("an address is such as tcp://host:8786")
    return parts.scheme, parts.hostname, parts.port
