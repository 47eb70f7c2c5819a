"""A command in a process of its own: what it says, how it ends, within limits of time and memory."""

import logging
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

MEMORY = 4 << 30
"""Bytes that a command may take beside what it finds."""

POLL_S = 0.004


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code
        Its exit code; negative for the signal that ended it, None if it ran out of time.
    said, complained
        Its stdout and stderr.
    seconds, peak_bytes
        What it took.
    """

    code: int | None
    said: str
    complained: str
    seconds: float
    peak_bytes: int


def run_words(words: list[str], folder: Path, cache: Path, limit_s: float) -> Ended:
    """Run a command of geosam in a copy of this process, with ``folder`` as the current one."""
    said, complained = cache.with_name("stdout"), cache.with_name("stderr")
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(words, folder, cache, said, complained)
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        took = time.monotonic() - begin
        if done or took > limit_s:
            break
        time.sleep(POLL_S)
    if not done:
        os.kill(pid, signal.SIGKILL)
        _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status) if done else None
    texts = (path.read_text(errors="backslashreplace") for path in (said, complained))
    return Ended(code, *texts, took, used.ru_maxrss * 1024)


def _become(words: list[str], folder: Path, cache: Path, said: Path, complained: Path) -> None:
    """Turn this process into the command; it never returns."""
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in ((1, said), (2, complained)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(folder)
        os.environ["GEOSAM_CACHE"] = str(cache)
        os.environ["COLUMNS"] = "1000"
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
        sys.argv = ["geosam", *words]
        logging.root.handlers = []
        from geosam.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
