"""The themes: one function per kind of place, each drawing a layout from a generator."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import shapely

from geosam.training.world.layout import Block, Building, Ground, Layout, Region, Road, Sun
from geosam.training.world.materials import pick
from geosam.training.world.settlements import (
    MIXES,
    draw_building,
    houses_along,
    parking,
    scattered_trees,
    streets,
    traffic,
)
from geosam.training.world.shapes import Occupancy, blob, inset, meander, parcels, rectangle, ribbon

Place = Callable[[np.random.Generator, float], Layout]


def draw_sun(rng: np.random.Generator) -> Sun:
    """The sun of a clear morning or noon, in any direction, since pictures are turned at random anyway."""
    return Sun(float(rng.uniform(0, 2 * np.pi)), float(np.deg2rad(rng.uniform(28, 68))))


def draw_lean(rng: np.random.Generator) -> tuple[float, float]:
    """How tall things lean: not at all in an orthophoto of a terrain model's kind, a little in most pictures."""
    if rng.random() < 0.4:
        return (0.0, 0.0)
    amount, direction = rng.gamma(2.0, 0.09), rng.uniform(0, 2 * np.pi)
    return (float(amount * np.cos(direction)), float(amount * np.sin(direction)))


def draw_ground(rng: np.random.Generator, materials: tuple[str, ...], patch_m: float = 25.0) -> Ground:
    """Ground of one of the given materials, mottled with another."""
    first, second = rng.choice(materials, 2)
    return Ground(
        pick(rng, str(first)),
        pick(rng, str(second)),
        patch_m * float(rng.uniform(0.5, 2)),
        float(rng.uniform(0.3, 0.8)),
    )


