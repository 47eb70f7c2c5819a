"""Label rasters: what is an object, whatever the raster's type, channels and nodata."""

import csv

import numpy as np
import pytest
import rasterio
from PIL import Image

from geosam.errors import OptionError, SceneReadError
from geosam.evaluation.label_rasters import read_label_raster
from geosam.training.real import RealRow, open_rows, read_image

IDS = np.zeros((12, 16), np.uint16)
IDS[2:5, 2:6], IDS[7:11, 8:15] = 7, 40_000
WANTED = np.searchsorted([0, 7, 40_000], IDS)


def write(path, values, **profile):
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    profile |= {"driver": "GTiff", "count": 1, "dtype": values.dtype, "transform": place}
    with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], **profile) as file:
        file.write(values, 1)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64", "float32", "float64"])
def test_numbers_of_every_type_give_the_same_objects(tmp_path, dtype):
    values = IDS.astype(dtype)
    if dtype.startswith("float"):
        values[0, 0] = np.nan
    if dtype.startswith("u"):
        write(tmp_path / "a.tif", values)
    else:
        write(tmp_path / "a.tif", np.where((IDS == 0) & (np.arange(16) > 12), -9, values).astype(dtype), nodata=-9)
    assert (read_label_raster(tmp_path / "a.tif", "ids", IDS.shape) == WANTED).all()


def test_nodata_is_no_object(tmp_path):
    values = np.where(IDS == 0, 255, IDS % 256).astype(np.uint8)
    write(tmp_path / "a.tif", values, nodata=255)
    assert ((read_label_raster(tmp_path / "a.tif", "ids", IDS.shape) > 0) == (IDS > 0)).all()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_masks_of_every_mode_give_the_same_pieces(tmp_path, mode):
    """An alpha channel of 255 once made an object of the whole picture."""
    Image.fromarray(((IDS > 0) * 255).astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    assert (read_label_raster(tmp_path / "a.png", "mask", IDS.shape) == WANTED).all()


def test_numbers_as_colours_and_other_sizes_are_refused(tmp_path):
    colours = np.stack([IDS % 256, IDS // 256, 0 * IDS], -1).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(SceneReadError, match="3 bands that differ"):
        read_label_raster(tmp_path / "a.png", "ids", IDS.shape)
    with pytest.raises(SceneReadError, match=r"labels of \(12, 16\) pixels: expected \(12, 17\)"):
        read_label_raster(tmp_path / "a.png", "mask", (12, 17))


def test_pixels_of_sixteen_bits_are_refused_and_not_wrapped(tmp_path):
    write(tmp_path / "a.tif", IDS)
    with pytest.raises(SceneReadError, match=r"a.tif: pixels of uint16: expected 8-bit"):
        read_image(RealRow(tmp_path / "a.tif", tmp_path / "a.tif", "ids", "s", "a.tif"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["file", "labels"], ["a", "b"]], "no column split, label_format, terms"),
        ([["split", "file", "labels", "label_format", "terms"], ["train", "a"]], "line 2: too few values"),
    ],
)
def test_a_manifest_that_lacks_something_is_named(tmp_path, rows, said):
    (tmp_path / "train").mkdir()
    with (tmp_path / "train" / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(OptionError, match=said) as raised:
        open_rows(tmp_path)
    assert "manifest.csv" in str(raised.value)
