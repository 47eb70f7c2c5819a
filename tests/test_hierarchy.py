"""Wholes and parts: what is inside what, said once, in columns."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import geosam
from geosam.errors import OptionError
from geosam.polygons import nest
from geosam.sinks import read_layer
from geosam.testing import TruthNetwork, blob_labels, label_scene


def view(*boxes: tuple[float, float, float, float], score: float = 0.5) -> geopandas.GeoDataFrame:
    shapes = [shapely.box(*box) for box in boxes]
    return geopandas.GeoDataFrame({"object_id": np.arange(1, len(boxes) + 1), "score": score}, geometry=shapes)


@st.composite
def quadtrees(draw):
    """Squares cut into four, to random depth: a view for each depth, a child always inside its parent."""
    views = []
    squares = [(0.0, 0.0, 64.0)]
    for _ in range(draw(st.integers(1, 4))):
        views.append(squares)
        squares = [
            (x + dx * side / 2, y + dy * side / 2, side / 2)
            for x, y, side in squares
            for dx in (0, 1)
            for dy in (0, 1)
            if draw(st.booleans())
        ]
    return [view(*((x, y, x + s, y + s) for x, y, s in squares)) for squares in views if squares]


@settings(max_examples=40, deadline=None)
@given(quadtrees(), st.randoms(use_true_random=False))
def test_every_square_of_a_quadtree_gets_the_square_that_it_was_cut_from(views, random):
    found = nest(random.sample(views, len(views))).set_index("object_id")
    assert sorted(found.index) == list(range(1, sum(map(len, views)) + 1))
    for _, row in found.iterrows():
        assert row.level == np.log2(64 / np.sqrt(row.geometry.area))
        if row.level:
            parent = found.loc[row.parent_id]
            assert parent.level == row.level - 1
            assert parent.geometry.covers(row.geometry)
            assert parent.geometry.area == 4 * row.geometry.area
    assert found.parent_id.isna().sum() == 1


def test_what_two_views_found_alike_stays_once_by_the_better_score():
    found = nest([view((0, 0, 10, 10), score=0.4), view((0, 0, 10, 11), score=0.8), view((0, 0, 10, 10.5), score=0.6)])
    assert found.geometry.area.tolist() == [110]
    assert found.level.tolist() == [0]


def test_overlap_alone_makes_no_part():
    found = nest([view((0, 0, 4, 4)), view((2, 0, 20, 20))])
    assert found.parent_id.isna().all()


def test_no_objects_are_a_table_without_rows_and_with_both_columns():
    found = nest([view(), view()])
    assert len(found) == 0
    assert {"level", "parent_id"} <= set(found.columns)


class TestScene:
    """A scene whose objects a perfect network finds on each view."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return str(label_scene(tmp_path / "scene.tif", blob_labels((200, 240), count=6, large=1, seed=4)))

    def test_objects_are_found_on_each_view_and_kept_once(self, path):
        network = TruthNetwork(side=128)
        plain = geosam.segment(path, model=network, spacing_px=4)
        found = geosam.segment(path, model=network, spacing_px=4, hierarchy=True)
        tree = shapely.STRtree(found.geometry.to_numpy())
        for shape in plain.geometry[plain.area_m2 > plain.area_m2.max() / 50]:
            near = found.geometry.iloc[tree.query(shape)]
            assert (near.intersection(shape).area / near.union(shape).area).max() > 0.7
        assert found.object_id.tolist() == list(range(1, len(found) + 1))

    def test_the_file_holds_the_columns(self, path, tmp_path):
        report = geosam.segment_to_file(
            path, tmp_path / "a.gpkg", model=TruthNetwork(side=128), spacing_px=4, hierarchy=True
        )
        layer = read_layer(tmp_path / "a.gpkg")
        assert len(layer) == report.objects > 0
        assert set(layer.level) >= {0}
        assert report.windows == 4 * 5 + 2 * 2 + 1 + 1

    @pytest.mark.parametrize("wrong", [{"prompts": [shapely.Point(500020, 4999980)]}, {"labels": "labels.tif"}])
    def test_prompts_and_label_rasters_are_refused(self, path, tmp_path, wrong):
        given = {name: tmp_path / value if name == "labels" else value for name, value in wrong.items()}
        with pytest.raises(OptionError, match="hierarchy"):
            geosam.segment_to_file(path, tmp_path / "a.gpkg", **given, model=TruthNetwork(side=128), hierarchy=True)
        assert not (tmp_path / "a.gpkg").exists()
