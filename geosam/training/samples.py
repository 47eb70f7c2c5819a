"""From a labelled picture to something to learn from: a crop, augmented; objects on it; the first prompt for each."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from PIL import Image
from scipy import ndimage

from geosam.training.config import DataOptions

STRIDE = 4
"""Targets are area averages over squares of so many pixels: the sampling of the decoder's logits."""

CLICK, BOX, BOTH = range(3)
"""Kinds of first prompts."""

LARGE_PX = 6400
"""Objects beyond this area are not asked for more often than those of this area."""

ZOOMS = (0.2, 4.0)
"""How far a picture is shrunk or enlarged to show an object at a given length."""

JITTER, JITTER_PX = 0.1, 20.0
"""Standard deviation of a box's sides as a share of its size, and the most that they move."""


COARSER, JPEG_QUALITY = (1.2, 3.0), (15, 80)
"""How much coarser a degraded picture gets, and the quality to which it is packed."""


@dataclass(frozen=True)
class Sample:
    """One image and the objects asked for on it.

    Attributes
    ----------
    pixels
        The image.
    targets
        How much of every 4 × 4 square each object covers, 0 to 255.
    boxes
        The objects' true boxes, ``xyxy`` in pixels.
    prompts
        Boxes as they are given to the network: moved a little.
    clicks
        A point inside each object.
    real_object
        False for a click on ground that belongs to no object: nothing to draw, and an IoU of 0 to predict.
    edges
        How much of every 4 × 4 square lies on a border between objects, 0 to 255.
    edges_known
        Whether all borders are labelled, as they are in a rendered world.
    """

    pixels: UInt8[np.ndarray, "3 s s"]
    targets: UInt8[np.ndarray, "k q q"]
    boxes: Float32[np.ndarray, "k 4"]
    prompts: Float32[np.ndarray, "k 4"]
    clicks: Float32[np.ndarray, "k 2"]
    real_object: Bool[np.ndarray, "k"]
    edges: UInt8[np.ndarray, "q q"]
    edges_known: bool


def draw_sample(
    rng: np.random.Generator,
    pixels: UInt8[np.ndarray, "3 h w"],
    labels: Int32[np.ndarray, "h w"],
    *,
    parts: Int32[np.ndarray, "h w"] | None,
    side: int,
    options: DataOptions,
    cell: int = STRIDE,
) -> Sample | None:
    """Crop a labelled picture, augment it, and ask for objects on it; None where there are none.

    Targets and edges are averages over squares of ``cell`` pixels.
    """
    centred = options.centred > 0 and rng.random() < options.centred
    draw = draw_window_around if centred else draw_window
    window = draw(rng, labels, side=side, options=options)
    size = (side, side)
    image = resize_pixels(pixels[(slice(None), *window)], size)
    levels = [resize_labels(each[window], size) for each in (labels, parts) if each is not None]
    image, levels = turn(rng, image, levels)
    choice = choose_objects(rng, levels, options, background=parts is not None)
    if choice is None:
        return None
    masks, real = choice
    if options.degraded > 0 and rng.random() < options.degraded:
        image = degrade(rng, image)
    targets = np.stack([cover(mask, cell) for mask in masks])
    boxes = np.stack([box_of(mask) for mask in masks])
    return Sample(
        pixels=recolour(rng, image),
        targets=np.where(real[:, None, None], targets, np.uint8(0)),
        boxes=boxes,
        prompts=jitter_boxes(rng, boxes, side),
        clicks=np.stack([draw_click(rng, mask) for mask in masks]),
        real_object=real,
        edges=cover(edges_of(levels[0]), cell),
        edges_known=parts is not None,
    )


def draw_window_around(
    rng: np.random.Generator, labels: Int32[np.ndarray, "h w"], *, side: int, options: DataOptions
) -> tuple[slice, slice]:
    """Draw a square that shows one object, whole where it fits, at a length drawn from ``options.object_px``.

    This is how the built-in model is asked about an object whose size is known: at the zoom that suits it.
    """
    large = large_labels(labels, options.minimum_px)
    if not len(large):
        return draw_window(rng, labels, side=side, options=options)
    x0, y0, x1, y1 = box_of(labels == rng.choice(large))
    length = float(max(x1 - x0, y1 - y0))
    zoom = np.clip(np.exp(rng.uniform(*np.log(options.object_px))) / length, *ZOOMS)
    h, w = labels.shape
    extent = int(np.clip(round(side / zoom), min(48, h, w), min(h, w)))
    top, left = (
        _start_near(rng, int(low), int(high), extent, whole) for low, high, whole in ((y0, y1, h), (x0, x1, w))
    )
    return slice(top, top + extent), slice(left, left + extent)


