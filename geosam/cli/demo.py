"""``geosam demo``: the bundled scene, segmented."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.", metavar="FOLDER")] = Path(
        "demo"
    ),
    model: Annotated[str, typer.Option(help="Name or path of the model.")] = "nano",
) -> None:
    """Segment the bundled village scene with the built-in model: GeoPackage, label COG and picture."""
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_report
    from geosam.execute import progress_bar

    scene = geosam.open_scene(sample("village_before.tif"))
    output.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        report = geosam.segment_to_file(
            scene,
            output / "village.gpkg",
            labels=output / "village_labels.tif",
            picture=output / "village.png",
            model=model,
            min_area=8,
            progress=progress,
        )
    show_report(report, Console(soft_wrap=True))


def sample(name: str) -> Path:
    """Path of a file of the bundled sample data, in an installed package or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside, beside = package / "sample_data" / name, package.parent / "sample_data" / name
    return inside if inside.exists() else beside
