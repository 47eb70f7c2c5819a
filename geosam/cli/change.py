"""``geosam change``: two scenes and known objects in, what became of them out."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from geosam.cli.catalog import Place, Source, Which
from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.options import OUTPUT, PROMPTS, IdColumn, PromptsCrs, PromptsLayer
from geosam.cli.scenes import Aoi, AoiCrs, Bands, Quiet, Store, open_asked, read_aoi

_DATES, _EXTENT, _SHEET = "The two dates", "Extent of an event", "Situation map"

Masks = Annotated[
    list[str] | None,
    typer.Option(
        help="Raster or vector file of clouds or other cover on that date; repeatable.", rich_help_panel=_DATES
    ),
]


Decode = Annotated[
    bool, typer.Option("--decode/--no-decode", help="Decode outlines on both dates.", rich_help_panel=PROMPTS)
]
Correct = Annotated[
    bool, typer.Option("--correct/--no-correct", help="Take out the shift between the dates.", rich_help_panel=_DATES)
]
Metres = Annotated[
    float | None, typer.Option(help="Metres per pixel; default: the coarser scene's.", rich_help_panel=_DATES)
]
Grades = Annotated[Path | None, typer.Option(help="Model of damage from `geosam.change.fit`; default: the package's.")]


@flat
def change(
    before: Annotated[str, typer.Argument(help="Scene before; anything that GDAL opens.")],
    after: Annotated[str, typer.Argument(help="Scene after, of any CRS, resolution and extent.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=".gpkg to write.", rich_help_panel=OUTPUT, metavar="PATH")
    ],
    *,
    model: Model = "nano",
    prompts: Annotated[
        str | None,
        typer.Option(help="Vector file of known objects, such as footprints; none: all.", rich_help_panel=PROMPTS),
    ] = None,
    prompts_layer: PromptsLayer = None,
    prompts_crs: PromptsCrs = None,
    id_column: IdColumn = None,
    new: Annotated[
        bool, typer.Option("--new/--no-new", help="Look for new objects like the known ones.", rich_help_panel=PROMPTS)
    ] = True,
    decode: Decode = True,
    correct: Correct = True,
    mask_before: Masks = None,
    mask_after: Masks = None,
    date_before: Annotated[str, typer.Option(help="When it was taken, ISO 8601.", rich_help_panel=_DATES)] = "",
    date_after: Annotated[str, typer.Option(help="When it was taken, ISO 8601.", rich_help_panel=_DATES)] = "",
    resolution_m: Metres = None,
    bands: Bands = None,
    grades: Grades = None,
    extent: Annotated[
        Literal["outlines", "ndwi", "mndwi", "dnbr", "dndvi", "sar"] | None,
        typer.Option(help="How the event's extent is found; `outlines`: by --extent-prompts.", rich_help_panel=_EXTENT),
    ] = None,
    extent_prompts: Annotated[
        str | None, typer.Option(help="Vector file of points, boxes or polygons on the event.", rich_help_panel=_EXTENT)
    ] = None,
    extent_word: Annotated[
        str | None,
        typer.Option(
            help="Word for what shows the event, as `water`: what it names after and not before.",
            rich_help_panel=_EXTENT,
        ),
    ] = None,
    extent_before: Annotated[
        str | None,
        typer.Option(help="Vector file of permanent water and the like: taken off.", rich_help_panel=_EXTENT),
    ] = None,
    extent_bands: Annotated[
        str | None, typer.Option(help="What --bands are, in order, as `green,nir,swir`.", rich_help_panel=_EXTENT)
    ] = None,
    event: Annotated[str, typer.Option(help="flood, landslide, burn, earthquake …", rich_help_panel=_EXTENT)] = "flood",
    mmu: Annotated[float, typer.Option(help="Minimum mapping unit, m².", min=0, rich_help_panel=_EXTENT)] = 400.0,
    units: Annotated[
        str | None,
        typer.Option(help="Polygons, or the side of grid cells in CRS units, to sum up by.", rich_help_panel=OUTPUT),
    ] = None,
    schema: Annotated[
        Literal["ems", "unosat", "osm"] | None,
        typer.Option(help="Layers, fields and words of a schema instead of geosam's own.", rich_help_panel=OUTPUT),
    ] = None,
    geojson: Annotated[Path | None, typer.Option(help="Also write the objects here.", rich_help_panel=OUTPUT)] = None,
    sheet: Annotated[
        Path | None, typer.Option("--map", help="Also draw a situation map here, .pdf or .png.", rich_help_panel=OUTPUT)
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--swipe", help="Also write a page with a swipe here, .html.", rich_help_panel=OUTPUT)
    ] = None,
    title: Annotated[str, typer.Option(help="What happened.", rich_help_panel=_SHEET)] = "Change between two dates",
    place: Annotated[str, typer.Option(help="Where.", rich_help_panel=_SHEET)] = "",
    author: Annotated[str, typer.Option(help="Who publishes the map.", rich_help_panel=_SHEET)] = "geosam",
    store: Store = "auto",
    machine: Machine,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Compare two dates: what became of each object, how badly it is damaged, how far an event reached."""
    from rich.console import Console

    import geosam
    from geosam.change import CompareOptions
    from geosam.execute import progress_bar
    from geosam.sheets import Titles

    asked = CompareOptions(
        resolution_m=resolution_m,
        correct=correct,
        decode=decode,
        find_new=new,
        layer=prompts_layer,
        id_column=id_column,
        prompts_crs=prompts_crs,
        masks_before=tuple(mask_before or ()),
        masks_after=tuple(mask_after or ()),
        grades=grades,
        extent=asked_extent(
            extent, extent_prompts, extent_before, word=extent_word, bands=extent_bands, event=event, mmu=mmu
        ),
        units=read_units(units),
        date_before=date_before,
        date_after=date_after,
    )
    with progress_bar(quiet=quiet) as progress:
        result = geosam.compare_to_file(
            open_asked(before, bands=bands),
            open_asked(after, bands=bands),
            output,
            prompts,
            geojson=geojson,
            sheet=sheet,
            page=page,
            schema=schema,
            titles=Titles(title, place, date_after, author),
            overwrite=overwrite,
            model=machine.load(model),
            options=asked,
            store=None if store == "none" else store,
            progress=progress,
        )
    show_change(result, [each for each in (output, geojson, sheet, page) if each], Console(soft_wrap=True))


