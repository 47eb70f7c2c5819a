"""What a front end may send: JSON objects with a verb, read field by field; whatever is amiss is one line.

A front end is another program, perhaps a hostile one. So nothing of a request is believed before it has been read here:
numbers are finite, lists have an end, ids are whole numbers. What cannot be answered is a `ServeError` whose `kind` a
program can act on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from geosam.display import shown
from geosam.errors import GeosamError

MOST_IDS, MOST_POINTS, MOST_VERTICES = 100_000, 256, 200_000
"""Ids, clicks and vertices of one request; a person gives fewer, and a program that gives more wants another door."""

FAR_PX = 2**40
"""Coordinates beyond which arithmetic with shapes is no longer exact."""


class ServeError(GeosamError, ValueError):
    """A request that cannot be answered."""

    kind: ClassVar[str] = "input"


class OutsideError(ServeError):
    """A place where the scene has no data."""

    kind = "outside"


class NothingError(ServeError):
    """A request that is right, and finds nothing."""

    kind = "nothing"


class GoneError(ServeError):
    """A scene, a shape or an object that is no longer there."""

    kind = "gone"


class BusyError(ServeError):
    """A request that has to wait for another."""

    kind = "busy"


@dataclass(frozen=True)
class Fields:
    """A request, of which fields are taken by name and type.

    Attributes
    ----------
    given
        The JSON object.

    Examples
    --------
    >>> fields = Fields({"verb": "tile", "level": 2, "at": [3, 4.5]})
    >>> fields.whole("level"), fields.point("at"), fields.text("picture", "scene")
    (2, (3.0, 4.5), 'scene')
    >>> fields.whole("col")
    Traceback (most recent call last):
    geosam.serve.requests.ServeError: tile without 'col': expected a whole number from 0 to ...
    """

    given: Mapping[str, Any]

    @property
    def verb(self) -> str:
        """What is asked for; empty if the request does not say."""
        found = self.given.get("verb")
        return found if isinstance(found, str) else ""

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.given.get(name) is not None

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number."""
        value = self.given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, default: float | int, *, least: float | int, most: float | int) -> float:
        """A number within bounds; the default if it is absent or null."""
        value = self.given.get(name)
        value = default if value is None else value
        if not _is_number(value) or not least <= value <= most:
            raise self.wrong(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def text(self, name: str, default: str | None = None, *, most: int = 256) -> str:
        """Some text."""
        value = self.given.get(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise self.wrong(name, f"a text of at most {most} characters")
        return value

    def ids(self, name: str) -> list[int]:
        """Ids of objects, at least one, each once, in the order given."""
        value = self.given.get(name)
        fine = isinstance(value, list) and 1 <= len(value) <= MOST_IDS
        if not fine or any(isinstance(one, bool) or not isinstance(one, int) or one < 1 for one in value or ()):
            raise self.wrong(name, f"a list of 1 to {MOST_IDS} ids")
        return list(dict.fromkeys(value or ()))

    def keys(self, name: str) -> list[str]:
        """Keys of shapes, at least one, each once, in the order given."""
        value = self.given.get(name)
        fine = isinstance(value, list) and 1 <= len(value) <= MOST_IDS
        if not fine or not all(isinstance(one, str) and len(one) <= 64 for one in value or ()):
            raise self.wrong(name, f"a list of 1 to {MOST_IDS} keys of shapes")
        return list(dict.fromkeys(value or ()))

    def point(self, name: str) -> tuple[float, float]:
        """A place ``(x, y)``."""
        return _point(self.given.get(name)) or self._no_point(name)

    def points(self, name: str, *, least: int = 0, most: int = MOST_VERTICES) -> list[tuple[float, float]]:
        """Places ``(x, y)``, none if the field is absent or null."""
        value = self.given.get(name)
        value = [] if value is None else value
        found = [_point(each) for each in value] if isinstance(value, list) and least <= len(value) <= most else [None]
        if None in found:
            raise self.wrong(name, f"a list of {least} to {most} places [x, y]")
        return [each for each in found if each is not None]

    def clicks(self, name: str) -> list[tuple[float, float, int]]:
        """Clicks ``(x, y, 1 or 0)``, none if the field is absent or null."""
        value = self.given.get(name)
        value = [] if value is None else value
        expected = f"a list of at most {MOST_POINTS} clicks [x, y, 1 inside or 0 outside]"
        if not isinstance(value, list) or len(value) > MOST_POINTS:
            raise self.wrong(name, expected)
        found = []
        for each in value:
            place = _point(each[:2]) if isinstance(each, list) and len(each) == 3 else None
            if place is None or isinstance(each[2], bool) or each[2] not in (0, 1):
                raise self.wrong(name, expected)
            found.append((*place, int(each[2])))
        return found

    def box(self, name: str) -> tuple[float, float, float, float] | None:
        """A box ``(x0, y0, x1, y1)`` in order, whichever corners were given; None if it is absent or null."""
        value = self.given.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 4:
            raise self.wrong(name, "four numbers [x0, y0, x1, y1]")
        one, other = _point(value[:2]), _point(value[2:])
        if one is None or other is None:
            raise self.wrong(name, "four numbers [x0, y0, x1, y1]")
        return min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1])

    def wrong(self, name: str, expected: str) -> ServeError:
        """What is said of a field that is not as it must be."""
        verb = shown(self.verb[:40]) or "a request"
        if name not in self.given:
            return ServeError(f"{verb} without {name!r}", expected=expected)
        return ServeError(f"{verb} with {name}={_short(self.given[name])}", expected=expected)

    def _no_point(self, name: str) -> tuple[float, float]:
        raise self.wrong(name, "a place [x, y]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _point(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
        return None
    return (float(value[0]), float(value[1])) if max(map(abs, value)) <= FAR_PX else None


def _short(value: Any) -> str:
    """A value as text of a line's length."""
    text = shown(repr(value)[:200])
    return text if len(text) <= 60 else f"{text[:60]}…"
