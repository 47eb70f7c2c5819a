"""``geosam landcover``, ``sample`` and ``accuracy``: from a scene to a map, and to what can be said of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.scenes import Ground, Quiet, SceneArgument, Store, Stretch, read_stretch

_CLASSES, _WRITTEN, _SAMPLE = "Classes", "What is written", "The sample"

MapArgument = Annotated[Path, typer.Argument(help="Map: polygons with a class, or a class raster (.tif).")]
MapColumn = Annotated[str, typer.Option("--column", help="The map's column of classes.", rich_help_panel=_CLASSES)]
MapLegend = Annotated[
    str | None,
    typer.Option(
        help="Names of a raster's codes: worldcover, nlcd …, .csv or .qml; default: those beside it.",
        rich_help_panel=_CLASSES,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=_WRITTEN)]


@flat
def landcover(
    scene: SceneArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help=".gpkg, .parquet, .fgb or .geojson.", metavar="PATH", rich_help_panel=_WRITTEN
        ),
    ],
    *,
    samples: Annotated[
        str | None, typer.Option(help="Points or polygons of known class; any CRS.", rich_help_panel=_CLASSES)
    ] = None,
    label: Annotated[str, typer.Option(help="Their column with the class.", rich_help_panel=_CLASSES)] = "class",
    samples_layer: Annotated[str | None, typer.Option(help="Layer of the samples.", rich_help_panel=_CLASSES)] = None,
    samples_crs: Annotated[str | None, typer.Option(help="CRS of the samples.", rich_help_panel=_CLASSES)] = None,
    legend: Annotated[
        str | None,
        typer.Option(
            help="`worldcover`, `dynamicworld`, `esri`, `nlcd`, `corine`, .csv or .qml; default: the samples' classes.",
            rich_help_panel=_CLASSES,
        ),
    ] = None,
    use_model: Annotated[
        Path | None,
        typer.Option(help="Classes by a model of --save-model instead of samples.", rich_help_panel=_CLASSES),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(help="Polygons to classify; default: the scene is segmented.", rich_help_panel=_CLASSES),
    ] = None,
    mmu: Annotated[float, typer.Option(help="Minimum mapping unit, m².", min=0, rich_help_panel=_CLASSES)] = 0.0,
    margin: Annotated[
        float,
        typer.Option(
            help="Least lead of a class over the next; with less: unknown.", min=0, max=1, rich_help_panel=_CLASSES
        ),
    ] = 0.05,
    block: Annotated[
        float | None,
        typer.Option(help="Side of blocks in cross-validation, CRS units; default: a fifth.", rich_help_panel=_CLASSES),
    ] = None,
    bands_as: Annotated[
        str | None, typer.Option(help="What the bands are, as `blue,green,red,nir,-`.", rich_help_panel=_CLASSES)
    ] = None,
    dissolved: Annotated[
        Path | None, typer.Option(help="Also neighbours of a class as one polygon.", rich_help_panel=_WRITTEN)
    ] = None,
    raster: Annotated[
        Path | None, typer.Option(help="Also codes as a COG with colours and names.", rich_help_panel=_WRITTEN)
    ] = None,
    areas: Annotated[
        list[Path] | None,
        typer.Option(help="Also areas: .csv table, .svg chart; repeatable.", rich_help_panel=_WRITTEN),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Also one HTML page.", rich_help_panel=_WRITTEN)] = None,
    save_model: Annotated[
        Path | None, typer.Option(help="Also what was learned, for other scenes.", rich_help_panel=_WRITTEN)
    ] = None,
    overwrite: Overwrite = False,
    model: Model = "nano",
    ground: Ground,
    stretch: Stretch = "auto",
    store: Store = "auto",
    machine: Machine,
    quiet: Quiet = False,
) -> None:
    """Map land cover: every pixel in a segment, every segment in a class."""
    from rich.console import Console

    from geosam.execute import progress_bar
    from geosam.landcover import ClassifyOptions
    from geosam.landcover.learning import require_sklearn
    from geosam.pipeline.landcover import LandcoverFiles, SampleSource, map_landcover
    from geosam.scene import open_scene
    from geosam.vectors import read_vector

    if samples is not None:
        require_sklearn()
    opened = open_scene(scene, stretch=read_stretch(stretch), **ground.named())
    files = LandcoverFiles(output, dissolved, raster, tuple(areas or ()), report, overwrite)
    files.checked([opened, *[one for one in (samples, legend, use_model, segments) if one]])
    source = None if samples is None else SampleSource(samples, label, samples_layer, samples_crs, legend)
    network = None if segments is not None else machine.load(model)
    with progress_bar(quiet=quiet) as progress:
        found = map_landcover(
            opened,
            files,
            samples=source,
            trained=use_model,
            segments=None if segments is None else read_vector(segments),
            mmu=mmu,
            options=ClassifyOptions(margin, block, bands_as),
            model=network,
            store=None if store == "none" else store,
            progress=progress,
        )
    if save_model is not None and found.classification is not None:
        found.outputs.append(found.classification.model.save(save_model))
    show_map(found, Console(soft_wrap=True))


@flat
def landcover_catalog(
    source: Annotated[
        str, typer.Argument(help="Folder, pattern, STAC file or API, vector file with a column of paths, or a raster.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the maps.", metavar="MAPS/")],
    use_model: Annotated[Path, typer.Option(help="Model of `geosam landcover --save-model`.")],
    *,
    mmu: Annotated[float, typer.Option(help="Minimum mapping unit, m².", min=0)] = 0.0,
    model: Model = "nano",
    ground: Ground,
    store: Store = "auto",
    machine: Machine,
    quiet: Quiet = False,
) -> None:
    """Map the land cover of all scenes by one model; the same command again does what is missing."""
    from rich.console import Console

    from geosam.catalog import View, landcover_catalog
    from geosam.catalog.landcover import AREAS
    from geosam.execute import progress_bar

    view = View(**ground.named())
    network = machine.load(model)
    kept = None if store == "none" else store
    with progress_bar(quiet=quiet) as progress:
        how = {"view": view, "mmu": mmu, "model": network, "store": kept, "progress": progress}
        run = landcover_catalog(source, output, use_model, **how)
    console = Console(soft_wrap=True)
    console.print(f"{len(run.done)} scenes mapped, {len(run.earlier)} before, {len(run.failed)} failed")
    for name, why in run.failed.items():
        console.print(f"{name}: {why}", style="yellow", markup=False)
    console.print(f"  {run.folder / AREAS}", highlight=False, markup=False)
    if run.failed:
        raise typer.Exit(1)


def show_map(found: Any, console: Any) -> None:
    """Say how much of which class there is, how sure that is, how long it took, and where the files are."""
    from geosam.cli.show import shown

    for name, row in found.areas.iterrows():
        console.print(f"{name}: {row['area_ha']:,.2f} ha ({100 * row['share']:.1f} %)", highlight=False, markup=False)
    if found.classification is not None:
        checked = found.classification.validation
        if checked is not None and checked.overall == checked.overall:
            told = f"cross-validation by blocks: {100 * checked.overall:.1f} % of the labelled segments right"
            console.print(told, highlight=False)
        for note in found.classification.notes:
            console.print(note, style="yellow", markup=False)
    console.print(", ".join(f"{name} {took:.1f} s" for name, took in found.seconds.items()), highlight=False)
    for path in found.outputs:
        console.print(f"  {shown(path)}", highlight=False, markup=False)


def sample(
    mapped: MapArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Points: .gpkg, .geojson or .csv.", metavar="PATH", rich_help_panel=_WRITTEN
        ),
    ],
    column: MapColumn = "class",
    legend: MapLegend = None,
    users: Annotated[
        str,
        typer.Option(
            help="Expected user's accuracy: `0.8`, or `water=0.95,forest=0.9,*=0.7`.", rich_help_panel=_SAMPLE
        ),
    ] = "0.8",
    se: Annotated[
        float, typer.Option(help="Wanted standard error of overall accuracy (not the ±).", rich_help_panel=_SAMPLE)
    ] = 0.01,
    se_users: Annotated[
        float | None, typer.Option(help="Wanted standard error of each user's accuracy.", rich_help_panel=_SAMPLE)
    ] = None,
    allocation: Annotated[
        str, typer.Option(help="`balanced`, `proportional`, `equal` or `neyman`.", rich_help_panel=_SAMPLE)
    ] = "balanced",
    least: Annotated[int, typer.Option(help="Places of a class at least.", min=2, rich_help_panel=_SAMPLE)] = 50,
    total: Annotated[
        int | None, typer.Option(help="Number of places, instead of --se.", rich_help_panel=_SAMPLE)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random numbers.", rich_help_panel=_SAMPLE)] = 0,
    blind: Annotated[
        bool, typer.Option("--blind", help="Leave out what the map says.", rich_help_panel=_SAMPLE)
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Draw places of a map to be labelled: how many of which class, and where."""
    from rich.console import Console

    from geosam.landcover import DesignOptions, class_areas, draw_points, sample_design
    from geosam.landcover.rasters import read_map
    from geosam.sinks import POINT_FORMATS, check_writable, write_points

    check_writable(output, formats=POINT_FORMATS, overwrite=overwrite, inputs=[mapped])
    polygons = read_map(mapped, column=column, legend=asked_legend(legend))
    areas = class_areas(polygons, column)
    options = DesignOptions(read_users(users, list(areas)), se, se_users, allocation, least, total)
    design = sample_design(areas, options)
    points = draw_points(polygons, design["n"].to_dict(), column=column, seed=seed, blind=blind)
    path = write_points(points, output, overwrite=overwrite, inputs=[mapped])
    console = Console(soft_wrap=True)
    for name, row in design.iterrows():
        told = f"{name}: {row['n']:.0f} places ({100 * row['weight']:.1f} % of the area)"
        console.print(told, highlight=False, markup=False)
    console.print(
        f"{design.attrs['total']} places; standard error of overall accuracy about {design.attrs['se_overall']:.3f}"
    )
    console.print(f"  {path}", highlight=False, markup=False)


