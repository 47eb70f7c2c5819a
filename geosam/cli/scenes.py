"""Options that say how a scene is seen, and the scene that they describe."""

import os
import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from geosam.errors import OptionError

_SEEN, _WINDOWS = "How the scene is seen", "Windows and embeddings"

SceneArgument = Annotated[str, typer.Argument(help="GeoTIFF, COG, VRT, JP2, /vsi… or s3:// path; anything GDAL opens.")]
Bands = Annotated[
    str | None,
    typer.Option(help="One band or three, from 1, as `4,3,2`; or colours, as `nir,red,green`.", rich_help_panel=_SEEN),
]
Resolution = Annotated[
    str | None,
    typer.Option(help="Working pixel size in CRS units, or as `0.5 m`; default: its own.", rich_help_panel=_SEEN),
]
Scale = Annotated[
    str | None,
    typer.Option(
        help="What is looked for, instead of --resolution: `vehicles`, `buildings`, `fields`, `landscape`.",
        rich_help_panel=_SEEN,
    ),
]
Aoi = Annotated[
    str | None, typer.Option(help="Area of interest: vector file, or WKT in --aoi-crs.", rich_help_panel=_SEEN)
]
AoiCrs = Annotated[str | None, typer.Option(help="CRS of a WKT --aoi; default: the scene's.", rich_help_panel=_SEEN)]
Stretch = Annotated[
    str, typer.Option(help="`auto`, `percentile`, `minmax`, or `low,high` in band values.", rich_help_panel=_SEEN)
]
Nodata = Annotated[
    str | None,
    typer.Option(help="Value that means no data; `none`: every pixel is data.", rich_help_panel=_SEEN),
]
Window = Annotated[
    int | None,
    typer.Option(help="Side of a window, px; smaller ones find smaller objects.", min=32, rich_help_panel=_WINDOWS),
]
Overlap = Annotated[
    int | None,
    typer.Option(help="Least overlap of windows, px; default: an eighth.", min=0, rich_help_panel=_WINDOWS),
]
Store = Annotated[
    str,
    typer.Option(
        help="Folder of kept embeddings; `auto`: the cache folder, `none`: keep none.", rich_help_panel=_WINDOWS
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

_WKT = re.compile(r"\s*(SRID=\d+;)?\s*(MULTI)?(POLYGON|SURFACE|GEOMETRYCOLLECTION)\s*(Z|M|ZM)?\s*[(E]", re.IGNORECASE)


def open_asked(source: str, *, stretch: str = "auto", nodata: str | None = None, aoi: str | None = None, **how: Any):
    """The scene that the options describe: text becomes numbers and geometries here.

    Raises
    ------
    SceneError, OptionError
        If it cannot be opened so.
    """
    from geosam.scene import open_scene

    return open_scene(source, stretch=read_stretch(stretch), nodata=read_nodata(nodata), aoi=read_aoi(aoi), **how)


def working_pixel(resolution: str | None, scale: str | None) -> str | None:
    """The resolution, given by itself or by the scale of what is looked for.

    Examples
    --------
    >>> working_pixel("0.5 m", None), working_pixel(None, "fields")
    ('0.5 m', 'fields')
    """
    if resolution is not None and scale is not None:
        raise OptionError(
            f"--resolution {resolution} and --scale {scale}", expected="one of them", hint="leave one out"
        )
    return scale or resolution


def read_stretch(text: str) -> Any:
    """A word as it is, ``low,high`` as numbers.

    Examples
    --------
    >>> read_stretch("auto"), read_stretch("0, 3000")
    ('auto', (0.0, 3000.0))
    """
    if "," not in text:
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--stretch {text!r}", expected="two numbers, as in --stretch 0,3000") from None
    return low, high


def read_nodata(text: str | None) -> float | str | None:
    """A number, or the word ``none``.

    Examples
    --------
    >>> read_nodata("-9999"), read_nodata("None")
    (-9999.0, 'none')
    """
    if text is None or text.strip().lower() == "none":
        return text and "none"
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--nodata {text!r}", expected="a number, or none to take every pixel for data") from None


def read_aoi(text: str | None) -> Any:
    """A geometry from WKT, else the path of a vector file.

    Examples
    --------
    >>> read_aoi("POLYGON ((0 0, 2 0, 2 1, 0 0))").area, read_aoi("fields.gpkg")
    (1.0, 'fields.gpkg')
    """
    if text is None or os.path.exists(text) or not _WKT.match(text):
        return text
    import shapely

    try:
        return shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"--aoi {text[:60]!r} ({reason})", expected="a vector file, or WKT of a polygon") from None


@dataclass(frozen=True)
class Ground:
    """Which ground of a scene is seen, and in which pixels."""

    resolution: Resolution = None
    scale: Scale = None
    aoi: Aoi = None
    aoi_crs: AoiCrs = None
    nodata: Nodata = None

    @property
    def pixel(self) -> str | None:
        """The working pixel that was asked for; see `working_pixel`."""
        return working_pixel(self.resolution, self.scale)

    def named(self) -> dict[str, Any]:
        """The same by the names that Python has for it, for scenes that are opened later."""
        return {
            "resolution": self.pixel,
            "aoi": read_aoi(self.aoi),
            "aoi_crs": self.aoi_crs,
            "nodata": read_nodata(self.nodata),
        }


@dataclass(frozen=True)
class Seen(Ground):
    """How a scene is seen."""

    bands: Bands = None
    stretch: Stretch = "auto"

    def named(self) -> dict[str, Any]:
        """See `Ground.named`."""
        return super().named() | {"bands": self.bands, "stretch": read_stretch(self.stretch)}

    def open(self, source: str) -> Any:
        """The scene, seen so.

        Raises
        ------
        SceneError, OptionError
            If it cannot be.
        """
        from geosam.scene import open_scene

        return open_scene(source, **self.named())


@dataclass(frozen=True)
class Tiles:
    """The windows of a scene."""

    window: Window = None
    overlap: Overlap = None

    def named(self) -> dict[str, Any]:
        """By the names that Python has for them."""
        return asdict(self)
