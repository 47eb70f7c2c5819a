"""A picture of a scene with its polygons drawn on it.

An outline is a light line on a wider dark one, so that it is seen on snow and on forest; it is drawn at three times the
size and averaged down. Fills are translucent, in a colour that depends on the object's id alone: hues step by the
golden angle, so that neighbouring ids differ.
"""

import os
from colorsys import hls_to_rgb
from math import ceil
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image, ImageDraw
from rasterio.features import rasterize
from rasterio.windows import Window

from geosam.errors import OptionError
from geosam.scene import Scene
from geosam.sinks.inputs import scene_files
from geosam.sinks.places import check_path
from geosam.sinks.staging import Outputs, named_errors, placed

EXTENSIONS = (".png",)
"""Extensions of pictures."""

Canvas = Float32[np.ndarray, "h w 3"]
"""Red, green and blue between 0 and 255."""

_SMALLEST_SIDE = 768
_OVERSAMPLING = 3
_GOLDEN_TURN = 0.6180339887498949
_NO_DATA = 40
_FILL, _CASING, _LINE = 0.28, 0.6, 0.95
_CASING_PX, _LINE_PX = 3.6, 1.5
_FULL_LINES_FROM_PX = 24
_LINE_COLOUR = (255, 238, 150)


def picture(
    scene: Scene,
    frame: gpd.GeoDataFrame,
    path: str | os.PathLike[str],
    *,
    max_side: int = 1600,
    overwrite: bool = True,
    outputs: Outputs | None = None,
) -> Path:
    """Write a PNG of the scene with polygons drawn on it.

    Parameters
    ----------
    scene
        Any scene; a large one is read from its overviews, so memory does not depend on its size.
    frame
        Polygons in any CRS, none as well. The column `object_id` gives the colours, if it is there.
    path
        Output file, ``.png``; an existing file is replaced.
    max_side
        Longest side of the picture in pixels. Scenes of less than 384 pixels are enlarged by a whole factor.
    overwrite
        Whether an existing file may be replaced.
    outputs
        Outputs that it is one of, and appears with.

    Returns
    -------
    Path
        The absolute path of the picture.

    Raises
    ------
    SinkError
        If the file cannot be written.
    OptionError
        If `max_side` is not positive.
    """
    target = check_path(path, EXTENSIONS, overwrite=overwrite, inputs=scene_files(scene))
    image = Image.fromarray(draw(scene, frame, max_side=max_side))
    with placed(target, outputs, overwrite=overwrite) as place, named_errors(target):
        image.save(place.part)
    return target


