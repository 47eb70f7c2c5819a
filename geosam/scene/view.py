"""A scene: a raster seen on a working grid, read window by window."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import blake2b
from os import PathLike, fspath
from typing import Any

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Float
from odc.geo.gcp import GCPGeoBox
from odc.geo.geobox import GeoBox
from pyproj import CRS
from rasterio.windows import Window
from shapely.geometry import GeometryCollection
from shapely.geometry.base import BaseGeometry

from geosam.arrays import Valid
from geosam.errors import OptionError, SceneError
from geosam.scene.area import crop_to, inside, load_area
from geosam.scene.bands import band_notes
from geosam.scene.chip import Chip
from geosam.scene.frame import Frame
from geosam.scene.grid import Unit, clip, parse_resolution, span, strips
from geosam.scene.look import look_notes
from geosam.scene.raster import Raster
from geosam.scene.resample import Axis, resample
from geosam.scene.stretch import Stretch

THUMBNAIL_PX = 1024


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """A raster, the bands and the stretch to see it by, and a working grid; made by `open_scene`.

    Scenes are values: `at` and `within` return other scenes. They pickle, and may be read from many threads.

    Attributes
    ----------
    raster
        Where the pixels come from.
    bands
        One or three 1-based band numbers.
    stretch
        Source values → 8-bit pixels, for each of the bands.
    whole
        ``(h, w)`` of the working grid over the whole raster.
    crop
        The part of that grid that is the scene; all ``_px`` coordinates count from its corner.
    area
        Area of interest in native pixels, None for all.
    area_files
        Files that it was read from, which no output may be.
    """

    raster: Raster
    bands: tuple[int, ...]
    stretch: Stretch
    whole: tuple[int, int]
    crop: Window
    area: BaseGeometry | None = None
    area_files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.bands) not in (1, 3) or len(self.stretch.low) != len(self.bands):
            raise OptionError(
                f"bands={self.bands} with a stretch of {len(self.stretch.low)}", expected="1 or 3 of each"
            )
        if min(self.shape) < 1:
            raise SceneError(f"a scene of {self.shape} pixels", expected="at least one pixel")

    @property
    def source(self) -> str:
        """Path or URI of the raster."""
        return self.raster.info.source

    @property
    def name(self) -> str:
        """Short name of the raster."""
        return self.raster.info.name

    @property
    def nodata(self) -> float | None:
        """The source value that means no data, if there is one."""
        return self.raster.info.nodata

    @property
    def shape(self) -> tuple[int, int]:
        """``(h, w)`` of the working grid."""
        return round(self.crop.height), round(self.crop.width)

    @cached_property
    def frame(self) -> Frame:
        """The working grid's place in the world."""
        info = self.raster.info
        scale = Affine.scale(info.shape[1] / self.whole[1], info.shape[0] / self.whole[0])
        native = scale @ Affine.translation(round(self.crop.col_off), round(self.crop.row_off))
        return Frame(self.shape, native, info.mapping, info.wkt)

    @cached_property
    def _native_frame(self) -> Frame:
        info = self.raster.info
        return Frame(info.shape, Affine.identity(), info.mapping, info.wkt)

    @property
    def geobox(self) -> GeoBox | GCPGeoBox:
        """The working grid as odc-geo's GeoBox, or GCPGeoBox where there are ground control points."""
        return self.frame.geobox

    @property
    def crs(self) -> CRS | None:
        """The CRS of the raster; None without, then world coordinates are those of the transform, or pixels."""
        return self.frame.crs

    @property
    def resolution_m(self) -> float:
        """Metres on the ground per working pixel at the scene's centre; NaN without a CRS."""
        return self.frame.resolution_m

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was assumed where the raster does not say enough, and what looks like no data but is not marked as such.

        A decimated look at the pixels is taken, where that is cheap.
        """
        info = self.raster.info
        return (*info.notes, *band_notes(info, self.bands), *look_notes(self.raster, self.bands, self.stretch))

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the pixels that `read` returns: content, bands, stretch and working grid. 32 hex digits."""
        crop = (self.crop.col_off, self.crop.row_off, *self.shape)
        info = self.raster.info
        facts = (info.fingerprint, self.bands, self.stretch.to_dict(), self.whole, crop)
        if info.inverted or info.distrusted:  # what the same bytes were once taken for
            facts += (info.inverted, info.distrusted)
        return blake2b(repr(facts).encode(), digest_size=16).hexdigest()

    @cached_property
    def key(self) -> str:
        """Identity of the whole scene: `fingerprint`, and the area of interest. 32 hex digits."""
        area = b"" if self.area is None else shapely.to_wkb(shapely.normalize(self.area))
        return blake2b(self.fingerprint.encode() + area, digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scene) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        h, w = self.shape
        return f"Scene({self.name!r}, {w} x {h} px, bands {self.bands}, {self.crs.name if self.crs else 'no CRS'})"

    def read(self, window: Window) -> Chip:
        """The chip of a window of the working grid.

        Parameters
        ----------
        window
            Whole pixels; clipped to the scene.

        Raises
        ------
        SceneError
            If the window lies outside the scene.
        SceneReadError
            If the raster is damaged there.
        """
        window = self._clipped(window)
        values, known = self.values(window)
        pixels = self.stretch.apply(values)
        for band, ok in zip(pixels, known, strict=True):
            if not ok.all():
                band[~ok] = np.rint(band[ok].mean()) if ok.any() else 0
        valid = np.logical_or.reduce(known)
        if self.area is not None:
            valid &= self._inside(window)
        return Chip(np.repeat(pixels, 3 // len(pixels), axis=0), valid, window, self._geobox_of(window))

    def values(
        self, window: Window, bands: tuple[int, ...] | None = None
    ) -> tuple[Float[np.ndarray, "b h w"], Bool[np.ndarray, "b h w"]]:
        """Source values in a window, before the stretch, of some bands or the scene's own, and which of them are data.

        On a coarser grid than the raster's these are means of the source pixels with data; a pixel is data if at
        least half of it is. The area of interest plays no part.
        """
        rows, cols = self._axes(self._clipped(window))
        parts = [self._read_strip(strip, cols, bands or self.bands) for strip in strips(rows, cols)]
        if len(parts) == 1:
            return parts[0]
        values, known = zip(*parts, strict=True)
        return np.concatenate(values, axis=1), np.concatenate(known, axis=1)

    def has_data(self, window: Window) -> bool:
        """Whether a window may hold a valid pixel; False only if it surely holds none.

        One decimated read of the whole raster, kept, answers for most windows; those that look empty there are looked
        at closely.
        """
        window = self._clipped(window)
        if self.area is not None and not self.area.intersects(self._native_box(window)):
            return False
        if self.raster.info.all_valid or self._thumbnail_has_data(window):
            return True
        rows, cols = self._axes(window)
        level = self._level
        return any(self.raster.read(self.bands, span(strip, cols), level)[1].any() for strip in strips(rows, cols))

    def at(self, resolution: float | int | str, unit: Unit = "crs") -> "Scene":
        """The same scene on a coarser or finer working grid, served from the raster's overviews.

        The pixel grid is scaled by one factor and never warped; the whole raster keeps its extent exactly, so that a
        pixel may differ from the asked size by the fraction that makes the grid come out even.

        Parameters
        ----------
        resolution
            Size of a working pixel (where pixels are not square: the geometric mean of their sides), or text with a
            unit: ``"0.5 m"``.
        unit
            "crs" for units of the scene's CRS, "m" for metres on the ground at the scene's centre.

        Raises
        ------
        OptionError
            If it is not a positive number.
        SceneError
            If metres are asked of a scene without a CRS.
        """
        size, unit = parse_resolution(resolution, unit)
        native = self._native_frame
        if unit == "m" and not np.isfinite(native.resolution_m):
            what = "no CRS" if native.crs is None else f"a CRS without metres, {native.crs.name}"
            raise SceneError(f"{self.name} has {what}", expected="a resolution in pixels of the raster, not in metres")
        factor = size / (native.resolution_m if unit == "m" else native.resolution)
        h, w = (max(1, round(n / factor)) for n in self.raster.info.shape)
        if h * w > 2**50:
            raise OptionError(f"resolution={resolution!r}", expected="a working grid of at most 2^50 pixels")
        return replace(self, whole=(h, w), crop=crop_to(self.area, self.raster.info.shape, (h, w)))

    def coarsened(self, factor: float | int) -> "Scene":
        """The same scene on a grid whose pixels are `factor` times as large, as nearly as the grid comes out even.

        Raises
        ------
        OptionError
            If the factor is not positive.
        """
        if factor <= 0:
            raise OptionError(f"factor={factor}", expected="a positive number")
        h, w = (max(1, round(n / factor)) for n in self.whole)
        return replace(self, whole=(h, w), crop=crop_to(self.area, self.raster.info.shape, (h, w)))

    def within(self, geometry: Any, crs: Any = None) -> "Scene":
        """The part of the scene in an area: cropped to its bounding box in whole pixels, not valid outside it.

        The stretch stays that of the whole raster, so that results do not depend on the extent.

        Parameters
        ----------
        geometry
            A polygon or several (shapely, GeoSeries, GeoDataFrame), or the path of a vector file; their union counts.
        crs
            Its CRS; None: its own if it has one, else the scene's.

        Raises
        ------
        SceneError
            If it is not an area, or does not meet the scene.
        """
        native = self._native_frame
        area = shapely.union_all(shapely.make_valid(native.to_px(load_area(geometry, crs), crs)))
        area = shapely.intersection(area, shapely.box(0, 0, native.shape[1], native.shape[0]))
        if self.area is not None:
            area = shapely.intersection(area, self.area)
        if area.area == 0:
            raise SceneError(
                f"the area of interest does not meet {self.name}",
                expected=f"a polygon inside {tuple(round(v, 6) for v in self.geobox.extent.boundingbox.bbox)} "
                f"({self.crs.name if self.crs else 'pixels'})",
                hint="name its CRS if it is not the scene's; coordinates are x, y (longitude first)",
            )
        files = (*self.area_files, fspath(geometry)) if isinstance(geometry, str | PathLike) else self.area_files
        return replace(self, area=area, area_files=files, crop=crop_to(area, native.shape, self.whole))

    def to_px(self, geometries: Any, crs: Any = None) -> np.ndarray:
        """Geometries as they lie in the working pixel grid.

        Lines and polygons get the vertices they need to stay within 0.1 px of the truth; points are exact. Geometries
        across the antimeridian, and on the other side of it, come out where the scene is. What cannot be mapped (None,
        coordinates outside the domain of the scene's CRS) comes out empty, in its row; of a line or polygon that is
        partly so the part near the scene is kept.

        Parameters
        ----------
        geometries
            One shapely geometry, a sequence, a GeoSeries or a GeoDataFrame.
        crs
            Their CRS, anything that pyproj understands; None: their own if they have one, else the scene's.
            Coordinates are ``(x, y)``, longitude first, whatever the CRS says.

        Returns
        -------
        Flat object array of 2D geometries in working pixels, in order.

        Raises
        ------
        SceneError
            If the geometries have a CRS and the scene has none.
        """
        return self.frame.to_px(geometries, crs)

    def to_world(self, geometries_px: Any) -> np.ndarray:
        """Geometries of the working pixel grid in the scene's CRS, as a flat object array.

        On a scene with ground control points lines get extra vertices, the same on both sides of a shared border.
        """
        return self.frame.to_world(geometries_px)

    @cached_property
    def _level(self) -> int:
        """The coarsest overview that is no coarser than the working grid."""
        levels = self.raster.info.levels
        fine = [n for n, (h, w) in enumerate(levels) if h >= self.whole[0] and w >= self.whole[1]]
        return min(fine, key=lambda n: levels[n][0] * levels[n][1], default=0)

    def _axes(self, window: Window) -> tuple[Axis, Axis]:
        """Rows and columns of a window as sums of pixels of the level that serves it."""
        h, w = self.raster.info.levels[self._level]
        top, left = round(self.crop.row_off + window.row_off), round(self.crop.col_off + window.col_off)
        rows = Axis(top, top + round(window.height), h / self.whole[0], h)
        return rows, Axis(left, left + round(window.width), w / self.whole[1], w)

    def _read_strip(self, rows: Axis, cols: Axis, bands: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        values, known = self.raster.read(bands, span(rows, cols), self._level)
        return resample(values, known, rows, cols)

    @cached_property
    def _thumbnail(self) -> np.ndarray:
        """Decimated validity of the whole raster."""
        return np.logical_or.reduce(self.raster.thumbnail(self.bands, THUMBNAIL_PX)[1])

    def _thumbnail_has_data(self, window: Window) -> bool:
        h, w = self._thumbnail.shape
        x0, y0, x1, y1 = self._native_box(window).bounds
        sx, sy = w / self.raster.info.shape[1], h / self.raster.info.shape[0]
        inner = slice(int(np.ceil(y0 * sy)), int(y1 * sy)), slice(int(np.ceil(x0 * sx)), int(x1 * sx))
        return bool(self._thumbnail[inner].any())

    def _clipped(self, window: Window) -> Window:
        clipped = clip(window, self.shape)
        if clipped is None:
            h, w = self.shape
            raise SceneError(f"{window} lies outside {self!r}", expected=f"a window within {w} x {h} px")
        return clipped

    def _native_affine(self, window: Window) -> Affine:
        return self.frame.native @ Affine.translation(round(window.col_off), round(window.row_off))

    def _native_box(self, window: Window) -> BaseGeometry:
        affine = self._native_affine(window)
        return shapely.box(*(affine @ (0, 0)), *(affine @ (round(window.width), round(window.height))))

    def _inside(self, window: Window) -> Valid:
        """True for pixels whose centre lies in the area of interest."""
        scale_x, _, left, _, scale_y, top, *_ = self._native_affine(window)
        x, y = (np.arange(round(n)) + 0.5 for n in (window.width, window.height))
        return inside(self.area or GeometryCollection(), left + scale_x * x, top + scale_y * y)

    def _geobox_of(self, window: Window) -> GeoBox | GCPGeoBox:
        top, left = round(window.row_off), round(window.col_off)
        return self.geobox[top : top + round(window.height), left : left + round(window.width)]
