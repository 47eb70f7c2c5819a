"""Painters of everything that stands up: buildings, trees, vehicles, solar arrays; each casts a shadow later."""

import numpy as np

from geosam.training.world.canvas import Canvas, Spot, put, turned
from geosam.training.world.layout import Block, Building, Sun, Tree


def sun_vector(sun: Sun) -> tuple[float, float, float]:
    """Unit vector towards the sun: x right, y down, z up.

    Examples
    --------
    >>> [round(abs(v), 3) for v in sun_vector(Sun(azimuth=0.0, elevation=0.5235987755982988))]
    [0.0, 0.866, 0.5]
    """
    flat = float(np.cos(sun.elevation))
    return flat * float(np.sin(sun.azimuth)), -flat * float(np.cos(sun.azimuth)), float(np.sin(sun.elevation))


def _shade(relief, sun: Sun, resolution_m: float, strength: float = 0.75):
    """Brightness of a surface relative to level ground, by Lambert's law plus the light of the sky."""
    if min(relief.shape) < 2:
        return np.ones_like(relief)
    slope_y, slope_x = np.gradient(relief, np.float32(resolution_m))
    sx, sy, sz = sun_vector(sun)
    direct = (sz - slope_x * sx - slope_y * sy) / (sz * np.sqrt(1 + slope_x**2 + slope_y**2))
    return 1 - strength + strength * np.clip(direct, 0.05, 2.2)


def _roof(building: Building, size, u, v):
    """Height above the eaves of one body, its facets, and where it stands."""
    half_u, half_v = size[0] / 2, size[1] / 2
    in_u, in_v = half_u - np.abs(u), half_v - np.abs(v)
    inside = (in_u > 0) & (in_v > 0)
    slope = np.float32(building.slope)
    if building.form == "gable":
        return in_v * slope, (v > 0).astype(np.int32), inside
    if building.form == "hip":
        ends = in_u < in_v
        facet = np.where(ends, 2 + (u > 0), v > 0).astype(np.int32)
        return np.minimum(in_u, in_v) * slope, facet, inside
    if building.form == "shed":
        return (half_v + v) * slope * np.float32(0.3), np.zeros(inside.shape, np.int32), inside
    if building.form == "round":
        radius = np.hypot(u, v)
        return (
            np.clip(half_u - radius, 0, None) * slope * np.float32(0.3),
            np.zeros(inside.shape, np.int32),
            radius < half_u,
        )
    return np.zeros(inside.shape, np.float32), np.zeros(inside.shape, np.int32), inside


def _with_wing(building: Building, u, v):
    relief, facet, inside = _roof(building, building.size_m, u, v)
    if building.wing is not None:
        along, across, length, width = building.wing
        side, side_facet, side_inside = _roof(building, (length, width), v - np.float32(across), u - np.float32(along))
        higher = side_inside & (~inside | (side_relief_above(side, relief)))
        relief = np.where(higher, side, relief)
        facet = np.where(higher, side_facet + 4, facet)
        inside = inside | side_inside
    return relief, facet, inside


def side_relief_above(side, relief):
    """Where the roof of a wing stands out above the main roof."""
    return side > relief


def paint_building(canvas: Canvas, building: Building, sun: Sun) -> None:
    """Paint the roof facet by facet, with courses, wear and clutter, and raise the walls."""
    reach = max(building.size_m) / 2
    if building.wing is not None:
        reach = max(reach, abs(building.wing[1]) + building.wing[2] / 2, abs(building.wing[0]) + building.wing[3] / 2)
    found = turned(canvas, (building.x, building.y), (reach, reach), building.angle)
    if found is None:
        return
    spot, u, v = found
    relief, facet, inside = _with_wing(building, u, v)
    if not inside.any():
        return
    tone = (
        _shade(relief, sun, canvas.resolution_m) if building.slope and building.form != "flat" else np.ones_like(relief)
    )
    tone = tone * (1 + 0.08 * canvas.mottle[spot] + 0.04 * canvas.grain[spot])
    if building.stripe_m > 2 * canvas.resolution_m:
        tone = tone * (1 + 0.10 * np.sign(np.sin(u * np.float32(2 * np.pi / building.stripe_m))))
    if building.form == "flat":
        edge = np.minimum(building.size_m[0] / 2 - np.abs(u), building.size_m[1] / 2 - np.abs(v)) < 0.35
        tone = np.where(edge & (building.wing is None), tone * 1.15, tone)
    light = building.colour[:, None, None] * tone
    put(canvas, spot, inside, light)
    canvas.height[spot][inside] = (building.height_m + np.clip(relief, 0.0, None))[inside]
    canvas.labels[spot][inside] = canvas.add("tank" if building.form == "round" else "building")
    canvas.parts[spot][inside] = facet[inside] + canvas.n_parts + 1
    canvas.n_parts += 8
    if canvas.resolution_m < 0.6:
        _clutter(canvas, building, spot, (u, v))
    if building.damage > 0:
        _break(canvas, building, spot, inside)