@flat
def change_catalog(
    source: Source,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.", metavar="RUN/")],
    event: Annotated[str, typer.Option(help="When it happened, as `2024-06-30` or `2024-06-30/2024-07-02`.")],
    prompts: Annotated[str, typer.Option(help="Vector file of known objects, such as footprints.")],
    *,
    model: Model = "nano",
    which: Which,
    place: Place,
    prompts_layer: PromptsLayer = None,
    prompts_crs: PromptsCrs = None,
    id_column: IdColumn = None,
    decode: Decode = True,
    correct: Correct = True,
    resolution_m: Metres = None,
    grades: Grades = None,
    bands: Bands = None,
    aoi: Aoi = None,
    aoi_crs: AoiCrs = None,
    schema: Annotated[
        Literal["unosat"] | None, typer.Option(help="Also the columns of a schema, one set for each date.")
    ] = None,
    store: Store = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare every scene after an event with those before; the same command again does what is missing."""
    from rich.console import Console

    from geosam.catalog import Selection, View, change_catalog
    from geosam.catalog.change import LAYER
    from geosam.execute import progress_bar

    asked: dict[str, Any] = {"resolution_m": resolution_m, "correct": correct, "decode": decode, "layer": prompts_layer}
    asked |= {"id_column": id_column, "prompts_crs": prompts_crs, "grades": grades}
    with progress_bar(quiet=quiet) as progress:
        run = change_catalog(
            source,
            output,
            prompts,
            event=event,
            selection=Selection(**which.named()),
            view=View(bands, aoi=read_aoi(aoi), aoi_crs=aoi_crs),
            schema=schema,
            model=model,
            store=None if store == "none" else store,
            progress=progress,
            **place.named(),
            **{name: value for name, value in asked.items() if value is not None},
        )
    console = Console(soft_wrap=True)
    console.print(f"{len(run.done)} pairs compared, {len(run.earlier)} before, {len(run.failed)} failed")
    for name, why in {**run.failed, **run.skipped}.items():
        console.print(f"{name}: {why}", style="yellow", highlight=False, markup=False)
    if run.objects is not None:
        dates = run.objects["date"].nunique()
        console.print(f"  {run.folder / LAYER}: {run.objects['object_id'].nunique():,} objects, {dates} dates")
    if run.failed:
        raise typer.Exit(1)


def asked_extent(
    method: str | None,
    prompts: str | None,
    before: str | None,
    *,
    word: str | None,
    bands: str | None,
    event: str,
    mmu: float,
) -> Any:
    """What extent the options ask for; None for none.

    Raises
    ------
    OptionError
        If options of an extent are given and none is asked for.
    """
    from geosam.change import ExtentOptions
    from geosam.errors import OptionError

    if word is not None:
        if method or prompts or bands:
            other = "--extent" if method else "--extent-prompts" if prompts else "--extent-bands"
            raise OptionError(f"--extent-word and {other}", expected="one of them", hint="leave one out")
        return ExtentOptions("word", event, before=before, mmu_m2=mmu, word=word)
    if method is None and prompts is None:
        if before or bands:
            raise OptionError(
                "--extent-before or --extent-bands without --extent", expected="--extent or --extent-word as well"
            )
        return None
    places = {name.strip(): place for place, name in enumerate(bands.split(","))} if bands else None
    return ExtentOptions(method or "outlines", event, prompts, before, places, mmu)


def read_units(text: str | None) -> float | str | None:
    """A number as the side of a cell, else the path of a vector file.

    Examples
    --------
    >>> read_units("500"), read_units("districts.gpkg"), read_units(None)
    (500.0, 'districts.gpkg', None)
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def show_change(result: Any, paths: list[Path], console: Any) -> None:
    """Print what was found, in a few lines."""
    counts = ", ".join(f"{count:,} {name}" for name, count in result.counts().items() if count)
    console.print(f"{counts or 'no objects'}", highlight=False, markup=False)
    console.print(f"{result.registration.describe()}", highlight=False, markup=False)
    if result.extent is not None:
        area = f"extent: {result.extent['area_ha'].sum():,.2f} ha in {len(result.extent):,} polygons"
        console.print(area, highlight=False, markup=False)
    trust = result.facts["grades"].get("trust")
    if trust:
        console.print(f"damage grades: {trust}", highlight=False, markup=False)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, markup=False)
