"""How a model is asked while the hand moves: briefly where it passes, and no longer than it stays where it rests."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

from geosam.segmenter import Clicks, Recipe, Segmenter

STEPS = ("decode", "decode_rois", "refine")
"""Verbs of the port of which an answer is made."""


def brief(recipe: Recipe) -> Recipe:
    """A recipe without what asks the model more than once about a click: second alternatives, a second pass.

    Examples
    --------
    >>> from geosam.segmenter import SecondPass
    >>> brief(Recipe(second_pass=SecondPass(clicks=True))) == Recipe()
    True
    """
    once = {"in_turn": recipe.clicks.in_turn, "reach": recipe.clicks.reach}
    return replace(recipe, clicks=Clicks(**once), second_pass=replace(recipe.second_pass, clicks=False))


def asked_briefly(network: Segmenter) -> Segmenter | None:
    """The same model with the brief recipe; None if its own is as brief.

    Examples
    --------
    >>> from geosam.segmenter import SecondPass
    >>> from geosam.testing import TruthNetwork
    >>> asked_briefly(TruthNetwork()) is None
    True
    >>> asked_briefly(TruthNetwork(recipe=Recipe(second_pass=SecondPass(clicks=True)))).recipe == Recipe()
    True
    """
    recipe = brief(network.recipe)
    return None if recipe == network.recipe else _changed(network, recipe=recipe)


def checked_between(network: Segmenter, check: Callable[[], None]) -> Segmenter:
    """The same model, which calls `check` before each step of an answer; what that raises ends the answer.

    Examples
    --------
    >>> from geosam.testing import TruthNetwork
    >>> def check():
    ...     raise TimeoutError("the hand moved on")
    >>> checked_between(TruthNetwork(), check).decode(None, None)
    Traceback (most recent call last):
    TimeoutError: the hand moved on
    """

    def checked(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **how: Any) -> Any:
            check()
            return step(*args, **how)

        return call

    return _changed(network, **{name: checked(getattr(network, name)) for name in STEPS})


def _changed(network: Segmenter, **changes: Any) -> Segmenter:
    """A copy of a model, which may be a frozen value, with other attributes."""
    changed = copy(network)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed
