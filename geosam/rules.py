"""Rules of values that come from files: their types and bounds, and the words that say so.

True and false are no numbers here, and a number beyond its bounds, or that is none, breaks its rule.
"""

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from geosam.errors import OptionError

SHOWN = 60
"""Characters of an unknown name that a message shows."""


class Rule(NamedTuple):
    """What a value must be, in words, and whether it is."""

    expected: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int, multiple: int = 1) -> Rule:
    """A whole number within bounds; true and false are none.

    Examples
    --------
    >>> rule = whole(16, 64, 16)
    >>> rule.expected, rule.holds(32), rule.holds(33), rule.holds(32.0)
    ('a multiple of 16 from 16 to 64', True, False, False)
    """
    words = "a whole number" if multiple == 1 else f"a multiple of {multiple}"
    return Rule(f"{words} from {low} to {high}", lambda v: type(v) is int and low <= v <= high and v % multiple == 0)


def number(low: float | int, high: float | int) -> Rule:
    """A number within bounds."""
    return Rule(f"a number from {low:g} to {high:g}", lambda v: type(v) in (int, float) and low <= v <= high)


def above(low: float | int, high: float | int) -> Rule:
    """A number above one bound, and at most another.

    Examples
    --------
    >>> above(0, 1).holds(0), above(0, 1).holds(1), above(0, 1).holds(float("nan"))
    (False, True, False)
    """
    return Rule(f"a number above {low:g}, at most {high:g}", lambda v: type(v) in (int, float) and low < v <= high)


def one_of(*values: object) -> Rule:
    """One of a few values."""
    return Rule(" or ".join(map(str, values)), lambda v: any(type(v) is type(each) and v == each for each in values))


def text(most: int, least: int = 0) -> Rule:
    """Printable text."""
    expected = f"printable text of {least} to {most} characters"
    return Rule(expected, lambda v: isinstance(v, str) and least <= len(v) <= most and v.isprintable())


def several(item: Rule, least: int, most: int) -> Rule:
    """A tuple of values that all keep one rule."""
    count = str(least) if least == most else f"{least} to {most}"
    expected = f"{count} values, each {item.expected}"
    return Rule(expected, lambda v: isinstance(v, tuple) and least <= len(v) <= most and all(map(item.holds, v)))


FLAG, SHARE = one_of(True, False), number(0, 1)
"""True or false; a number from 0 to 1."""


def check(given: object, rules: Mapping[str, Rule], inside: str = "") -> None:
    """Hold named values against the rules of their names.

    Raises
    ------
    OptionError
        If they are no mapping, or one is unknown or breaks its rule.

    Examples
    --------
    >>> check({"heads": True}, {"heads": whole(1, 64)}, "decoder_sizes")
    Traceback (most recent call last):
    geosam.errors.OptionError: decoder_sizes.heads=True: expected a whole number from 1 to 64
    """
    if not isinstance(given, Mapping):
        raise OptionError(f"{inside}={reprlib.repr(given)}", expected=f"a table of {', '.join(rules)}")
    for name, value in given.items():
        where = f"{inside}.{name}" if inside else str(name)
        if name not in rules:
            raise OptionError(f"an unknown {where[:SHOWN]}", expected=f"some of {', '.join(rules)}")
        if not rules[name].holds(value):
            raise OptionError(f"{where}={reprlib.repr(value)}", expected=rules[name].expected)
