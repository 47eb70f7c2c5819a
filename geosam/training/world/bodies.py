"""Painters of everything that stands up: buildings, trees, vehicles, solar arrays; each casts a shadow later."""

import numpy as np

from geosam.training.world.canvas import Canvas, Spot, put, turned
from geosam.training.world.layout import Block, Building, Layout, Sun, Tree

_PLASTER = np.array([1.0, 0.95, 0.86, 1.1], np.float32)
_RUBBLE = np.array([0.20, 0.17, 0.14, 0.20], np.float32)


def sun_vector(sun: Sun) -> tuple[float, float, float]:
    """Unit vector towards the sun: x right, y down, z up.

    Examples
    --------
    >>> [round(abs(v), 3) for v in sun_vector(Sun(azimuth=0.0, elevation=0.5235987755982988))]
    [0.0, 0.866, 0.5]
    """
    flat = float(np.cos(sun.elevation))
    return flat * float(np.sin(sun.azimuth)), -flat * float(np.cos(sun.azimuth)), float(np.sin(sun.elevation))


def _shade(relief, sun: Sun, resolution_m: float, strength: float):
    """Brightness of a surface relative to level ground, by Lambert's law plus the light of the sky."""
    if min(relief.shape) < 2:
        return np.ones_like(relief)
    slope_y, slope_x = np.gradient(relief, np.float32(resolution_m))
    sx, sy, sz = sun_vector(sun)
    direct = (sz - slope_x * sx - slope_y * sy) / (sz * np.sqrt(1 + slope_x**2 + slope_y**2))
    return 1 - strength + strength * np.clip(direct, 0.05, 2.0)


def _roof(building: Building, size, u, v):
    """Height above the eaves of one body, its facets, and where it stands."""
    half_u, half_v = size[0] / 2, size[1] / 2
    in_u, in_v = half_u - np.abs(u), half_v - np.abs(v)
    inside = (in_u > 0) & (in_v > 0)
    slope = np.float32(building.slope)
    if building.form == "gable":
        return in_v * slope, (v > 0).astype(np.int32), inside
    if building.form == "hip":
        facet = np.where(in_u < in_v, 2 + (u > 0), v > 0).astype(np.int32)
        return np.minimum(in_u, in_v) * slope, facet, inside
    one = np.zeros(inside.shape, np.int32)
    if building.form == "shed":
        return (half_v + v) * slope * np.float32(0.3), one, inside
    if building.form == "barrel":
        return np.sqrt(np.clip(1 - (v / np.float32(half_v)) ** 2, 0, 1)) * np.float32(half_v * 0.6), one, inside
    if building.form == "round":
        radius = np.hypot(u, v)
        return np.clip(half_u - radius, 0, None) * slope * np.float32(0.3), one, radius < half_u
    return np.zeros(inside.shape, np.float32), one, inside


def _body(building: Building, u, v):
    """Roof of the main body and its wings; the higher surface shows."""
    relief, facet, inside = _roof(building, building.size_m, u, v)
    for number, (along, across, length, width) in enumerate(building.wings, start=1):
        side, side_facet, there = _roof(building, (length, width), v - np.float32(across), u - np.float32(along))
        higher = there & (~inside | (side > relief))
        relief = np.where(higher, side, relief)
        facet = np.where(higher, side_facet + 4 * number, facet)
        inside = inside | there
    return relief, facet, inside


def _reach(building: Building) -> tuple[float, float]:
    u, v = building.size_m[0] / 2, building.size_m[1] / 2
    for along, across, length, width in building.wings:
        u, v = max(u, abs(along) + width / 2), max(v, abs(across) + length / 2)
    return u, v


def paint_building(canvas: Canvas, building: Building, layout: Layout) -> None:
    """Paint walls and roof, facet by facet, with courses, wear and clutter; a leaning roof is moved off its walls."""
    lean = (layout.lean[0] * building.height_m, layout.lean[1] * building.height_m)
    found = turned(canvas, (building.x + lean[0], building.y + lean[1]), _reach(building), building.angle)
    if found is None:
        return
    spot, u, v = found
    relief, facet, inside = _body(building, u, v)
    if not inside.any():
        return
    if np.hypot(*lean) > canvas.resolution_m:
        _walls(canvas, building, lean, spot, inside)
    tone = _surface(canvas, building, layout.sun, spot, (u, v, relief, facet))
    put(canvas, spot, inside, building.colour[:, None, None] * tone)
    canvas.height[spot][inside] = (building.height_m + np.clip(relief, 0.0, None))[inside]
    canvas.labels[spot][inside] = canvas.add("tank" if building.form == "round" else "building")
    canvas.parts[spot][inside] = facet[inside] + canvas.n_parts + 1
    canvas.n_parts += 4 + 4 * len(building.wings)
    if canvas.resolution_m < 0.6:
        _clutter(canvas, building, spot, (u, v, inside))
    if building.damage > 0:
        _break(canvas, building, spot, inside)


