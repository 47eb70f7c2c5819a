"""Painters of everything flat: ground cover, fields, water, yards, scars, and the roads across them."""

import numpy as np
from scipy.ndimage import gaussian_filter

from geosam.training.world.canvas import Canvas, Spot, blend, path_mask, polygon_mask, put
from geosam.training.world.layout import Ground, Region, Road
from geosam.training.world.noise import crown_field, fractal_noise, smooth_noise


def paint_ground(canvas: Canvas, ground: Ground) -> None:
    """Cover the canvas with two colours in patches."""
    shape = (canvas.side, canvas.side)
    patches = fractal_noise(canvas.rng, shape, max(ground.patch_m / canvas.resolution_m, 3.0), 5)
    light = blend(ground.colour, ground.second, 0.5 + ground.contrast * patches)
    canvas.light[:] = light * (1 + 0.10 * canvas.mottle + _roughness(canvas, 0.13) * canvas.grain)


def _roughness(canvas: Canvas, amount: float) -> float:
    """Strength of the finest texture, which averages out in large pixels."""
    return amount / (1 + canvas.resolution_m) ** 0.5


def paint_region(canvas: Canvas, region: Region) -> None:
    """Paint one area on the ground and label it."""
    found = polygon_mask(canvas, region.polygon)
    if found is None:
        return
    spot, mask = found
    if region.kind == "forest":
        light, mask = _canopy(canvas, region, spot, mask)
    else:
        light = _PAINTERS.get(region.kind, _field)(canvas, region, spot)
    if region.ragged_m > canvas.resolution_m:
        mask = _frayed(canvas, region, spot, mask)
    put(canvas, spot, mask, light)
    if region.kind not in ("forest", "orchard"):
        canvas.height[spot][mask] = 0.0
        canvas.parts[spot][mask] = 0
    canvas.labels[spot][mask] = canvas.add(region.kind) if region.labelled else 0


def _frayed(canvas: Canvas, region: Region, spot: Spot, mask):
    """The mask with its edge moved in and out by noise, as grass grows into soil."""
    sigma = region.ragged_m / canvas.resolution_m
    soft = gaussian_filter(mask.astype(np.float32), sigma, truncate=2.0, mode="nearest")
    return soft + 0.28 * canvas.mottle[spot] > 0.5


def _field(canvas: Canvas, region: Region, spot: Spot):
    """Rows, tramlines and wet patches of a field; also lawns and yards, which have none of the first two."""
    x, y = canvas.coordinates(spot)
    across = x * np.float32(np.cos(region.angle)) + y * np.float32(np.sin(region.angle))
    if region.wave_m:
        across = across + np.float32(region.wave_m) * canvas.broad[spot]
    mottle, grain = canvas.mottle[spot], canvas.grain[spot]
    uneven = canvas.broad[spot] * np.float32(canvas.rng.choice([-1.0, 1.0]))
    weight = 0.3 + region.strength * (1.3 * uneven + 0.5 * mottle)
    if region.row_m > 2.2 * canvas.resolution_m:
        weight = weight + 0.35 * np.sin(across * np.float32(2 * np.pi / region.row_m)) * (1 + 0.5 * mottle)
    elif region.kind == "field":
        streaks = smooth_noise(canvas.rng, (1, 512), 2.0)[0]
        weight = weight + region.strength * 0.5 * streaks[np.int32(np.abs(across) / (2 * canvas.resolution_m)) % 512]
    if region.tram_m:
        offset = across % np.float32(region.tram_m)
        wheel = (
            (np.abs(offset - 1.0) < 0.3) | (np.abs(offset - 3.0) < 0.3) if canvas.resolution_m < 0.6 else offset < 1.2
        )
        weight = weight + wheel * np.float32(0.7 * min(1.0, 1.2 / canvas.resolution_m))
    return blend(region.colour, region.second, weight) * (1 + 0.06 * mottle + _roughness(canvas, 0.10) * grain)


def _canopy(canvas: Canvas, region: Region, spot: Spot, mask):
    """Crowns side by side, domes that shade each other; a rough dark surface where pixels are larger than crowns."""
    spacing = round(region.row_m / canvas.resolution_m)
    shape = mask.shape
    if spacing >= 3:
        height, crown = crown_field(canvas.rng, shape, spacing)
        count = int(crown.max()) + 1
        share = np.bincount(crown.ravel(), mask.ravel(), count) / np.maximum(
            np.bincount(crown.ravel(), minlength=count), 1
        )
        mask = np.where(height > 0.03, (share > 0.5)[crown], mask)
        canvas.parts[spot][mask] = crown[mask] + canvas.n_parts
        canvas.n_parts += count
        tone = canvas.rng.normal(0.0, 0.5, count).astype(np.float32)[crown]
        height = height + 0.25 * (canvas.leaves[spot] - 0.5) if spacing > 8 else height
    else:
        height = np.clip(0.6 + 0.35 * canvas.grain[spot] + 0.3 * canvas.mottle[spot], 0.0, 1.0)
        tone = canvas.mottle[spot]
    light = blend(region.colour, region.second, 0.5 + 0.5 * tone + 0.5 * canvas.broad[spot])
    leaves = 0.12 if spacing >= 3 else 0.05
    light = light * ((0.45 + 0.75 * height) * (1 + leaves * canvas.grain[spot] + 0.12 * canvas.mottle[spot]))
    canvas.height[spot][mask] = (region.height_m * (0.25 + 0.75 * height))[mask]
    return np.clip(light, 0.004, 1.0), mask