def read_users(text: str, names: list[str]) -> dict[str, float]:
    """Expected accuracies as a user writes them: one for all, or by class with ``*`` for the others.

    Examples
    --------
    >>> read_users("water=0.95,*=0.7", ["water", "forest"])
    {'water': 0.95, 'forest': 0.7}
    """
    from geosam.errors import OptionError

    try:
        if "=" not in text:
            return dict.fromkeys(names, float(text))
        pairs = [part.rsplit("=", 1) for part in text.split(",")]
        given = {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise OptionError(f"--users {text!r}", expected="0.8, or water=0.95,*=0.7") from None
    odd = next((name for name in given if name != "*" and name not in names), None)
    if odd is not None:
        raise OptionError(f"--users with {odd!r}", expected=f"one of {', '.join(names)}, or *")
    lacking = next((name for name in names if name not in given and "*" not in given), None)
    if lacking is not None:
        raise OptionError(f"--users without {lacking!r}", expected="each class, or * for the others")
    return {name: given.get(name, given.get("*", 0.0)) for name in names}


def accuracy(
    mapped: MapArgument,
    reference: Annotated[Path, typer.Argument(help="Labelled places, as of `geosam sample`; any CRS.")],
    column: MapColumn = "class",
    legend: MapLegend = None,
    reference_column: Annotated[
        str, typer.Option("--reference", help="The places' column of true classes.", rich_help_panel=_CLASSES)
    ] = "reference",
    strata: Annotated[
        Path | None,
        typer.Option(help="Polygons that the places were drawn from, if not this map's.", rich_help_panel=_SAMPLE),
    ] = None,
    strata_column: Annotated[str, typer.Option(help="Their column.", rich_help_panel=_SAMPLE)] = "class",
    design: Annotated[
        str, typer.Option(help="`stratified`, `simple` or `poststratified`.", rich_help_panel=_SAMPLE)
    ] = "stratified",
    confidence: Annotated[float, typer.Option(help="Of the intervals.", rich_help_panel=_SAMPLE)] = 0.95,
    kappa: Annotated[bool, typer.Option("--kappa", help="Also Cohen's kappa, which is advised against.")] = False,
    table: Annotated[Path | None, typer.Option(help="Also a .csv table.", rich_help_panel=_WRITTEN)] = None,
    chart: Annotated[Path | None, typer.Option(help="Also an .svg chart of areas.", rich_help_panel=_WRITTEN)] = None,
    overwrite: Overwrite = False,
) -> None:
    """Estimate a map's accuracy and the areas of its classes from labelled places, with intervals."""
    from rich.console import Console

    from geosam.landcover import AssessOptions, assess
    from geosam.landcover.accuracy import NOTE
    from geosam.landcover.rasters import read_map
    from geosam.sinks import Outputs, check_together, check_writable, write_text

    read = [one for one in (mapped, reference, strata) if one is not None]
    wanted = ((table, (".csv",)), (chart, (".svg",)))
    asked = [check_writable(p, formats=kind, overwrite=overwrite, inputs=read) for p, kind in wanted if p is not None]
    check_together(asked)
    options = AssessOptions(column, reference_column, strata, strata_column, design, confidence, kappa)
    polygons = read_map(mapped, column=column, legend=asked_legend(legend))
    found, notes = assess(polygons, reference, options)
    with Outputs(asked, overwrite=overwrite) as outputs:
        if table is not None:
            write_text(found.classes.to_csv(lineterminator="\n"), table, overwrite=overwrite, outputs=outputs)
        if chart is not None:
            write_text(chart_of(found), chart, overwrite=overwrite, outputs=outputs)
        outputs.commit()
    console = Console(soft_wrap=True)
    half = 100 * (found.overall.high - found.overall.low) / 2
    console.print(
        f"overall accuracy {100 * found.overall.value:.1f} % ± {half:.1f} ({100 * confidence:g} %)", highlight=False
    )
    if found.kappa is not None:
        console.print(f"kappa {found.kappa:.3f}", highlight=False)
    console.print(found.table().to_string(), highlight=False, markup=False)
    console.print(NOTE, style="dim", markup=False)
    for note in notes:
        console.print(note, style="yellow", markup=False)
    for path in asked:
        console.print(f"  {path}", highlight=False, markup=False)


def asked_legend(legend: str | None) -> Any:
    """The legend of that name or file; None for none."""
    from geosam.landcover import Legend

    return None if legend is None else Legend.of(legend)


def chart_of(found: Any) -> str:
    """The chart of areas, in colours that the names suggest."""
    from geosam.landcover import Legend
    from geosam.sheets import area_chart

    areas = found.classes.rename(columns={"mapped_area": "area_ha"})
    names = [str(name) for name in areas.index]
    legend = Legend.of_names([name for name in names if name != "unknown"])
    return area_chart(areas[["area_ha"]], legend.colour, found)