def _surface(canvas: Canvas, building: Building, sun: Sun, spot: Spot, local):
    """Brightness of the roof: sunlit facets, courses of tiles or ribs of sheet metal, patches, rims and ridges."""
    u, v, relief, facet = local
    r = canvas.resolution_m
    tone = 1 + 0.08 * canvas.mottle[spot] + 0.045 * canvas.grain[spot]
    if building.slope:
        tone = tone * _shade(relief, sun, r, 0.75)
    if building.stripe_m > 2 * r:
        tone = tone * (
            1 + 0.09 * np.sin((v if building.form == "hip" else u) * np.float32(2 * np.pi / building.stripe_m))
        )
    if building.patchwork:
        sheet = (
            np.floor(u / np.float32(2.1)) * 12.99
            + np.floor(v / np.float32(3.3)) * 78.23
            + np.float32(facet)
            + building.x
        )
        tone = tone * (1 + np.float32(building.patchwork) * (np.abs(np.sin(sheet) * 437.58) % 1 - 0.5))
    edge = np.minimum(building.size_m[0] / 2 - np.abs(u), building.size_m[1] / 2 - np.abs(v))
    if building.form == "flat" and not building.wings and r < 0.7:
        tone = np.where(edge < max(0.35, r), tone * 1.2, np.where(edge < 0.35 + 0.4, tone * 0.85, tone))
    if building.form in ("gable", "hip") and r < 0.4:
        ridge = (np.abs(v) < 0.16) & (
            np.abs(u) < building.size_m[0] / 2 - (building.form == "hip") * building.size_m[1] / 2
        )
        tone = np.where(ridge, tone * 1.15, tone)
    return np.clip(tone, 0.08, 2.2)


def _walls(canvas: Canvas, building: Building, lean, spot: Spot, inside) -> None:
    """What a slanting view shows of the walls: the plan, drawn again at every height up to the eaves."""
    r = canvas.resolution_m
    steps = int(min(np.hypot(*lean) / r, 40)) + 1
    for step in range(steps):
        rest = 1 - step / steps
        moved = _shifted(canvas, spot, inside, (-round(lean[0] * rest / r), -round(lean[1] * rest / r)))
        if moved is None:
            continue
        place, mask = moved
        storey = 0.75 + 0.25 * ((1 - rest) * building.height_m % 3.0 > 1.3)
        tone = np.float32(storey) * (1 + 0.12 * canvas.mottle[place][mask])
        canvas.light[:, *place][:, mask] = (np.float32(building.wall) * _PLASTER)[:, None] * tone
        canvas.height[place][mask] = np.float32(building.height_m * (1 - rest))
        canvas.labels[place][mask] = 0
        canvas.parts[place][mask] = 0


def _shifted(canvas: Canvas, spot: Spot, mask, offset: tuple[int, int]):
    """A mask moved by whole pixels and cut at the canvas."""
    rows, columns = spot
    dx, dy = offset
    top, left = max(rows.start + dy, 0), max(columns.start + dx, 0)
    bottom, right = min(rows.stop + dy, canvas.side), min(columns.stop + dx, canvas.side)
    if top >= bottom or left >= right:
        return None
    y, x = top - rows.start - dy, left - columns.start - dx
    return (slice(top, bottom), slice(left, right)), mask[y : y + bottom - top, x : x + right - left]


def _clutter(canvas: Canvas, building: Building, spot: Spot, local) -> None:
    """Chimneys, vents, skylights, water tanks and plant on the roof."""
    u, v, inside = local
    count = canvas.rng.poisson(building.clutter * building.size_m[0] * building.size_m[1] / 25)
    for _ in range(min(int(count), 10)):
        at_u = canvas.rng.uniform(-0.42, 0.42) * building.size_m[0]
        at_v = canvas.rng.uniform(-0.42, 0.42) * building.size_m[1]
        half_u, half_v = canvas.rng.uniform(0.25, 1.0, 2)
        mask = (np.abs(u - np.float32(at_u)) < half_u) & (np.abs(v - np.float32(at_v)) < half_v) & inside
        if mask.any():
            canvas.light[:, *spot][:, mask] *= np.float32(canvas.rng.choice([0.45, 0.7, 1.4, 1.8]))
            canvas.height[spot][mask] += np.float32(canvas.rng.uniform(0.0, 1.2))


