"""One scene of a catalog: what it is called, where its pixels are, and what is known of it beforehand."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

_SIDECARS = ("", ".msk", ".aux.xml", ".ovr")
"""What may lie beside a raster and change what it says."""


@dataclass(frozen=True, eq=False)
class Item:
    """A scene that a catalog names.

    Attributes
    ----------
    name
        Letters, digits, ``.``, ``_`` and ``-``; names the scene's outputs, and unique in its catalog.
    paths
        Path or URI of the raster; or of several rasters of one grid, each of which gives a band.
    when
        First and last moment, with their time zone, if known.
    footprint
        Longitude and latitude, if known.
    properties
        Whatever else the catalog says of it.
    """

    name: str
    paths: tuple[str, ...]
    when: tuple[datetime, datetime] | None = None
    footprint: BaseGeometry | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Changes if the item names other rasters, or a local raster or a file beside it changes. 32 hex digits.

        Remote rasters count by their address without its query, and by what the catalog says of their last change.
        """
        facts: list[object] = [self.properties.get(name) for name in ("updated", "created")]
        for path in self.paths:
            facts.append(path.split("?", maxsplit=1)[0])
            for suffix in _SIDECARS:
                try:
                    found = Path(f"{path}{suffix}").stat()
                except OSError:  # absent, remote, or not to be seen now: opening it will say what is wrong
                    continue
                facts.append((suffix, found.st_size, found.st_mtime_ns))
        return sha256(repr(facts).encode()).hexdigest()[:32]


def safe_name(text: str) -> str:
    """A name that every file system takes.

    Examples
    --------
    >>> safe_name("S2A/2024 06.tif"), safe_name("../x")
    ('S2A_2024_06.tif', 'x')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-") or "scene"


def with_unique_names(items: Iterable[Item]) -> list[Item]:
    """The items sorted by name; those whose names differ at most in case get eight digits of their paths' hash.

    Examples
    --------
    >>> found = with_unique_names([Item("b", ("1",)), Item("a", ("x",)), Item("A", ("y",))])
    >>> [item.name for item in found]
    ['A-f1b99769', 'a-133a6860', 'b']
    """
    listed = list(items)
    count = Counter(item.name.lower() for item in listed)
    named = [
        replace(item, name=f"{item.name}-{sha256(repr(item.paths).encode()).hexdigest()[:8]}")
        if count[item.name.lower()] > 1
        else item
        for item in listed
    ]
    return sorted({item.name: item for item in named}.values(), key=lambda item: item.name)


def moment(value: Any) -> datetime | None:
    """A moment with a time zone (UTC where none is given) from a datetime, a pandas timestamp or ISO 8601 text.

    Examples
    --------
    >>> moment("2024-06-01T10:00:00Z").isoformat(), moment(None)
    ('2024-06-01T10:00:00+00:00', None)
    """
    if value is None or value != value:  # noqa: PLR0124  # NaT is the one value that differs from itself
        return None
    found = value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    if not isinstance(found, datetime):
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
