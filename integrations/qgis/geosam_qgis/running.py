"""Run one geosam command to its end: progress and words as they come, and an end at once when it is cancelled."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

from .program import hidden, surroundings

_WINDOWS = sys.platform == "win32"

_PROGRESS = re.compile(r"progress (\d+)/(\d+|\?) (\S+): (.+)")
"""A line of ``GEOSAM_PROGRESS=lines``: done, total, unit, stage."""

POLL_S = 0.1
"""How often it is looked whether the user has cancelled."""

GRACE_S = 5.0
"""Seconds that a cancelled command has to take its leave before it is killed."""

_KEPT_LINES = 20


class RunError(Exception):
    """The command failed; the text is its last line."""


class Cancelled(Exception):  # noqa: N818 - no error: the user wanted it
    """The user has cancelled, and the command with all its processes has ended."""


def run(command, arguments, feedback):
    """Run a command of geosam; blocks, so call it in a thread of Processing or of a task.

    Parameters
    ----------
    command
        What `find_program` gives.
    arguments
        The rest of the command line, all text.
    feedback
        A `QgsProcessingFeedback`, or anything with ``isCanceled``, ``setProgress``, ``setProgressText``, ``pushInfo``
        and ``pushWarning``.

    Returns
    -------
    str
        What it wrote to stdout.

    Raises
    ------
    RunError
        If it cannot be started, or fails.
    Cancelled
        If the user cancels; geosam then leaves no half-written output.
    """
    try:
        process = _start([*command, *arguments])
    except OSError as error:
        raise RunError(f"{command[0]} cannot be started ({error})") from None
    lines = queue.Queue()
    readers = [_reader(stream, name, lines) for name, stream in (("out", process.stdout), ("err", process.stderr))]
    out, err = [], []
    try:
        while process.poll() is None or any(reader.is_alive() for reader in readers) or not lines.empty():
            if feedback.isCanceled():
                raise Cancelled
            try:
                name, line = lines.get(timeout=POLL_S)
            except queue.Empty:
                continue
            _tell(name, line, feedback)
            (out if name == "out" else err).append(line)
            del err[:-_KEPT_LINES]
    finally:
        if process.poll() is None:
            end_tree(process)
    if process.returncode:
        raise RunError(_reason(err or out, process.returncode))
    return "\n".join(out)


def end_tree(process):
    """End a process and all that it has started: politely, then by force."""
    if _WINDOWS:
        command = ["taskkill", "/PID", str(process.pid), "/T", "/F"]
        subprocess.run(command, capture_output=True, check=False, **hidden())
        process.wait(GRACE_S)
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)  # it leads a group of its own
        until = time.monotonic() + GRACE_S
        while process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_S / 5)
    process.wait()


def _start(line):
    own = hidden() if _WINDOWS else {"start_new_session": True}
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=surroundings(GEOSAM_PROGRESS="lines", COLUMNS="200"),
        **own,
    )


def _reader(stream, name, lines):
    def read():
        with stream:
            for line in stream:
                lines.put((name, line.decode("utf-8", "replace").rstrip()))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _tell(name, line, feedback):
    found = _PROGRESS.fullmatch(line) if name == "err" else None
    if found:
        done, total, unit, stage = found.groups()
        feedback.setProgressText(f"{stage}: {done} of {total} {unit}" if total != "?" else f"{stage}: {done} {unit}")
        if total not in ("?", "0"):
            feedback.setProgress(100 * int(done) / int(total))
    elif line and name == "err" and not line.startswith("error: "):
        feedback.pushWarning(line)
    elif line and name == "out":
        feedback.pushInfo(line)


def _reason(lines, code):
    told = [line for line in lines if line and not _PROGRESS.fullmatch(line)]
    if not told:
        return f"geosam ended with code {code} and said nothing"
    last = told[-1]
    return last[len("error: ") :] if last.startswith("error: ") else last
