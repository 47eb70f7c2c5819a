"""Polygons that are used as they are: each valid, and whatever is left out is named."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geosam.errors import LandcoverError
from geosam.vectors import Purpose
from geosam.vectors.polygons import read_polygons

SEGMENTS = Purpose.bare(LandcoverError, "segments")
SQUARE, BOW_TIE = shapely.box(0, 0, 1, 1), shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
SPUR = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 6), (0, 4)])


def test_what_is_left_out_is_named(caplog):
    frame = gpd.GeoDataFrame({"n": range(5)}, geometry=[SQUARE, None, BOW_TIE, shapely.Polygon(), SPUR], crs=32633)
    found = read_polygons(frame, SEGMENTS)
    assert found.n.tolist() == [0, 2, 4]
    assert found.area.tolist() == [1, 2, 16]
    assert set(found.geom_type) <= {"Polygon", "MultiPolygon"}
    assert found.crs == frame.crs
    assert "2 of 5 segments are left out (row 1: no outline; row 3: no outline)" in caplog.text


def test_nothing_that_can_be_used_is_refused():
    with pytest.raises(LandcoverError, match="no segments with an outline: expected at least one polygon"):
        read_polygons(gpd.GeoDataFrame(geometry=[None, shapely.Polygon()]), SEGMENTS)


@given(arrays(np.float64, (6, 2), elements=st.integers(0, 9).map(float)))
def test_any_ring_becomes_valid_areas_or_is_left_out(xy):
    found = read_polygons(gpd.GeoDataFrame(geometry=[SQUARE, shapely.Polygon(xy)]), SEGMENTS)
    assert found.is_valid.all()
    assert (found.area[:1] == 1).all()


def test_sound_ones_stay_as_they_are(tmp_path):
    frame = gpd.GeoDataFrame({"code": ["007", None]}, geometry=[SQUARE, SPUR.buffer(0)], crs=32633)
    frame.to_file(tmp_path / "a.gpkg")
    found = read_polygons(tmp_path / "a.gpkg", SEGMENTS)
    assert shapely.equals(found.geometry.to_numpy(), frame.geometry.to_numpy()).all()
    assert found.code.iloc[0] == "007"