def draw_field(rng: np.random.Generator, polygon: np.ndarray) -> Region:
    """A field with a crop, or ploughed, or harvested."""
    crop = str(rng.choice(["crop", "crop", "crop", "ripe crop", "stubble", "soil", "grass"]))
    edges = np.diff(np.concatenate([polygon, polygon[:1]]), axis=0)
    corners = edges[:: max(len(edges) // 4, 1)]
    longest = corners[np.argmax(np.hypot(*corners.T))]
    angle = float(np.arctan2(longest[1], longest[0]) + np.pi / 2)
    colour = pick(rng, crop, 0.2)
    return Region(
        "field", polygon, colour, _related(rng, colour), angle=angle, row_m=float(rng.choice([0.0, 0.75, 1.5, 3.0, 6.0])),
        tram_m=float(rng.choice([0.0, 12.0, 18.0, 24.0, 36.0])), strength=float(rng.uniform(0.1, 0.7)),
        wave_m=float(rng.uniform(2, 14)) if rng.random() < 0.25 else 0.0, ragged_m=float(rng.uniform(0.5, 2)) if rng.random() < 0.3 else 0.0,
    )  # fmt: skip


def _related(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    other = pick(rng, str(rng.choice(["soil", "crop", "dry grass"])))
    share = np.float32(rng.uniform(0.2, 0.6))
    return colour * (1 - share) + other * share


def draw_orchard(rng: np.random.Generator, polygon: np.ndarray) -> Region:
    """An orchard, a plantation or a vineyard."""
    vines = rng.random() < 0.4
    row = float(rng.uniform(1.8, 3.2) if vines else rng.uniform(4.0, 8.5))
    return Region(
        "orchard", polygon, pick(rng, "tree"), pick(rng, str(rng.choice(["soil", "grass", "dry grass"]))), angle=float(rng.uniform(0, np.pi)),
        row_m=row, tram_m=row if not vines else 1.2, height_m=1.8 if vines else row * 0.6, wave_m=0.1 if vines else 1.0,
    )  # fmt: skip


def draw_forest(rng: np.random.Generator, polygon: np.ndarray) -> Region:
    """A wood of broad-leaved trees or conifers."""
    kind = str(rng.choice(["tree", "tree", "conifer", "autumn tree"], p=[0.4, 0.25, 0.25, 0.1]))
    crown = rng.uniform(2.8, 5.0) if kind == "conifer" else rng.uniform(4.5, 9.0)
    return Region(
        "forest",
        polygon,
        pick(rng, kind),
        pick(rng, kind),
        row_m=float(crown),
        height_m=float(crown * rng.uniform(0.9, 1.8)),
    )


def draw_water(rng: np.random.Generator, polygon: np.ndarray, material: str = "water") -> Region:
    """A pond, lake or river."""
    if material == "water" and rng.random() < 0.3:
        material = "muddy water"
    return Region("water", polygon, pick(rng, material), pick(rng, material), strength=float(rng.uniform(0.05, 0.6)))


def suburb(rng: np.random.Generator, extent_m: float) -> Layout:
    """Houses with gardens along bent streets."""
    angle = float(rng.uniform(0, np.pi))
    roads = streets(rng, extent_m, block_m=(float(rng.uniform(45, 75)), float(rng.uniform(90, 220))), angle=angle)
    occupancy = Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 2 for road in roads])
    greens = _greens(rng, occupancy, extent_m, angle)
    buildings, blocks, yards = houses_along(
        rng, roads, occupancy, extent_m=extent_m, density=float(rng.uniform(0.6, 1.0))
    )
    trees = scattered_trees(
        rng, occupancy, _count(rng, extent_m, float(rng.choice([15.0, 60.0, 110.0]))), extent_m=extent_m
    )
    return Layout(
        "suburb", extent_m, draw_sun(rng), draw_ground(rng, ("grass", "grass", "dry grass", "soil")), regions=(*yards, *greens), roads=tuple(roads),
        buildings=tuple(buildings), blocks=(*blocks, *traffic(rng, roads, density=0.12)), trees=tuple(trees),
    )  # fmt: skip


def _greens(rng: np.random.Generator, occupancy: Occupancy, extent_m: float, angle: float) -> list[Region]:
    """Groves and sports grounds between the houses."""
    found = []
    for _ in range(rng.integers(0, 7)):
        x, y = rng.uniform(0, extent_m, 2).tolist()
        radius = float(rng.uniform(4, 16))
        if occupancy.claim(x, y, (radius * 1.6, radius * 1.6)):
            found.append(draw_forest(rng, blob(rng, (x, y), radius, rough=0.35)))
    if rng.random() < 0.35:
        x, y = rng.uniform(0.1, 0.9, 2) * extent_m
        size = ((24.0, 11.0), (28.0, 15.0), (60.0, 38.0), (100.0, 64.0))[rng.integers(4)]
        if occupancy.claim(float(x), float(y), size, angle):
            surface = pick(rng, str(rng.choice(["grass", "crop", "pool", "tile roof", "concrete"])))
            found.append(
                Region(
                    "pitch",
                    rectangle((float(x), float(y)), size, angle),
                    surface,
                    surface * np.float32(0.85),
                    strength=0.2,
                )
            )
    return found


def _count(rng: np.random.Generator, extent_m: float, per_hectare: float) -> int:
    return int(min(rng.poisson(per_hectare * rng.uniform(0.2, 1.6) * extent_m**2 / 1e4), 320))


def town(rng: np.random.Generator, extent_m: float) -> Layout:
    """Roofs wall to wall with lanes between them, as in old towns and informal settlements."""
    angle = float(rng.uniform(0, np.pi))
    roads = streets(rng, extent_m, block_m=(float(rng.uniform(40, 80)), float(rng.uniform(50, 110))), angle=angle)
    occupancy = Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 1 for road in roads])
    styles = MIXES[rng.integers(len(MIXES))]
    buildings: list[Building] = []
    for lot in parcels(
        rng,
        extent_m,
        float(max(rng.uniform(8, 18), extent_m / 20)),
        angle=angle,
        bend=float(rng.uniform(0, 0.02)) + 1e-6,
    ):
        centre, edge_u, edge_v = lot.mean(axis=0), lot[8] - lot[0], lot[16] - lot[8]
        size = (float(np.hypot(*edge_u)) - rng.uniform(0.3, 2.5), float(np.hypot(*edge_v)) - rng.uniform(0.3, 2.5))
        direction = float(np.arctan2(edge_u[1], edge_u[0]))
        if min(size) < 3 or rng.random() < 0.12 or not occupancy.claim(centre[0], centre[1], size, direction):
            continue
        style = styles[rng.integers(len(styles))]
        buildings.append(draw_building(rng, (float(centre[0]), float(centre[1]), direction), size, style=style))
    trees = scattered_trees(rng, occupancy, _count(rng, extent_m, 14.0), extent_m=extent_m)
    return Layout(
        "town", extent_m, draw_sun(rng), draw_ground(rng, ("soil", "concrete", "gravel", "grass"), 12.0), roads=tuple(roads),
        buildings=tuple(buildings), blocks=tuple(traffic(rng, roads, density=0.2)), trees=tuple(trees),
    )  # fmt: skip


