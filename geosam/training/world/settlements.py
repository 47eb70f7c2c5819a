"""Layouts of places where people live and work."""

import numpy as np

from geosam.training.world.layout import Block, Building, Region, Road, Tree
from geosam.training.world.materials import pick
from geosam.training.world.shapes import Occupancy, rectangle

STYLES = {
    "tile": ("tile roof", 0.55, ("gable", "hip", "gable")),
    "shingle": ("shingle roof", 0.5, ("hip", "gable", "hip")),
    "metal": ("metal roof", 0.25, ("gable", "shed", "gable")),
    "slab": ("slab roof", 0.0, ("flat",)),
    "rusty": ("rusty roof", 0.2, ("gable", "shed", "flat")),
    "painted": ("painted roof", 0.3, ("gable", "shed", "hip")),
    "membrane": ("membrane roof", 0.0, ("flat",)),
    "greenhouse": ("membrane roof", 0.3, ("barrel",)),
}
MIXES = (
    ("tile", "tile", "tile", "slab", "metal"),
    ("shingle", "shingle", "shingle", "metal"),
    ("shingle", "tile", "metal", "painted"),
    ("slab", "slab", "metal", "painted", "rusty"),
    ("metal", "rusty", "metal", "painted"),
)


def draw_building(rng: np.random.Generator, place: tuple[float, float, float], size_m, *, style: str) -> Building:
    """A building of a style at (x, y, angle)."""
    material, slope, forms = STYLES[style]
    length, width = float(max(size_m)), float(min(size_m))
    angle = place[2] if size_m[0] >= size_m[1] else place[2] + np.pi / 2
    form = forms[rng.integers(len(forms))]
    sheet = style in ("metal", "rusty", "painted")
    low = rng.uniform(2.6, 4.5) if rng.random() < 0.7 else rng.uniform(4.5, 8.0)
    return Building(
        x=place[0], y=place[1], size_m=(length, width), angle=float(angle), form=form, colour=pick(rng, material, 0.18),
        height_m=float(low if slope else rng.uniform(3.0, 9.0)), slope=float(slope * rng.uniform(0.6, 1.3)),
        wings=_wings(rng, length, width) if form in ("gable", "hip", "flat") and width > 5.5 else (),
        clutter=float(rng.uniform(0.0, 0.4) if slope else rng.uniform(0.2, 0.9)), wall=float(rng.uniform(0.1, 0.4)),
        stripe_m=float(rng.choice([0.0, 0.4, 0.8, 1.2]) if sheet else rng.choice([0.0, 0.35])),
        patchwork=float(rng.uniform(0.1, 0.5)) if sheet and rng.random() < 0.4 else 0.0,
    )  # fmt: skip


def _wings(rng: np.random.Generator, length: float, width: float) -> tuple[tuple[float, float, float, float], ...]:
    wings = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.55, 0.33, 0.12]))):
        side = rng.choice([-1.0, 1.0])
        reach = width * rng.uniform(0.25, 0.6)
        breadth = min(width * rng.uniform(0.5, 0.95), length * 0.6)
        along = rng.uniform(-1, 1) * (length - breadth) / 2
        wings.append((float(along), float(side * (width / 4 + reach / 2)), float(reach + width / 2), float(breadth)))
    return tuple(wings)


def streets(rng: np.random.Generator, extent_m: float, *, block_m: tuple[float, float], angle: float) -> list[Road]:
    """A bent grid of streets; main streets are wider and carry markings."""
    roads = []
    surface = pick(rng, "asphalt") if rng.random() < 0.8 else pick(rng, "gravel")
    kerb = pick(rng, "concrete") if rng.random() < 0.5 else None
    bend, phase = rng.uniform(0, 0.05) * extent_m, rng.uniform(0, 6)
    t = np.linspace(-0.8, 0.8, 24) * extent_m
    cos, sin = np.cos(angle), np.sin(angle)
    for axis, spacing in enumerate(block_m):
        offset = -0.8 * extent_m + rng.uniform(0, spacing)
        while offset < 0.8 * extent_m:
            wave = offset + bend * np.sin(2 * np.pi * t / extent_m * 0.7 + phase)
            u, v = (t, wave) if axis == 0 else (wave, t)
            path = extent_m / 2 + np.stack([u * cos - v * sin, u * sin + v * cos], axis=1)
            main = rng.random() < 0.25
            roads.append(
                Road(path, float(rng.uniform(8, 11) if main else rng.uniform(5, 7)), surface, kerb, marked=main)
            )
            offset += spacing * rng.uniform(0.8, 1.25)
    return roads


