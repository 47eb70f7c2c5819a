"""How the numbers that a file stores become the bands of a raster, and which of them are data.

Files say it in many ways, which are honoured here: a palette (its colours are the bands, of whatever type its numbers
are), min-is-white (seen the right way round), fewer bits than the type has, a nodata value for each band, masks, alpha.
Scale and offset are not applied: a stretch undoes them anyway, and nodata values count in stored numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geosam.scene.raster import IGNORE_NODATA, BandValid, BandValues, Nodata, RasterInfo, can_hold

PALETTE = ("red of the palette", "green of the palette", "blue of the palette")
MIXED = frozenset(("hue", "saturation", "lightness", "cyan", "magenta", "yellow", "black", "Y", "Cb", "Cr"))
"""Colour interpretations of bands that are no measurements of light, but coordinates of colours."""

MOST_COLOURS = 2**16


@dataclass(frozen=True)
class Stored:
    """The bands of an open dataset; fields as in `RasterInfo`."""

    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    descriptions: tuple[str, ...]
    nodatas: tuple[float | int | None, ...]
    bits: tuple[int, ...]
    sources: tuple[int, ...]
    palette: bool
    inverted: bool
    masked: bool
    notes: tuple[str, ...]


def stored_bands(dataset: DatasetReader) -> Stored:
    """What an open dataset says of its bands."""
    colours = [colour.name for colour in dataset.colorinterp]
    dtypes = ["complex64" if dtype.startswith("complex") else str(dtype) for dtype in dataset.dtypes]
    found, notes = _palette_band(dataset, colours, dtypes), []
    told = list(zip(dataset.nodatavals, dtypes, strict=True))
    nodatas = [value if value is None or can_hold(dtype, value) else None for value, dtype in told]
    strange = {(value, dtype) for (value, dtype), kept in zip(told, nodatas, strict=True) if value is not kept}
    for value, dtype in sorted(strange):
        notes.append(f"its nodata value {value:g} cannot occur in {dtype}: it marks no pixel")
    sources, bits = list(dataset.indexes), [_bits(dataset, band, dtypes[band - 1]) for band in dataset.indexes]
    descriptions = [text or "" for text in dataset.descriptions]
    if found:
        others = [band for band in sources if band != found]
        sources = [found] * 3 + others
        dtypes, bits = ["uint8"] * 3 + [dtypes[band - 1] for band in others], [0] * 3 + [bits[b - 1] for b in others]
        nodatas = [nodatas[band - 1] for band in sources]
        descriptions = [*PALETTE, *(descriptions[band - 1] or f"band {band} of the file" for band in others)]
        colours = ["red", "green", "blue", *(colours[band - 1] for band in others)]
        seen = [colour for colour in colours[3:] if colour != "alpha"]
        if seen:
            notes.append(f"band {found} has a palette, whose colours are seen; not so its {len(seen)} other bands")
    odd = [colour for colour in colours if colour in MIXED]
    if odd and not found:
        notes.append(f"its bands are {', '.join(odd)}: they are seen as if they were red, green, blue")
    return Stored(
        dtypes=tuple(dtypes),
        colours=tuple(colours),
        descriptions=tuple(descriptions),
        nodatas=tuple(nodatas),
        bits=tuple(bits),
        sources=tuple(sources),
        palette=bool(found),
        inverted=not found and dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES",
        masked=bool(found) or any(map(_is_masked, dataset.mask_flag_enums, nodatas)),
        notes=tuple(notes),
    )


def read_stored(
    dataset: DatasetReader,
    info: RasterInfo,
    bands: tuple[int, ...],
    *,
    window: Window | None,
    size: tuple[int, int],
    override: Nodata,
) -> tuple[BandValues, BandValid]:
    """Values and validity of some bands of a level of a file.

    Parameters
    ----------
    dataset
        The level, open.
    info
        What `stored_bands` found, on the native grid.
    bands
        1-based bands of `info`.
    window, size
        The part that is read (None: all), and the ``(h, w)`` that it is decimated to.
    override
        The user's word on no data.
    """
    sources = [info.sources[band - 1] if info.sources else band for band in bands]
    numbers = _numbers(dataset, list(dict.fromkeys(sources)), window, size)
    values = np.empty((len(bands), *size), info.precision(bands))
    valid = np.empty(values.shape, bool)
    for at, (band, source) in enumerate(zip(bands, sources, strict=True)):
        stored = numbers[source]
        valid[at] = _data(dataset, info, band, stored, window=window, override=override)
        if info.palette and band <= len(PALETTE):
            table = _colours(dataset, source)
            known = (stored >= 0) & (stored < table.shape[1])
            index = np.where(known, stored, 0).astype(np.intp)
            values[at] = table[band - 1][index]
            if override is None:
                valid[at] &= known & (table[3][index] > 0)
            continue
        with np.errstate(over="ignore"):
            values[at] = stored
        if info.inverted and info.colours[band - 1] != "alpha":
            values[at] = _white(info, band) - values[at]
        valid[at] &= np.isfinite(values[at])
    return values, valid


def _numbers(
    dataset: DatasetReader, sources: list[int], window: Window | None, size: tuple[int, int]
) -> dict[int, np.ndarray]:
    """What some bands store, at once if they are of one type, so that no block is decoded twice."""
    if len({dataset.dtypes[source - 1] for source in sources}) > 1:
        return {source: dataset.read(source, window=window, out_shape=size) for source in sources}
    return dict(zip(sources, dataset.read(sources, window=window, out_shape=(len(sources), *size)), strict=True))


def _data(
    dataset: DatasetReader,
    info: RasterInfo,
    band: int,
    stored: np.ndarray,
    *,
    window: Window | None,
    override: Nodata,
) -> np.ndarray:
    """Where the stored numbers of a band are data, by the user's word, else by that of the file."""
    if info.all_valid or override == IGNORE_NODATA:
        return np.ones(stored.shape, bool)
    value = info.nodatas[band - 1]
    if override is not None:
        return np.ones(stored.shape, bool) if value is None else stored != np.asarray(value).astype(stored.dtype)
    source = info.sources[band - 1] if info.sources else band
    flags = dataset.mask_flag_enums[source - 1]
    if not _is_masked(flags, value):
        return np.ones(stored.shape, bool)
    return dataset.read_masks(source, window=window, out_shape=stored.shape) > 0


