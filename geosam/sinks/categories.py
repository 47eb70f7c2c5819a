"""Styles of layers whose colour tells a category, as QML in the table `layer_styles` of a GeoPackage."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from geosam.sinks.style import NAME, add_style


@dataclass(frozen=True)
class Category:
    """A value, what a legend calls it, and its colour ``rrggbb``; a fill of 0 is an outline alone."""

    value: str
    label: str
    colour: str
    opacity: float = 0.45


def qml_of(column: str, categories: Sequence[Category]) -> str:
    """Write a categorised style as a QML document.

    Parameters
    ----------
    column
        The attribute that tells the category; an expression such as ``'x'`` gives all objects one.
    categories
        In the order of the legend.

    Examples
    --------
    >>> text = qml_of("status", [Category("gone", "gone", "d7191c")])
    >>> 'attr="status"' in text, "215,25,28,255" in text
    (True, True)
    """
    root = ElementTree.Element("qgis", version="3.28.0-Firenze", styleCategories="Symbology")
    kind = {"type": "categorizedSymbol", "attr": column, "symbollevels": "0", "enableorderby": "0", "forceraster": "0"}
    renderer = ElementTree.SubElement(root, "renderer-v2", kind)
    listed = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, each in enumerate(categories):
        named = {"value": each.value, "label": each.label, "symbol": str(number), "render": "true", "type": "string"}
        ElementTree.SubElement(listed, "category", named)
        look = {"type": "fill", "name": str(number), "alpha": "1", "clip_to_extent": "1", "force_rhr": "0"}
        symbol = ElementTree.SubElement(symbols, "symbol", look)
        layer = ElementTree.SubElement(
            symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"}
        )
        options = ElementTree.SubElement(layer, "Option", type="Map")
        for name, value in _fill(each).items():
            ElementTree.SubElement(options, "Option", type="QString", name=name, value=value)
    for name, text in (("blendMode", "0"), ("featureBlendMode", "0"), ("layerGeometryType", "2")):
        ElementTree.SubElement(root, name).text = text
    ElementTree.indent(root)
    head = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    return head + ElementTree.tostring(root, encoding="unicode") + "\n"


def _fill(category: Category) -> dict[str, str]:
    rgb = ",".join(str(int(category.colour[at : at + 2], 16)) for at in (0, 2, 4))
    return {
        "color": f"{rgb},{round(255 * category.opacity)}",
        "style": "solid" if category.opacity else "no",
        "outline_color": f"{rgb},255",
        "outline_style": "solid",
        "outline_width": "0.36",
        "outline_width_unit": "MM",
        "joinstyle": "round",
    }


def add_categories(path: Path, layer: str, qml: str, *, stamp: str, about: str) -> None:
    """Put a style into a GeoPackage, as the default of one of its layers.

    Parameters
    ----------
    path
        The GeoPackage.
    layer
        The layer, with the geometry column `geom`.
    qml
        The style.
    stamp
        Date of the change, ISO 8601.
    about
        What it shows, in a few words.
    """
    add_style(path, layer, stamp=stamp)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE layer_styles SET styleQML = ?, description = ? WHERE f_table_name = ? AND styleName = ?",
            (qml, about, layer, NAME),
        )
