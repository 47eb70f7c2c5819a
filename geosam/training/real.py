"""Real pictures with truth that weights which are given away may be learned from.

The data folder holds ``train/manifest.csv``, a row per picture. Only rows of the training split whose ``terms`` are
``open`` are ever read; the folder is no part of geosam, and training works without it.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import rasterio
from jaxtyping import Int32, UInt8
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from geosam.errors import OptionError, SceneReadError
from geosam.evaluation.label_rasters import read_label_raster
from geosam.evaluation.sets import read_table
from geosam.paths import for_gdal

log = logging.getLogger(__name__)

SPLIT = "train"
"""The only split that is learned from."""

HELD_OUT = 8
"""One picture in so many is kept from training, to look at quality during a run."""

FORMATS = ("geojson", "ids", "mask", "coco")
"""Label formats that are understood."""


@dataclass(frozen=True)
class RealRow:
    """A picture that may be learned from: its file, its labels and how to read them."""

    file: Path
    labels: Path
    label_format: str
    source: str
    name: str

    @property
    def held_out(self) -> bool:
        """Whether the picture is kept from training; told by its name, so that it never changes."""
        return crc32(self.name.encode()) % HELD_OUT == 0


@dataclass(frozen=True)
class RealImage:
    """A picture and its objects: 0 where nothing is known to be."""

    pixels: UInt8[np.ndarray, "3 h w"]
    labels: Int32[np.ndarray, "h w"]
    source: str
    name: str


def open_rows(data: Path) -> list[RealRow]:
    """List the rows of a data folder that may be learned from.

    Raises
    ------
    OptionError
        If there is no manifest.
    """
    manifest = data / SPLIT / "manifest.csv"
    if not manifest.is_file():
        raise OptionError(f"data {str(data)!r}", expected=f"a folder with {SPLIT}/manifest.csv", hint="or leave it out")
    rows = read_table(manifest, "split", "file", "labels", "label_format", "terms")
    return [_row(manifest.parent, row) for row in rows if _allowed(row)]


def _allowed(row: dict[str, str]) -> bool:
    return row["split"] == SPLIT and row["terms"] == "open" and row["label_format"] in FORMATS


def _row(folder: Path, row: dict[str, str]) -> RealRow:
    source = row["file"].split("/", 1)[0]
    return RealRow(folder / row["file"], folder / row["labels"], row["label_format"], source, row["file"])


def read_images(rows: list[RealRow]) -> Iterator[RealImage]:
    """Read pictures and their labels, leaving out those without any object."""
    for row in rows:
        image = read_image(row)
        if image.labels.any():
            yield image


def read_image(row: RealRow) -> RealImage:
    """Read one picture and its labels.

    Raises
    ------
    SceneReadError
        If the picture or its labels cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with for_gdal(row.file) as name, rasterio.open(name) as scene:
                bands = scene.read()
                labels = _labels(row, scene)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file of one of four formats raises almost anything
        reason = " ".join(str(error).split())
        raise SceneReadError(f"{row.name}: {reason}", expected="a picture with readable labels") from error
    if bands.dtype != np.uint8:
        raise SceneReadError(f"{row.name}: pixels of {bands.dtype}", expected="8-bit pixels", hint="convert it")
    pixels = np.broadcast_to(bands[:1], (3, *bands.shape[1:])) if len(bands) < 3 else bands[:3]
    return RealImage(np.ascontiguousarray(pixels, np.uint8), labels.astype(np.int32), row.source, row.name)


def _labels(row: RealRow, scene: rasterio.DatasetReader) -> Int32[np.ndarray, "h w"]:
    if row.label_format == "geojson":
        return _burn(_footprints(row.labels, scene), scene.shape, scene.transform)
    if row.label_format == "coco":
        return _burn(_coco_shapes(row), scene.shape, rasterio.Affine.identity())
    return read_label_raster(row.labels, row.label_format, scene.shape)


def _footprints(path: Path, scene: rasterio.DatasetReader) -> list[dict]:
    collection = json.loads(path.read_text(encoding="utf-8"))
    name = str(collection.get("crs", {}).get("properties", {}).get("name", "OGC:CRS84"))
    crs = "EPSG:4326" if name.endswith(("CRS84", "4326")) else name
    shapes = [feature["geometry"] for feature in collection["features"] if feature["geometry"]]
    return [transform_geom(crs, scene.crs, shape) for shape in shapes]


def _coco_shapes(row: RealRow) -> list[dict]:
    coco = json.loads(row.labels.read_text(encoding="utf-8"))
    ids = {image["id"] for image in coco["images"] if image["file_name"] == row.file.name}
    rings = [ring for each in coco["annotations"] if each["image_id"] in ids for ring in each["segmentation"]]
    return [{"type": "Polygon", "coordinates": [np.reshape(ring, (-1, 2)).tolist()]} for ring in rings]


def _burn(shapes: list[dict], shape: tuple[int, int], transform: rasterio.Affine) -> Int32[np.ndarray, "h w"]:
    if not shapes:
        return np.zeros(shape, np.int32)
    numbered = [(geometry, number) for number, geometry in enumerate(shapes, start=1)]
    return rasterize(numbered, out_shape=shape, transform=transform, dtype="int32")
