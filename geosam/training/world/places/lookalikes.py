"""What makes any place hard to cut into its objects: neighbours that look alike, and parts that do not.

What a click takes wrongly on real pictures is known (see the model card): it spills onto attached roofs of one colour,
from crowns onto shrubs, from panels onto dark roofs and over faint borders of fields; it stops at sheets of another
colour, at rust and at long shadows. Each of these is drawn here more often than a place has it by itself.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import shapely

from geosam.training.world.layout import Block, Building, Layout, Region, Sun, Tree
from geosam.training.world.materials import Spectrum, pick
from geosam.training.world.places.elements import Random, chance
from geosam.training.world.places.houses import rooftop_panels

ARRAYS = 0.3
"""Share of roofs with a ridge that carry a solar array."""

SHRUBS = 150.0
"""Shrubs on a hectare, at most."""


def harder(rng: Random, layout: Layout) -> Layout:
    """Give the same place with much that looks alike, and with roofs of many colours, under a low sun or a high one."""
    sun = Sun(layout.sun.azimuth, float(np.deg2rad(rng.uniform(10, 25)))) if chance(rng, 0.5) else layout.sun
    buildings = tuple(_alike(rng, layout.buildings) if chance(rng, 0.5) else _patched(rng, layout.buildings))
    return replace(
        layout,
        sun=sun,
        buildings=buildings,
        blocks=(*layout.blocks, *_arrays(rng, buildings)),
        regions=tuple(_faint(rng, layout.regions)),
        trees=(*layout.trees, *_shrubs(rng, layout)) if chance(rng, 0.5) else layout.trees,
    )


def _near(rng: Random, colour: Spectrum, spread: float) -> Spectrum:
    """Nearly the same colour."""
    return colour * np.float32(np.exp(rng.normal(0.0, spread)))


def _alike(rng: Random, buildings: tuple[Building, ...]) -> Iterator[Building]:
    """Roofs of one colour, here and there dark as the panels on them."""
    colour = pick(rng, "panel") if chance(rng, 0.3) else buildings[0].colour if buildings else None
    for each in buildings:
        yield replace(each, colour=_near(rng, each.colour if colour is None else colour, 0.05))


def _patched(rng: Random, buildings: tuple[Building, ...]) -> Iterator[Building]:
    """Roofs of sheets that differ, one facet much lighter than the other."""
    for each in buildings:
        yield replace(each, patchwork=rng.uniform(0.3, 0.9)) if each.form != "round" and chance(rng, 0.7) else each


def _arrays(rng: Random, buildings: tuple[Building, ...]) -> Iterator[Block]:
    for each in buildings:
        if each.form in ("gable", "hip") and chance(rng, ARRAYS):
            yield rooftop_panels(rng, each)


def _faint(rng: Random, regions: tuple[Region, ...]) -> Iterator[Region]:
    """Fields of nearly one colour, even, without ragged borders."""
    fields = [each for each in regions if each.kind == "field"]
    even = bool(fields) and chance(rng, 0.6)
    for each in regions:
        if even and each.kind == "field":
            colour, second = _near(rng, fields[0].colour, 0.06), _near(rng, fields[0].second, 0.06)
            yield replace(each, colour=colour, second=second, strength=each.strength / 2, ragged_m=0.0)
        else:
            yield each


def _shrubs(rng: Random, layout: Layout) -> Iterator[Tree]:
    """Shrubs and small trees in the colours of those that stand there, on open ground."""
    count = int(min(rng.uniform(0.1, 1.0) * SHRUBS * layout.extent_m**2 / 1e4, 240))
    colour = layout.trees[0].colour if layout.trees else pick(rng, "tree")
    taken = shapely.union_all([*_closed(layout)])
    for x, y in rng.uniform(0, layout.extent_m, (count, 2)).tolist():
        radius = float(np.exp(rng.normal(0.2, 0.5)))
        if not shapely.contains_xy(taken, x, y):
            yield Tree(x, y, radius, radius * 1.2, _near(rng, colour, 0.15))


def _closed(layout: Layout) -> Iterator[shapely.Geometry]:
    """Ground on which no shrub is seen: woods, water, roads, roofs."""
    for region in layout.regions:
        if region.kind in ("forest", "orchard", "water", "pitch", "parking"):
            yield shapely.Polygon(region.polygon).buffer(0)
    for road in layout.roads:
        yield shapely.LineString(road.path).buffer(road.width_m / 2 + 1)
    for each in layout.buildings:
        yield shapely.Point(each.x, each.y).buffer(max(each.size_m) * 0.7)
