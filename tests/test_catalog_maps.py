"""Maps of a catalog: every scene can be seen, however far apart they lie."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely

from geosam.catalog import Row
from geosam.catalog.footprints import as_geojson
from geosam.catalog.maps import COLOURS, DOT_PX, MAP_PX, MOST_PLACES, Frame, draw_maps, group_by_place


def scenes(*corners: tuple[float, float], side: float = 0.01) -> tuple[list[Row], dict]:
    """A scene at each corner, as rows and footprints."""
    rows = [Row(f"scene<{n}>", "", "k", list(COLOURS)[n % 3], objects=n) for n in range(len(corners))]
    shapes = [shapely.box(x, y, x + side, y + side) for x, y in corners]
    return rows, {row.name: as_geojson(shape) for row, shape in zip(rows, shapes, strict=True)}


def maps(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def test_scenes_side_by_side_are_one_map():
    (one,) = maps(draw_maps(*scenes((5, 45), (5.02, 45), (5, 45.02))))
    assert len(one.findall("path")) == 3
    assert not one.findall("circle")
    assert [path.get("fill") for path in one.findall("path")] == list(COLOURS.values())[:3]
    assert one.find("path/title").text == "scene<0>: done, 0 objects"
    assert one.findall("line")


def test_scenes_far_apart_are_dots_and_a_map_of_each_place():
    whole, *places = maps(draw_maps(*scenes((5, 45), (5.02, 45), (-80, -10))))
    assert len(whole.findall("circle")) == 3
    assert [len(place.findall("path")) for place in places] == [2, 1]
    named = [text.text for text in whole.findall("text")]
    assert "40°W" in named
    assert "0°" in named
    assert "20°N" in named


def test_a_world_of_scenes_is_bounded():
    rng = np.random.default_rng(3)
    text = draw_maps(*scenes(*rng.uniform((-170, -60), (170, 60), (60, 2)).tolist()))
    assert len(maps(text)) == 1 + MOST_PLACES
    assert f"and {60 - MOST_PLACES} more places" in text


def test_a_place_is_where_scenes_lie_close():
    rows, footprints = scenes((0, 0), (0.015, 0), (0.03, 0), (1, 1))
    seen = [(row, shapely.geometry.shape(footprints[row.name])) for row in rows]
    assert sorted(len(place) for place in group_by_place(seen)) == [1, 3]


def test_scenes_without_a_place_are_counted_and_specks_left_out():
    rows, footprints = scenes((0, 0), (0, 0.02))
    speckled = shapely.box(0, 0, 0.01, 0.01) - shapely.box(0.005, 0.005, 0.00501, 0.00501)
    footprints |= {rows[0].name: as_geojson(speckled), rows[1].name: None}
    text = draw_maps(rows, footprints)
    assert "1 of 2 scenes have no place" in text
    assert maps(text)[0].find("path").get("d").count("M") == 1
    assert draw_maps(rows, {}) == "<p>No scene has a place on the map.</p>"


@pytest.mark.parametrize("bounds", [(0, 0, 10, 5), (-1, 50, 0, 60), (3, 3, 3, 3)])
def test_a_frame_holds_what_is_in_it(bounds):
    frame = Frame.around([shapely.box(*bounds)], MAP_PX)
    corners = frame.to_px(np.array([bounds[:2], bounds[2:]], float))
    assert (corners >= 0).all()
    assert (corners <= np.array(MAP_PX) + 1e-6).all()
    assert frame.is_dot(shapely.Point(bounds[:2]).buffer(DOT_PX / 4 / max(frame.scale)))
