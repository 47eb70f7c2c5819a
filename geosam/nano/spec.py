"""`NanoSpec`: weights of the built-in family as data, in the names that their files have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from geosam.nano.recipe import former_recipe
from geosam.rules import FLAG, Rule, check, several, whole
from geosam.sam.spec import FIELDS, STRIDE, SamSpec
from geosam.segmenter import Recipe

STAGES = {"conv": 4, "lite0": 2}
"""Encoders, and the stages that each has of its own."""

WIDTH, DEPTH = whole(2, 4096), whole(0, 64)

ENCODER = {
    "widths": several(WIDTH, 2, 4),
    "depths": several(DEPTH, 2, 4),
    "fine_channels": several(whole(1, 1024), 2, 2),
}
"""Sizes of the image encoder."""

RULES = {
    **FIELDS,
    "drawn": FLAG,
    "position_side": whole(0, 65_536),
    "focus_px": several(whole(STRIDE, 16_384), 0, 16),
    "sharpened": FLAG,
    "judged": FLAG,
}
"""All other fields."""


@dataclass(frozen=True)
class NanoSpec(SamSpec):
    """Weights of the built-in family as data.

    Parameters
    ----------
    drawn
        Whether points and boxes are also drawn as maps: where they lie (`PromptMap`) and what looks like what they mark
        (`Likeness`).
    position_side
        Pixels that the positional encoding takes as its unit, whatever the input's side; 0 for the input's own side.
    focus_px
        Sides of the RoI crops in which prompts are decoded, the smallest first.
    sharpened
        Whether the weights hold a mask refiner (`geosam.nano.refiner`).
    judged
        Whether the weights hold a quality model (`geosam.nano.quality_model`).

    Examples
    --------
    >>> sizes = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "fine_channels": (8, 4)}
    >>> NanoSpec("mine", "conv", sizes, width=32).resamples
    False
    """

    drawn: bool = False
    position_side: int = 0
    focus_px: tuple[int, ...] = ()
    sharpened: bool = False
    judged: bool = False

    kinds: ClassVar[tuple[str, ...]] = tuple(STAGES)
    rules: ClassVar[Mapping[str, Rule]] = RULES
    encoder_rules: ClassVar[Mapping[str, Rule]] = ENCODER

    @classmethod
    def from_dict(cls, values: object) -> "NanoSpec":
        """See `SamSpec.from_dict`."""
        return cls(**vars(super().from_dict(values)))

    @classmethod
    def check(cls, values: object) -> dict[str, Any]:
        """See `SamSpec.check`; an encoder has as many widths and depths as stages."""
        checked = super().check(values)
        count, sizes = STAGES[checked["encoder"]], checked["encoder_sizes"]
        rules = {"widths": several(WIDTH, count, count), "depths": several(DEPTH, count, count)}
        check({name: sizes[name] for name in rules}, rules, "encoder_sizes")
        return checked

    @classmethod
    def former(cls, values: Mapping[str, Any]) -> Recipe:
        """See `SamSpec.former`: what was done with clicks and boxes depended on the mask refiner."""
        return former_recipe(refines=values.get("sharpened") is True)

    @property
    def resamples(self) -> bool:
        """Whether images must have exactly one side: none of a convolutional encoder's parameters depends on it."""
        return False
