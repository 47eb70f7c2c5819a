"""Buildings, and lots with a house and what belongs to it."""

from dataclasses import dataclass, field

import numpy as np

from geosam.training.world.layout import Block, Building, Region, Road
from geosam.training.world.materials import pick
from geosam.training.world.places.elements import Random, any_of, chance
from geosam.training.world.places.streets import along as stations_along
from geosam.training.world.places.streets import vehicle
from geosam.training.world.shapes import Occupancy, placed, rectangle

STYLES: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "tile": ("tile roof", 0.55, ("gable", "hip", "gable")),
    "shingle": ("shingle roof", 0.5, ("hip", "gable", "hip")),
    "metal": ("metal roof", 0.25, ("gable", "shed", "gable")),
    "slab": ("slab roof", 0.0, ("flat",)),
    "rusty": ("rusty roof", 0.2, ("gable", "shed", "flat")),
    "painted": ("painted roof", 0.3, ("gable", "shed", "hip")),
    "membrane": ("membrane roof", 0.0, ("flat",)),
    "greenhouse": ("membrane roof", 0.3, ("barrel",)),
}
"""Material, slope and forms of roofs."""

MIXES = (
    ("tile", "tile", "tile", "slab", "metal"),
    ("shingle", "shingle", "shingle", "metal"),
    ("shingle", "tile", "metal", "painted"),
    ("slab", "slab", "metal", "painted", "rusty"),
    ("metal", "rusty", "metal", "painted"),
)
"""Styles that stand side by side in one place."""

Spot = tuple[float, float, float]
"""x, y and direction."""


def draw_building(rng: Random, spot: Spot, size_m: tuple[float, float], style: str) -> Building:
    """A building of a style; its ridge follows its longer side."""
    material, slope, forms = STYLES[style]
    length, width = max(size_m), min(size_m)
    form = any_of(rng, *forms)
    sheet = style in ("metal", "rusty", "painted")
    low = rng.uniform(2.6, 4.5) if chance(rng, 0.7) else rng.uniform(4.5, 8.0)
    angle = spot[2] if size_m[0] >= size_m[1] else spot[2] + np.pi / 2
    return Building(
        x=spot[0], y=spot[1], size_m=(length, width), angle=angle, form=form, colour=pick(rng, material, 0.18),
        height_m=low if slope else rng.uniform(3.0, 9.0), slope=slope * rng.uniform(0.6, 1.3),
        wings=_wings(rng, length, width) if form in ("gable", "hip", "flat") and width > 5.5 else (),
        clutter=rng.uniform(0.0, 0.4) if slope else rng.uniform(0.2, 0.9), wall=rng.uniform(0.1, 0.4),
        stripe_m=float(rng.choice([0.0, 0.4, 0.8, 1.2]) if sheet else rng.choice([0.0, 0.35])),
        patchwork=rng.uniform(0.1, 0.5) if sheet and chance(rng, 0.4) else 0.0,
    )  # fmt: skip


def _wings(rng: Random, length: float, width: float) -> tuple[tuple[float, float, float, float], ...]:
    """None, one or two bodies across the main one."""
    wings = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.55, 0.33, 0.12]))):
        side = 1.0 if chance(rng, 0.5) else -1.0
        reach = width * rng.uniform(0.25, 0.6)
        breadth = min(width * rng.uniform(0.5, 0.95), length * 0.6)
        wings.append(
            (rng.uniform(-1, 1) * (length - breadth) / 2, side * (width / 4 + reach / 2), reach + width / 2, breadth)
        )
    return tuple(wings)


