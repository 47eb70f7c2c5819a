"""`render`: a seed in, a picture with its exact masks out."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from scipy import ndimage

from geosam.errors import OptionError
from geosam.training.world.bodies import paint_block, paint_building, paint_tree
from geosam.training.world.canvas import Canvas
from geosam.training.world.ground import paint_ground, paint_region, paint_roads, paint_scrub
from geosam.training.world.layout import Layout
from geosam.training.world.light import apply_hills, apply_shadows
from geosam.training.world.places import AFTERMATHS, PLACES
from geosam.training.world.places.elements import draw_lean, draw_sun
from geosam.training.world.places.lookalikes import harder
from geosam.training.world.radar import Radar, develop_radar, draw_radar
from geosam.training.world.sensor import Sensor, develop, draw_sensor, through_air

THEMES = tuple(PLACES)
"""Kinds of places that `render` knows."""

EVENTS = tuple(AFTERMATHS)
"""Disasters that `render_pair` knows."""

PAIRED_M = 1.5
"""Coarsest ground resolution of pairs that is drawn: what happened to a house is not seen from farther away."""

MINIMUM_AREA_PX = 12
"""Instances smaller than this are left unlabelled."""


@dataclass(frozen=True)
class World:
    """A rendered picture and everything that is known about it.

    Attributes
    ----------
    pixels
        Red, green and blue, ready for display.
    labels
        Instance of each pixel: 1..n, connected and at least 12 pixels large; 0 for ground that belongs to no object.
    parts
        Parts of instances (roof facets, solar cells, crowns in a wood): 1..m, 0 where an instance has no parts.
    classes
        Class of each instance; ``classes[i - 1]`` belongs to label ``i``.
    resolution_m
        Ground metres per pixel.
    theme
        Kind of place.
    reflectance
        Red, green, blue and near infrared as the sensor saw them, before display; None unless asked for.
    """

    pixels: UInt8[np.ndarray, "3 h w"]
    labels: Int32[np.ndarray, "h w"]
    parts: Int32[np.ndarray, "h w"]
    classes: tuple[str, ...]
    resolution_m: float
    theme: str
    reflectance: Float32[np.ndarray, "4 h w"] | None = None


def render(
    seed: int,
    side: int = 256,
    *,
    theme: str | None = None,
    resolution_m: float | None = None,
    radar: bool = False,
    hard: bool = False,
    reflectance: bool = False,
) -> World:
    """Render a place seen from above.

    Parameters
    ----------
    seed
        The same seed and options give the same picture.
    side
        Rows and columns of the picture.
    theme
        One of `THEMES`; by default drawn at random.
    resolution_m
        Ground metres per pixel; by default drawn from the range that suits the theme.
    radar
        Whether a radar looks, not a camera.
    hard
        Whether much looks alike there, roofs have many colours, and the sun stands low
        (`geosam.training.world.places.lookalikes`).
    reflectance
        Whether to keep the four reflectance bands.

    Returns
    -------
    World
        Picture, instances, parts and classes.

    Raises
    ------
    OptionError
        If the theme is unknown or the side is smaller than 32.

    Examples
    --------
    >>> world = render(7, 64, theme="farmland")
    >>> world.pixels.shape, len(world.classes) == int(world.labels.max())
    ((3, 64, 64), True)
    """
    _check("theme", theme, THEMES, side)
    rng = np.random.default_rng(seed)
    name = theme or str(rng.choice(THEMES, p=[weight for _, weight, _ in PLACES.values()]))
    place, _, (finest, coarsest) = PLACES[name]
    resolution = resolution_m or float(np.exp(rng.uniform(np.log(finest), np.log(coarsest))))
    drawn = place(rng, side * resolution)
    layout = replace(harder(rng, drawn) if hard else drawn, lean=draw_lean(rng))
    sensor = draw_radar(rng) if radar else draw_sensor(rng, resolution)
    return photograph(layout, sensor, rng, side=side, reflectance=reflectance)


class Pair(NamedTuple):
    """One place before and after a disaster, on one grid; what stands high leans as each day's picture has it."""

    before: World
    after: World
    event: str


def render_pair(
    seed: int,
    side: int = 256,
    *,
    event: str | None = None,
    resolution_m: float | None = None,
    reflectance: bool = False,
) -> Pair:
    """Render a place before and after a disaster, each under a sun and through a sensor of its own.

    Parameters
    ----------
    seed, side, resolution_m, reflectance
        As those of `render`.
    event
        One of `EVENTS`; by default drawn at random.

    Returns
    -------
    Pair
        Two worlds on the same grid; instances of each are numbered by themselves.

    Raises
    ------
    OptionError
        If the event is unknown or the side is smaller than 32.

    Examples
    --------
    >>> pair = render_pair(2, 64, event="flood")
    >>> "flood" in pair.before.classes, "flood" in pair.after.classes
    (False, True)
    """
    _check("event", event, EVENTS, side)
    rng = np.random.default_rng([seed, len(EVENTS)])
    name = event or str(rng.choice(EVENTS))
    happen, themes = AFTERMATHS[name]
    place, _, (finest, coarsest) = PLACES[str(rng.choice(themes))]
    resolution = resolution_m or float(np.exp(rng.uniform(np.log(finest), np.log(min(coarsest, PAIRED_M)))))
    before = place(rng, side * resolution)
    after = happen(rng, before)
    texture = int(rng.integers(2**32))  # the ground is the same on both days

    def look(layout: Layout) -> World:
        seen, sensor = replace(layout, lean=draw_lean(rng), sun=draw_sun(rng)), draw_sensor(rng, resolution)
        return photograph(seen, sensor, np.random.default_rng(texture), side=side, reflectance=reflectance)

    return Pair(look(before), look(after), name)


