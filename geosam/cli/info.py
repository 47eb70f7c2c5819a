"""``geosam info``: what geosam understood of a scene, and what it assumed."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from geosam.cli.groups import flat
from geosam.cli.scenes import SceneArgument, Seen

UNEQUAL, TURNED = 1e-3, 1e-6
"""From which share on the sides of a pixel are told apart, and from how many degrees on a turn is told."""


@flat
def info(
    scene: SceneArgument,
    *,
    seen: Seen,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what geosam understood of a scene: where it lies, its bands, what is data, and what was assumed."""
    from geosam.display import shown
    from geosam.scene.facts import facts_of

    facts = facts_of(seen.open(scene))
    if as_json:
        facts |= {"scene": shown(facts["scene"]), "name": shown(facts["name"])}
        typer.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    for word, text in lines(facts):
        typer.echo(f"{word:<10} {shown(text)}")


def lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The facts in words, line by line: what a line is about (empty if as the line before), and what it says.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.scene.facts import facts_of
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     said = list(lines(facts_of(open_scene(coordinate_scene(f"{folder}/xy.tif", (40, 60))))))
    >>> said[1][1], said[-1]
    ('WGS 84 / UTM zone 31N (EPSG:32631), by its transform; pixels of 0.5 (0.5002 m)', ('assumed', 'nothing'))
    """
    yield "scene", f"{facts['scene']}: {_times(facts['size'])} px{_layout(facts['file'])}"
    yield from _place(facts["place"])
    if facts["grid"] != facts["size"]:
        yield "grid", f"{_times(facts['grid'])} px are segmented"
    for number, band in enumerate(facts["bands"]):
        yield "" if number else "bands", _band(band)
    if facts["file"].get("scale_offset"):
        said = ", ".join(f"{scale:g} * value + {offset:g}" for scale, offset in facts["file"]["scale_offset"])
        yield "scale", f"{said}; not applied: --stretch and --nodata count in stored values"
    looked = "of some windows" if facts["sampled"] else "decimated"
    yield "data", f"{facts['valid']:.1%} of the pixels ({looked}){_by_mask(facts)}"
    yield "stretch", _stretch(facts["stretch"])
    yield "overviews", _overviews(facts)
    for number, note in enumerate(facts["notes"]):
        yield "" if number else "assumed", note
    if not facts["notes"]:
        yield "assumed", "nothing"


def _by_mask(facts: dict[str, Any]) -> str:
    """That a mask beside or inside the file says what is data, where no band shows that."""
    bands = facts["bands"]
    told = any(band["nodata"] is not None or band["colour"] == "alpha" or "float" in band["type"] for band in bands)
    return ", as its mask says" if facts["file"] and facts["valid"] < 1 and not told else ""


def _times(sides: list[int]) -> str:
    return " x ".join(map(str, sides))


def _layout(file: dict[str, Any]) -> str:
    if not file:
        return ""
    colours = f", {file['colour_space']} made red, green, blue" if file["colour_space"] else ""
    compression = f", {file['compression']}" if file["compression"] else ""
    return f", {file['driver']}, blocks {_times(file['block'])}{compression}{colours}"


def _place(place: dict[str, Any]) -> Iterator[tuple[str, str]]:
    name, code = place["crs_name"], place["crs"]
    crs = "no CRS" if name is None else name if name == code else f"{name} ({code})"
    if place["by"] == "nothing":
        yield "place", f"{crs}, no transform: coordinates are pixels from the upper left corner, y downwards"
        return
    by = "its transform"
    if place["by"] == "control points":
        by = f"{place['points']} control points, to {place['misfit_px']:g} px"
    yield "place", f"{crs}, by {by}; pixels of {_pixel(place)}"
    yield "", "from {:.10g}, {:.10g} to {:.10g}, {:.10g}".format(*place["bounds"])
    if place["centre_lonlat"]:
        yield "centre", "longitude {:.6f}, latitude {:.6f}".format(*place["centre_lonlat"])


def _pixel(place: dict[str, Any]) -> str:
    """The size of a pixel in CRS units, both sides where they differ, and in metres, and how it is turned."""
    sides, metres = place.get("pixel") or [place["resolution"]], place["resolution_m"]
    alike = max(sides) - min(sides) <= UNEQUAL * max(sides)
    said = f"{place['resolution']:.6g}" if alike else " x ".join(f"{side:.6g}" for side in sides)
    if metres is not None:
        said += f" ({metres:.0f} m)" if metres >= 10_000 else f" ({metres:.4g} m)"
    turned = place.get("turned", 0.0)
    return said + (
        f", rows {abs(turned):.4g}° {'left' if turned > 0 else 'right'} of east" if abs(turned) > TURNED else ""
    )


def _band(band: dict[str, Any]) -> str:
    seen = f"seen as {band['seen_as']}" if band["seen_as"] else "not seen"
    label = band["description"] or ("" if band["colour"] == band["seen_as"] else band["colour"])
    said = [f"{band['band']}: {band['type']}{f' ({label})' if label else ''}, {seen}"]
    if band.get("range"):
        said.append("{:.6g} to {:.6g}".format(*band["range"]))
    if band["top"] not in (None, 255, 65535) and band["top"] < 65535:
        said.append(f"of at most {band['top']:g}")
    said.append(_nodata(band["nodata"]))
    said += ["min-is-white, turned round"] * band["min_is_white"]
    if band.get("valid", 1) < 1:
        said.append(f"{band['valid']:.1%} data")
    return ", ".join(said)


def _nodata(value: float | str | None) -> str:
    if value is None:
        return "no nodata value"
    return f"nodata {value if isinstance(value, str) else f'{value:.9g}'}"


def _stretch(stretch: dict[str, Any]) -> str:
    if stretch["method"] == "identity":
        return "none: 8-bit values as they are"
    pairs = zip(stretch["low"], stretch["high"], strict=True)
    gamma = f", to the power of {stretch['gamma']:.2f}" if "gamma" in stretch else ""
    return f"{stretch['method']}: {', '.join(f'{low:.6g} to {high:.6g}' for low, high in pairs)}{gamma}"


def _overviews(facts: dict[str, Any]) -> str:
    if facts["distrusted"]:
        return f"{facts['distrusted']}, which are not used"
    return ", ".join(_times(level) for level in facts["levels"]) or "none"
