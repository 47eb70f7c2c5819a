"""Places where people live and work."""

import numpy as np

from geosam.training.world.layout import Block, Building, Layout, Region
from geosam.training.world.materials import pick
from geosam.training.world.places.elements import (
    Random,
    any_of,
    chance,
    draw_forest,
    draw_ground,
    draw_sun,
    number_of,
    scattered_trees,
)  # fmt: skip
from geosam.training.world.places.houses import MIXES, Quarter, draw_building
from geosam.training.world.places.streets import parking, streets, traffic
from geosam.training.world.shapes import Occupancy, blob, parcels, placed, rectangle


def _laid_out(rng: Random, extent_m: float, block_m: tuple[float, float]):
    """Streets, their direction, and what they leave free."""
    angle = rng.uniform(0, np.pi)
    roads = streets(rng, extent_m, block_m=block_m, angle=angle)
    occupancy = Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 2 for road in roads])
    return roads, angle, occupancy


def suburb(rng: Random, extent_m: float) -> Layout:
    """Houses with gardens along bent streets."""
    roads, angle, occupancy = _laid_out(rng, extent_m, (rng.uniform(50, 80), rng.uniform(90, 220)))
    greens = _greens(rng, occupancy, extent_m, angle)
    quarter = Quarter(rng, occupancy).settle(roads, extent_m=extent_m, density=rng.uniform(0.6, 1.0))
    trees = scattered_trees(rng, occupancy, number_of(rng, extent_m, float(rng.choice([15.0, 60.0, 110.0]))), extent_m)
    return Layout(
        "suburb", extent_m, draw_sun(rng), draw_ground(rng, ("grass", "grass", "dry grass", "soil")),
        regions=(*quarter.yards, *greens), roads=tuple(roads), buildings=tuple(quarter.buildings),
        blocks=(*quarter.blocks, *traffic(rng, roads, 0.12)), trees=tuple(trees),
    )  # fmt: skip


def _greens(rng: Random, occupancy: Occupancy, extent_m: float, angle: float) -> list[Region]:
    """Groves and sports grounds between the houses."""
    found = []
    for _ in range(int(rng.integers(0, 7))):
        x, y = rng.uniform(0, extent_m, 2).tolist()
        radius = rng.uniform(4, 16)
        if occupancy.claim(x, y, (radius * 1.6, radius * 1.6)):
            found.append(draw_forest(rng, blob(rng, (x, y), radius, rough=0.35)))
    if chance(rng, 0.35):
        x, y = (rng.uniform(0.1, 0.9, 2) * extent_m).tolist()
        size = ((24.0, 11.0), (28.0, 15.0), (60.0, 38.0), (100.0, 64.0))[int(rng.integers(4))]
        if occupancy.claim(x, y, size, angle):
            surface = pick(rng, any_of(rng, "grass", "crop", "pool", "tile roof", "concrete"))
            plan = rectangle((x, y), size, angle)
            found.append(Region("pitch", plan, surface, surface * np.float32(0.85), strength=0.2))
    return found


def town(rng: Random, extent_m: float) -> Layout:
    """Roofs wall to wall with lanes between them, as in old towns and informal settlements."""
    roads, angle, occupancy = _laid_out(rng, extent_m, (rng.uniform(40, 80), rng.uniform(50, 110)))
    styles = MIXES[int(rng.integers(len(MIXES)))]
    buildings: list[Building] = []
    side = max(rng.uniform(8, 18), extent_m / 20)
    for lot in parcels(rng, extent_m, side, angle=angle, bend=rng.uniform(0, 0.02)):
        x, y = lot.mean(axis=0).tolist()
        along, across = lot[8] - lot[0], lot[16] - lot[8]
        size = (float(np.hypot(*along)) - rng.uniform(0.3, 2.5), float(np.hypot(*across)) - rng.uniform(0.3, 2.5))
        direction = float(np.arctan2(along[1], along[0]))
        if min(size) > 3 and chance(rng, 0.88) and occupancy.claim(x, y, size, direction):
            buildings.append(draw_building(rng, (x, y, direction), size, any_of(rng, *styles)))
    trees = scattered_trees(rng, occupancy, number_of(rng, extent_m, 14.0), extent_m)
    return Layout(
        "town", extent_m, draw_sun(rng), draw_ground(rng, ("soil", "concrete", "gravel", "grass"), 12.0),
        roads=tuple(roads), buildings=tuple(buildings), blocks=tuple(traffic(rng, roads, 0.2)), trees=tuple(trees),
    )  # fmt: skip


