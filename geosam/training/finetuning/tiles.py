"""Labelled scenes cut into square tiles that share no pixel: some are learned from, others held out.

A footprint belongs to the tile that holds its middle and is unknown to all others, so that nothing of what is held out
is ever seen in training.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from jaxtyping import Int32, UInt8
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geosam.errors import OptionError
from geosam.evaluation.crops import Crop
from geosam.evaluation.looks import Target
from geosam.evaluation.truth import burn, find_objects
from geosam.prompts import Prompts
from geosam.scene import Scene
from geosam.training.samples import resize_labels, resize_pixels

log = logging.getLogger(__name__)

MULTIPLE, LEAST_SIDE = 32, 64
"""What a tile's side is a multiple of, and its least value."""

ENOUGH = 5
"""Tiles with footprints that a set is cut into if it can be."""

SMALLEST_PX = 64
"""Area of the smallest footprint that counts, in pixels of the network's input."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A square of a scene, as the network gets to see it, and the footprints that belong to it.

    Attributes
    ----------
    name
        Number of the scene, and place on it.
    pixels
        Red, green and blue.
    ids
        The footprint at every pixel, 0 for none.
    held_out
        Whether it is kept from training.
    """

    name: str
    pixels: UInt8[np.ndarray, "3 s s"]
    ids: Int32[np.ndarray, "s s"]
    held_out: bool = False

    @property
    def labels(self) -> list[int]:
        """The footprints that are large enough."""
        areas = np.bincount(self.ids.ravel())
        return [label for label in range(1, len(areas)) if areas[label] >= SMALLEST_PX]

    def targets(self) -> list[Target]:
        """The footprints as something to ask for."""
        large = set(self.labels)
        found = (each for each in find_objects(self.ids) if each.label in large)
        return [Target(each.box, each.point, Crop.of(self.ids == each.label), exact=True) for each in found]


def cut_tiles(scenes: Sequence[Scene], labels: Any, *, layer: str | None, side: int, resamples: bool) -> list[Tile]:
    """Cut scenes into tiles of at most ``side`` pixels, and keep those with footprints.

    Parameters
    ----------
    scenes
        The scenes.
    labels
        Polygons: a vector file or a GeoDataFrame, in any CRS; each scene takes those that lie on it.
    layer
        Layer of a file that has several.
    side
        Side of a tile; smaller where that leaves more of a scene in use, or gives the five tiles that are wanted.
    resamples
        Whether the network wants images of exactly ``side`` pixels; tiles are then enlarged to it.

    Raises
    ------
    OptionError
        If no footprint of at least 64 pixels lies on a scene.
    PromptError, SceneReadError
        If the labels or a scene cannot be read.
    """
    placed = [_footprints(scene, labels, layer) for scene in scenes]
    tiles: list[Tile] = []
    largest = side
    while largest >= LEAST_SIDE:
        tiles = [
            tile
            for number, (scene, shapes) in enumerate(zip(scenes, placed, strict=True))
            for tile in _cut(scene, shapes, largest, number=number, enlarged=side if resamples else 0)
        ]
        if len(tiles) >= ENOUGH:
            break
        largest //= 2
    if not tiles:
        raise OptionError(
            f"{sum(map(len, placed))} polygons on {len(scenes)} scenes, none of {SMALLEST_PX} pixels or more",
            expected="labels with polygons on the scenes",
            hint="check the layer and its CRS, or give scenes of a finer resolution",
        )
    return tiles


def _footprints(scene: Scene, labels: Any, layer: str | None) -> list[BaseGeometry]:
    prompts = Prompts.from_features(
        labels, scene, layer=layer, label_column=None, crs=None if scene.crs is not None else "px"
    )
    shapes = [each.polygon_px for each in prompts if each.polygon_px is not None]
    log.info("%s: %d footprints, %d rows left out", scene.name, len(shapes), len(prompts.skipped))
    return shapes


def _cut(scene: Scene, shapes: list[BaseGeometry], largest: int, *, number: int, enlarged: int) -> list[Tile]:
    if min(scene.shape) < LEAST_SIDE or not shapes:
        return []
    side = best_side(scene.shape, largest)
    points = shapely.get_coordinates(shapely.point_on_surface(np.array(shapes, object)))
    tiles = []
    for top in starts(scene.shape[0], side):
        for left in starts(scene.shape[1], side):
            inside = ((points >= (left, top)) & (points < (left + side, top + side))).all(1)
            if not inside.any():
                continue
            mine = shapely.transform(np.array(shapes, object)[inside], lambda xy, at=(left, top): xy - at)
            ids = burn(list(mine), (side, side))
            pixels = scene.read(Window(left, top, side, side)).pixels  # pyright: ignore[reportCallIssue]  # attrs class without stubs
            if enlarged:
                size = (enlarged, enlarged)
                pixels, ids = resize_pixels(pixels, size), resize_labels(ids, size)
            tile = Tile(f"{number}-{left}-{top}", pixels, ids)
            tiles += [tile] if tile.labels else []
    return tiles


def best_side(shape: tuple[int, int], largest: int) -> int:
    """Choose the side of tiles that cover most of a scene: between half of ``largest`` and all of it.

    Examples
    --------
    >>> best_side((1024, 1024), 512), best_side((900, 900), 512), best_side((300, 2000), 512)
    (512, 448, 288)
    """
    largest = min(largest, *shape) // MULTIPLE * MULTIPLE
    least = max(largest // 2, LEAST_SIDE)
    sides = range(largest, least - 1, -MULTIPLE)
    return max(sides, key=lambda side: (shape[0] // side) * (shape[1] // side) * side * side)


def starts(length: int, side: int) -> list[int]:
    """Place as many tiles as fit along a length, evenly."""
    count = length // side
    return [(length - count * side) * (number + 1) // (count + 1) + number * side for number in range(count)]


def hold_out(tiles: Sequence[Tile], share: float, seed: int) -> list[Tile]:
    """Keep tiles from training until they hold at least a share of the footprints; which ones, the seed decides.

    Raises
    ------
    OptionError
        If there are too few tiles to keep any.
    """
    if len(tiles) < 2:
        raise OptionError(
            f"footprints on {len(tiles)} tile", expected="footprints that spread over at least two",
            hint="label more of the scene, or another one",
        )  # fmt: skip
    wanted = share * sum(len(tile.labels) for tile in tiles)
    order = np.random.default_rng(seed).permutation(len(tiles))
    kept: set[int] = set()
    for number in order[:-1].tolist():
        if sum(len(tiles[each].labels) for each in kept) >= wanted and kept:
            break
        kept.add(number)
    return [replace(tile, held_out=number in kept) for number, tile in enumerate(tiles)]
