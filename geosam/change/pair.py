"""Two dates of one place on one pixel grid: `Pair`.

The grid is that of the scene before, at the coarser of both resolutions, cropped to where both lie. Before is read as
it is; after is resampled once, wherever its CRS, its grid and an estimated shift put it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Float64
from rasterio.features import rasterize
from rasterio.windows import Window
from scipy import ndimage

from geosam.arrays import Coordinates, Mask, Pixels, Valid
from geosam.errors import OptionError, SceneError
from geosam.scene import Scene
from geosam.scene.grid import all_of, clip, window_at
from geosam.scene.reproject import projection

SAME_SIZE = 1.02
"""Ratio of two pixel sizes up to which neither scene is brought to the other's resolution."""

LATTICE_PX = 16
"""Distance of the points at which a curved mapping is computed; between them it is interpolated, to within 0.01 px."""

MARGIN_PX = 12
"""Pixels read around those that are resampled; a cubic spline forgets what lies farther off."""

WHOLE_PX = 1e-6
"""Pixels by which an offset may differ from whole ones to be taken for whole."""

STRIP_PX = 2**22
"""Pixels of the grid that are resampled at a time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Both:
    """A window of both dates, on the grid of the pair.

    Attributes
    ----------
    before, after
        Stretched to 8 bits, each by its own scene's stretch.
    seen
        True where both dates have data and no mask says otherwise.
    window
        Where it lies in the grid.
    """

    before: Pixels
    after: Pixels
    seen: Valid
    window: Window


@dataclass(frozen=True, eq=False)
class Pair:
    """Two scenes of one place, before and after; made by `open_pair`.

    Attributes
    ----------
    before
        The scene before: its working grid is the grid of the pair, its crop where both scenes lie.
    after
        The scene after, at about the same resolution, on its own grid.
    shift_px
        ``(x, y)`` in pixels of the grid: what lies at p before is looked for at p + shift after.
    masks_px
        Polygons in pixels of the grid in which nothing counts as seen.

    Examples
    --------
    >>> import tempfile
    >>> from geosam.testing import coordinate_scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = (coordinate_scene(f"{folder}/{name}.tif", (64, 64)) for name in "ab")
    ...     pair = open_pair(first, second)
    ...     both = pair.read(Window(8, 8, 16, 16))
    >>> bool((both.before == both.after).all()), bool(both.seen.all())
    (True, True)
    """

    before: Scene
    after: Scene
    shift_px: tuple[float, float] = (0.0, 0.0)
    masks_px: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if len(self.shift_px) != 2 or not np.isfinite(self.shift_px).all():
            raise OptionError(f"shift_px={self.shift_px}", expected="two finite numbers, x and y in pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """``(h, w)`` of the grid."""
        return self.before.shape

    @property
    def resolution_m(self) -> float:
        """Metres on the ground per pixel of the grid; NaN without a CRS."""
        return self.before.resolution_m

    def shifted(self, shift_px: tuple[float, float]) -> "Pair":
        """The same pair with another shift between its dates."""
        return replace(self, shift_px=(float(shift_px[0]), float(shift_px[1])))

    def masked(self, masks_px: Any) -> "Pair":
        """The same pair with more polygons, in pixels of the grid, in which nothing is seen."""
        found = tuple(each for each in masks_px if not each.is_empty)
        return replace(self, masks_px=(*self.masks_px, *found))

    def read(self, window: Window) -> Both:
        """Both dates in a window of the grid.

        Raises
        ------
        SceneError
            If the window lies outside the grid.
        SceneReadError
            If a raster is damaged there.
        """
        chip = self.before.read(window)
        pixels, valid = self._after(chip.window)
        seen = chip.valid & valid & ~self.masked_in(chip.window)
        return Both(chip.pixels, pixels, seen, chip.window)

    def values(self, window: Window) -> tuple[np.ndarray, np.ndarray, Valid]:
        """Source values of both dates in a window, before the stretch, and where all of them are data and seen."""
        chip = self.before.read(window)
        before, known = self.before.values(chip.window)
        after, valid = self._sampled(chip.window, source=True)
        return before, after, known.all(axis=0) & chip.valid & valid & ~self.masked_in(chip.window)

    def masked_in(self, window: Window) -> Valid:
        """True in the pixels of a window whose centres lie in a mask."""
        shape = (round(window.height), round(window.width))
        x, y = round(window.col_off), round(window.row_off)
        box = shapely.box(x, y, x + shape[1], y + shape[0])
        near = [each for each in self.masks_px if each.intersects(box)]
        if not near:
            return np.zeros(shape, bool)
        return burnt(near, (x, y), shape)

    def after_px(self, xy_px: Coordinates) -> Coordinates:
        """Where points of the grid lie in the pixels of the scene after, the shift included."""
        world = self.before.frame.world_from_px(xy_px + np.asarray(self.shift_px, np.float64))
        return self.after.frame.px_from_world(self._to_after_crs(world))

    def after_world(self, geometries: Any) -> np.ndarray:
        """Geometries in the CRS of before where the scene after shows them: moved by the shift, still in that CRS."""
        moved = shapely.transform(self.before.to_px(geometries), lambda xy: xy + np.asarray(self.shift_px))
        return self.before.to_world(moved)

    def from_after_px(self, geometries_world: Any, crs: Any = None) -> np.ndarray:
        """Geometries that were found in the scene after, in pixels of the grid, the shift taken back."""
        return shapely.transform(self.before.to_px(geometries_world, crs), lambda xy: xy - np.asarray(self.shift_px))

    def _to_after_crs(self, world: Coordinates) -> Coordinates:
        ours, theirs = self.before.frame.wkt, self.after.frame.wkt
        return world if not ours or not theirs or ours == theirs else projection(ours, theirs)(world)

    def _after(self, window: Window) -> tuple[Pixels, Valid]:
        return self._sampled(window, source=False)

    def _sampled(self, window: Window, *, source: bool) -> tuple[np.ndarray, Valid]:
        """The scene after on a window of the grid, in strips: 8-bit pixels, or source values."""
        h, w = round(window.height), round(window.width)
        rows = max(1, STRIP_PX // w)
        parts = [
            self._strip(window_at(round(window.col_off), round(window.row_off) + top, w, min(rows, h - top)), source)
            for top in range(0, h, rows)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part for part, _ in parts], axis=1), np.concatenate([ok for _, ok in parts])

    def _strip(self, window: Window, source: bool) -> tuple[np.ndarray, Valid]:
        places = self._places(window)
        x, y = places
        h, w = x.shape
        known = np.isfinite(x) & np.isfinite(y)
        bands = len(self.after.bands) if source else 3
        nothing = np.zeros((bands, h, w), np.float64 if source else np.uint8), np.zeros((h, w), bool)
        if not known.any():
            return nothing
        left, top = int(np.floor(x[known].min())) - MARGIN_PX, int(np.floor(y[known].min())) - MARGIN_PX
        right, bottom = int(np.ceil(x[known].max())) + MARGIN_PX, int(np.ceil(y[known].max())) + MARGIN_PX
        part = clip(window_at(left, top, right - left, bottom - top), self.after.shape)
        if part is None:
            return nothing
        chip = self.after.read(part)
        valid, pixels = chip.valid, chip.pixels
        if source:
            pixels, known_values = self.after.values(part)
            valid = valid & known_values.all(axis=0)
            pixels = np.where(valid, pixels, 0)
        at = np.stack([y - round(part.row_off) - 0.5, x - round(part.col_off) - 0.5])
        return _interpolated(pixels, valid, at)

    def _places(self, window: Window) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
        """Where the centres of a window's pixels lie in the scene after: ``x, y`` in its pixels."""
        h, w = round(window.height), round(window.width)
        x0, y0 = round(window.col_off) + 0.5, round(window.row_off) + 0.5
        step = 1 if max(h, w) < LATTICE_PX else LATTICE_PX
        xs, ys = np.arange(0, w + step, step, dtype=np.float64), np.arange(0, h + step, step, dtype=np.float64)
        grid = np.stack(np.meshgrid(xs + x0, ys + y0), axis=-1).reshape(-1, 2)
        found = self.after_px(grid).reshape(len(ys), len(xs), 2)
        rows, cols = np.arange(h) / step, np.arange(w) / step
        return tuple(_between(found[..., axis], rows, cols) for axis in (0, 1))  # pyright: ignore[reportReturnType]


