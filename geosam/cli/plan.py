"""``geosam plan`` and ``geosam encode``: what comes before segmenting."""

from typing import Annotated

import typer

from geosam.cli.machine import Device, Dtype, Model, Threads, open_model
from geosam.cli.options import (
    Coverage,
    Detail,
    GroupColumn,
    IdColumn,
    LabelColumn,
    PromptsCrs,
    PromptsLayer,
    Spacing,
    Speed,
    prompt_names,
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
from geosam.cli.segment import joined, read_prompts


def plan(
    scene: SceneArgument,
    model: Model = "nano",
    prompts: Annotated[
        str | None, typer.Option(help="Vector file of prompts, or raster of masks; none: every object.")
    ] = None,
    prompts_layer: PromptsLayer = None,
    prompts_crs: PromptsCrs = None,
    id_column: IdColumn = None,
    group_column: GroupColumn = None,
    label_column: LabelColumn = None,
    bands: Bands = None,
    resolution: Resolution = None,
    scale: Scale = None,
    aoi: Aoi = None,
    aoi_crs: AoiCrs = None,
    stretch: Stretch = "auto",
    nodata: Nodata = None,
    window: Window = None,
    overlap: Overlap = None,
    spacing: Spacing = None,
    speed: Speed = None,
    coverage: Coverage = False,
    detail: Detail = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    threads: Threads = None,
) -> None:
    """Say what segmenting a scene will cost, before starting; the first time one window is measured."""
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_forecast

    seen = {"bands": bands, "resolution": working_pixel(resolution, scale), "aoi_crs": aoi_crs}
    opened = open_asked(scene, stretch=stretch, nodata=nodata, aoi=aoi, **seen)
    how = prompt_names(prompts_layer, id_column, group_column, label_column)
    asked = joined(read_prompts(opened, prompts, crs=prompts_crs, how=how))
    network = open_model(model, device=device, dtype=dtype, threads=threads)
    forecast = geosam.plan(
        opened,
        asked,
        model=network,
        window=window,
        overlap=overlap,
        spacing_px=spacing,
        speed=speed,
        coverage=coverage,
        detail=detail,
    )
    show_forecast(forecast, Console(soft_wrap=True))


def encode(
    scene: SceneArgument,
    model: Model = "nano",
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
    quiet: Quiet = False,
) -> None:
    """Encode all windows of a scene into the embedding store, so that later prompts need no encoder."""
    from rich.console import Console

    from geosam.cli.show import show_passes
    from geosam.errors import OptionError
    from geosam.execute import progress_bar
    from geosam.pipeline import encode as run

    if store == "none":
        raise OptionError("--store none", expected="a folder, or auto", hint="encoding without a store keeps nothing")
    seen = {"bands": bands, "resolution": working_pixel(resolution, scale), "aoi_crs": aoi_crs}
    opened = open_asked(scene, stretch=stretch, nodata=nodata, aoi=aoi, **seen)
    network = open_model(model, device=device, dtype=dtype, threads=threads)
    with progress_bar(quiet=quiet) as progress:
        report = run(opened, model=network, store=store, progress=progress, window=window, overlap=overlap)
    show_passes(report, Console(soft_wrap=True))
