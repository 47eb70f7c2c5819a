"""An xarray DataArray or Dataset as a raster; dask-backed and lazily opened ones are read window by window."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from rasterio.windows import Window

from geosam.errors import SceneError
from geosam.scene.coordinates import place_of_array
from geosam.scene.place import Place
from geosam.scene.raster import (
    IGNORE_NODATA,
    BandValid,
    BandValues,
    Nodata,
    RasterInfo,
    can_hold,
    check_nodata,
    nodatas_of,
)

SPATIAL = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("northing", "easting"))
WHOLE_ARRAY_BYTES = 256 * 2**20
SAMPLE_PX = 256
"""Side of what is looked at to find out whether real numbers are integers in truth."""


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """Arrays with two spatial dimensions and at most one more, their bands.

    Attributes
    ----------
    parts
        One DataArray, or one for each variable of a Dataset, transposed to ``band, y, x``.
    info
        The facts about them.
    masked
        False if every number counts as data.
    """

    parts: tuple[Any, ...]  # of xarray.DataArray; xarray is an extra and loads late
    info: RasterInfo
    masked: bool = True

    @classmethod
    def open(cls, array: Any, *, nodata: Nodata = None) -> "ArrayRaster":
        """Look a DataArray, or a Dataset whose variables are the bands, up.

        Raises
        ------
        SceneError
            If its dimensions are not those of an image, or its coordinates contradict its transform.
        OptionError
            If the user's value for no data cannot occur in it.
        """
        parts = _parts(array)
        name = str(getattr(array, "name", None) or "")
        source = f"<DataArray {name}>".replace(" >", ">") if hasattr(array, "name") else "<Dataset>"
        place = place_of_array(source, parts[0])
        counts = [part.shape[0] for part in parts]
        dtypes = tuple(dtype for part in parts for dtype in (_dtype(part),) * part.shape[0])
        own, notes = _nodatas(parts, dtypes)
        real = any(np.dtype(part.dtype).kind == "f" for part in parts)
        info = RasterInfo(
            source=source,
            name=name or "array",
            dtypes=dtypes,
            colours=("undefined",) * sum(counts),
            descriptions=tuple(name for part in parts for name in _names(part, several=len(parts) > 1)),
            levels=(parts[0].shape[1:],),
            nodatas=own if nodata is None else nodatas_of(nodata, dtypes),
            all_valid=not real and (nodata == IGNORE_NODATA or (nodata is None and not any(map(_is_told, own)))),
            mapping=place.mapping,
            wkt=place.wkt,
            fingerprint=_fingerprint(parts, place, repr((nodata, own, dtypes))),
            notes=(*place.notes, *notes),
        )
        check_nodata(nodata, info.dtypes)
        return cls(parts, info, nodata != IGNORE_NODATA)

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
        stored = self._stored(bands, rows, cols)
        with np.errstate(over="ignore"):
            values = np.stack([one.astype(self.info.precision(bands)) for one in stored])
        valid = np.isfinite(values)
        for at, (band, one) in enumerate(zip(bands, stored, strict=True)):
            nodata = self.info.nodatas[band - 1]
            if self.masked and nodata is not None and np.isfinite(nodata):
                valid[at] &= one != np.asarray(nodata).astype(one.dtype)
        if all(self.info.unsigned(band) for band in bands):
            for at, band in enumerate(bands):  # integers with gaps that were made real numbers get their fill back
                values[at][~np.isfinite(values[at])] = self.info.nodatas[band - 1] or 0
            valid = np.broadcast_to(valid.any(axis=0), valid.shape)
        return values, valid

    def _stored(self, bands: tuple[int, ...], rows: slice, cols: slice) -> list[np.ndarray]:
        """The numbers of some bands as they are stored; of each array all at once."""
        found: dict[int, np.ndarray] = {}
        first = 1
        for part in self.parts:
            here = [band for band in bands if first <= band < first + part.shape[0]]
            if here:
                numbers = part[[band - first for band in here], rows, cols].values
                found |= dict(zip(here, numbers, strict=True))
            first += part.shape[0]
        return [found[band] for band in bands]


def _parts(array: Any) -> tuple[Any, ...]:
    """Arrays with the dimensions band, y and x, in that order; a Dataset's variables that are images."""
    if not hasattr(array, "data_vars"):
        return (_band_y_x(array),)
    _spatial(array)  # a Dataset without any says so
    images = [array[name] for name in array.data_vars if _dims(array[name]) and not _is_place(array[name])]
    parts = [_band_y_x(image.assign_attrs({**array.attrs, **image.attrs})) for image in images]
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) != 1:
        raise SceneError(
            f"a Dataset whose variables are {sorted(shapes)} px", expected="variables of one grid, its bands"
        )
    return tuple(parts)


def _is_place(variable: Any) -> bool:
    """Whether a variable of a Dataset holds coordinates of pixels, or facts about it, and is no band."""
    return str(variable.name).lower() in {"lat", "lon", "latitude", "longitude", "xc", "yc", "spatial_ref", "crs"}


def _dims(array: Any) -> tuple[str, str] | None:
    """The two spatial dimensions, y first; None if there are none."""
    return next((pair for pair in SPATIAL if set(pair) <= set(array.dims)), None)


