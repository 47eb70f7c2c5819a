"""``geosam finetune``: a model taught on a user's own footprints."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.machine import Model
from geosam.cli.scenes import Quiet


class Learning(StrEnum):
    """What learns."""

    sharpener = "sharpener"
    decoder = "decoder"
    all = "all"


def finetune(
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE…", help="One raster or several, with the objects that --labels holds.")
    ],
    labels: Annotated[str, typer.Option(help="Vector file of the objects' polygons; any CRS.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".safetensors to write.", metavar="PATH")],
    layer: Annotated[str | None, typer.Option(help="Layer of the labels file.")] = None,
    model: Model = "nano",
    part: Annotated[
        Learning | None,
        typer.Option(
            "--train",
            help="`sharpener`: the mask refiner, the default with `nano`; `decoder`: all but the image encoder; "
            "or `all`.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps at most; it stops early where nothing is gained.", min=1)] = 400,
    hold_out: Annotated[
        float, typer.Option(help="Share of the objects kept from training, to score with.", min=0.01, max=0.9)
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides what is held out and what is asked when.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Quiet = False,
) -> None:
    """Teach a model on your own footprints: minutes on a CPU for a few hundred of them.

    Tiles of the scenes are held out and scored before and after. Give the file that is written wherever a model is
    asked for: `geosam segment SCENE --model my.safetensors`.
    """
    from geosam.execute import progress_bar
    from geosam.sinks.places import check_path
    from geosam.training.finetuning import finetune as run

    target = check_path(output, (".safetensors",), overwrite=overwrite)
    with progress_bar(quiet=quiet) as progress:
        done = run(
            scenes,
            labels,
            target,
            model=model,
            part=part.value if part else None,
            layer=layer,
            steps=steps,
            share=hold_out,
            seed=seed,
            progress=progress,
        )
    show(done)


def show(done: Any) -> None:
    """Say what was gained, and where the weights are."""
    from rich.console import Console
    from rich.table import Table

    from geosam.cli.show import counted, shown

    table = Table("mean IoU", "box", "click", "3 clicks", box=None, pad_edge=False)
    for name, score in (("before", done.before), ("after", done.after)):
        table.add_row(name, *(f"{value:.3f}" for value in (score.box, score.click, score.clicks3)))
    console = Console(soft_wrap=True)
    console.print(
        f"learned from {counted(done.trained_on, 'object')}, scored on {done.held_out} held out; "
        f"{counted(done.steps, 'step')}, best after {done.best_step}"
    )
    console.print(table)
    if not done.best_step:
        console.print("nothing was gained: the weights are those of the start", style="yellow")
    console.print(f"  {shown(done.path)}", highlight=False, markup=False)
