"""Places that are worked or left to nature."""

from dataclasses import replace

import numpy as np

from geosam.training.world.layout import Block, Layout, Region, Road
from geosam.training.world.materials import pick
from geosam.training.world.places.elements import (
    Random,
    any_of,
    chance,
    draw_field,
    draw_forest,
    draw_ground,
    draw_orchard,
    draw_sun,
    draw_water,
    number_of,
    scattered_trees,
)  # fmt: skip
from geosam.training.world.places.houses import Quarter
from geosam.training.world.places.streets import lanes
from geosam.training.world.shapes import Occupancy, blob, inset, meander, parcels, placed, rectangle, ribbon


def farmland(rng: Random, extent_m: float) -> Layout:
    """Fields with lanes, woods, ponds, a stream and farmsteads."""
    angle, bend = rng.uniform(0, np.pi), float(rng.choice([0.0, 0.01, 0.04]))
    size = float(np.clip(extent_m * rng.uniform(0.12, 0.45), 25, 420))
    margin = rng.uniform(0, 0.02) * size
    land = [inset(polygon, margin) for polygon in parcels(rng, extent_m, size, angle=angle, bend=bend)]
    regions = [_use(rng, polygon) for polygon in land if chance(rng, 0.95)]
    regions += _pivots(rng, extent_m) if extent_m > 500 and chance(rng, 0.15) else []
    for x, y in rng.uniform(0, extent_m, (int(rng.integers(0, 3)), 2)).tolist():
        shape = blob(rng, (x, y), extent_m * rng.uniform(0.03, 0.16))
        regions.append(draw_forest(rng, shape) if chance(rng, 0.6) else draw_water(rng, shape))
    if chance(rng, 0.25):
        width = np.full(60, rng.uniform(0.015, 0.05) * extent_m)
        regions.append(draw_water(rng, ribbon(meander(rng, extent_m), width)))
    roads, occupancy = _connected(rng, extent_m, angle)
    farms = Quarter(rng, occupancy)
    if extent_m < 1200 and chance(rng, 0.6):
        farms.settle(roads, extent_m=extent_m, density=rng.uniform(0.02, 0.2))
    trees = scattered_trees(rng, occupancy, number_of(rng, min(extent_m, 700.0), 2.5), extent_m)
    return Layout(
        "farmland", extent_m, draw_sun(rng), draw_ground(rng, ("grass", "dry grass", "grass")),
        regions=(*regions, *farms.yards), roads=tuple(roads),
        buildings=tuple(farms.buildings), blocks=tuple(farms.blocks), trees=tuple(trees),
    )  # fmt: skip


def _use(rng: Random, polygon: np.ndarray) -> Region:
    kind = rng.random()
    return (
        draw_forest(rng, polygon)
        if kind < 0.1
        else draw_orchard(rng, polygon)
        if kind < 0.17
        else draw_field(rng, polygon)
    )


