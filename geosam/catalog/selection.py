"""Which scenes of a catalog are meant, and which of their assets."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from geosam.catalog.items import Item, moment
from geosam.errors import OptionError

_OPERATORS = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*")
_ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Selection:
    """Conditions on time and properties, and the choice of assets; the area of interest is part of the view.

    Attributes
    ----------
    when
        A moment or an interval, ends included, as in STAC: ``"2024-06-01/2024-08-31"``, ``"2024-06/.."``,
        ``"2024"``. An item without a time is in no interval.
    where
        Conditions on properties, such as ``"eo:cloud_cover < 20"``, all of which must hold. An item without the
        property does not meet it.
    asset
        Name of the asset that is the scene, or three names with commas whose first bands are its bands. None: the one
        asset that is a raster, or the one called ``visual``, ``image`` or ``data``.
    limit
        The most scenes; None for all.

    Raises
    ------
    OptionError
        If a condition or an interval cannot be understood.

    Examples
    --------
    >>> from geosam.catalog.items import Item
    >>> summer = Selection(when="2024-06/2024-08", where=("eo:cloud_cover<20",))
    >>> day = moment("2024-08-31T12:00:00Z")
    >>> summer.takes(Item("a", ("a.tif",), when=(day, day), properties={"eo:cloud_cover": 7}))
    True
    """

    when: str | None = None
    where: tuple[str, ...] = ()
    asset: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.where, str):
            object.__setattr__(self, "where", (self.where,))
        for condition in self.where:
            split_condition(condition)
        if self.when is not None:
            read_interval(self.when)

    @property
    def assets(self) -> tuple[str, ...]:
        """The names that `asset` holds."""
        return tuple(name.strip() for name in self.asset.split(",")) if self.asset else ()

    def takes(self, item: Item) -> bool:
        """Whether an item meets the conditions; one with a problem is taken where it does not tell."""
        if self.when is not None:
            first, last = read_interval(self.when)
            if item.when is None and item.problem is None:
                return False
            if item.when is not None and (item.when[1] < first or item.when[0] > last):
                return False
        if item.problem is not None and not item.properties:
            return True
        return all(meets(item.properties, condition) for condition in self.where)


def read_interval(text: str) -> tuple[datetime, datetime]:
    """First and last moment of an interval as in `Selection.when`.

    Examples
    --------
    >>> [end.isoformat() for end in read_interval("2024-02")]
    ['2024-02-01T00:00:00+00:00', '2024-02-29T23:59:59.999999+00:00']
    """
    ends = [end.strip() for end in text.split("/")]
    if len(ends) > 2:
        raise OptionError(f"when={text!r}", expected="a moment, or two with a slash between them")
    first, last = _span(ends[0], text)[0], _span(ends[-1], text)[1]
    if first > last:
        raise OptionError(f"when={text!r}", expected="an interval whose first end comes first")
    return first, last


def _span(text: str, whole: str) -> tuple[datetime, datetime]:
    """What a year, a month, a day or a moment covers; all of time for an open end."""
    if text in ("", ".."):
        return _ALWAYS
    padded = {4: f"{text}-01-01", 7: f"{text}-01"}.get(len(text), text)
    first = moment(padded)
    if first is None:
        raise OptionError(f"when={whole!r}", expected="times such as 2024, 2024-06, 2024-06-30 or 2024-06-30T10:00:00Z")
    after = {
        4: first.replace(month=1, day=1) + timedelta(days=366),
        7: first + timedelta(days=31),
        10: first + timedelta(days=1),
    }.get(len(text))
    if after is None:
        return first, first
    if len(text) < 10:
        after = after.replace(day=1)
    return first, after - timedelta(microseconds=1)


def split_condition(text: str) -> tuple[str, str, str]:
    """Property, operator and value of a condition.

    Examples
    --------
    >>> split_condition("eo:cloud_cover < 20")
    ('eo:cloud_cover', '<', '20')
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise OptionError(f"where={text!r}", expected="a property, one of < <= > >= = !=, and a value")
    return found[1], found[2], found[3].strip("'\"")


def meets(properties: Mapping[str, Any], condition: str) -> bool:
    """Whether the properties meet a condition; numbers are compared as numbers, everything else as text."""
    name, sign, wanted = split_condition(condition)
    value = properties.get(name)
    if value is None:
        return False
    try:
        return bool(_OPERATORS[sign](float(value), float(wanted)))
    except (TypeError, ValueError):
        return bool(_OPERATORS[sign](str(value), wanted))
