"""The Processing provider ``geosam``."""

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms import ALGORITHMS
from .algorithms.base import ICON


class GeosamProvider(QgsProcessingProvider):
    """Algorithms that run the geosam program."""

    def id(self):
        return "geosam"

    def name(self):
        return "geosam"

    def icon(self):
        return QIcon(ICON)

    def svgIconPath(self):
        return ICON

    def loadAlgorithms(self):
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportedOutputVectorLayerExtensions(self):
        return ["gpkg", "fgb", "geojson", "parquet"]

    def defaultVectorFileExtension(self, hasGeometry=True):
        return "gpkg"

    def supportedOutputRasterLayerExtensions(self):
        return ["tif"]

    def defaultRasterFileExtension(self):
        return "tif"

    def supportsNonFileBasedOutput(self):
        return False
