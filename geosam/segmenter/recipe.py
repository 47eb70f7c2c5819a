"""`Recipe`: how prompts become masks with one model, as data.

A model answers prompts; how often it is asked, which of its answers is taken and what is done with them afterwards
depends on the model, and is written here and nowhere else. A recipe travels with the weights (`SamSpec.recipe`), and
without one a model is treated as plain SAM (Kirillov et al. 2023, "Segment Anything"): one decode for each prompt, the
alternative of the best predicted IoU. Where the values of the built-in model come from, docs/experiments.md tells.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from geosam.errors import OptionError
from geosam.rules import FLAG, SHARE, Rule, check, number, several, whole

Number = int | float

LOGITS, PIXELS, WEIGHT = number(-100, 100), number(0, 65_536), number(-10, 10)
"""Rules of logits, lengths and weights."""

NO_REACH = Rule("a number from 0 to 100, or none", lambda v: v is None or number(0, 100).holds(v))
"""Rule of how far a click may change a mask."""


class Checked:
    """A group of fields that are held against their rules when it is made."""

    rules: ClassVar[Mapping[str, Rule]]

    def __post_init__(self) -> None:
        check(vars(self), self.rules, type(self).__name__.lower())


@dataclass(frozen=True)
class Clicks(Checked):
    """How prompts of clicks alone are answered.

    Parameters
    ----------
    in_turn
        Answer several clicks one after another: the most central inside click first, then each that calls the answer
        wrong. False decodes all of a prompt's clicks at once.
    ambiguity
        Difference of the two best predicted IoUs of a single click below which both alternatives are refined before
        one is chosen.
    refined_weight, central_weight
        What counts beside the decoder's predicted IoU in that choice: the IoU predicted for the refined mask, and how
        central the click lies in it.
    reach
        How far from the outline a corrective click may change a mask, as a multiple of the click's distance from it;
        None lets it change everything.
    """

    in_turn: bool = False
    ambiguity: Number = 0.0
    refined_weight: Number = 0.0
    central_weight: Number = 0.0
    reach: Number | None = None

    rules: ClassVar[Mapping[str, Rule]] = {
        "in_turn": FLAG,
        "ambiguity": SHARE,
        "refined_weight": WEIGHT,
        "central_weight": WEIGHT,
        "reach": NO_REACH,
    }


@dataclass(frozen=True)
class Boxes(Checked):
    """What the box-side prior adds to refined masks: the object of a user's box reaches all of its sides.

    Parameters
    ----------
    bias
        Logits by which every mask in a box is made likelier.
    loose
        Logits by which it is made less likely for each whole box by which the mask stays away from the side to which
        it is second nearest: so loosely the box was drawn.
    pull
        Logits by which it is made likelier next to a side for each whole box that it stays away from it beyond that.
    outside
        Logits by which what lies outside is made less likely for each half of the box beyond a side, up to a quarter.
    """

    bias: Number = 0.0
    loose: Number = 0.0
    pull: Number = 0.0
    outside: Number = 0.0

    rules: ClassVar[Mapping[str, Rule]] = dict.fromkeys(("bias", "loose", "pull", "outside"), LOGITS)


@dataclass(frozen=True)
class Refinement(Checked):
    """How a model's mask refiner is used.

    Parameters
    ----------
    enabled
        Whether masks are refined; the model has to know how (`Capabilities.refines`).
    passes
        How often the answer to a user's box is refined; all other masks are refined once.
    margin
        How far the refiner's RoI crop reaches beyond a mask to every side, as a share of its longer side.
    edge
        Greatest logit at an edge of the crop beyond which the window goes on: no mask ends there.
    cut
        Share of a side of the crop along which a refined mask may reach such an edge; one that has more stays as it
        was.
    nms_iou
        Everything mode: IoU above which of two masks only the better one is refined.
    hidden
        Everything mode: share of a mask that masks refined before may cover; with more, it is not refined.
    batch
        Everything mode: masks refined before it is seen again which ground is open.
    sure
        Everything mode: logit to which low-res masks are raised inside, and lowered outside, before they are refined.
    """

    enabled: bool = False
    passes: int = 1
    margin: Number = 0.25
    edge: Number = -1.0
    cut: Number = 1 / 6
    nms_iou: Number = 0.7
    hidden: Number = 0.5
    batch: int = 64
    sure: Number = 4.0

    rules: ClassVar[Mapping[str, Rule]] = {
        **dict.fromkeys(("cut", "nms_iou", "hidden"), SHARE),
        "enabled": FLAG,
        "passes": whole(1, 8),
        "margin": number(0, 4),
        "edge": LOGITS,
        "batch": whole(1, 65_536),
        "sure": number(0.1, 100),
    }


@dataclass(frozen=True)
class SecondPass(Checked):
    """Whether masks are decoded again from their own box, a little expanded, as a cascade of detectors does.

    After Cai and Vasconcelos 2018, "Cascade R-CNN".

    Parameters
    ----------
    clicks, everything
        Whether answers to clicks, and masks of everything mode, have a second pass.
    expand
        How far the box reaches beyond the mask to every side, as a share of the mask's box.
    bias
        Logits by which an answer to clicks is made likelier in that box.
    spill
        Everything mode: greatest share of the new mask that may lie on other masks; with more, the first one stays.
    iou_weights
        Predicted IoU of an answer to clicks after a second pass: what the IoUs predicted for the first and the second
        mask and the IoU between the two count, and what is taken from the sum.
    """

    clicks: bool = False
    everything: bool = False
    expand: Number = 0.08
    bias: Number = 0.0
    spill: Number = 0.1
    iou_weights: tuple[Number, ...] = (0.0, 1.0, 0.0, 0.0)

    rules: ClassVar[Mapping[str, Rule]] = {
        "clicks": FLAG,
        "everything": FLAG,
        "expand": number(0, 4),
        "bias": LOGITS,
        "spill": SHARE,
        "iou_weights": several(WEIGHT, 4, 4),
    }


@dataclass(frozen=True)
class Everything(Checked):
    """How everything mode looks and what it keeps; by default a plain SAM covers the ground as a map should.

    Parameters
    ----------
    spacing_px
        Pixels between the points of the grid, which is anchored to the scene's first pixel.
    whole_every
        Points on every so manyth row and column of the grid are decoded in the whole window, the others in RoI crops
        (`Capabilities.roi_px`), for a fraction of the work. Large objects are then found from the former alone. 1
        decodes all in the whole window.
    pred_iou_threshold, stability_threshold
        Least predicted IoU and least stability of a mask that is kept, both in [0, 1].
    stability_offset
        Logits by which the threshold moves to either side when stability is measured.
    passes, relax
        Each pass after the first lowers both thresholds by `relax` for points on ground that no kept mask covers.
        Strict thresholds alone leave a third to two thirds of an aerial scene without a segment (Remote SAMsing,
        arXiv 2605.00256); further passes need no further decoding.
    connected
        Keep of each mask only the connected component on which its point lies.

    Examples
    --------
    >>> Everything(spacing_px=16).pred_iou_threshold
    0.8
    >>> Everything(pred_iou_threshold=2)
    Traceback (most recent call last):
    geosam.errors.OptionError: everything.pred_iou_threshold=2: expected a number from 0 to 1
    """

    spacing_px: Number = 32.0
    whole_every: int = 1
    pred_iou_threshold: Number = 0.8
    stability_threshold: Number = 0.9
    stability_offset: Number = 1.0
    passes: int = 2
    relax: Number = 0.1
    connected: bool = True

    rules: ClassVar[Mapping[str, Rule]] = {
        "spacing_px": number(1, 65_536),
        "whole_every": whole(1, 65_536),
        "pred_iou_threshold": SHARE,
        "stability_threshold": SHARE,
        "stability_offset": number(0, 100),
        "passes": whole(1, 64),
        "relax": SHARE,
        "connected": FLAG,
    }


@dataclass(frozen=True)
class Suppression(Checked):
    """Which of the masks of everything mode stay.

    Parameters
    ----------
    nms_iou
        Non-maximum suppression: IoU, of boxes or of masks, above which two masks that share most of the smaller one
        are the same object.
    overlap
        Greatest share of a mask that better masks may cover, in [0, 1]. Below 1 masks are laid out without overlap, as
        on a map, instead of keeping wholes beside their parts, and `nms_iou` has no say.
    consensus
        Prefer masks on whose ground the other points answer alike, not stable ones.
    """

    nms_iou: Number = 0.7
    overlap: Number = 1.0
    consensus: bool = False

    rules: ClassVar[Mapping[str, Rule]] = {"nms_iou": SHARE, "overlap": SHARE, "consensus": FLAG}


@dataclass(frozen=True)
class Quality(Checked):
    """How the model's quality model re-ranks the masks of everything mode.

    Parameters
    ----------
    enabled
        Whether it does; the model has to hold one (`Capabilities.scores`).
    weight
        Weight of what it expects of a mask, beside the IoU predicted for the refined mask; in [0, 1].
    """

    enabled: bool = False
    weight: Number = 1.0

    rules: ClassVar[Mapping[str, Rule]] = {"enabled": FLAG, "weight": SHARE}


STEPS: Mapping[str, Any] = {
    "clicks": Clicks,
    "boxes": Boxes,
    "refinement": Refinement,
    "second_pass": SecondPass,
    "everything": Everything,
    "suppression": Suppression,
    "quality": Quality,
}
"""The groups of a recipe."""


@dataclass(frozen=True)
class Recipe:
    """How prompts become masks, a group of values for each step; by default as plain SAM does it.

    Parameters
    ----------
    clicks, boxes, refinement, second_pass, everything, suppression, quality
        The steps.

    Raises
    ------
    OptionError
        If a value is out of its range.

    Examples
    --------
    >>> recipe = Recipe(everything=Everything(spacing_px=16))
    >>> Recipe.from_dict(recipe.to_dict()) == recipe, recipe.refinement.enabled
    (True, False)
    """

    clicks: Clicks = field(default_factory=Clicks)
    boxes: Boxes = field(default_factory=Boxes)
    refinement: Refinement = field(default_factory=Refinement)
    second_pass: SecondPass = field(default_factory=SecondPass)
    everything: Everything = field(default_factory=Everything)
    suppression: Suppression = field(default_factory=Suppression)
    quality: Quality = field(default_factory=Quality)

    def __post_init__(self) -> None:
        for each in fields(self):
            if not isinstance(getattr(self, each.name), STEPS[each.name]):
                raise OptionError(
                    f"recipe.{each.name}={getattr(self, each.name)!r}", expected=STEPS[each.name].__name__
                )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values by step and name, as a weights file holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> "Recipe":
        """Rebuild what `to_dict` took apart; steps and values that are not given are plain SAM's."""
        if not isinstance(values, Mapping) or not values.keys() <= STEPS.keys():
            raise OptionError("recipe: not a table of steps", expected=f"some of {', '.join(STEPS)}")
        steps = {}
        for name, given in values.items():
            check(given, STEPS[name].rules, f"recipe.{name}")
            steps[name] = STEPS[name](**given)
        return cls(**steps)
