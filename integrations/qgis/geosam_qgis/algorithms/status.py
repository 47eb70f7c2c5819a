"""Say whether geosam is there, its version and models, and what it makes of a scene."""

import json

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterRasterLayer,
)

from ..program import ProgramError, find_program, version_of
from .base import GeosamAlgorithm


class Status(GeosamAlgorithm):
    """Plain text and numbers out, so that scripts and agents can ask as well."""

    NAME, TITLE, GROUP = "status", "Status", "geosam"
    HELP = (
        "Says whether the geosam program was found, its version and its models, and what it understood of a scene: "
        "place, bands, no data, stretch, and what it had to assume."
    )
    TAGS = ("version", "info")

    def initAlgorithm(self, configuration=None):
        self.add(QgsProcessingParameterRasterLayer("SCENE", "Scene", optional=True))
        self.addOutput(QgsProcessingOutputBoolean("FOUND", "Program found"))
        for name, title in (("PROGRAM", "Program"), ("VERSION", "Version"), ("MODELS", "Models"), ("INFO", "Scene")):
            self.addOutput(QgsProcessingOutputString(name, title))

    def canExecute(self):
        return True, ""  # that there is no program is an answer

    def processAlgorithm(self, parameters, context, feedback):
        found = {"FOUND": False, "PROGRAM": "", "VERSION": "", "MODELS": "", "INFO": ""}
        try:
            program = find_program()
            found["VERSION"] = version_of(program)
        except ProgramError as error:
            feedback.pushWarning(str(error))
            return found
        found["FOUND"], found["PROGRAM"] = True, " ".join(program)
        feedback.pushInfo(f"geosam {found['VERSION']}: {found['PROGRAM']}")
        found["MODELS"] = self.command(["models"], feedback) or ""
        if parameters.get("SCENE"):
            text = self.command(["info", self.scene(parameters, "SCENE", context), "--json"], feedback) or ""
            try:
                json.loads(text or "{}")
            except ValueError:
                raise QgsProcessingException(f"geosam info answered {text[:80]!r}, expected JSON") from None
            found["INFO"] = text
        return found
