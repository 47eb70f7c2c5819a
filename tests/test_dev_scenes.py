"""Every real raster goes through the whole flow: a valid layer, or one clear error."""

import csv
from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

import geosam
from geosam.polygons import COLUMNS
from geosam.scene.grid import all_of
from geosam.sinks import read_layer, read_metadata
from geosam.testing import StubNetwork

DEV = Path(__file__).parents[1].parent / "shared" / "data" / "dev"
SIDE_PX = 160
"""Of the crops that are covered."""

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


@pytest.mark.slow
@pytest.mark.parametrize("name", rasters())
def test_a_raster_is_covered_once_and_whole(name: str, dev_data: Path):
    """In the middle of each raster, which no nodata and no collar spares."""
    whole = geosam.open_scene(dev_data / name)
    scene = whole.within(whole.to_world(middle(whole.shape))[0])
    found = geosam.segment(scene, coverage=True, store=None)
    shapes = scene.to_px(found.geometry)
    valid = scene.read(all_of(scene.shape)).valid
    if not len(found):
        assert not valid.any()
        return
    times = np.zeros(scene.shape, np.int64)
    for shape in shapes:
        times += rasterize([shape], out_shape=scene.shape).astype(bool)
    assert (times == valid).all()
    assert shapely.area(shapes).sum() == pytest.approx(valid.sum(), rel=1e-6)
    assert shapely.coverage_is_valid(shapes)
    simplified = geosam.segment(scene, coverage=True, store=None, simplify=2 * scene.frame.resolution)
    assert shapely.coverage_is_valid(simplified.geometry.to_numpy())


def middle(shape: tuple[int, int]) -> shapely.Polygon:
    """The middle of a grid, in pixels."""
    (top, bottom), (left, right) = ((max(0, (n - SIDE_PX) // 2), min(n, (n + SIDE_PX) // 2)) for n in shape)
    return shapely.box(left, top, right, bottom).buffer(-1e-3)


def test_the_walk_finds_the_manifest(dev_data: Path):
    assert len(rasters()) > 50
    assert (dev_data / "manifest.csv").exists()
