"""Where scenes have data: also of those that have none, or that see beyond the earth's edge."""

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_bounds

import geosam
from geosam.catalog import Manifest, find_items, segment_catalog
from geosam.catalog.footprints import footprint_of, from_geojson, to_lonlat
from geosam.testing import TruthNetwork, blob_labels, label_scene
from geosam.testing.scenes import CRS, TRANSFORM

GEOSTATIONARY = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x"
REACH = 5_500_000.0
"""Half the width of a picture of the whole earth from a geostationary satellite, and of a little beside it."""


@pytest.fixture
def scenes(tmp_path):
    """One scene with data, one without any, and one of the whole earth."""
    labels = blob_labels((64, 64), count=3, large=0)
    label_scene(tmp_path / "some.tif", labels)
    whole = from_bounds(-REACH, -REACH, REACH, REACH, 64, 64)
    kinds = {
        "none": (np.zeros((3, 64, 64), np.uint8), CRS, TRANSFORM, 0),
        "earth": (np.full((3, 64, 64), 9, np.uint8), GEOSTATIONARY, whole, None),
    }
    for name, (pixels, crs, transform, nodata) in kinds.items():
        kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 64, "width": 64, "nodata": nodata}
        with rasterio.open(tmp_path / f"{name}.tif", "w", **kind, crs=crs, transform=transform) as target:
            target.write(pixels)
    return tmp_path


def test_none_of_them_fails(scenes, tmp_path):
    report = segment_catalog(scenes, tmp_path / "run", model=TruthNetwork(side=64), spacing_px=8)
    assert (report.done, report.failed) == (3, [])
    footprints = Manifest(tmp_path / "run" / "manifest.jsonl").footprints()
    assert footprints["none"] is None
    earth = from_geojson(footprints["earth"])
    assert earth.is_valid
    assert earth.contains(shapely.Point(-75, 0))
    assert earth.contains(shapely.Point(-75, 60))
    assert not earth.contains(shapely.Point(40, 0))
    assert geosam.catalog.report(tmp_path / "run").counts["done"] == 3


def test_they_can_be_chosen_by_area(scenes):
    chosen = find_items(scenes, area=shapely.box(-80, -5, -70, 5))
    assert [item.name for item in chosen] == ["earth"]
    assert len(find_items(scenes, area=shapely.box(2.9, 45.1, 3.1, 45.2))) == 2


def test_what_lies_off_the_earth_has_no_place():
    assert to_lonlat(shapely.box(5e6, 5e6, 6e6, 6e6), GEOSTATIONARY).is_empty
    assert to_lonlat(shapely.Polygon(), CRS).is_empty
    assert to_lonlat(shapely.box(0, -1e299, 1, 0), CRS).is_empty


def test_a_scene_with_a_hole_keeps_it(tmp_path):
    pixels = np.full((3, 64, 64), 9, np.uint8)
    pixels[:, 20:40, 20:40] = 0
    kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 64, "width": 64, "nodata": 0}
    with rasterio.open(tmp_path / "hole.tif", "w", **kind, crs=CRS, transform=TRANSFORM) as target:
        target.write(pixels)
    place = from_geojson(footprint_of(geosam.open_scene(tmp_path / "hole.tif")))
    assert place.geom_type == "Polygon"
    assert len(place.interiors) == 1
