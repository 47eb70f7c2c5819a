"""One scene of a catalog: what it is called, where its pixels are, and what is known of it beforehand."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from geosam.display import shown
from geosam.errors import GeosamError
from geosam.paths import is_remote
from geosam.scene.dataset import open_dataset
from geosam.scene.fingerprint import Stamp, files_of, lasting
from geosam.scene.origin import Origin

MOST_NAME = 100
"""Letters of a scene's name; a longer one ends with eight digits of its hash."""

_SIDECARS = ("", ".msk", ".aux.xml", ".ovr")
"""What may lie beside a raster and change what it says, though GDAL may not read it yet."""

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever follows the dot."""


@dataclass(frozen=True, eq=False)
class Item:
    """A scene that a catalog names.

    Attributes
    ----------
    name
        Letters, digits, ``.``, ``_`` and ``-``; names the scene's outputs, and unique in its catalog.
    paths
        Path or URI of the raster; or of several rasters of one grid, each of which gives a band. Only these may hold
        secrets, such as a signature.
    when
        First and last moment, with their time zone, if known.
    footprint
        Longitude and latitude, if known.
    properties
        Whatever else the catalog says of it.
    problem
        Why it cannot be a scene; None for one that may be.
    """

    name: str
    paths: tuple[str, ...]
    when: tuple[datetime, datetime] | None = None
    footprint: BaseGeometry | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    problem: GeosamError | None = None

    @classmethod
    def broken(cls, name: str, problem: GeosamError) -> "Item":
        """An item of which no more than its name is known, and what is wrong with it.

        Examples
        --------
        >>> Item.broken("b 7", GeosamError("item 'b 7' has no asset")).name
        'b_7'
        """
        return cls(safe_name(name), (), problem=problem)

    @property
    def place(self) -> str:
        """Its rasters as they may be shown and stored, without secrets."""
        return ", ".join(map(shown, self.paths))

    @property
    def identity(self) -> str:
        """Changes if the item names other rasters, or a local file that GDAL reads for one changes. 32 hex digits.

        Remote rasters count by their address without what is passing in it, such as a signature, and by what the
        catalog says of their last change.
        """
        facts: list[object] = [self.properties.get(name) for name in ("updated", "created")]
        for path in self.paths:
            facts += [lasting(path), *sorted(_files(path))]
        return sha256(repr(facts).encode()).hexdigest()[:32]


def _files(path: str) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of the local files that a raster is made of, as far as they can be told now."""
    if is_remote(path):
        return
    files = {Path(f"{path}{suffix}") for suffix in _SIDECARS}
    try:
        files.update(Origin.of(path).files)
        with open_dataset(path) as dataset:
            files.update(files_of(dataset))
    except GeosamError:  # opening it again will say what is wrong
        pass
    yield from (found[:3] for found in map(Stamp.of, files) if found is not None)


def safe_name(text: str) -> str:
    """A name that every file system takes.

    Examples
    --------
    >>> safe_name("S2A/2024 06.tif"), safe_name("../x"), safe_name("con")
    ('S2A_2024_06.tif', 'x', 'scene-con')
    >>> len(safe_name(300 * "x"))
    100
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-") or "scene"
    if _DEVICES.match(name):
        name = f"scene-{name}"
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 9]}-{_digits(text)}"


def with_unique_names(items: Iterable[Item]) -> list[Item]:
    """The items sorted by name, each once; those whose names differ at most in case get digits of their paths' hash.

    Examples
    --------
    >>> found = with_unique_names([Item("b", ("1",)), Item("a", ("x",)), Item("A", ("y",))])
    >>> [item.name for item in found]
    ['A-f1b99769', 'a-133a6860', 'b']
    """
    listed = {(item.name, _lasting(item), str(item.problem)): item for item in items}.values()
    count = Counter(item.name.lower() for item in listed)
    named = [
        replace(item, name=f"{item.name}-{_digits(repr(_lasting(item)))}") if count[item.name.lower()] > 1 else item
        for item in listed
    ]
    taken: dict[str, Item] = {}
    for item in sorted(named, key=lambda item: (item.name, item.paths)):
        number, name = 1, item.name
        while name.lower() in taken:
            number, name = number + 1, f"{item.name}-{number + 1}"
        taken[name.lower()] = replace(item, name=name)
    return sorted(taken.values(), key=lambda item: item.name)


def _lasting(item: Item) -> tuple[str, ...]:
    return tuple(map(lasting, item.paths))


def _digits(text: str) -> str:
    """Eight hex digits that change with a text."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


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
