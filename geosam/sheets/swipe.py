"""A page with the picture before over the picture after, parted by a line that the reader moves.

One HTML file without anything from elsewhere: pictures as JPEG inside it, outlines as SVG, a few lines of script. It
works from a USB stick, by mouse, finger and keyboard.
"""

import base64
import html
import io
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image

from geosam.change.legend import EXTENT_COLOURS, OTHER_EXTENT, STATUS_COLOURS
from geosam.change.result import Comparison
from geosam.sheets.ground import pictures
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

PAGE_FORMATS = (".html",)

MOST_PX = 1800
"""Longest side of the pictures in a page."""

JPEG_QUALITY = 88


def swipe_page(
    result: Comparison,
    path: str | os.PathLike[str],
    *,
    title: str = "Before and after",
    overwrite: bool = True,
    outputs: Outputs | None = None,
) -> Path:
    """Write an HTML page on which both dates are compared.

    Parameters
    ----------
    result
        The comparison.
    path
        Output file, ``.html``.
    title
        Title of the page.
    overwrite
        Whether an existing file may be replaced.
    outputs
        Outputs that it is one of, and appears with.

    Raises
    ------
    SinkError
        If the file cannot be written.
    """
    target = check_path(path, PAGE_FORMATS, overwrite=overwrite, inputs=())
    text = page(result, title)
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target):
        place.part.write_text(text, encoding="utf-8")
    return target


def page(result: Comparison, title: str) -> str:
    """The page as text."""
    before, after, scale = pictures(result.pair, MOST_PX)
    h, w = before.shape[:2]
    counts = {name: count for name, count in result.counts().items() if count}
    dates = [html.escape(str(each)) for each in result.source["date"]]
    template = (files("geosam.sheets") / "swipe.html").read_text(encoding="utf-8")
    return template.format(
        title=html.escape(title),
        text=html.escape(", ".join(f"{count:,} {name}" for name, count in counts.items()) or "no objects"),
        width=w,
        height=h,
        before=_jpeg(before),
        after=_jpeg(after),
        date_before=dates[0],
        date_after=dates[1],
        shapes="".join(_shapes(result, scale)),
        legend="".join(_legend(counts, result)),
        note=html.escape(result.registration.describe() + ". Made by machine, not checked on the ground."),
    )


def _jpeg(pixels: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()


def _shapes(result: Comparison, scale: float) -> list[str]:
    """Outlines as SVG paths, extents below objects."""
    drawn = []
    layers = [(result.change, "status", STATUS_COLOURS, 0.12)]
    if result.extent is not None:
        layers.insert(0, (result.extent, "class", EXTENT_COLOURS, 0.3))
    for frame, column, colours, fill in layers:
        shapes = shapely.simplify(shapely.transform(result.pair.before.to_px(frame), lambda xy: xy * scale), 0.4)
        for shape, value in zip(shapes, frame[column], strict=True):
            colour = colours.get(value, OTHER_EXTENT)
            drawn.append(
                f'<path d="{_path(shape)}" fill="#{colour}" fill-opacity="{fill}" fill-rule="evenodd" '
                f'stroke="#{colour}" stroke-width="1.6" vector-effect="non-scaling-stroke"/>'
            )
    return drawn


def _path(shape: Any) -> str:
    rings = shapely.get_rings(shapely.get_parts(shape))
    text = ["M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in shapely.get_coordinates(ring)) + "Z" for ring in rings]
    return "".join(text)


def _legend(counts: dict[str, int], result: Comparison) -> list[str]:
    rows = [(name, STATUS_COLOURS[name]) for name in counts]
    if result.extent is not None:
        rows += [(each, EXTENT_COLOURS.get(each, OTHER_EXTENT)) for each in result.extent["class"].unique()]
    return [f'<li><i style="border-color:#{colour}"></i>{html.escape(name)}</li>' for name, colour in rows]
