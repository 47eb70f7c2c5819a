"""What kinds are learned from: regions of pictures, what they are, and what they surely are not.

Real pictures say of their objects what they are, and of the ground around them what it is not: this is how pictures of
one source, whose objects all are of one kind, teach more than how that source looks. The procedural world says what
everything is. Objects are taken whole, in pieces, and in other sizes and colours.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from zlib import crc32

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8
from PIL import Image
from scipy import ndimage

from geosam.recognition.description import RegionFeatures, names
from geosam.recognition.kinds import KINDS
from geosam.recognition.loading import Encoder
from geosam.recognition.pooling import pool
from geosam.training.real import open_rows, read_images
from geosam.training.samples import recolour
from geosam.training.world.layout import Layout
from geosam.training.world.light import shadow_depth
from geosam.training.world.places import PLACES
from geosam.training.world.places.elements import draw_lean
from geosam.training.world.rendering import THEMES, paint, photograph
from geosam.training.world.sensor import draw_sensor

log = logging.getLogger(__name__)

SOURCES = {
    "agoro-fields": "crop",
    "antillia-Aerial-Imagery-Road": "road",
    "antillia-Aerial-Imagery-Solar-Panel": "solar panel",
    "antillia-Flood": "water",
    "antillia-Nepal-LandSlide": "landslide",
    "antillia-Satellite-Imagery-Amazon-Forest": "tree",
    "antillia-Sichuan-Landslide": "landslide",
    "deepforest": "tree",
    "hotosm-fair-models": "building",
    "hotosm-fair-utilities": "building",
}
"""Kind of the objects of each open source."""

SPARSE = ("deepforest", "agoro-fields")
"""Sources that leave objects out, whose ground says nothing."""

CLASSES = {
    "building": "building",
    "solar": "solar panel",
    "vehicle": "vehicle",
    "tree": "tree",
    "forest": "tree",
    "field": "crop",
    "water": "water",
    "lake": "water",
    "flood": "water",
    "road": "road",
    "pool": "pool",
    "scar": "landslide",
    "bare": "bare ground",
    "rock": "bare ground",
    "shore": "bare ground",
    "glacier": "snow",
    "tank": "other",
    "container": "other",
    "boat": "other",
    "rail": "other",
    "slick": "other",
    "burn": "other",
}
"""Kind of each class of the procedural world; classes that could be several are left out."""

WORLD = "procedural world"
"""Name of the source of renderings."""

TILE = 1024
"""Largest side of what is looked at at once, in px: that of a window."""

LEAST_PX = 24
"""Regions of fewer pixels are not learned from."""

PIECES_PX = (16, 28, 48, 80)
"""Typical sides of pieces, one for each look, in px."""

MOST = 160
"""Most regions of one sort (whole, piece, ground) that one look gives, so that no picture decides alone."""

SCALES = (0.4, 2.0)
"""Range of the sizes at which pictures are looked at again."""

LOOKS = 3
"""Looks at each real picture: as it is, and with other sizes and colours."""

GREEN, BARREN = 0.42, 0.25
"""Vegetation index of the world's ground above which it is grass, and below which it is bare."""

SHADED_M = 1.0
"""Metres by which a shadow passes above ground that counts as shaded."""