def _start_near(rng: np.random.Generator, low: int, high: int, extent: int, whole: int) -> int:
    """Draw where an interval of ``extent`` begins that holds ``low`` to ``high``, or lies inside it."""
    first, last = sorted((high - extent, low))
    return int(np.clip(rng.integers(first, last + 1), 0, whole - extent))


def draw_window(
    rng: np.random.Generator, labels: Int32[np.ndarray, "h w"], *, side: int, options: DataOptions
) -> tuple[slice, slice]:
    """Draw a square of the picture, of ``side / zoom`` pixels, that shows some object."""
    h, w = labels.shape
    zoom = np.exp(rng.uniform(*np.log(options.scale)))
    extent = int(np.clip(round(side / zoom), min(48, h, w), min(h, w)))
    spots = np.flatnonzero(labels[::8, ::8])
    y, x = rng.integers(0, h), rng.integers(0, w)
    if len(spots):
        y, x = (8 * int(v) for v in divmod(int(rng.choice(spots)), len(range(0, w, 8))))
    top = int(np.clip(y - rng.integers(0, extent), 0, h - extent))
    left = int(np.clip(x - rng.integers(0, extent), 0, w - extent))
    return slice(top, top + extent), slice(left, left + extent)


def resize_pixels(pixels: UInt8[np.ndarray, "3 h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "3 s t"]:
    """Resample an image, antialiased."""
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    return np.moveaxis(np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)), -1, 0).copy()


def resize_labels(labels: Int32[np.ndarray, "h w"], size: tuple[int, int]) -> Int32[np.ndarray, "s t"]:
    """Resample labels by the nearest pixel."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, labels.shape, strict=True))
    return labels[rows[:, None], columns]


def turn(
    rng: np.random.Generator, image: UInt8[np.ndarray, "3 s s"], levels: list[np.ndarray]
) -> tuple[UInt8[np.ndarray, "3 s s"], list[np.ndarray]]:
    """Turn by quarters and mirror, the image and its labels alike."""
    quarters, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def move(array: np.ndarray) -> np.ndarray:
        turned = np.rot90(array, quarters, (-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if mirror else turned)

    return move(image), [move(each) for each in levels]


def degrade(rng: np.random.Generator, image: UInt8[np.ndarray, "3 s s"]) -> UInt8[np.ndarray, "3 s s"]:
    """Take detail away, as a coarser sensor enlarged afterwards does, or a JPEG of low quality, or both in turn."""
    coarser, packed = ((True, False), (False, True), (True, True))[rng.integers(3)]
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    if coarser:
        side = round(picture.width / rng.uniform(*COARSER))
        way = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[rng.integers(2)]
        picture = picture.resize((side, side), Image.Resampling.BOX).resize(picture.size, way)
    if packed:
        file = BytesIO()
        picture.save(file, "jpeg", quality=int(rng.integers(*JPEG_QUALITY)))
        picture = Image.open(file)
    return np.moveaxis(np.asarray(picture), -1, 0).copy()


def recolour(rng: np.random.Generator, image: UInt8[np.ndarray, "3 s s"]) -> UInt8[np.ndarray, "3 s s"]:
    """Change brightness, contrast, gamma, saturation and the bands' gains; sometimes swap bands or drop colour."""
    x = image.astype(np.float32) / 255
    if rng.random() < 0.8:
        x = x ** np.float32(np.exp(rng.normal(0, 0.2)))
        gains = np.exp(rng.normal(0, 0.08, (3, 1, 1))).astype(np.float32)
        grey = x.mean(0, keepdims=True)
        saturation, contrast = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.15))
        x = (grey + (x - grey) * np.float32(saturation)) * gains
        x = (x - x.mean()) * np.float32(contrast) + x.mean() + np.float32(rng.normal(0, 0.05))
    chance = rng.random()
    if chance < 0.05:
        x = np.broadcast_to(x.mean(0, keepdims=True), x.shape)
    elif chance < 0.12:
        x = x[rng.permutation(3)]
    if rng.random() < 0.2:
        x = x + rng.normal(0, rng.uniform(0, 0.04), x.shape).astype(np.float32)
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def choose_objects(
    rng: np.random.Generator, levels: list[np.ndarray], options: DataOptions, *, background: bool
) -> tuple[Bool[np.ndarray, "k h w"], Bool[np.ndarray, "k"]] | None:
    """Choose what is asked for: objects, some parts, and where allowed ground that belongs to none."""
    large = [large_labels(each, options.minimum_px) for each in levels]
    if not len(large[0]):
        return None
    ground = np.argwhere(levels[0] == 0) if background else np.empty((0, 2), int)
    wholes = spread(rng, large[0], levels[0], options.prompts)
    masks, real = [], []
    for whole in wholes:
        chance = rng.random()
        if chance < options.background and len(ground) > levels[0].size // 50:
            y, x = ground[rng.integers(len(ground))]
            masks.append(spot(levels[0].shape, int(y), int(x)) & (levels[0] == 0))
            real.append(False)
            continue
        as_part = len(large) > 1 and len(large[1]) and chance > 1 - options.parts
        masks.append(levels[1] == rng.choice(large[1]) if as_part else levels[0] == whole)
        real.append(True)
    return np.stack(masks), np.array(real)


