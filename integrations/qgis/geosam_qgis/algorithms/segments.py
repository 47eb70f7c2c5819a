"""A scene in, polygons out: every object, what prompts point at or words name, or all of the ground."""

from qgis.core import (
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from .base import ANY_VECTOR, POLYGONS, GeosamAlgorithm, number

DETAILS = ("fine", "normal", "coarse")
"""What ``--detail`` knows; the middle one leaves it out."""

SPEEDS = {
    "clicks": "Ask a grid of points for every object",
    "fast": "Fast: the region tree alone",
    "best": "Best outlines: the region tree, its likely objects drawn again",
}
"""What ``--speed`` knows, and what it is called."""

_DOUBLE = QgsProcessingParameterNumber.Double


class _Segments(GeosamAlgorithm):
    """One scene and one layer of polygons."""

    GROUP = "Segment"

    def add_output(self, title):
        self.add(QgsProcessingParameterVectorDestination("OUTPUT", title, POLYGONS))

    def add_area(self, name, title):
        self.add(QgsProcessingParameterNumber(name, title, _DOUBLE, optional=True, minValue=0.0))

    def add_simplify(self):
        title = "Simplify shared borders by (units of the CRS)"
        self.add(QgsProcessingParameterNumber("SIMPLIFY", title, _DOUBLE, 0.0, minValue=0.0))

    def add_speed(self, *speeds):
        """Add the choice of speeds; the first one is what geosam takes by itself."""
        titles = [SPEEDS[speed] for speed in speeds]
        self.add(QgsProcessingParameterEnum("SPEED", "Speed", titles, defaultValue=0))

    def speed_arguments(self, parameters, context, *speeds):
        """``--speed``, unless it is the first of them."""
        speed = speeds[self.parameterAsEnum(parameters, "SPEED", context)]
        return [] if speed == speeds[0] else ["--speed", speed]

    def numbers(self, parameters, context, **options):
        """``--option value`` for each number that is given and not nought."""
        arguments = []
        for option, name in options.items():
            value = self.parameterAsDouble(parameters, name, context) if parameters.get(name) is not None else 0.0
            arguments += [f"--{option.replace('_', '-')}", number(value)] if value else []
        return arguments

    def processAlgorithm(self, parameters, context, feedback):
        scene = self.scene(parameters, "SCENE", context)
        arguments = [*self.view_arguments(parameters, context), *self.own_arguments(parameters, context, feedback)]
        _, output, loaded = self.vector_output(parameters, "OUTPUT", context)
        said = self.command(["segment", scene, *output, *arguments], feedback)
        return {"OUTPUT": loaded} if said is not None else {}


class SegmentEverything(_Segments):
    """``geosam segment SCENE``."""

    NAME, TITLE = "segmenteverything", "Segment every object"
    HELP = (
        "Finds every object of a scene. Objects carry score, area and where they come from; with kinds also what they "
        "show. Windows that are encoded once are kept, so that a second run is quick."
    )
    TAGS = ("polygonize", "everything", "objects")

    def initAlgorithm(self, configuration=None):
        self.add_scene()
        self.add_area("MIN_AREA", "Leave out objects smaller than (m²)")
        self.add_area("MAX_AREA", "Leave out objects larger than (m²)")
        self.add_simplify()
        self.add_speed("clicks", "fast", "best")
        self.add(QgsProcessingParameterBoolean("KINDS", "Say what objects show (kind)", False))
        self.add(QgsProcessingParameterBoolean("HIERARCHY", "Keep wholes and their parts", False), advanced=True)
        self.add_view()
        self.add_output("Objects")

    def own_arguments(self, parameters, context, feedback):
        arguments = self.numbers(parameters, context, min_area="MIN_AREA", max_area="MAX_AREA", simplify="SIMPLIFY")
        arguments += self.speed_arguments(parameters, context, "clicks", "fast", "best")
        for name, option in (("KINDS", "--kinds"), ("HIERARCHY", "--hierarchy")):
            arguments += [option] if self.parameterAsBool(parameters, name, context) else []
        return arguments


class SegmentPrompts(_Segments):
    """``geosam segment SCENE --prompts FEATURES``."""

    NAME, TITLE = "segmentprompts", "Segment what prompts point at"
    HELP = (
        "One object for each feature of a layer: points, rectangles as boxes, other polygons and lines by their form. "
        "The features' attributes are kept, with their id as prompt_id. Features may lie in any CRS; only the selected "
        "ones count where that is ticked."
    )
    TAGS = ("points", "boxes", "polygons", "clicks", "footprints")

    def initAlgorithm(self, configuration=None):
        self.add_scene()
        self.add(QgsProcessingParameterFeatureSource("PROMPTS", "Prompts", [ANY_VECTOR]))
        for name, title in (
            ("ID", "Column that names a prompt"),
            ("GROUP", "Column that groups points to one object"),
            ("LABEL", "Column that tells inside (1) from outside (0)"),
        ):
            field = QgsProcessingParameterField(name, title, parentLayerParameterName="PROMPTS", optional=True)
            self.add(field, advanced=True)
        refine = QgsProcessingParameterNumber(
            "REFINE", "Rounds in which a mask is fed back", defaultValue=0, minValue=0
        )
        self.add(refine, advanced=True)
        self.add_simplify()
        self.add_view()
        self.add_output("Objects of the prompts")

    def own_arguments(self, parameters, context, feedback):
        path, layer = self.features(parameters, "PROMPTS", context, feedback)
        arguments = ["--prompts", path, *(["--prompts-layer", layer] if layer else [])]
        for name, option in (("ID", "--id-column"), ("GROUP", "--group-column"), ("LABEL", "--label-column")):
            column = self.parameterAsString(parameters, name, context)
            arguments += [option, column] if column else []
        return [*arguments, *self.numbers(parameters, context, refine="REFINE", simplify="SIMPLIFY")]


class SegmentWords(_Segments):
    """``geosam segment SCENE --text WORDS``."""

    NAME, TITLE = "segmentwords", "Segment what words name"
    HELP = (
        "Objects of the kinds that words name, as building, road, water: each carries the word that it was found by. "
        "Several words compete for the ground. The scene is seen at the pixel that suits the words."
    )
    TAGS = ("text", "language", "building", "road", "tree")

    def initAlgorithm(self, configuration=None):
        self.add_scene()
        self.add(QgsProcessingParameterString("TEXT", "Words, with commas between them", defaultValue="building"))
        least = QgsProcessingParameterNumber("THRESHOLD", "Least score", _DOUBLE, 0.5, minValue=0.0, maxValue=1.0)
        self.add(least)
        self.add_area("MIN_AREA", "Leave out objects smaller than (m²)")
        self.add_simplify()
        self.add_view()
        self.add_output("Objects of the words")

    def own_arguments(self, parameters, context, feedback):
        text = self.parameterAsString(parameters, "TEXT", context).strip()
        least = self.parameterAsDouble(parameters, "THRESHOLD", context)
        arguments = ["--text", text, "--text-threshold", number(least)]
        return [*arguments, *self.numbers(parameters, context, min_area="MIN_AREA", simplify="SIMPLIFY")]


class Coverage(_Segments):
    """``geosam segment SCENE --coverage``."""

    NAME, TITLE = "coverage", "Segment all of the ground"
    HELP = (
        "Every pixel that is data lies in exactly one segment: neighbours share their borders, without gaps and "
        "overlaps. What is smaller than the mapping unit joins the neighbour that it is most like."
    )
    TAGS = ("partition", "superpixels", "mapping unit", "OBIA")

    def initAlgorithm(self, configuration=None):
        self.add_scene()
        self.add_area("MIN_AREA", "Minimum mapping unit (m²)")
        self.add(QgsProcessingParameterEnum("DETAIL", "Segments", DETAILS, defaultValue=1))
        self.add_speed("fast", "best")
        self.add_simplify()
        self.add_view()
        self.add_output("Segments")

    def own_arguments(self, parameters, context, feedback):
        detail = DETAILS[self.parameterAsEnum(parameters, "DETAIL", context)]
        arguments = ["--coverage", *([] if detail == "normal" else ["--detail", detail])]
        arguments += self.speed_arguments(parameters, context, "fast", "best")
        return [*arguments, *self.numbers(parameters, context, min_area="MIN_AREA", simplify="SIMPLIFY")]
