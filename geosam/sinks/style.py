"""How QGIS draws a layer: a single symbol, a clear outline over a fill that lets the scene show through.

The style is a QML document, as QGIS saves it with *Layer properties → Style → Save style*. In a GeoPackage it lies in
the table `layer_styles`, where QGIS looks for the row of that layer (empty schema, its geometry column) marked as
default when the layer is opened.

QGIS asks GDAL for the layer of that name, so GDAL must list it, and `geopandas.read_file` without ``layer=`` says that
it found a second one. There is no table that the one sees and the other does not: unregistered, GDAL lists it all the
same, and where an extension keeps GDAL from doing so, QGIS does not find it either. The polygons are the first layer,
which is what is read unless another is asked for.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

NAME = "geosam"
"""Name of the style; a user's own of another name is left alone, and stays the default if it is that."""

_OUTLINE = "255,221,51,255"
_CASING = "20,20,20,160"
_FILL = "255,221,51,46"

_TABLE = """
CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)
"""


def qml() -> str:
    """Write the style as a QML document.

    Returns
    -------
    str
        XML that QGIS 3 reads; older releases than 3.26 as well, since each option is also given as a ``prop``.

    Examples
    --------
    >>> qml().splitlines()[0]
    "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    """
    root = ElementTree.Element("qgis", version="3.28.0-Firenze", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root,
        "renderer-v2",
        type="singleSymbol",
        symbollevels="0",
        enableorderby="0",
        forceraster="0",
        referencescale="-1",
    )
    symbols = ElementTree.SubElement(renderer, "symbols")
    symbol = ElementTree.SubElement(
        symbols, "symbol", type="fill", name="0", alpha="1", clip_to_extent="1", force_rhr="0"
    )
    add_symbol_layer(
        symbol,
        "SimpleLine",
        line_color=_CASING,
        line_style="solid",
        line_width="0.7",
        line_width_unit="MM",
        joinstyle="round",
    )
    add_symbol_layer(
        symbol,
        "SimpleFill",
        color=_FILL,
        style="solid",
        outline_color=_OUTLINE,
        outline_style="solid",
        outline_width="0.36",
        outline_width_unit="MM",
        joinstyle="round",
    )
    ElementTree.SubElement(renderer, "rotation")
    ElementTree.SubElement(renderer, "sizescale")
    for name, text in (("blendMode", "0"), ("featureBlendMode", "0"), ("layerGeometryType", "2")):
        ElementTree.SubElement(root, name).text = text
    ElementTree.indent(root)
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )


def add_style(path: Path, layer: str, *, stamp: str, document: str | None = None) -> None:
    """Put the style into a GeoPackage, as the default of one of its layers.

    Parameters
    ----------
    path
        A GeoPackage; styles of other names and of other layers stay as they are.
    layer
        The layer to style, with the geometry column `geom`.
    stamp
        Date of the change, ISO 8601.
    document
        The style as QML; None: `qml`.
    """
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_TABLE)
        mine = "FROM layer_styles WHERE lower(f_table_name) = lower(?)"
        database.execute(f"DELETE {mine} AND styleName = ?", (layer, NAME))
        other = database.execute(f"SELECT 1 {mine} AND useAsDefault", (layer,)).fetchone()
        row = {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": layer,
            "f_geometry_column": "geom",
            "styleName": NAME,
            "styleQML": qml() if document is None else document,
            "styleSLD": "",
            "useAsDefault": 0 if other else 1,
            "description": "Outline over a translucent fill" if document is None else "A colour for each class",
            "owner": "",
            "update_time": stamp,
        }
        database.execute(
            f"INSERT INTO layer_styles ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            [*row.values()],
        )
        database.execute(
            "INSERT OR IGNORE INTO gpkg_contents"
            " (table_name, data_type, identifier, description, last_change, srs_id)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles for QGIS', ?, 0)",
            (stamp,),
        )


def add_symbol_layer(symbol: ElementTree.Element, kind: str, **options: str) -> None:
    """Add one symbol layer; QGIS ≥ 3.26 reads the options as a map, older releases as properties."""
    layer = ElementTree.SubElement(symbol, "layer", {"class": kind, "enabled": "1", "locked": "0", "pass": "0"})
    listed = ElementTree.SubElement(layer, "Option", type="Map")
    for name, value in options.items():
        ElementTree.SubElement(listed, "Option", type="QString", name=name, value=value)
    for name, value in options.items():
        ElementTree.SubElement(layer, "prop", k=name, v=value)
