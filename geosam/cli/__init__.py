"""The command line: ``geosam segment | plan | encode | models | train | demo``.

Each command is a thin door to one library call. An error is one line on stderr and exit code 1; set ``GEOSAM_DEBUG=1``
for a traceback. Ctrl-C and a polite kill end with 130 and leave what is done for the next run.
"""

import logging
import os
import signal
import sys
from typing import Annotated

import click
import typer

import geosam
from geosam.cli.demo import demo
from geosam.cli.models import models, train
from geosam.cli.segment import encode, plan, segment
from geosam.errors import GeosamError

app = typer.Typer(
    name="geosam",
    help="Segment maps with Segment Anything: from a GeoTIFF to georeferenced polygons.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (segment, plan, encode, models, demo, train):
    app.command()(command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"geosam {geosam.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to stderr.")] = False,
) -> None:
    """Segment maps with Segment Anything: from a GeoTIFF to georeferenced polygons."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


def main() -> None:
    """Run the command line and turn every failure into one line and an exit code.

    Examples
    --------
    >>> from typer.testing import CliRunner
    >>> CliRunner().invoke(app, ["--version"]).output.startswith("geosam ")
    True
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted: run the same command again to go on from the windows that are done", code=130)
    except GeosamError as error:
        _fail(f"error: {error}", code=1)
    except MemoryError:
        _fail("error: out of memory: try a smaller --window", code=1)
    except OSError as error:
        _fail(f"error: {error}", code=1)
    except Exception as error:  # the last line of defence: a bug is one line too, and says how to report it
        _fail(f"unexpected {type(error).__name__}: {error}\nset GEOSAM_DEBUG=1 for a traceback and report it", code=70)


def _fail(message: str, *, code: int) -> None:
    """Say on stderr what went wrong and leave."""
    if os.environ.get("GEOSAM_DEBUG"):
        raise
    typer.echo(message, err=True)
    sys.exit(code)
