"""The page about a land-cover map: one HTML file that needs nothing else."""

from base64 import b64encode
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from geosam.landcover import UNKNOWN, Accuracy, Classification, Legend
from geosam.landcover.accuracy import NOTE
from geosam.scene import Scene
from geosam.sheets.charts import area_chart, bar_chart, matrix_chart
from geosam.sheets.maps import class_map, place_pictures, png

DOUBTFUL = 3
"""Places that are shown large."""

_SHOWN_FEATURES = 12

_STYLE = """
body{font-family:system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;line-height:1.45}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}img,svg{max-width:100%;height:auto}
table{border-collapse:collapse;font-size:.9rem}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:.6rem 0}
.legend i{display:inline-block;width:1rem;height:1rem;margin-right:.4rem;vertical-align:-.15rem;border:1px solid #0003}
.pair{display:flex;flex-wrap:wrap;gap:.6rem;margin:.5rem 0 1.4rem}.pair img{width:20rem;image-rendering:pixelated}
.note{color:#555}.map{width:44rem;image-rendering:pixelated}.wide{overflow-x:auto}
"""

COLUMNS = {
    "code": ("code", "{:.0f}"),
    "segments": ("segments", "{:,.0f}"),
    "area_ha": ("area, ha", "{:,.2f}"),
    "share": ("share", "{:.1%}"),
    "probability": ("mean probability", "{:.2f}"),
    "n": ("labelled segments", "{:.0f}"),
    "users": ("user's accuracy", "{:.0%}"),
    "producers": ("producer's accuracy", "{:.0%}"),
    "f1": ("F1", "{:.2f}"),
}
"""Heading and form of the columns of tables; others are shown as they are called, in four figures."""


def landcover_page(
    scene: Scene, found: Classification, areas: pd.DataFrame, accuracy: Accuracy | None = None, *, title: str = ""
) -> str:
    """Write the page: map, areas, matrix, what matters, doubtful places.

    Parameters
    ----------
    scene, found
        The scene, and its classified segments.
    areas
        As `geosam.landcover.area_table` gives it.
    accuracy
        From a probability sample; adds adjusted areas with intervals.
    title
        Heading; None: the scene's name.
    """
    legend, segments = found.legend, found.segments
    parts = [f"<h1>{escape(title or f'Land cover of {scene.name}')}</h1>", _summary(found)]
    parts.append(_image(png(class_map(scene, segments, legend)), "map of classes", "map"))
    parts.append(_legend(legend, [str(name) for name in areas.index]))
    parts.append("<h2>Areas</h2>" + area_chart(areas, legend.colour, accuracy) + _table(areas))
    if accuracy is not None:
        parts.append(_accuracy(accuracy))
    if found.validation is not None:
        parts.append(_validation(found))
    shown = list(found.importance.head(_SHOWN_FEATURES).items())
    parts.append(
        "<h2>What tells the classes apart</h2>" + bar_chart([(str(n), float(v)) for n, v in shown], "Importance")
    )
    parts.append(_doubtful(scene, found))
    body = "\n".join(parts)
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{viewport}<title>{escape(title or scene.name)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _summary(found: Classification) -> str:
    counts = ", ".join(f"{escape(name)} {n}" for name, n in found.labelled.counts.items())
    unknown = found.segments["class"].tolist().count(UNKNOWN)
    said = [f"{len(found.segments)} segments, of which {len(found.labelled.rows)} were labelled: {counts}."]
    said += (
        [f"{unknown} segments are {UNKNOWN}: no class is ahead of the next by {found.model.min_margin:g}."]
        if unknown
        else []
    )
    return "".join(f"<p>{line}</p>" for line in (*said, *(f"{escape(note)}." for note in found.notes)))


def _legend(legend: Legend, names: list[str]) -> str:
    items = "".join(f'<span><i style="background:{legend.colour(name)}"></i>{escape(name)}</span>' for name in names)
    return f'<div class="legend">{items}</div>'


def _accuracy(accuracy: Accuracy) -> str:
    half = (accuracy.overall.high - accuracy.overall.low) / 2
    told = (
        f"Overall accuracy {100 * accuracy.overall.value:.1f} % ± {100 * half:.1f} at {100 * accuracy.confidence:g} %"
    )
    kappa = "" if accuracy.kappa is None else f"; kappa {accuracy.kappa:.3f}, which was asked for"
    chart = matrix_chart(accuracy.counts, rows="map", columns="reference")
    body = f"<p>{told}{kappa}.</p><p class='note'>{NOTE}</p>{chart}{_table(accuracy.table())}"
    return f"<h2>Accuracy and adjusted areas</h2>{body}"


def _validation(found: Classification) -> str:
    checked = found.validation
    if checked is None:
        return ""
    told = (
        f"{100 * checked.overall:.1f} % of the labelled segments are right when their block of ground is left out "
        f"({checked.folds} parts, blocks of {checked.block:.3g} {_unit(found)}). This compares classifiers; it is no "
        "estimate of the map's accuracy, which needs a probability sample (geosam sample, geosam accuracy)."
    )
    chart = matrix_chart(checked.matrix, rows="classified as", columns="samples")
    return f"<h2>Cross-validation by blocks</h2><p>{told}</p><div class='wide'>{chart}</div>{_table(checked.classes)}"


def _unit(found: Classification) -> str:
    """The unit of the segments' CRS, as one says it of many."""
    crs = found.segments.crs
    if crs is None:
        return "pixels"
    name = crs.axis_info[0].unit_name
    return {"metre": "m", "degree": "degrees"}.get(name, name)


def _doubtful(scene: Scene, found: Classification) -> str:
    segments = found.segments
    doubt = (1 - segments["margin"].to_numpy(float)) * np.sqrt(np.maximum(segments.geometry.area.to_numpy(), 0))
    doubt[segments["sampled"].to_numpy() | (segments["probability"].to_numpy() == 0)] = 0
    parts = []
    for row in np.argsort(-doubt, kind="stable")[:DOUBTFUL]:
        one = segments.iloc[int(row)]
        if doubt[row] <= 0:
            continue
        pair = place_pictures(scene, segments, found.legend, one.geometry)
        images = "".join(_image(png(picture), kind) for picture, kind in zip(pair, ("scene", "classes"), strict=True))
        told = f"{escape(str(one['class']))}, probability {one['probability']:.2f}, ahead by {one['margin']:.2f}"
        parts.append(f"<p>{told}</p><div class='pair'>{images}</div>")
    return "<h2>Doubtful places</h2>" + "".join(parts) if parts else ""


def _table(table: pd.DataFrame) -> str:
    known = {str(name): COLUMNS.get(str(name), (str(name), "{:,.4g}")) for name in table.columns}
    shown = table.rename_axis(None).rename(columns={name: heading for name, (heading, _) in known.items()})
    numbers = {name for name, kind in table.dtypes.items() if kind.kind in "if"}
    formats: dict[str | int, Any] = {heading: form.format for name, (heading, form) in known.items() if name in numbers}
    return f"<div class='wide'>{shown.to_html(border=0, formatters=formats, na_rep='')}</div>"


def _image(data: bytes, alt: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<img{named} alt="{escape(alt)}" src="data:image/png;base64,{b64encode(data).decode()}">'