def along(path: np.ndarray, step_m: float) -> np.ndarray:
    """Stations along a path: x, y and direction for each.

    Examples
    --------
    >>> along(np.array([(0.0, 0.0), (10.0, 0.0)]), 5.0).tolist()
    [[2.5, 0.0, 0.0], [7.5, 0.0, 0.0]]
    """
    step = np.diff(path, axis=0)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*step.T))])
    at = np.arange(step_m / 2, travelled[-1], step_m)
    piece = np.clip(np.searchsorted(travelled, at) - 1, 0, len(step) - 1)
    direction = np.arctan2(step[piece, 1], step[piece, 0])
    return np.stack([np.interp(at, travelled, path[:, 0]), np.interp(at, travelled, path[:, 1]), direction], axis=1)


def houses_along(
    rng: np.random.Generator, roads: list[Road], occupancy: Occupancy, *, extent_m: float, density: float = 0.85
):
    """Houses on both sides of every road, with drives, cars, pools and solar panels.

    Returns
    -------
    tuple
        Buildings, blocks, and yards (regions) in front of them.
    """
    buildings: list[Building] = []
    blocks: list[Block] = []
    yards: list[Region] = []
    styles = MIXES[rng.integers(len(MIXES))]
    lot = rng.uniform(13, 24)
    setback = rng.uniform(2, 9)
    for road in roads:
        for x, y, direction in along(road.path, float(lot)):
            if not (-20 < x < extent_m + 20 and -20 < y < extent_m + 20):
                continue
            for side in (-1.0, 1.0):
                if rng.random() > density:
                    continue
                _lot(
                    rng,
                    road,
                    (x, y, direction),
                    side=side,
                    setback=setback,
                    lot=lot,
                    styles=styles,
                    occupancy=occupancy,
                    out=(buildings, blocks, yards),
                )
    return buildings, blocks, yards


def _lot(rng, road: Road, station, *, side, setback, lot, styles, occupancy: Occupancy, out) -> None:
    x, y, direction = station
    buildings, blocks, yards = out
    size = (min(lot * rng.uniform(0.5, 0.85), 22.0), rng.uniform(7, 12))
    away = road.width_m / 2 + setback + size[1] / 2 + rng.uniform(0, 2.5)
    normal = np.array([-np.sin(direction), np.cos(direction)]) * side
    centre = np.array([x, y]) + normal * away
    angle = direction + rng.normal(0.0, 0.04)
    if not occupancy.claim(centre[0], centre[1], (size[0] + 2.5, size[1] * 1.35 + 2.5), angle):
        return
    style = styles[rng.integers(len(styles))]
    house = draw_building(rng, (float(centre[0]), float(centre[1]), float(angle)), size, style=style)
    buildings.append(house)
    forward = np.array([np.cos(direction), np.sin(direction)])
    if rng.random() < 0.5 and setback > 3:
        shift = forward * rng.choice([-1, 1]) * size[0] * 0.3
        drive = np.array([x, y]) + normal * (road.width_m / 2 + setback / 2) + shift
        yards.append(
            Region(
                "drive",
                rectangle(tuple(drive), (3.2, setback + 3), direction + np.pi / 2),
                pick(rng, "concrete"),
                pick(rng, "gravel"),
                strength=0.05,
                labelled=False,
            )
        )
        if rng.random() < 0.6:
            blocks.append(vehicle(rng, float(drive[0]), float(drive[1]), float(direction + np.pi / 2)))
    back = centre + normal * (size[1] * 0.7 + rng.uniform(4, 7)) + forward * rng.uniform(-3, 3)
    extra = rng.random()
    if extra < 0.14 and occupancy.claim(back[0], back[1], (9.0, 5.0), angle):
        pool_size = (rng.uniform(5, 9), rng.uniform(3, 4.5))
        yards.append(
            Region(
                "terrace",
                rectangle(tuple(back), (pool_size[0] + 3, pool_size[1] + 3), angle),
                pick(rng, "concrete"),
                pick(rng, "concrete"),
                strength=0.1,
                labelled=False,
            )
        )
        blocks.append(
            Block("pool", float(back[0]), float(back[1]), pool_size, float(angle), pick(rng, "pool"), height_m=0.0)
        )
    elif extra < 0.5 and occupancy.claim(back[0], back[1], (5.0, 4.0), angle):
        shed = (rng.uniform(2.5, 5), rng.uniform(2.2, 4))
        buildings.append(
            draw_building(
                rng,
                (float(back[0]), float(back[1]), float(angle)),
                shed,
                style=str(rng.choice(["metal", "rusty", "shingle"])),
            )
        )
    if rng.random() < 0.6:
        depth = setback + size[1] * 2 + rng.uniform(4, 10)
        middle = np.array([x, y]) + normal * (road.width_m / 2 + depth / 2 + 1)
        lawn = pick(rng, str(rng.choice(["grass", "grass", "dry grass", "soil"])))
        outline = rectangle((float(middle[0]), float(middle[1])), (lot * rng.uniform(0.8, 1.05), depth), direction)
        yards.insert(0, Region("yard", outline, lawn, pick(rng, "grass"), strength=0.3, labelled=False))
    if rng.random() < 0.12 and house.form in ("gable", "hip"):
        blocks.append(_rooftop_panels(rng, house))


