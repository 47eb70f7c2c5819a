"""The picture while it is being painted: reflectances, heights and labels on one pixel grid."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int32
from PIL import Image, ImageDraw

from geosam.training.world.noise import crown_field, fractal_noise

Spot = tuple[slice, slice]
"""Rows and columns of a part of the canvas."""


@dataclass
class Canvas:
    """Layers that painters write to.

    Parameters
    ----------
    side
        Rows and columns.
    resolution_m
        Ground metres per pixel.
    rng
        Source of randomness for textures.

    Attributes
    ----------
    light
        Reflectance in red, green, blue and near infrared.
    height
        Metres above the ground, which casts shadows.
    labels, parts
        Instance and part number of each pixel, 0 for none.
    grain, mottle, broad
        Textures shared by all painters, with a mean of 0: white noise, noise some metres wide, and some tens of metres.
    """

    side: int
    resolution_m: float
    rng: np.random.Generator
    light: Float32[np.ndarray, "4 h w"] = field(init=False)
    height: Float32[np.ndarray, "h w"] = field(init=False)
    labels: Int32[np.ndarray, "h w"] = field(init=False)
    parts: Int32[np.ndarray, "h w"] = field(init=False)
    grain: Float32[np.ndarray, "h w"] = field(init=False)
    mottle: Float32[np.ndarray, "h w"] = field(init=False)
    broad: Float32[np.ndarray, "h w"] = field(init=False)
    classes: list[str] = field(init=False, default_factory=list)
    n_parts: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        shape = (self.side, self.side)
        self.light = np.zeros((4, *shape), np.float32)
        self.height = np.zeros(shape, np.float32)
        self.labels = np.zeros(shape, np.int32)
        self.parts = np.zeros(shape, np.int32)
        self.grain = self.rng.standard_normal(shape, np.float32)
        self.mottle = fractal_noise(self.rng, shape, max(6.0 / self.resolution_m, 4.0), 4)
        self.broad = fractal_noise(self.rng, shape, max(45.0 / self.resolution_m, 8.0), 4)

    @cached_property
    def leaves(self) -> Float32[np.ndarray, "h w"]:
        """Height of the tufts of a crown, 0 to 1: lumps about a metre wide."""
        spacing = round(1.3 / self.resolution_m)
        if spacing <= 2:
            return np.clip(0.5 + 0.3 * self.grain, 0, 1)
        half = -(-self.side // 2)
        tile = crown_field(self.rng, (half, half), spacing)[0]
        return np.ascontiguousarray(np.tile(tile, (2, 2))[: self.side, : self.side])

    def add(self, kind: str) -> int:
        """Number of a new instance of a class."""
        self.classes.append(kind)
        return len(self.classes)

    def coordinates(self, spot: Spot) -> tuple[Float32[np.ndarray, "1 w"], Float32[np.ndarray, "h 1"]]:
        """Metres of the pixel centres, as a row of x and a column of y."""
        rows, columns = spot
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) * np.float32(self.resolution_m)
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * np.float32(self.resolution_m)
        return x[None, :], y[:, None]

    def clip(self, left: float, top: float, right: float, bottom: float) -> Spot | None:
        """Pixels that a rectangle in metres touches, or None if it lies outside."""
        r = self.resolution_m
        x0, y0 = max(int(left / r - 1), 0), max(int(top / r - 1), 0)
        x1, y1 = min(int(right / r + 2), self.side), min(int(bottom / r + 2), self.side)
        return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 and right > 0 and bottom > 0 else None


def turned(canvas: Canvas, centre: tuple[float, float], half: tuple[float, float], angle: float):
    """Part of the canvas around a turned rectangle, with coordinates along and across it in metres.

    Returns
    -------
    tuple or None
        The spot, u along the rectangle, v across it; None if the rectangle lies outside the canvas.
    """
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    reach_x = abs(half[0] * cos) + abs(half[1] * sin)
    reach_y = abs(half[0] * sin) + abs(half[1] * cos)
    spot = canvas.clip(centre[0] - reach_x, centre[1] - reach_y, centre[0] + reach_x, centre[1] + reach_y)
    if spot is None:
        return None
    x, y = canvas.coordinates(spot)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    return spot, dx * np.float32(cos) + dy * np.float32(sin), dy * np.float32(cos) - dx * np.float32(sin)


def polygon_mask(canvas: Canvas, polygon: np.ndarray) -> tuple[Spot, Bool[np.ndarray, "h w"]] | None:
    """Pixels of a polygon in metres, or None if it lies outside the canvas."""
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    spot = canvas.clip(left, top, right, bottom)
    if spot is None:
        return None
    rows, columns = spot
    image = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    corners = polygon / canvas.resolution_m - (columns.start + 0.5, rows.start + 0.5)
    ImageDraw.Draw(image).polygon([tuple(p) for p in corners.tolist()], fill=1)
    return spot, np.asarray(image).astype(bool)


def path_mask(canvas: Canvas, path: np.ndarray, width_m: float) -> tuple[Spot, Bool[np.ndarray, "h w"]] | None:
    """Pixels of a band along a path in metres, or None if it lies outside the canvas."""
    (left, top), (right, bottom) = path.min(axis=0) - width_m, path.max(axis=0) + width_m
    spot = canvas.clip(left, top, right, bottom)
    if spot is None:
        return None
    rows, columns = spot
    image = Image.new("L", (columns.stop - columns.start, rows.stop - rows.start))
    points = path / canvas.resolution_m - (columns.start + 0.5, rows.start + 0.5)
    width = max(round(width_m / canvas.resolution_m), 1)
    ImageDraw.Draw(image).line([tuple(p) for p in points.tolist()], fill=1, width=width, joint="curve")
    return spot, np.asarray(image).astype(bool)


def blend(first, second, weight: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "4 h w"]:
    """Two spectra mixed pixel by pixel; weights outside 0 to 1 are clipped."""
    weight = np.clip(weight, 0.0, 1.0)
    return first[:, None, None] + (second - first)[:, None, None] * weight


def put(canvas: Canvas, spot: Spot, mask: Bool[np.ndarray, "h w"], light: Float32[np.ndarray, "4 h w"]) -> None:
    """Paint reflectances where a mask is true."""
    np.copyto(canvas.light[:, *spot], light, where=mask)