def industry(rng: np.random.Generator, extent_m: float) -> Layout:
    """Halls, tanks, containers and car parks on paved ground."""
    angle = float(rng.uniform(0, np.pi))
    roads = streets(rng, extent_m, block_m=(float(rng.uniform(90, 160)), float(rng.uniform(120, 220))), angle=angle)
    occupancy = Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 4 for road in roads])
    buildings, blocks, regions = [], [], []
    for _ in range(int(min(40 + extent_m**2 / 1500, 90))):
        x, y = rng.uniform(0, extent_m, 2)
        kind, turn = rng.random(), angle + float(rng.choice([0.0, np.pi / 2]))
        size = (float(rng.uniform(20, 60)), float(rng.uniform(14, 35)))
        if kind < 0.45 and occupancy.claim(x, y, (size[0] + 5, size[1] + 5), turn):
            style = str(rng.choice(["membrane", "metal", "slab", "membrane", "painted"]))
            buildings.append(draw_building(rng, (float(x), float(y), turn), size, style=style))
        elif kind < 0.65 and occupancy.claim(x, y, size, turn):
            lot, cars = parking(rng, (float(x), float(y)), size, turn, full=float(rng.uniform(0.2, 0.95)))
            regions.append(lot)
            blocks += cars
        elif kind < 0.75 and occupancy.claim(x, y, (12.0, 12.0)):
            width = float(rng.uniform(6, 14))
            tank = Building(
                float(x),
                float(y),
                (width, width),
                0.0,
                "round",
                pick(rng, "metal roof"),
                float(rng.uniform(5, 12)),
                clutter=0.05,
            )
            buildings.append(tank)
        elif kind >= 0.75:
            length = 12.2 if rng.random() < 0.7 else 6.1
            if occupancy.claim(x, y, (length + 0.5, 3.0), turn):
                blocks.append(
                    Block("container", float(x), float(y), (length, 2.45), turn, pick(rng, "truck", 0.25), height_m=2.6)
                )
    trees = scattered_trees(rng, occupancy, _count(rng, extent_m, 5.0), extent_m=extent_m)
    return Layout(
        "industry", extent_m, draw_sun(rng), draw_ground(rng, ("concrete", "asphalt", "gravel", "grass", "dry grass")), regions=tuple(regions),
        roads=tuple(roads), buildings=tuple(buildings), blocks=(*blocks, *traffic(rng, roads)), trees=tuple(trees),
    )  # fmt: skip


