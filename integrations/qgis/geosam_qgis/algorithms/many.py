"""Many scenes in, one layer out."""

import os

from qgis.core import (
    QgsProcessingOutputHtml,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
)

from .base import ANY_VECTOR, POLYGONS, GeosamAlgorithm, number


class Catalog(GeosamAlgorithm):
    """``geosam catalog run``, ``report`` and ``merge``."""

    NAME, TITLE, GROUP = "catalog", "Segment a folder of scenes", "Segment"
    HELP = (
        "Segments all scenes of a folder and merges what was found into one layer. A scene that fails is named and "
        "leaves the others alone; the same run again, into the same folder, does what is missing. Where scenes "
        "overlap, an object that was found in both can become one."
    )
    TAGS = ("batch", "many", "tiles", "STAC")

    def initAlgorithm(self, configuration=None):
        double = QgsProcessingParameterNumber.Double
        folder = QgsProcessingParameterFile.Folder
        self.add(QgsProcessingParameterFile("SCENES", "Folder of scenes", behavior=folder))
        prompts = "Prompts for all scenes (none: every object)"
        self.add(QgsProcessingParameterFeatureSource("PROMPTS", prompts, [ANY_VECTOR], optional=True))
        self.add(
            QgsProcessingParameterNumber("MIN_AREA", "Leave out objects smaller than (m²)", double, 0.0, minValue=0.0)
        )
        self.add(QgsProcessingParameterBoolean("ONCE", "An object of two overlapping scenes becomes one", True))
        workers = QgsProcessingParameterNumber(
            "WORKERS", "Processes (0: one, without dask)", defaultValue=0, minValue=0
        )
        self.add(workers, advanced=True)
        self.add_model()
        self.add(QgsProcessingParameterFolderDestination("RUN", "Folder of the run"))
        self.add(QgsProcessingParameterVectorDestination("OUTPUT", "Objects of all scenes", POLYGONS))
        self.addOutput(QgsProcessingOutputHtml("REPORT", "Report"))

    def processAlgorithm(self, parameters, context, feedback):
        scenes = self.parameterAsFile(parameters, "SCENES", context)
        run = self.parameterAsString(parameters, "RUN", context)
        model = self.parameterAsString(parameters, "MODEL", context).strip() or "nano"
        arguments = ["catalog", "run", scenes, "--output", run, "--model", model, "--allow-failures"]
        arguments += ["--min-area", number(self.parameterAsDouble(parameters, "MIN_AREA", context))]
        arguments += ["--workers", str(self.parameterAsInt(parameters, "WORKERS", context))]
        if parameters.get("PROMPTS"):
            path, layer = self.features(parameters, "PROMPTS", context, feedback)
            arguments += ["--prompts", path, *(["--prompts-layer", layer] if layer else [])]
        _, output, loaded = self.vector_output(parameters, "OUTPUT", context)
        once = ["--once"] if self.parameterAsBool(parameters, "ONCE", context) else []
        report = os.path.join(run, "report.html")
        for command in (
            arguments,
            ["catalog", "report", run, "--output", report],
            ["catalog", "merge", run, *output, *once, "--allow-failures"],
        ):
            if self.command(command, feedback) is None:
                return {}
        return {"OUTPUT": loaded, "RUN": run, "REPORT": report}