def open_pair(before: Any, after: Any, *, resolution_m: float | None = None) -> Pair:
    """Put two scenes on one grid.

    Parameters
    ----------
    before, after
        Scenes, or whatever `geosam.open_scene` opens: any CRSs, resolutions, extents and bit depths.
    resolution_m
        Metres per pixel of the common grid (CRS units, where the scenes have no CRS); None: the coarser of both.

    Raises
    ------
    SceneError
        If one cannot be opened, only one has a CRS, or they do not overlap.
    """
    from geosam.scene import open_scene

    first, second = open_scene(before), open_scene(after)
    if bool(first.frame.wkt) != bool(second.frame.wkt):
        bare = first if not first.frame.wkt else second
        raise SceneError(
            f"{bare.name} has no CRS and the other scene has one",
            expected="two scenes that lie in the same world",
            hint="georeference it, for instance with `gdal_translate -a_srs`",
        )
    if {len(first.bands), len(second.bands)} == {1, 3}:
        grey, coloured = (first, second) if len(first.bands) == 1 else (second, first)
        told = "%s shows one band, %s three: these are matched to the one, so that hues may count as change"
        log.warning(f"{told}; give both the same bands to compare brightness alone", grey.name, coloured.name)
    sizes = [_pixel_size(scene) for scene in (first, second)]
    size = resolution_m or max(sizes)
    if size * SAME_SIZE < min(sizes):
        log.warning("resolution_m=%g is finer than both scenes: pixels of %.3g m are compared", size, min(sizes))
    first, second = (_coarsened(scene, own, size) for scene, own in zip((first, second), sizes, strict=True))
    outline = second.to_world(shapely.box(0, 0, second.shape[1], second.shape[0]))
    try:
        overlap = first.within(list(outline), second.crs)
    except SceneError as error:
        raise SceneError(
            f"{first.name} and {second.name} do not overlap ({error.problem})", expected="two scenes of one place"
        ) from None
    return Pair(overlap, second)


