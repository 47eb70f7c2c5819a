"""What a front end shows: the scene on its own pixel grid, in tiles that come from the raster's overviews.

A tile of level k is 256 by 256 pixels, each the mean of 2^k by 2^k pixels of the scene: nothing is warped, and a place
in a picture is a place in the scene, also where the scene is rotated or lies by ground control points. Tiles that are
all data are JPEG, since PNG takes twenty times as long and five times the bytes; others are PNG.
"""

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from PIL import Image
from shapely.geometry import GeometryCollection

from geosam.arrays import Valid
from geosam.errors import GeosamError
from geosam.scene import Scene, Stretch
from geosam.scene.area import inside
from geosam.scene.grid import span, strips
from geosam.scene.resample import Axis, resample
from geosam.scene.view import THUMBNAIL_PX
from geosam.serve.requests import OutsideError, ServeError

TILE_PX = 256

QUALITY = 90
"""Of JPEG; differences cannot be seen."""

KEPT_LOOKS = 8
"""Choices of bands and stretch that are kept."""

SLOW_PX = 2**23
"""Pixels of the raster that a tile may be made of; where there are no overviews, coarser tiles come from one decimated
look at all of it."""

COARSE_PX = 2048
"""Longest side of that look."""

Look = tuple[tuple[int, ...], tuple[float, float] | None]
"""Bands, and percentiles of the stretch or None for the scene's own."""


@dataclass(frozen=True)
class Colours:
    """Bands as they are shown, and the stretch that makes pixels of them."""

    bands: tuple[int, ...]
    stretch: Stretch


