"""``geosam segment``: a scene and perhaps prompts in, a layer of polygons out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.options import OUTPUT, PROMPTS, Hierarchy, Objects, PromptsFile, Spoken
from geosam.cli.scenes import Quiet, SceneArgument, Seen, Store, Tiles


@flat
def segment(
    scene: SceneArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help=".gpkg, .parquet, .fgb or .geojson to write.",
            rich_help_panel=OUTPUT,
            metavar="PATH",
        ),
    ],
    *,
    model: Model = "nano",
    prompts: Annotated[
        str | None,
        typer.Option(
            help="Vector file of points, boxes or polygons, or raster of masks; any CRS.", rich_help_panel=PROMPTS
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(help="A click `x,y`, or `x,y,0` for *not this*; repeatable.", rich_help_panel=PROMPTS),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="A box `xmin,ymin,xmax,ymax`; repeatable.", rich_help_panel=PROMPTS)
    ] = None,
    file: PromptsFile,
    spoken: Spoken,
    objects: Objects,
    hierarchy: Hierarchy = False,
    seen: Seen,
    tiles: Tiles,
    store: Store = "auto",
    machine: Machine,
    labels: Annotated[
        Path | None, typer.Option(help="Also write a label raster (int32 COG) here.", rich_help_panel=OUTPUT)
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also write a PNG of the scene with its polygons here.", rich_help_panel=OUTPUT),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Name of the layer; default: the output's.", rich_help_panel=OUTPUT)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Segment a scene into polygons: every object, or those that prompts point at."""
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_report
    from geosam.execute import progress_bar

    said = spoken.named()
    given = opened = seen.open(scene)
    if said and seen.pixel is None:
        opened = suited_to(given, said)
    inputs = [one for one in (prompts, seen.aoi, model, spoken.text_model, *(spoken.words or ())) if one]
    check_outputs(output, labels, picture, layer=layer, overwrite=overwrite, inputs=[opened, *inputs])
    asked = read_prompts(opened, prompts, crs=file.prompts_crs, how=file.named())
    clicked = read_clicks(opened, point or [], box or [], file.prompts_crs)
    network = machine.load(model)
    with progress_bar(quiet=quiet) as progress:
        report = geosam.segment_to_file(
            opened,
            output,
            joined([*asked, *clicked]),
            labels=labels,
            picture=picture,
            layer=layer,
            overwrite=overwrite,
            inputs=inputs,
            model=network,
            store=None if store == "none" else store,
            progress=progress,
            options=geosam.SegmentOptions(hierarchy=hierarchy, **tiles.named(), **objects.named(), **said),
        )
    console = Console(soft_wrap=True)
    show_report(report, console)
    if opened is not given:
        pixel = f"{opened.resolution_m:.2g} m"
        console.print(f"seen in pixels of {pixel}, as suits the text (--scale, --resolution)", highlight=False)


def suited_to(scene: Any, said: dict[str, Any]) -> Any:
    """The scene at the working pixel that suits the words."""
    from geosam.pipeline import SegmentOptions
    from geosam.pipeline.reading import read_words, suited

    asked, _ = read_words(SegmentOptions(**said), has_prompts=False)
    return suited(scene, asked)


def check_outputs(
    output: Path, labels: Path | None, picture: Path | None, *, layer: str | None, overwrite: bool, inputs: list[Any]
) -> None:
    """Find out before any work whether the files that are asked for can be written.

    Raises
    ------
    OptionError
        If two of them are one file.
    SinkError
        If one is an input, cannot be written, or exists.
    """
    from geosam.sinks import LABEL_FORMATS, PICTURE_FORMATS, check_together, check_writable, input_files, is_pending

    read = input_files(*inputs)
    targets = [check_writable(output, overwrite=overwrite, layer=layer, inputs=read)]
    overwrite = overwrite or is_pending(output)  # then all of them are there already
    for path, formats in ((labels, LABEL_FORMATS), (picture, PICTURE_FORMATS)):
        if path:
            targets.append(check_writable(path, formats=formats, overwrite=overwrite, inputs=read))
    check_together(targets)


def read_prompts(scene: Any, path: str | None, *, crs: str | None = None, how: dict[str, Any]) -> list[Any]:
    """Prompts from a file of features or masks; none if no file is given.

    Raises
    ------
    OptionError
        If options say how features are taken, and there are none.
    """
    from geosam.errors import OptionError
    from geosam.pipeline.request import RASTERS
    from geosam.prompts import Prompts

    is_raster = path is not None and Path(path).suffix.lower() in RASTERS
    if how and (path is None or is_raster):
        options = {"layer": "--prompts-layer"} | {
            name: f"--{name.replace('_', '-')}" for name in how if name != "layer"
        }
        given = ", ".join(options[name] for name in how)
        raise OptionError(
            f"{given} with a raster of masks" if is_raster else f"{given} without --prompts",
            expected="--prompts with the file of features that has it",
        )
    if path is None:
        return []
    return [Prompts.from_masks(path, scene) if is_raster else Prompts.from_features(path, scene, crs=crs, **how)]


def read_clicks(scene: Any, points: list[str], boxes: list[str], crs: str | None) -> list[Any]:
    """Prompts from ``--point`` and ``--box``; a negative point refines the object nearest to it."""
    from geosam.prompts import Prompts, parse_box, parse_point

    found = []
    if points:
        clicks = [parse_point(text) for text in points]
        xy, labels = [(x, y) for x, y, _ in clicks], [label for *_, label in clicks]
        found.append(Prompts.from_points(xy, scene, labels=labels, crs=crs))
    if boxes:
        found.append(Prompts.from_boxes([parse_box(text) for text in boxes], scene, crs=crs))
    return found


def joined(parts: list[Any]) -> Any:
    """All prompts as one, or None for everything mode."""
    from geosam.prompts import Prompts

    return Prompts.join(*parts) if parts else None