def farmland(rng: np.random.Generator, extent_m: float) -> Layout:
    """Fields with lanes, woods, ponds, a stream and farmsteads."""
    angle, bend = float(rng.uniform(0, np.pi)), float(rng.choice([1e-6, 0.01, 0.04]))
    size = float(np.clip(extent_m * rng.uniform(0.12, 0.45), 25, 420))
    margin = float(rng.uniform(0, 0.02) * size)
    land = parcels(rng, extent_m, size, angle=angle, bend=bend)
    regions = []
    for polygon in land:
        kind = rng.random()
        polygon = inset(polygon, margin)
        if kind < 0.1:
            regions.append(draw_forest(rng, polygon))
        elif kind < 0.17:
            regions.append(draw_orchard(rng, polygon))
        elif kind < 0.95:
            regions.append(draw_field(rng, polygon))
    for _ in range(rng.integers(0, 3)):
        shape = blob(rng, tuple(rng.uniform(0, extent_m, 2)), extent_m * float(rng.uniform(0.03, 0.16)))
        regions.append(draw_forest(rng, shape) if rng.random() < 0.6 else draw_water(rng, shape))
    if rng.random() < 0.25:
        regions.append(
            draw_water(rng, ribbon(meander(rng, extent_m), np.full(60, rng.uniform(0.015, 0.05) * extent_m)))
        )
    roads, occupancy = _lanes(rng, extent_m, angle), Occupancy(extent_m)
    occupancy.block_paths([road.path for road in roads], [road.width_m + 1 for road in roads])
    buildings, blocks, yards = [], [], []
    if extent_m < 1200 and rng.random() < 0.6:
        buildings, blocks, yards = houses_along(
            rng, roads, occupancy, extent_m=extent_m, density=float(rng.uniform(0.02, 0.2))
        )
    trees = scattered_trees(rng, occupancy, _count(rng, min(extent_m, 700), 2.5), extent_m=extent_m)
    return Layout(
        "farmland", extent_m, draw_sun(rng), draw_ground(rng, ("grass", "dry grass", "grass")), regions=(*regions, *yards), roads=tuple(roads),
        buildings=tuple(buildings), blocks=tuple(blocks), trees=tuple(trees),
    )  # fmt: skip


def _lanes(rng: np.random.Generator, extent_m: float, angle: float) -> list[Road]:
    roads = []
    for turn in (angle, angle + np.pi / 2):
        if rng.random() < 0.6:
            t, shift = np.linspace(-0.8, 0.8, 12) * extent_m, rng.uniform(-0.4, 0.4) * extent_m
            wave = shift + rng.uniform(0, 0.03) * extent_m * np.sin(t / extent_m * 5 + rng.uniform(0, 6))
            path = extent_m / 2 + np.stack(
                [t * np.cos(turn) - wave * np.sin(turn), t * np.sin(turn) + wave * np.cos(turn)], axis=1
            )
            paved = rng.random() < 0.5
            width = float(rng.uniform(4, 8) if paved else rng.uniform(2.5, 4))
            verge = pick(rng, "grass") if rng.random() < 0.5 else None
            roads.append(
                Road(path, width, pick(rng, "asphalt" if paved else "gravel"), verge, marked=paved and width > 6)
            )
    return roads


def woodland(rng: np.random.Generator, extent_m: float) -> Layout:
    """Forest with clearings, tracks and a hut or two."""
    whole = draw_forest(rng, rectangle((extent_m / 2, extent_m / 2), (2 * extent_m, 2 * extent_m), 0.0))
    regions: list[Region] = []
    for _ in range(rng.integers(1, 5)):
        shape = blob(rng, tuple(rng.uniform(0, extent_m, 2)), extent_m * float(rng.uniform(0.06, 0.28)), rough=0.35)
        kind = rng.random()
        material = "grass" if kind < 0.5 else "soil" if kind < 0.7 else "dry grass"
        clearing = Region(
            "clearing",
            shape,
            pick(rng, material),
            pick(rng, "grass"),
            strength=0.5,
            ragged_m=float(rng.uniform(0.5, 3)),
        )
        regions.append(draw_water(rng, shape) if kind > 0.85 else clearing)
    hills = float(rng.choice([0.0, rng.uniform(0.1, 0.5)]))
    roads, occupancy = _lanes(rng, extent_m, float(rng.uniform(0, 3))), Occupancy(extent_m)
    buildings, blocks, _ = (
        houses_along(rng, roads, occupancy, extent_m=extent_m, density=0.06) if extent_m < 600 else ([], [], [])
    )
    trees = scattered_trees(rng, occupancy, _count(rng, min(extent_m, 500), 4.0), extent_m=extent_m)
    return Layout(
        "woodland", extent_m, draw_sun(rng), hills=hills, ground=draw_ground(rng, ("grass", "dry grass", "soil")), regions=(whole, *regions), roads=tuple(roads),
        buildings=tuple(buildings), blocks=tuple(blocks), trees=tuple(trees),
    )  # fmt: skip


def _base(rng: np.random.Generator, extent_m: float, names: tuple[str, ...]) -> Layout:
    """One of several places that suits the extent."""
    fitting = [name for name in names if extent_m < 420 or name in ("farmland", "woodland")]
    return PLACES[str(rng.choice(fitting))](rng, extent_m)