def large_labels(labels: Int32[np.ndarray, "h w"], minimum_px: int) -> Int64[np.ndarray, "n"]:
    """List the labels that cover at least so many pixels."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.flatnonzero(sizes >= minimum_px)


def spread(
    rng: np.random.Generator, values: Int64[np.ndarray, "n"], labels: Int32[np.ndarray, "h w"], count: int
) -> Int64[np.ndarray, "k"]:
    """Draw ``count`` labels, the large more often, so that cars do not crowd out roofs; none twice if they suffice."""
    lengths = np.sqrt(np.minimum(np.bincount(labels.ravel())[values], LARGE_PX))
    return rng.choice(values, count, replace=len(values) < count, p=lengths / lengths.sum())


def spot(shape: tuple[int, ...], y: int, x: int) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels within two of one pixel."""
    mask = np.zeros(shape, bool)
    mask[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = True
    return mask


def cover(mask: Bool[np.ndarray, "h w"], cell: int = STRIDE) -> UInt8[np.ndarray, "q r"]:
    """Average a mask over squares of ``cell`` pixels; 255 where it covers all of one.

    >>> cover(np.eye(4, dtype=bool))
    array([[64]], dtype=uint8)
    """
    h, w = mask.shape
    blocks = mask.reshape(h // cell, cell, w // cell, cell).sum((1, 3), dtype=np.uint16)
    return ((blocks * 255 + cell * cell // 2) // (cell * cell)).astype(np.uint8)


def edges_of(labels: Int32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Mark the pixels beside a pixel of another label."""
    edges = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def box_of(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "4"]:
    """Find the smallest half-open box, ``xyxy``, around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def jitter_boxes(rng: np.random.Generator, boxes: Float32[np.ndarray, "k 4"], side: int) -> Float32[np.ndarray, "k 4"]:
    """Move every side of every box by about a tenth of the box, as people and detectors do; some hardly at all."""
    size = boxes[:, 2:] - boxes[:, :2]  # k 2
    spread_px = JITTER * np.concatenate([size, size], 1) * rng.random((len(boxes), 1))  # k 4
    moved = boxes + np.clip(rng.normal(0, 1, boxes.shape) * spread_px, -JITTER_PX, JITTER_PX)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 2)
    return np.clip(moved, 0, side).astype(np.float32)


def draw_click(rng: np.random.Generator, mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "2"]:
    """Draw a point inside a mask: half of them anywhere, half of them deep inside."""
    x0, y0, x1, y1 = box_of(mask).astype(int)
    inside = mask[y0:y1, x0:x1]
    step = max(1, max(inside.shape) // 48)
    candidates = np.argwhere(inside)
    if rng.random() < 0.5:
        coarse = np.pad(inside[::step, ::step], 1)
        depth = np.asarray(ndimage.distance_transform_edt(coarse))[1:-1, 1:-1]
        if depth.max() > 0:
            candidates = np.argwhere(depth >= 0.75 * depth.max()) * step
    y, x = candidates[rng.integers(len(candidates))]
    dx, dy = rng.random(2)
    return np.array([x0 + x + dx, y0 + y + dy], np.float32)
