"""Proposals: segments of the ground, more like this, words, and what to look at next."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from geosam.scene import open_scene
from geosam.serve import Desk
from geosam.serve.areas import area_of, to_scene, view_of
from geosam.serve.start import start
from geosam.testing import coordinate_scene

VILLAGE = Path(__file__).parents[1] / "sample_data" / "village_before.tif"
CORNER, SIDE = 300, 320


def ask(desk: Desk, verb: str, **fields: Any) -> dict[str, Any]:
    """Ask until the answer is there, as a front end does."""
    for _ in range(600):
        found = desk.answer({"verb": verb, **fields}).value
        if not found["ok"] or "again_ms" not in found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{verb}: no answer")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("proposals")
    with rasterio.open(VILLAGE) as source:
        part = source.read(window=Window(CORNER, CORNER, SIDE, SIDE))
        profile = source.profile | {"height": SIDE, "width": SIDE}
    with rasterio.open(folder / "village.tif", "w", **profile) as target:
        target.write(part)
    desk = start(open_scene(folder / "village.tif"), store=None)
    yield desk
    desk.close()


@pytest.mark.slow
def test_segments_cover_the_ground_once_and_are_clicked_together(desk: Desk):
    found = ask(desk, "coverage", bounds=[0, 0, SIDE, SIDE])
    shapes = np.array([shapely.geometry.shape(one["shape"]) for one in found["segments"]], object)
    assert shapely.area(shapes).sum() == pytest.approx(SIDE * SIDE)
    assert shapely.coverage_is_valid(shapes)
    one = int(np.argmax(shapely.area(shapes) < 2000))
    other = next(n for n, shape in enumerate(shapes) if n != one and shapely.relate(shape, shapes[one])[4] == "1")
    keys = [found["segments"][number]["key"] for number in (one, other)]
    done = ask(desk, "accept", keys=keys)
    assert shapely.geometry.shape(done["changed"][0]["shape"]).area == shapes[one].area + shapes[other].area
    again = ask(desk, "coverage", bounds=[0, 0, SIDE, SIDE])
    assert [one["key"] for one in again["segments"]] == [one["key"] for one in found["segments"]]
    ask(desk, "undo")


@pytest.mark.slow
def test_suggestions_come_once_by_doubt_and_not_after_they_were_rejected(desk: Desk):
    first = ask(desk, "suggest")
    second = ask(desk, "suggest")
    assert first["key"] != second["key"]
    assert first["doubt"] >= second["doubt"]
    ask(desk, "reject", key=first["key"])
    number = ask(desk, "accept", keys=[second["key"]])["changed"][0]["id"]
    found = ask(desk, "similar", ids=[number], limit=500)
    shapes = [one["shape"] for one in found["candidates"]]
    assert first["shape"] not in shapes
    assert second["shape"] not in shapes
    scores = [one["score"] for one in found["candidates"]]
    assert scores == sorted(scores, reverse=True)
    third = ask(desk, "suggest")  # by likeness to what was accepted
    assert third["key"] not in (first["key"], second["key"])
    many = ask(desk, "accept", keys=[one["key"] for one in found["candidates"][:3]], each=True)
    assert len(many["changed"]) == 3
    for _ in range(3):
        ask(desk, "undo")
    assert desk.layer.objects == {}
    assert desk.layer.rejected == []


@pytest.mark.slow
def test_a_word_gives_candidates_and_an_unknown_one_a_line(desk: Desk):
    found = ask(desk, "word", text="Häuser", threshold=0.2)
    assert found["ok"] or found["kind"] == "nothing"
    assert all(one["label"] == "building" for one in found.get("candidates", ()))
    unknown = ask(desk, "word", text="helipad")
    assert (unknown["ok"], unknown["kind"]) == (False, "input")


def test_shapes_of_an_area_lie_where_the_area_lies(tmp_path: Path):
    scene = open_scene(coordinate_scene(tmp_path / "xy.tif", (3000, 4000)))
    for bounds, level in (((1000, 700, 1300, 900), 0), ((0, 0, 4000, 3000), 2)):
        area = area_of(scene, bounds)
        assert area.level == level
        view = view_of(scene, area)
        assert view.shape == (area.height, area.width)
        corner = to_scene(np.array([shapely.box(0, 0, 1, 1)], object), view, scene)[0].bounds
        step = 2**level
        assert corner == (area.left * step, area.top * step, (area.left + 1) * step, (area.top + 1) * step)
        x0, y0, x1, y1 = bounds
        assert area.left * step <= x0
        assert area.top * step <= y0
        assert (area.left + area.width) * step >= x1
        assert (area.top + area.height) * step >= y1
