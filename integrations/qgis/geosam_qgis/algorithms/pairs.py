"""Two dates in, what became of each object out."""

from qgis.core import (
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from .base import ANY_VECTOR, GeosamAlgorithm, number

SCHEMAS = ("geosam", "ems", "unosat", "osm")
"""What ``--schema`` knows; the first leaves it out."""

EXTENTS = ("none", "outlines", "ndwi", "mndwi", "dnbr", "dndvi", "sar")
"""What ``--extent`` knows; the first leaves it out."""


class Change(GeosamAlgorithm):
    """``geosam change BEFORE AFTER``."""

    NAME, TITLE, GROUP = "change", "Change between two dates", "Maps"
    HELP = (
        "Compares two scenes: what became of each known object, a damage grade with its probabilities, new objects, "
        "and how far an event reached. The scenes may differ in CRS, pixel and extent; the shift between them is taken "
        "out. Objects that clouds or no data hide are unseen, never intact. All layers lie in one GeoPackage."
    )
    TAGS = ("damage", "disaster", "before", "after", "flood", "earthquake", "EMS", "UNOSAT")

    def initAlgorithm(self, configuration=None):
        double = QgsProcessingParameterNumber.Double
        self.add(QgsProcessingParameterRasterLayer("BEFORE", "Scene before"))
        self.add(QgsProcessingParameterRasterLayer("AFTER", "Scene after"))
        footprints = "Known objects, such as footprints (none: every object before)"
        self.add(QgsProcessingParameterFeatureSource("OBJECTS", footprints, [ANY_VECTOR], optional=True))
        field = QgsProcessingParameterField(
            "ID", "Column that names an object", parentLayerParameterName="OBJECTS", optional=True
        )
        self.add(field)
        self.add(QgsProcessingParameterBoolean("NEW", "Look for new objects", True))
        self.add(QgsProcessingParameterEnum("SCHEMA", "Layers, fields and words of", SCHEMAS, defaultValue=0))
        self.add(QgsProcessingParameterEnum("EXTENT", "Extent of the event by", EXTENTS, defaultValue=0), advanced=True)
        prompts = QgsProcessingParameterFeatureSource(
            "EVENT_PROMPTS", "Points, boxes or polygons on the event (outlines)", [ANY_VECTOR], optional=True
        )
        self.add(prompts, advanced=True)
        texts = (
            ("EVENT", "Event", "flood"),
            ("BANDS", "Bands, as 2,4,3", ""),
            ("EXTENT_BANDS", "What these bands are, as green,nir,red", ""),
            ("DATE_BEFORE", "Date before (ISO 8601)", ""),
            ("DATE_AFTER", "Date after (ISO 8601)", ""),
        )
        for name, title, default in texts:
            text = QgsProcessingParameterString(name, title, defaultValue=default, optional=True)
            self.add(text, advanced=True)
        mmu = QgsProcessingParameterNumber("MMU", "Smallest patch of the extent (m²)", double, 400.0, minValue=0.0)
        self.add(mmu, advanced=True)
        self.add_model()
        self.add(QgsProcessingParameterBoolean("LOAD", "Load the layers", True))
        self.add(QgsProcessingParameterFileDestination("OUTPUT", "Change", "GeoPackage (*.gpkg)"))
        page = QgsProcessingParameterFileDestination(
            "SWIPE", "Page that compares both dates", "HTML (*.html)", optional=True, createByDefault=False
        )
        self.add(page)

    def processAlgorithm(self, parameters, context, feedback):
        scenes = [self.scene(parameters, name, context) for name in ("BEFORE", "AFTER")]
        found = {"OUTPUT": self.parameterAsFileOutput(parameters, "OUTPUT", context)}
        arguments = ["change", *scenes, "--output", found["OUTPUT"], "--overwrite"]
        if parameters.get("OBJECTS"):
            path, layer = self.features(parameters, "OBJECTS", context, feedback)
            arguments += ["--prompts", path, *(["--prompts-layer", layer] if layer else [])]
        arguments += [] if self.parameterAsBool(parameters, "NEW", context) else ["--no-new"]
        schema = self.parameterAsEnum(parameters, "SCHEMA", context)
        arguments += ["--schema", SCHEMAS[schema]] if schema else []
        texts = {"ID": "id-column", "BANDS": "bands", "DATE_BEFORE": "date-before", "DATE_AFTER": "date-after"}
        arguments += self.texts(parameters, context, texts)
        arguments += self.extent_arguments(parameters, context, feedback)
        if parameters.get("SWIPE"):
            found["SWIPE"] = self.parameterAsFileOutput(parameters, "SWIPE", context)
            arguments += ["--swipe", found["SWIPE"]]
        said = self.command([*arguments, *self.model_arguments(parameters, context)], feedback)
        if said is None:
            return {}
        if self.parameterAsBool(parameters, "LOAD", context):
            self.load_layers(found["OUTPUT"], context)
        return found

    def extent_arguments(self, parameters, context, feedback):
        """The options of the extent, if one is asked for."""
        method = self.parameterAsEnum(parameters, "EXTENT", context)
        if not method:
            return []
        arguments = ["--extent", EXTENTS[method]]
        if parameters.get("EVENT_PROMPTS"):
            arguments += ["--extent-prompts", self.features(parameters, "EVENT_PROMPTS", context, feedback)[0]]
        arguments += self.texts(parameters, context, {"EVENT": "event", "EXTENT_BANDS": "extent-bands"})
        return [*arguments, "--mmu", number(self.parameterAsDouble(parameters, "MMU", context))]

    def texts(self, parameters, context, options):
        """``--option text`` for each text that is given."""
        given = {option: self.parameterAsString(parameters, name, context).strip() for name, option in options.items()}
        return [part for option, text in given.items() if text for part in (f"--{option}", text)]