def _clutter(canvas: Canvas, building: Building, spot: Spot, local) -> None:
    """Chimneys, vents, water tanks and plant on the roof."""
    u, v = local
    count = canvas.rng.poisson(building.clutter * building.size_m[0] * building.size_m[1] / 25)
    for _ in range(min(int(count), 12)):
        at_u = canvas.rng.uniform(-0.42, 0.42) * building.size_m[0]
        at_v = canvas.rng.uniform(-0.42, 0.42) * building.size_m[1]
        half_u, half_v = canvas.rng.uniform(0.3, 1.1, 2)
        mask = (np.abs(u - np.float32(at_u)) < half_u) & (np.abs(v - np.float32(at_v)) < half_v)
        if mask.any():
            canvas.light[:, *spot][:, mask] *= np.float32(canvas.rng.choice([0.5, 0.7, 1.5, 1.9]))
            canvas.height[spot][mask] += np.float32(0.7)


def _break(canvas: Canvas, building: Building, spot: Spot, inside) -> None:
    """Open parts of the roof and leave rubble."""
    holes = inside & (canvas.mottle[spot] + 0.3 * canvas.grain[spot] > 0.9 - 1.6 * building.damage)
    rubble = np.float32([0.26, 0.23, 0.2, 0.25])[:, None] * (1 + 0.45 * canvas.grain[spot][holes])
    canvas.light[:, *spot][:, holes] = np.clip(rubble, 0.02, 1.0)
    canvas.height[spot][holes] *= np.float32(0.3) + np.float32(0.2) * np.clip(canvas.grain[spot][holes], 0, 1)


def paint_tree(canvas: Canvas, tree: Tree, sun: Sun) -> None:
    """Paint a ragged dome of leaves."""
    reach = tree.radius_m * 1.3
    found = turned(canvas, (tree.x, tree.y), (reach, reach), 0.0)
    if found is None:
        return
    spot, u, v = found
    distance = (u * u + v * v) / np.float32(tree.radius_m**2)
    dome = 1 - distance * (1 + 0.35 * canvas.mottle[spot] + 0.08 * canvas.grain[spot])
    inside = dome > 0
    if not inside.any():
        return
    relief = np.sqrt(np.clip(dome, 0.02, 1.0)) * np.float32(tree.radius_m * 0.9)
    tone = _shade(relief, sun, canvas.resolution_m, 0.65) * (1 + 0.2 * canvas.mottle[spot] + 0.16 * canvas.grain[spot])
    put(canvas, spot, inside, tree.colour[:, None, None] * np.clip(tone, 0.15, 2.5))
    canvas.height[spot][inside] = np.maximum(canvas.height[spot], tree.height_m - tree.radius_m + relief)[inside]
    canvas.labels[spot][inside] = canvas.add("tree")
    canvas.parts[spot][inside] = 0


def paint_block(canvas: Canvas, block: Block, sun: Sun) -> None:
    """Paint a vehicle, a pool or a solar array."""
    half_u, half_v = block.size_m[0] / 2, block.size_m[1] / 2
    found = turned(canvas, (block.x, block.y), (half_u, half_v), block.angle)
    if found is None:
        return
    spot, u, v = found
    round_corner = 0.2 if block.kind == "vehicle" else 1.0 if block.kind == "pool" else 0.0
    over_u = np.clip(np.abs(u) - (half_u - round_corner), 0, None)
    over_v = np.clip(np.abs(v) - (half_v - round_corner), 0, None)
    inside = over_u**2 + over_v**2 <= round_corner**2 if round_corner else (over_u <= 0) & (over_v <= 0)
    if not inside.any():
        return
    tone = 1 + 0.04 * canvas.grain[spot] + 0.04 * canvas.mottle[spot]
    light = block.colour[:, None, None] * tone
    if block.kind == "vehicle":
        light = np.where(_windows(block, u, v), np.float32(0.03), light)
    if block.cells_m[0] > 1.5 * canvas.resolution_m:
        joint = 0.06 * canvas.resolution_m / 0.1
        lines = (u % np.float32(block.cells_m[0]) < joint) | (v % np.float32(block.cells_m[1]) < joint)
        light = np.where(lines, light * 1.0 + np.float32(0.10), light)
        cell = np.int32((u + half_u) / block.cells_m[0]) + 64 * np.int32((v + half_v) / block.cells_m[1])
        canvas.parts[spot][inside] = cell[inside] + canvas.n_parts + 1
        canvas.n_parts += int(cell.max()) + 1
    put(canvas, spot, inside, light)
    if block.height_m > 0:
        canvas.height[spot][inside] = canvas.height[spot][inside].max() + np.float32(block.height_m)
    canvas.labels[spot][inside] = canvas.add(block.kind)


def _windows(block: Block, u, v):
    """Windscreen and rear window of a car, the gap behind the cab of a lorry."""
    length, width = block.size_m
    if length > 6.5:
        return (np.abs(u - np.float32(length * 0.32)) < 0.25) & (np.abs(v) < width * 0.45)
    front = (u > length * 0.10) & (u < length * 0.24)
    rear = (u < -length * 0.26) & (u > -length * 0.36)
    return (front | rear) & (np.abs(v) < width * 0.40)