def waterside(rng: np.random.Generator, extent_m: float) -> Layout:
    """A lake, river or coast in any other place, with boats, and perhaps a bridge."""
    base = _base(rng, extent_m, ("farmland", "woodland", "suburb", "farmland", "town"))
    if rng.random() < 0.5:
        shape = blob(rng, tuple(rng.uniform(0.1, 0.9, 2) * extent_m), extent_m * float(rng.uniform(0.15, 0.4)))
    else:
        width = extent_m * rng.uniform(0.05, 0.22) * (1 + 0.25 * np.sin(np.linspace(0, rng.uniform(3, 14), 60)))
        shape = ribbon(meander(rng, extent_m, bend=0.06), width)
    water = replace(draw_water(rng, shape), over=True)
    added: list[Region] = [water]
    if rng.random() < 0.6:
        bank = _grown(shape, min(extent_m * float(rng.uniform(0.01, 0.05)), 40.0))
        material = str(rng.choice(["sand", "soil", "grass", "gravel"]))
        added.insert(
            0,
            Region(
                "shore",
                bank,
                pick(rng, material),
                pick(rng, "soil"),
                strength=0.3,
                ragged_m=3.0,
                over=True,
                labelled=material == "sand",
            ),
        )
    bridge = int(rng.integers(len(base.roads))) if base.roads and rng.random() < 0.5 else -1
    roads = tuple(replace(road, bridge=i == bridge) for i, road in enumerate(base.roads))
    dry = _without_drowned(base, added[0].polygon)
    return replace(
        dry,
        theme="waterside",
        regions=(*dry.regions, *added),
        roads=roads,
        blocks=(*dry.blocks, *_boats(rng, shape, extent_m)),
    )


def _boats(rng: np.random.Generator, water: np.ndarray, extent_m: float) -> list[Block]:
    points = rng.uniform(0, extent_m, (int(rng.integers(0, 14)), 2))
    afloat = points[shapely.contains_xy(shapely.Polygon(inset(water, 8.0)).buffer(0), points)]
    boats = []
    for x, y in afloat.tolist():
        length = float(rng.gamma(4.0, 2.2) + 4)
        boats.append(
            Block("boat", x, y, (length, length * 0.32), float(rng.uniform(0, 6.3)), pick(rng, "truck"), height_m=1.2)
        )
    return boats


def _without_drowned(
    layout: Layout, water: np.ndarray, kinds: tuple[str, ...] = ("buildings", "blocks", "trees")
) -> Layout:
    """The layout without the bodies that stand in an area."""
    area = shapely.Polygon(water).buffer(0)
    dry = {}
    for kind in kinds:
        bodies = getattr(layout, kind)
        wet = shapely.contains_xy(area, np.array([(b.x, b.y) for b in bodies]).reshape(-1, 2))
        dry[kind] = tuple(body for body, under in zip(bodies, wet, strict=True) if not under)
    return replace(layout, **dry)


def _grown(polygon: np.ndarray, margin_m: float) -> np.ndarray:
    return np.asarray(shapely.Polygon(polygon).buffer(margin_m).exterior.coords) if margin_m > 0 else polygon


def landslide(rng: np.random.Generator, extent_m: float) -> Layout:
    """Scars of debris down a green slope."""
    base = woodland(rng, extent_m) if rng.random() < 0.6 else farmland(rng, extent_m)
    base = replace(base, hills=float(rng.uniform(0.1, 0.6)))
    down = float(rng.uniform(0, 2 * np.pi))
    scars = []
    for _ in range(rng.integers(1, 4)):
        start = rng.uniform(0.1, 0.9, 2) * extent_m
        length, steps = extent_m * rng.uniform(0.15, 0.6), np.linspace(0, 1, 40)
        wander = np.cumsum(rng.normal(0, 0.004, 40)) * extent_m
        x = start[0] + np.cos(down) * steps * length - np.sin(down) * wander
        y = start[1] + np.sin(down) * steps * length + np.cos(down) * wander
        width = (
            length
            * rng.uniform(0.1, 0.35)
            * np.sqrt(np.sin(np.pi * (0.03 + 0.94 * steps)))
            * (1 + 0.2 * rng.standard_normal(40).cumsum() / 6)
        )
        shape = ribbon(np.stack([x, y], axis=1), np.abs(width) + 1)
        scars.append(
            Region(
                "scar",
                shape,
                pick(rng, "scar"),
                pick(rng, "soil"),
                angle=down,
                ragged_m=float(rng.uniform(1, 6)),
                over=True,
            )
        )
    for scar in scars:
        base = _without_drowned(base, scar.polygon)
    return replace(base, theme="landslide", regions=(*base.regions, *scars))


