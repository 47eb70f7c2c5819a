"""Outlines of natural and drawn things, as polygons in metres."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

Polygon = np.ndarray


def blob(rng: np.random.Generator, centre: tuple[float, float], radius_m: float, *, rough: float = 0.3) -> Polygon:
    """A rounded, irregular outline: a circle whose radius is a random Fourier series.

    Examples
    --------
    >>> blob(np.random.default_rng(0), (50.0, 50.0), 20.0).shape
    (96, 2)
    """
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    order = np.arange(1, 14)[:, None]
    weight = rng.normal(0.0, 1.0, (13, 2)) / order**1.45
    series = (weight[:, :1] * np.cos(order * angle) + weight[:, 1:] * np.sin(order * angle)).sum(axis=0)
    radius = radius_m * np.clip(1 + 1.1 * rough * series, 0.25, 2.5)
    stretch, turn = np.exp(rng.normal(0.0, 0.25)), rng.uniform(0, np.pi)
    x, y = radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch
    return np.stack(
        [centre[0] + x * np.cos(turn) - y * np.sin(turn), centre[1] + x * np.sin(turn) + y * np.cos(turn)], axis=1
    )


def rectangle(centre: tuple[float, float], size_m: tuple[float, float], angle: float) -> Polygon:
    """Corners of a turned rectangle.

    Examples
    --------
    >>> rectangle((0.0, 0.0), (4.0, 2.0), 0.0).tolist()
    [[-2.0, -1.0], [2.0, -1.0], [2.0, 1.0], [-2.0, 1.0]]
    """
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * size_m
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(centre) + corners @ np.array([(cos, sin), (-sin, cos)])


def placed(origin: Sequence[float], angle: float, u, v) -> np.ndarray:
    """Points given along and across a direction, as x and y in their last axis.

    Examples
    --------
    >>> placed((10.0, 0.0), 0.0, 1.0, 2.0).tolist()
    [11.0, 2.0]
    """
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([origin[0] + u * cos - v * sin, origin[1] + u * sin + v * cos], axis=-1)


def meander(rng: np.random.Generator, extent_m: float, *, bend: float = 0.11) -> Polygon:
    """A winding path from one side of the place to another, as points along it."""
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3) * extent_m
    t = np.linspace(-0.85, 0.85, 60)
    wave = sum(
        rng.normal(0.0, bend / k**1.6) * np.sin(2 * np.pi * k * t * rng.uniform(0.5, 0.9) + rng.uniform(0, 2 * np.pi))
        for k in (1, 2, 3)
    )
    along, across = t * extent_m, wave * extent_m + shift
    cos, sin = np.cos(turn), np.sin(turn)
    return extent_m / 2 + np.stack([along * cos - across * sin, along * sin + across * cos], axis=1)


def ribbon(path: Polygon, width_m: np.ndarray) -> Polygon:
    """The outline of a band of varying width along a path.

    Examples
    --------
    >>> ribbon(np.array([(0.0, 0.0), (1.0, 0.0)]), np.array([2.0, 2.0])).tolist()
    [[0.0, 1.0], [1.0, 1.0], [1.0, -1.0], [0.0, -1.0]]
    """
    direction = np.gradient(path, axis=0)
    direction = direction / np.maximum(np.hypot(*direction.T), 1e-9)[:, None]
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) * np.asarray(width_m)[:, None] / 2
    return np.concatenate([path + normal, (path - normal)[::-1]])


def parcels(
    rng: np.random.Generator, extent_m: float, size_m: float, *, angle: float, bend: float = 0.0
) -> list[Polygon]:
    """Land divided into fields: a turned rectangle cut again and again, its lines bent by one smooth warp.

    Parameters
    ----------
    extent_m
        Side of the place.
    size_m
        Typical side of a field.
    angle
        Direction of the cuts, in radians.
    bend
        Strength of the warp, as a share of the place; 0 leaves the lines straight.
    """
    todo, done = [(-0.75 * extent_m, -0.75 * extent_m, 0.75 * extent_m, 0.75 * extent_m)], []
    while todo:
        left, top, right, bottom = todo.pop()
        width, height = right - left, bottom - top
        longest = max(width, height)
        if longest < size_m * rng.uniform(1.0, 2.2) or longest < 0.4 * size_m:
            done.append((left, top, right, bottom))
            continue
        share = rng.uniform(0.3, 0.7)
        if width > height * rng.uniform(0.6, 1.4):
            cut = left + share * width
            todo += [(left, top, cut, bottom), (cut, top, right, bottom)]
        else:
            cut = top + share * height
            todo += [(left, top, right, cut), (left, cut, right, bottom)]
    phase = rng.uniform(0, 2 * np.pi, 4)
    bent = _bent(np.array(done), extent_m, angle=angle, bend=bend, phase=phase)
    low, high = bent.min(axis=1), bent.max(axis=1)
    near = ((high > -0.02 * extent_m) & (low < 1.02 * extent_m)).all(axis=1)
    return list(bent[near])


def _bent(boxes: np.ndarray, extent_m: float, *, angle: float, bend: float, phase: np.ndarray) -> np.ndarray:
    """Outlines ``[n 32 2]`` of ``xyxy`` boxes after turning and warping them."""
    left, top, right, bottom = (side[:, None] for side in boxes.T)
    steps = np.linspace(0, 1, 8, endpoint=False)
    flat = np.zeros(8)
    u = left + (right - left) * np.concatenate([steps, flat + 1, 1 - steps, flat])
    v = top + (bottom - top) * np.concatenate([flat, steps, flat + 1, 1 - steps])
    wave = 2 * np.pi / extent_m
    warp_u = np.sin(wave * 0.8 * v + phase[0]) + 0.4 * np.sin(wave * 2.1 * v + wave * u + phase[1])
    warp_v = np.sin(wave * 0.7 * u + phase[2]) + 0.4 * np.sin(wave * 1.9 * u + wave * v + phase[3])
    u, v = u + bend * extent_m * warp_u, v + bend * extent_m * warp_v
    cos, sin = np.cos(angle), np.sin(angle)
    return extent_m / 2 + np.stack([u * cos - v * sin, u * sin + v * cos], axis=2)


def inset(polygon: Polygon, margin_m: float) -> Polygon:
    """A polygon drawn in towards its middle by about a margin."""
    middle = polygon.mean(axis=0)
    away = polygon - middle
    distance = np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    return middle + away * np.clip(1 - margin_m / distance, 0.1, 1.0)


@lru_cache(maxsize=4096)
def _unit_grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, columns), np.linspace(-0.5, 0.5, rows))
    return u.ravel(), v.ravel()


class Occupancy:
    """Which places are taken: a coarse grid that footprints are checked against and marked in."""

    def __init__(self, extent_m: float, cells: int = 192) -> None:
        self.step = extent_m / cells
        self.taken = np.zeros((cells, cells), bool)

    def _cells(self, x: float, y: float, size_m: tuple[float, float], angle: float):
        nu = int(min(max(size_m[0] / self.step, 2), 24)) + 1
        nv = int(min(max(size_m[1] / self.step, 2), 24)) + 1
        u, v = _unit_grid(nu, nv)
        cos, sin = math.cos(angle) / self.step, math.sin(angle) / self.step
        columns = np.floor(u * (size_m[0] * cos) - v * (size_m[1] * sin) + x / self.step).astype(np.int32)
        rows = np.floor(u * (size_m[0] * sin) + v * (size_m[1] * cos) + y / self.step).astype(np.int32)
        n = len(self.taken)
        inside = (rows >= 0) & (rows < n) & (columns >= 0) & (columns < n)
        return (rows[inside], columns[inside]) if not inside.all() else (rows, columns)

    def claim(self, x: float, y: float, size_m: tuple[float, float], angle: float = 0.0) -> bool:
        """Take a turned rectangle if it is free and touches the place; say whether it was."""
        cells = self._cells(x, y, size_m, angle)
        if not len(cells[0]) or self.taken[cells].any():
            return False
        self.taken[cells] = True
        return True

    def take(self, x: float, y: float, size_m: tuple[float, float], angle: float = 0.0) -> None:
        """Take a turned rectangle, free or not."""
        self.taken[self._cells(x, y, size_m, angle)] = True

    def block_paths(self, paths: Sequence[Polygon], width_m: Sequence[float]) -> None:
        """Take bands along paths."""
        image = Image.fromarray(self.taken.view(np.uint8))
        draw = ImageDraw.Draw(image)
        for path, width in zip(paths, width_m, strict=True):
            points = [tuple(point) for point in (path / self.step).tolist()]
            draw.line(points, fill=1, width=max(round(width / self.step), 1))
        self.taken = np.array(image).astype(bool)