def _water(canvas: Canvas, region: Region, spot: Spot):
    """Depth towards the middle, wind ripples, and now and then the glint of the sun."""
    shape = canvas.mottle[spot].shape
    light = blend(region.colour, region.second, 0.35 + region.strength * canvas.broad[spot])
    ripples = smooth_noise(canvas.rng, shape, max(2.0 / canvas.resolution_m, 1.0))
    light = light * (1 + 0.05 * ripples + 0.03 * canvas.grain[spot])
    if region.strength > 0.45:
        light = light + 0.05 * np.clip(ripples + 0.5 * canvas.grain[spot] - 0.9, 0.0, None)
    return light


def _scar(canvas: Canvas, region: Region, spot: Spot):
    """Bare debris: streaks along the slope and blocks of rock."""
    x, y = canvas.coordinates(spot)
    cos, sin = np.float32(np.cos(region.angle)), np.float32(np.sin(region.angle))
    across, along = x * cos + y * sin, y * cos - x * sin
    r = np.float32(canvas.resolution_m)
    streaks = smooth_noise(canvas.rng, (64, 256), 2.0)
    weight = streaks[np.int32(np.abs(along) / (12 * r)) % 64, np.int32(np.abs(across) / (1.5 * r)) % 256]
    weight = 0.4 + 0.3 * weight + 0.5 * canvas.mottle[spot]
    return blend(region.colour, region.second, weight) * (1 + 0.14 * canvas.grain[spot] + 0.12 * canvas.mottle[spot])


def _orchard(canvas: Canvas, region: Region, spot: Spot):
    """Trees or vines in rows: one dome in each cell of a turned grid; `tram_m` is the distance within a row."""
    x, y = canvas.coordinates(spot)
    cos, sin = np.float32(np.cos(region.angle)), np.float32(np.sin(region.angle))
    u, v = (x * cos + y * sin) / np.float32(region.row_m), (y * cos - x * sin) / np.float32(region.tram_m)
    cell_u, cell_v = np.floor(u), np.floor(v)
    chance = np.abs(np.sin(cell_u * 12.9898 + cell_v * 78.233) * 43758.547) % 1
    distance = ((u - cell_u - 0.5) * 2) ** 2 + ((v - cell_v - 0.5) * 2) ** 2 * np.float32(region.wave_m)
    crown = np.clip(0.55 + 0.3 * chance - distance + 0.15 * canvas.mottle[spot], 0, 1) * (chance > 0.05)
    there = crown > 0
    ground = blend(region.second, region.colour, 0.2 + 0.3 * canvas.broad[spot] + 0.2 * canvas.mottle[spot])
    leaves = region.colour[:, None, None] * (0.5 + 1.1 * crown + 0.1 * canvas.grain[spot])
    canvas.height[spot] = np.where(there, np.float32(region.height_m) * (0.4 + crown), 0.0)
    return np.clip(np.where(there, leaves, ground * (1 + 0.08 * canvas.grain[spot])), 0.004, 1.0)


def _local(canvas: Canvas, region: Region, spot: Spot):
    """Metres along the first two sides of a rectangle from its first corner, and the rectangle's size."""
    x, y = canvas.coordinates(spot)
    corner, along, across = (
        region.polygon[0],
        region.polygon[1] - region.polygon[0],
        region.polygon[3] - region.polygon[0],
    )
    size = float(np.hypot(*along)), float(np.hypot(*across))
    (ux, uy), (vx, vy) = along / size[0], across / size[1]
    dx, dy = x - np.float32(corner[0]), y - np.float32(corner[1])
    return dx * np.float32(ux) + dy * np.float32(uy), dx * np.float32(vx) + dy * np.float32(vy), size


def _marked(canvas: Canvas, light, lines, width_m: float):
    """Paint lines in white, fainter where a pixel is wider than the line."""
    strength = np.float32(min(1.0, width_m / canvas.resolution_m)) * (0.8 + 0.2 * np.float32(canvas.resolution_m < 1))
    return np.where(lines, light + (np.float32(0.6) - light) * strength, light)


def _parking(canvas: Canvas, region: Region, spot: Spot):
    """Asphalt with the lines between bays."""
    light = _field(canvas, region, spot)
    if canvas.resolution_m > 0.8:
        return light
    u, v, _ = _local(canvas, region, spot)
    width = max(0.12, canvas.resolution_m)
    return _marked(canvas, light, ((u - 0.65) % 2.7 < width) & ((v - 0.4) % 8.0 < 5.2), 0.12)