def _spatial(array: Any) -> tuple[str, str]:
    found = _dims(array)
    if found is None:
        raise SceneError(
            f"{_word(array)} with dimensions {dict(array.sizes)}", expected=f"two spatial dimensions ({_choices()})"
        )
    return found


def _band_y_x(array: Any) -> Any:
    """The array with the dimensions band, y and x, in that order."""
    y, x = _spatial(array)
    others = [dim for dim in array.dims if dim not in (y, x)]
    if sum(array.sizes[dim] > 1 for dim in others) > 1:
        raise SceneError(
            f"{_word(array)} with dimensions {dict(array.sizes)}",
            expected=f"two spatial dimensions ({_choices()}) and at most one of bands",
            hint="select a time step first, as in `array.isel(time=0)`",
        )
    band = max(others, key=lambda dim: array.sizes[dim], default=None)
    array = array.squeeze([dim for dim in others if dim != band])
    if band is None:
        band, array = "band", array.expand_dims("band")
    return array.transpose(band, y, x)


def _word(array: Any) -> str:
    return "a Dataset" if hasattr(array, "data_vars") else "a DataArray"


def _choices() -> str:
    return ", ".join(map("/".join, SPATIAL))


def _dtype(part: Any) -> str:
    """The type of an array; of integers that became real numbers for their gaps' sake (masked, as NaN) the former."""
    source = {key: part.encoding[key] for key in ("rasterio_dtype", "dtype") if part.encoding.get(key) is not None}
    scaled = part.encoding.get("scale_factor", 1) != 1 or part.encoding.get("add_offset", 0) != 0
    if np.dtype(part.dtype).kind != "f" or not source or scaled:
        return str(part.dtype)
    try:
        dtype = np.dtype(next(iter(source.values())))
    except TypeError:
        return str(part.dtype)
    step = max(1, -(-max(part.shape[1:]) // SAMPLE_PX))
    sample = part[:, ::step, ::step].values
    sample = sample[np.isfinite(sample)]
    if dtype.kind != "u" or np.any(sample != np.rint(sample)):
        return str(part.dtype)
    inside = not sample.size or (sample.min() >= 0 and sample.max() <= np.iinfo(dtype).max)
    return str(dtype) if inside else str(part.dtype)


def _nodatas(parts: tuple[Any, ...], dtypes: tuple[str, ...]) -> tuple[tuple[float | int | None, ...], tuple[str, ...]]:
    """The values that attributes name as no data, one per band, and those that cannot occur."""
    told = [value for part in parts for value in _told(part)]
    stored = [str(part.dtype) for part in parts for _ in range(part.shape[0])]
    kept = tuple(
        value if value is None or can_hold(dtype, value) else None for value, dtype in zip(told, stored, strict=True)
    )
    strange = {(value, dtype) for value, dtype, ok in zip(told, dtypes, kept, strict=True) if value is not ok}
    notes = [f"its fill value {value:g} cannot occur in {dtype}: it marks no pixel" for value, dtype in sorted(strange)]
    return kept, tuple(notes)


def _is_told(nodata: float | int | None) -> bool:
    return nodata is not None


def _told(part: Any) -> list[float | int | None]:
    """What an array names as no data, for each of its bands."""
    count = part.shape[0]
    for source in (part.attrs, part.encoding):
        for name in ("_FillValue", "nodata", "missing_value", "nodatavals"):
            values = _numbers(source.get(name))
            if len(values) in (1, count):
                return values * count if len(values) == 1 else values
    return [None] * count


def _numbers(value: Any) -> list[float | int | None]:
    """A number or several as plain ones; what is none is left out. Integers stay exact."""
    found = np.ravel(np.asarray(value, dtype=object) if value is not None else [])
    try:
        return [None if one is None else int(one) if isinstance(one, int | np.integer) else float(one) for one in found]
    except (TypeError, ValueError):
        return []


def _names(bands: Any, *, several: bool) -> tuple[str, ...]:
    """Names of the bands: the variable, the texts of their coordinate, else rioxarray's ``long_name``."""
    count, coordinate = bands.shape[0], bands.coords.get(bands.dims[0])
    if several and count == 1:
        return (str(bands.name),)
    if coordinate is not None and np.ndim(coordinate.values) == 1 and coordinate.dtype.kind in "UOT":
        return tuple(str(name) for name in coordinate.values)
    names = bands.attrs.get("long_name", ())
    names = (names,) if isinstance(names, str) else tuple(map(str, names))
    return names if len(names) == count else ("",) * count


def _fingerprint(parts: tuple[Any, ...], place: Place, told: str) -> str:
    """Identity of arrays: every number up to 256 MB, beyond that a sample; for dask the name of its graph as well."""
    digest = blake2b(digest_size=16)
    digest.update(repr((place.mapping, place.wkt, told)).encode())
    for bands in parts:
        graph = getattr(bands.data, "name", "") if bands.chunks is not None else ""
        digest.update(repr((bands.shape, str(bands.dtype), graph)).encode())
        count, h, w = bands.shape
        step = 1 if bands.nbytes <= WHOLE_ARRAY_BYTES else int(np.ceil(np.sqrt(bands.nbytes / 2**24)))
        rows = max(1, 2**22 // max(1, count * w)) * step
        for start in range(0, h, rows):
            part = bands[:, start : start + rows : step, ::step].values
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
