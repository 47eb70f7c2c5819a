"""A scene and a few samples in, a map of land cover out."""

from qgis.core import (
    QgsProcessingException,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
)

from .base import ANY_VECTOR, POLYGONS, GeosamAlgorithm, number

LEGENDS = ("the classes of the samples", "worldcover", "dynamicworld", "esri", "nlcd", "corine")
"""What ``--legend`` knows; the first leaves it out."""


class LandCover(GeosamAlgorithm):
    """``geosam landcover SCENE --samples SAMPLES``."""

    NAME, TITLE, GROUP = "landcover", "Land cover", "Maps"
    HELP = (
        "Segments all of the ground and learns the class of each segment from points or polygons of known class. The "
        "map opens in the legend's colours; segments between two classes are unknown. Also, if wanted: a raster with "
        "colours and names, and a page with the map, areas and what was confused with what.\n"
        'Needs geosam with pip install "geosam[landcover]".'
    )
    TAGS = ("classification", "classify", "samples", "training", "worldcover", "corine")

    def initAlgorithm(self, configuration=None):
        double = QgsProcessingParameterNumber.Double
        self.add_scene()
        self.add(QgsProcessingParameterFeatureSource("SAMPLES", "Samples", [ANY_VECTOR]))
        field = QgsProcessingParameterField(
            "LABEL", "Column with the class", defaultValue="class", parentLayerParameterName="SAMPLES"
        )
        self.add(field)
        self.add(QgsProcessingParameterEnum("LEGEND", "Legend", LEGENDS, defaultValue=0))
        self.add(QgsProcessingParameterNumber("MMU", "Minimum mapping unit (m²)", double, 0.0, minValue=0.0))
        margin = "Least lead of a class over the next; with less: unknown"
        margin = QgsProcessingParameterNumber("MARGIN", margin, double, 0.05, minValue=0.0, maxValue=1.0)
        self.add(margin, advanced=True)
        self.add_model()
        self.add(QgsProcessingParameterVectorDestination("OUTPUT", "Map", POLYGONS))
        raster = QgsProcessingParameterRasterDestination(
            "RASTER", "Map as raster", optional=True, createByDefault=False
        )
        self.add(raster)
        page = QgsProcessingParameterFileDestination(
            "REPORT", "Report", "HTML (*.html)", optional=True, createByDefault=False
        )
        self.add(page)

    def processAlgorithm(self, parameters, context, feedback):
        scene = self.scene(parameters, "SCENE", context)
        path, layer = self.features(parameters, "SAMPLES", context, feedback)
        _, output, loaded = self.vector_output(parameters, "OUTPUT", context)
        if "--layer" in output:
            raise QgsProcessingException(f"{loaded}: a map is a file of its own, expected the name of a file (.gpkg)")
        arguments = ["landcover", scene, *output, "--samples", path]
        arguments += ["--samples-layer", layer] if layer else []
        arguments += ["--label", self.parameterAsString(parameters, "LABEL", context) or "class"]
        legend = self.parameterAsEnum(parameters, "LEGEND", context)
        arguments += ["--legend", LEGENDS[legend]] if legend else []
        arguments += ["--mmu", number(self.parameterAsDouble(parameters, "MMU", context))]
        arguments += ["--margin", number(self.parameterAsDouble(parameters, "MARGIN", context))]
        found = {"OUTPUT": loaded}
        if parameters.get("RASTER"):
            found["RASTER"] = self.parameterAsOutputLayer(parameters, "RASTER", context)
            arguments += ["--raster", found["RASTER"]]
        if parameters.get("REPORT"):
            found["REPORT"] = self.parameterAsFileOutput(parameters, "REPORT", context)
            arguments += ["--report", found["REPORT"]]
        said = self.command([*arguments, *self.model_arguments(parameters, context)], feedback)
        return found if said is not None else {}
