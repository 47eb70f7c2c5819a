"""A coverage of a scene, from the raster to the file: laws of the polygons, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import xarray
from rasterio.windows import Window

import geosam
from geosam.errors import OptionError
from geosam.sinks import read_layer
from geosam.testing import TruthNetwork, blob_labels, label_scene

SHAPE = (170, 230)
NETWORK = TruthNetwork(side=128)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("regions") / "scene.tif"
    return label_scene(path, blob_labels(SHAPE, count=14, large=1))


@pytest.fixture(scope="module")
def found(scene):
    return geosam.segment(scene, model=NETWORK, coverage=True)


def test_segments_partition_the_scene_and_share_their_vertices(scene, found):
    shapes = found.geometry.to_numpy()
    assert shapely.coverage_is_valid(shapes)
    whole = shapely.union_all(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(whole.area, rel=1e-9)
    geobox = geosam.open_scene(scene).geobox
    assert whole.area == pytest.approx(geobox.extent.geom.area, rel=1e-9)


def test_objects_are_segments(found):
    """Of objects in flat colours nothing else can be found; each is one segment, across the windows."""
    labels = blob_labels(SHAPE, count=14, large=1)
    areas = found.geometry.area.to_numpy() / found.geometry.area.sum() * labels.size
    true = np.bincount(labels.ravel())[1:]
    met = [np.abs(areas - each).min() <= 0.1 * each for each in true if each >= 100]
    assert np.mean(met) > 0.8


def test_the_same_bytes_whatever_works_beside_and_however_strips_are_cut(scene, found, monkeypatch):
    for abreast, strip in ((0, 1 << 22), (3, 5000)):
        monkeypatch.setattr("geosam.pipeline.regions.ABREAST", abreast)
        monkeypatch.setattr("geosam.regions.coverage.STRIP_PX", strip)
        again = geosam.segment(scene, model=NETWORK, coverage=True).sort_values("object_id")
        first = found.sort_values("object_id")
        assert np.array_equal(shapely.to_wkb(first.geometry), shapely.to_wkb(again.geometry))
        assert (
            first.drop(columns="geometry")
            .reset_index(drop=True)
            .equals(again.drop(columns="geometry").reset_index(drop=True))
        )


def test_simplified_segments_are_a_coverage_too(scene):
    found = geosam.segment(scene, model=NETWORK, coverage=True, simplify=1e-6)
    assert shapely.coverage_is_valid(found.geometry.to_numpy())


def test_the_mapping_unit_is_kept(scene, found):
    least = float(found.area_m2.median())
    coarse = geosam.segment(scene, model=NETWORK, coverage=True, min_area=least)
    assert coarse.area_m2.min() >= 0.99 * least
    assert coarse.area_m2.sum() == pytest.approx(found.area_m2.sum(), rel=1e-6)


def test_finer_detail_means_more_segments_of_the_same_ground():
    with rasterio.open(Path(__file__).parents[1] / "sample_data" / "village_before.tif") as village:
        pixels = village.read(window=Window(0, 0, 160, 128))
    scene = geosam.open_scene(xarray.DataArray(pixels, dims=("band", "y", "x")))
    found = [geosam.segment(scene, coverage=True, detail=detail) for detail in ("coarse", "normal", "fine")]
    assert len(found[0]) < len(found[1]) < len(found[2])
    assert [each.area.sum() for each in found] == [160 * 128] * 3


def test_levels_are_coverages_and_nested(scene):
    found = geosam.segment(scene, model=NETWORK, coverage=True, hierarchy=True)
    assert found.object_id.is_unique
    shapes = dict(zip(found.object_id, found.geometry, strict=True))
    for level, rows in found.groupby("level"):
        assert shapely.coverage_is_valid(rows.geometry.to_numpy())
        assert rows.parent_id.isna().all() == (level == 0)
    for _, row in found[found.level > 0].iterrows():
        assert shapely.difference(row.geometry, shapes[row.parent_id]).area < 1e-9 * row.geometry.area
    assert found[found.level > 0].parent_id.isin(found.object_id).all()


def test_a_file_holds_the_same(scene, found, tmp_path):
    report = geosam.segment_to_file(
        scene, tmp_path / "out.gpkg", model=NETWORK, coverage=True, labels=tmp_path / "labels.tif"
    )
    layer = read_layer(tmp_path / "out.gpkg", "out")
    assert report.objects == len(layer) == len(found)
    assert set(layer.object_id) == set(found.object_id)


def test_fast_without_coverage_drops_what_is_too_small(scene, found):
    least = float(found.area_m2.median())
    some = geosam.segment(scene, model=NETWORK, speed="fast", min_area=least)
    assert 0 < len(some) < len(found)
    assert some.area_m2.min() >= least


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"coverage": True, "speed": "clicks"}, "coverage at speed 'clicks'"),
        ({"coverage": True, "detail": "finest"}, "detail='finest'"),
        ({"detail": "fine"}, "detail='fine' without"),
        ({"coverage": True, "outline": "smooth"}, "coverage with an outline"),
        ({"coverage": True, "max_area": 10.0}, "coverage with max_area"),
        ({"speed": "slow"}, "speed='slow'"),
    ],
)
def test_what_a_coverage_cannot_be_is_refused(scene, options, said):
    with pytest.raises(OptionError, match=said):
        geosam.segment(scene, model=NETWORK, **options)


def test_prompts_have_no_coverage(scene):
    prompts = geosam.Prompts.from_points([(50, 50)], geosam.open_scene(scene), crs="px")
    with pytest.raises(OptionError, match="coverage with prompts"):
        geosam.segment(scene, prompts, model=NETWORK, coverage=True)


def test_a_plan_counts_the_blocks_of_the_tree(scene):
    told = geosam.plan(scene, model=NETWORK, coverage=True)
    assert (told.windows, told.points, told.empty) == (6, 0, 0)
    assert told.seconds > 0
