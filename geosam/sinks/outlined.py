"""How QGIS draws objects by category where the scene is to be seen below: clear outlines, translucent fills."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree


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
