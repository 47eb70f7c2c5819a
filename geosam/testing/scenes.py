"""Scenes whose truth is known to the pixel."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window
from scipy import ndimage
from scipy.spatial import KDTree

from geosam.arrays import Labels, Pixels, Valid
from geosam.errors import OptionError

CRS = "EPSG:32631"
"""Coordinate reference system of the fake scenes unless another is asked for: UTM zone 31 north."""

TRANSFORM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)
"""Grid of the fake scenes unless another is asked for: half-metre pixels."""

LAST_LABEL = 65535
"""Largest label that a colour spells."""

SPREAD = 0x3779B1
"""Odd, so that multiplying by it permutes the 24-bit numbers: neighbouring labels get colours far apart."""

_PROFILE = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "zstd", "zstd_level": 1}


def coordinate_scene(
    path: str | Path,
    shape: tuple[int, int] = (512, 512),
    *,
    frame: str = "px",
    dtype: str = "uint8",
    crs: str = CRS,
    transform: Affine = TRANSFORM,
) -> Path:
    """Write a three-band GeoTIFF whose pixel values are their own coordinates.

    Parameters
    ----------
    path
        File to write.
    shape
        ``(h, w)`` in pixels; written in strips, so tens of thousands a side are fine.
    frame
        ``"px"``: column, row, and their upper parts. ``uint8`` holds ``column % 256``, ``row % 256`` and
        ``column // 256 % 16 + 16 * (row // 256 % 16)``, so that positions up to 4096 can be read back; wider types
        hold the column and the row themselves, and 0. ``"world"``: x and y of the pixel's centre in `crs`, and 0;
        `dtype` must be a float.
    dtype
        Type of the bands, as rasterio names it.
    crs, transform
        Where the scene lies.

    Returns
    -------
    `path`, as a ``Path``.

    Raises
    ------
    OptionError
        If `frame` is unknown or `dtype` cannot hold it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = coordinate_scene(Path(folder) / "xy.tif", (300, 400))
    ...     with rasterio.open(path) as source:
    ...         source.read()[:, 299, 399].tolist()
    [143, 43, 17]
    """
    if frame not in ("px", "world") or (frame == "world" and not dtype.startswith("float")):
        raise OptionError(f"frame={frame!r} as {dtype}", expected="'px' in any type, or 'world' in a float type")
    h, w = shape
    predictor = 3 if dtype.startswith("float") else 2  # neighbours differ by the same step nearly everywhere
    kind = {"count": 3, "dtype": dtype, "predictor": predictor}
    profile = _PROFILE | kind | {"height": h, "width": w, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", **profile) as target:
        for row_off in range(0, h, 512):
            strip = (row_off, min(512, h - row_off))
            bands = _coordinates(strip, w, dtype) if frame == "px" else _world_coordinates(strip, w, transform)
            target.write(bands.astype(dtype), window=Window(0, row_off, w, strip[1]))  # pyright: ignore[reportCallIssue]  # attrs class without stubs
    return Path(path)


def _coordinates(strip: tuple[int, int], w: int, dtype: str) -> np.ndarray:
    cols, rows = np.arange(w), np.arange(strip[0], sum(strip))[:, None]
    if dtype == "uint8":
        bands = cols % 256, rows % 256, cols // 256 % 16 + 16 * (rows // 256 % 16)
    else:
        bands = cols, rows, np.zeros_like(cols)
    return np.stack([np.broadcast_to(band.astype(dtype), (len(rows), w)) for band in bands])


def _world_coordinates(strip: tuple[int, int], w: int, transform: Affine) -> np.ndarray:
    rows, cols = np.mgrid[strip[0] : strip[0] + strip[1], :w] + 0.5
    a, b, c, d, e, f, *_ = transform
    x, y = a * cols + b * rows + c, d * cols + e * rows + f
    return np.stack([x, y, np.zeros_like(x)])


def labels_to_pixels(labels: Labels) -> Pixels:
    """Spell labels as colours, each with a colour of its own; 0, the background, is black.

    A colour is the label times a constant, as a 24-bit number. Only one colour in 256 spells a label, so that a mixture
    of two, as resampling makes at an object's border, is known for what it is.

    Raises
    ------
    OptionError
        If a label is negative or above 65535.

    Examples
    --------
    >>> labels_to_pixels(np.array([[0, 1, 2]], np.int32))[:, 0].T.tolist()
    [[0, 0, 0], [177, 121, 55], [98, 243, 110]]
    """
    if labels.min(initial=0) < 0 or labels.max(initial=0) > LAST_LABEL:
        raise OptionError(
            f"labels from {labels.min()} to {labels.max()}", expected=f"0 to {LAST_LABEL}, 0 for background"
        )
    colours = labels.astype(np.int64) * SPREAD & 0xFFFFFF
    return np.stack([colours & 255, colours >> 8 & 255, colours >> 16]).astype(np.uint8)


def pixels_to_labels(pixels: np.ndarray) -> Labels:
    """Read labels back from colours of any number type (``3 h w``); the inverse of `labels_to_pixels`.

    A colour that spells no label gets the label of the nearest pixel that does, if one lies within 2 pixels, else 0.

    Examples
    --------
    >>> pixels_to_labels(np.array([98, 243, 110], np.float16).reshape(3, 1, 1)).tolist()
    [[2]]
    """
    red, green, blue = pixels.astype(np.int64)
    labels = ((red + (green << 8) + (blue << 16)) * pow(SPREAD, -1, 1 << 24) & 0xFFFFFF).astype(np.int32)
    mixed = labels > LAST_LABEL
    return _filled(labels, mixed) if mixed.any() else labels


def _filled(labels: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Labels with the unknown ones replaced by the nearest known one, or by 0 where that is far."""
    if unknown.all():
        return np.zeros_like(labels)
    nearest, distance = np.empty((2, *labels.shape), np.int32), np.empty(labels.shape)
    ndimage.distance_transform_edt(unknown, return_indices=True, distances=distance, indices=nearest)
    return np.where(distance > 2, 0, labels[tuple(nearest)])