def draw(scene: Scene, frame: gpd.GeoDataFrame, *, max_side: int = 1600) -> UInt8[np.ndarray, "h w 3"]:
    """Draw polygons on a scene, as `picture` does, and give back the pixels.

    Parameters
    ----------
    scene, frame, max_side
        See `picture`.

    Returns
    -------
    UInt8[h w 3]
        Red, green and blue.
    """
    if max_side < 1:
        raise OptionError(f"max_side={max_side}", expected="a positive number of pixels")
    longest = max(scene.shape)
    if longest > max_side:
        scene = scene.at(scene.frame.resolution * longest / max_side)
    enlarged = max(1, min(_SMALLEST_SIDE, max_side) // max(scene.shape))
    canvas = _background(scene, enlarged)
    shapes = _shapes_px(scene, frame, enlarged)
    if len(shapes):
        _fill(canvas, shapes, _ids(frame))
        _outline(canvas, shapes)
    return np.rint(canvas).astype(np.uint8)


def colours(ids: Int64[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 3"]:
    """The colour of each object, by its id.

    Examples
    --------
    >>> colours(np.array([1, 2, 1])).tolist()
    [[64, 110, 221], [155, 221, 64], [64, 110, 221]]
    """
    hues = ids * _GOLDEN_TURN % 1.0
    shares = np.array([hls_to_rgb(hue, 0.56, 0.7) for hue in hues]).reshape(-1, 3)
    return (shares * 255).astype(np.uint8)


def _background(scene: Scene, enlarged: int) -> Canvas:
    """The scene's pixels, dark grey where it has no data."""
    h, w = scene.shape
    chip = scene.read(Window(0, 0, w, h))  # pyright: ignore[reportCallIssue]  # attrs class without stubs
    pixels = np.where(chip.valid[..., None], chip.pixels.transpose(1, 2, 0), _NO_DATA).astype(np.uint8)
    image = Image.fromarray(pixels).resize((w * enlarged, h * enlarged), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32).copy()


def _shapes_px(scene: Scene, frame: gpd.GeoDataFrame, enlarged: int) -> np.ndarray:
    """The polygons in pixels of the picture, without detail that it cannot show; one per row, some empty."""
    if not len(frame):
        return np.array([], dtype=object)
    shapes = shapely.transform(scene.to_px(frame.geometry, frame.crs), lambda points: points * enlarged)
    return shapely.simplify(shapes, 0.25, preserve_topology=True)


def _ids(frame: gpd.GeoDataFrame) -> Int64[np.ndarray, "n"]:
    if "object_id" in frame and frame["object_id"].dtype.kind in "iu":
        return frame["object_id"].to_numpy(np.int64)
    return np.arange(1, len(frame) + 1, dtype=np.int64)


def _fill(canvas: Canvas, shapes: np.ndarray, ids: Int64[np.ndarray, "n"]) -> None:
    """Tint the inside of every polygon, smaller ones on top of larger ones; holes stay as they are."""
    order = np.argsort(-shapely.area(shapes), kind="stable")
    burnt = [(shapes[row], number) for number, row in enumerate(order, start=1) if not shapely.is_empty(shapes[row])]
    if not burnt:
        return
    top = np.zeros(canvas.shape[:2], np.int32)
    rasterize(burnt, out=top, transform=Affine.identity())
    palette = np.concatenate([[[0, 0, 0]], colours(ids[order])]).astype(np.float32)
    inside = top > 0
    canvas[inside] += _FILL * (palette[top[inside]] - canvas[inside])


def _outline(canvas: Canvas, shapes: np.ndarray) -> None:
    """Draw the rings of all polygons: the casing first, then the line; thinner where the objects are small."""
    sides = np.sqrt(shapely.area(shapes))
    thin = np.clip(np.median(sides[sides > 0]) / _FULL_LINES_FROM_PX, 0.4, 1.0) if (sides > 0).any() else 1.0
    lines = _thin_lines(canvas.shape[:2], shapes)
    for width, alpha, colour in ((_CASING_PX * thin, _CASING, (0, 0, 0)), (_LINE_PX * thin, _LINE, _LINE_COLOUR)):
        cover = alpha * _averaged(_thickened(lines, ceil(width * _OVERSAMPLING / 2 - 0.5)))
        canvas += cover[..., None] * (np.array(colour, np.float32) - canvas)


def _thin_lines(shape: tuple[int, ...], shapes: np.ndarray) -> Bool[np.ndarray, "H W"]:
    """Lines of one pixel on the oversampled picture."""
    height, width = (side * _OVERSAMPLING for side in shape)
    image = Image.new("1", (width, height))
    pen = ImageDraw.Draw(image)
    for ring in shapely.get_rings(shapely.get_parts(shapes)):
        pen.line((shapely.get_coordinates(ring) * _OVERSAMPLING - 0.5).ravel().tolist(), fill=1)
    return np.asarray(image)


def _thickened(lines: Bool[np.ndarray, "H W"], steps: int) -> Bool[np.ndarray, "H W"]:
    """Widen lines by `steps` pixels on each side; squares and crosses in turn make an octagon, nearly a disc."""
    wide = lines.copy()
    for step in range(steps):
        before = wide.copy()
        wide[1:] |= before[:-1]
        wide[:-1] |= before[1:]
        if step % 2:
            before = wide.copy()
        wide[:, 1:] |= before[:, :-1]
        wide[:, :-1] |= before[:, 1:]
    return wide


def _averaged(lines: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "h w"]:
    """How much of each pixel of the picture is covered."""
    height, width = (side // _OVERSAMPLING for side in lines.shape)
    blocks = lines.reshape(height, _OVERSAMPLING, width, _OVERSAMPLING)
    return blocks.mean(axis=(1, 3), dtype=np.float32)
