"""Where a raster lies: a CRS alone is no place, and CRSs that nothing can be transformed to still hold a layer."""

import logging
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import from_origin

from geosam.errors import OptionError, SceneError, SinkError
from geosam.pipeline import segment, segment_to_file
from geosam.polygons.measure import measure
from geosam.scene import open_scene
from geosam.scene.reproject import projection
from geosam.scene.rpc import points_of_rpc
from geosam.testing import TruthNetwork, blob_labels, coordinate_scene, label_scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

UTM = from_origin(500_000, 5_300_000, 0.5, 0.5)
SITE = 'LOCAL_CS["site",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
FEET = 'LOCAL_CS["works",UNIT["foot",0.3048],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
LINE = {power: [0.0] * power + [1.0] + [0.0] * (19 - power) for power in range(3)}
"""RPC coefficients that are 1, the longitude and the latitude."""


def write(path: Path, shape: tuple[int, int] = (60, 80), **options: Any) -> Path:
    bands = np.random.default_rng(0).integers(1, 200, (3, *shape)).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 3, "height": shape[0], "width": shape[1], "dtype": "uint8"}
    with rasterio.open(path, "w", **profile | options) as file:
        file.write(bands)
    return path


def rpcs(shape: tuple[int, int], *, bend: float = 0.0, height: float = 320.0) -> RPC:
    """RPCs of a scene of 1/1000 degree a side, north up, around longitude 11.5 and latitude 48.1."""
    h, w = shape
    down = [-value for value in LINE[2]]
    down[7], down[4] = bend, bend / 2
    return RPC(
        height_off=height,
        height_scale=500,
        lat_off=48.1,
        lat_scale=0.0005,
        long_off=11.5,
        long_scale=0.0005,
        line_off=h / 2 - 0.5,
        line_scale=h / 2,
        samp_off=w / 2 - 0.5,
        samp_scale=w / 2,
        line_num_coeff=down,
        line_den_coeff=LINE[0],
        samp_num_coeff=LINE[1],
        samp_den_coeff=LINE[0],
    )


# ---------------------------------------------------------------- transform, control points, RPCs, nothing


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", SITE])
def test_a_crs_without_a_transform_is_no_place(tmp_path: Path, crs: str) -> None:
    scene = open_scene(write(tmp_path / "a.tif", crs=crs))
    assert scene.crs is None
    assert scene.frame.affine == Affine.identity()
    assert "no transform" in scene.notes[0]
    assert "without a CRS" in scene.notes[0]


@pytest.mark.filterwarnings("ignore:The given matrix")
def test_an_identity_turned_upwards_is_a_place_in_a_local_crs_alone(tmp_path: Path) -> None:
    turned = Affine(1, 0, 0, 0, -1, 0)
    assert open_scene(write(tmp_path / "a.tif", crs="EPSG:32633", transform=turned)).frame.affine == Affine.identity()
    assert open_scene(write(tmp_path / "b.tif", crs=SITE, transform=turned)).frame.affine == turned


def test_rpcs_without_an_inverse_are_said(tmp_path: Path) -> None:
    broken = rpcs((60, 80))
    broken.line_num_coeff = broken.samp_num_coeff = [0.0] * 20
    scene = open_scene(write(tmp_path / "a.tif", rpcs=broken))
    assert scene.crs is None
    assert "cannot be used" in scene.notes[0]


def test_what_says_nothing_is_in_pixels_without_a_word(tmp_path: Path) -> None:
    scene = open_scene(write(tmp_path / "a.tif"))
    assert scene.crs is None
    assert scene.notes == ()


def test_notes_are_logged_when_a_scene_is_segmented(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = label_scene(tmp_path / "a.tif", blob_labels((96, 96), count=3, large=0), transform=Affine.identity())
    with caplog.at_level(logging.WARNING):
        found = segment(path, model=TruthNetwork(side=96), spacing_px=8)
    assert found.crs is None
    assert [record.message for record in caplog.records if "no transform" in record.message]


def test_rpcs_place_a_scene_both_ways(tmp_path: Path) -> None:
    shape = (200, 300)
    scene = open_scene(write(tmp_path / "a.tif", shape, rpcs=rpcs(shape), crs="EPSG:4326"))
    corners = np.array([[0.0, 0.0], [300.0, 0.0], [150.0, 100.0], [300.0, 200.0]])
    world = scene.frame.world_from_px(corners)
    expected = [[11.4995, 48.1005], [11.5005, 48.1005], [11.5, 48.1], [11.5005, 48.0995]]
    np.testing.assert_allclose(world, expected, atol=1e-9)
    np.testing.assert_allclose(scene.frame.px_from_world(world), corners, atol=1e-4)
    assert scene.crs == CRS(4326)
    assert "mean height of 320 m" in scene.notes[0]


@settings(max_examples=10)
@given(st.floats(-0.05, 0.05), st.floats(-100, 3000))
def test_bent_rpcs_are_followed_to_a_tenth_of_a_pixel(bend: float, height: float) -> None:
    shape = (2000, 3000)
    points, error_px = points_of_rpc(rpcs(shape, bend=bend, height=height), shape)
    px = np.random.default_rng(0).uniform(0, shape[::-1], (50, 2))
    lon, lat = points.world_from_px(px).T
    x, y = (lon - 11.5) / 0.0005, (lat - 48.1) / 0.0005
    line = (-y + bend * x**2 + bend / 2 * x * y) * 1000 + 1000
    assert error_px < 0.1
    np.testing.assert_allclose(np.stack([x * 1500 + 1500, line], axis=1), px, atol=0.1)


def test_of_several_places_the_transform_counts_and_the_others_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", rpcs=rpcs((60, 80)), crs="EPSG:32633", transform=UTM)
    scene = open_scene(path)
    assert scene.frame.affine == UTM
    assert scene.notes == ("its RPCs are not used, since it has a transform",)


def test_control_points_that_do_not_fit_are_said(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, 500_000 + c / 2, 5_300_000 - r / 2) for r in (0, 30, 60) for c in (0, 80)]
    assert open_scene(write(tmp_path / "a.tif", gcps=points, crs="EPSG:32633")).notes == ()
    points[0] = GroundControlPoint(0, 0, 500_030, 5_300_000)
    assert "do not fit" in open_scene(write(tmp_path / "b.tif", gcps=points, crs="EPSG:32633")).notes[0]


