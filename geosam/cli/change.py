"""``geosam change``: two scenes and known objects in, what became of them out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from geosam.cli.catalog import Place, Source, Which
from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.options import OUTPUT, PROMPTS, Features
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
Date = Annotated[str, typer.Option(help="When it was taken, ISO 8601.", rich_help_panel=_DATES)]
Method = Annotated[
    Literal["outlines", "samples", "ndwi", "mndwi", "dnbr", "dndvi", "sar"] | None,
    typer.Option(
        help="How the event's extent is found; `outlines`, `samples`: by --extent-prompts.", rich_help_panel=_EXTENT
    ),
]
ExtentPrompts = Annotated[
    str | None,
    typer.Option(
        help="Vector file of points, boxes or polygons on the event; or samples, also of other ground.",
        rich_help_panel=_EXTENT,
    ),
]
ExtentLabel = Annotated[
    str,
    typer.Option(help="Column of samples with their class; that of --event shows the event.", rich_help_panel=_EXTENT),
]
ExtentWord = Annotated[
    str | None,
    typer.Option(
        help="Word for what shows the event, as `water`: what it names after and not before.", rich_help_panel=_EXTENT
    ),
]
ExtentBefore = Annotated[
    str | None, typer.Option(help="Vector file of permanent water and the like: taken off.", rich_help_panel=_EXTENT)
]
ExtentBands = Annotated[
    str | None, typer.Option(help="What --bands are, in order, as `green,nir,swir`.", rich_help_panel=_EXTENT)
]
Event = Annotated[str, typer.Option(help="flood, landslide, burn, earthquake …", rich_help_panel=_EXTENT)]
Unit = Annotated[float, typer.Option(help="Minimum mapping unit, m².", min=0, rich_help_panel=_EXTENT)]
Title = Annotated[str, typer.Option(help="What happened.", rich_help_panel=_SHEET)]
Locality = Annotated[str, typer.Option(help="Where.", rich_help_panel=_SHEET)]
Author = Annotated[str, typer.Option(help="Who publishes the map.", rich_help_panel=_SHEET)]


@dataclass(frozen=True)
class Followed(Features):
    """How known objects are followed from one date to another."""

    decode: Decode = True
    correct: Correct = True
    resolution_m: Metres = None
    grades: Grades = None

    def named(self) -> dict[str, Any]:
        """By the names that `geosam.change.CompareOptions` has for it; what is given only."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        return {("layer" if name == "prompts_layer" else name): value for name, value in said.items()}


@dataclass(frozen=True)
class Dates:
    """When the scenes were taken, and what hides the ground then."""

    mask_before: Masks = None
    mask_after: Masks = None
    date_before: Date = ""
    date_after: Date = ""

    def named(self) -> dict[str, Any]:
        """By the names that `geosam.change.CompareOptions` has for it."""
        masks = {"masks_before": tuple(self.mask_before or ()), "masks_after": tuple(self.mask_after or ())}
        return masks | {"date_before": self.date_before, "date_after": self.date_after}


@dataclass(frozen=True)
class Extent:
    """How far an event reached."""

    extent: Method = None
    extent_prompts: ExtentPrompts = None
    extent_label: ExtentLabel = "class"
    extent_word: ExtentWord = None
    extent_before: ExtentBefore = None
    extent_bands: ExtentBands = None
    event: Event = "flood"
    mmu: Unit = 400.0

    def asked(self) -> Any:
        """The extent that is asked for; None for none.

        Raises
        ------
        OptionError
            If options of an extent are given and none is asked for, or two ways at once.
        """
        from geosam.change import ExtentOptions
        from geosam.errors import OptionError

        method, prompts, bands = self.extent, self.extent_prompts, self.extent_bands
        if self.extent_word is not None:
            if method or prompts or bands:
                other = "--extent" if method else "--extent-prompts" if prompts else "--extent-bands"
                raise OptionError(f"--extent-word and {other}", expected="one of them", hint="leave one out")
            return ExtentOptions("word", self.event, before=self.extent_before, mmu_m2=self.mmu, word=self.extent_word)
        if method is None and prompts is None:
            if self.extent_before or bands:
                raise OptionError(
                    "--extent-before or --extent-bands without --extent", expected="--extent or --extent-word as well"
                )
            return None
        places = {name.strip(): place for place, name in enumerate(bands.split(","))} if bands else None
        how = {"prompts": prompts, "before": self.extent_before, "bands": places, "mmu_m2": self.mmu}
        return ExtentOptions(method or "outlines", self.event, label=self.extent_label, **how)


@dataclass(frozen=True)
class Titles:
    """What a situation map says of itself."""

    title: Title = "Change between two dates"
    place: Locality = ""
    author: Author = "geosam"

    def on(self, date: str) -> Any:
        """As `geosam.sheets` takes it, of what was seen on a date."""
        from geosam import sheets

        return sheets.Titles(self.title, self.place, date, self.author)


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
    new: Annotated[
        bool, typer.Option("--new/--no-new", help="Look for new objects like the known ones.", rich_help_panel=PROMPTS)
    ] = True,
    followed: Followed,
    dates: Dates,
    extent: Extent,
    bands: Bands = None,
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
    titles: Titles,
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

    asked = CompareOptions(
        find_new=new, extent=extent.asked(), units=read_units(units), **followed.named(), **dates.named()
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
            titles=titles.on(dates.date_after),
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
    followed: Followed,
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
            **followed.named(),
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
