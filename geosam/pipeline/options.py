"""What a run is asked for, and what it says at its end."""

from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, cast, get_args

from geosam.errors import OptionError
from geosam.polygons import Outline
from geosam.regions import DETAILS
from geosam.segmenter import Recipe, Segmenter
from geosam.windows import WindowPlan

SPEEDS = ("fast", "best", "clicks")
"""How everything mode looks for objects; with prompts, ``fast`` alone means something."""

MOST_PX, MOST_ROUNDS = 1 << 14, 100
"""Longest side of a window, which is read as a whole, and most rounds of refinement."""


@dataclass(frozen=True)
class SegmentOptions:
    """How a scene is segmented; every field has a default that suits maps.

    Attributes
    ----------
    window
        Side of a window in px; by default what the model was made for.
    overlap
        Least overlap of neighbouring windows in px; by default an eighth of the window.
    spacing_px
        Distance between the grid points of everything mode, in px. None takes what suits the model.
    kinds
        Whether to say what each object shows: the columns `kind` and `kind_score` (`geosam.recognition`).
    pred_iou_threshold, stability_threshold
        Masks below either are dropped in everything mode; in [0, 1]. None takes what suits the model.
    hierarchy
        Whether everything mode looks at several views of the scene, from twice to a quarter of its resolution, and
        keeps wholes and parts, which then overlap, with the columns `level` and `parent_id`; about five times the work.
    speed
        How everything mode looks for objects: ``"fast"``, the region tree alone (`geosam.regions`); ``"best"``, the
        tree, whose likely objects the model draws again; or ``"clicks"``, a grid of points as published models do. Of
        prompts, ``"fast"`` answers boxes and polygons together, in RoI crops: a third of the time, and masks do not
        reach far beyond their box.
    coverage
        Whether every valid pixel is to lie in exactly one segment, whatever it is; then `min_area` is the mapping unit:
        what is smaller joins the neighbour that it is most like. Needs a speed with the region tree, and takes ``fast``
        if none is asked for.
    detail
        How finely the region tree is cut: ``"fine"``, ``"normal"`` or ``"coarse"``; None is normal. It needs a speed
        with the tree.
    min_area, max_area
        Limits of an object's area in m² (px² for a scene without a CRS); everything mode.
    simplify
        Tolerance of the shared-border simplification in CRS units; 0 keeps the pixel outline.
    outline
        ``None``, ``"regular"`` (buildings: straight edges, right angles) or ``"smooth"``; needs ``geosam[outline]``.
    refine
        Rounds in which a prompt's mask is fed back to the decoder.
    text
        Words for what is looked for, as ``"building, solar panel"``, instead of prompts: polygons with the columns
        `label`, `prompt` and `score`, of which none overlap (`geosam.pipeline.words`).
    text_threshold
        Least score of what a word names, in [0, 1]; one half suits every word.
    text_model
        Who reads the words: None for what comes with geosam, or the name or path of a larger model (`geosam.adapters`).
    words
        Files of words that `geosam words add` wrote, beside those in the user's own folder.

    Raises
    ------
    OptionError
        If a value is out of its range, or `simplify` and `outline` are asked for together.

    Examples
    --------
    >>> SegmentOptions(min_area=20).plan((2000, 3000), side=1024).grid
    (3, 4)
    """

    window: int | None = None
    overlap: int | None = None
    spacing_px: int | None = None
    hierarchy: bool = False
    kinds: bool = False
    speed: str | None = None
    coverage: bool = False
    detail: str | None = None
    pred_iou_threshold: float | int | None = None
    stability_threshold: float | int | None = None
    min_area: float | int = 0.0
    max_area: float | int = float("inf")
    simplify: float | int = 0.0
    outline: str | None = None
    refine: int = 0
    text: str | tuple[str, ...] | list[str] | None = None
    text_threshold: float | int = 0.5
    text_model: Any = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_kinds()
        self._check_text()
        if not 0 <= self.min_area <= self.max_area:
            raise OptionError(
                f"min_area={self.min_area}, max_area={self.max_area}", expected="0 <= min_area <= max_area"
            )
        if not 0 <= self.simplify < float("inf"):
            raise OptionError(f"simplify={self.simplify}", expected="a tolerance in CRS units, 0 or more")
        if self.speed not in {None, *SPEEDS}:
            raise OptionError(f"speed={self.speed!r}", expected=" or ".join(map(repr, SPEEDS)))
        if self.coverage and self.speed == "clicks":
            raise OptionError("coverage at speed 'clicks'", expected="speed 'fast' or 'best'")
        if self.detail not in {None, *DETAILS}:
            raise OptionError(f"detail={self.detail!r}", expected=" or ".join(map(repr, DETAILS)))
        if self.detail and not self.grows_tree:
            raise OptionError(
                f"detail={self.detail!r} without the region tree", expected="coverage, or speed 'fast' or 'best'"
            )
        if self.coverage and (self.outline or self.max_area < float("inf")):
            what = "an outline" if self.outline else f"max_area={self.max_area}"
            raise OptionError(f"coverage with {what}", expected="all ground in segments that share borders")
        if self.outline not in {None, *get_args(Outline)}:
            raise OptionError(f"outline={self.outline!r}", expected="'regular' or 'smooth'")
        if self.outline and self.simplify:
            raise OptionError("simplify together with outline", expected="one of them", hint="leave one out")

    def _check_kinds(self) -> None:
        """Refuse values of a wrong kind, and pixels and rounds out of all proportion."""
        for name in ("min_area", "max_area", "simplify", "pred_iou_threshold", "stability_threshold"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Real):
                raise OptionError(f"{name}={value!r}", expected="a number")
        ranges = {
            "window": (1, MOST_PX),
            "spacing_px": (1, MOST_PX),
            "overlap": (0, MOST_PX),
            "refine": (0, MOST_ROUNDS),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Integral) and least <= int(value) <= most):
                raise OptionError(f"{name}={value!r}", expected=f"a whole number from {least} to {most}")

    def _check_text(self) -> None:
        """Refuse what does not go together with words."""
        if not (isinstance(self.text_threshold, Real) and 0 < self.text_threshold <= 1):
            raise OptionError(f"text_threshold={self.text_threshold!r}", expected="a number above 0, at most 1")
        if self.text is None:
            if self.text_model is not None or self.words:
                what = "words" if self.words else "text_model"
                raise OptionError(f"{what} without text", expected="text as well, as in text='building'")
            return
        for name, given in (("coverage", self.coverage), ("hierarchy", self.hierarchy), ("speed", self.speed)):
            if given:
                raise OptionError(f"text with {name}", expected="one of them", hint="leave one out")

    @property
    def grows_tree(self) -> bool:
        """Whether everything mode stands on the region tree."""
        return self.coverage or self.speed in ("fast", "best") or self.text is not None

    @property
    def style(self) -> Outline:
        """The outline that polygons get."""
        return cast(Outline, self.outline or "exact")

    def plan(self, shape: tuple[int, int], *, side: int) -> WindowPlan:
        """Windows over a grid of `shape` pixels for a network that takes windows of `side` pixels."""
        size = self.window or side
        return WindowPlan(shape, size=size, overlap=size // 8 if self.overlap is None else self.overlap)

    def recipe(self, network: Segmenter) -> Recipe:
        """The model's recipe, with what was asked for of everything mode.

        Area limits are no part of it: they hold for whole objects, and a window may cut one.
        """
        names = ("pred_iou_threshold", "stability_threshold", "spacing_px")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(network.recipe, everything=replace(network.recipe.everything, **given))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the layer's metadata."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain |= {} if self.text else {"text_threshold": None}
        plain |= {} if self.words else {"words": None}
        if self.text_model is not None:
            plain["text_model"] = str(getattr(self.text_model, "key", self.text_model))
        return {name: value for name, value in plain.items() if value not in (None, float("inf"))}


@dataclass
class Report:
    """What a run did, what it skipped and why; filled while the run goes on.

    Attributes
    ----------
    objects
        Polygons written.
    windows, empty
        Windows of the plan; those without data.
    encoded, recalled, resumed
        Windows that went through the encoder; whose embedding came from the store; whose result an interrupted run
        had left.
    skipped
        ``(id, reason)`` of every prompt that gave no polygon.
    outputs
        Files written.
    earlier
        True if a run that was killed at its end had done all, and only their places were left to give.
    """

    objects: int = 0
    windows: int = 0
    empty: int = 0
    encoded: int = 0
    recalled: int = 0
    resumed: int = 0
    seconds: float = 0.0
    skipped: list[tuple[Any, str]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    earlier: bool = False

    def facts(self) -> dict[str, Any]:
        """What is kept until all outputs have their places."""
        return {name: value for name, value in asdict(self).items() if name not in ("outputs", "earlier")}

    @classmethod
    def from_facts(cls, facts: dict[str, Any], outputs: list[Path]) -> "Report":
        """The report of a run that was killed at its end."""
        skipped = [(name, reason) for name, reason in facts.get("skipped", ())]
        return cls(**{**facts, "skipped": skipped}, outputs=outputs, earlier=True)