def test_degrees_beyond_the_poles_are_refused_and_grids_of_the_globe_are_not(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="longitudes and latitudes"):
        open_scene(write(tmp_path / "a.tif", crs="EPSG:4326", transform=UTM))
    with pytest.raises(SceneError, match="longitudes and latitudes"):
        open_scene(write(tmp_path / "b.tif", (200, 80), crs="EPSG:4326", transform=Affine(2, 0, 0, 0, -1, 0)))
    whole = from_origin(-181.25, 91.25, 2.5, 2.5)  # pixel centres on the poles
    assert open_scene(write(tmp_path / "c.tif", (73, 145), crs="EPSG:4326", transform=whole)).crs == CRS(4326)


def test_degrees_in_a_crs_of_metres_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", crs="EPSG:32633", transform=from_origin(13, 52, 1e-5, 1e-5))
    assert "are its coordinates degrees?" in open_scene(path).notes[0]


# ---------------------------------------------------------------- CRSs that cannot be transformed


@pytest.mark.parametrize(("crs", "metres"), [(SITE, 0.5), (FEET, 0.1524), ("IAU_2015:30110", 0.5)])
def test_a_local_crs_holds_a_layer_with_areas_in_its_metres(tmp_path: Path, crs: str, metres: float) -> None:
    labels = blob_labels((96, 96), count=3, large=0)
    path = label_scene(tmp_path / "a.tif", labels, crs=crs, transform=from_origin(0, 0, 0.5, 0.5))
    scene, network = open_scene(path), TruthNetwork(side=96)
    found = segment(path, model=network, spacing_px=4)
    assert scene.resolution_m == pytest.approx(metres)
    assert len(found) == 3
    assert found.crs == scene.crs
    np.testing.assert_allclose(found.area_m2, found.geometry.area * (metres / 0.5) ** 2)
    clicked = segment(path, geopandas.GeoSeries(found.geometry.representative_point(), crs=None), model=network)
    np.testing.assert_allclose(sorted(clicked.area_m2), sorted(found.area_m2))
    with pytest.raises(OptionError, match=r"scene's own CRS"):
        scene.to_px(shapely.Point(10, 50), 4326)


def test_layers_in_a_local_crs_come_back_as_prompts(tmp_path: Path) -> None:
    path = label_scene(tmp_path / "a.tif", blob_labels((96, 96), count=3, large=0), crs=SITE)
    network = TruthNetwork(side=96)
    for name in ("a.gpkg", "a.parquet"):
        segment_to_file(path, tmp_path / name, model=network, spacing_px=4, labels=tmp_path / f"{name}.tif")
        assert len(segment(path, tmp_path / name, model=network)) == 3
    with pytest.raises(SinkError, match="GeoJSON"):
        segment_to_file(path, tmp_path / "a.geojson", model=network)


def test_units_that_are_no_lengths_give_no_areas() -> None:
    square = np.array([shapely.box(0, 0, 10, 10)])
    moon = CRS("IAU_2015:30100")
    assert np.isnan(measure(square, moon)[0][0])
    assert measure(square, CRS(FEET))[0][0] == pytest.approx(100 * 0.3048**2)
    with pytest.raises(OptionError, match="wanted"):
        projection(moon.to_wkt(), CRS(4326).to_wkt())
    with pytest.raises(OptionError, match="wanted"):
        projection(CRS("EPSG:4978").to_wkt(), CRS(4326).to_wkt())


@pytest.mark.parametrize("far", [1e300, 1e17])
def test_a_place_so_far_that_pixels_are_one_is_refused(tmp_path: Path, far: float):
    path = coordinate_scene(tmp_path / "far.tif", (20, 20), transform=Affine(0.5, 0, far, 0, -0.5, 5e6))
    with pytest.raises(SceneError, match="pixels that lie apart"):
        open_scene(path)
