"""What all algorithms share: the scene, the program, how a command runs, and how its layers are loaded."""

import os

from qgis.core import (
    QgsDataSourceUri,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QIcon

from ..program import ProgramError, find_program
from ..running import Cancelled, RunError, run

ICON = os.path.join(os.path.dirname(os.path.dirname(__file__)), "icon.svg")

SCALES = ("its own pixel", "vehicles", "buildings", "fields", "landscape")
"""What ``--scale`` knows; the first leaves it out."""

DEVICES = ("auto", "cpu", "cuda")


class GeosamAlgorithm(QgsProcessingAlgorithm):
    """A form over one command of geosam, which runs in a process of its own."""

    NAME, TITLE, GROUP, HELP, TAGS = "", "", "", "", ()

    written = ()
    """Layers that were written, as QGIS loads them."""

    def createInstance(self):
        return type(self)()

    def name(self):
        return self.NAME

    def displayName(self):
        return self.TITLE

    def group(self):
        return self.GROUP

    def groupId(self):
        return self.GROUP.lower().replace(" ", "")

    def shortHelpString(self):
        return self.HELP

    def tags(self):
        return ["geosam", "SAM", "segment anything", *self.TAGS]

    def icon(self):
        return QIcon(ICON)

    def canExecute(self):
        try:
            find_program()
        except ProgramError as error:
            return False, str(error)
        return True, ""

    def postProcessAlgorithm(self, context, feedback):
        for source in self.written:  # Processing loads layers without the style that lies in their file
            wanted = source in context.layersToLoadOnCompletion()
            layer = QgsProcessingUtils.mapLayerFromString(source, context) if wanted else None
            if layer is not None:
                layer.loadDefaultStyle()
        return {}

    def command(self, arguments, feedback):
        """Run geosam, and give what it wrote to stdout.

        Raises
        ------
        QgsProcessingException
            If the program is absent, or fails; cancelling is no error, and gives None.
        """
        try:
            program = find_program()
            feedback.pushCommandInfo(" ".join(_quoted(one) for one in [*program, *arguments]))
            return run(program, arguments, feedback)
        except (ProgramError, RunError) as error:
            raise QgsProcessingException(str(error)) from None
        except Cancelled:
            feedback.pushInfo("cancelled; nothing half-written is left")
            return None

    def add(self, parameter, advanced=False):
        """Add a parameter, perhaps among the advanced ones."""
        if advanced:
            parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(parameter)

    def add_scene(self):
        """Add the scene."""
        self.add(QgsProcessingParameterRasterLayer("SCENE", "Scene"))

    def add_view(self):
        """Add how the scene is seen, and by which model."""
        self.add(QgsProcessingParameterEnum("SCALE", "What is looked for", SCALES, defaultValue=0))
        self.add(QgsProcessingParameterExtent("AREA", "Only this area", optional=True))
        bands = "Bands, as 4,3,2 or nir,red,green (default: as the file says)"
        self.add(QgsProcessingParameterString("BANDS", bands, optional=True), advanced=True)
        self.add_model()

    def add_model(self):
        """Add the model and where it computes."""
        text = QgsProcessingParameterString("MODEL", "Model: name, or file of weights", defaultValue="nano")
        self.add(text, advanced=True)
        self.add(QgsProcessingParameterEnum("DEVICE", "Computes on", DEVICES, defaultValue=0), advanced=True)

    def view_arguments(self, parameters, context):
        """The options of `add_view`."""
        layer = self.parameterAsRasterLayer(parameters, "SCENE", context)
        arguments = self.model_arguments(parameters, context)
        scale = self.parameterAsEnum(parameters, "SCALE", context)
        arguments += ["--scale", SCALES[scale]] if scale else []
        bands = self.parameterAsString(parameters, "BANDS", context).strip()
        arguments += ["--bands", bands] if bands else []
        if parameters.get("AREA"):
            crs = layer.crs()
            area = self.parameterAsExtentGeometry(parameters, "AREA", context, crs)
            arguments += ["--aoi", area.asWkt(17)]
            arguments += ["--aoi-crs", crs.authid() or crs.toWkt()] if crs.isValid() else []
        return arguments

    def model_arguments(self, parameters, context):
        """The options of `add_model`."""
        model = self.parameterAsString(parameters, "MODEL", context).strip() or "nano"
        return ["--model", model, "--device", DEVICES[self.parameterAsEnum(parameters, "DEVICE", context)]]

    def scene(self, parameters, name, context):
        """What geosam is to open for a raster layer.

        Raises
        ------
        QgsProcessingException
            If the layer is not one that GDAL reads from a file.
        """
        layer = self.parameterAsRasterLayer(parameters, name, context)
        if layer is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, name))
        try:
            return scene_of(layer)
        except ValueError as error:
            raise QgsProcessingException(str(error)) from None

    def features(self, parameters, name, context, feedback):
        """A file with the features of a parameter, and its layer: what is selected or filtered alone, if so asked."""
        formats = ["gpkg", "shp", "geojson", "fgb"]
        path, layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
            parameters, name, context, formats, "gpkg", feedback
        )
        if not path:
            raise QgsProcessingException(self.invalidSourceError(parameters, name))
        return path, layer

    def vector_output(self, parameters, name, context):
        """Where a layer is to be written: path, options of geosam, and what QGIS loads."""
        asked = self.parameterAsOutputLayer(parameters, name, context)
        if not asked.startswith("ogr:"):
            self.written = (*self.written, asked)
            return asked, ["--output", asked, "--overwrite"], asked
        uri = QgsDataSourceUri(asked[len("ogr:") :])
        path, layer = uri.database(), uri.table()
        loaded = f"{path}|layername={layer}"
        waiting = context.layersToLoadOnCompletion()
        if asked in waiting:
            details = waiting.pop(asked)
            context.setLayersToLoadOnCompletion({**waiting, loaded: details})
        self.written = (*self.written, loaded)
        return path, ["--output", path, "--layer", layer, "--overwrite"], loaded

    def load_layers(self, path, context, wanted=None):
        """Load the layers of a GeoPackage that have shapes, each in the style that it brings.

        Parameters
        ----------
        path
            The file.
        wanted
            Names of layers, in the order of the legend; None: all that hold something.
        """
        project = context.project()
        if project is None:
            return
        for part in QgsProviderRegistry.instance().querySublayers(path):
            if wanted is not None and part.name() not in wanted:
                continue
            if part.wkbType() in (QgsWkbTypes.NoGeometry, QgsWkbTypes.Unknown):
                continue
            layer = QgsVectorLayer(f"{path}|layername={part.name()}", part.name(), "ogr")
            if not layer.isValid() or (wanted is None and layer.featureCount() == 0):
                continue
            context.temporaryLayerStore().addMapLayer(layer)
            details = QgsProcessingContext.LayerDetails(part.name(), project, part.name())
            context.addLayerToLoadOnCompletion(layer.id(), details)


def scene_of(layer):
    """What geosam is to open for a raster layer.

    Raises
    ------
    ValueError
        If it is none that GDAL reads from a file or a store.
    """
    if layer.providerType() != "gdal":
        raise ValueError(
            f"{layer.name()} comes from {layer.providerType()}, expected a raster that GDAL opens: save it as a GeoTIFF"
        )
    parts = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    return layer.source().split("|")[0] if parts.get("layerName") else parts.get("path") or layer.source()


def number(value):
    """A number as a command line takes it.

    >>> number(20.0), number(0.25)
    ('20', '0.25')
    """
    return f"{value:.15g}"


def _quoted(text):
    return text if text and not set(text) & set(" \"'()*&|;<>$`\\\n") else "'" + text.replace("'", "'\\''") + "'"


POLYGONS = QgsProcessing.TypeVectorPolygon
ANY_VECTOR = QgsProcessing.TypeVectorAnyGeometry
