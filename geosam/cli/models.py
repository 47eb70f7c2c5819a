"""``geosam models`` and ``geosam train``."""

from pathlib import Path
from typing import Annotated

import typer


def models() -> None:
    """List the models: size, licence, and which are at hand."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from geosam.models import models as rows

    table = Table("model", "parameters", "window", "size", "licence", "where", "needs", box=None, pad_edge=False)
    for row in rows():
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.1f} M" if row.parameters else "-",
            f"{row.side} px",
            f"{row.bytes / 1e6:.0f} MB" if row.bytes else "-",
            row.licence,
            row.where,
            escape(row.needs),
        )
    Console().print(table)


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
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint whose weights to begin with.")] = None,
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
