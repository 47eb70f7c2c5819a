"""Water beside, over and in other places, and slopes that slid."""

from dataclasses import replace

import numpy as np
import shapely

from geosam.training.world.layout import Block, Ground, Layout, Region
from geosam.training.world.materials import pick
from geosam.training.world.places.built import suburb, town
from geosam.training.world.places.elements import Random, any_of, chance, draw_sun, draw_water
from geosam.training.world.places.land import farmland, woodland
from geosam.training.world.shapes import Polygon, blob, inset, meander, placed, ribbon

_BASES = {"farmland": farmland, "woodland": woodland, "suburb": suburb, "town": town}


def _base(rng: Random, extent_m: float, *names: str) -> Layout:
    """One of several places, settlements only where the extent suits them."""
    fitting = [name for name in names if extent_m < 420 or name in ("farmland", "woodland")]
    return _BASES[any_of(rng, *fitting)](rng, extent_m)


def waterside(rng: Random, extent_m: float) -> Layout:
    """A lake, river or coast in any other place, with boats, and perhaps a bridge."""
    base = _base(rng, extent_m, "farmland", "woodland", "suburb", "farmland", "town")
    if chance(rng, 0.5):
        x, y = (rng.uniform(0.1, 0.9, 2) * extent_m).tolist()
        shape = blob(rng, (x, y), extent_m * rng.uniform(0.15, 0.4))
    else:
        width = extent_m * rng.uniform(0.05, 0.22) * (1 + 0.25 * np.sin(np.linspace(0, rng.uniform(3, 14), 60)))
        shape = ribbon(meander(rng, extent_m, bend=0.06), width)
    water: tuple[Region, ...] = (draw_water(rng, shape, over=True),)
    if chance(rng, 0.6):
        material = any_of(rng, "sand", "soil", "grass", "gravel")
        bank = grown(shape, min(extent_m * rng.uniform(0.01, 0.05), 40.0))
        colours = pick(rng, material), pick(rng, "soil")
        water = (
            Region("shore", bank, *colours, strength=0.3, ragged_m=3.0, over=True, labelled=material == "sand"),
            *water,
        )
    bridge = int(rng.integers(len(base.roads))) if base.roads and chance(rng, 0.5) else -1
    roads = tuple(replace(road, bridge=number == bridge) for number, road in enumerate(base.roads))
    dry = without_drowned(base, water[0].polygon)
    blocks = (*dry.blocks, *_boats(rng, shape, extent_m))
    return replace(dry, theme="waterside", regions=(*dry.regions, *water), roads=roads, blocks=blocks)


def _boats(rng: Random, water: Polygon, extent_m: float) -> list[Block]:
    points = rng.uniform(0, extent_m, (int(rng.integers(0, 14)), 2))
    afloat = points[shapely.contains_xy(shapely.Polygon(inset(water, 8.0)).buffer(0), points)]
    boats = []
    for x, y in afloat.tolist():
        length = rng.gamma(4.0, 2.2) + 4
        boats.append(
            Block("boat", x, y, (length, length * 0.32), rng.uniform(0, 6.3), pick(rng, "truck"), height_m=1.2)
        )
    return boats


def without_drowned(
    layout: Layout, water: Polygon, kinds: tuple[str, ...] = ("buildings", "blocks", "trees")
) -> Layout:
    """The layout without the bodies that stand in an area."""
    area = shapely.Polygon(water).buffer(0)
    dry = {}
    for kind in kinds:
        bodies = getattr(layout, kind)
        wet = shapely.contains_xy(area, np.array([(body.x, body.y) for body in bodies]).reshape(-1, 2))
        dry[kind] = tuple(body for body, under in zip(bodies, wet, strict=True) if not under)
    return replace(layout, **dry)


def grown(polygon: Polygon, margin_m: float) -> Polygon:
    """A polygon with a margin around it.

    Examples
    --------
    >>> grown(np.array([(0.0, 0.0), (2.0, 0.0), (0.0, 2.0)]), 1.0).min().round(6).item()
    -1.0
    """
    outline = shapely.Polygon(polygon).buffer(0).buffer(margin_m)
    whole = max(shapely.get_parts(outline), key=lambda part: part.area)
    return shapely.get_coordinates(whole.exterior)


