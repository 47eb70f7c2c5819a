"""What a failed command says: one line on stderr, and an exit code."""

import os
import signal
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from geosam.errors import GeosamError

FAILED, BUG, INTERRUPTED = 1, 70, 130
"""Exit codes: it cannot be done; geosam is at fault; Ctrl-C or a polite kill. Wrong usage is 2."""

AGAIN = "interrupted: nothing half-written is left; the same command again goes on from what is done"


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
            fail("error: out of memory; expected a smaller --window or a coarser --resolution", code=FAILED)
        except (GeosamError, OSError) as error:
            fail(f"error: {one_line(error)}", code=FAILED)


def run(app: typer.Typer) -> NoReturn:
    """Run the command line; a bug is one line too, and says how to see more of it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:  # between the commands
        fail(AGAIN, code=INTERRUPTED)
    except Exception as error:  # the last line of defence
        fail(f"unexpected {type(error).__name__}: {one_line(error)}; GEOSAM_DEBUG=1 shows where; report it", code=BUG)
    sys.exit(0)


def fail(message: str, *, code: int) -> NoReturn:
    """Say on stderr what went wrong and leave; with ``GEOSAM_DEBUG`` the traceback comes first."""
    if os.environ.get("GEOSAM_DEBUG"):
        sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]  # only called where one is handled
    typer.echo(message, err=True)
    raise SystemExit(code)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks.

    Examples
    --------
    >>> one_line(ValueError("no such" + chr(10) + "  file"))
    'no such file'
    """
    return " ".join(str(error).split()) or type(error).__name__