def _pivots(rng: Random, extent_m: float) -> list[Region]:
    """Round fields watered by an arm that turns about their middle."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(0.1, 0.25) * extent_m
    return [draw_field(rng, circle + centre) for centre in rng.uniform(0, extent_m, (int(rng.integers(1, 6)), 2))]


def _connected(rng: Random, extent_m: float, angle: float) -> tuple[list[Road], Occupancy]:
    roads, occupancy = lanes(rng, extent_m, angle), Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 1 for road in roads])
    return roads, occupancy


def woodland(rng: Random, extent_m: float) -> Layout:
    """Forest with clearings, burnt patches, tracks and a hut or two."""
    whole = draw_forest(rng, rectangle((extent_m / 2, extent_m / 2), (2 * extent_m, 2 * extent_m), 0.0))
    openings = [_opening(rng, extent_m) for _ in range(int(rng.integers(1, 5)))]
    roads, occupancy = _connected(rng, extent_m, rng.uniform(0, np.pi))
    huts = Quarter(rng, occupancy)
    if extent_m < 600:
        huts.settle(roads, extent_m=extent_m, density=0.06)
    trees = scattered_trees(rng, occupancy, number_of(rng, min(extent_m, 500.0), 4.0), extent_m)
    return Layout(
        "woodland", extent_m, draw_sun(rng), draw_ground(rng, ("grass", "dry grass", "soil")),
        regions=(whole, *openings), roads=tuple(roads),
        buildings=tuple(huts.buildings), blocks=tuple(huts.blocks), trees=tuple(trees),
        hills=rng.uniform(0.1, 0.5) if chance(rng, 0.5) else 0.0,
    )  # fmt: skip


def _opening(rng: Random, extent_m: float) -> Region:
    """A clearing, a lake or a burnt patch."""
    x, y = rng.uniform(0, extent_m, 2).tolist()
    shape, kind = blob(rng, (x, y), extent_m * rng.uniform(0.06, 0.28), rough=0.35), rng.random()
    if kind > 0.85:
        return draw_water(rng, shape)
    ragged = rng.uniform(0.5, 3)
    if kind > 0.75:
        char = pick(rng, "asphalt") * np.float32(0.35)
        return Region("burn", shape, char, pick(rng, "soil") * np.float32(0.4), strength=0.5, ragged_m=2 * ragged)
    material = any_of(rng, "grass", "grass", "soil", "dry grass")
    return Region("clearing", shape, pick(rng, material), pick(rng, "grass"), strength=0.5, ragged_m=ragged)


def barren(rng: Random, extent_m: float) -> Layout:
    """Desert, rock and savanna: bare relief with scrub, dry channels, tracks and single trees."""
    ground = draw_ground(rng, ("sand", "soil", "rock", "dry grass", "gravel"), 40.0)
    regions = []
    for _ in range(int(rng.integers(1, 5))):
        material = any_of(rng, "sand", "rock", "soil", "gravel")
        if chance(rng, 0.4):
            width = extent_m * rng.uniform(0.02, 0.1) * (1 + 0.4 * np.sin(np.linspace(0, rng.uniform(4, 16), 60)))
            shape = ribbon(meander(rng, extent_m, bend=0.08), width)
        else:
            x, y = rng.uniform(0, extent_m, 2).tolist()
            shape = blob(rng, (x, y), extent_m * rng.uniform(0.08, 0.3), rough=0.4)
        colour = pick(rng, material, 0.25)
        regions.append(Region("bare", shape, colour, pick(rng, material), strength=0.5, ragged_m=rng.uniform(0.5, 4)))
    roads, occupancy = _connected(rng, extent_m, rng.uniform(0, np.pi))
    tracks = tuple(replace(road, marked=False) for road in roads)
    trees = scattered_trees(rng, occupancy, number_of(rng, min(extent_m, 400.0), 8.0), extent_m)
    huts = Quarter(rng, occupancy, ("slab", "rusty", "metal"))
    if extent_m < 400:
        huts.settle(roads, extent_m=extent_m, density=0.1)
    return Layout(
        "barren", extent_m, draw_sun(rng), replace(ground, scrub=rng.uniform(0, 0.7)),
        regions=tuple(regions), roads=tracks,
        buildings=tuple(huts.buildings), trees=tuple(trees), hills=rng.uniform(0.05, 0.5),
    )  # fmt: skip


def snow(rng: Random, extent_m: float) -> Layout:
    """Mountains in winter: snow with rock, frozen lakes, glacier tongues, woods, and a snowed-in hamlet."""
    ground = draw_ground(rng, ("snow", "snow", "snow", "rock"), 60.0)
    regions = [_winter(rng, extent_m) for _ in range(int(rng.integers(2, 7)))]
    roads, occupancy = _connected(rng, extent_m, rng.uniform(0, np.pi))
    hamlet = Quarter(rng, occupancy)
    if extent_m < 500 and chance(rng, 0.6):
        hamlet.settle(roads, extent_m=extent_m, density=rng.uniform(0.05, 0.3))
    under = chance(rng, 0.6)
    white = [replace(each, colour=pick(rng, "snow")) if under else each for each in hamlet.buildings]
    return Layout(
        "snow", extent_m, draw_sun(rng), replace(ground, scrub=rng.uniform(0, 0.2)),
        regions=tuple(regions), roads=tuple(roads) if chance(rng, 0.5) else (),
        buildings=tuple(white), trees=tuple(scattered_trees(rng, occupancy, number_of(rng, 300.0, 3.0), extent_m)),
        hills=rng.uniform(0.2, 0.7),
    )  # fmt: skip


def _winter(rng: Random, extent_m: float) -> Region:
    """A frozen lake, bare rock, a glacier tongue or a wood."""
    x, y = rng.uniform(0, extent_m, 2).tolist()
    shape = blob(rng, (x, y), extent_m * rng.uniform(0.06, 0.3), rough=0.4)
    kind = any_of(rng, "lake", "rock", "rock", "glacier", "forest")
    if kind == "forest":
        return draw_forest(rng, shape)
    if kind == "glacier":
        width = extent_m * rng.uniform(0.05, 0.2) * (1 + 0.3 * np.sin(np.linspace(0, rng.uniform(2, 9), 60)))
        shape = ribbon(meander(rng, extent_m, bend=0.07), width)
    material = "rock" if kind == "rock" else "ice"
    return Region(
        kind,
        shape,
        pick(rng, material),
        pick(rng, "snow"),
        strength=rng.uniform(0.2, 0.6),
        ragged_m=rng.uniform(0.5, 5),
    )


def solar(rng: Random, extent_m: float) -> Layout:
    """A solar park: rows of tables on grass or gravel."""
    angle, centre = rng.uniform(0, np.pi), (extent_m / 2, extent_m / 2)
    table = (rng.uniform(10, 45), rng.uniform(2, 5))
    pitch, gap = max(table[1] + rng.uniform(1.5, 6), extent_m / 30), rng.uniform(0.5, 4)
    outline, colour = rng.uniform(0.25, 0.6) * extent_m, pick(rng, "panel")
    rows = [(u, v) for v in np.arange(-outline, outline, pitch) for u in np.arange(-outline, outline, table[0] + gap)]
    blocks = []
    for u, v in rows[:160]:
        if chance(rng, 0.95):
            x, y = placed(centre, angle, u, v).tolist()
            blocks.append(Block("solar", x, y, table, angle, colour, height_m=1.4, cells_m=(1.0, table[1] / 2)))
    occupancy = Occupancy(extent_m)
    occupancy.take(*centre, (2 * outline, 2 * outline), angle)
    trees = scattered_trees(rng, occupancy, number_of(rng, min(extent_m, 500.0), 6.0), extent_m)
    meadow = rectangle(centre, (2 * outline + 8, 2 * outline + 8), angle)
    park = Region("field", meadow, pick(rng, "grass"), pick(rng, "dry grass"), strength=0.4)
    base = farmland(rng, extent_m)
    return replace(
        base,
        theme="solar",
        regions=(*base.regions, park),
        buildings=(),
        trees=tuple(trees),
        blocks=tuple(blocks),
        roads=(),
    )
