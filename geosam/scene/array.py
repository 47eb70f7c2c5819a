"""An xarray DataArray as a raster; dask-backed and lazily opened arrays are read window by window."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from affine import Affine
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints
from geosam.scene.raster import IGNORE_NODATA, BandValid, BandValues, Nodata, RasterInfo
from geosam.scene.reproject import parse_crs

SPATIAL = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("northing", "easting"))
WHOLE_ARRAY_BYTES = 256 * 2**20


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """A DataArray with two spatial dimensions and at most one more, its bands.

    Attributes
    ----------
    array
        The DataArray, transposed to ``band, y, x``.
    info
        The facts about it.
    masked
        False if every number counts as data.
    """

    array: Any  # an xarray.DataArray; xarray is an extra and loads late
    info: RasterInfo
    masked: bool = True

    @classmethod
    def open(cls, array: Any, *, nodata: Nodata = None) -> "ArrayRaster":
        """Look a DataArray, or a Dataset whose variables are the bands, up.

        Raises
        ------
        SceneError
            If its dimensions are not those of an image.
        """
        bands = _band_y_x(array)
        mapping, wkt = _georeference(bands)
        own = _nodata(bands)
        value = None if isinstance(nodata, str) else nodata if nodata is not None else own
        real = np.dtype(bands.dtype).kind == "f"
        info = RasterInfo(
            source=f"<DataArray {array.name or ''}>".replace(" >", ">") if hasattr(array, "name") else "<Dataset>",
            name=str(getattr(array, "name", None) or "array"),
            dtypes=(str(bands.dtype),) * bands.shape[0],
            colours=("undefined",) * bands.shape[0],
            descriptions=_names(bands),
            levels=(bands.shape[1:],),
            nodata=None if value is None else float(value),
            all_valid=not real and value is None,
            mapping=mapping,
            wkt=wkt,
            fingerprint=_fingerprint(bands, mapping, wkt, repr(nodata)),
        )
        return cls(bands, info, nodata != IGNORE_NODATA)

    def read(self, bands: tuple[int, ...], window: Window, level: int) -> tuple[BandValues, BandValid]:
        """See `Raster.read`; an array has one level."""
        rows = slice(round(window.row_off), round(window.row_off + window.height))
        cols = slice(round(window.col_off), round(window.col_off + window.width))
        return self._take(bands, rows, cols)

    def thumbnail(self, bands: tuple[int, ...], side: int) -> tuple[BandValues, BandValid]:
        """See `Raster.thumbnail`; every n-th pixel."""
        step = max(1, -(-max(self.info.shape) // side))
        every = slice(step // 2 if step <= min(self.info.shape) else 0, None, step)
        return self._take(bands, every, every)

    def _take(self, bands: tuple[int, ...], rows: slice, cols: slice) -> tuple[BandValues, BandValid]:
        part = self.array[[band - 1 for band in bands], rows, cols].values
        with np.errstate(over="ignore"):
            values = part.astype(np.float32)
        valid = np.isfinite(values)
        if self.masked and self.info.nodata is not None and not np.isnan(self.info.nodata):
            valid &= part != np.asarray(self.info.nodata).astype(part.dtype)
        if self.info.unsigned(bands[0]):
            valid = np.broadcast_to(valid.any(axis=0), valid.shape)
        return values, valid


def _band_y_x(array: Any) -> Any:
    """The array with the dimensions band, y and x, in that order."""
    if hasattr(array, "data_vars"):
        array = array.to_array("band")
    y, x = next((pair for pair in SPATIAL if set(pair) <= set(array.dims)), (None, None))
    others = [dim for dim in array.dims if dim not in (y, x)]
    if y is None or sum(array.sizes[dim] > 1 for dim in others) > 1:
        raise SceneError(
            f"a DataArray with dimensions {dict(array.sizes)}",
            expected=f"two spatial dimensions ({', '.join(map('/'.join, SPATIAL))}) and at most one of bands",
            hint="select a time step first, as in `array.isel(time=0)`",
        )
    band = max(others, key=lambda dim: array.sizes[dim], default=None)
    array = array.squeeze([dim for dim in others if dim != band])
    if band is None:
        band, array = "band", array.expand_dims("band")
    return array.transpose(band, y, x)


def _georeference(bands: Any) -> tuple[Affine | ControlPoints, str]:
    """Pixel → world and the WKT of that world, from a CF grid mapping as rioxarray and odc-geo write it."""
    name = bands.encoding.get("grid_mapping", bands.attrs.get("grid_mapping", "spatial_ref"))
    grid = bands.coords[name].attrs if name in bands.coords else {}
    wkt = grid.get("crs_wkt") or grid.get("spatial_ref") or bands.attrs.get("crs") or ""
    wkt = parse_crs(wkt).to_wkt() if wkt else ""
    told = Affine.from_gdal(*map(float, grid["GeoTransform"].split())) if "GeoTransform" in grid else None
    if "gcps" in grid and told in (None, Affine.identity()):
        return _control_points(grid["gcps"], wkt), wkt
    axes = [_axis(bands, dim) for dim in bands.dims[1:]]
    if None in axes:
        return told or Affine.identity(), wkt
    (top, down), (left, right) = (axis or (0.0, 1.0) for axis in axes)
    found = Affine(right, 0, left, 0, down, top)
    corner = bands.shape[2], bands.shape[1]
    same = told is not None and np.allclose(~found @ (told @ corner), corner, atol=1e-4) and told.is_rectilinear
    return told if told is not None and same else found, wkt


def _axis(bands: Any, dim: str) -> tuple[float, float] | None:
    """Outer edge of the first pixel along a dimension, and the step; None if its coordinates do not tell."""
    if dim not in bands.coords or bands.sizes[dim] < 2:
        return None
    centres = bands.coords[dim].values.astype(float)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    if not np.allclose(np.diff(centres), step, rtol=1e-3, atol=0) or step == 0:
        raise SceneError(f"a DataArray with coordinates {dim} of unequal steps", expected="evenly spaced pixels")
    return float(centres[0] - step / 2), float(step)


def _control_points(text: str, wkt: str) -> ControlPoints:
    """Ground control points as rioxarray keeps them: GeoJSON with row and column as properties."""
    features = json.loads(text)["features"]
    pixels = tuple((float(f["properties"]["col"]), float(f["properties"]["row"])) for f in features)
    x_y = tuple((float(f["geometry"]["coordinates"][0]), float(f["geometry"]["coordinates"][1])) for f in features)
    return ControlPoints(pixels, x_y, wkt)


def _nodata(bands: Any) -> float | None:
    """The value that attributes name as no data."""
    for source in (bands.attrs, bands.encoding):
        for name in ("_FillValue", "nodata", "missing_value"):
            if source.get(name) is not None:
                return float(source[name])
    return None


def _names(bands: Any) -> tuple[str, ...]:
    """Names of the bands: the texts of their coordinate, else rioxarray's ``long_name``."""
    count, coordinate = bands.shape[0], bands.coords.get(bands.dims[0])
    if coordinate is not None and np.ndim(coordinate.values) == 1 and coordinate.dtype.kind in "UOT":
        return tuple(str(name) for name in coordinate.values)
    names = bands.attrs.get("long_name", ())
    names = (names,) if isinstance(names, str) else tuple(map(str, names))
    return names if len(names) == count else ("",) * count


def _fingerprint(bands: Any, mapping: Affine | ControlPoints, wkt: str, nodata: str) -> str:
    """Identity of an array: every number up to 256 MB, beyond that a sample; for dask the name of its graph as well."""
    digest = blake2b(digest_size=16)
    graph = getattr(bands.data, "name", "") if bands.chunks is not None else ""
    digest.update(repr((bands.shape, str(bands.dtype), _nodata(bands), mapping, wkt, nodata, graph)).encode())
    count, h, w = bands.shape
    step = 1 if bands.nbytes <= WHOLE_ARRAY_BYTES else int(np.ceil(np.sqrt(bands.nbytes / 2**24)))
    rows = max(1, 2**22 // max(1, count * w)) * step
    for start in range(0, h, rows):
        part = bands[:, start : start + rows : step, ::step].values
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
