"""The command line: ``geosam info | segment | landcover | sample | accuracy | similar | plan | encode | …``.

Each command is a thin door to one library call. An error is one line on stderr and exit code 1, wrong usage exit
code 2; set ``GEOSAM_DEBUG=1`` for a traceback. Ctrl-C, a polite kill and a closed terminal end with 130 and leave what
is done for the next run. Nothing heavy is imported before a command begins its work, so that ``--help`` is quick.
"""

import logging
from typing import Annotated

import typer

import geosam
from geosam.cli.accuracy import accuracy, sample
from geosam.cli.catalog import catalog
from geosam.cli.change import change, change_catalog
from geosam.cli.demo import demo
from geosam.cli.evaluate import evaluate
from geosam.cli.failures import Commands, run
from geosam.cli.finetune import finetune
from geosam.cli.info import info
from geosam.cli.landcover import landcover, landcover_catalog
from geosam.cli.log import log_handler
from geosam.cli.models import models, train
from geosam.cli.plan import encode, plan
from geosam.cli.qgis_plugin import qgis_plugin
from geosam.cli.segment import segment
from geosam.cli.serve import serve
from geosam.cli.similar import similar
from geosam.cli.words import words

app = typer.Typer(
    name="geosam",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (info, segment, landcover, sample, accuracy, similar, change):
    app.command()(command)
for command in (serve, plan, encode, models, demo, train, finetune, evaluate, qgis_plugin):
    app.command()(command)
catalog.command("landcover")(landcover_catalog)
catalog.command("change")(change_catalog)
app.add_typer(catalog)
app.add_typer(words)


def _show_version(asked: bool) -> bool:
    if asked:
        typer.echo(f"geosam {geosam.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to stderr.")] = False,
) -> None:
    """Segment maps with Segment Anything: from a GeoTIFF to georeferenced polygons."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[log_handler(verbose=verbose)])


def main() -> None:
    """Run the command line and leave with its exit code.

    Examples
    --------
    >>> from typer.testing import CliRunner
    >>> CliRunner().invoke(app, ["--version"]).output.startswith("geosam ")
    True
    """
    run(app)
