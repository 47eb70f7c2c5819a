"""Options that say which objects are looked for and how they are written, for one scene and for a catalog."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

PROMPTS, EVERYTHING, OUTPUT = "Prompts (none: every object)", "Everything mode", "What is written"
WORDS = "Words"
DEFAULT_THRESHOLD = 0.5

PromptsCrs = Annotated[
    str | None,
    typer.Option(
        help="CRS of all prompts, as `EPSG:4326`, or `px`; default: the file's own, the scene's for --point and --box.",
        rich_help_panel=PROMPTS,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that tells inside (1) from outside (0); `none`: there is none; default: `label`, if it does.",
        rich_help_panel=PROMPTS,
    ),
]
PromptsLayer = Annotated[str | None, typer.Option(help="Layer of the prompts file.", rich_help_panel=PROMPTS)]
IdColumn = Annotated[
    str | None, typer.Option(help="Column that names a prompt; kept as `prompt_id`.", rich_help_panel=PROMPTS)
]
GroupColumn = Annotated[
    str | None, typer.Option(help="Column that groups points to one object.", rich_help_panel=PROMPTS)
]
Refine = Annotated[
    int, typer.Option(help="Rounds in which a mask is fed back to the model.", min=0, rich_help_panel=PROMPTS)
]
Quality = Annotated[
    float | None,
    typer.Option(help="Least predicted IoU; default: the model's.", min=0, max=1, rich_help_panel=EVERYTHING),
]
Stability = Annotated[
    float | None,
    typer.Option(help="Least stability; default: the model's.", min=0, max=1, rich_help_panel=EVERYTHING),
]
Spacing = Annotated[
    int | None,
    typer.Option(help="Distance of grid points, px; default: the model's.", min=1, rich_help_panel=EVERYTHING),
]
Hierarchy = Annotated[
    bool,
    typer.Option("--hierarchy", help="Keep wholes and parts: `level`, `parent_id`.", rich_help_panel=EVERYTHING),
]
Speed = Annotated[
    str | None,
    typer.Option(
        help="`fast`: the region tree alone; `best`: its likely objects drawn again; `clicks`: a grid of points. "
        "With prompts, `fast` answers boxes and polygons together.",
        rich_help_panel=EVERYTHING,
        metavar="SPEED",
    ),
]
Coverage = Annotated[
    bool,
    typer.Option(
        "--coverage",
        help="Every pixel in exactly one segment; --min-area is the mapping unit.",
        rich_help_panel=EVERYTHING,
    ),
]
Detail = Annotated[
    str | None,
    typer.Option(
        help="`fine`, `normal` or `coarse` segments; with --coverage or --speed fast.",
        rich_help_panel=EVERYTHING,
        metavar="DETAIL",
    ),
]
MinArea = Annotated[float, typer.Option(help="Drop objects smaller than this, m².", min=0, rich_help_panel=EVERYTHING)]
MaxArea = Annotated[float, typer.Option(help="Drop objects larger than this, m².", min=0, rich_help_panel=EVERYTHING)]
Kinds = Annotated[
    bool,
    typer.Option("--kinds", help="Say what objects show: `kind`, `kind_score`.", rich_help_panel=OUTPUT),
]
Text = Annotated[
    str | None,
    typer.Option(help="What is looked for, in words: `building, solar panel`.", rich_help_panel=WORDS),
]
TextThreshold = Annotated[
    float, typer.Option(help="Least score of what a word names; .5 suits every word.", rich_help_panel=WORDS)
]
TextModel = Annotated[
    str | None,
    typer.Option(
        help="Larger model that reads the words: a name of `geosam models`, or a path; default: built in.",
        rich_help_panel=WORDS,
    ),
]
WordFiles = Annotated[
    list[str] | None,
    typer.Option(help="File of a word that `geosam words add` wrote; repeatable.", rich_help_panel=WORDS),
]
Simplify = Annotated[
    float, typer.Option(help="Simplify shared borders by this tolerance, CRS units.", min=0, rich_help_panel=OUTPUT)
]
Outline = Annotated[
    str | None, typer.Option(help="`regular` or `smooth`; needs geosam[outline].", rich_help_panel=OUTPUT)
]


@dataclass(frozen=True)
class Features:
    """Which features of a prompts file are taken, where they lie, and what they are called."""

    prompts_layer: PromptsLayer = None
    prompts_crs: PromptsCrs = None
    id_column: IdColumn = None


@dataclass(frozen=True)
class PromptsFile(Features):
    """How the features of a prompts file become prompts."""

    group_column: GroupColumn = None
    label_column: LabelColumn = None

    def named(self) -> dict[str, Any]:
        """By the names that Python has for it, but for the CRS; see `prompt_names`."""
        return prompt_names(self.prompts_layer, self.id_column, self.group_column, self.label_column)


@dataclass(frozen=True)
class Search:
    """How everything mode looks for objects."""

    spacing: Spacing = None
    speed: Speed = None
    coverage: Coverage = False
    detail: Detail = None

    def named(self) -> dict[str, Any]:
        """By the names that `geosam.SegmentOptions` has for it."""
        found = asdict(self)
        return {"spacing_px": found.pop("spacing")} | found


@dataclass(frozen=True)
class Objects(Search):
    """Which objects are kept, and how they are drawn."""

    quality: Quality = None
    stability: Stability = None
    min_area: MinArea = 0.0
    max_area: MaxArea = float("inf")
    refine: Refine = 0
    kinds: Kinds = False
    simplify: Simplify = 0.0
    outline: Outline = None

    def named(self) -> dict[str, Any]:
        """See `Search.named`."""
        found = super().named()
        thresholds = {"pred_iou_threshold": found.pop("quality"), "stability_threshold": found.pop("stability")}
        return thresholds | found


@dataclass(frozen=True)
class Spoken:
    """What is looked for in words."""

    text: Text = None
    text_threshold: TextThreshold = DEFAULT_THRESHOLD
    text_model: TextModel = None
    words: WordFiles = None

    def named(self) -> dict[str, Any]:
        """By the names that Python has for it; see `text_names`."""
        return text_names(self.text, self.text_threshold, self.text_model, self.words)


def text_names(text: str | None, threshold: float, model: str | None, words: list[str] | None) -> dict:
    """What is asked in words, by the names that Python has for it; nothing without a text.

    Raises
    ------
    OptionError
        If something is said of a text, and there is none.

    Examples
    --------
    >>> text_names(None, 0.5, None, None), text_names("water", 0.5, None, ["a.safetensors"])["words"]
    ({}, ('a.safetensors',))
    """
    from geosam.errors import OptionError

    if text is None:
        if model or words or threshold != DEFAULT_THRESHOLD:
            given = "--text-model" if model else "--words" if words else "--text-threshold"
            raise OptionError(f"{given} without --text", expected="--text with the words")
        return {}
    return {"text": text, "text_threshold": threshold, "text_model": model, "words": tuple(words or ())}


def prompt_names(layer: str | None, id_column: str | None, group_column: str | None, label_column: str | None) -> dict:
    """How the features of a prompts file are to be taken, by the names that Python has for it; what is given only.

    Examples
    --------
    >>> prompt_names(None, "no", None, "none")
    {'id_column': 'no', 'label_column': None}
    """
    given = {"layer": layer, "id_column": id_column, "group_column": group_column, "label_column": label_column}
    names: dict[str, str | None] = {name: value for name, value in given.items() if value is not None}
    if label_column is not None and label_column.lower() == "none":
        names["label_column"] = None
    return names
