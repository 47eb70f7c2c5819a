"""Pairs of scenes out of a catalog: one from before an event, and one from after it that shows the same ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import shapely

from geosam.catalog.items import Item
from geosam.catalog.selection import read_interval
from geosam.catalog.sources import with_footprint
from geosam.errors import CatalogError

PAIRS = "pairs"
"""Folder of what was found in each pair, in that of a run."""

LEAST_SHARE = 0.05
"""Share of a scene's ground that another scene before must add to be compared with it as well."""


@dataclass(frozen=True)
class DatePair:
    """A scene from before an event and one from after it.

    Attributes
    ----------
    before, after
        The scenes.
    """

    before: Item
    after: Item

    @property
    def name(self) -> str:
        """Names the pair's files."""
        return pair_name(self.before, self.after)

    @property
    def date(self) -> str:
        """The day of the scene after, ISO 8601."""
        return taken(self.after)[0].date().isoformat()


def pair_items(items: Sequence[Item], event: str) -> tuple[list[DatePair], dict[str, str]]:
    """Pair each scene after an event with the scenes before it that show the most of its ground.

    The scene before that shares most ground comes first, of equal ones the last taken; another one joins where it adds
    at least a twentieth of the ground.

    Parameters
    ----------
    items
        Scenes with times; footprints are read from the rasters where the catalog tells none.
    event
        A moment or an interval, see `geosam.catalog.Selection.when`.

    Returns
    -------
    The pairs, by time, and for each scene that is in none the reason.

    Raises
    ------
    CatalogError
        If no scene was taken before, or none after.
    """
    begin, end = read_interval(event)
    usable, skipped = [], {}
    for item in items:
        if item.problem is None and item.when is not None:
            usable.append(with_footprint(item))
        else:
            skipped[item.name] = str(item.problem or "no time")
    before = [item for item in usable if taken(item)[1] < begin]
    after = sorted((item for item in usable if taken(item)[0] > end), key=lambda item: (taken(item), item.name))
    for when, found in (("before", before), ("after", after)):
        if not found:
            said = f"; {len(skipped)} have no time or cannot be read" if skipped else ""
            raise CatalogError(
                f"none of {len(items)} scenes was taken {when} {event}{said}",
                expected="scenes with times from before and after the event",
                hint="name the event's time (--event), or give a STAC catalog or a table with the column datetime",
            )
    pairs = [DatePair(partner, item) for item in after for partner in _partners(item, before)]
    used = {item.name for pair in pairs for item in (pair.before, pair.after)}
    why = dict.fromkeys((item.name for item in before), "others before show more of the ground")
    why |= dict.fromkeys((item.name for item in after), "no scene before shows its ground")
    left = {item.name: why.get(item.name, "taken during the event") for item in usable if item.name not in used}
    return pairs, skipped | left


def pair_name(before: Item, after: Item) -> str:
    """Names the files of a pair.

    Examples
    --------
    >>> pair_name(Item("may", ("may.tif",)), Item("june", ("june.tif",)))
    'june--may'
    """
    return f"{after.name}--{before.name}"


def pair_path(folder: Path, name: str) -> Path:
    """Where what was found in the pair of a name lies in the folder of a run."""
    return folder / PAIRS / f"{name}.gpkg"


def taken(item: Item) -> tuple[datetime, datetime]:
    """When a scene was taken, its first and last moment."""
    return cast("tuple[datetime, datetime]", item.when)


def _partners(item: Item, before: Sequence[Item]) -> list[Item]:
    """The scenes before that show the ground of one after, as few as do."""
    rest, chosen = item.footprint, []
    if rest is None or not (whole := shapely.area(rest)):
        return []
    while shares := [
        (shapely.area(shapely.intersection(rest, one.footprint)) / whole, taken(one)[0], one.name, one)
        for one in before
        if one.footprint is not None
    ]:
        share, _, _, best = max(shares, key=lambda found: found[:3])
        if share < LEAST_SHARE:
            break
        chosen.append(best)
        rest = shapely.difference(rest, best.footprint)
    return chosen
