"""How QGIS draws a map of classes: a colour for each, as a QML document that `geosam.sinks.style` puts into files."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from geosam.sinks.style import add_symbol_layer

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_EDGE = "35,35,35,60"


class Category(NamedTuple):
    """A value of a column, what the legend calls it, and its colour.

    Attributes
    ----------
    value, label
        What stands in the column, and in the legend.
    colour
        ``#rrggbb``.
    opacity
        Of the fill; the usual one lets a scene below be guessed without changing the colours that people know.
    outlined
        Whether the outline has the colour too; 0 as opacity and an outline is an outline alone.
    """

    value: str
    label: str
    colour: str
    opacity: float = 0.92
    outlined: bool = False


def categorized(column: str, categories: Sequence[Category]) -> str:
    """Write a categorized style as a QML document.

    Parameters
    ----------
    column
        Name of the column whose text decides the colour; an expression such as ``'x'`` gives all objects one.
    categories
        The values, in the order of the legend.

    Examples
    --------
    >>> document = categorized("class", [Category("water", "Water", "#0064c8")])
    >>> 'type="categorizedSymbol"' in document, "0,100,200,235" in document
    (True, True)
    """
    root = ElementTree.Element("qgis", version="3.28.0-Firenze", styleCategories="Symbology")
    how = {"attr": column, "symbollevels": "0", "enableorderby": "0", "forceraster": "0", "referencescale": "-1"}
    renderer = ElementTree.SubElement(root, "renderer-v2", {"type": "categorizedSymbol", **how})
    listed = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, category in enumerate(categories):
        told = {"value": category.value, "label": category.label, "symbol": str(number), "render": "true"}
        ElementTree.SubElement(listed, "category", {**told, "type": "string"})
        _symbol(symbols, str(number), category)
    ElementTree.SubElement(renderer, "rotation")
    ElementTree.SubElement(renderer, "sizescale")
    for name, text in (("blendMode", "0"), ("featureBlendMode", "0"), ("layerGeometryType", "2")):
        ElementTree.SubElement(root, name).text = text
    ElementTree.indent(root)
    return _DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"


def _symbol(symbols: ElementTree.Element, name: str, category: Category) -> None:
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0"
    )
    rgb = ",".join(str(int(category.colour[at : at + 2], 16)) for at in (1, 3, 5))
    add_symbol_layer(
        symbol,
        "SimpleFill",
        color=f"{rgb},{round(255 * category.opacity)}",
        style="solid" if category.opacity else "no",
        outline_color=f"{rgb},255" if category.outlined else _EDGE,
        outline_style="solid",
        outline_width="0.36" if category.outlined else "0.1",
        outline_width_unit="MM",
        joinstyle="bevel",
    )