def _pitch(canvas: Canvas, region: Region, spot: Spot):
    """A sports ground: mown stripes, its outline, halfway line and circle."""
    u, v, size = _local(canvas, region, spot)
    light = _field(canvas, region, spot) * (1 + 0.06 * np.sign(np.sin(u * np.float32(2 * np.pi / max(size[0] / 8, 3)))))
    width = max(0.1, 0.6 * canvas.resolution_m)
    rim = np.abs(np.minimum(np.minimum(u, size[0] - u), np.minimum(v, size[1] - v)) - 1.5) < width
    middle = np.abs(u - size[0] / 2) < width
    circle = np.abs(np.hypot(u - size[0] / 2, v - size[1] / 2) - 0.14 * size[1]) < width
    inner = (v > 1.5) & (v < size[1] - 1.5)
    return _marked(canvas, light, rim | ((middle | circle) & inner), 0.15)


_PAINTERS = {
    "water": _water, "flood": _water, "slick": _water, "scar": _scar, "orchard": _orchard, "parking": _parking,
    "pitch": _pitch,
}  # fmt: skip


def paint_roads(canvas: Canvas, roads: tuple[Road, ...]) -> None:
    """Paint roads as one network: all shoulders, then all surfaces, then all markings, so that junctions join."""
    for road in roads:
        if road.shoulder is not None:
            _band(canvas, road, road.width_m * 1.3 + 2.0, road.shoulder)
    network: dict[str, int] = {}
    for road in roads:
        number = network.get(road.kind) or canvas.add(road.kind)
        network[road.kind] = number
        painted = _band(canvas, road, road.width_m, road.colour)
        if painted is not None:
            spot, mask = painted
            canvas.labels[spot][mask] = number
    for road in roads:
        if road.width_m > 4 * canvas.resolution_m:
            _wear(canvas, road)
        if road.marked and canvas.resolution_m < 0.9:
            _markings(canvas, road)
        if road.kind == "rail" and canvas.resolution_m < 0.6:
            _rails(canvas, road)


def _band(canvas: Canvas, road: Road, width_m: float, colour):
    found = path_mask(canvas, road.path, width_m)
    if found is None:
        return None
    spot, mask = found
    texture = 1 + 0.08 * canvas.mottle[spot] + 0.06 * canvas.broad[spot] + _roughness(canvas, 0.07) * canvas.grain[spot]
    canvas.light[:, *spot][:, mask] = colour[:, None] * texture[mask]
    canvas.labels[spot][mask] = 0
    canvas.height[spot][mask] = 0.0
    canvas.parts[spot][mask] = 0
    return spot, mask


def _wear(canvas: Canvas, road: Road) -> None:
    """Wheel tracks, a little brighter than the rest of the lane."""
    for lane in (-0.25, 0.25):
        _tinted(canvas, road, lane * road.width_m, 0.22 * road.width_m, 1.07)


def _rails(canvas: Canvas, road: Road) -> None:
    """Two rails, bright from use."""
    for rail in (-0.72, 0.72):
        _tinted(canvas, road, rail, 0.1, 1.6)


def _tinted(canvas: Canvas, road: Road, aside_m: float, width_m: float, factor: float) -> None:
    """Brighten a band that runs beside the middle of a road."""
    step = np.gradient(road.path, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-9)[:, None]
    found = path_mask(canvas, road.path + normal * aside_m, width_m)
    if found is not None:
        spot, mask = found
        canvas.light[:, *spot][:, mask] *= np.float32(factor)


def _markings(canvas: Canvas, road: Road) -> None:
    """A dashed line in the middle."""
    step = np.diff(road.path, axis=0)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*step.T))])
    ends = np.arange(0.0, travelled[-1], 9.0)
    stations = np.stack([ends, ends + 4.5], axis=1)
    x = np.interp(stations, travelled, road.path[:, 0])
    y = np.interp(stations, travelled, road.path[:, 1])
    strength = np.float32(min(1.0, 0.18 / canvas.resolution_m + 0.1))
    for xs, ys in zip(x, y, strict=True):
        found = path_mask(canvas, np.stack([xs, ys], axis=1), 0.18)
        if found is not None:
            spot, mask = found
            light = canvas.light[:, *spot]
            light[:, mask] += (np.float32(0.5) - light[:, mask]) * strength


def paint_scrub(canvas: Canvas, ground: Ground) -> None:
    """Low bushes, tufts and litter on ground that nothing covers; they have no label."""
    if ground.scrub <= 0 or canvas.resolution_m > 1.5:
        return
    shape = (canvas.side, canvas.side)
    tufts = (
        smooth_noise(canvas.rng, shape, max(2.2 / canvas.resolution_m, 1.5)) + 0.6 * canvas.mottle + 0.7 * canvas.broad
    )
    mask = (tufts > 1.6 - 1.5 * ground.scrub) & (canvas.labels == 0)
    tone = 0.75 + 0.25 * np.clip(tufts[mask] - 1, -1, 1) + 0.2 * canvas.grain[mask]
    canvas.light[:, mask] = ground.bush[:, None] * np.clip(tone, 0.2, 2.0)
    canvas.height[mask] = np.clip(tufts[mask], 0.2, 1.2)
