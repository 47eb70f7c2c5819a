"""``geosam models`` and ``geosam train``."""

from pathlib import Path
from typing import Annotated

import typer


def models() -> None:
    """List the models: size, licence, and which are at hand."""
    from rich.console import Console
    from rich.table import Table

    from geosam.sam.registry import models as rows

    table = Table("model", "parameters", "window", "size", "licence", "where", box=None, pad_edge=False)
    for row in rows():
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.1f} M",
            f"{row.side} px",
            f"{row.bytes / 1e6:.0f} MB",
            row.licence,
            row.where,
        )
    Console().print(table)


def train(
    config: Annotated[Path | None, typer.Argument(help="Training configuration; by default the one of `nano`.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for checkpoints, curves and weights.")] = Path(
        "runs/nano"
    ),
    data: Annotated[
        Path | None, typer.Option(help="Folder of real images with a manifest; none: rendered ones only.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Train this many steps instead of what the configuration says.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew instead of going on from the last checkpoint.")
    ] = False,
) -> None:
    """Train a small SAM, as the built-in `nano` was; an interrupted training goes on."""
    from geosam.training import train as run

    run(config, output, data=data, steps=steps, resume=not fresh)
