"""``geosam models`` and ``geosam train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def models() -> None:
    """List the models, those that draw and those that read words: size, licence, and which are at hand."""
    from rich.console import Console

    console = Console()
    console.print(drawing())
    console.print("\nfor words, as the text model of a run")
    console.print(reading())


def drawing() -> "Table":
    """The models that draw masks."""
    from rich.markup import escape
    from rich.table import Table

    from geosam.models import models as rows

    table = Table("model", "parameters", "window", "size", "licence", "where", "needs", box=None, pad_edge=False)
    for row in rows():
        size = f"{row.bytes / 1e6:.0f} MB" if row.bytes else "-"
        millions = in_millions(row.parameters)
        table.add_row(row.name, millions, f"{row.side} px", size, row.licence, row.where, escape(row.needs))
    return table


def reading() -> "Table":
    """The models that read words; the built-in one is asked where none is named."""
    from rich.markup import escape
    from rich.table import Table

    from geosam.adapters import text_models

    table = Table("model", "what it does", "parameters", "licence", "where", "needs", box=None, pad_edge=False)
    table.add_row("(none)", "scores regions", "-", "Apache-2.0", "built in", "")
    for row in text_models():
        table.add_row(row.name, row.does, in_millions(row.parameters), row.licence, row.where, escape(row.needs))
    return table


def in_millions(count: int) -> str:
    """How many numbers, for a table.

    Examples
    --------
    >>> in_millions(3_500_000), in_millions(0)
    ('3.5 M', '-')
    """
    return f"{count / 1e6:.1f} M" if count else "-"


def train(
    config: Annotated[
        Path | None, typer.Argument(help="Training configuration (TOML); default: the one of `nano`.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for checkpoint, curves and weights.", metavar="FOLDER")
    ] = Path("runs/nano"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of real pictures with a manifest; none: rendered ones only.")
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes that share each step.", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="Processes that make batches for each of them.", min=0)] = 1,
    start_from: Annotated[Path | None, typer.Option(help="Weights file to begin with.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew, not from the last checkpoint.")] = False,
) -> None:
    """Train a small SAM, as the built-in `nano` was; an interrupted training goes on."""
    import logging

    from geosam.cli.show import shown
    from geosam.training import train as run

    logging.getLogger("geosam.training").setLevel(logging.INFO)
    weights = run(
        config, output, data=data, resume=not fresh, processes=processes, workers=workers, start_from=start_from
    )
    typer.echo(f"weights: {shown(weights.absolute())}")
