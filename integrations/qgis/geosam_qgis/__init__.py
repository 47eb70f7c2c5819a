"""The geosam plugin of QGIS: a client of the geosam program, made of PyQGIS and the standard library alone."""


def classFactory(iface):  # the name that QGIS asks for
    """Make the plugin; QGIS calls this when it loads it."""
    from .plugin import GeosamPlugin

    return GeosamPlugin(iface)
