"""Streets and lanes, and what drives and parks on them."""

import numpy as np

from geosam.training.world.layout import Block, Region, Road
from geosam.training.world.materials import pick
from geosam.training.world.places.elements import Random, chance
from geosam.training.world.shapes import Polygon, placed, rectangle


def streets(rng: Random, extent_m: float, *, block_m: tuple[float, float], angle: float) -> list[Road]:
    """A bent grid of streets; main streets are wider and carry markings."""
    surface = pick(rng, "asphalt" if chance(rng, 0.8) else "gravel")
    kerb = pick(rng, "concrete") if chance(rng, 0.5) else None
    bend, phase = rng.uniform(0, 0.05) * extent_m, rng.uniform(0, 6)
    t = np.linspace(-0.8, 0.8, 24) * extent_m
    wave = bend * np.sin(2 * np.pi * t / extent_m * 0.7 + phase)
    centre = (extent_m / 2, extent_m / 2)
    roads = []
    for axis, spacing in enumerate(block_m):
        offset = -0.8 * extent_m + rng.uniform(0, spacing)
        while offset < 0.8 * extent_m:
            uv = (t, offset + wave) if axis == 0 else (offset + wave, t)
            main = chance(rng, 0.25)
            width = rng.uniform(8, 11) if main else rng.uniform(5, 7)
            roads.append(Road(placed(centre, angle, *uv), width, surface, kerb, marked=main))
            offset += spacing * rng.uniform(0.8, 1.25)
    return roads


def lanes(rng: Random, extent_m: float, angle: float) -> list[Road]:
    """Country roads and tracks, at most one each way, and now and then a railway."""
    roads = []
    t, centre = np.linspace(-0.8, 0.8, 12) * extent_m, (extent_m / 2, extent_m / 2)
    for turn in (angle, angle + np.pi / 2):
        if chance(rng, 0.4):
            continue
        bend = rng.uniform(0, 0.03) * extent_m * np.sin(t / extent_m * 5 + rng.uniform(0, 6))
        path = placed(centre, turn, t, rng.uniform(-0.4, 0.4) * extent_m + bend)
        paved = chance(rng, 0.5)
        width = rng.uniform(4, 8) if paved else rng.uniform(2.5, 4)
        verge = pick(rng, "grass") if chance(rng, 0.5) else None
        roads.append(Road(path, width, pick(rng, "asphalt" if paved else "gravel"), verge, marked=paved and width > 6))
    if chance(rng, 0.07):
        path = placed(centre, angle + rng.normal(0, 0.3), t, np.full(12, rng.uniform(-0.3, 0.3) * extent_m))
        roads.append(Road(path, 4.5, pick(rng, "gravel") * np.float32(0.6), pick(rng, "dry grass"), kind="rail"))
    return roads


def along(path: Polygon, step_m: float) -> np.ndarray:
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


def vehicle(rng: Random, x: float, y: float, angle: float, *, lorries: float = 0.1) -> Block:
    """A car, sometimes a lorry or a bus, pointing either way."""
    if chance(rng, lorries):
        return Block("vehicle", x, y, (rng.uniform(7, 12), 2.5), angle, pick(rng, "truck"), height_m=3.2)
    turn = angle + np.pi * float(rng.integers(2)) + rng.normal(0.0, 0.03)
    size = (rng.uniform(4.0, 5.0), rng.uniform(1.75, 2.0))
    return Block("vehicle", x, y, size, turn, pick(rng, "vehicle"), height_m=1.5)


def traffic(rng: Random, roads: list[Road], density: float) -> list[Block]:
    """Vehicles that drive, and some that park at the kerb."""
    found = []
    for road in roads:
        for x, y, direction in along(road.path, 14.0).tolist():
            if road.kind == "road" and chance(rng, density):
                away = road.width_m * (0.25 if chance(rng, 0.6) else 0.42) * (1 if chance(rng, 0.5) else -1)
                place = placed((x, y), direction, 0.0, away)
                found.append(vehicle(rng, float(place[0]), float(place[1]), direction))
    return found


def parking(
    rng: Random, centre: tuple[float, float], size_m: tuple[float, float], angle: float, *, full: float = 0.6
) -> tuple[Region, list[Block]]:
    """A car park: its surface and rows of parked cars."""
    asphalt = pick(rng, "asphalt")
    surface = Region("parking", rectangle(centre, size_m, angle), asphalt, asphalt * np.float32(1.3), strength=0.15)
    cars = []
    for row, v in enumerate(np.arange(-size_m[1] / 2 + 3.0, size_m[1] / 2 - 2.0, 8.0)):
        for u in np.arange(-size_m[0] / 2 + 2.0, size_m[0] / 2 - 1.5, 2.7):
            if chance(rng, full):
                x, y = placed(centre, angle, u, v).tolist()
                cars.append(vehicle(rng, x, y, angle + np.pi / 2 + np.pi * (row % 2), lorries=0.0))
    return surface, cars