def industry(rng: Random, extent_m: float) -> Layout:
    """Halls, tanks, containers and car parks on paved ground."""
    roads, angle, occupancy = _laid_out(rng, extent_m, (rng.uniform(90, 160), rng.uniform(120, 220)))
    buildings: list[Building] = []
    blocks: list[Block] = []
    lots: list[Region] = []
    for x, y in rng.uniform(0, extent_m, (int(min(40 + extent_m**2 / 1500, 90)), 2)).tolist():
        turn = angle + (np.pi / 2 if chance(rng, 0.5) else 0.0)
        size, kind = (rng.uniform(20, 60), rng.uniform(14, 35)), rng.random()
        if kind < 0.45 and occupancy.claim(x, y, (size[0] + 5, size[1] + 5), turn):
            style = any_of(rng, "membrane", "metal", "slab", "membrane", "painted")
            buildings.append(draw_building(rng, (x, y, turn), size, style))
        elif kind < 0.65 and occupancy.claim(x, y, size, turn):
            lot, cars = parking(rng, (x, y), size, turn, full=rng.uniform(0.2, 0.95))
            lots.append(lot)
            blocks += cars
        elif kind < 0.72 and occupancy.claim(x, y, (12.0, 12.0)):
            width = rng.uniform(6, 14)
            buildings.append(
                Building(x, y, (width, width), 0.0, "round", pick(rng, "metal roof"), rng.uniform(5, 12), clutter=0.05)
            )
        elif kind >= 0.72:
            blocks += _containers(rng, occupancy, (x, y), turn)
    trees = scattered_trees(rng, occupancy, number_of(rng, extent_m, 5.0), extent_m)
    return Layout(
        "industry", extent_m, draw_sun(rng), draw_ground(rng, ("concrete", "asphalt", "gravel", "grass", "dry grass")),
        regions=tuple(lots), roads=tuple(roads), buildings=tuple(buildings),
        blocks=(*blocks, *traffic(rng, roads, 0.25)), trees=tuple(trees),
    )  # fmt: skip


def _containers(rng: Random, occupancy: Occupancy, place: tuple[float, float], angle: float) -> list[Block]:
    """A stack of one to eight containers side by side."""
    length = 12.2 if chance(rng, 0.7) else 6.1
    stack = []
    for row in range(int(rng.integers(1, 9))):
        x, y = placed(place, angle, 0.0, row * 2.9).tolist()
        if occupancy.claim(x, y, (length + 0.5, 2.6), angle):
            stack.append(Block("container", x, y, (length, 2.45), angle, pick(rng, "truck", 0.25), height_m=2.6))
    return stack


def camp(rng: Random, extent_m: float) -> Layout:
    """Rows of tents and shelters on bare ground."""
    roads, angle, occupancy = _laid_out(rng, extent_m, (rng.uniform(30, 60), rng.uniform(60, 120)))
    earth = pick(rng, any_of(rng, "soil", "gravel", "sand"))
    tent = (rng.uniform(5, 9), rng.uniform(3.5, 5))
    pitch = max(tent[0] + rng.uniform(1, 4), extent_m / 26), max(tent[1] + rng.uniform(1, 5), extent_m / 26)
    buildings = []
    style = any_of(rng, "membrane", "membrane", "painted", "metal")
    reach = 0.7 * extent_m
    for v in np.arange(-reach, reach, pitch[1]):
        for u in np.arange(-reach, reach, pitch[0]):
            x, y = placed((extent_m / 2, extent_m / 2), angle, u, v).tolist()
            if 0 < x < extent_m and 0 < y < extent_m and chance(rng, 0.85) and occupancy.claim(x, y, tent, angle):
                colour = pick(rng, f"{style} roof", 0.1)
                buildings.append(
                    Building(x, y, tent, angle + rng.normal(0, 0.05), "gable", colour, 1.2, 0.6, clutter=0.0)
                )
    dusty = tuple(type(road)(road.path, road.width_m, earth * np.float32(1.15), None) for road in roads)
    trees = scattered_trees(rng, occupancy, number_of(rng, extent_m, 6.0), extent_m)
    return Layout(
        "camp", extent_m, draw_sun(rng), draw_ground(rng, ("soil", "gravel", "sand", "dry grass")), roads=dusty,
        buildings=tuple(buildings), blocks=tuple(traffic(rng, roads, 0.06)), trees=tuple(trees),
    )  # fmt: skip
