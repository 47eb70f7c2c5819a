"""``geosam similar``: more like these."""

from pathlib import Path
from typing import Annotated

import typer

from geosam.cli.scenes import Quiet, Store


def similar(
    segments: Annotated[str, typer.Argument(help="Vector file of polygons, as `geosam segment` writes it.")],
    scenes: Annotated[
        list[str], typer.Argument(metavar="SCENE…", help="The raster they are of; of a catalog's layer, all of them.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=".gpkg, .parquet, .fgb or .geojson to write.", metavar="PATH")
    ],
    right: Annotated[
        list[str] | None,
        typer.Option(help="A place `x,y` in a polygon of what is looked for, in the layer's CRS; repeatable."),
    ] = None,
    wrong: Annotated[
        list[str] | None, typer.Option(help="A place `x,y` in a polygon of what is *not*; repeatable.")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of marks instead: 1 for right ones, 0 for wrong ones.")
    ] = None,
    least: Annotated[float, typer.Option(help="Write only polygons at least so similar.", min=0, max=1)] = 0.0,
    store: Store = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    quiet: Quiet = False,
) -> None:
    """Rank polygons by how much they are like some that are marked; what they look like is found out only once."""
    import geosam
    from geosam.errors import OptionError
    from geosam.execute import progress_bar
    from geosam.sinks import check_writable, input_files, write

    if column is not None and (right or wrong):
        raise OptionError("--column together with --right or --wrong", expected="one way of marking")
    if column is None and not right:
        raise OptionError("no example", expected="--right x,y, or --column with the marks")
    check_writable(output, overwrite=overwrite, inputs=input_files(segments, *scenes))
    with progress_bar(quiet=quiet) as progress:
        found = geosam.similar(
            segments,
            column or places(right or []),
            scenes[0] if len(scenes) == 1 else scenes,
            wrong=places(wrong or []),
            store=None if store == "none" else store,
            progress=progress,
        )
    scores = found["similarity"].to_numpy()
    write(found.loc[scores >= least], output, overwrite=overwrite, metadata={"similar": segments})
    typer.echo(f"{int((scores >= max(least, 0.5)).sum())} of {len(found)} polygons are rather like these")


def places(texts: list[str]) -> list:
    """Points from ``x,y``."""
    import shapely

    from geosam.prompts import parse_point

    return [shapely.Point(*parse_point(text)[:2]) for text in texts]