PATTERN = 0.5
"""Share of a piece that must be of one kind of ground."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Regions to learn from.

    Attributes
    ----------
    values
        Features, a row for each region.
    kind
        Number of its kind in `KINDS`; −1 if it is not known.
    not_kind
        Number of the kind that it surely is not; −1 if it is known, or nothing is.
    source, picture
        Where it is from.
    whole
        Whether it is a whole object of a picture as it is; what is scored.
    """

    values: Float32[np.ndarray, "n d"]
    kind: Int64[np.ndarray, "n"]
    not_kind: Int64[np.ndarray, "n"]
    source: np.ndarray
    picture: np.ndarray
    whole: np.ndarray

    @classmethod
    def join(cls, several: list["Rows"]) -> "Rows":
        """All rows, in order."""
        return cls(*(np.concatenate([getattr(each, field.name) for each in several]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, rows: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class Look:
    """A picture and what is known of its pixels: objects, the kind of each, and the kind of ground."""

    pixels: UInt8[np.ndarray, "3 h w"]
    labels: Int32[np.ndarray, "h w"]
    kinds: Int64[np.ndarray, "n"]
    ground: Int32[np.ndarray, "h w"]
    not_kind: int
    source: str
    name: str
    plain: bool


def real_rows(data: Path, encoder: Encoder) -> Iterator[Rows]:
    """Rows of all open pictures of the training split; each picture by a generator of its own, told by its name."""
    wanted = [row for row in open_rows(data) if row.source in SOURCES]
    for image in read_images(wanted):
        kind = KINDS.index(SOURCES[image.source])
        not_kind = -1 if image.source in SPARSE else kind
        yield from rows_of_picture(image.pixels, image.labels, kind, (image.source, image.name, not_kind), encoder)


def rows_of_picture(
    pixels: UInt8[np.ndarray, "3 h w"],
    labels: Int32[np.ndarray, "h w"],
    kind: int,
    said: tuple[str, str, int],
    encoder: Encoder,
) -> Iterator[Rows]:
    """Rows of one picture whose objects are of one kind; ``said`` is its source, name and what its ground is not."""
    source, name, not_kind = said
    rng = np.random.default_rng(crc32(name.encode()))
    for look in range(LOOKS):
        seen, known = (pixels, labels) if look == 0 else other_look(rng, pixels, labels)
        for top in range(0, seen.shape[1], TILE):
            for left in range(0, seen.shape[2], TILE):
                part = (slice(top, top + TILE), slice(left, left + TILE))
                tile = known[part]
                kinds = np.full(int(tile.max(initial=0)), kind)
                ground = np.full(tile.shape, -1, np.int32)
                whole = Look(seen[:, *part], tile, kinds, ground, not_kind, source, name, look == 0)
                if min(tile.shape) >= 32:
                    yield rows_of(whole, rng, encoder)


def other_look(
    rng: np.random.Generator, pixels: UInt8[np.ndarray, "3 h w"], labels: Int32[np.ndarray, "h w"]
) -> tuple[UInt8[np.ndarray, "3 s t"], Int32[np.ndarray, "s t"]]:
    """The picture in another size and other colours."""
    h, w = labels.shape
    most = min(SCALES[1], 2 * TILE / max(h, w))  # no picture becomes larger than four windows
    scale = float(np.exp(rng.uniform(np.log(SCALES[0]), np.log(max(most, 2 * SCALES[0])))))
    size = (max(32, round(h * scale)), max(32, round(w * scale)))
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    resized = np.moveaxis(np.asarray(picture.resize((size[1], size[0]), way)), -1, 0)
    known = np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
    return recolour(rng, np.ascontiguousarray(resized)), known.astype(np.int32)


def world_rows(count: int, encoder: Encoder, *, seed: int = 0, side: int = 512) -> Iterator[Rows]:
    """Rows of renderings, each theme as often as every other."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        look = world_look(THEMES[number % len(THEMES)], rng, side=side, name=f"{seed}-{number}")
        yield rows_of(look, rng, encoder)


def world_look(theme: str, rng: np.random.Generator, *, side: int, name: str) -> Look:
    """Render a place, and say of its ground as well what it is: grass, bare, shaded or snow."""
    place, _, (finest, coarsest) = PLACES[theme]
    resolution = float(np.exp(rng.uniform(np.log(finest), np.log(coarsest))))
    layout = place(rng, side * resolution)
    layout = Layout(**{**vars(layout), "lean": draw_lean(rng)})
    sensor, seed = draw_sensor(rng, resolution), int(rng.integers(2**32))
    world = photograph(layout, sensor, np.random.default_rng(seed), side=side)
    canvas = paint(layout, np.random.default_rng(seed), side)
    red, infrared = canvas.light[0], canvas.light[3]
    index = (infrared - red) / np.maximum(infrared + red, 1e-6)
    ground = np.full(world.labels.shape, -1, np.int32)
    ground[index > GREEN] = KINDS.index("grass")
    ground[index < BARREN] = KINDS.index("snow" if theme == "snow" else "bare ground")
    if theme == "sea":
        ground[:] = KINDS.index("water")
    ground[shadow_depth(canvas.height, layout.sun, resolution, layout.lean) > SHADED_M] = KINDS.index("shadow")
    ground[world.labels > 0] = -1
    kinds = [KINDS.index(CLASSES[each]) if each in CLASSES else -1 for each in world.classes]
    return Look(world.pixels, world.labels, np.array(kinds, np.int64), ground, -1, WORLD, name, plain=True)


def rows_of(look: Look, rng: np.random.Generator, encoder: Encoder) -> Rows:
    """Rows of one look: whole objects, pieces of objects, and pieces of the ground."""
    maps = encoder.encode(look.pixels)
    wholes = RegionFeatures.from_sums(pool(maps, look.pixels, look.labels, count=len(look.kinds)), encoder.key)
    parts = cut(look.pixels, look.labels, float(rng.choice(PIECES_PX)))
    count = int(parts.max())
    pieces = RegionFeatures.from_sums(pool(maps, look.pixels, parts, count=count), encoder.key)
    owner = np.zeros(count + 1, np.int64)
    owner[parts.ravel()] = look.labels.ravel()  # a piece lies in one object, or in none
    owner = owner[1:]
    of_object = np.append(look.kinds, -1)[owner - 1]  # −1 of none is the last
    of_ground = _mostly(parts, look.ground, count)
    kind = np.concatenate([look.kinds, np.where(owner > 0, of_object, of_ground)])
    ground = np.concatenate([np.zeros(len(look.kinds), bool), owner == 0])
    not_kind = np.where(ground & (kind < 0), look.not_kind, -1)
    whole = np.arange(len(kind)) < len(look.kinds)
    area = np.concatenate([wholes.area_px, pieces.area_px])
    sorts = (whole, ~whole & ~ground, ground & (kind >= 0), ground & (not_kind >= 0))
    useful = (area >= LEAST_PX) & ((kind >= 0) | (not_kind >= 0))
    chosen = np.sort(np.concatenate([_some(rng, np.flatnonzero(sort & useful)) for sort in sorts]))
    values = np.concatenate([wholes.values, pieces.values])[chosen]
    n = len(chosen)
    return Rows(
        values.reshape(n, len(names())),
        kind[chosen],
        not_kind[chosen],
        np.full(n, look.source),
        np.full(n, f"{look.source}/{look.name}"),
        whole[chosen] & look.plain,
    )


def _some(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= MOST else rng.choice(rows, MOST, replace=False)


def cut(
    pixels: UInt8[np.ndarray, "3 h w"], labels: Int32[np.ndarray, "h w"], side_px: float
) -> Int32[np.ndarray, "h w"]:
    """Cut objects and ground into pieces of about a side along edges of the picture, numbered from 1.

    A watershed from a grid of markers (Falcão et al. 2004, "The image foresting transform").
    """
    light = ndimage.gaussian_filter(pixels.astype(np.float32).mean(0), 1.0)
    edges = ndimage.gaussian_gradient_magnitude(light, 1.0)
    steps = np.clip(edges * 6, 0, 255).astype(np.uint8)
    h, w = labels.shape
    step = max(4, round(side_px))
    y, x = np.meshgrid(range(min(step // 2, h - 1), h, step), range(min(step // 2, w - 1), w, step), indexing="ij")
    markers = np.zeros((h, w), np.int32)
    markers[y, x] = np.arange(1, y.size + 1).reshape(y.shape)
    basins = ndimage.watershed_ift(steps, markers).astype(np.int64)
    both = basins * (int(labels.max(initial=0)) + 1) + labels
    _, numbered = np.unique(both, return_inverse=True)
    return numbered.reshape(h, w).astype(np.int32) + 1


def _mostly(parts: Int32[np.ndarray, "h w"], ground: Int32[np.ndarray, "h w"], count: int) -> Int64[np.ndarray, "n"]:
    """Kind of ground that most of each piece is of; −1 where no kind is."""
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    share = np.stack(
        [
            np.bincount(parts[ground == kind], minlength=count + 1)[1:] / np.maximum(area, 1)
            for kind in range(len(KINDS))
        ]
    )
    return np.where(share.max(0) > PATTERN, share.argmax(0), -1)