def tiles(shape: tuple[int, int], side: int) -> list[Window]:
    """Windows that tile a grid, row by row, of at most `side` pixels.

    Examples
    --------
    >>> [(t.col_off, t.width) for t in tiles((10, 25), 20)]
    [(0, 20), (20, 5)]
    """
    h, w = shape
    return [
        window_at(left, top, min(side, w - left), min(side, h - top))
        for top in range(0, h, side)
        for left in range(0, w, side)
    ]


def burnt(shapes: Sequence[Any], corner: tuple[int, int], size: tuple[int, int]) -> Mask:
    """Pixels of a window at a corner ``(x, y)`` whose centres lie in one of some polygons.

    Examples
    --------
    >>> burnt([shapely.box(1, 0, 3, 1)], (1, 0), (1, 3)).tolist()
    [[True, True, False]]
    """
    found = rasterize(shapes, out_shape=size, transform=Affine.translation(*corner), dtype="uint8")
    return np.asarray(found, bool)


def whole(pair: Pair) -> Window:
    """The window that is all of a pair's grid."""
    return all_of(pair.shape)


def _pixel_size(scene: Scene) -> float:
    return scene.resolution_m if np.isfinite(scene.resolution_m) else scene.frame.resolution


def _coarsened(scene: Scene, own: float, wanted: float) -> Scene:
    """A scene at a coarser resolution; one that is about as coarse, or coarser, stays as it is."""
    if wanted <= own * SAME_SIZE:
        return scene
    return scene.at(scene.frame.resolution * wanted / own)


def _between(
    values: Float64[np.ndarray, "a b"], rows: Float64[np.ndarray, "h"], cols: Float64[np.ndarray, "w"]
) -> Float64[np.ndarray, "h w"]:
    """Values of a lattice between its points, linear in each direction."""
    r, c = np.minimum(rows.astype(int), len(values) - 2), np.minimum(cols.astype(int), values.shape[1] - 2)
    along = values[r] + (values[r + 1] - values[r]) * (rows - r)[:, None]
    return along[:, c] + (along[:, c + 1] - along[:, c]) * (cols - c)


def _interpolated(
    pixels: np.ndarray, valid: Bool[np.ndarray, "h w"], at: Float64[np.ndarray, "2 y x"]
) -> tuple[np.ndarray, Bool[np.ndarray, "y x"]]:
    """Pixels at places; whole steps are copied, others interpolated by cubic splines."""
    start = at[:, 0, 0]
    step = np.indices(at.shape[1:], np.float64) + start[:, None, None]
    top, left = np.rint(np.nan_to_num(start)).astype(int)
    h, w = at.shape[1:]
    fits = top >= 0 and left >= 0 and top + h <= valid.shape[0] and left + w <= valid.shape[1]
    if fits and np.abs(step - at).max() < WHOLE_PX and np.abs(start - np.rint(start)).max() < WHOLE_PX:
        part = (slice(top, top + h), slice(left, left + w))
        return pixels[:, *part].copy(), valid[part].copy()
    inside = (at >= -0.5).all(axis=0) & (at[0] <= valid.shape[0] - 0.5) & (at[1] <= valid.shape[1] - 0.5)
    where = np.nan_to_num(at, nan=-1e9)
    weight = ndimage.map_coordinates(valid.astype(np.float32), where, order=1, mode="nearest")
    order = 3 if min(valid.shape) > 3 else 1
    bands = [
        ndimage.map_coordinates(np.asarray(band, np.float64), where, order=order, mode="nearest") for band in pixels
    ]
    found = np.stack(bands)
    if pixels.dtype == np.uint8:
        found = np.rint(np.clip(found, 0, 255)).astype(np.uint8)
    return found, inside & (weight > 0.99)
