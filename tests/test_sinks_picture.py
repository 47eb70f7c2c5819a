"""Pictures: the scene with its polygons drawn where they lie."""

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image

from geosam import open_scene, sinks
from geosam.errors import OptionError, SinkError
from geosam.scene import Scene
from geosam.sinks.picture import colours, draw

GREY = 120


def grey_scene(folder: Path, shape: tuple[int, int] = (800, 900), **options: object) -> Scene:
    placed = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500_000, 0, -2, 5_000_000)} | options
    profile = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": 3, "dtype": "uint8"}
    with rasterio.open(folder / "grey.tif", "w", **profile, **placed) as target:
        target.write(np.full((3, *shape), GREY, np.uint8))
    return open_scene(folder / "grey.tif")


def frame_of(scene: Scene, *shapes_px: shapely.Geometry, **columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=list(scene.to_world(list(shapes_px))), crs=scene.crs)


def is_plain(pixels: np.ndarray) -> bool:
    return bool((pixels == GREY).all())


def test_a_polygon_lies_where_it_should_and_its_hole_stays_clear(tmp_path: Path):
    scene = grey_scene(tmp_path)
    ring = shapely.box(200, 300, 400, 500) - shapely.box(250, 350, 350, 450)
    drawn = draw(scene, frame_of(scene, ring, object_id=[5]))
    assert drawn.shape == (800, 900, 3)
    assert is_plain(drawn[355:445, 255:345])
    assert is_plain(drawn[:295])
    assert is_plain(drawn[:, 405:])
    expected = GREY + 0.28 * (colours(np.array([5]))[0].astype(float) - GREY)
    assert drawn[305:345, 210:390].reshape(-1, 3) == pytest.approx(np.tile(expected, (40 * 180, 1)), abs=1)
    assert drawn[400, 200].astype(int).sum() > 3 * 150  # the light line on the border
    assert drawn[400, 197:200].astype(int).sum(axis=1).min() < 3 * 100  # the dark casing beside it


def test_a_large_scene_is_drawn_small_at_the_right_places(tmp_path: Path):
    scene = grey_scene(tmp_path, (3000, 4000))
    path = sinks.picture(scene, frame_of(scene, shapely.box(1000, 500, 3000, 2500)), tmp_path / "a.png", max_side=400)
    with Image.open(path) as image:
        assert image.size == (400, 300)
        drawn = np.asarray(image)
    assert is_plain(drawn[:46])
    assert is_plain(drawn[:, 304:])
    assert not is_plain(drawn[100, 150])
    assert sorted(os.listdir(tmp_path)) == ["a.png", "grey.tif"]


def test_a_small_scene_is_enlarged(tmp_path: Path):
    scene = grey_scene(tmp_path, (100, 50))
    drawn = draw(scene, frame_of(scene, shapely.box(10, 10, 40, 90)))
    assert drawn.shape == (700, 350, 3)
    assert not is_plain(drawn[350, 200])
    assert is_plain(drawn[:60])


def test_no_polygons_is_the_scene_alone(tmp_path: Path):
    scene = grey_scene(tmp_path)
    assert is_plain(draw(scene, frame_of(scene)))
    assert is_plain(draw(scene, gpd.GeoDataFrame({"object_id": [1]}, geometry=[shapely.Polygon()], crs=scene.crs)))
    assert is_plain(draw(scene, gpd.GeoDataFrame({"object_id": [1]}, geometry=[None], crs=scene.crs)))


def test_polygons_in_another_crs_are_drawn_in_place(tmp_path: Path):
    scene = grey_scene(tmp_path)
    frame = frame_of(scene, shapely.box(200, 300, 400, 500))
    near = np.abs(draw(scene, frame).astype(int) - draw(scene, frame.to_crs(4326)).astype(int))
    assert near.mean() < 0.05


def test_a_smaller_polygon_is_seen_on_a_larger_one(tmp_path: Path):
    scene = grey_scene(tmp_path)
    boxes = shapely.box(300, 300, 400, 400), shapely.box(100, 100, 600, 600)
    drawn = draw(scene, frame_of(scene, *boxes, object_id=[1, 2]))
    again = draw(scene, frame_of(scene, *boxes[::-1], object_id=[2, 1]))
    assert (drawn == again).all()
    assert (drawn[350, 350] != drawn[200, 200]).any()


def test_where_there_is_no_data_the_picture_is_dark(tmp_path: Path):
    scene = grey_scene(tmp_path, nodata=GREY)
    assert draw(scene, frame_of(scene)).max() < 60


def test_scenes_without_a_crs_and_rotated_ones(tmp_path: Path):
    turned = Affine(1.7, 1.0, 500_000, 1.0, -1.7, 5_000_000)
    for options in ({"crs": None}, {"transform": turned}, {"crs": None, "transform": turned}):
        scene = grey_scene(tmp_path, (1000, 2000), **options)
        drawn = draw(scene, frame_of(scene, shapely.box(400, 400, 800, 800)), max_side=1000)
        assert drawn.shape == (500, 1000, 3)
        assert not is_plain(drawn[210:390, 210:390])
        assert is_plain(drawn[:190])
        assert is_plain(drawn[:, 410:])


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    scene = grey_scene(tmp_path)
    frame = frame_of(scene, shapely.Point(300, 300).buffer(100), shapely.Point(500, 300).buffer(150))
    one, other = (sinks.picture(scene, frame, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == other


def test_neighbouring_ids_have_different_colours():
    table = colours(np.arange(1, 500)).astype(int)
    assert np.abs(np.diff(table, axis=0)).max(axis=1).min() > 60


def test_wrong_requests_are_refused(tmp_path: Path):
    scene = grey_scene(tmp_path)
    with pytest.raises(SinkError, match=r"\.png"):
        sinks.picture(scene, frame_of(scene), tmp_path / "a.jpg")
    with pytest.raises(OptionError, match="max_side"):
        sinks.picture(scene, frame_of(scene), tmp_path / "a.png", max_side=0)
    (tmp_path / "a.png").write_bytes(b"former")
    with pytest.raises(SinkError, match="exists"):
        sinks.picture(scene, frame_of(scene), tmp_path / "a.png", overwrite=False)
