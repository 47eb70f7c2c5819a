"""What is true of a picture: which pixels each object covers, or at least its box, and where it would be clicked."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float32, Int32
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from geosam.errors import SceneReadError
from geosam.evaluation.label_rasters import read_label_raster
from geosam.evaluation.sets import LabelledPicture, Row
from geosam.prompts import Prompts
from geosam.scene import Scene

Ids = Int32[np.ndarray, "h w"]
"""The object at every pixel, 0 for none that is known; an object that lies over another hides it."""

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class TrueObject:
    """One object of a picture.

    Attributes
    ----------
    label
        Its value in the truth's `ids`; 0 where only its box is known.
    box
        ``xyxy`` in pixels.
    point
        Where it would be clicked: its deepest point.
    area
        In pixels; of the box where only that is known.
    touches_edge
        Whether the picture's edge cuts it.
    """

    label: int
    box: Float32[np.ndarray, "4"]
    point: Float32[np.ndarray, "2"]
    area: float
    touches_edge: bool


@dataclass(frozen=True, eq=False)
class Truth:
    """All objects of a picture; `ids` is None where only boxes are known."""

    ids: Ids | None
    objects: tuple[TrueObject, ...]


def read_truth(picture: LabelledPicture, scene: Scene) -> Truth:
    """Read the truth of a picture.

    Raises
    ------
    SceneReadError
        If it cannot be read or does not fit the picture.
    """
    try:
        if picture.label_format == "boxes":
            boxes = _boxes(picture)
            return Truth(None, tuple(_boxed(box, scene.shape) for box in boxes))
        ids = _ids(picture, scene)
        if picture.objects is None:
            return Truth(ids, tuple(find_objects(ids)))
        found = [_listed(row, ids) for row in picture.objects]
    except MemoryError:
        raise
    except Exception as error:  # a damaged file of one of five formats raises almost anything
        raise SceneReadError(
            f"truth of {picture.name} in {picture.labels.name} ({' '.join(str(error).split())})",
            expected="labels that fit the picture",
        ) from error
    return Truth(ids, tuple(each for each in found if each.label))


def _ids(picture: LabelledPicture, scene: Scene) -> Ids:
    if picture.label_format == "vector":
        prompts = Prompts.from_features(
            picture.labels, scene, label_column=None, crs=None if scene.crs is not None else "px"
        )
        return burn([each.polygon_px for each in prompts if each.polygon_px is not None], scene.shape)
    if picture.label_format == "coco":
        return burn(_coco_shapes(picture), scene.shape)
    return read_label_raster(picture.labels, picture.label_format, scene.shape)


def burn(shapes: Sequence[BaseGeometry], shape: tuple[int, int]) -> Ids:
    """Number the pixels whose centres lie in each of some shapes, from 1."""
    numbered = [(geometry, number) for number, geometry in enumerate(shapes, start=1)]
    return rasterize(numbered, out_shape=shape, dtype="int32") if numbered else np.zeros(shape, np.int32)


def _coco_shapes(picture: LabelledPicture) -> list[BaseGeometry]:
    coco = json.loads(picture.labels.read_text(encoding="utf-8"))
    here = {image["id"] for image in coco["images"] if image["file_name"].rsplit("/", 1)[-1] == picture.file.name}
    shapes = []
    for each in coco["annotations"]:
        rings = each.get("segmentation")
        if each["image_id"] in here and isinstance(rings, list) and not each.get("iscrowd"):
            parts = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in rings if len(ring) >= 6]
            shapes.append(shapely.union_all([shapely.make_valid(part) for part in parts]))
    return [shape for shape in shapes if not shape.is_empty]


def _boxes(picture: LabelledPicture) -> Float32[np.ndarray, "n 4"]:
    with picture.labels.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    mine = [row for row in rows if row.get("image_path", picture.file.name).rsplit("/", 1)[-1] == picture.file.name]
    boxes = np.array([[float(row[name]) for name in CORNERS] for row in mine], np.float32).reshape(-1, 4)
    if not (np.isfinite(boxes).all() and (boxes[:, :2] < boxes[:, 2:]).all()):
        raise SceneReadError("a box without extent", expected="xmin < xmax and ymin < ymax")
    return boxes


def _boxed(box: Float32[np.ndarray, "4"], shape: tuple[int, int]) -> TrueObject:
    size = box[2:] - box[:2]
    cut = bool((box[:2] <= 0).any() or box[2] >= shape[1] or box[3] >= shape[0])
    return TrueObject(0, box, (box[:2] + box[2:]) / 2, float(size.prod()), cut)


def find_objects(ids: Ids) -> list[TrueObject]:
    """Find box, deepest point and area of every object of a label raster.

    Examples
    --------
    >>> ids = np.zeros((8, 9), np.int32)
    >>> ids[2:5, 3:6] = 4
    >>> [(one.label, one.box.tolist(), one.point.tolist()) for one in find_objects(ids)]
    [(4, [3.0, 2.0, 6.0, 5.0], [4.5, 3.5])]
    """
    found = []
    for label, place in enumerate(ndimage.find_objects(ids), start=1):
        if place is None:
            continue
        rows, columns = place
        mask = ids[place] == label
        x, y = deepest_point(mask)
        box = np.array([columns.start, rows.start, columns.stop, rows.stop], np.float32)
        point = np.array([columns.start + x, rows.start + y], np.float32)
        cut = rows.start == 0 or columns.start == 0 or rows.stop == ids.shape[0] or columns.stop == ids.shape[1]
        found.append(TrueObject(label, box, point, float(mask.sum()), cut))
    return found


def deepest_point(mask: np.ndarray) -> tuple[float, float]:
    """Find the centre of the pixel of a mask that is farthest from all outside it, ``(x, y)``; the first among equals.

    Examples
    --------
    >>> deepest_point(np.ones((3, 5), bool))
    (1.5, 1.5)
    """
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), mask.shape[1])
    return x + 0.5, y + 0.5


def _listed(row: Row, ids: Ids) -> TrueObject:
    """Take an object as a table lists it; its label is the one under its point."""
    x, y = int(float(row["point_x"])), int(float(row["point_y"]))
    inside = 0 <= y < ids.shape[0] and 0 <= x < ids.shape[1]
    return TrueObject(
        int(ids[y, x]) if inside else 0,
        np.array([float(row[name]) for name in CORNERS], np.float32),
        np.array([x + 0.5, y + 0.5], np.float32),
        float(row["area_px"] or 0),
        row["touches_edge"] not in ("0", "False", "false"),
    )
