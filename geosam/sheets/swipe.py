"""A page with the picture before over the picture after, parted by a line that the reader moves.

One HTML file without anything from elsewhere: pictures as JPEG inside it, outlines as SVG, a few lines of script. It
works from a USB stick, by mouse, finger and keyboard.
"""

import base64
import html
import io
import os
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

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>
body{{margin:0;font:15px/1.5 system-ui,sans-serif;color:#222;background:#f4f4f2}}
header,footer{{max-width:{width}px;margin:auto;padding:12px 16px}}h1{{font-size:20px;margin:0}}
figure{{position:relative;margin:auto;width:min(100vw,{width}px);aspect-ratio:{width}/{height};overflow:hidden;
touch-action:none;user-select:none}}
figure>img,figure>svg,figure>div>img{{position:absolute;inset:0;width:100%;height:100%;display:block}}
#first{{position:absolute;inset:0;clip-path:inset(0 calc(100% - var(--at)) 0 0)}}
#line{{position:absolute;top:0;bottom:0;left:var(--at);width:3px;margin-left:-1.5px;background:#fff;
box-shadow:0 0 4px #000;cursor:ew-resize}}
.tag{{position:absolute;top:8px;padding:2px 8px;background:#000a;color:#fff;border-radius:3px}}
input{{width:100%;box-sizing:border-box}}
ul{{list-style:none;padding:0;margin:6px 0;display:flex;gap:14px;flex-wrap:wrap}}
i{{display:inline-block;width:13px;height:13px;margin-right:5px;vertical-align:-2px;border:2px solid}}
</style></head><body>
<header><h1>{title}</h1><p>{text}</p></header>
<figure id="view" style="--at:50%"><img alt="after" src="{after}"><div id="first"><img alt="before" src="{before}">
</div><svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{shapes}</svg><div id="line"></div>
<span class="tag" style="left:8px">before {date_before}</span>
<span class="tag" style="right:8px">after {date_after}</span></figure>
<footer><input id="slide" type="range" min="0" max="100" value="50" aria-label="share of the picture before">
<label><input id="show" type="checkbox" checked style="width:auto"> outlines</label><ul>{legend}</ul>
<p>{note}</p></footer><script>
const view=document.getElementById('view'),slide=document.getElementById('slide');
const put=v=>{{view.style.setProperty('--at',v+'%');slide.value=v}};
slide.oninput=()=>put(slide.value);
const move=e=>{{const b=view.getBoundingClientRect();put(Math.max(0,Math.min(100,100*(e.clientX-b.left)/b.width)))}};
view.onpointerdown=e=>{{view.setPointerCapture(e.pointerId);move(e);view.onpointermove=move}};
view.onpointerup=()=>view.onpointermove=null;
document.getElementById('show').onchange=e=>view.querySelector('svg').style.display=e.target.checked?'':'none';
</script></body></html>
"""


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
    return _PAGE.format(
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
