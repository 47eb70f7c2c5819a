"""``geosam landcover``, ``sample`` and ``accuracy``: from a scene to a map, and to what can be said of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.catalog import Place
from geosam.cli.groups import flat
from geosam.cli.machine import Machine, Model
from geosam.cli.scenes import Ground, Quiet, SceneArgument, Store, Stretch, read_stretch

CLASSES, WRITTEN = "Classes", "What is written"

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=WRITTEN)]
UseModel = Annotated[
    Path | None, typer.Option(help="Classes by a model of --save-model instead of samples.", rich_help_panel=CLASSES)
]
Legend = Annotated[
    str | None,
    typer.Option(
        help="`worldcover`, `dynamicworld`, `esri`, `nlcd`, `corine`, .csv or .qml; default: the samples' classes.",
        rich_help_panel=CLASSES,
    ),
]
Margin = Annotated[
    float,
    typer.Option(
        help="Least lead of a class over the next; with less: unknown.", min=0, max=1, rich_help_panel=CLASSES
    ),
]
Block = Annotated[
    float | None,
    typer.Option(help="Side of blocks in cross-validation, CRS units; default: a fifth.", rich_help_panel=CLASSES),
]
BandsAs = Annotated[
    str | None, typer.Option(help="What the bands are, as `blue,green,red,nir,-`.", rich_help_panel=CLASSES)
]


@dataclass(frozen=True)
class Samples:
    """Places of known class."""

    samples: Annotated[
        str | None, typer.Option(help="Points or polygons of known class; any CRS.", rich_help_panel=CLASSES)
    ] = None
    label: Annotated[str, typer.Option(help="Their column with the class.", rich_help_panel=CLASSES)] = "class"
    samples_layer: Annotated[str | None, typer.Option(help="Layer of the samples.", rich_help_panel=CLASSES)] = None
    samples_crs: Annotated[str | None, typer.Option(help="CRS of the samples.", rich_help_panel=CLASSES)] = None
    legend: Legend = None

    def source(self) -> Any:
        """Where they are from, as `geosam.pipeline.landcover` takes it; None for none.

        Raises
        ------
        ModelError
            If there are samples, and what learns from them is not installed.
        """
        from geosam.landcover.learning import require_sklearn
        from geosam.pipeline.landcover import SampleSource

        if self.samples is None:
            return None
        require_sklearn()
        return SampleSource(self.samples, self.label, self.samples_layer, self.samples_crs, self.legend)


@dataclass(frozen=True)
class Written:
    """What is written beside the polygons."""

    dissolved: Annotated[
        Path | None, typer.Option(help="Also neighbours of a class as one polygon.", rich_help_panel=WRITTEN)
    ] = None
    raster: Annotated[
        Path | None, typer.Option(help="Also codes as a COG with colours and names.", rich_help_panel=WRITTEN)
    ] = None
    areas: Annotated[
        list[Path] | None,
        typer.Option(help="Also areas: .csv table, .svg chart; repeatable.", rich_help_panel=WRITTEN),
    ] = None
    report: Annotated[Path | None, typer.Option(help="Also one HTML page.", rich_help_panel=WRITTEN)] = None
    save_model: Annotated[
        Path | None, typer.Option(help="Also what was learned, .geosam, for other scenes.", rich_help_panel=WRITTEN)
    ] = None
    overwrite: Overwrite = False

    def named(self) -> dict[str, Any]:
        """By the names that `geosam.pipeline.landcover.LandcoverFiles` has for it."""
        said = vars(self) | {"areas": tuple(self.areas or ())}
        return {("model" if name == "save_model" else name): value for name, value in said.items()}


@flat
def landcover(
    scene: SceneArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help=".gpkg, .parquet, .fgb or .geojson.", metavar="PATH", rich_help_panel=WRITTEN
        ),
    ],
    *,
    samples: Samples,
    use_model: UseModel = None,
    segments: Annotated[
        Path | None,
        typer.Option(help="Polygons to classify; default: the scene is segmented.", rich_help_panel=CLASSES),
    ] = None,
    mmu: Annotated[float, typer.Option(help="Minimum mapping unit, m².", min=0, rich_help_panel=CLASSES)] = 0.0,
    margin: Margin = 0.05,
    block: Block = None,
    bands_as: BandsAs = None,
    written: Written,
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
    from geosam.pipeline.landcover import LandcoverFiles, map_landcover
    from geosam.scene import open_scene

    source = samples.source()
    opened = open_scene(scene, stretch=read_stretch(stretch), **ground.named())
    files = LandcoverFiles(output, **written.named())
    files.checked([opened, *[one for one in (samples.samples, samples.legend, use_model, segments) if one]])
    network = machine.load(model) if segments is None else None
    with progress_bar(quiet=quiet) as progress:
        found = map_landcover(
            opened,
            files,
            samples=source,
            trained=use_model,
            segments=segments,
            mmu=mmu,
            options=ClassifyOptions(margin, block, bands_as),
            model=network,
            store=None if store == "none" else store,
            progress=progress,
        )
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
    place: Place,
    quiet: Quiet = False,
) -> None:
    """Map the land cover of all scenes by one model; the same command again does what is missing."""
    from rich.console import Console

    from geosam.catalog import View, landcover_catalog
    from geosam.catalog.landcover import AREAS
    from geosam.execute import progress_bar

    view = View(**ground.named())
    kept = None if store == "none" else store
    with progress_bar(quiet=quiet) as progress:
        how = {"view": view, "mmu": mmu, "model": model, "store": kept, "progress": progress}
        run = landcover_catalog(source, output, use_model, **how, **place.named())
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
