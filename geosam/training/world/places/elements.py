"""Single things drawn at random: sun, ground, fields, woods, water, trees."""

import numpy as np

from geosam.training.world.layout import Ground, Region, Sun, Tree
from geosam.training.world.materials import Spectrum, pick
from geosam.training.world.shapes import Occupancy, Polygon

Random = np.random.Generator


def chance(rng: Random, probability: float) -> bool:
    """Whether something happens that does so with a probability.

    Examples
    --------
    >>> chance(np.random.default_rng(0), 1.0)
    True
    """
    return bool(rng.random() < probability)


def any_of(rng: Random, *options: str) -> str:
    """One of several names; repeat a name to make it likelier.

    Examples
    --------
    >>> any_of(np.random.default_rng(0), "tree")
    'tree'
    """
    return options[int(rng.integers(len(options)))]


def draw_sun(rng: Random) -> Sun:
    """The sun of a clear day, in any direction, since pictures are turned at random anyway."""
    return Sun(rng.uniform(0, 2 * np.pi), float(np.deg2rad(rng.uniform(28, 68))))


def draw_lean(rng: Random) -> tuple[float, float]:
    """How tall things lean: not at all in a true orthophoto, a little in most pictures."""
    if chance(rng, 0.4):
        return (0.0, 0.0)
    amount, direction = rng.gamma(2.0, 0.09), rng.uniform(0, 2 * np.pi)
    return (float(amount * np.cos(direction)), float(amount * np.sin(direction)))


def draw_ground(rng: Random, materials: tuple[str, ...], patch_m: float = 25.0) -> Ground:
    """Ground of one of the given materials, mottled with another, with or without scrub."""
    first, second = any_of(rng, *materials), any_of(rng, *materials)
    scrub = rng.uniform(0.0, 0.5) if chance(rng, 0.6) else 0.0
    colours, patch_m = (pick(rng, first), pick(rng, second)), patch_m * rng.uniform(0.5, 2)
    return Ground(*colours, patch_m, contrast=rng.uniform(0.3, 0.8), scrub=scrub, bush=pick(rng, "tree"))


def draw_field(rng: Random, polygon: Polygon) -> Region:
    """A field with a crop, or ploughed, or harvested, its rows along its longest side."""
    crop = any_of(rng, "crop", "crop", "crop", "ripe crop", "stubble", "soil", "grass")
    corners = polygon[:: max(len(polygon) // 4, 1)]
    edges = np.diff(np.concatenate([corners, corners[:1]]), axis=0)
    longest = edges[np.argmax(np.hypot(*edges.T))]
    colour = pick(rng, crop, 0.2)
    return Region(
        "field", polygon, colour, _related(rng, colour), angle=float(np.arctan2(longest[1], longest[0]) + np.pi / 2),
        row_m=float(rng.choice([0.0, 0.75, 1.5, 3.0, 6.0])), tram_m=float(rng.choice([0.0, 12.0, 18.0, 24.0, 36.0])),
        strength=rng.uniform(0.1, 0.7), wave_m=rng.uniform(2, 14) if chance(rng, 0.25) else 0.0,
        ragged_m=rng.uniform(0.5, 2) if chance(rng, 0.3) else 0.0,
    )  # fmt: skip


def _related(rng: Random, colour: Spectrum) -> Spectrum:
    """What shows through a crop: the colour mixed with soil, weeds or straw."""
    other = pick(rng, any_of(rng, "soil", "crop", "dry grass"))
    share = np.float32(rng.uniform(0.2, 0.6))
    return colour * (1 - share) + other * share


def draw_orchard(rng: Random, polygon: Polygon) -> Region:
    """An orchard or plantation, or a vineyard, whose vines join to hedges."""
    vines = chance(rng, 0.4)
    row = rng.uniform(1.8, 3.2) if vines else rng.uniform(4.0, 8.5)
    ground = pick(rng, any_of(rng, "soil", "grass", "dry grass"))
    return Region(
        "orchard", polygon, pick(rng, "tree"), ground, angle=rng.uniform(0, np.pi), row_m=row,
        tram_m=1.2 if vines else row, height_m=1.8 if vines else row * 0.6, wave_m=0.1 if vines else 1.0,
    )  # fmt: skip


def draw_forest(rng: Random, polygon: Polygon) -> Region:
    """A wood of broad-leaved trees or conifers."""
    kind = any_of(rng, "tree", "tree", "tree", "tree", "tree", "tree", "conifer", "conifer", "conifer", "autumn tree")
    crown = rng.uniform(2.8, 5.0) if kind == "conifer" else rng.uniform(4.5, 9.0)
    return Region(
        "forest", polygon, pick(rng, kind), pick(rng, kind), row_m=crown, height_m=crown * rng.uniform(0.9, 1.8)
    )


def draw_water(rng: Random, polygon: Polygon, *, over: bool = False) -> Region:
    """A pond, lake or river, clear or muddy."""
    material = "muddy water" if chance(rng, 0.3) else "water"
    return Region(
        "water", polygon, pick(rng, material), pick(rng, material), strength=rng.uniform(0.05, 0.6), over=over
    )


def number_of(rng: Random, extent_m: float, per_hectare: float, most: int = 320) -> int:
    """How many of something stand in a place, given how many stand on a hectare on average."""
    return int(min(rng.poisson(per_hectare * rng.uniform(0.2, 1.6) * extent_m**2 / 1e4), most))


def scattered_trees(rng: Random, occupancy: Occupancy, count: int, extent_m: float) -> list[Tree]:
    """Single trees where nothing else stands, in loose groups."""
    hubs = rng.uniform(0, extent_m, (max(count // 6, 1), 2))
    near = hubs[rng.integers(len(hubs), size=count)] + rng.normal(0, 7.0, (count, 2))
    places = np.where(rng.random((count, 1)) < 0.7, near, rng.uniform(0, extent_m, (count, 2)))
    radii = np.clip(rng.gamma(6.0, 0.55, count), 1.0, 7.0)
    trees = []
    for (x, y), radius in zip(places.tolist(), radii.tolist(), strict=True):
        if occupancy.claim(x, y, (radius * 0.9, radius * 0.9)):
            trees.append(Tree(x, y, radius, radius * rng.uniform(1.6, 2.6), pick(rng, "tree", 0.15)))
    return trees