def flood(rng: np.random.Generator, extent_m: float) -> Layout:
    """Brown water over fields and streets; roofs and trees stand out of it."""
    base = _base(rng, extent_m, ("farmland", "suburb", "town"))
    spill = [
        blob(rng, tuple(rng.uniform(0, 1, 2) * extent_m), extent_m * float(rng.uniform(0.15, 0.45)), rough=0.5)
        for _ in range(rng.integers(1, 4))
    ]
    material = str(rng.choice(["muddy water", "muddy water", "water"]))
    colour, second = pick(rng, material), pick(rng, material)
    water = tuple(Region("flood", shape, colour, second, strength=0.3, ragged_m=2.0, over=True) for shape in spill)
    for shape in spill:
        base = _without_drowned(base, shape, ("blocks",))
    return replace(base, theme="flood", regions=(*base.regions, *water))


def solar(rng: np.random.Generator, extent_m: float) -> Layout:
    """A solar park: rows of tables on grass or gravel."""
    angle = float(rng.uniform(0, np.pi))
    table = (float(rng.uniform(10, 45)), float(rng.uniform(2, 5)))
    pitch, gap = table[1] + float(rng.uniform(1.5, 6)), float(rng.uniform(0.5, 4))
    colour = pick(rng, "panel")
    outline = float(rng.uniform(0.25, 0.6)) * extent_m
    blocks = []
    cos, sin = np.cos(angle), np.sin(angle)
    pitch = max(pitch, extent_m / 30)
    for v in np.arange(-outline, outline, pitch):
        for u in np.arange(-outline, outline, table[0] + gap):
            if rng.random() < 0.95 and len(blocks) < 160:
                x, y = extent_m / 2 + u * cos - v * sin, extent_m / 2 + u * sin + v * cos
                blocks.append(
                    Block("solar", float(x), float(y), table, angle, colour, height_m=1.4, cells_m=(1.0, table[1] / 2))
                )
    base = farmland(rng, extent_m)
    occupancy = Occupancy(extent_m)
    occupancy.claim(extent_m / 2, extent_m / 2, (2 * outline, 2 * outline), angle)
    trees = scattered_trees(rng, occupancy, _count(rng, min(extent_m, 500), 6.0), extent_m=extent_m)
    park = Region(
        "field",
        rectangle((extent_m / 2, extent_m / 2), (2 * outline + 8, 2 * outline + 8), angle),
        pick(rng, "grass"),
        pick(rng, "dry grass"),
        strength=0.4,
    )
    return replace(
        base,
        theme="solar",
        regions=(*base.regions, park),
        buildings=(),
        trees=tuple(trees),
        blocks=tuple(blocks),
        roads=(),
    )


PLACES: dict[str, Place] = {
    "suburb": suburb, "town": town, "industry": industry, "farmland": farmland, "woodland": woodland, "waterside": waterside,
    "landslide": landslide, "flood": flood, "solar": solar,
}  # fmt: skip

RESOLUTIONS: dict[str, tuple[float, float]] = {
    "suburb": (0.15, 1.2), "town": (0.1, 1.0), "industry": (0.15, 1.5), "farmland": (0.4, 10.0), "woodland": (0.3, 6.0),
    "waterside": (0.3, 5.0), "landslide": (0.5, 6.0), "flood": (0.2, 3.0), "solar": (0.15, 1.2),
}  # fmt: skip
"""Finest and coarsest ground resolution (m per pixel) at which a theme is drawn."""