def sea(rng: Random, extent_m: float) -> Layout:
    """Open water with slicks of oil and ships, perhaps a strip of beach; a radar shows the slicks best."""
    ground = Ground(pick(rng, "sea"), pick(rng, "sea"), extent_m / 5, contrast=rng.uniform(0.2, 0.6))
    slicks = []
    for _ in range(int(rng.integers(1, 5))):
        if chance(rng, 0.5):
            width = extent_m * rng.uniform(0.01, 0.08) * (1 + 0.5 * np.sin(np.linspace(0, rng.uniform(3, 20), 60)))
            shape = ribbon(meander(rng, extent_m, bend=0.05), width)
        else:
            x, y = (rng.uniform(0.1, 0.9, 2) * extent_m).tolist()
            shape = blob(rng, (x, y), extent_m * rng.uniform(0.04, 0.25), rough=0.6)
        ragged = extent_m * rng.uniform(0.002, 0.01)
        slicks.append(Region("slick", shape, pick(rng, "slick"), pick(rng, "slick"), strength=0.3, ragged_m=ragged))
    beach: tuple[Region, ...] = ()
    if chance(rng, 0.25):
        x, y = rng.choice([0.0, extent_m], 2).tolist()
        shape = blob(rng, (x, y), extent_m * rng.uniform(0.2, 0.5))
        land = Region("land", shape, pick(rng, "grass"), pick(rng, "dry grass"), strength=0.5, ragged_m=3.0, over=True)
        sand = grown(shape, extent_m * rng.uniform(0.01, 0.04))
        beach = (Region("shore", sand, pick(rng, "sand"), pick(rng, "sand"), strength=0.3, over=True), land)
    ships = []
    for x, y in rng.uniform(0, extent_m, (int(rng.integers(0, 8)), 2)).tolist():
        length = min(rng.gamma(3.0, 25.0) + 12, extent_m / 12)
        ships.append(Block("boat", x, y, (length, length * 0.2), rng.uniform(0, 6.3), pick(rng, "truck"), height_m=8.0))
    return Layout("sea", extent_m, draw_sun(rng), ground, regions=(*slicks, *beach), blocks=tuple(ships))


def landslide(rng: Random, extent_m: float) -> Layout:
    """Scars of debris down a green slope."""
    base = replace(_base(rng, extent_m, "woodland", "woodland", "farmland"), hills=rng.uniform(0.1, 0.6))
    return replace(slid(rng, base), theme="landslide")


def slid(rng: Random, layout: Layout) -> Layout:
    """The place after some of its ground slid, and took with it what stood there."""
    down = rng.uniform(0, 2 * np.pi)
    scars = tuple(_scar(rng, layout.extent_m, down) for _ in range(int(rng.integers(1, 4))))
    for scar in scars:
        layout = without_drowned(layout, scar.polygon)
    return replace(layout, regions=(*layout.regions, *scars))


def _scar(rng: Random, extent_m: float, down: float) -> Region:
    """A tongue of debris, widest in its middle."""
    start, steps = (rng.uniform(0.1, 0.9, 2) * extent_m).tolist(), np.linspace(0, 1, 40)
    length = extent_m * rng.uniform(0.15, 0.6)
    path = placed(start, down, steps * length, np.cumsum(rng.normal(0, 0.004, 40)) * extent_m)
    uneven = 1 + 0.2 * rng.standard_normal(40).cumsum() / 6
    width = length * rng.uniform(0.1, 0.35) * np.sqrt(np.sin(np.pi * (0.03 + 0.94 * steps))) * uneven
    shape = ribbon(path, np.abs(width) + 1)
    return Region(
        "scar", shape, pick(rng, "scar"), pick(rng, "soil"), angle=down, ragged_m=rng.uniform(1, 6), over=True
    )


def flood(rng: Random, extent_m: float) -> Layout:
    """Brown water over fields and streets; roofs and trees stand out of it."""
    return replace(flooded(rng, _base(rng, extent_m, "farmland", "suburb", "town")), theme="flood")


def flooded(rng: Random, layout: Layout) -> Layout:
    """The place under water here and there; what floats or drives is gone."""
    material = any_of(rng, "muddy water", "muddy water", "water")
    colours, spill = (pick(rng, material), pick(rng, material)), []
    for x, y in rng.uniform(0, layout.extent_m, (int(rng.integers(1, 4)), 2)).tolist():
        shape = blob(rng, (x, y), layout.extent_m * rng.uniform(0.15, 0.45), rough=0.5)
        spill.append(Region("flood", shape, *colours, strength=0.3, ragged_m=2.0, over=True))
        layout = without_drowned(layout, shape, ("blocks",))
    return replace(layout, regions=(*layout.regions, *spill))
