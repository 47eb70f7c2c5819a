"""Maps of classes over the scene, as PNG."""

import io

import geopandas as gpd
import numpy as np
import shapely
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from geosam.features.burning import Burner
from geosam.landcover import Legend
from geosam.scene import Scene
from geosam.scene.grid import all_of, window_at

Picture = UInt8[np.ndarray, "h w 3"]

_STRENGTH = 0.62
"""Of a class's colour over the grey scene: strong enough to be told in the legend, weak enough to see the ground."""

_NO_DATA = (242, 242, 242)


def class_map(scene: Scene, segments: gpd.GeoDataFrame, legend: Legend, *, max_side: int = 1000) -> Picture:
    """Draw classified segments over the scene.

    Parameters
    ----------
    scene
        Any scene; a large one is read from its overviews.
    segments
        With the column `class`.
    legend
        The colours.
    max_side
        Longest side of the picture in px.
    """
    factor = max(1.0, max(scene.shape) / max_side)
    seen = scene.coarsened(factor) if factor > 1 else scene
    return painted(seen, all_of(seen.shape), segments, legend)


def place_pictures(
    scene: Scene, segments: gpd.GeoDataFrame, legend: Legend, place: BaseGeometry, *, side: int = 320
) -> tuple[Picture, Picture]:
    """A place as the scene shows it and as it was classified, twice as large as the place, which is outlined.

    Parameters
    ----------
    place
        A segment, in the segments' CRS.
    side
        Side of each picture in px.
    """
    x0, y0, x1, y1 = shapely.bounds(scene.to_px(gpd.GeoSeries([place], crs=segments.crs))[0])
    reach = int(np.clip(max(x1 - x0, y1 - y0), 24, max(scene.shape)))
    left, top = round((x0 + x1) / 2 - reach), round((y0 + y1) / 2 - reach)
    h, w = scene.shape
    left, top = int(np.clip(left, 0, max(w - 2 * reach, 0))), int(np.clip(top, 0, max(h - 2 * reach, 0)))
    window = window_at(left, top, min(2 * reach, w - left), min(2 * reach, h - top))
    plain = scene.read(window).pixels.transpose(1, 2, 0)
    shape = scene.to_px(gpd.GeoSeries([place], crs=segments.crs))[0]
    factor = side / max(plain.shape[:2])
    shape = shapely.transform(shape, lambda xy: (xy - (window.col_off, window.row_off)) * factor)
    pictures = (plain, painted(scene, window, segments, legend))
    first, second = (_outlined(_enlarged(each, side), shape) for each in pictures)
    return first, second


def painted(scene: Scene, window: object, segments: gpd.GeoDataFrame, legend: Legend) -> Picture:
    """The classes of a window over its grey picture."""
    chip = scene.read(window)  # pyright: ignore[reportArgumentType]  # attrs class without stubs
    top, left = round(chip.window.row_off), round(chip.window.col_off)
    shapes = shapely.transform(scene.to_px(segments), lambda xy: xy - (left, top))
    ((_, labels),) = Burner(shapes, chip.valid.shape).strips(chip.valid.shape[0])
    rgb = [tuple(int(legend.colour(name)[at : at + 2], 16) for at in (1, 3, 5)) for name in segments["class"]]
    colours = np.array([_NO_DATA, *rgb], float)[labels]  # h w 3
    grey = chip.pixels.mean(axis=0)[..., None]
    mixed = np.where(labels[..., None] > 0, _STRENGTH * colours + (1 - _STRENGTH) * grey, colours)
    return np.rint(mixed).astype(np.uint8)


def png(picture: Picture) -> bytes:
    """A picture as a PNG file."""
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(held, "PNG")
    return held.getvalue()


def _outlined(picture: Picture, shape: BaseGeometry) -> Picture:
    """A picture with an outline on it, white between two dark lines, so that it is seen on any ground."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    rings = [ring for part in shapely.get_parts(shape) for ring in shapely.get_rings(part)]
    for colour, width in (("#111", 4), ("#fff", 2)):
        for ring in rings:
            pen.line([(float(x), float(y)) for x, y in shapely.get_coordinates(ring)], fill=colour, width=width)
    return np.asarray(image)


def _enlarged(picture: Picture, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    h, w = picture.shape[:2]
    factor = side / max(h, w)
    size = max(1, round(w * factor)), max(1, round(h * factor))
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.NEAREST))
