"""``geosam segment``, ``geosam plan`` and ``geosam encode``."""

from pathlib import Path
from typing import Annotated, Any

import typer

Scene = Annotated[str, typer.Argument(help="GeoTIFF, COG, VRT, JP2, /vsi… or s3:// path; anything GDAL opens.")]
Model = Annotated[str, typer.Option(help="Name of a model (see `geosam models`) or path of a weights file.")]
Bands = Annotated[str | None, typer.Option(help="Bands to show, from 1, as `4,3,2`; or colours, as `nir,red,green`.")]
Resolution = Annotated[
    float | None, typer.Option(help="Working pixel size in CRS units; by default the scene's own.", min=0.0)
]
Aoi = Annotated[str | None, typer.Option(help="Vector file or WKT (in the scene's CRS) of the area of interest.")]
Stretch = Annotated[str, typer.Option(help="auto, percentile, minmax, identity, or `low,high`.")]
Nodata = Annotated[float | None, typer.Option(help="Nodata value, where the file does not say it.")]
Window = Annotated[
    int | None, typer.Option(help="Side of a window in px; smaller windows find smaller objects.", min=32)
]
Overlap = Annotated[int | None, typer.Option(help="Least overlap of windows in px; by default an eighth.", min=0)]
Store = Annotated[str, typer.Option(help="Folder of kept embeddings; `auto` is the cache folder, `none` keeps none.")]