def _check(kind: str, name: str | None, known: tuple[str, ...], side: int) -> None:
    if name is not None and name not in known:
        raise OptionError(f"{kind}={name!r}", expected=f"one of {', '.join(known)}")
    if side < 32:
        raise OptionError(f"side={side}", expected="at least 32 pixels")


def photograph(
    layout: Layout,
    sensor: Sensor | Radar,
    rng: np.random.Generator,
    *,
    side: int,
    reflectance: bool = False,
    supersample: int = 1,
) -> World:
    """Paint a layout and look at it through a sensor.

    Parameters
    ----------
    layout
        What stands where.
    sensor
        How it is seen.
    rng
        Source of randomness for textures and noise.
    side
        Rows and columns; the layout's extent is spread over them.
    reflectance
        Whether to keep the four reflectance bands.
    supersample
        1, or 2 to paint at half the pixel size and average, which smooths edges.
    """
    canvas = paint(layout, rng, side * supersample)
    light, labels, parts = canvas.light, canvas.labels, canvas.parts
    if supersample == 2:
        light = light.reshape(4, side, 2, side, 2).mean(axis=(2, 4))
        labels, parts = _voted(labels), _voted(parts)
    labels, classes = settled(labels, canvas.classes)
    parts = _renumbered(np.where(labels > 0, parts, 0))
    if isinstance(sensor, Radar):
        height = canvas.height.reshape(side, supersample, side, supersample).max(axis=(1, 3))
        pixels = develop_radar(light, height, sensor, rng)
    else:
        light = through_air(light, sensor, rng)
        pixels = develop(light, sensor, rng)
    seen = light if reflectance else None
    return World(pixels, labels, parts, classes, layout.extent_m / side, layout.theme, seen)


def paint(layout: Layout, rng: np.random.Generator, side: int) -> Canvas:
    """Paint a layout from the ground up, then let the sun cast shadows."""
    canvas = Canvas(side, layout.extent_m / side, rng)
    paint_ground(canvas, layout.ground)
    for region in layout.regions:
        if not region.over:
            paint_region(canvas, region)
    paint_roads(canvas, tuple(road for road in layout.roads if not road.bridge))
    for region in layout.regions:
        if region.over:
            paint_region(canvas, region)
    paint_roads(canvas, tuple(road for road in layout.roads if road.bridge))
    paint_scrub(canvas, layout.ground)
    for building in layout.buildings:
        paint_building(canvas, building, layout)
    for block in layout.blocks:
        if min(block.size_m) > 1.6 * canvas.resolution_m:
            paint_block(canvas, block)
    for tree in layout.trees:
        if tree.radius_m > canvas.resolution_m:
            paint_tree(canvas, tree, layout)
    apply_hills(canvas, layout)
    apply_shadows(canvas.light, canvas.height, layout)
    return canvas


def settled(labels: Int32[np.ndarray, "h w"], classes: list[str]) -> tuple[Int32[np.ndarray, "h w"], tuple[str, ...]]:
    """Instances split into connected pieces, small pieces dropped, the rest numbered 1..n.

    Examples
    --------
    >>> settled(np.repeat(np.int32([[1, 0, 1]]), 12, axis=0), ["field"])[1]
    ('field', 'field')
    """
    result = np.zeros_like(labels)
    kept: list[str] = []
    for number, spot in enumerate(ndimage.find_objects(labels), start=1):
        if spot is None:
            continue
        pieces = np.zeros(labels[spot].shape, np.int32)
        ndimage.label(labels[spot] == number, output=pieces)
        count = int(pieces.max())
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        sizes[0] = 0
        large = np.flatnonzero(sizes >= MINIMUM_AREA_PX)
        lookup = np.zeros(count + 1, np.int32)
        lookup[large] = np.arange(len(kept) + 1, len(kept) + 1 + len(large))
        kept += [classes[number - 1]] * len(large)
        numbered = lookup[pieces]
        np.copyto(result[spot], numbered, where=numbered > 0)
    return result, tuple(kept)


def _voted(labels: Int32[np.ndarray, "h2 w2"]) -> Int32[np.ndarray, "h w"]:
    """The most frequent label of each 2 by 2 pixels."""
    a, b, c, d = labels[::2, ::2], labels[::2, 1::2], labels[1::2, ::2], labels[1::2, 1::2]
    return np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, c))


def _renumbered(parts: Int32[np.ndarray, "h w"]) -> Int32[np.ndarray, "h w"]:
    """Parts numbered 1..m without gaps."""
    used = np.bincount(parts.ravel()) > 0
    used[0] = False
    lookup = np.cumsum(used).astype(np.int32)
    lookup[~used] = 0
    return lookup[parts]
