"""What stands where, in metres: the description of a place before it is painted.

A layout knows nothing of pixels, so one place can be painted at any resolution, under another sun, or a year later with
some of its buildings gone. Coordinates are metres, x to the right and y down, from the top-left corner of the picture.
"""

from dataclasses import dataclass, field

import numpy as np

from geosam.training.world.materials import Spectrum, spectrum

Polygon = np.ndarray
"""Float64 ``[p 2]``: the corners of an area, in metres."""


@dataclass(frozen=True)
class Ground:
    """What covers everything that nothing else covers."""

    colour: Spectrum
    second: Spectrum
    patch_m: float
    contrast: float = 0.5
    scrub: float = 0.0
    bush: Spectrum = field(default_factory=lambda: spectrum("3c5230", 0.35))


@dataclass(frozen=True)
class Region:
    """An area on the ground: a field, a lake, a forest, a yard, a scar. What lies `over` covers roads as well."""

    kind: str
    polygon: Polygon
    colour: Spectrum
    second: Spectrum
    angle: float = 0.0
    row_m: float = 0.0
    tram_m: float = 0.0
    strength: float = 0.2
    height_m: float = 0.0
    ragged_m: float = 0.0
    wave_m: float = 0.0
    over: bool = False
    labelled: bool = True


@dataclass(frozen=True)
class Road:
    """A band along a path."""

    path: Polygon
    width_m: float
    colour: Spectrum
    shoulder: Spectrum | None = None
    marked: bool = False
    kind: str = "road"
    bridge: bool = False


@dataclass(frozen=True)
class Building:
    """A house, hall, shed or tank.

    `size_m` is (along the ridge, across it); each of `wings` adds a body (along, across, length, width) that stands
    crosswise, for L, T and U shapes.
    """

    x: float
    y: float
    size_m: tuple[float, float]
    angle: float
    form: str
    colour: Spectrum
    height_m: float
    slope: float = 0.5
    wings: tuple[tuple[float, float, float, float], ...] = ()
    clutter: float = 0.3
    stripe_m: float = 0.0
    patchwork: float = 0.0
    wall: float = 0.22
    damage: float = 0.0


@dataclass(frozen=True)
class Block:
    """A small upright body: a vehicle, a pool, a solar array."""

    kind: str
    x: float
    y: float
    size_m: tuple[float, float]
    angle: float
    colour: Spectrum
    height_m: float = 1.5
    cells_m: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Tree:
    """One free-standing crown."""

    x: float
    y: float
    radius_m: float
    height_m: float
    colour: Spectrum


@dataclass(frozen=True)
class Sun:
    """Where the light comes from: `azimuth` in radians clockwise from up (north), `elevation` above the horizon."""

    azimuth: float
    elevation: float


@dataclass(frozen=True)
class Layout:
    """A whole place.

    `lean` is how far (x, y) the top of a body moves for each metre of its height, as seen from one side; `hills` is the
    strength of the terrain's shading.
    """

    theme: str
    extent_m: float
    sun: Sun
    ground: Ground
    regions: tuple[Region, ...] = ()
    roads: tuple[Road, ...] = ()
    buildings: tuple[Building, ...] = ()
    blocks: tuple[Block, ...] = ()
    trees: tuple[Tree, ...] = ()
    lean: tuple[float, float] = (0.0, 0.0)
    hills: float = 0.0