def _rooftop_panels(rng: np.random.Generator, house: Building) -> Block:
    size = (house.size_m[0] * rng.uniform(0.3, 0.55), house.size_m[1] * 0.3)
    across = house.size_m[1] * 0.23
    x = house.x - np.sin(house.angle) * across
    y = house.y + np.cos(house.angle) * across
    return Block("solar", float(x), float(y), size, house.angle, pick(rng, "panel"), height_m=0.1, cells_m=(1.0, 1.6))


def vehicle(rng: np.random.Generator, x: float, y: float, angle: float) -> Block:
    """A car, sometimes a van or a lorry."""
    if rng.random() < 0.1:
        return Block("vehicle", x, y, (rng.uniform(7, 12), 2.5), angle, pick(rng, "truck"), height_m=3.2)
    turn = angle + np.pi * float(rng.integers(2)) + rng.normal(0.0, 0.03)
    return Block(
        "vehicle", x, y, (rng.uniform(4.0, 5.0), rng.uniform(1.75, 2.0)), turn, pick(rng, "vehicle"), height_m=1.5
    )


def traffic(rng: np.random.Generator, roads: list[Road], *, density: float = 0.25) -> list[Block]:
    """Vehicles driving on the right and parked at the kerb."""
    found = []
    for road in roads:
        for x, y, direction in along(road.path, 14.0):
            if rng.random() > density:
                continue
            side = rng.choice([-1.0, 1.0])
            away = road.width_m * (0.25 if rng.random() < 0.6 else 0.42) * side
            found.append(
                vehicle(rng, float(x - np.sin(direction) * away), float(y + np.cos(direction) * away), float(direction))
            )
    return found


def parking(
    rng: np.random.Generator,
    centre: tuple[float, float],
    size_m: tuple[float, float],
    angle: float,
    *,
    full: float = 0.6,
):
    """A car park: its surface and rows of parked cars."""
    surface = Region(
        "parking", rectangle(centre, size_m, angle), pick(rng, "asphalt"), pick(rng, "asphalt"), strength=0.15
    )
    cars = []
    cos, sin = np.cos(angle), np.sin(angle)
    for row, v in enumerate(np.arange(-size_m[1] / 2 + 3.0, size_m[1] / 2 - 2.0, 8.0)):
        for u in np.arange(-size_m[0] / 2 + 2.0, size_m[0] / 2 - 1.5, 2.7):
            if rng.random() < full:
                x, y = centre[0] + u * cos - v * sin, centre[1] + u * sin + v * cos
                cars.append(vehicle(rng, float(x), float(y), float(angle + np.pi / 2 + np.pi * (row % 2))))
    return surface, [car for car in cars if car.size_m[0] < 6]


def scattered_trees(
    rng: np.random.Generator, occupancy: Occupancy, count: int, *, extent_m: float, material: str = "tree"
) -> list[Tree]:
    """Single trees where nothing else stands, in loose groups."""
    hubs = rng.uniform(0, extent_m, (max(count // 6, 1), 2))
    grouped = rng.random(count) < 0.7
    near = hubs[rng.integers(len(hubs), size=count)] + rng.normal(0, 7.0, (count, 2))
    places = np.where(grouped[:, None], near, rng.uniform(0, extent_m, (count, 2)))
    radii = np.clip(rng.gamma(6.0, 0.55, count), 1.0, 7.0)
    trees = []
    for (x, y), radius in zip(places.tolist(), radii.tolist(), strict=True):
        if occupancy.claim(x, y, (radius * 0.9, radius * 0.9)):
            trees.append(Tree(x, y, radius, radius * rng.uniform(1.6, 2.6), pick(rng, material, 0.15)))
    return trees
