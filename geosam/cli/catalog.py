"""``geosam catalog run | encode | merge | report``: whole catalogs of scenes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.groups import flat
from geosam.cli.machine import Model
from geosam.cli.options import OUTPUT, PROMPTS, Objects, PromptsFile, Spoken
from geosam.cli.scenes import Quiet, Seen, Tiles

catalog = typer.Typer(name="catalog", no_args_is_help=True, help="Segment whole catalogs of scenes, in parallel.")

_WHICH, _WHERE = "Which scenes", "Where the work is done"

Source = Annotated[
    str, typer.Argument(help="Folder, pattern, STAC file or API, vector file with a column of paths, or a raster.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.", metavar="RUN/")]
RunArgument = Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN/")]
When = Annotated[
    str | None, typer.Option(help="Time, as `2024-06/2024-08` or `2024-06-30/..`.", rich_help_panel=_WHICH)
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Condition on a property, as `eo:cloud_cover<20`; repeatable.", rich_help_panel=_WHICH),
]
Asset = Annotated[
    str | None, typer.Option(help="STAC asset that is the scene, or three as `red,green,blue`.", rich_help_panel=_WHICH)
]
Limit = Annotated[int | None, typer.Option(help="The most scenes.", min=1, rich_help_panel=_WHICH)]
Workers = Annotated[int, typer.Option(help="Processes of a dask cluster started here.", min=0, rich_help_panel=_WHERE)]
Scheduler = Annotated[
    str | None, typer.Option(help="An existing dask cluster, as `tcp://host:8786`.", rich_help_panel=_WHERE)
]
Threads = Annotated[int, typer.Option(help="Threads of this process.", min=0, rich_help_panel=_WHERE)]
Gpus = Annotated[
    int, typer.Option(help="Graphics cards that a scene claims of a worker.", min=0, rich_help_panel=_WHERE)
]
Retries = Annotated[
    int, typer.Option(help="Times a scene is tried again after a fault of the network.", min=0, rich_help_panel=_WHERE)
]
Split = Annotated[
    int,
    typer.Option(help="Windows above which a scene is shared out; 0: never.", min=0, rich_help_panel=_WHERE),
]
Store = Annotated[str, typer.Option(help="Folder of embeddings; `auto`: what `catalog encode` made; `none`.")]
AllowFailures = Annotated[bool, typer.Option("--allow-failures", help="Scenes that failed are no error.")]


@dataclass(frozen=True)
class Which:
    """Which scenes of a source are taken."""

    when: When = None
    where: Where = None
    asset: Asset = None
    limit: Limit = None

    def named(self) -> dict[str, Any]:
        """By the names that Python has for it."""
        return {"when": self.when, "where": tuple(self.where or ()), "asset": self.asset, "limit": self.limit}


@dataclass(frozen=True)
class Place:
    """Where the work is done."""

    workers: Workers = 0
    scheduler: Scheduler = None
    threads: Threads = 0
    gpus: Gpus = 0
    retries: Retries = 2

    def named(self) -> dict[str, Any]:
        """By the names that Python has for it."""
        found = asdict(self)
        return found | {"resources": {"GPU": float(gpus)} if (gpus := found.pop("gpus")) else None}


@catalog.command("run")
@flat
def run_catalog(
    source: Source,
    output: Folder,
    *,
    model: Model = "nano",
    which: Which,
    seen: Seen,
    tiles: Tiles,
    store: Store = "auto",
    place: Place,
    split: Split = 256,
    prompts: Annotated[
        str | None, typer.Option(help="Vector file or raster of masks, for all scenes.", rich_help_panel=PROMPTS)
    ] = None,
    file: PromptsFile,
    objects: Objects,
    spoken: Spoken,
    labels: Annotated[bool, typer.Option("--labels", help="Also write label rasters.", rich_help_panel=OUTPUT)] = False,
    allow_failures: AllowFailures = False,
    quiet: Quiet = False,
) -> None:
    """Segment all scenes of a catalog; the same command again does what is missing."""
    from geosam.catalog import segment_catalog
    from geosam.execute import progress_bar

    where = {**which.named(), **seen.named(), **place.named()}
    how = {**tiles.named(), **objects.named(), **spoken.named()}
    with progress_bar(quiet=quiet) as progress:
        report = segment_catalog(
            source,
            output,
            prompts,
            model=model,
            labels=labels,
            store=None if store == "none" else store,
            progress=progress,
            split=split,
            prompts_crs=file.prompts_crs,
            **file.named(),
            **where,
            **how,
        )
    _finish(report, allow_failures=allow_failures)


@catalog.command("encode")
@flat
def encode_scenes(
    source: Source,
    output: Folder,
    *,
    model: Model = "nano",
    which: Which,
    seen: Seen,
    tiles: Tiles,
    store: Annotated[str, typer.Option(help="Folder of embeddings; `auto`: one in the run's folder.")] = "auto",
    place: Place,
    allow_failures: AllowFailures = False,
    quiet: Quiet = False,
) -> None:
    """Encode all windows of all scenes, so that later prompts in this run's folder need no encoder."""
    from geosam.catalog import encode_catalog
    from geosam.execute import progress_bar

    how = {**which.named(), **seen.named(), **place.named(), **tiles.named()}
    with progress_bar(quiet=quiet) as progress:
        report = encode_catalog(source, output, model=model, store=store, progress=progress, **how)
    _finish(report, allow_failures=allow_failures, objects=False)