def _break(canvas: Canvas, building: Building, spot: Spot, inside) -> None:
    """Open parts of the roof and leave rubble."""
    grain = canvas.grain[spot]
    holes = inside & (canvas.mottle[spot] + 0.25 * grain > 0.9 - 1.6 * building.damage)
    lumps = canvas.leaves[spot][holes]
    rubble = _RUBBLE[:, None] * (0.35 + 1.1 * lumps + 0.2 * grain[holes])
    canvas.light[:, *spot][:, holes] = np.clip(rubble, 0.02, 1.0)
    canvas.height[spot][holes] *= np.float32(0.3) + np.float32(0.3) * lumps


def paint_tree(canvas: Canvas, tree: Tree, layout: Layout) -> None:
    """Paint a ragged, lumpy dome of leaves."""
    reach = tree.radius_m * 1.35
    centre = (tree.x + layout.lean[0] * tree.height_m, tree.y + layout.lean[1] * tree.height_m)
    found = turned(canvas, centre, (reach, reach), 0.0)
    if found is None:
        return
    spot, u, v = found
    leaves = canvas.leaves[spot]
    distance = (u * u + v * v) / np.float32(tree.radius_m**2)
    dome = 1 - distance * (1 + 0.3 * canvas.mottle[spot] + 0.5 * (0.55 - leaves))
    inside = dome > 0
    if not inside.any():
        return
    relief = np.sqrt(np.clip(dome, 0.02, 1.0)) * np.float32(tree.radius_m * 0.8)
    rough = relief + leaves * np.float32(min(1.0, 0.3 * tree.radius_m))
    tone = _shade(rough, layout.sun, canvas.resolution_m, 0.6) * (0.6 + 0.7 * leaves + 0.08 * canvas.grain[spot])
    put(canvas, spot, inside, tree.colour[:, None, None] * np.clip(tone, 0.2, 2.2))
    height = np.clip(tree.height_m - tree.radius_m + relief, 0.3, None)
    canvas.height[spot][inside] = np.maximum(canvas.height[spot], height)[inside]
    canvas.labels[spot][inside] = canvas.add("tree")
    canvas.parts[spot][inside] = 0


def paint_block(canvas: Canvas, block: Block) -> None:
    """Paint a vehicle, a pool, a boat, a container or a solar array."""
    half_u, half_v = block.size_m[0] / 2, block.size_m[1] / 2
    found = turned(canvas, (block.x, block.y), (half_u, half_v), block.angle)
    if found is None:
        return
    spot, u, v = found
    inside = _plan(block, u, v)
    if not inside.any():
        return
    light = block.colour[:, None, None] * (1 + 0.04 * canvas.grain[spot] + 0.04 * canvas.mottle[spot])
    if block.kind == "vehicle":
        light = np.where(_windows(block, u, v), np.float32(0.03), light)
    if block.cells_m[0] > 1.5 * canvas.resolution_m:
        joint = max(0.05, 0.5 * canvas.resolution_m)
        lines = (u % np.float32(block.cells_m[0]) < joint) | (v % np.float32(block.cells_m[1]) < joint)
        light = np.where(lines, light + np.float32(0.04 / joint * 0.15), light)
        cell = ((u + half_u) // block.cells_m[0] + 64 * ((v + half_v) // block.cells_m[1])).astype(np.int32)
        canvas.parts[spot][inside] = cell[inside] + canvas.n_parts + 1
        canvas.n_parts += int(cell.max()) + 1
    else:
        canvas.parts[spot][inside] = 0
    put(canvas, spot, inside, light)
    if block.height_m > 0:
        canvas.height[spot][inside] = canvas.height[spot][inside].max() + np.float32(block.height_m)
    canvas.labels[spot][inside] = canvas.add(block.kind)


def _plan(block: Block, u, v):
    """Outline of a body: boats are pointed, pools and vehicles rounded, the rest square."""
    half_u, half_v = block.size_m[0] / 2, block.size_m[1] / 2
    if block.kind == "boat":
        taper = np.clip(1.6 - 1.6 * u / np.float32(half_u), 0, 1) ** 0.5
        return (np.abs(u) < half_u) & (np.abs(v) < half_v * taper)
    corner = {"vehicle": 0.25, "pool": min(half_u, half_v) * 0.7}.get(block.kind, 0.0)
    over_u = np.clip(np.abs(u) - np.float32(half_u - corner), 0, None)
    over_v = np.clip(np.abs(v) - np.float32(half_v - corner), 0, None)
    return over_u**2 + over_v**2 <= corner**2


def _windows(block: Block, u, v):
    """Windscreen and rear window of a car, the gap behind a lorry's cab."""
    length, width = block.size_m
    if length > 6.5:
        return (np.abs(u - np.float32(length * 0.32)) < 0.25) & (np.abs(v) < width * 0.45)
    front = (u > length * 0.10) & (u < length * 0.24)
    rear = (u < -length * 0.26) & (u > -length * 0.36)
    return (front | rear) & (np.abs(v) < width * 0.40)