@dataclass
class Quarter:
    """Lots along streets, filled one after the other.

    Parameters
    ----------
    rng
        Source of randomness.
    occupancy
        Which places are taken.
    styles
        Styles of roofs; drawn from `MIXES` if empty.
    """

    rng: Random
    occupancy: Occupancy
    styles: tuple[str, ...] = ()
    buildings: list[Building] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    yards: list[Region] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.styles = self.styles or MIXES[int(self.rng.integers(len(MIXES)))]
        self.lot = self.rng.uniform(13, 24)
        self.setback = self.rng.uniform(1, 8)
        self.terraced = chance(self.rng, 0.15)

    def settle(self, roads: list[Road], *, extent_m: float, density: float) -> "Quarter":
        """Build on both sides of roads, on a share of the lots."""
        for road in roads:
            for x, y, direction in stations_along(road.path, self.lot).tolist():
                near = -20 < x < extent_m + 20 and -20 < y < extent_m + 20
                for turn in (0.0, np.pi):
                    if near and chance(self.rng, density):
                        self._lot((x, y, direction + turn), road.width_m / 2)
        return self

    def _lot(self, station: Spot, kerb: float) -> None:
        """One lot on the left of a station, v pointing away from the road."""
        rng, angle = self.rng, station[2]
        length = self.lot if self.terraced else min(self.lot * rng.uniform(0.5, 0.85), 22.0)
        size = (length, rng.uniform(7, 12))
        away = kerb + self.setback + 0.7 * size[1] + 1.5 + rng.uniform(0, 0.2 if self.terraced else 2.5)
        turn = angle + (0.0 if self.terraced else rng.normal(0.0, 0.04))
        claimed = (length * 0.9, size[1]) if self.terraced else (length + 2.5, size[1] * 1.35 + 2.5)
        x, y = placed(station[:2], angle, 0.0, away).tolist()
        if not self.occupancy.claim(x, y, claimed, turn):
            return
        house = draw_building(rng, (x, y, turn), size, any_of(rng, *self.styles))
        self.buildings.append(house)
        if chance(rng, 0.6):
            self._lawn(station, kerb, self.setback + size[1] * 2 + rng.uniform(4, 10))
        if self.setback > 3 and chance(rng, 0.5):
            self._drive(station, kerb, length)
        self._back(placed(station[:2], angle, rng.uniform(-3, 3), away + size[1] * 0.7 + rng.uniform(4, 7)), angle)
        if house.form in ("gable", "hip") and chance(rng, 0.12):
            self.blocks.append(rooftop_panels(rng, house))

    def _lawn(self, station: Spot, kerb: float, depth: float) -> None:
        lawn = pick(self.rng, any_of(self.rng, "grass", "grass", "dry grass", "soil"))
        x, y = placed(station[:2], station[2], 0.0, kerb + depth / 2 + 1).tolist()
        outline = rectangle((x, y), (self.lot * self.rng.uniform(0.8, 1.05), depth), station[2])
        self.yards.insert(0, Region("yard", outline, lawn, pick(self.rng, "grass"), strength=0.3, labelled=False))

    def _drive(self, station: Spot, kerb: float, length: float) -> None:
        shift = length * (0.3 if chance(self.rng, 0.5) else -0.3)
        x, y = placed(station[:2], station[2], shift, kerb + self.setback / 2).tolist()
        outline = rectangle((x, y), (3.2, self.setback + 3), station[2])
        concrete = pick(self.rng, "concrete")
        self.yards.append(Region("drive", outline, concrete, pick(self.rng, "gravel"), strength=0.05, labelled=False))
        if chance(self.rng, 0.6):
            self.blocks.append(vehicle(self.rng, x, y, station[2] + np.pi / 2, lorries=0.0))

    def _back(self, place: np.ndarray, angle: float) -> None:
        """A pool with its terrace, or a shed, behind the house."""
        rng, (x, y), kind = self.rng, place.tolist(), self.rng.random()
        if kind < 0.14 and self.occupancy.claim(x, y, (9.0, 5.0), angle):
            size = (rng.uniform(5, 9), rng.uniform(3, 4.5))
            stone, rim = pick(rng, "concrete"), rectangle((x, y), (size[0] + 3, size[1] + 3), angle)
            self.yards.append(Region("terrace", rim, stone, stone, strength=0.1, labelled=False))
            self.blocks.append(Block("pool", x, y, size, angle, pick(rng, "pool"), height_m=0.0))
        elif kind < 0.5 and self.occupancy.claim(x, y, (5.0, 4.0), angle):
            size = (rng.uniform(2.5, 5), rng.uniform(2.2, 4))
            self.buildings.append(draw_building(rng, (x, y, angle), size, any_of(rng, "metal", "rusty", "shingle")))


def rooftop_panels(rng: Random, house: Building) -> Block:
    """A solar array on one side of the ridge."""
    size = (house.size_m[0] * rng.uniform(0.3, 0.55), house.size_m[1] * 0.3)
    x, y = placed((house.x, house.y), house.angle, 0.0, house.size_m[1] * 0.23).tolist()
    return Block("solar", x, y, size, house.angle, pick(rng, "panel"), height_m=0.1, cells_m=(1.0, 1.6))
