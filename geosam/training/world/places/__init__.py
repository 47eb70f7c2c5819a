"""Kinds of places: each draws a layout of a given extent from a generator.

Modules build on one another: elements, streets, houses; then the places: built, land, events; then what events leave of
places, and what makes any of them hard to cut into its objects: aftermath, lookalikes.
"""

from collections.abc import Callable

import numpy as np

from geosam.training.world.layout import Layout
from geosam.training.world.places.aftermath import AFTERMATHS
from geosam.training.world.places.built import camp, industry, suburb, town
from geosam.training.world.places.events import flood, landslide, sea, waterside
from geosam.training.world.places.land import barren, farmland, snow, solar, woodland

__all__ = ["AFTERMATHS", "PLACES"]

Place = Callable[[np.random.Generator, float], Layout]

PLACES: dict[str, tuple[Place, float, tuple[float, float]]] = {
    "suburb": (suburb, 0.19, (0.15, 1.2)),
    "town": (town, 0.15, (0.1, 1.0)),
    "industry": (industry, 0.12, (0.15, 1.5)),
    "farmland": (farmland, 0.16, (0.4, 10.0)),
    "woodland": (woodland, 0.07, (0.3, 6.0)),
    "waterside": (waterside, 0.09, (0.3, 5.0)),
    "landslide": (landslide, 0.06, (0.5, 6.0)),
    "flood": (flood, 0.05, (0.2, 3.0)),
    "solar": (solar, 0.05, (0.15, 1.2)),
    "barren": (barren, 0.03, (0.1, 4.0)),
    "camp": (camp, 0.03, (0.15, 0.8)),
    "snow": (snow, 0.0, (0.3, 10.0)),
    "sea": (sea, 0.0, (2.0, 30.0)),
}
"""For each theme the function, how often it is drawn, and its finest and coarsest ground resolution (m per pixel).

Those that are never drawn are for those who ask: training does, now and then (`geosam.training.batches`)."""