def segment(
    scene: Scene,
    output: Annotated[Path, typer.Option("--output", "-o", help=".gpkg, .parquet, .fgb or .geojson to write.")],
    prompts: Annotated[
        str | None, typer.Option(help="Vector file of points, boxes or polygons, or raster of masks; any CRS.")
    ] = None,
    prompts_layer: Annotated[str | None, typer.Option(help="Layer of the prompts file.")] = None,
    point: Annotated[list[str] | None, typer.Option(help="A click `x,y` or `x,y,0` (not this); repeatable.")] = None,
    box: Annotated[list[str] | None, typer.Option(help="A box `xmin,ymin,xmax,ymax`; repeatable.")] = None,
    prompts_crs: Annotated[
        str | None, typer.Option(help="CRS of --point and --box, or `px`; default: the scene's.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that names a prompt; kept as `prompt_id`.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Column that groups points to one object.")] = None,
    model: Model = "nano",
    bands: Bands = None,
    resolution: Resolution = None,
    aoi: Aoi = None,
    stretch: Stretch = "auto",
    nodata: Nodata = None,
    min_area: Annotated[float, typer.Option(help="Drop objects smaller than this, m².", min=0.0)] = 0.0,
    max_area: Annotated[float, typer.Option(help="Drop objects larger than this, m².", min=0.0)] = float("inf"),
    simplify: Annotated[
        float, typer.Option(help="Simplify shared borders by this tolerance, CRS units.", min=0.0)
    ] = 0.0,
    outline: Annotated[str | None, typer.Option(help="`regular` or `smooth`; needs geosam[outline].")] = None,
    quality: Annotated[
        float | None, typer.Option(help="Least predicted IoU, everything mode.", min=0.0, max=1.0)
    ] = None,
    stability: Annotated[float | None, typer.Option(help="Least stability, everything mode.", min=0.0, max=1.0)] = None,
    spacing: Annotated[int, typer.Option(help="Distance of grid points in px, everything mode.", min=1)] = 32,
    window: Window = None,
    overlap: Overlap = None,
    labels: Annotated[Path | None, typer.Option(help="Also write a label raster (int32 COG) here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Also write a PNG of the scene with its polygons here.")] = None,
    layer: Annotated[str | None, typer.Option(help="Name of the layer; by default the output's.")] = None,
    store: Store = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Segment a scene into polygons: every object, or those that prompts point at."""
    import geopandas
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_report
    from geosam.execute import progress_bar
    from geosam.sinks import PICTURE_FORMATS, check_writable
    from geosam.sinks import picture as draw

    opened = _open(scene, bands, resolution, aoi, stretch, nodata)
    if picture:
        check_writable(picture, formats=PICTURE_FORMATS, overwrite=overwrite)
    asked = _prompts(opened, prompts, layer=prompts_layer, id_column=id_column, group_column=group_column)
    clicked = _clicked(opened, point or [], box or [], prompts_crs)
    with progress_bar(quiet=quiet) as progress:
        report = geosam.segment_to_file(
            opened,
            output,
            _joined(asked, clicked),
            labels=labels,
            layer=layer,
            overwrite=overwrite,
            model=model,
            store=None if store == "none" else store,
            progress=progress,
            window=window,
            overlap=overlap,
            spacing_px=spacing,
            pred_iou_threshold=quality,
            stability_threshold=stability,
            min_area=min_area,
            max_area=max_area,
            simplify=simplify,
            outline=outline,
        )
    if picture:
        report.outputs.append(draw(opened, geopandas.read_file(output), picture))
    show_report(report, Console())


def plan(
    scene: Scene,
    model: Model = "nano",
    bands: Bands = None,
    resolution: Resolution = None,
    aoi: Aoi = None,
    window: Window = None,
    overlap: Overlap = None,
) -> None:
    """Say what segmenting everything in a scene will cost, before starting."""
    from rich.console import Console

    import geosam
    from geosam.cli.show import show_forecast

    opened = _open(scene, bands, resolution, aoi, "auto", None)
    show_forecast(geosam.plan(opened, model=model, window=window, overlap=overlap), Console())


def encode(
    scene: Scene,
    model: Model = "nano",
    bands: Bands = None,
    resolution: Resolution = None,
    aoi: Aoi = None,
    stretch: Stretch = "auto",
    nodata: Nodata = None,
    window: Window = None,
    overlap: Overlap = None,
    store: Store = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Encode all windows of a scene into the embedding store, so that later prompts need no encoder."""
    from rich.console import Console

    from geosam.cli.show import show_report
    from geosam.execute import progress_bar
    from geosam.pipeline import encode as run

    opened = _open(scene, bands, resolution, aoi, stretch, nodata)
    with progress_bar(quiet=quiet) as progress:
        report = run(opened, model=model, store=store, progress=progress, window=window, overlap=overlap)
    show_report(report, Console())


def _open(
    scene: str, bands: str | None, resolution: float | str | None, aoi: str | None, stretch: str, nodata: Any
) -> Any:
    """The scene that the options describe."""
    import shapely

    from geosam.scene import open_scene

    area = shapely.from_wkt(aoi) if aoi and "((" in aoi else aoi
    limits = tuple(float(value) for value in stretch.split(",")) if "," in stretch else stretch
    return open_scene(scene, bands=bands, resolution=resolution, aoi=area, stretch=limits, nodata=nodata)


def _prompts(scene: Any, path: str | None, **how: Any) -> Any:
    """Prompts from a file of features or masks."""
    from geosam.pipeline.request import RASTERS
    from geosam.prompts import Prompts

    if path is None:
        return None
    return (
        Prompts.from_masks(path, scene)
        if Path(path).suffix.lower() in RASTERS
        else Prompts.from_features(path, scene, **how)
    )


def _clicked(scene: Any, points: list[str], boxes: list[str], crs: str | None) -> list[Any]:
    """Prompts from ``--point``, all of one object if one of them is negative, and ``--box``."""
    from geosam.prompts import Prompts, parse_box, parse_point

    found = []
    if points:
        xyl = [parse_point(text) for text in points]
        found.append(
            Prompts.from_points([(x, y) for x, y, _ in xyl], scene, labels=[label for *_, label in xyl], crs=crs)
        )
    if boxes:
        found.append(Prompts.from_boxes([parse_box(text) for text in boxes], scene, crs=crs))
    return found


def _joined(asked: Any, clicked: list[Any]) -> Any:
    """All prompts as one, or None for everything mode."""
    from geosam.prompts import Prompts

    parts = [part for part in (asked, *clicked) if part is not None]
    return Prompts.join(*parts) if parts else None
