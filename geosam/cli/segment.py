"""``geosam segment``: a scene and perhaps prompts in, a layer of polygons out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.machine import Device, Dtype, Model, Threads, open_model
from geosam.cli.options import (
    OUTPUT,
    PROMPTS,
    Coverage,
    Detail,
    GroupColumn,
    Hierarchy,
    IdColumn,
    Kinds,
    LabelColumn,
    MaxArea,
    MinArea,
    Outline,
    PromptsCrs,
    PromptsLayer,
    Quality,
    Refine,
    Simplify,
    Spacing,
    Speed,
    Stability,
    Text,
    TextModel,
    TextThreshold,
    WordFiles,
    prompt_names,
    text_names,
)
from geosam.cli.scenes import (
    Aoi,
    AoiCrs,
    Bands,
    Nodata,
    Overlap,
    Quiet,
    Resolution,
    Scale,
    SceneArgument,
    Store,
    Stretch,
    Window,
    open_asked,
    working_pixel,
)


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
    model: Model = "nano",
    prompts: Annotated[
        str | None,
        typer.Option(
            help="Vector file of points, boxes or polygons, or raster of masks; any CRS.", rich_help_panel=PROMPTS
        ),
    ] = None,
    prompts_layer: PromptsLayer = None,
    point: Annotated[
        list[str] | None,
        typer.Option(help="A click `x,y`, or `x,y,0` for *not this*; repeatable.", rich_help_panel=PROMPTS),
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="A box `xmin,ymin,xmax,ymax`; repeatable.", rich_help_panel=PROMPTS)
    ] = None,
    prompts_crs: PromptsCrs = None,
    id_column: IdColumn = None,
    group_column: GroupColumn = None,
    label_column: LabelColumn = None,
    text: Text = None,
    text_threshold: TextThreshold = 0.5,
    text_model: TextModel = None,
    words: WordFiles = None,
    refine: Refine = 0,
    quality: Quality = None,
    stability: Stability = None,
    spacing: Spacing = None,
    hierarchy: Hierarchy = False,
    kinds: Kinds = False,
    speed: Speed = None,
    coverage: Coverage = False,
    detail: Detail = None,
    min_area: MinArea = 0.0,
    max_area: MaxArea = float("inf"),
    bands: Bands = None,
    resolution: Resolution = None,
    scale: Scale = None,
    aoi: Aoi = None,
    aoi_crs: AoiCrs = None,
    stretch: Stretch = "auto",
    nodata: Nodata = None,
    window: Window = None,
    overlap: Overlap = None,
    store: Store = "auto",
    device: Device = "auto",
    dtype: Dtype = "auto",
    threads: Threads = None,
    simplify: Simplify = 0.0,
    outline: Outline = None,
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

    said = text_names(text, text_threshold, text_model, words)
    seen = working_pixel(resolution, scale)
    opened = open_asked(scene, stretch=stretch, nodata=nodata, aoi=aoi, bands=bands, resolution=seen, aoi_crs=aoi_crs)
    if said and seen is None:
        opened = suited_to(opened, said)
    inputs = [one for one in (prompts, aoi, model, text_model, *(words or ())) if one]
    check_outputs(output, labels, picture, layer=layer, overwrite=overwrite, inputs=[opened, *inputs])
    how = prompt_names(prompts_layer, id_column, group_column, label_column)
    asked = read_prompts(opened, prompts, crs=prompts_crs, how=how)
    clicked = read_clicks(opened, point or [], box or [], prompts_crs)
    network = open_model(model, device=device, dtype=dtype, threads=threads)
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
            window=window,
            overlap=overlap,
            spacing_px=spacing,
            hierarchy=hierarchy,
            kinds=kinds,
            speed=speed,
            coverage=coverage,
            detail=detail,
            pred_iou_threshold=quality,
            stability_threshold=stability,
            min_area=min_area,
            max_area=max_area,
            simplify=simplify,
            outline=outline,
            refine=refine,
            **said,
        )
    show_report(report, Console(soft_wrap=True))


def suited_to(scene: Any, said: dict[str, Any]) -> Any:
    """The scene at the working pixel that suits the words; said where that is another than its own."""
    from geosam.pipeline import SegmentOptions
    from geosam.pipeline.reading import read_words, suited

    asked, _ = read_words(SegmentOptions(**said), has_prompts=False)
    seen = suited(scene, asked)
    if seen is not scene:
        typer.echo(f"seen in pixels of {seen.resolution_m:.2g} m, as suits the text (--scale, --resolution)", err=True)
    return seen


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
