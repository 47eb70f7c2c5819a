"""Specifications as earlier versions wrote them, read as what they are now.

Before there were recipes, ``thresholds`` held the options of everything mode, and how clicks and boxes were answered
depended on whether the weights held a mask refiner. What nothing reads any longer is left out.
"""

import logging
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geosam.errors import OptionError
from geosam.rules import FLAG, SHARE, Rule, check, number, whole
from geosam.segmenter import Recipe

GONE: Mapping[str, Rule] = {"object_px": number(0, 65_536)}
"""Fields of a specification that are gone."""

GONE_THRESHOLDS: Mapping[str, Rule] = {
    "spare": FLAG,
    "sure": SHARE,
    "batch": whole(1, 65_536),
    "min_area_px": number(0, float("inf")),
    "max_area_px": number(0, float("inf")),
}
"""Entries of ``thresholds`` that are gone."""

GONE_CLICKS: Mapping[str, Rule] = {
    "jitter_px": Rule("pairs of numbers", lambda v: isinstance(v, list | tuple) and len(v) <= 16),
    "clip": number(0.1, 100),
}
"""Entries of a recipe's ``clicks`` that are gone."""

IDLE: Mapping[str, Any] = {
    "object_px": 0,
    "spare": False,
    "min_area_px": 0,
    "max_area_px": float("inf"),
    "jitter_px": [],
    "clip": 8.0,
}
"""Values at which they changed nothing; the others never changed what is found, or only with these."""

PLACES: Mapping[str, tuple[str, str]] = {
    **{
        name: ("everything", name)
        for name in (
            "spacing_px",
            "whole_every",
            "pred_iou_threshold",
            "stability_threshold",
            "stability_offset",
            "passes",
            "relax",
            "connected",
        )
    },
    "nms_iou": ("suppression", "nms_iou"),
    "overlap": ("suppression", "overlap"),
    "support": ("suppression", "consensus"),
    "redraw": ("second_pass", "everything"),
    "judged": ("quality", "enabled"),
}
"""Where the other entries of ``thresholds`` lie in a recipe: its step, and the name there."""

log = logging.getLogger(__name__)


def modernised(values: Mapping[str, Any], base: Recipe | None = None) -> dict[str, Any]:
    """Bring the values of a specification to this version; a recipe becomes a `Recipe`.

    Parameters
    ----------
    values
        As a file holds them; of them nothing else is checked here.
    base
        The recipe that such weights had where ``thresholds`` say nothing; by default plain SAM's.

    Raises
    ------
    OptionError
        If a recipe, ``thresholds``, or what is gone has a value that it cannot have.

    Examples
    --------
    >>> values = modernised({"name": "mine", "object_px": 0.0, "thresholds": {"passes": 1, "judged": True}})
    >>> values["judged"], values["recipe"].everything.passes, values["recipe"].quality.enabled
    (True, 1, True)
    """
    kept = _without(values, GONE)
    if "thresholds" not in kept:
        if "recipe" in kept and not isinstance(kept["recipe"], Recipe):
            kept["recipe"] = Recipe.from_dict(_of_now(kept["recipe"]))
        return kept
    thresholds = kept.pop("thresholds")
    if "recipe" in kept or not isinstance(thresholds, Mapping):
        raise OptionError("thresholds: not a table, or beside a recipe", expected="a recipe")
    thresholds = _without(thresholds, GONE_THRESHOLDS)
    if not thresholds.keys() <= PLACES.keys():
        unknown = ", ".join(sorted(map(str, thresholds.keys() - PLACES.keys())))
        raise OptionError(f"an unknown thresholds.{unknown[:60]}", expected=f"some of {', '.join(PLACES)}")
    recipe = base or Recipe()
    for name, value in thresholds.items():
        step, field = PLACES[name]
        part = getattr(recipe, step)
        try:
            check({field: value}, part.rules)
        except OptionError as error:
            raise OptionError(f"thresholds.{name}={reprlib.repr(value)}", expected=error.expected) from error
        recipe = replace(recipe, **{step: replace(part, **{field: value})})
    judged = {"judged": True} if recipe.quality.enabled else {}
    return {**kept, "recipe": recipe, **judged}


def _of_now(recipe: Any) -> Any:
    """A recipe without what is gone; what is no recipe as it is."""
    clicks = recipe.get("clicks") if isinstance(recipe, Mapping) else None
    return {**recipe, "clicks": _without(clicks, GONE_CLICKS)} if isinstance(clicks, Mapping) else recipe


def _without(values: Mapping[str, Any], gone: Mapping[str, Rule]) -> dict[str, Any]:
    former = {name: value for name, value in values.items() if name in gone}
    check(former, gone)
    for name, value in former.items():
        if value != IDLE.get(name, value):
            log.warning("%s=%r of these weights is outdated: nothing reads it any longer", name, value)
    return {name: value for name, value in values.items() if name not in gone}
