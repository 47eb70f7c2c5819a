"""What a failed command says: one line on stderr, and an exit code."""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from geosam.display import shown
from geosam.errors import GeosamError

FAILED, BUG, INTERRUPTED = 1, 70, 130
"""Exit codes: it cannot be done; geosam is at fault; Ctrl-C, a polite kill or a closed terminal. Wrong usage is 2."""

AGAIN = "interrupted: nothing half-written is left; the same command again goes on from what is done"
NO_MEMORY = "error: out of memory; expected a smaller --window or a coarser --resolution"

AGAIN_AFTER_S = 0.05
"""Seconds after which an interruption that was lost is repeated."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a command politely, where the system knows it."""

_log = logging.getLogger(__name__)
_interrupted = threading.Event()


class Commands(TyperGroup):
    """A group of commands whose failures are one line each, under `main` and in tests alike."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has gone, as after `| head`; typer leaves quietly
            raise
        except KeyboardInterrupt:
            fail(AGAIN, code=INTERRUPTED)
        except MemoryError:
            fail(NO_MEMORY, code=FAILED)
        except (GeosamError, OSError) as error:
            if was_interrupted(error):
                fail(AGAIN, code=INTERRUPTED)
            fail(f"error: {one_line(error)}", code=FAILED)


def run(app: typer.Typer) -> NoReturn:
    """Run the command line; a bug is one line too, and says how to see more of it."""
    _listen()
    _hush()
    try:
        app()
    except KeyboardInterrupt:  # between the commands
        fail(AGAIN, code=INTERRUPTED)
    except Exception as error:  # the last line of defence
        if was_interrupted(error):
            fail(AGAIN, code=INTERRUPTED)
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):  # as torch says it
            fail(NO_MEMORY, code=FAILED)
        fail(f"unexpected {type(error).__name__}: {one_line(error)}; GEOSAM_DEBUG=1 shows where; report it", code=BUG)
    sys.exit(0)


def was_interrupted(error: BaseException) -> bool:
    """Whether an error is what a library made of an interruption.

    Examples
    --------
    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     finally:
    ...         raise RuntimeError("callback failed")
    ... except RuntimeError as error:
    ...     was_interrupted(error)
    True
    """
    return _interrupted.is_set() or any(isinstance(one, KeyboardInterrupt) for one in _chain(error))


def fail(message: str, *, code: int) -> NoReturn:
    """Say on stderr what went wrong and leave; with ``GEOSAM_DEBUG`` the traceback comes first."""
    if os.environ.get("GEOSAM_DEBUG"):
        sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]  # only called where one is handled
    with suppress(OSError):  # the terminal may be gone
        typer.echo(message, err=True)
    raise SystemExit(code)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks, secrets and signs that a terminal would obey.

    Examples
    --------
    >>> one_line(ValueError("no such" + chr(10) + "  file"))
    'no such file'
    """
    return shown(" ".join(str(error).split())) or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += [one.__cause__, one.__context__]


def _listen() -> None:
    """Let signals interrupt the command, but those that its parent ignores, as `nohup` does."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        may_be_lost = not _interrupted.is_set() and _closes(frame)
        _interrupted.set()
        if not may_be_lost:
            raise KeyboardInterrupt
        _interrupt_again()

    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def _closes(frame: FrameType | None) -> bool:
    """Whether something is being closed: a file that nobody holds is, and Python drops what is raised meanwhile."""
    return any(one.f_code.co_name == "close" for one, _ in traceback.walk_stack(frame))


def _interrupt_again() -> None:
    """Repeat an interruption in a moment."""
    threading.Timer(AGAIN_AFTER_S, os.kill, (os.getpid(), signal.SIGINT)).start()


def _hush() -> None:
    """Keep what libraries write to stderr by themselves out of it; with ``GEOSAM_DEBUG`` it is all there."""
    if os.environ.get("GEOSAM_DEBUG"):
        return
    logging.captureWarnings(capture=True)
    _part_stderr()

    def unraisable(told: Any) -> None:
        if isinstance(told.exc_value, KeyboardInterrupt):  # it came in a callback that cannot raise: once more
            _interrupt_again()
        _log.debug("%s in %s", told.exc_value, told.object)

    sys.unraisablehook = unraisable
    threading.excepthook = lambda told: _log.debug("%s in %s", told.exc_value, told.thread)


def _part_stderr() -> None:
    """Keep stderr for Python: what libraries in C write to it, as libtiff does, goes nowhere."""
    with suppress(OSError, ValueError, AttributeError):  # there is none, or it is no file
        number, encoding = sys.stderr.fileno(), sys.stderr.encoding
        own = os.dup(number)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), number)
        sys.stderr = open(own, "w", buffering=1, encoding=encoding, errors="backslashreplace")  # noqa: SIM115 - it stays