def label_scene(
    path: str | Path,
    labels: Labels,
    *,
    valid: Valid | None = None,
    crs: str = CRS,
    transform: Affine = TRANSFORM,
) -> Path:
    """Write a scene whose colours spell `labels`, for `TruthNetwork` to read.

    Parameters
    ----------
    path
        GeoTIFF to write.
    labels
        Object id of every pixel, 0 for background.
    valid
        True where there is data; written as the file's internal mask.
    crs, transform
        Where the scene lies.

    Returns
    -------
    `path`, as a ``Path``.
    """
    h, w = labels.shape
    profile = _PROFILE | {"count": 3, "dtype": "uint8", "height": h, "width": w, "crs": crs, "transform": transform}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", photometric="RGB", **profile) as target,
    ):
        target.write(labels_to_pixels(labels))
        if valid is not None:
            target.write_mask(valid)
    return Path(path)


def blob_labels(shape: tuple[int, int], *, count: int = 40, large: int = 2, seed: int = 0) -> Labels:
    """Draw separate objects on background: `count` blobs, and `large` rivers and lakes that exceed a window.

    Rivers run from side to side and lakes are up to half the scene wide. Blobs lie on open ground, or wholly inside a
    lake or a river as an island with an id of its own. Every object is 4-connected; ids run from 1 without gaps, large
    objects first.

    Parameters
    ----------
    shape
        ``(h, w)`` in pixels.
    count, large
        Objects to place; those for which no room is found in 20 trials are left out.
    seed
        Same seed, same labels.

    Examples
    --------
    >>> labels = blob_labels((128, 128), count=10, large=1, seed=3)
    >>> int(labels.max()), len(np.unique(labels))
    (11, 12)
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for index in range(large):
        draw = _lake if index % 2 else _river
        _place(labels, lambda draw=draw: draw(shape, rng), islands=False)
    for _ in range(count):
        _place(labels, lambda: _blob(shape, rng), islands=True)
    return labels


def _place(labels: np.ndarray, draw, *, islands: bool) -> None:
    """Paint the first of 20 drawn objects that is in one piece and has its ground for itself."""
    for _ in range(20):
        rows, cols, inside = draw()
        ground = labels[rows, cols]
        owners = np.unique(ground[inside]).tolist()
        alone = len(owners) == 1 and (owners[0] == 0 or (islands and _is_island(inside, ground, owners[0])))
        if alone and _pieces(inside)[1] == 1:
            ground[inside] = labels.max() + 1
            return


def _is_island(inside: np.ndarray, ground: np.ndarray, owner: int) -> bool:
    """Whether the object leaves a rim of its ground's owner around it, so that the owner stays in one piece."""
    rim = ndimage.binary_dilation(inside, iterations=2) & ~inside
    return bool(inside[1:-1, 1:-1].sum() == inside.sum() and (ground[rim] == owner).all())


