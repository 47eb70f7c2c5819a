"""Legends that lie in a QGIS style: categories of a polygon layer, or of a paletted raster."""

from xml.etree import ElementTree

from geosam.errors import LandcoverError


def classes_of(text: str, name: str) -> list[tuple[str, str, str]]:
    """The classes in a QML document.

    Parameters
    ----------
    text
        What QGIS saves with *Layer properties → Style → Save style*.
    name
        What the file is called.

    Returns
    -------
    list
        ``(code, name, colour)`` of each, as text; the colour ``rrggbb``. Where a category's value is no number, its
        place among the categories is its code.

    Raises
    ------
    LandcoverError
        If it is no QML document with categories.
    """
    if "<!ENTITY" in text:
        raise LandcoverError(f"{name} defines entities", expected="a style as QGIS saves it")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise LandcoverError(f"{name} is no XML ({error})", expected="a style that QGIS saved as .qml") from None
    found = _raster_classes(root) or _polygon_classes(root)
    if not found:
        hint = "style the layer by categories, or the raster as paletted/unique values, and save the style again"
        raise LandcoverError(f"{name} has no categories", expected="a categorised style", hint=hint)
    return found


def _raster_classes(root: ElementTree.Element) -> list[tuple[str, str, str]]:
    entries = root.iterfind(".//colorPalette/paletteEntry")
    return [(one.get("value", ""), one.get("label", ""), _hex(one.get("color", ""))) for one in entries]


def _polygon_classes(root: ElementTree.Element) -> list[tuple[str, str, str]]:
    colours = {one.get("name", ""): _fill(one) for one in root.iterfind(".//symbols/symbol")}
    listed = [one for one in root.iterfind(".//categories/category") if one.get("value", "")]
    numbered = all(one.get("value", "").lstrip("-").isdecimal() for one in listed)
    return [
        (
            one.get("value", "") if numbered else str(place),
            one.get("label", "") or one.get("value", ""),
            colours.get(one.get("symbol", ""), ""),
        )
        for place, one in enumerate(listed, 1)
    ]


def _fill(symbol: ElementTree.Element) -> str:
    """The colour of a symbol's fill, by the options of newer releases or the properties of older ones."""
    for one in symbol.iter():
        if one.tag == "Option" and one.get("name") == "color":
            return _hex(one.get("value", ""))
        if one.tag == "prop" and one.get("k") == "color":
            return _hex(one.get("v", ""))
    return ""


def _hex(colour: str) -> str:
    """``rrggbb`` of a colour as QGIS writes it: ``#rrggbb`` or ``r,g,b,a`` and more."""
    if colour.startswith("#"):
        return colour[1:7]
    parts = colour.split(",")
    numbers = [int(part) for part in parts[:3] if part.strip().isdecimal()]
    return "".join(f"{min(number, 255):02x}" for number in numbers) if len(numbers) == 3 else ""
