"""``geosam sample`` and ``accuracy``: what can be said of a map, from labelled places."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from geosam.cli.groups import flat
from geosam.cli.landcover import CLASSES, WRITTEN, Overwrite

_SAMPLE = "The sample"

MapArgument = Annotated[Path, typer.Argument(help="Map: polygons with a class, or a class raster (.tif).")]
MapColumn = Annotated[str, typer.Option("--column", help="The map's column of classes.", rich_help_panel=CLASSES)]
MapLegend = Annotated[
    str | None,
    typer.Option(
        help="Names of codes: worldcover, nlcd …, .csv or .qml; default: those beside a raster.",
        rich_help_panel=CLASSES,
    ),
]
Users = Annotated[
    str,
    typer.Option(help="Expected user's accuracy: `0.8`, or `water=0.95,forest=0.9,*=0.7`.", rich_help_panel=_SAMPLE),
]
Se = Annotated[
    float, typer.Option(help="Wanted standard error of overall accuracy (not the ±).", rich_help_panel=_SAMPLE)
]
SeUsers = Annotated[
    float | None, typer.Option(help="Wanted standard error of each user's accuracy.", rich_help_panel=_SAMPLE)
]
Allocation = Annotated[
    str, typer.Option(help="`balanced`, `proportional`, `equal` or `neyman`.", rich_help_panel=_SAMPLE)
]
Least = Annotated[int, typer.Option(help="Places of a class at least.", min=2, rich_help_panel=_SAMPLE)]
Total = Annotated[int | None, typer.Option(help="Number of places, instead of --se.", rich_help_panel=_SAMPLE)]
Reference = Annotated[
    str, typer.Option("--reference", help="The places' column of true classes.", rich_help_panel=CLASSES)
]
Strata = Annotated[
    Path | None,
    typer.Option(help="Polygons that the places were drawn from, if not this map's.", rich_help_panel=_SAMPLE),
]
Scheme = Annotated[str, typer.Option(help="`stratified`, `simple` or `poststratified`.", rich_help_panel=_SAMPLE)]


@dataclass(frozen=True)
class Map:
    """Which classes a map has."""

    column: MapColumn = "class"
    legend: MapLegend = None

    def files(self, path: Path) -> list[str | Path]:
        """The files that are read of it."""
        return [path, *([self.legend] if self.legend else [])]

    @property
    def known(self) -> Any:
        """The legend that is given."""
        from geosam.landcover import Legend

        return None if self.legend is None else Legend.of(self.legend)

    def read(self, path: Path) -> Any:
        """Its polygons."""
        from geosam.landcover.rasters import read_map

        return read_map(path, column=self.column, legend=self.known)


@dataclass(frozen=True)
class Design:
    """How many places are drawn, and of which classes."""

    users: Users = "0.8"
    se: Se = 0.01
    se_users: SeUsers = None
    allocation: Allocation = "balanced"
    least: Least = 50
    total: Total = None

    def of(self, classes: list[str]) -> Any:
        """As `geosam.landcover` takes it, for a map of these classes."""
        from geosam.landcover import DesignOptions

        users = read_users(self.users, classes)
        return DesignOptions(users, self.se, self.se_users, self.allocation, self.least, self.total)


@dataclass(frozen=True)
class Places:
    """How labelled places were drawn, and what is estimated from them."""

    reference_column: Reference = "reference"
    strata: Strata = None
    strata_column: Annotated[str, typer.Option(help="Their column.", rich_help_panel=_SAMPLE)] = "class"
    design: Scheme = "stratified"
    confidence: Annotated[float, typer.Option(help="Of the intervals.", rich_help_panel=_SAMPLE)] = 0.95
    kappa: Annotated[bool, typer.Option("--kappa", help="Also Cohen's kappa, which is advised against.")] = False

    def of(self, mapping: Map) -> Any:
        """As `geosam.landcover` takes it, for a map that is read so."""
        from geosam.landcover import AssessOptions

        drawn = {"strata": self.strata, "strata_column": self.strata_column, "design": self.design}
        told = {"confidence": self.confidence, "kappa": self.kappa, "legend": mapping.known}
        return AssessOptions(mapping.column, self.reference_column, **drawn, **told)


@flat
def sample(
    mapped: MapArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Points: .gpkg, .geojson or .csv.", metavar="PATH", rich_help_panel=WRITTEN
        ),
    ],
    *,
    mapping: Map,
    design: Design,
    seed: Annotated[int, typer.Option(help="Of the random numbers.", min=0, rich_help_panel=_SAMPLE)] = 0,
    blind: Annotated[
        bool, typer.Option("--blind", help="Leave out what the map says.", rich_help_panel=_SAMPLE)
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Draw places of a map to be labelled: how many of which class, and where."""
    from rich.console import Console

    from geosam.landcover import class_areas, draw_points, sample_design
    from geosam.sinks import POINT_FORMATS, check_writable, write_points

    check_writable(output, formats=POINT_FORMATS, overwrite=overwrite, inputs=mapping.files(mapped))
    polygons = mapping.read(mapped)
    areas = class_areas(polygons, mapping.column)
    table = sample_design(areas, design.of(list(areas)))
    points = draw_points(polygons, table["n"].to_dict(), column=mapping.column, seed=seed, blind=blind)
    path = write_points(points, output, overwrite=overwrite, inputs=mapping.files(mapped))
    console = Console(soft_wrap=True)
    for name, row in table.iterrows():
        told = f"{name}: {row['n']:.0f} places ({100 * row['weight']:.1f} % of the area)"
        console.print(told, highlight=False, markup=False)
    console.print(
        f"{table.attrs['total']} places; standard error of overall accuracy about {table.attrs['se_overall']:.3f}"
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
    if len(given) < len(pairs):
        raise OptionError(f"--users {text!r}", expected="each class once")
    odd = next((name for name in given if name != "*" and name not in names), None)
    if odd is not None:
        raise OptionError(f"--users with {odd!r}", expected=f"one of {', '.join(names)}, or *")
    lacking = next((name for name in names if name not in given and "*" not in given), None)
    if lacking is not None:
        raise OptionError(f"--users without {lacking!r}", expected="each class, or * for the others")
    return {name: given.get(name, given.get("*", 0.0)) for name in names}


@flat
def accuracy(
    mapped: MapArgument,
    reference: Annotated[Path, typer.Argument(help="Labelled places, as of `geosam sample`; any CRS.")],
    *,
    mapping: Map,
    places: Places,
    table: Annotated[Path | None, typer.Option(help="Also a .csv table.", rich_help_panel=WRITTEN)] = None,
    chart: Annotated[Path | None, typer.Option(help="Also an .svg chart of areas.", rich_help_panel=WRITTEN)] = None,
    overwrite: Overwrite = False,
) -> None:
    """Estimate a map's accuracy and the areas of its classes from labelled places, with intervals."""
    from rich.console import Console

    from geosam.landcover import assess
    from geosam.landcover.accuracy import NOTE
    from geosam.sinks import Outputs, check_together, check_writable, write_text

    read = [*mapping.files(mapped), *(one for one in (reference, places.strata) if one is not None)]
    wanted = ((table, (".csv",)), (chart, (".svg",)))
    asked = [check_writable(p, formats=kind, overwrite=overwrite, inputs=read) for p, kind in wanted if p is not None]
    check_together(asked)
    found, notes = assess(mapping.read(mapped), reference, places.of(mapping))
    with Outputs(asked, overwrite=overwrite) as outputs:
        if table is not None:
            write_text(found.classes.to_csv(lineterminator="\n"), table, overwrite=overwrite, outputs=outputs)
        if chart is not None:
            write_text(chart_of(found), chart, overwrite=overwrite, outputs=outputs)
        outputs.commit()
    console = Console(soft_wrap=True)
    half = 100 * (found.overall.high - found.overall.low) / 2
    console.print(
        f"overall accuracy {100 * found.overall.value:.1f} % ± {half:.1f} ({100 * places.confidence:g} %)",
        highlight=False,
    )
    if found.kappa is not None:
        console.print(f"kappa {found.kappa:.3f}", highlight=False)
    console.print(found.table().to_string(), highlight=False, markup=False)
    console.print(NOTE, style="dim", markup=False)
    for note in notes:
        console.print(note, style="yellow", markup=False)
    for path in asked:
        console.print(f"  {path}", highlight=False, markup=False)


def chart_of(found: Any) -> str:
    """The chart of areas, in colours that the names suggest."""
    from geosam.landcover import Legend
    from geosam.sheets import area_chart

    areas = found.classes.rename(columns={"mapped_area": "area_ha"})
    names = [str(name) for name in areas.index]
    legend = Legend.of_names([name for name in names if name != "unknown"])
    return area_chart(areas[["area_ha"]], legend.colour, found)
