"""What a disaster makes of a place that was there before."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import shapely

from geosam.training.world.layout import Building, Layout, Region, Tree
from geosam.training.world.materials import pick
from geosam.training.world.places.elements import Random, chance
from geosam.training.world.places.events import flooded, slid
from geosam.training.world.shapes import blob

FALLEN = 0.6
"""Damage from which a building no longer stands at its height."""


def burnt(rng: Random, layout: Layout) -> Layout:
    """Charred ground; on it few crowns are left, and every other building is a ruin."""
    centre = (rng.uniform(0.25, 0.75, 2) * layout.extent_m).tolist()
    shape = blob(rng, (centre[0], centre[1]), layout.extent_m * rng.uniform(0.2, 0.45), rough=0.4)
    area = shapely.Polygon(shape).buffer(0)
    char = Region(
        "burn",
        shape,
        pick(rng, "asphalt") * np.float32(0.35),
        pick(rng, "soil") * np.float32(0.4),
        strength=0.5,
        ragged_m=4.0,
    )

    def scorched(thing: Building | Tree) -> bool:
        return bool(shapely.contains_xy(area, thing.x, thing.y))

    trees = tuple(tree for tree in layout.trees if not scorched(tree) or chance(rng, 0.2))
    ruined = [scorched(each) and chance(rng, 0.5) for each in layout.buildings]
    buildings = (
        damaged(each, rng.uniform(0.7, 1.0)) if ruin else each
        for each, ruin in zip(layout.buildings, ruined, strict=True)
    )
    return replace(layout, regions=(*layout.regions, char), trees=trees, buildings=tuple(buildings))


def shaken(rng: Random, layout: Layout) -> Layout:
    """Some roofs broken, some buildings collapsed to rubble."""
    strength = rng.uniform(0.3, 0.9)
    buildings = (damaged(each, rng.uniform(0.2, 1.0)) if chance(rng, strength) else each for each in layout.buildings)
    return replace(layout, buildings=tuple(buildings))


def damaged(building: Building, amount: float) -> Building:
    """A building with its roof broken by an amount in [0, 1]; one that has fallen is lower too.

    Examples
    --------
    >>> from geosam.training.world.materials import spectrum
    >>> hall = Building(0.0, 0.0, (20.0, 9.0), 0.0, "gable", spectrum("b0603f", 0.3), 6.0)
    >>> damaged(hall, 0.3).height_m, damaged(hall, 1.0).height_m
    (6.0, 1.5)
    """
    low = 0.25 if amount >= FALLEN else 1.0
    return replace(building, damage=amount, height_m=building.height_m * low)


AFTERMATHS: dict[str, tuple[Callable[[Random, Layout], Layout], tuple[str, ...]]] = {
    "flood": (flooded, ("farmland", "suburb", "town")),
    "landslide": (slid, ("woodland", "farmland", "suburb")),
    "fire": (burnt, ("suburb", "woodland", "camp")),
    "earthquake": (shaken, ("town", "suburb", "industry")),
}
"""For each event what it does, and the places that it is drawn for."""
