"""Every real raster goes through the whole flow: a valid layer, or one clear error."""

import csv
from pathlib import Path

import pytest
import shapely

import geosam
from geosam.polygons import COLUMNS
from geosam.sinks import read_layer, read_metadata
from geosam.testing import StubNetwork

DEV = Path(__file__).parents[1].parent / "shared" / "data" / "dev"
MOST_PX = 600
"""Longer rasters are seen at a coarser resolution, so that the whole walk takes a minute."""


def rasters() -> list[str]:
    """Rasters of the manifest; none where it is absent."""
    if not (DEV / "manifest.csv").exists():
        return []
    with (DEV / "manifest.csv").open(newline="") as table:
        return sorted(row["file"] for row in csv.DictReader(table))


@pytest.mark.parametrize("name", rasters())
def test_a_raster_gives_a_valid_layer(name: str, dev_data: Path, tmp_path: Path):
    scene = geosam.open_scene(dev_data / name)
    if max(scene.shape) > MOST_PX:
        scene = scene.at(scene.frame.resolution * max(scene.shape) / MOST_PX)
    out = tmp_path / "out.gpkg"
    report = geosam.segment_to_file(scene, out, model=StubNetwork(side=512, channels=8), spacing_px=64)
    layer = read_layer(out)
    assert set(COLUMNS) <= {*layer.columns}
    assert len(layer) == report.objects
    assert (layer.crs is None) == (scene.crs is None)
    if scene.crs is not None:
        assert layer.crs.to_wkt() == scene.crs.to_wkt() or layer.crs.equals(scene.crs, ignore_axis_order=True)
    assert layer.geometry.is_valid.all()
    assert (layer.geom_type == "MultiPolygon").all()
    assert layer["object_id"].is_unique
    if len(layer):
        inside = shapely.box(0, 0, *scene.shape[::-1]).buffer(1e-3)
        assert shapely.covers(inside, scene.to_px(layer.geometry)).all()
    assert read_metadata(out)["model"] == "stub"
    empty = report.windows == report.empty
    assert empty == (name == "rasterio-tests/all-nodata.tif")
    if empty:
        assert len(layer) == 0


def test_the_walk_finds_the_manifest(dev_data: Path):
    assert len(rasters()) > 50
    assert (dev_data / "manifest.csv").exists()