def _blob(shape: tuple[int, int], rng: np.random.Generator):
    low, high = max(3.0, min(shape) / 60), max(5.0, min(shape) / 14)
    return _ellipse(shape, rng, radii=rng.uniform(low, high, 2), wave=rng.uniform(0, 0.25))


def _lake(shape: tuple[int, int], rng: np.random.Generator):
    return _ellipse(shape, rng, radii=rng.uniform(0.15, 0.25, 2) * min(shape), wave=0.2)


def _ellipse(shape: tuple[int, int], rng: np.random.Generator, *, radii: np.ndarray, wave: float):
    """An ellipse with a wavy outline: its rows, its columns, and which of those pixels are inside."""
    h, w = shape
    centre_x, centre_y, turn = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0, np.pi)
    reach = radii.max() * (1 + wave) + 4
    rows = slice(max(0, int(centre_y - reach)), min(h, int(centre_y + reach) + 1))
    cols = slice(max(0, int(centre_x - reach)), min(w, int(centre_x + reach) + 1))
    dy, dx = np.mgrid[rows, cols] + 0.5
    dx, dy = dx - centre_x, dy - centre_y
    along, across = (
        (dx * np.cos(turn) + dy * np.sin(turn)) / radii[0],
        (dy * np.cos(turn) - dx * np.sin(turn)) / radii[1],
    )
    outline = 1 + wave * np.sin(5 * np.arctan2(across, along))
    return rows, cols, np.hypot(along, across) < outline


def _river(shape: tuple[int, int], rng: np.random.Generator):
    """A winding band from side to side."""
    h, w = shape
    width, swing = rng.uniform(0.03, 0.06) * min(shape) + 4, rng.uniform(0.05, 0.1) * h
    x = np.arange(w) + 0.5
    bends = rng.uniform(1, 2) * 2 * np.pi / w
    middle = rng.uniform(0.2, 0.8) * h + swing * np.sin(bends * x + rng.uniform(0, 2 * np.pi))
    y = np.arange(h)[:, None] + 0.5
    return slice(0, h), slice(0, w), abs(y - middle) < width / 2


def parcel_labels(shape: tuple[int, int], *, count: int = 40, seed: int = 0) -> Labels:
    """Cover the whole grid with `count` parcels that share their borders and leave no background.

    Every parcel is 4-connected; ids run from 1 without gaps.

    Parameters
    ----------
    shape
        ``(h, w)`` in pixels.
    count
        Number of parcels, at least 1; fewer where the grid is too small for so many.
    seed
        Same seed, same labels.

    Examples
    --------
    >>> labels = parcel_labels((64, 64), count=9)
    >>> int(labels.min()), int(labels.max())
    (1, 9)
    """
    h, w = shape
    rng = np.random.default_rng(seed)
    sites = rng.uniform((0, 0), (w, h), (count, 2))
    y, x = np.mgrid[:h, :w] + 0.5
    nearest = np.asarray(KDTree(sites).query(np.stack([x, y], -1))[1], np.int32)
    whole = _in_one_piece(nearest + 1)
    return (np.unique(whole, return_inverse=True)[1].reshape(shape) + 1).astype(np.int32)


def _in_one_piece(labels: np.ndarray) -> np.ndarray:
    """Give splinters that hang on their parcel by a corner to the parcel beside them, until there are none."""
    while True:
        splinters = np.zeros(labels.shape, bool)
        for label, box in enumerate(ndimage.find_objects(labels), 1):
            if box is None:
                continue
            pieces, number = _pieces(labels[box] == label)
            if number > 1:
                largest = np.bincount(pieces.ravel())[1:].argmax() + 1
                splinters[box] |= (pieces > 0) & (pieces != largest)
        if not splinters.any():
            return labels
        nearest = np.empty((2, *labels.shape), np.int32)
        ndimage.distance_transform_edt(splinters, return_distances=False, return_indices=True, indices=nearest)
        labels = labels[tuple(nearest)]


def _pieces(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """The 4-connected pieces of a mask, numbered from 1, and how many there are."""
    pieces = np.empty(mask.shape, np.int32)
    ndimage.label(mask, output=pieces)
    return pieces, int(pieces.max(initial=0))