class Picture:
    """Tiles of a scene.

    Parameters
    ----------
    scene
        What is shown; its working grid is that of the tiles.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.scene import open_scene
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture = Picture(open_scene(coordinate_scene(folder + "/xy.tif", (300, 500))))
    ...     rgba = picture.pixels(0, 1, 0)
    >>> picture.levels, rgba.shape, rgba[10, 20].tolist(), rgba[0, 255].tolist()
    (2, (256, 256, 4), [20, 10, 1, 255], [0, 0, 0, 0])
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        h, w = scene.shape
        self.levels = 1
        while max(h, w) > TILE_PX * 2 ** (self.levels - 1):
            self.levels += 1
        self._scale = min(n / whole for n, whole in zip(scene.raster.info.shape, scene.whole, strict=True))
        self._coarsest: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray] | GeosamError | None] = {}
        self._looks: OrderedDict[Look, Colours] = OrderedDict()
        self._lock = threading.Lock()

    def tile(self, level: int, col: int, row: int, look: Look | None = None) -> bytes | None:
        """A tile as JPEG or PNG, None if it is not there yet; parameters and errors as for `pixels`."""
        self.check(level, col, row)
        if self.is_slow(level) and self._coarse(look) is None:
            return None
        buffer = io.BytesIO()
        pixels = self.pixels(level, col, row, look)
        if bool((pixels[..., 3] == 255).all()):
            image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
            image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
        else:
            Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def is_slow(self, level: int) -> bool:
        """Whether tiles of a level would take long, because there are no overviews that serve them."""
        info = self.scene.raster.info
        number = _served_by(info.levels, 2.0**level * self._scale)
        h, w = info.levels[number]
        ratio = h / info.shape[0] * 2.0**level * self._scale  # pixels of that overview for one of the tile
        return min(ratio * TILE_PX, h) * min(ratio * TILE_PX, w) > SLOW_PX

    def _coarse(self, look: Look | None) -> tuple[np.ndarray, np.ndarray] | None:
        """A decimated look at the whole raster; None while it is being taken."""
        bands = self._colours(look).bands

        def take() -> None:
            try:
                self._coarsest[bands] = self.scene.raster.thumbnail(bands, COARSE_PX)
            except GeosamError as error:
                self._coarsest[bands] = error

        with self._lock:
            if bands not in self._coarsest:
                self._coarsest[bands] = None
                threading.Thread(target=take, name="geosam-thumbnail", daemon=True).start()
            found = self._coarsest[bands]
            if isinstance(found, GeosamError):
                del self._coarsest[bands]
                raise found
            return found

    def pixels(self, level: int, col: int, row: int, look: Look | None = None) -> np.ndarray:
        """A tile as red, green, blue and alpha, ``256 256 4``; alpha is 0 where there is no data.

        Parameters
        ----------
        level
            0 for the scene's pixels; each further level is half as fine.
        col, row
            Place of the tile.
        look
            Bands and percentiles; None for the scene's own.

        Raises
        ------
        OutsideError
            If there is no such tile.
        ServeError
            If there is no such band.
        """
        self.check(level, col, row)
        h, w = self.scene.shape
        colours = self._colours(look)
        rows, cols = (_part(place, level, full) for place, full in ((row, h), (col, w)))
        values, known = self._values(colours.bands, rows, cols, self._coarse(look) if self.is_slow(level) else None)
        pixels = colours.stretch.apply(values)
        valid = np.logical_or.reduce(known)
        if self.scene.area is not None:
            valid &= self._in_area(rows, cols)
        rgba = np.zeros((TILE_PX, TILE_PX, 4), np.uint8)
        part = rgba[: valid.shape[0], : valid.shape[1]]
        part[..., :3] = np.moveaxis(np.where(known, pixels, 0), 0, -1)
        part[..., :3][~valid] = 0
        part[..., 3] = np.where(valid, 255, 0)
        return rgba

    def check(self, level: int, col: int, row: int) -> None:
        """Refuse a tile that there is not."""
        h, w = self.scene.shape
        size = TILE_PX * 2 ** min(level, self.levels)
        if not 0 <= level < self.levels or not 0 <= row * size < h or not 0 <= col * size < w:
            raise OutsideError(f"tile {col}, {row} of level {level}", expected=f"a tile of {w} x {h} px")

    def _values(
        self, bands: tuple[int, ...], rows: Axis, cols: Axis, coarse: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values of the tile's pixels, and which of them are data, from the level that serves it."""
        info = self.scene.raster.info
        number = _served_by(info.levels, rows.step * self._scale)
        if coarse is not None:
            values, known = coarse
            down, across = self._on_grid(rows, cols, values.shape[1:])
            part = span(down, across)
            inner = slice(part.row_off, part.row_off + part.height), slice(part.col_off, part.col_off + part.width)
            return resample(values[:, *inner], known[:, *inner], down, across)
        down, across = self._on_grid(rows, cols, info.levels[number])
        parts = [self._read(bands, strip, across, number) for strip in strips(down, across)]
        values, known = zip(*parts, strict=True)
        return np.concatenate(values, axis=1), np.concatenate(known, axis=1)

    def _on_grid(self, rows: Axis, cols: Axis, shape: tuple[int, ...]) -> tuple[Axis, Axis]:
        """The pixels of a tile as sums of pixels of a grid of `shape` over the whole raster."""
        scene = self.scene
        offset = round(scene.crop.row_off), round(scene.crop.col_off)
        down, across = (
            replace(axis, step=axis.step * n / whole, size=n, origin=start * n / whole)
            for axis, start, n, whole in zip((rows, cols), offset, shape, scene.whole, strict=True)
        )
        return down, across

    def _read(self, bands: tuple[int, ...], rows: Axis, cols: Axis, number: int) -> tuple[np.ndarray, np.ndarray]:
        values, known = self.scene.raster.read(bands, span(rows, cols), number)
        return resample(values, known, rows, cols)

    def _in_area(self, rows: Axis, cols: Axis) -> Valid:
        """Which pixels' centres lie in the area of interest."""
        a, _, c, _, e, f, *_ = self.scene.frame.native
        x, y = ((np.arange(axis.start, axis.stop) + 0.5) * axis.step for axis in (cols, rows))
        return inside(self.scene.area or GeometryCollection(), a * x + c, e * y + f)

    def _colours(self, look: Look | None) -> Colours:
        scene = self.scene
        if look is None:
            return Colours(scene.bands, scene.stretch)
        with self._lock:
            if look not in self._looks:
                self._looks[look] = self._measured(*look)
            self._looks.move_to_end(look)
            while len(self._looks) > KEPT_LOOKS:
                self._looks.popitem(last=False)
            return self._looks[look]

    def _measured(self, bands: tuple[int, ...], percentiles: tuple[float, float] | None) -> Colours:
        """The stretch of some bands between two percentiles of a decimated look."""
        count = len(self.scene.raster.info.dtypes)
        wrong = next((band for band in bands if not 1 <= band <= count), None)
        if wrong is not None:
            raise ServeError(f"band {wrong}", expected=f"bands from 1 to {count}")
        if bands == self.scene.bands and percentiles is None:
            return Colours(bands, self.scene.stretch)
        values, known = self.scene.raster.thumbnail(bands, THUMBNAIL_PX)
        low, high = [], []
        for band, ok in zip(values, known, strict=True):
            seen = band[ok].astype(np.float64) if ok.any() else np.zeros(1)
            one, other = np.percentile(seen, percentiles or (2.0, 98.0)).tolist()
            low.append(one)
            high.append(other if other > one else one + max(1.0, abs(one) * 1e-6))
        return Colours(bands, Stretch(tuple(low), tuple(high), "given"))


def _part(place: int, level: int, full: int) -> Axis:
    """Pixels of a tile along one axis of the scene: the last one may reach beyond the scene."""
    start, step = place * TILE_PX, 2**level
    return Axis(start, min(start + TILE_PX, ceil(full / step)), float(step), full)


def _served_by(levels: tuple[tuple[int, int], ...], step: float) -> int:
    """The coarsest level that is no coarser than the wanted step in native pixels."""
    fine = [n for n, (h, w) in enumerate(levels) if min(levels[0][0] / h, levels[0][1] / w) <= step * (1 + 1e-9)]
    return min(fine, key=lambda n: levels[n][0] * levels[n][1], default=0)
