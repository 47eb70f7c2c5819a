"""An xarray DataArray as a raster; dask-backed and lazily opened arrays are read window by window."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.gcp import GCPGeoBox
from pyproj import CRS
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene.control_points import ControlPoints
from geosam.scene.raster import IGNORE_NODATA, BandValid, BandValues, Nodata, RasterInfo

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
        bands, geobox = _band_y_x(array)
        mapping, wkt = _georeference(geobox)
        own = bands.odc.nodata
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


def _band_y_x(array: Any) -> tuple[Any, Any]:
    """The array as ``band, y, x``, and its geobox (None without georeferencing)."""
    try:
        from odc.geo.xr import spatial_dims  # registers the accessor `.odc`
    except ImportError:
        raise SceneError("a DataArray", hint="reading one takes `pip install xarray`") from None
    if hasattr(array, "data_vars"):
        array = array.to_array("band")
    geobox = array.odc.geobox
    y, x = spatial_dims(array, relaxed=True) or (None, None)
    others = [dim for dim in array.dims if dim not in (y, x)]
    if y is None or sum(array.sizes[dim] > 1 for dim in others) > 1:
        raise SceneError(
            f"a DataArray with dimensions {dict(array.sizes)}",
            expected="two spatial dimensions and at most one of bands",
            hint="select a time step first, as in `array.isel(time=0)`",
        )
    band = max(others, key=lambda dim: array.sizes[dim], default=None)
    array = array.squeeze([dim for dim in others if dim != band])
    if band is None:
        band, array = "band", array.expand_dims("band")
    return array.transpose(band, y, x), geobox


def _georeference(geobox: Any) -> tuple[Affine | ControlPoints, str]:
    if geobox is None:
        return Affine.identity(), ""
    wkt = CRS.from_wkt(geobox.crs.to_wkt()).to_wkt() if geobox.crs is not None else ""
    if not isinstance(geobox, GCPGeoBox):
        return geobox.transform, wkt
    numbers = [tuple(map(float, (p.col or 0, p.row or 0, p.x or 0, p.y or 0))) for p in geobox.gcps()]
    return ControlPoints(tuple((c, r) for c, r, _, _ in numbers), tuple((x, y) for _, _, x, y in numbers), wkt), wkt


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
    digest.update(repr((bands.shape, str(bands.dtype), bands.odc.nodata, mapping, wkt, nodata, graph)).encode())
    count, h, w = bands.shape
    step = 1 if bands.nbytes <= WHOLE_ARRAY_BYTES else int(np.ceil(np.sqrt(bands.nbytes / 2**24)))
    rows = max(1, 2**22 // max(1, count * w)) * step
    for start in range(0, h, rows):
        part = bands[:, start : start + rows : step, ::step].values
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