def _is_masked(flags: Any, nodata: float | int | None) -> bool:
    """Whether a band has a mask that marks anything; one of a nodata value that cannot occur does not."""
    names = {flag.name for flag in flags}
    return "all_valid" not in names and not (names == {"nodata"} and nodata is None)


def _palette_band(dataset: DatasetReader, colours: list[str], dtypes: list[str]) -> int:
    """The band that has a palette, 0 for none."""
    for band, colour in enumerate(colours, 1):
        if colour == "palette" and np.dtype(dtypes[band - 1]).kind in "iu":
            try:
                dataset.colormap(band)
            except ValueError:  # said to have one, but without it
                continue
            return band
    return 0


def _colours(dataset: DatasetReader, band: int) -> UInt8[np.ndarray, "4 n"]:
    """Red, green, blue, alpha of each number of a palette; numbers without a colour are transparent."""
    found = {index: colour for index, colour in dataset.colormap(band).items() if index < MOST_COLOURS}
    table = np.zeros((4, max(found, default=0) + 1), np.uint8)
    for index, colour in found.items():
        table[:, index] = colour
    return table


def _bits(dataset: DatasetReader, band: int, dtype: str) -> int:
    """How many bits of a band's integers are used, 0 for all."""
    text = dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", "")
    bits = int(text) if text.isdigit() else 0
    return bits if np.dtype(dtype).kind == "u" and 0 < bits < 8 * np.dtype(dtype).itemsize else 0


def _white(info: RasterInfo, band: int) -> float:
    """What a number and its negative add up to: the ends of the type, or 0 for real numbers."""
    top = info.top(band)
    if top is not None:
        return top
    dtype = np.dtype(info.dtypes[band - 1])
    return float(np.iinfo(dtype).min + np.iinfo(dtype).max) if dtype.kind == "i" else 0.0
