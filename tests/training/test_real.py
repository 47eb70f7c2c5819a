"""Only open rows of the training split are ever read, and every label format gives objects."""

import csv
import json

import numpy as np
import pytest
import rasterio
from PIL import Image

from geosam.errors import OptionError, SceneReadError
from geosam.training.real import FORMATS, open_rows, read_image, read_images

COLUMNS = ("split", "file", "labels", "label_format", "terms")


@pytest.fixture
def folder(tmp_path):
    """A data folder with a picture in every format, and rows that must not be read."""
    train = tmp_path / "train"
    (train / "set").mkdir(parents=True)
    colours = np.random.default_rng(0).integers(0, 255, (32, 48, 3)).astype(np.uint8)
    transform = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    profile = {"driver": "GTiff", "width": 48, "height": 32, "count": 3, "dtype": "uint8"}
    with rasterio.open(train / "set/a.tif", "w", crs="EPSG:32633", transform=transform, **profile) as file:
        file.write(np.moveaxis(colours, -1, 0))
    ring = [
        [500_002, 4_999_998],
        [500_010, 4_999_998],
        [500_010, 4_999_990],
        [500_002, 4_999_990],
        [500_002, 4_999_998],
    ]
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    collection = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    (train / "set/a.geojson").write_text(json.dumps(collection))
    Image.fromarray(colours).save(train / "set/b.png")
    labels = np.zeros((32, 48), np.uint8)
    labels[4:12, 4:20], labels[20:28, 30:40] = 1, 2
    Image.fromarray(labels).save(train / "set/b_ids.png")
    Image.fromarray(((labels > 0) * 255).astype(np.uint8)).save(train / "set/b_mask.png")
    annotations = [{"image_id": 7, "segmentation": [[4, 4, 20, 4, 20, 12, 4, 12]]}]
    coco = {"images": [{"id": 7, "file_name": "b.png"}], "annotations": annotations}
    (train / "set/coco.json").write_text(json.dumps(coco))
    rows = [
        ("train", "set/a.tif", "set/a.geojson", "geojson", "open"),
        ("train", "set/b.png", "set/b_ids.png", "ids", "open"),
        ("train", "set/b.png", "set/b_mask.png", "mask", "open"),
        ("train", "set/b.png", "set/coco.json", "coco", "open"),
        ("train", "set/b.png", "set/b_ids.png", "ids", "noncommercial"),
        ("train", "set/b.png", "set/b_ids.png", "ids", "unclear"),
        ("dev", "set/b.png", "set/b_ids.png", "ids", "open"),
        ("train", "set/b.png", "set/b.csv", "boxes_csv", "open"),
    ]
    with (train / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return tmp_path


def test_only_open_training_rows_are_listed(folder):
    assert [row.label_format for row in open_rows(folder)] == list(FORMATS)


def test_every_format_gives_its_objects(folder):
    counts = {row.label_format: int(read_image(row).labels.max()) for row in open_rows(folder)}
    assert counts == {"geojson": 1, "ids": 2, "mask": 2, "coco": 1}
    areas = {row.label_format: int((read_image(row).labels == 1).sum()) for row in open_rows(folder)}
    assert areas == {"geojson": 256, "ids": 128, "mask": 128, "coco": 128}


def test_pictures_are_three_bands_of_bytes(folder):
    for image in read_images(open_rows(folder)):
        assert image.pixels.dtype == np.uint8
        assert image.pixels.shape == (3, *image.labels.shape)


def test_a_missing_manifest_is_said(tmp_path):
    with pytest.raises(OptionError, match=r"manifest\.csv"):
        open_rows(tmp_path)


def test_a_missing_label_file_names_the_picture(folder):
    row = open_rows(folder)[1]
    row.labels.unlink()
    with pytest.raises(SceneReadError, match=r"set/b\.png"):
        read_image(row)


def test_the_shared_pool_gives_nothing_that_is_not_open(shared):
    data = shared / "data"
    with (data / "train" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        terms = {row["file"]: (row["terms"], row["split"]) for row in csv.DictReader(file)}
    rows = open_rows(data)
    assert len(rows) > 100
    assert {terms[row.name] for row in rows} == {("open", "train")}
    assert any(row.held_out for row in rows)