@catalog.command("merge")
def merge_parts(
    run: RunArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help=".gpkg, .parquet, .fgb or .geojson to write.", metavar="PATH")
    ],
    crs: Annotated[
        str | None, typer.Option(help="CRS of the layer; default: the scenes' own if they share one, else EPSG:4326.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="An object found in two overlapping scenes becomes one.")
    ] = False,
    layer: Annotated[str | None, typer.Option(help="Name of the layer; default: the output's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    allow_failures: AllowFailures = False,
) -> None:
    """Merge the results of all scenes into one layer."""
    from rich.console import Console

    from geosam.catalog import merge
    from geosam.cli.show import counted, shown

    merged = merge(run, output, crs=crs, once=once, layer=layer, overwrite=overwrite, allow_failures=allow_failures)
    console = Console(soft_wrap=True)
    joined = f", {merged.joined} joined to one of another scene" if once else ""
    console.print(f"{counted(merged.objects, 'object')} of {counted(merged.scenes, 'scene')}{joined}")
    if merged.missing:
        console.print(f"{counted(len(merged.missing), 'scene')} left out, without a result", style="yellow")
    console.print(f"  {shown(merged.path)}", highlight=False, markup=False)


@catalog.command("report")
def report_run(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML page; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Say what became of each scene: a table here, and a page with a map."""
    from rich.console import Console

    from geosam.catalog import report
    from geosam.cli.show import counted, shown

    summary = report(run, output)
    console = Console(soft_wrap=True)
    for status, number in summary.counts.items():
        if number:
            console.print(f"{status:8} {counted(number, 'scene')}")
    console.print(f"{counted(summary.objects, 'object')}, {summary.area_m2 / 1e6:.3f} km²")
    for row in summary.failures:
        console.print(f"{row.name}: {row.reason}", style="yellow", markup=False, highlight=False)
    console.print(f"  {shown(summary.page)}", highlight=False, markup=False)


def _finish(report: Any, *, allow_failures: bool, objects: bool = True) -> None:
    """Say what was done; scenes that failed make the exit code 1 unless they are allowed to."""
    from rich.console import Console

    from geosam.cli.show import SHOWN, counted, seconds, shown

    console = Console(soft_wrap=True)
    told = [f"{report.done} done"]
    told += [f"{report.kept} done before"] if report.kept else []
    told += [f"{report.outside} outside the area of interest"] if report.outside else []
    told += [f"{len(report.failed)} failed"] if report.failed else []
    console.print(f"{counted(report.scenes, 'scene')}: {', '.join(told)}; {seconds(report.seconds)}")
    if objects:
        console.print(counted(report.objects, "object"))
    for row in report.failed[:SHOWN]:
        console.print(f"failed: {row.name}: {row.reason}", style="yellow", markup=False, highlight=False)
    if len(report.failed) > SHOWN:
        console.print(f"… and {len(report.failed) - SHOWN} more, named in manifest.jsonl", style="yellow")
    console.print(f"  {shown(report.folder)}", highlight=False, markup=False)
    if report.failed and not allow_failures:
        raise typer.Exit(1)
